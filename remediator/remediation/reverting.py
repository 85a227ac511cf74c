"""Takes back what was only wanted while an alert lasted, once the alert has been proven quiet for long enough.

What does it is a remediation like any other: planned, guarded, approved as the playbook's mode says, verified and told.
Here it is only decided when it begins. Time counts from the first look that proves the alerts quiet, and anew when a
look does not, or when nobody has looked for a while: what nobody saw is not known to have been quiet.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from remediator.errors import JournalUnavailable
from remediator.people.wording import LEFT_AS_IT_IS
from remediator.ports import Clock
from remediator.remediation.chooser import Chooser
from remediator.remediation.journal import Journal, WaitingRevert
from remediator.remediation.releasing import Releaser, Tell
from remediator.remediation.state import Remediation
from remediator.remediation.temporary import Temporary, temporary
from remediator.remediation.verifier import Verifier

log = structlog.get_logger()

EVERY = timedelta(minutes=1)
LONGEST_GAP = timedelta(minutes=5)
"""Between two looks that both count for the same quiet time."""
AT_ONCE = 200
GIVEN_UP_AFTER = timedelta(days=30)


class Reverter:
    """One per process. `poke` wakes the runner. The releaser looks at holds in the same turn."""

    def __init__(
        self,
        *,
        journal: Journal,
        chooser: Chooser,
        verifier: Verifier,
        releaser: Releaser,
        tell: Tell,
        clock: Clock,
        poke: Callable[[], None],
    ) -> None:
        self._journal = journal
        self._chooser = chooser
        self._verifier = verifier
        self._releaser = releaser
        self._tell = tell
        self._clock = clock
        self._poke = poke

    async def turn(self) -> float:
        """Look at all that waits. Returns the seconds to the next look. Raises: JournalUnavailable."""
        await self._releaser.turn()
        for waiting in await self._journal.waiting_reverts(AT_ONCE):
            try:
                await self._look(waiting)
            except JournalUnavailable:
                raise
            except Exception:  # one that cannot be looked at keeps no other from its turn
                log.exception("revert_not_looked_at", remediation=waiting.remediation_id)
        return EVERY.total_seconds()

    async def _look(self, waiting: WaitingRevert) -> None:
        now = self._clock.now()
        parent = await self._journal.get(waiting.remediation_id)
        left = temporary(parent) if parent is not None else None
        if parent is None or left is None:
            await self._drop(waiting, now, "its record is gone")
            return
        if now - waiting.at > GIVEN_UP_AFTER:
            await self._drop(waiting, now, "its alerts have not been quiet for long enough within 30 days", parent)
            return
        quiet_since = await self._quiet_since(parent, waiting, now)
        if quiet_since is None or now - quiet_since < left.after_quiet or await self._busy(parent):
            await self._journal.looked_at_revert(parent.id, quiet_since, now)
            return
        await self._begin(parent, left, waiting, now)

    async def _begin(self, parent: Remediation, left: Temporary, waiting: WaitingRevert, now: datetime) -> None:
        revert = self._chooser.take_back(parent, left, now)
        if revert is None:
            why = f"playbook {parent.playbook}, which would put it back, is not in force any more for this target"
            await self._drop(waiting, now, why, parent)
            return
        opened = await self._journal.settle_revert(parent.id, now, revert=revert)
        if opened is not None:
            log.info("revert_begins", remediation=opened.id, reverts=parent.id, playbook=parent.playbook)
            self._poke()

    async def _quiet_since(self, parent: Remediation, waiting: WaitingRevert, now: datetime) -> datetime | None:
        """None = its alerts fire, or nobody can tell. Without alerts there is nothing that has to become quiet."""
        if not parent.alerts:
            return waiting.at
        records = await self._journal.alerts(parent.alerts)
        if len(records) < len(set(parent.alerts)):
            return None
        asked = replace(parent, quiet_since=None, cause="")  # as of now, whoever began it
        quiet = await self._verifier.quiet_since(asked, records)
        if quiet is None:
            return None
        unseen = waiting.looked_at is None or now - waiting.looked_at > LONGEST_GAP
        return quiet if unseen or waiting.quiet_since is None else waiting.quiet_since

    async def _busy(self, parent: Remediation) -> bool:
        """Something else is under way there: that comes first."""
        return parent.root is not None and bool(await self._journal.unfinished(parent.cluster, parent.root))

    async def _drop(self, waiting: WaitingRevert, now: datetime, why: str, parent: Remediation | None = None) -> None:
        """Whoever was told of the change is told that it stays."""
        said = f"It was to last only as long as its alerts, and stays: {why}."
        messages = await self._tell(parent, LEFT_AS_IT_IS, said) if parent is not None else ()
        await self._journal.settle_revert(waiting.remediation_id, now, detail=why, messages=messages)
        log.warning("revert_dropped", reverts=waiting.remediation_id, reason=why)
