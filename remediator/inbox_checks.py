"""For `doctor`: does what people click reach us, and is it dealt with."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from remediator.doctor import Check, Finding, words
from remediator.people.inbox_rows import InboxStore
from remediator.ports import Clock

LATE = timedelta(minutes=1)
"""Somebody has clicked and sees nothing happen."""
INBOX, SOCKET = "inbox", "Slack socket"


def inbox_checks(store: InboxStore, clock: Clock, connected: Callable[[], bool] | None) -> dict[str, Check]:
    """`connected` None: there is no Socket Mode here."""

    async def inbox() -> Finding:
        waits = await store.undone()
        if not waits.count or waits.oldest_at is None:
            return Finding(check=INBOX, ok=True, said="no click or webhook waits")
        age = max(timedelta(0), clock.now() - waits.oldest_at)
        said = f"{waits.count} clicks or webhooks wait, the oldest for {words(age)}"
        if waits.error:
            said += f"; last error: {waits.error}"
        late = age > LATE
        advice = "Mend what the error names, or look for inbox_ lines in the log. They are tried again by themselves."
        return Finding(check=INBOX, ok=not late, said=said, next=advice if late else "")

    async def socket() -> Finding:
        if connected is not None and connected():
            return Finding(check=SOCKET, ok=True, said="connected")
        advice = (
            "The log says why: slack_socket_not_connected, slack_socket_lost. Look at slack.app_token and the way out"
            " to *.slack.com, port 443. It connects again by itself within a minute."
        )
        return Finding(check=SOCKET, ok=False, said="not connected, so that no click arrives", next=advice)

    return {INBOX: inbox} if connected is None else {INBOX: inbox, SOCKET: socket}
