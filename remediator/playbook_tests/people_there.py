"""Chat and pager of a story: they keep what they were told, and may be down."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping

from remediator.objects import Object
from remediator.playbook_tests.record import Record, Said
from remediator.ports import ChatError, MessageRef

CHANNEL, SERVICE = "C0TEST", "on-call"


class Listeners:
    """`Chat` and `Pager` at once, so that one record has everything in its order."""

    def __init__(self, record: Record, now: Callable[[], float]) -> None:
        self._record, self._now = record, now
        self._numbers = itertools.count(1)
        self._first: dict[str, str] = {}
        self._open: set[str] = set()
        """Keys of the pager's incidents."""
        self.down: set[str] = set()
        """Of `chat` and `pager`."""

    async def post(self, channel: str, text: str, blocks: tuple[Object, ...], *, thread: str = "") -> MessageRef:
        self._answer("chat")
        ts = f"{next(self._numbers)}.0"
        self._hear(thread or ts, text, blocks, reply=bool(thread))
        return MessageRef(channel, ts)

    async def update(self, ref: MessageRef, text: str, blocks: tuple[Object, ...]) -> None:
        self._answer("chat")
        self._hear(ref.ts, text, blocks)

    async def send(self, event: Mapping[str, object]) -> None:
        self._answer("pager")
        key = str(event["dedup_key"])
        if event["event_action"] == "trigger":
            self._open.add(key)
        elif key not in self._open:
            return  # a pager drops what it has no incident for
        payload = event.get("payload")
        summary = str(payload.get("summary", "")) if isinstance(payload, Mapping) else ""
        said = f"{event['event_action']}: {summary}".removesuffix(": ")
        self._record.said.append(Said(at=self._now(), to="pager", text=f"{said}\n{_words(event)}"))
        self._record.line(self._now(), "pager", said)

    async def send_change(self, event: Mapping[str, object]) -> None:
        """Beside the incident, for whoever looks later: nobody reads it in a story."""
        self._answer("pager")

    def _hear(self, key: str, text: str, blocks: tuple[Object, ...], *, reply: bool = False) -> None:
        words = "\n".join(dict.fromkeys((_plain(text), *map(_plain, _texts(list(blocks))))))
        self._record.said.append(Said(at=self._now(), to="chat", text=words))
        first = _plain(text).partition("\n")[0]
        if self._first.get(key) != first:
            self._first[key] = first
            self._record.line(self._now(), "chat", first)

    def _answer(self, which: str) -> None:
        if which in self.down:
            raise ChatError(f"the test says that {which} is down", retry_after_s=5.0)


class Reach:
    """The port `Reachable` of one of them."""

    def __init__(self, listeners: Listeners, which: str) -> None:
        self._listeners, self._which = listeners, which

    async def probe(self) -> None:
        if self._which in self._listeners.down:
            raise ChatError(f"the test says that {self._which} is down")


def _texts(value: object) -> list[str]:
    """Every text of a Block Kit message, in order."""
    if isinstance(value, list | tuple):
        return [text for inner in value for text in _texts(inner)]
    if not isinstance(value, Mapping):
        return []
    own = [value["text"]] if isinstance(value.get("text"), str) else []
    return [*own, *(text for inner in value.values() for text in _texts(inner))]


def _words(value: object) -> str:
    """Every text of a pager's event."""
    if isinstance(value, Mapping):
        return "\n".join(_words(inner) for inner in value.values())
    if isinstance(value, list | tuple):
        return "\n".join(map(_words, value))
    return str(value)


def _plain(text: str) -> str:
    """Slack's markup as plain words."""
    text = re.sub(r"<!date[^|>]*\|([^>]+)>", r"\1", text)
    text = re.sub(r"<([^|>]+)\|([^>]+)>", r"\2", text).replace("```", "").replace("`", "").replace("*", "")
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
