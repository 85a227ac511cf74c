"""The port `ChatDirectory`. Scopes: `users:read`, `users:read.email`, `usergroups:read` (groups need a paid plan)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from remediator.adapters.slack.client import SlackClient, wanted
from remediator.adapters.slack.errors import SlackError
from remediator.ports import ChatMember

_NOBODY = frozenset({"user_not_found", "users_not_found", "user_not_visible"})


class Directory(SlackClient):
    async def member(self, user: str) -> ChatMember | None:
        """Raises: ChatError."""
        return await self._member("users.info", user=user)

    async def member_by_email(self, email: str) -> ChatMember | None:
        """Raises: ChatError."""
        return await self._member("users.lookupByEmail", email=email)

    async def groups(self) -> Mapping[str, str]:
        """Handle to id, without the disabled ones. Raises: ChatError."""
        found = wanted(await self.call("usergroups.list", include_disabled=False), "usergroups")
        return {str(group["handle"]): str(group["id"]) for group in found if not group.get("date_delete")}

    async def group_members(self, group: str) -> frozenset[str]:
        """Raises: ChatError."""
        return frozenset(map(str, wanted(await self.call("usergroups.users.list", usergroup=group), "users")))

    async def _member(self, method: str, **arguments: str) -> ChatMember | None:
        try:
            user = wanted(await self.call(method, **arguments), "user")
        except SlackError as exc:
            if exc.code in _NOBODY:
                return None
            raise
        return _from_user(user)


def _from_user(user: Mapping[str, Any]) -> ChatMember:
    """What is missing reads as the worse."""
    profile, grid = user.get("profile") or {}, user.get("enterprise_user") or {}
    return ChatMember(
        id=str(wanted(user, "id")),
        team=str(user.get("team_id") or ""),
        name=str(profile.get("display_name") or user.get("real_name") or user.get("name") or ""),
        # Anybody can write an address; it is somebody's once they have answered a message to it.
        email=str(profile.get("email") or "") if user.get("is_email_confirmed") is not False else "",
        deleted=user.get("deleted") is not False,
        bot=user.get("is_bot") is not False or bool(user.get("is_workflow_bot")),
        guest=user.get("is_restricted") is not False
        or user.get("is_ultra_restricted") is not False
        or bool(user.get("is_stranger")),
        enterprise=str(grid.get("enterprise_id") or ""),
    )
