"""What the demo prints: what happens in the cluster, and what people read in chat and on the pager."""

from __future__ import annotations

import itertools
import re
import textwrap
from collections.abc import Mapping

from rich.console import Console

from remediator.objects import Object
from remediator.ports import Clock, MessageRef


class Narrator:
    """Prints the story, with the story's own time."""

    def __init__(self, clock: Clock, console: Console) -> None:
        self._clock = clock
        self._console = console

    def heading(self, text: str) -> None:
        self._console.print()
        self._console.rule(f"[bold]{text}", align="left")

    def happens(self, text: str) -> None:
        """Something in the cluster."""
        self._line("cluster", text, "cyan")

    def says(self, who: str, text: str, style: str) -> None:
        self._line(who, text, style)

    def result(self, text: str, *, good: bool) -> None:
        self._console.print(f"[bold {'green' if good else 'red'}]{'✓' if good else '✗'}[/] {text}", highlight=False)

    def plain(self, text: str = "") -> None:
        self._console.print(text, markup=False, highlight=False)

    def _line(self, who: str, text: str, style: str) -> None:
        head = f"{self._clock.now():%H:%M:%S} "
        width = max(self._console.width - len(head) - 10, 40)
        lines = [part for line in text.splitlines() for part in (textwrap.wrap(line, width) or [""])]
        for index, line in enumerate(lines):
            self._console.print(head if index == 0 else " " * len(head), style="dim", end="", highlight=False)
            self._console.print(f"{who if index == 0 else '':<9}", style=style, end="", highlight=False)
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)


class PrintedChat:
    """The `Chat` port on the terminal. A changed message is told only where its first line is news."""

    def __init__(self, narrator: Narrator) -> None:
        self._narrator = narrator
        self._numbers = itertools.count(1)
        self._first_lines: dict[str, str] = {}

    async def post(self, channel: str, text: str, blocks: tuple[Object, ...], *, thread: str = "") -> MessageRef:
        ts = f"{next(self._numbers)}.0"
        if not thread:
            self._first_lines[ts] = text.partition("\n")[0]
        if thread:
            self._narrator.says("  thread", plain(text, blocks), "dim magenta")
        else:
            self._narrator.says("#ops", plain(text, blocks), "magenta")
        return MessageRef(channel, ts)

    async def update(self, ref: MessageRef, text: str, blocks: tuple[Object, ...]) -> None:
        first = text.partition("\n")[0]
        if self._first_lines.get(ref.ts) != first:
            self._first_lines[ref.ts] = first
            self._narrator.says("#ops ✎", unescape(first), "magenta")


def plain(text: str, blocks: tuple[Object, ...]) -> str:
    """The words of a Block Kit message, without its markup."""
    lines: list[str] = []
    for block in blocks:
        texts = [block.get("text"), *(block.get("fields") or ()), *(block.get("elements") or ())]
        for found in texts:
            if isinstance(found, Mapping) and isinstance(found.get("text"), str):
                lines += [unescape(line) for line in found["text"].splitlines() if line.strip()]
    return "\n".join(lines) or unescape(text)


def unescape(text: str) -> str:
    """Slack's markup as plain words."""
    text = re.sub(r"<!date[^|>]*\|([^>]+)>", r"\1", text)
    text = re.sub(r"<([^|>]+)\|([^>]+)>", r"\2 (\1)", text).replace("```", "").replace("`", "").replace("*", "")
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


class PrintedPager:
    """The `Pager` port on the terminal, and the timeline of changes beside it."""

    def __init__(self, narrator: Narrator) -> None:
        self._narrator = narrator

    async def send(self, event: Mapping[str, object]) -> None:
        payload = event.get("payload")
        summary = payload.get("summary", "") if isinstance(payload, Mapping) else ""
        self._narrator.says("pager", f"{event['event_action']}: {summary or event['dedup_key']}", "bold red")

    async def send_change(self, event: Mapping[str, object]) -> None:
        payload = event.get("payload")
        summary = payload.get("summary", "") if isinstance(payload, Mapping) else ""
        self._narrator.says("pager", f"recent change: {summary}", "dim red")
