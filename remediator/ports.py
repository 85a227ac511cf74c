"""What the core needs from the outside, in our own words.

Each port has an adapter for the real thing and an in-memory one; both pass one shared contract suite. Reads raise
`ReadError`s, writes raise `EffectError`s, the journal raises `JournalUnavailable`: nothing else crosses these lines.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from remediator.objects import Object, ObjectRef

FIELD_MANAGER = "remediator"
"""Our name in managedFields. Flux takes back fields of managers that begin with `kubectl`."""

MARKER = "remediator.dev/effect"
"""Annotation that every patch of ours carries: the id of the effect, the proof that it happened."""

ABANDONED = "remediator.dev/abandoned"
"""Annotation whose preconditioned write moves the resourceVersion, so that an unanswered write can never land later."""

MADE_BY = "remediator.dev/remediation"
"""Label of everything that we create: the id of the remediation. Clean-ups leave it alone for a day."""

Found = Literal["happened", "never", "unknown"]
"""What became of a request that was not answered."""

Verb = Literal["patch", "create", "delete", "evict", "call"]


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """One request that alters the world, exactly as it goes on the wire.

    `body` is the bytes that were recorded in the attempt row. Content types: `application/merge-patch+json`,
    `application/json-patch+json`, `application/strategic-merge-patch+json`, or `application/json`.
    The fieldManager and, for a rehearsal, dryRun are added by the adapter (for delete and evict inside the body:
    options in the query are ignored by the API server as soon as there is a body). `subresource` is for patches.
    A `call` never goes to the API server: `ref` is the object that it is about, `body` is for a `Caller`.
    """

    verb: Verb
    ref: ObjectRef
    content_type: str
    body: bytes
    subresource: str = ""


@dataclass(frozen=True, slots=True)
class ObjectList:
    """A list answer; `resource_version` is where a watch continues."""

    items: tuple[Object, ...]
    resource_version: str


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """`ADDED`, `MODIFIED` or `DELETED` with the object. Bookmarks are swallowed by the adapter."""

    type: Literal["ADDED", "MODIFIED", "DELETED"]
    object: Object


class Cluster(Protocol):
    """One Kubernetes API server. Every call has a timeout; no call is retried for a write."""

    @property
    def name(self) -> str: ...

    async def get(self, ref: ObjectRef) -> Object:
        """A consistent read (no resourceVersion). The object always carries `kind` and `apiVersion`.

        Raises: NotFound, Forbidden, CannotSee.
        """
        ...

    async def list(self, kind: str, namespace: str = "", *, labels: str = "", fields: str = "") -> ObjectList:
        """All objects of a kind, all pages, consistent. Empty namespace = all namespaces. `labels`/`fields` are
        selectors
        in API syntax. Each item carries `kind` and `apiVersion`. Raises: Forbidden, CannotSee, NotFound (unknown kind).
        """
        ...

    def watch(self, kind: str, namespace: str = "", *, resource_version: str) -> AsyncIterator[WatchEvent]:
        """Changes after `resource_version`; ends when the server closes it. Raises: CannotSee (also 410: list
        again)."""
        ...

    async def write(self, request: WriteRequest, *, dry_run: bool = False) -> Object:
        """Send these bytes once. Returns the object (or the Status) of the answer. Raises: EffectError."""
        ...

    async def logs(
        self, pod: ObjectRef, *, container: str = "", previous: bool = False, lines: int = 100, limit_bytes: int = 65536
    ) -> str:
        """The end of a container's log, undecodable bytes replaced. Raises: NotFound, Forbidden, CannotSee."""
        ...

    async def allowed(self, verb: str, kind: str, namespace: str, *, subresource: str = "", name: str = "") -> bool:
        """Ask the API server whether we may (SelfSubjectAccessReview). Raises: CannotSee."""
        ...

    async def server_time(self) -> datetime:
        """The `Date` of a cheap answer, UTC. Raises: CannotSee."""
        ...

    async def close(self) -> None: ...


class Caller(Protocol):
    """One way to ask and tell something outside the Kubernetes API: SQL, HTTP, exec, helm.

    `place` is a name of the operator's configuration (or of a pod, for exec), never an address from a playbook.
    Nothing here retries what it sends.
    """

    async def ask(self, place: str, request: Mapping[str, Any]) -> Any:
        """A question that changes nothing; JSON. Raises: CannotSee, Forbidden, NotFound."""
        ...

    async def rehearse(self, place: str, request: Mapping[str, Any]) -> str:
        """Let the other side say what it thinks of this without doing it; a note for people, empty where it cannot.

        Raises: Refused (it would not do it), ReadError.
        """
        ...

    async def send(self, place: str, request: Mapping[str, Any], *, key: str) -> Mapping[str, Any]:
        """Do it, once. `key` is the effect's own: an idempotency key where the other side takes one.

        Returns what it said, bounded and without secrets, as JSON. Raises: Refused, Unavailable (nothing was sent or
        done), Conflict, TargetGone, Uncertain (sent, and no clear answer).
        """
        ...

    async def find(self, place: str, request: Mapping[str, Any], *, key: str) -> Found:
        """What became of a request that was not answered. Raises: ReadError."""
        ...

    async def close(self) -> None: ...


Callers = Mapping[str, Mapping[str, Caller]]
"""By cluster, then by what a `Call` says in `via`."""

_SECTIONS = {
    "sql": "outside.databases",
    "http": "outside.endpoints",
    "forge": "outside.forges",
    "vault": "outside.vaults",
}


def section_of(via: str) -> str:
    """Where the configuration names what is called by `via`, for people."""
    return "alertmanager" if via == "alertmanager" else _SECTIONS.get(via, f"outside.{via}")


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of an instant vector. `value` may be NaN or infinite: callers decide explicitly."""

    labels: Mapping[str, str]
    value: float
    at: datetime


@dataclass(frozen=True, slots=True)
class Series:
    """One series of a range query: (time, value) pairs, oldest first."""

    labels: Mapping[str, str]
    points: tuple[tuple[datetime, float], ...]


@dataclass(frozen=True, slots=True)
class AlertRule:
    """One alerting rule of Prometheus' rules API. Durations in seconds."""

    name: str
    query: str
    for_s: float = 0.0
    keep_firing_for_s: float = 0.0
    interval_s: float = 60.0
    last_evaluation: datetime | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


class Queries(Protocol):
    """PromQL. An answer with warnings may be partial and is CannotSee; an empty vector is an answer."""

    async def instant(self, query: str) -> tuple[Sample, ...]:
        """Raises: CannotSee."""
        ...

    async def range(self, query: str, *, start: datetime, end: datetime, step_s: float) -> tuple[Series, ...]:
        """Raises: CannotSee."""
        ...

    async def rules(self, alertname: str) -> tuple[AlertRule, ...]:
        """Alerting rules of that name. Raises: CannotSee."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Silence:
    """An active silence in Alertmanager."""

    id: str
    created_by: str
    comment: str
    ends_at: datetime
    matchers: tuple[str, ...] = ()
    """In Alertmanager matcher syntax, all must hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRecord:
    """One change as its system has it. `ready`: approved, and in a state in which work is done. Times in UTC."""

    number: str
    found: bool
    state: str = ""
    """For people: `scheduled`."""
    ready: bool = False
    starts_at: datetime | None = None
    ends_at: datetime | None = None


class ChangeRecords(Protocol):
    """Changes that people have planned and approved elsewhere."""

    async def change(self, number: str) -> ChangeRecord:
        """Raises: CannotSee."""
        ...

    async def close(self) -> None: ...


class Silences(Protocol):
    """What people have silenced in Alertmanager."""

    async def active(self) -> tuple[Silence, ...]:
        """All active silences. Raises: CannotSee."""
        ...

    async def close(self) -> None: ...


class Clock(Protocol):
    """Wall time for records, boot time for durations (it also runs while the machine sleeps)."""

    def now(self) -> datetime:
        """Aware, UTC."""
        ...

    def boot(self) -> float:
        """Seconds since boot, suspend included."""
        ...

    async def sleep(self, seconds: float) -> None: ...


@dataclass(frozen=True, slots=True)
class MessageRef:
    """Where a chat message is: Slack's channel ID and ts."""

    channel: str
    ts: str


class ChatError(Exception):
    """A chat, pager or other message was not delivered. `retry_after_s` None = permanent, do not try again.

    `unanswered`: nobody knows whether it arrived, and it may still do so later.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None, unanswered: bool = False) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.unanswered = unanswered


class Chat(Protocol):
    """Slack, or something that looks like it. `text` is the fallback; `blocks` is Block Kit JSON."""

    async def post(self, channel: str, text: str, blocks: tuple[Object, ...], *, thread: str = "") -> MessageRef:
        """Raises: ChatError."""
        ...

    async def update(self, ref: MessageRef, text: str, blocks: tuple[Object, ...]) -> None:
        """Raises: ChatError."""
        ...


class ChatFiles(Protocol):
    """Files in a chat."""

    async def upload(
        self, channel: str, *, thread: str = "", filename: str, title: str, alt: str, content: bytes, comment: str = ""
    ) -> None:
        """Into a channel or a thread; `alt` describes an image, `comment` is the text above it. Raises: ChatError."""
        ...


class ChatChannels(Protocol):
    """Channels of our own, for an incident."""

    async def open_channel(self, name: str, *, topic: str = "", invite: Sequence[str] = ()) -> str:
        """The id of the channel of that name, made when there is none; people (user ids) are invited, the topic is set.

        Said again, it is the same channel. Raises: ChatError.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatMember:
    """What the workspace says of an account. Everything unknown reads as the worse: see `may_act`."""

    id: str
    team: str
    name: str
    email: str = ""
    deleted: bool
    bot: bool
    guest: bool
    """A single- or multi-channel guest, or somebody of another organisation."""
    enterprise: str = ""
    """The enterprise grid that the account belongs to, where the workspace says so."""

    @property
    def may_act(self) -> bool:
        """A full member who is still there."""
        return not (self.deleted or self.bot or self.guest)


class ChatDirectory(Protocol):
    """Who is who in the chat. Nothing is cached here."""

    async def member(self, user: str) -> ChatMember | None:
        """By user id. None when there is no such account. Raises: ChatError."""
        ...

    async def member_by_email(self, email: str) -> ChatMember | None:
        """Raises: ChatError."""
        ...

    async def groups(self) -> Mapping[str, str]:
        """Handle (without `@`) to id of every user group that is in use. Raises: ChatError."""
        ...

    async def group_members(self, group: str) -> frozenset[str]:
        """User ids of a group, by its id. Raises: ChatError, also when there is no such group."""
        ...


class ChatViews(Protocol):
    """What only one person sees."""

    async def open_view(self, trigger: str, view: Object) -> str:
        """A modal; `trigger` lives for three seconds. Returns the view's id. Raises: ChatError."""
        ...

    async def update_view(self, view_id: str, view: Object) -> None:
        """Raises: ChatError."""
        ...

    async def publish_home(self, user: str, view: Object) -> None:
        """The App Home of a user. Raises: ChatError."""
        ...

    async def whisper(
        self, channel: str, user: str, text: str, blocks: tuple[Object, ...] = (), *, thread: str = ""
    ) -> None:
        """An ephemeral message. Raises: ChatError."""
        ...

    async def respond(self, response_url: str, message: Object) -> None:
        """To the `response_url` of a click or a command, at most five times in 30 minutes. Raises: ChatError."""
        ...


class Pager(Protocol):
    """PagerDuty Events v2, one incident per dedup key."""

    async def send(self, event: Mapping[str, object]) -> None:
        """`event` without routing_key: event_action, dedup_key, payload, links. Raises: ChatError."""
        ...


class Reachable(Protocol):
    """A way to people that can be tried without disturbing anybody."""

    async def probe(self) -> None:
        """Raises: ChatError when it does not answer, or does not take our credentials."""
        ...
