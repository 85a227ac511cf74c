"""Everything outside of the cluster that a story has answers for: databases, endpoints, processes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from remediator.adapters.simulated import LoseReply, LoseRequest, Reject, SimulatedCaller
from remediator.adapters.simulated.callers import CallFault
from remediator.errors import CannotSee, Forbidden, Refused, Unavailable
from remediator.playbook_tests.acting import Prepared
from remediator.playbook_tests.times import Moment
from remediator.ports import Found

NOTHING_SAID = "this test says nothing about it"
Told = Callable[[str, str, Mapping[str, Any], str], None]
"""(via, place, request, key) of what was carried out."""


class PreparedCaller(SimulatedCaller):
    """One `via`. `time_of` says when a moment of the story is, None while nobody knows; `unprepared` is told of what
    nothing is said about; `carried_out` of every request that was carried out."""

    def __init__(
        self,
        via: str,
        places: Mapping[str, Sequence[Prepared]],
        *,
        now: Callable[[], float],
        time_of: Callable[[Moment], float | None],
        fill: Callable[[Any], Any],
        unprepared: Callable[[str, str], None],
        carried_out: Told,
    ) -> None:
        super().__init__()
        self._via, self._places = via, places
        self._now, self._time_of, self._fill = now, time_of, fill
        self._unprepared, self._carried_out = unprepared, carried_out
        self._used: dict[int, int] = {}
        self._silent: dict[str, Found] = {}
        """What can be found out about requests without an answer, by key."""

    async def ask(self, place: str, request: Mapping[str, Any]) -> Any:
        self.asked.append((place, copy.deepcopy(dict(request))))
        found = self._choose("ask", place, request)
        if found is None:
            self._unprepared("ask", f"{self._via} {place}: {_short(request)}")
            raise CannotSee(f"{self._via} {place}: {NOTHING_SAID}")
        if found.refuse:
            raise Forbidden(found.refuse)
        if found.silent or found.unavailable:
            raise CannotSee(found.unavailable or f"no answer from {self._via} {place}: by the test")
        return self._fill(found.answer)

    async def rehearse(self, place: str, request: Mapping[str, Any]) -> str:
        found = self._choose("rehearse", place, request)
        if found is None:
            return ""
        if found.refuse:
            raise Refused(found.refuse)
        if found.silent or found.unavailable:
            raise CannotSee(found.unavailable or f"no answer from {self._via} {place}: by the test")
        return str(self._fill(found.answer) or "")

    async def send(self, place: str, request: Mapping[str, Any], *, key: str) -> Mapping[str, Any]:
        found = self._choose("send", place, request)
        if found is None:
            self._unprepared("send", f"{self._via} {place}: {_short(request)}")
            raise Refused(f"{self._via} {place}: {NOTHING_SAID}")
        fault = _fault(found)
        self.faults = [fault] if fault is not None else []
        self.answer = lambda place, request: self._fill(found.answer) if found.answer is not None else {}
        if found.silent:
            self._silent[key] = found.found
        if fault is None or found.silent == "done":
            self._carried_out(self._via, place, request, key)
        return await super().send(place, request, key=key)

    async def find(self, place: str, request: Mapping[str, Any], *, key: str) -> Found:
        return self._silent.get(key, "unknown")

    def _choose(self, kind: str, place: str, request: Mapping[str, Any]) -> Prepared | None:
        fitting = []
        for pattern, prepared in self._places.items():
            for one in prepared if fnmatchcase(place, pattern) else ():
                since = self._time_of(one.since)
                left = one.times is None or self._used.get(id(one), 0) < one.times
                if one.kind == kind and left and since is not None and since <= max(self._now(), 0.0):
                    fitting.append((since, one))
        fitting = [(since, one) for since, one in fitting if holds(getattr(one, kind), request)]
        if not fitting:
            return None
        _, chosen = max(enumerate(fitting), key=lambda item: (item[1][0], item[0]))
        self._used[id(chosen[1])] = self._used.get(id(chosen[1]), 0) + 1
        return chosen[1]


def _fault(prepared: Prepared) -> CallFault | None:
    if prepared.refuse:
        return Reject(Refused(prepared.refuse))
    if prepared.unavailable:
        return Reject(Unavailable(prepared.unavailable))
    return {None: None, "done": LoseReply(), "lost": LoseRequest()}[prepared.silent]


def holds(wanted: Any, value: Any) -> bool:
    """Whether everything that is wanted is there: keys of mappings, whole lists; `*` in a text is any text."""
    if isinstance(wanted, Mapping):
        return isinstance(value, Mapping) and all(k in value and holds(v, value[k]) for k, v in wanted.items())
    if isinstance(wanted, list | tuple):
        same = isinstance(value, list | tuple) and len(wanted) == len(value)
        return same and all(map(holds, wanted, value))
    if isinstance(wanted, str) and isinstance(value, str):
        return wanted == value or fnmatchcase(value, wanted)
    return bool(wanted == value)


def _short(request: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value!r:.60}" for key, value in request.items())[:300]
