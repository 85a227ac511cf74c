"""Pacing: each limit of a service is a lane that takes one call at a time and then rests. In memory only: losing it
costs at most a 429."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from remediator.people.carrier import Lanes

MOST = 1000
"""Lanes at rest, before those that are rested are forgotten."""


@dataclass(frozen=True, slots=True)
class _Rest:
    """A lane that is left alone until then. `since` shows a wall clock that was set back."""

    since: datetime
    until: datetime


class Traffic:
    """The lanes of all channels."""

    def __init__(self) -> None:
        self._busy: set[str] = set()
        self._rests: dict[str, _Rest] = {}
        self._limited: dict[str, tuple[str, datetime]] = {}
        """Wide lane -> the narrow one below it that was told to wait, and until when."""

    def enter(self, lanes: Lanes, now: datetime) -> bool:
        """Take all of these lanes, or none."""
        if any(name in self._busy or self._rest(name, now) for name in lanes):
            return False
        self._busy.update(name for name, gap in lanes.items() if gap)
        return True

    def leave(self, lanes: Lanes, now: datetime) -> None:
        """The call is over. The gap counts from here: when within the call the service counted it, nobody knows."""
        for name, gap in lanes.items():
            self._busy.discard(name)
            self._extend(name, now, gap)

    def slow_down(self, lanes: Lanes, wait: timedelta, now: datetime) -> None:
        """The service asked for a break. It does not say which limit was meant: the narrowest lane is, unless another
        narrow one beside it is under the same order already; then it was the next wider one."""
        narrow, *wider = lanes
        self._extend(narrow, now, wait)
        if wider:
            wide, until = wider[0], now + wait
            beside, told_until = self._limited.get(wide, (narrow, now))
            if beside != narrow and told_until > now:
                self._extend(wide, now, wait)
            self._limited[wide] = (narrow, until)

    def next_free(self, names: Iterable[str], now: datetime) -> datetime | None:
        """When the first of these lanes that rests is free again."""
        return min((rest.until for name in names if (rest := self._rest(name, now))), default=None)

    def _rest(self, name: str, now: datetime) -> _Rest | None:
        rest = self._rests.get(name)
        if rest is not None and not rest.since <= now < rest.until:
            del self._rests[name]
            return None
        return rest

    def _extend(self, name: str, now: datetime, wait: timedelta) -> None:
        rest = self._rest(name, now)
        if wait and (rest is None or rest.until < now + wait):
            self._rests[name] = _Rest(now, now + wait)
            if len(self._rests) > MOST:  # each incident has lanes of its own
                for known in tuple(self._rests):
                    self._rest(known, now)
