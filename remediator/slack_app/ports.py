"""What the Slack app asks of Slack."""

from __future__ import annotations

from typing import Protocol

from remediator.ports import Chat, ChatDirectory, ChatViews


class SlackApi(Chat, ChatViews, ChatDirectory, Protocol):
    """One workspace. Every call has a timeout and is made once."""
