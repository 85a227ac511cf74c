"""Which playbooks might care about an alert, in a time that does not grow with the number of playbooks.

Nearly every playbook names its alerts, so the first key is `alertname`. Within one alertname (or without one) an item
is filed under one more label with a finite set of values, whichever list is shortest at that moment: ten thousand
playbooks for KubePodCrashLooping that differ by namespace are still one short list each. What has no finite label at
all is looked at for every alert; `rest` says how many those are, so that `check` can warn.

An index is built once and then only read; a reload builds another one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from remediator.alerts.matchers import InvalidMatcher, Matcher, matches_all

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Entry(Generic[T]):
    """One item under one of its matcher sets. `order` is the item's, so it is equal for all of its sets."""

    order: int
    item: T
    matchers: tuple[Matcher, ...]


class MatcherIndex(Generic[T]):
    """Items by the alerts they match. Lookups keep the order in which items were added and name each item once."""

    def __init__(self) -> None:
        self._by_alertname: dict[str, _Bucket[T]] = {}
        self._any_alertname: _Bucket[T] = _Bucket()
        self._count = 0

    def __len__(self) -> int:
        """Items added."""
        return self._count

    @property
    def rest(self) -> int:
        """Matcher sets that are looked at for every alert, because none of their matchers has a finite set of
        values."""
        return len(self._any_alertname.rest)

    def add(self, item: T, *alternatives: Sequence[Matcher]) -> None:
        """File an item under its matcher sets: within a set all matchers must hold, and one set that holds is enough.

        Raises: InvalidMatcher for no set and for an empty one, which would match every alert there is.
        """
        if not alternatives or not all(alternatives):
            raise InvalidMatcher(
                'no matchers: this would match every alert; name at least one, such as alertname="..."'
            )
        order = self._count
        self._count += 1
        for matchers in alternatives:
            self._file(_Entry(order, item, tuple(matchers)))

    def candidates(self, labels: Mapping[str, str]) -> list[T]:
        """The items that may match; every item that matches is among them."""
        return [entry.item for entry in _distinct(self._entries(labels))]

    def matching(self, labels: Mapping[str, str]) -> list[T]:
        """The items of which a whole matcher set holds."""
        found = [entry for entry in self._entries(labels) if matches_all(entry.matchers, labels)]
        return [entry.item for entry in _distinct(found)]

    def _file(self, entry: _Entry[T]) -> None:
        finite = _finite_values(entry.matchers)
        names = finite.pop("alertname", None)
        if names is None:
            self._any_alertname.add(entry, finite)
            return
        for name in names:
            self._by_alertname.setdefault(name, _Bucket()).add(entry, finite)

    def _entries(self, labels: Mapping[str, str]) -> list[_Entry[T]]:
        found = self._any_alertname.find(labels)
        bucket = self._by_alertname.get(labels.get("alertname", ""))
        return found if bucket is None else found + bucket.find(labels)


class _Bucket(Generic[T]):
    """Entries that share an alertname (or have none), filed under one more finite label each."""

    __slots__ = ("_by_label", "rest")

    def __init__(self) -> None:
        self._by_label: dict[str, dict[str, list[_Entry[T]]]] = {}
        self.rest: list[_Entry[T]] = []

    def add(self, entry: _Entry[T], finite: Mapping[str, frozenset[str]]) -> None:
        if not finite:
            self.rest.append(entry)
            return
        label = min(finite, key=lambda name: self._longest(name, finite[name]))
        by_value = self._by_label.setdefault(label, {})
        for value in finite[label]:
            by_value.setdefault(value, []).append(entry)

    def find(self, labels: Mapping[str, str]) -> list[_Entry[T]]:
        found = self.rest.copy()
        for label, by_value in self._by_label.items():
            found += by_value.get(labels.get(label, ""), ())
        return found

    def _longest(self, label: str, values: frozenset[str]) -> int:
        by_value = self._by_label.get(label, {})
        return max((len(by_value.get(value, ())) for value in values), default=0)


def _finite_values(matchers: Sequence[Matcher]) -> dict[str, frozenset[str]]:
    """Per label the values that all finite matchers on it allow; an empty set means that nothing can match."""
    finite: dict[str, frozenset[str]] = {}
    for matcher in matchers:
        if matcher.alternatives is not None:
            finite[matcher.name] = finite.get(matcher.name, matcher.alternatives) & matcher.alternatives
    return finite


def _distinct(entries: list[_Entry[T]]) -> list[_Entry[T]]:
    if len(entries) < 2:
        return entries
    return [entry for _, entry in sorted({entry.order: entry for entry in entries}.items())]
