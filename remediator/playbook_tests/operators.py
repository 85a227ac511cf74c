"""Plays the operators of a story: each reacts to what happens in the cluster, or to a call, a while later."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

from remediator.adapters.simulated import SimulatedCluster, StatusError
from remediator.objects import Object, ObjectRef, ref_of
from remediator.playbook_tests.acting import Deed, Operator, Trigger
from remediator.playbook_tests.filling import CannotFill, Filler
from remediator.playbook_tests.outside import holds
from remediator.playbook_tests.placing import place, set_status
from remediator.playbook_tests.record import GONE, flat, full_name, same


class Operators:
    """`later` calls back in so many seconds; `filler` fills values in for an object; `said` has what was done,
    `trouble` what could not be, with the number of the operator."""

    def __init__(
        self,
        written: tuple[Operator, ...],
        cluster: SimulatedCluster,
        *,
        later: Callable[[float, Callable[[], None]], None],
        filler: Callable[[Object | None], Filler],
        said: Callable[[str], None],
        trouble: Callable[[str, int], None],
    ) -> None:
        self._written, self._cluster = written, cluster
        self._later, self._filler, self._said, self._trouble = later, filler, said, trouble
        self._often: dict[int, int] = {}
        if written:
            cluster.listen(self._changed)

    def called(self, via: str, where: str, request: Mapping[str, Any]) -> None:
        """Something outside of the cluster was told to do something."""
        for number, one in enumerate(self._written):
            wanted = one.when
            if wanted.kind == "called" and wanted.called in (via, f"{via} {where}") and holds(wanted.request, request):
                self._react(number, one, None)

    def _changed(self, before: Object | None, after: Object | None) -> None:
        obj = after if after is not None else before
        assert obj is not None
        ref = ref_of(obj)
        for number, one in enumerate(self._written):
            if _is(one.when, ref, before, after):
                self._react(number, one, obj)

    def _react(self, number: int, one: Operator, about: Object | None) -> None:
        self._often[number] = self._often.get(number, 0) + 1
        if self._often[number] > one.times:
            return
        for deed in one.then:
            self._later(deed.after.total_seconds(), partial(self._do, number, deed, about))

    def _do(self, number: int, deed: Deed, about: Object | None) -> None:
        ref = deed.of or (ref_of(about) if about is not None else None)
        self._said(f"an operator: {deed.kind} {ref or ''}".strip())
        filler = self._filler(about)
        try:
            if deed.create is not None:
                place(self._cluster, filler, deed.create)
            elif ref is None or self._cluster.peek(ref) is None:
                if deed.of is not None:  # what it wanted to go on with may have been deleted meanwhile
                    self._trouble(f"there is no {ref}", number)
            elif deed.status is not None:
                set_status(self._cluster, filler, ref, deed.status)
            elif deed.patch is not None:
                self._cluster.edit(ref, filler.fill(deed.patch), manager="operator")
            else:
                self._cluster.delete(ref)
        except (StatusError, CannotFill) as exc:
            self._trouble(str(exc), number)


def _is(wanted: Trigger, ref: ObjectRef, before: Object | None, after: Object | None) -> bool:
    if wanted.kind == "called" or not _named(getattr(wanted, wanted.kind), ref):
        return False
    match wanted.kind:
        case "created":
            return before is None
        case "removed":
            return after is None
        case _:
            if before is None or after is None:
                return False
            old, new = (flat(obj).get(wanted.path, GONE) for obj in (before, after))
            if old == new:
                return False
            return "to" not in wanted.model_fields_set or same(wanted.to, new)


def _named(pattern: str, ref: ObjectRef) -> bool:
    kind, _, name = pattern.partition(" ")
    return kind == ref.kind and (not name or fnmatchcase(full_name(ref), pattern))
