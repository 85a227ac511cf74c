"""The `Caller` port in memory: what was asked and told, prepared answers, and what can go wrong with a request."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from remediator.adapters.simulated.faults import FailRead, LoseReply, LoseRequest, Reject
from remediator.errors import CannotSee, Uncertain
from remediator.ports import Found

CallFault = Reject | LoseReply | LoseRequest


class SimulatedCaller:
    """One `via`. `answer` decides what a question or a request is answered with; the default is an empty answer.

    `tells` = whether the other side can say what became of a request: by its key, as a run id or a row would.
    """

    def __init__(
        self, *, tells: bool = False, answer: Callable[[str, Mapping[str, Any]], Any] = lambda place, request: {}
    ) -> None:
        self.tells = tells
        self.answer = answer
        self.asked: list[tuple[str, Mapping[str, Any]]] = []
        self.done: list[tuple[str, Mapping[str, Any], str]] = []
        """(place, request, key) of all that was carried out, in order."""
        self.faults: list[CallFault] = []
        """One for each of the next requests; none left = all goes well."""
        self.blind: list[FailRead] = []
        """The same for questions, rehearsals and finding out."""

    async def ask(self, place: str, request: Mapping[str, Any]) -> Any:
        self._look()
        self.asked.append((place, copy.deepcopy(dict(request))))
        return self.answer(place, request)

    async def rehearse(self, place: str, request: Mapping[str, Any]) -> str:
        self._look()
        return ""

    async def send(self, place: str, request: Mapping[str, Any], *, key: str) -> Mapping[str, Any]:
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, Reject):
            raise fault.error
        if not isinstance(fault, LoseRequest):
            self.done.append((place, copy.deepcopy(dict(request)), key))
        if fault is not None:
            raise Uncertain("no answer: simulated")
        answer = self.answer(place, request)
        return answer if isinstance(answer, Mapping) else {"says": str(answer)}

    async def find(self, place: str, request: Mapping[str, Any], *, key: str) -> Found:
        self._look()
        if not self.tells:
            return "unknown"
        return "happened" if any(k == key for _, _, k in self.done) else "never"

    async def close(self) -> None:
        """Nothing to close."""

    def _look(self) -> None:
        if self.blind:
            raise self.blind.pop(0).error


def unreachable(error: str = "simulated: no answer") -> FailRead:
    return FailRead(CannotSee(error))
