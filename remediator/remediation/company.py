"""Who hears of a story beyond what its state alone says: its severity by source, ladders, routes by outcome, quiet
hours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from remediator.people.ladder import need_once, needs_ladder
from remediator.people.outbox_rows import OutboxMessage
from remediator.people.quiet_hours import QuietHours
from remediator.people.routes import News, Routes, follow_ups, notices
from remediator.people.severity import SHIPPED, Sev, Severities, gravest_of
from remediator.people.story import Story
from remediator.people.wording import wording
from remediator.remediation.journal import AlertRecord, Journal
from remediator.remediation.state import Remediation

LADDERS = "escalation"
"""Channel of the outbox rows that begin a ladder, or stop one that another remediation began. They are committed with
the state in which a person is needed, or needed no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Company:
    """`climbs`: whether ladders are configured."""

    journal: Journal
    routes: Routes
    severities: Severities = SHIPPED
    quiet: QuietHours | None = None
    climbs: bool = False

    def sev(self, r: Remediation, records: Sequence[AlertRecord]) -> Sev:
        """The gravest among its alerts, each as its source means it. `r.severity` may be that of one not among them."""
        found = [self.severities.of(record.alert.labels, record.alert.source) for record in records]
        if r.severity and all(record.alert.severity != r.severity for record in records):
            source = records[0].alert.source if records else ""
            found.append(gravest_of((r.severity,), self.severities, source))
        return min(found, default=gravest_of((r.severity,), self.severities))

    async def with_ladder(self, story: Story) -> Story:
        """Channels and members that a ladder of its episode has told go on hearing of it. Raises:
        JournalUnavailable."""
        if not self.climbs:
            return story
        ladders = await self.journal.ladders(story.episode_id)
        told = [channel for ladder in ladders for channel in ladder.channels]
        return replace(story, channels=tuple(dict.fromkeys((*story.channels, *told)))) if told else story

    async def messages(self, story: Story, news: News, r: Remediation) -> tuple[OutboxMessage, ...]:
        """Everything to be sent for one piece of news. Raises: JournalUnavailable."""
        more = [m for m in follow_ups(story, news, self.routes) if await self.journal.knows_key(m.key)]
        matters = needs_ladder(story) or wording(story.state).resolves
        ladder = (ladder_row(story, r),) if self.climbs and news is News.STATE and matters else ()
        return (*notices(story, news, self.routes, quiet=self.quiet), *more, *ladder)


def ladder_row(story: Story, r: Remediation) -> OutboxMessage:
    return OutboxMessage(
        channel=LADDERS,
        destination=story.episode_id,
        key=f"{LADDERS}/{story.episode_id}",
        kind="event",
        payload={"remediation": r.id},
        once=need_once(story, r.since),
    )
