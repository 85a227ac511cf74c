"""Who may do what with the API: viewer < operator (pause) < approver < admin."""

from __future__ import annotations

from typing import Literal

from aiohttp import web

from remediator.http.answers import Handler, Unauthorized
from remediator.http.auth import User, Users
from remediator.service import NotAllowed

Role = Literal["viewer", "operator", "approver", "admin"]
USER: web.RequestKey[User] = web.RequestKey("user", User)


class Access:
    """Wraps handlers so that they run only for users of a role; they find the user in `request[USER]`."""

    def __init__(self, users: Users) -> None:
        self._users = users

    def needs(self, role: Role, handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            request[USER] = self._user(request, role)
            return await handler(request)

        return guarded

    def _user(self, request: web.Request, role: Role) -> User:
        """Raises: Unauthorized, NotAllowed."""
        user = self._users.find(request.headers.get("Authorization", ""))
        if user is None:
            raise Unauthorized("no valid API token" if self._users else "no API token is configured, see `api:`")
        if not user.may(role):
            raise NotAllowed(f"this needs the role {role}, {user.name} is {user.role}", advice="Use another token.")
        return user
