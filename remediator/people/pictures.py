"""A drawn graph as rows of the outbox: a file in the thread of the episode's message, in each of its channels."""

from __future__ import annotations

import base64
from collections.abc import Iterable

from remediator.people import markup
from remediator.people.graph import Graph, described
from remediator.people.outbox_rows import OutboxMessage
from remediator.people.story import Story

MAX_BYTES = 60_000
"""Of one picture, so that rows stay small."""
ALT_LIMIT = 1000


def picture_rows(
    story: Story, graph: Graph, png: bytes, *, name: str, channels: Iterable[str]
) -> tuple[OutboxMessage, ...]:
    """`name` is unique in the remediation (`start-1`, `end-1`): each picture is stored once. None when it is too
    big."""
    if len(png) > MAX_BYTES:
        return ()
    payload = {
        "filename": f"{story.remediation_id}-{name}.png",
        "title": markup.plain_words(graph.title, 150) or "graph",
        "alt": markup.plain_words(described(graph), ALT_LIMIT) or "graph",
        "content_base64": base64.b64encode(png).decode("ascii"),
        # A comment is no block, so addresses in it become links: nothing that came from a label goes into it.
        "text": f"📈 {markup.prose(described(graph, named=False), 1500)}",
    }
    return tuple(
        OutboxMessage(
            channel="slack_file",
            destination=channel,
            key=f"slack/{channel}/{story.episode_id}",
            kind="event",
            payload=payload,
            once=f"slack/{channel}/{story.episode_id}/graph/{story.remediation_id}/{name}",
        )
        for channel in channels
    )
