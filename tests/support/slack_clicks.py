"""People who click, type commands and fill in dialogs: what Slack then sends to the app, signed, over HTTP or a socket.

slack.request_url = "http://127.0.0.1:8080/webhooks/slack"
await slack.click("U0ANN", message, "remediator_approve")
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlencode

import aiohttp

from tests.support import slack_sockets
from tests.support.slack_base import APP_ID, OPS, TEAM_ID
from tests.support.slack_sockets import Kind, Reply, SlackSockets
from tests.support.slack_views import FakeView, SlackViews


class Clicked(Protocol):
    """A message as far as a click needs it."""

    @property
    def channel(self) -> str: ...

    @property
    def ts(self) -> str: ...

    @property
    def blocks(self) -> Sequence[Mapping[str, Any]]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SentRequest:
    """One request exactly as it went out, to be sent again."""

    headers: Mapping[str, str]
    body: bytes


class SlackClicks(SlackViews, SlackSockets):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.request_url = ""
        self.sent: list[SentRequest] = []
        self._session: aiohttp.ClientSession | None = None

    async def __aexit__(self, *exc: object) -> None:
        if self._session:
            await self._session.close()
        await super().__aexit__(*exc)

    # What people do ---------------------------------------------------------------------------------------------------

    async def click(self, user: str, message: Clicked, action_id: str, *, option: str = "", **how: Any) -> Reply:
        """On the button as the message shows it now. `option`: the end of the chosen option's value."""
        return await self.deliver("interactive", self.click_payload(user, message, action_id, option=option, **how))

    def click_payload(
        self,
        user: str,
        message: Clicked,
        action_id: str,
        *,
        option: str = "",
        element: Mapping[str, Any] | None = None,
        team: str = TEAM_ID,
        home_team: str = "",
        app_id: str = APP_ID,
    ) -> dict[str, Any]:
        found = element or self.element(message.blocks, action_id)
        return {
            "type": "block_actions",
            **self._who(user, team, home_team, app_id),
            "container": {"type": "message", "message_ts": message.ts, "channel_id": message.channel},
            "channel": {"id": message.channel, "name": "somewhere"},
            "message": {"ts": message.ts, "text": "whatever it says", "user": "U0BOT"},
            "response_url": self.give_response_url(user, message.channel),
            "actions": [self._action(found, option)],
        }

    async def click_home(self, user: str, action_id: str, *, element: Mapping[str, Any] | None = None) -> Reply:
        """On a button of the App Home."""
        found = element or self.element(self.homes[user]["blocks"], action_id)
        return await self._click_view(user, {"id": "V0HOME", "type": "home", "hash": "1"}, found)

    async def click_dialog(
        self, user: str, view: FakeView, action_id: str, *, element: Mapping[str, Any] | None = None
    ) -> Reply:
        """On a button in an open dialog."""
        found = element or self.element(view.content["blocks"], action_id)
        shown = {k: v for k, v in view.content.items() if k in ("type", "callback_id", "private_metadata")}
        return await self._click_view(user, {"id": view.id, "hash": view.hash, **shown}, found)

    async def _click_view(self, user: str, view: Mapping[str, Any], element: Mapping[str, Any]) -> Reply:
        payload = {
            "type": "block_actions",
            **self._who(user, TEAM_ID, "", APP_ID),
            "container": {"type": "view", "view_id": view["id"]},
            "view": view,
            "actions": [self._action(element, "")],
        }
        return await self.deliver("interactive", payload)

    async def submit(self, user: str, view: FakeView, *, reason: str = "", team: str = TEAM_ID) -> Reply:
        """Fill in a dialog's text and send it; as in Slack's client, what is required cannot be left empty."""
        values: dict[str, Any] = {}
        for block in view.content["blocks"]:
            if block["type"] == "input":
                shortest = block["element"].get("min_length", 1)
                assert block.get("optional") or len(reason) >= shortest, "the client does not let this pass"
                value = {"type": "plain_text_input", "value": reason or None}
                values[block["block_id"]] = {block["element"]["action_id"]: value}
        shown = {k: v for k, v in view.content.items() if k in ("type", "callback_id", "private_metadata", "blocks")}
        payload = {
            "type": "view_submission",
            **self._who(user, team, "", APP_ID),
            "view": {"id": view.id, "hash": view.hash, "state": {"values": values}, **shown},
        }
        reply = await self.deliver("interactive", payload)
        if reply.ok and not reply.body:
            view.open = False
        return reply

    async def command(self, user: str, text: str, *, channel: str = OPS, team: str = TEAM_ID) -> Reply:
        """`/remediator ...`"""
        return await self.deliver(
            "slash_commands",
            {
                "token": "deprecated",
                "team_id": team,
                "channel_id": channel,
                "user_id": user,
                "user_name": "anybody",
                "command": "/remediator",
                "text": text,
                "api_app_id": APP_ID,
                "response_url": self.give_response_url(user, channel),
                "trigger_id": self.give_trigger(user),
            },
        )

    async def open_home(self, user: str, *, event_id: str = "") -> Reply:
        """Look at the app's home tab."""
        event = {"type": "app_home_opened", "user": user, "tab": "home", "channel": "D0"}
        return await self.deliver(
            "events_api",
            {
                "type": "event_callback",
                "team_id": TEAM_ID,
                "api_app_id": APP_ID,
                "event_id": event_id or self.next_id("Ev"),
                "event": event,
            },
        )

    async def verify_url(self) -> Reply:
        return await self._post(*_json_body({"type": "url_verification", "challenge": "3eZbrw1a", "token": "x"}))

    def the_view(self, user: str) -> FakeView:
        """The dialog that somebody looks at."""
        found = [view for view in self.views.values() if view.user == user and view.open]
        assert found, f"{user} sees no dialog"
        return found[-1]

    def elements(self, blocks: Sequence[Mapping[str, Any]], action_id: str) -> list[Mapping[str, Any]]:
        """Buttons and selects of that action."""
        found: list[Mapping[str, Any]] = []
        for block in blocks:
            inside = [*block.get("elements", ()), *([block["accessory"]] if "accessory" in block else [])]
            found += [e for e in inside if isinstance(e, Mapping) and e.get("action_id") == action_id]
        return found

    def element(self, blocks: Sequence[Mapping[str, Any]], action_id: str) -> Mapping[str, Any]:
        found = self.elements(blocks, action_id)
        assert found, f"there is no {action_id} to click"
        return found[0]

    def _who(self, user: str, team: str, home_team: str, app_id: str) -> dict[str, Any]:
        return {
            "api_app_id": app_id,
            "token": "deprecated",
            "team": {"id": team, "domain": "example"},
            "user": {"id": user, "username": "anybody", "name": "anybody", "team_id": home_team or team},
            "trigger_id": self.give_trigger(user),
        }

    def _action(self, element: Mapping[str, Any], option: str) -> dict[str, Any]:
        made = {
            "type": element["type"],
            "action_id": element["action_id"],
            "block_id": "b",
            "action_ts": f"{self._wall():.6f}{self.next_id('')[-4:]}",
        }
        if "value" in element:
            made["value"] = element["value"]
        if "options" in element:
            chosen = [o for o in element["options"] if o["value"].endswith(f"|{option}")]
            assert chosen, f"there is no option {option}"
            made["selected_option"] = chosen[0]
        return made

    # How it gets to the app -------------------------------------------------------------------------------------------

    async def deliver(self, kind: Kind, payload: Mapping[str, Any]) -> Reply:
        if self.request_url:
            return await self._post(*_http_body(kind, payload))
        return await self.send(kind, payload)

    async def replay(self, request: SentRequest) -> Reply:
        """The very same bytes, once more."""
        self._session = self._session or aiohttp.ClientSession()
        try:
            async with (
                asyncio.timeout(slack_sockets.ANSWER_S),
                self._session.post(
                    self.request_url, data=io.BytesIO(request.body), headers=dict(request.headers)
                ) as answer,
            ):
                text = await answer.text()
                return Reply(status=answer.status, body=_read(text))
        except (TimeoutError, aiohttp.ClientError):
            return Reply(status=0)

    async def _post(self, content_type: str, body: bytes) -> Reply:
        timestamp = str(int(self._wall()))
        headers = {
            "Content-Type": content_type,
            "X-Slack-Request-Timestamp": timestamp,
            "X-Slack-Signature": signature(self.secret, timestamp, body),
        }
        self.sent.append(SentRequest(headers=headers, body=body))
        return await self.replay(self.sent[-1])


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """As Slack signs."""
    digest = hmac.new(secret.encode(), f"v0:{timestamp}:".encode() + body, hashlib.sha256)
    return f"v0={digest.hexdigest()}"


def _http_body(kind: Kind, payload: Mapping[str, Any]) -> tuple[str, bytes]:
    if kind == "events_api":
        return _json_body(payload)
    form = payload if kind == "slash_commands" else {"payload": json.dumps(payload)}
    return "application/x-www-form-urlencoded", urlencode(dict(form)).encode()


def _json_body(payload: Mapping[str, Any]) -> tuple[str, bytes]:
    return "application/json", json.dumps(payload).encode()


def _read(text: str) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError:
        return text
