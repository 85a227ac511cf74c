"""Of what waits for one key: which row to send next, and which ones it makes superfluous. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from remediator.people.outbox_rows import MAIN_KINDS, OutboxKind, OutboxRow, Sending

MOST_BLOCKS = 45
"""Of one reply; Slack takes 50."""
MOST_CHARACTERS = 9_000
"""Of JSON; Slack has refused messages from 13,000 characters of blocks."""
MOST_TEXT = 3_500
"""Of the fallback text; it is to stay below 4,000."""


def next_of_key(rows: Sequence[OutboxRow], *, behind: bool = False) -> Sending:
    """Which of one key's due rows to send, oldest first given.

    Chat: the newest main message, since it shows everything the older ones did; then replies in order, those that wait
    together as one when the channel is `behind`. A post that was not sent yet stays a post whatever came after it, or a
    proposal that nobody was shown would become a silent update.
    Else in order, except that a resolve makes everything before it superfluous: nobody is woken for what is over.
    """
    main = [row for row in rows if row.kind in MAIN_KINDS]
    if main:
        return _newest(main)
    if rows[0].kind == "reply":
        return _replies(rows) if behind else Sending(rows[0])
    resolves = [i for i, row in enumerate(rows) if row.kind == "event" and row.payload.get("event_action") == "resolve"]
    if resolves and resolves[-1] > 0:
        last = resolves[-1]
        merged = replace(rows[last], tries=max(row.tries for row in rows[: last + 1]))
        return Sending(merged, tuple(row.id for row in rows[:last]), changed=True)
    return Sending(rows[0])


def _newest(main: Sequence[OutboxRow]) -> Sending:
    """In the place of the oldest one: the replies behind it go on waiting for it when it has to be tried again."""
    states = [row for row in main if row.kind != "again"]
    if not states:
        return Sending(main[0], tuple(row.id for row in main[1:]), changed=len(main) > 1)
    kind: OutboxKind = "post" if any(row.kind == "post" for row in states) else "update"
    merged = replace(states[-1], id=states[0].id, kind=kind, tries=max(row.tries for row in states))
    rest = tuple(row.id for row in main if row.id != merged.id)
    return Sending(merged, rest, changed=bool(rest))


def _replies(rows: Sequence[OutboxRow]) -> Sending:
    """As many as fit into one, from the oldest on."""
    text, blocks = str(rows[0].payload["text"]), list(rows[0].payload["blocks"])
    taken = 1
    for row in rows[1:]:
        more = list(row.payload["blocks"])
        longer = f"{text}\n{row.payload['text']}"
        if not (blocks and more) or len(longer) > MOST_TEXT or len(blocks) + len(more) > MOST_BLOCKS:
            break
        if len(json.dumps([*blocks, *more], ensure_ascii=False)) > MOST_CHARACTERS:
            break
        text, blocks, taken = longer, [*blocks, *more], taken + 1
    if taken == 1:
        return Sending(rows[0])
    payload = {**rows[0].payload, "text": text, "blocks": blocks}
    merged = replace(rows[0], payload=payload, tries=max(row.tries for row in rows[:taken]))
    return Sending(merged, tuple(row.id for row in rows[1:taken]), changed=True)
