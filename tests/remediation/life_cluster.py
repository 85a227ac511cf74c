"""The API server and the attempt rows of a remediation's life, as small as they can be and still lie.

One object with a resourceVersion, a generation and our marker, and pods that are taken one by one. A request that is
not answered may have been carried out, may be under way and land at any later moment, or may be lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from remediator.remediation.events import ActAnswer, ProbeAnswer

T = TypeVar("T")
Choose = Callable[[Sequence[T]], T]
"""One of these: drawn by Hypothesis, or by a seeded generator."""

Fate = Literal["done", "lost", "carried out", "under way", "conflict", "refused", "busy", "budget", "not_sent"]
"""What becomes of a request. Of the first four the middle three are not answered."""

UNANSWERED: tuple[Fate, ...] = ("lost", "carried out", "under way")


@dataclass(slots=True)
class Attempt:
    """One row, one request. `pod` is what an eviction is bound to; a patch is bound to the resourceVersion."""

    effect: str
    version: int
    generation: int
    pod: str = ""
    definitely_not: bool = False
    under_way: bool = False


@dataclass(slots=True)
class ApiServer:
    """`landed` counts, by effect, what was truly carried out. `on_landed` hears of each at once."""

    on_landed: Callable[[str], None]
    version: int = 1
    generation: int = 1
    marker: str = ""
    ours_changed: bool = False
    """Somebody else changed a field that we touch."""
    pods: int = 0
    taken: set[str] = field(default_factory=set)
    landed: Counter[str] = field(default_factory=Counter)
    attempts: list[Attempt] = field(default_factory=list)

    def unsettled(self, effect: str) -> list[Attempt]:
        return [a for a in self.attempts if a.effect == effect and not a.definitely_not]

    def settle(self, effect: str) -> None:
        """It is proven that none of them can happen any more."""
        for attempt in self.unsettled(effect):
            attempt.definitely_not = True

    def row(self, effect: str, *, evicts: bool) -> Attempt:
        """A new request, bound to what is there now."""
        self.pods += evicts
        attempt = Attempt(effect, self.version, self.generation, f"pod-{self.pods}" if evicts else "")
        self.attempts.append(attempt)
        return attempt

    def same_again(self, last: Attempt) -> Attempt:
        """The same bytes under a row of their own."""
        self.attempts.append(Attempt(last.effect, last.version, last.generation, last.pod))
        return self.attempts[-1]

    def fits(self, attempt: Attempt) -> bool:
        """Whether its precondition holds."""
        return attempt.pod not in self.taken if attempt.pod else attempt.version == self.version

    def carry_out(self, attempt: Attempt) -> bool:
        attempt.under_way = False
        if not self.fits(attempt):
            return False
        if attempt.pod:
            self.taken.add(attempt.pod)
        else:
            self.version += 1
            self.generation += 1
            self.marker = attempt.effect
        self.landed[attempt.effect] += 1
        self.on_landed(attempt.effect)
        return True

    def send(self, attempt: Attempt, fate: Fate) -> ActAnswer:
        """The request leaves; what the sender is told."""
        match fate:
            case "done":
                if self.carry_out(attempt):
                    return "done"
                attempt.definitely_not = True
                return "nothing_to_do" if attempt.pod else "conflict"
            case "carried out":
                self.carry_out(attempt)
            case "under way":
                attempt.under_way = True
            case "lost":
                pass
            case "conflict" if not attempt.pod:
                self.moved_by_somebody(spec=False)  # between the look and the request
                attempt.definitely_not = True
                return "conflict"
            case "conflict":
                attempt.definitely_not = True
                return "busy"
            case _:
                attempt.definitely_not = True
                return fate
        return "uncertain"

    def moved_by_somebody(self, *, spec: bool) -> None:
        """Status noise, or a change of the spec that leaves our marker where it is."""
        self.version += 1
        self.generation += spec

    def land_late(self, choose: Choose[Attempt]) -> None:
        """One of the requests that nobody waits for any more arrives."""
        under_way = [a for a in self.attempts if a.under_way]
        if under_way:
            self.carry_out(choose(under_way))

    def look(self, effect: str) -> ProbeAnswer:
        """What a consistent read proves, in the order in which `judge_patch` and `judge_pod` ask."""
        unsettled = self.unsettled(effect)
        if unsettled and unsettled[-1].pod:
            return "happened" if unsettled[-1].pod in self.taken else "again"
        if self.marker == effect:
            return "happened"
        if not unsettled:
            return "never"
        if unsettled[-1].version == self.version:
            return "again"
        return "never" if unsettled[-1].generation == self.generation else "person"

    def probe(self, effect: str) -> ProbeAnswer:
        found = self.look(effect)
        if found == "never":
            self.settle(effect)
        return found

    def give_up(self, effect: str) -> ProbeAnswer:
        """Move the object on, so that nothing under way can land."""
        found = self.probe(effect)
        if found != "again":
            return found
        if self.unsettled(effect)[-1].pod:
            return "person"
        if any(a.version != self.version for a in self.unsettled(effect)):
            return self.probe(effect)
        self.moved_by_somebody(spec=False)
        self.settle(effect)
        return "abandoned"
