"""Slack's Web API, as the ports Chat, ChatFiles, ChatChannels, ChatDirectory and ChatViews."""

from __future__ import annotations

from remediator.adapters.slack.channels import Channels
from remediator.adapters.slack.client import BASE_URL
from remediator.adapters.slack.directory import Directory
from remediator.adapters.slack.errors import SlackError
from remediator.adapters.slack.files import Files
from remediator.adapters.slack.messages import Messages
from remediator.adapters.slack.views import Views

__all__ = ["BASE_URL", "SlackChat", "SlackError"]


class SlackChat(Messages, Files, Channels, Directory, Views):
    """One workspace. Create it in a running event loop, close it at the end."""
