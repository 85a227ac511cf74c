"""What a ladder sends: the calls of one rung, a line in the thread for each move, and the words of the status page.

Every row has a `once` key made of the ladder, its round and the rung, so that no rung is climbed twice for people even
if two processes climb it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from remediator.guardrails.words import about
from remediator.people import markup, pages
from remediator.people.escalation import Climb, Destination, IncidentChannel
from remediator.people.ladder import Answered, Ladder, Nobody, Up
from remediator.people.messages import Message, main_message, section
from remediator.people.others import letter, status_of, status_update, webhook_event
from remediator.people.outbox_rows import OutboxMessage
from remediator.people.routes import Routes, chat_message, page_message, page_once
from remediator.people.story import Story
from remediator.people.tickets import ticket
from remediator.people.wording import clock, first_line

GLYPH = "⏫"
LOW: pages.Severity = "warning"
"""A service with dynamic urgency does not ring loudly for it."""
SAY_SO = Climb(after=timedelta(0), to=(Destination("channel"),))
"""All that is left when the last rung cannot arrive."""
CHANNEL_NAME_LIMIT = 80
TOPIC_LIMIT = 250


@dataclass(slots=True)
class _Rung:
    """What one rung comes to, gathered place by place."""

    ladder: Ladder
    story: Story
    routes: Routes
    incident: IncidentChannel
    once: str
    first: bool
    note: str
    mentions: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Slack channels that get a new message."""
    messages: list[OutboxMessage] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    channels: list[str] = field(default_factory=list)
    services: list[str] = field(default_factory=list)

    def add(self, where: Destination) -> None:
        _PLACES[where.kind](self, where)

    def page(self, where: Destination) -> None:
        service = where.name or self.routes.pagerduty.service(self.story)
        if not service:
            self.channel(where)  # nobody's pager: whoever is mentioned there is who can be called
            return
        if self.first and not where.name and self.routes.pagerduty.rings(self.story):
            self.calls.append(page_once(service, self.story))  # the routes have just called
            return
        event = pages.trigger_event(self.story)
        said = {**event["payload"]["custom_details"], "escalation": self.note}
        event["payload"] = {**event["payload"], "custom_details": said, **({"severity": LOW} if where.low else {})}
        self.services.append(service)
        if self.ladder.round and self.ladder.climbed == 1:
            # Somebody has answered: his incident is silent, whatever comes in, until it is opened anew.
            anew = f"{self.once}/{where.kind}:{service}/anew"
            self.messages.append(page_message(service, self.story, pages.resolve_event(self.story), once=anew))
        self._called(page_message(service, self.story, event, once=f"{self.once}/{where.kind}:{service}"))

    def channel(self, where: Destination) -> None:
        if self.first:
            return  # the routes have just told it
        for channel, people in self.routes.slack.channels(self.story).items():
            self._mention(channel, people)

    def slack(self, where: Destination) -> None:
        """A group is called in the channels of the story; a channel or a member gets a message of its own."""
        if where.name.startswith("S"):
            for channel in self.routes.slack.channels(self.story):
                self._mention(channel, (where.name,))
                self.calls.append(f"{self.once}/{channel}")
            return
        self._mention(where.name, ())
        self.channels.append(where.name)
        if where.person:
            self.calls.append(f"{self.once}/{where.name}")

    def _mention(self, channel: str, people: Iterable[str]) -> None:
        self.mentions[channel] = tuple(dict.fromkeys((*self.mentions.get(channel, ()), *people)))

    def apprise(self, where: Destination) -> None:
        self._called(self._row("apprise", where, "post", letter(self.story)))

    def webhook(self, where: Destination) -> None:
        self.messages.append(self._row("webhook", where, "event", webhook_event(self.story, "state")))

    def ticket(self, where: Destination) -> None:
        """The same one that a route would open."""
        key = f"ticket/{where.name}/{self.story.episode_id}"
        opening = OutboxMessage(
            channel="ticket",
            destination=where.name,
            key=key,
            kind="post",
            payload=ticket(self.story),
            once=f"{key}/open",
        )
        self.messages.append(opening)

    def incident_channel(self, where: Destination) -> None:
        self.messages.append(incident_channel(self.ladder, self.story, self.incident))

    def status_page(self, where: Destination) -> None:
        """Its words follow the story: see `status_messages`."""

    def _row(self, channel: str, where: Destination, kind: Any, payload: Mapping[str, Any]) -> OutboxMessage:
        return OutboxMessage(
            channel=channel,
            destination=where.name,
            key=f"{channel}/{where.name}/{self.story.episode_id}",
            kind=kind,
            payload=payload,
            once=f"{self.once}/{where.text}",
        )

    def _called(self, message: OutboxMessage) -> None:
        self.messages.append(message)
        self.calls.append(message.once)

    def chat(self) -> list[OutboxMessage]:
        return [
            chat_message(
                channel, self.story, "post", main_message(self.story, mentions=people), once=f"{self.once}/{channel}"
            )
            for channel, people in self.mentions.items()
        ]


_PLACES = {
    "page": _Rung.page,
    "pagerduty": _Rung.page,
    "channel": _Rung.channel,
    "slack": _Rung.slack,
    "apprise": _Rung.apprise,
    "webhook": _Rung.webhook,
    "ticket": _Rung.ticket,
    "incident_channel": _Rung.incident_channel,
    "status_page": _Rung.status_page,
}


def climb_messages(
    ladder: Ladder, move: Up | Nobody, story: Story, routes: Routes, incident: IncidentChannel | None = None
) -> tuple[Ladder, tuple[OutboxMessage, ...]]:
    """The calls of the rung that `ladder` has just climbed, and the ladder that knows of them."""
    count = len(ladder.rungs)
    climb = ladder.rungs[ladder.climbed - 1] if ladder.climbed <= count else SAY_SO
    once = f"escalation/{ladder.id}/{ladder.round}/{ladder.climbed}"
    note = _note(ladder, move, climb, story)
    first = ladder.climbed == 1 and move == Up(why="begun") and not ladder.untold
    rung = _Rung(
        ladder=ladder,
        story=story,
        routes=routes,
        incident=incident or IncidentChannel(),
        once=once,
        first=first,
        note=note,
    )
    for where in climb.to:
        rung.add(where)
    pages_named = [w.name for w in climb.to if w.kind == "status_page"]
    after = replace(
        ladder,
        calls=tuple(dict.fromkeys(rung.calls)),
        channels=tuple(dict.fromkeys((*ladder.channels, *rung.channels))),
        services=tuple(dict.fromkeys((*ladder.services, *rung.services))),
        status_page=pages_named[0] if pages_named else ladder.status_page,
    )
    posts = rung.chat()
    said = () if first else _lines(after, story, routes, note, f"{once}/said")
    return after, (*posts, *rung.messages, *said)


def _note(ladder: Ladder, move: Up | Nobody, climb: Climb, story: Story) -> str:
    if isinstance(move, Nobody):
        return "Nobody could be reached: every call of the last rung was refused. Please find somebody."
    called = ", ".join(where.text for where in climb.to)
    why = {
        "begun": "a person is needed",
        "time": f"nobody has answered since {clock(ladder.opened_at, story.now)}",
        "question": "nobody has answered, and the time to approve is running out",
        "dead": "the calls before could not be delivered",
    }[move.why]
    return f"Rung {ladder.climbed} of {len(ladder.rungs)}: {why}. Called now: {called}."


def answered_messages(ladder: Ladder, move: Answered, story: Story, routes: Routes) -> tuple[OutboxMessage, ...]:
    """That the calling stops; only where more than the first rung has been called."""
    if ladder.climbed < 2:
        return ()
    once = f"escalation/{ladder.id}/{ladder.round}/answered"
    waited = about(story.now - ladder.opened_at)
    return _lines(ladder, story, routes, f"{move.who} has it, {waited} after it began: nobody else is called.", once)


def over_messages(ladder: Ladder, story: Story) -> tuple[OutboxMessage, ...]:
    """The incidents of services that only the ladder called."""
    resolve = pages.resolve_event(story)
    return tuple(page_message(service, story, resolve) for service in ladder.services)


def status_messages(ladder: Ladder, story: Story) -> tuple[Ladder, tuple[OutboxMessage, ...]]:
    """What the status page should say by now, if that is something else than before."""
    word = status_of(story)
    if not ladder.status_page or word == ladder.status:
        return ladder, ()
    return replace(ladder, status=word), (status_update(story, ladder.status_page),)


def _lines(ladder: Ladder, story: Story, routes: Routes, text: str, once: str) -> tuple[OutboxMessage, ...]:
    """One line in every thread of the story."""
    line = f"{GLYPH} {markup.prose(text, 600)}"
    said = Message(markup.prose(f"{GLYPH} {text} {first_line(story)}", 1000), (section(line),))
    channels = dict.fromkeys((*routes.slack.channels(story), *ladder.channels))
    return tuple(chat_message(channel, story, "reply", said, once=f"{once}/{channel}") for channel in channels)


def incident_channel(ladder: Ladder, story: Story, incident: IncidentChannel) -> OutboxMessage:
    """A channel to be made, once for the ladder: `name`, `topic`, `invite`, and its first message."""
    line = f"{markup.prose(first_line(story), 600)}. Everything about this incident is told here."
    message = Message(markup.prose(first_line(story), 1000), (section(line),))
    return OutboxMessage(
        channel="slack_channel",
        destination="incidents",
        key=incident_channel_key(ladder),
        kind="post",
        payload={
            "name": channel_name(incident.prefix, story, ladder.opened_at),
            "topic": markup.plain_words(f"{first_line(story)} [{story.cluster}]", TOPIC_LIMIT),
            "invite": list(incident.invite),
            "text": message.text,
            "blocks": list(message.blocks),
        },
        once=f"escalation/{ladder.id}/incident-channel",
    )


def incident_channel_key(ladder: Ladder) -> str:
    """Under which the outbox keeps where it is."""
    return f"slack_channel/{ladder.id}"


def channel_name(prefix: str, story: Story, at: datetime) -> str:
    """`inc-20250602-checkout-81aa03`: lower case, digits and hyphens, at most 80 characters."""
    target = story.target.rpartition("/")[2]
    words = f"{prefix}-{at:%Y%m%d}-{target}"[: CHANNEL_NAME_LIMIT - 12]
    tail = story.episode_id[-8:]
    return "-".join(filter(None, _slug(f"{words}-{tail}").split("-")))


def _slug(text: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in text.lower())
