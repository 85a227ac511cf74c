"""What Slack's payloads say, as one value of ours. Pure, and suspicious: every text is checked and bounded.

Only ids are read, never names, and nothing of a message but where it is. Shapes: block_actions, view_submission,
slash command, Events API callback; the same whether they come over HTTP or a socket.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from remediator.people.buttons import REASON, read_origin

Kind = Literal["button", "dialog", "command", "home"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Envelope = Literal["interactive", "slash_commands", "events_api"]
"""How Slack calls the three ways in (its Socket Mode does; over HTTP they differ in shape)."""

VALUE_LIMIT = 2000
TEXT_LIMIT = 3000


class Unreadable(ValueError):
    """It is not what Slack sends, or it is for another app."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Click:
    """One thing that one person did. Ids are Slack's; what is not there is empty.

    `key` is the same for every copy of it. `trigger` opens one dialog within three seconds; it is never stored.
    """

    kind: Kind
    key: str
    user: str
    team: str
    """The workspace it was done in."""
    enterprise: str = ""
    home_team: str = ""
    """The workspace that the person belongs to, where Slack says so."""
    action: str = ""
    """A button's `action_id`, a dialog's `callback_id`."""
    value: str = ""
    """A button's value or a chosen option's, a dialog's `private_metadata`, a command's text."""
    reason: str = ""
    """What was typed into a dialog."""
    channel: str = ""
    ts: str = ""
    """Of the message that the button stands in, or that its dialog was opened from; empty in the home tab."""
    response_url: str = ""
    trigger: str = ""
    view: str = ""
    """The dialog that it was clicked in, or that was opened for it and is to be filled."""
    no_dialog: bool = False
    """A dialog should have been opened, but was not."""

    def stored(self) -> dict[str, Any]:
        """JSON, without what is worth nothing a moment later."""
        return {**asdict(self), "trigger": ""}


_FIELDS = {field.name for field in fields(Click)}


def restored(body: Any) -> Click:
    """The inverse of `stored`. Raises: Unreadable."""
    if not isinstance(body, Mapping):
        raise Unreadable("not a click")
    try:
        click = Click(**{name: value for name, value in body.items() if name in _FIELDS})
    except TypeError as exc:
        raise Unreadable("not a click") from exc
    texts = [getattr(click, name) for name in _FIELDS if name != "no_dialog"]
    if not all(isinstance(text, str) and len(text) <= TEXT_LIMIT for text in texts):
        raise Unreadable("not a click")
    ids = all(_ID.fullmatch(text) for text in (click.user, click.team))
    if not ids or body.get("kind") not in KINDS or body.get("no_dialog") not in (True, False) or not click.key:
        raise Unreadable("not a click")
    return click


def parse(envelope: Envelope, payload: Any, *, app_id: str) -> Click | None:
    """None for what we do not ask for and need not deal with. Raises: Unreadable."""
    if not isinstance(payload, Mapping):
        raise Unreadable("the payload is no object")
    if _text(payload, "api_app_id") != app_id:
        raise Unreadable("it belongs to another app")
    match envelope:
        case "slash_commands":
            return _command(payload)
        case "events_api":
            return _event(payload)
        case "interactive":
            match _text(payload, "type"):
                case "block_actions":
                    return _button(payload)
                case "view_submission":
                    return _dialog(payload)
                case _:
                    return None


def _button(payload: Mapping[str, Any]) -> Click:
    actions = payload.get("actions")
    action = actions[0] if isinstance(actions, list) and actions else None
    if not isinstance(action, Mapping):
        raise Unreadable("actions: empty")
    channel, ts = _id(payload, "container", "channel_id"), _ts(payload, "container", "message_ts")
    place = f"{channel}/{ts}" if ts else f"{_id(payload, 'view', 'id')}/{_text(payload, 'view', 'hash')}"
    origin = read_origin(_text(payload, "view", "private_metadata", limit=TEXT_LIMIT)) if not ts else None
    if origin is not None and origin.message is not None:  # in a dialog that was opened from a message
        channel, ts = origin.message.channel, origin.message.ts
    action_id = _text(action, "action_id")
    value = _text(action, "value", limit=VALUE_LIMIT) or _text(action, "selected_option", "value", limit=VALUE_LIMIT)
    who = _who(payload)
    return Click(
        kind="button",
        key=_key("button", who, place, action_id, _text(action, "action_ts"), value),
        action=action_id,
        value=value,
        channel=channel,
        ts=ts,
        response_url=_text(payload, "response_url", limit=TEXT_LIMIT),
        trigger=_text(payload, "trigger_id"),
        view=_id(payload, "view", "id") if _text(payload, "view", "type") == "modal" else "",
        **who,
    )


def _dialog(payload: Mapping[str, Any]) -> Click:
    who = _who(payload)
    view = _id(payload, "view", "id")
    if not view:
        raise Unreadable("view.id: missing")
    return Click(
        kind="dialog",
        key=_key("dialog", who, view, _text(payload, "view", "hash")),
        action=_text(payload, "view", "callback_id"),
        value=_text(payload, "view", "private_metadata", limit=TEXT_LIMIT),
        reason=_text(payload, "view", "state", "values", REASON, REASON, "value", limit=TEXT_LIMIT),
        trigger=_text(payload, "trigger_id"),
        **who,
    )


def _command(payload: Mapping[str, Any]) -> Click:
    who: dict[str, Any] = {
        "user": _needed(payload, "user_id"),
        "team": _needed(payload, "team_id"),
        "enterprise": _id(payload, "enterprise_id"),
    }
    trigger = _text(payload, "trigger_id")
    if not trigger:
        raise Unreadable("trigger_id: missing")
    return Click(
        kind="command",
        key=_key("command", who, trigger),
        action=_text(payload, "command"),
        value=_text(payload, "text", limit=TEXT_LIMIT),
        channel=_id(payload, "channel_id"),
        response_url=_text(payload, "response_url", limit=TEXT_LIMIT),
        trigger=trigger,
        **who,
    )


def _event(payload: Mapping[str, Any]) -> Click | None:
    if _text(payload, "event", "type") != "app_home_opened" or _text(payload, "event", "tab") != "home":
        return None
    event_id = _id(payload, "event_id")
    who: dict[str, Any] = {
        "user": _needed(payload, "event", "user"),
        "team": _needed(payload, "team_id"),
        "enterprise": _id(payload, "enterprise_id"),
    }
    if not event_id:
        raise Unreadable("event_id: missing")
    return Click(kind="home", key=_key("home", who, event_id), **who)


def _who(payload: Mapping[str, Any]) -> dict[str, Any]:
    """`team` is null where an app is installed for a whole grid; the person's own one stands in."""
    home = _id(payload, "user", "team_id")
    return {
        "user": _needed(payload, "user", "id"),
        "team": _id(payload, "team", "id") or home or _needed(payload, "team", "id"),
        "enterprise": _id(payload, "enterprise", "id"),
        "home_team": home,
    }


def _key(kind: Kind, who: Mapping[str, Any], *parts: str) -> str:
    """Bounded, whatever the parts are."""
    digest = hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:32]
    return f"{kind}/{who['team']}/{who['user']}/{digest}"


_ID = re.compile(r"[A-Za-z0-9]{1,40}")
_TS = re.compile(r"[0-9]{1,12}\.[0-9]{1,8}")


def _text(value: Any, *path: str, limit: int = 255) -> str:
    """The text at a path, cut; empty when there is none, or something else."""
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value[:limit].encode("utf-8", "replace").decode() if isinstance(value, str) else ""  # no lone surrogates


def _id(value: Any, *path: str) -> str:
    """Raises: Unreadable when there is something that cannot be an id."""
    text = _text(value, *path)
    if text and not _ID.fullmatch(text):
        raise Unreadable(f"{'.'.join(path)}: not an id")
    return text


def _needed(value: Any, *path: str) -> str:
    """Raises: Unreadable."""
    text = _id(value, *path)
    if not text:
        raise Unreadable(f"{'.'.join(path)}: missing")
    return text


def _ts(value: Any, *path: str) -> str:
    text = _text(value, *path)
    if text and not _TS.fullmatch(text):
        raise Unreadable(f"{'.'.join(path)}: not a ts")
    return text
