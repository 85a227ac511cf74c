"""One ladder, and the pure decision that climbs it.

One for each episode in which a person is needed. Its first rung is climbed at once and comes on top of what the routes
send; the next one when its time since then is over and nobody has said anything: approved, rejected, snoozed or taken,
here or at the pager. It ends when the alerts are gone. Who keeps it, and what it looks at, is `remediation.ladders`.

Times are counted from the last rung that was climbed, never from the beginning: a clock that is put forward cannot let
rungs be skipped, and one that is put back delays a single one by at most its own time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from remediator.people.escalation import Climb
from remediator.people.severity import Sev
from remediator.people.story import Story
from remediator.people.wording import QUESTIONS, wording

QUESTION_SHARE = 2 / 3
"""A question that would run out before the next rung is due climbs when so much of its time is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """One ladder as it is on record. `version` counts its writes; 0 = not stored yet.

    `members` are the remediations of the episode that needed a person, oldest first. `climbed` = how many of `rungs`
    have been, the last one at `since`; one more than there are = it was said that nobody could be reached. `calls` are
    the `once` keys of what should reach a person on that rung. `round` counts how often it began again: after somebody
    had answered and a person was needed once more, or because it became graver; `untold` = the routes have said nothing
    anew for this round, so that its first rung must. `channels` and `services` are the Slack
    and pager destinations that only this ladder told. `status` is what the status page says.
    """

    id: str
    episode: str
    cluster: str
    sev: Sev
    opened_at: datetime
    since: datetime
    rungs: tuple[Climb, ...]
    members: tuple[str, ...] = ()
    climbed: int = 0
    round: int = 0
    calls: tuple[str, ...] = ()
    acknowledged_by: str = ""
    channels: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    incident_channel: str = ""
    status_page: str = ""
    status: str = ""
    untold: bool = False
    version: int = 0
    ended: bool = False

    @property
    def next_at(self) -> datetime | None:
        """When the next rung is due by itself."""
        if self.climbed >= len(self.rungs):
            return None
        before = self.rungs[self.climbed - 1].after if self.climbed else timedelta(0)
        return self.since + (self.rungs[self.climbed].after - before)


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What a look at the episode showed. `asked` = since and until when an answer to the present question counts.

    `dead`: nothing that the last rung sent to a person can arrive any more. `sev` is the gravest of what needs one.
    `said_at` = when the routes last told of something that needs one.
    """

    needed: bool
    acknowledged_by: str = ""
    over: bool = False
    sev: Sev
    asked: tuple[datetime, datetime] | None = None
    dead: bool = False
    said_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Up:
    """Climb the next rung."""

    why: Literal["begun", "time", "question", "dead"]


@dataclass(frozen=True, slots=True)
class Nobody:
    """The last rung cannot arrive either: all that is left is to say so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    who: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """From the first rung: a person is needed once more, or it has become graver."""

    sev: Sev
    untold: bool = False


@dataclass(frozen=True, slots=True)
class Recount:
    """The clock was put back behind the last rung: its time counts from now."""


@dataclass(frozen=True, slots=True)
class Over:
    """The alerts are gone."""


Move = Up | Nobody | Answered | Again | Recount | Over


def decide(ladder: Ladder, seen: Situation, now: datetime) -> Move | None:
    """The next move; None: nothing yet. Pure. Every move but None changes the ladder, so it ends."""
    if seen.over:
        return Over()
    if seen.acknowledged_by:
        return Answered(who=seen.acknowledged_by) if not ladder.acknowledged_by else None
    if not seen.needed:
        return None  # it may be needed again: what was climbed stays
    if ladder.acknowledged_by or seen.sev < ladder.sev:
        return Again(sev=min(seen.sev, ladder.sev), untold=_untold(ladder, seen))
    if now < ladder.since:
        return Recount()
    if seen.dead:
        return Up(why="dead") if ladder.climbed < len(ladder.rungs) else _nobody(ladder)
    due = ladder.next_at
    if due is None:
        return None
    hurry = _hurry(ladder, seen, due)
    if hurry is not None and now >= hurry:
        return Up(why="question")
    if now < due:
        return None
    return Up(why="time" if ladder.climbed else "begun")


def _untold(ladder: Ladder, seen: Situation) -> bool:
    """Whether nobody has heard anything since the last rung, as when somebody gives back what he took."""
    old = seen.said_at is not None and seen.said_at <= ladder.since
    return old and (bool(ladder.acknowledged_by) or seen.asked is None)  # a question that gets graver is told anew


def _nobody(ladder: Ladder) -> Nobody | None:
    return Nobody() if ladder.climbed == len(ladder.rungs) else None


def _hurry(ladder: Ladder, seen: Situation, due: datetime) -> datetime | None:
    """When a question climbs early, once, because its time runs out before the next rung is due."""
    if seen.asked is None:
        return None
    since, until = seen.asked
    at = since + (until - since) * QUESTION_SHARE
    return at if due >= until and ladder.since < at else None


def wake_at(ladder: Ladder, seen: Situation) -> datetime | None:
    """When something is to be done by itself, at the latest."""
    due = ladder.next_at
    hurry = _hurry(ladder, seen, due) if due is not None else None
    return min((at for at in (due, hurry) if at is not None), default=None)


def moved(ladder: Ladder, move: Move, rungs: Sequence[Climb], now: datetime) -> Ladder:
    """The ladder after a move; `rungs` are those of the severity that it names. What it sends is `ladder_messages`."""
    match move:
        case Up() | Nobody():
            return replace(ladder, climbed=ladder.climbed + 1, since=now, calls=())
        case Answered():
            return replace(ladder, acknowledged_by=move.who)
        case Again():
            fresh = replace(ladder, sev=move.sev, rungs=tuple(rungs), climbed=0, since=now, calls=())
            return replace(fresh, acknowledged_by="", round=ladder.round + 1, untold=move.untold)
        case Recount():
            return replace(ladder, since=now)
        case Over():
            return ladder


def needs_ladder(story: Story) -> bool:
    """Whether this state of this story calls for a person who must answer: the same that rings for the gravest, minus
    what another playbook takes over."""
    words = wording(story.state)
    if not words.page or story.next_rung or story.cleared_at is not None:
        return False
    return story.state != "denied" or story.mode in ("approve", "auto")


def need_once(story: Story, since: datetime) -> str:
    """Names one need, so that it begins a ladder once. A question that is asked again, `since` then, is another one."""
    asked = f".{story.step}.{since.isoformat()}" if story.state in QUESTIONS else ""
    return f"escalation/{story.episode_id}/{story.remediation_id}/{wording(story.state).page}{asked}"
