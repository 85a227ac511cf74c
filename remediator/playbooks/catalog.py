"""All playbooks in force, and which one an alert gets. Immutable: a reload builds another catalog and swaps it.

The choice has two phases, because a playbook's `when` may ask about the target and the target must be read first:
`candidates` needs the alert only, `choose` the answers of the candidates' `when`. Both are pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from remediator.alerts.alert import Alert
from remediator.alerts.index import MatcherIndex
from remediator.alerts.matchers import Matcher, parse_matchers
from remediator.playbooks.expressions import Expression, ExpressionError, Scope, compile_expression
from remediator.playbooks.model import LoadedPlaybook


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A playbook with what matching needs, ready to use. `when` None = no condition."""

    loaded: LoadedPlaybook
    matchers: tuple[Matcher, ...]
    when: Expression | None

    @property
    def name(self) -> str:
        return self.loaded.playbook.name

    @property
    def priority(self) -> int:
        return self.loaded.playbook.priority

    def takes_from(self, source: str) -> bool:
        """Whether alerts of that sender are any of its business."""
        return not self.loaded.sources or source in self.loaded.sources


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A candidate with the answer of its `when`. `holds` None = it could not be evaluated, `error` says why."""

    entry: Entry
    holds: bool | None
    error: str = ""


@dataclass(frozen=True, slots=True)
class NotChosen:
    """Why a candidate was passed over; kept on record, so that no alert is skipped silently."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Selected:
    """Exactly one playbook is to be planned."""

    loaded: LoadedPlaybook
    not_chosen: tuple[NotChosen, ...]


@dataclass(frozen=True, slots=True)
class NothingFits:
    """No candidate at all, or none whose `when` holds."""

    not_chosen: tuple[NotChosen, ...]


@dataclass(frozen=True, slots=True)
class AmbiguousPriority:
    """Several playbooks of the highest priority fit. Guessing is not an option, so this denies."""

    names: tuple[str, ...]
    priority: int
    not_chosen: tuple[NotChosen, ...]

    def __str__(self) -> str:
        names = " and ".join(self.names)
        return f"{names} both fit with priority {self.priority}; give one of them a higher priority"


Choice = Selected | NothingFits | AmbiguousPriority


class Catalog:
    """Playbooks by name and by the alerts they match."""

    def __init__(self, playbooks: Iterable[LoadedPlaybook] = ()) -> None:
        """Raises: ValueError for two playbooks of one name (the loader has refused both before)."""
        entries: dict[str, Entry] = {}
        # The index keeps this order, so candidates need no sorting: highest priority first, then by name.
        for loaded in sorted(playbooks, key=lambda one: (-one.playbook.priority, one.playbook.name)):
            if loaded.playbook.name in entries:
                raise ValueError(f"two playbooks are named {loaded.playbook.name}")
            entries[loaded.playbook.name] = _entry(loaded)
        self._entries: Mapping[str, Entry] = MappingProxyType(entries)
        self._index: Mapping[str, MatcherIndex[Entry]] = {"firing": MatcherIndex(), "resolved": MatcherIndex()}
        for entry in entries.values():
            match = entry.loaded.playbook.match
            if match is not None:  # without it no alert ever starts it
                self._index[match.status].add(entry, entry.matchers)

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[LoadedPlaybook]:
        """All playbooks, highest priority first."""
        return (entry.loaded for entry in self._entries.values())

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def get(self, name: str) -> LoadedPlaybook | None:
        entry = self._entries.get(name)
        return None if entry is None else entry.loaded

    def entry(self, name: str) -> Entry | None:
        return self._entries.get(name)

    def candidates(self, alert: Alert) -> tuple[Entry, ...]:
        """The playbooks whose matchers, status and project fit, highest priority first; `when` is still to be asked."""
        return tuple(entry for entry in self._matching(alert) if entry.takes_from(alert.source))

    def refused(self, alert: Alert) -> tuple[NotChosen, ...]:
        """Those that would match, had another sender said it."""
        return tuple(
            NotChosen(
                entry.name,
                f"project {entry.loaded.project} takes alerts only from {', '.join(sorted(entry.loaded.sources))}, "
                f"and this one is from {alert.source}",
            )
            for entry in self._matching(alert)
            if not entry.takes_from(alert.source)
        )

    def _matching(self, alert: Alert) -> list[Entry]:
        return self._index[alert.status].matching(alert.labels)

    @property
    def hashes(self) -> Mapping[str, str]:
        """Name to content hash: what a reload compares."""
        return {name: entry.loaded.hash for name, entry in self._entries.items()}


def ask(entry: Entry, scope: Scope) -> Contender:
    """Evaluate a candidate's `when`. An error passes the candidate over, with the reason on record."""
    if entry.when is None:
        return Contender(entry=entry, holds=True)
    try:
        return Contender(entry=entry, holds=scope.holds(entry.when))
    except ExpressionError as exc:
        return Contender(entry=entry, holds=None, error=str(exc))


def choose(contenders: Sequence[Contender]) -> Choice:
    """The fitting candidate with the highest priority; two of them are one too many.

    One playbook may be a contender several times (for several alerts of one incident); once is enough for it to fit.
    """
    fitting: dict[str, Contender] = {}
    passed: dict[str, str] = {}
    for contender in contenders:
        if contender.holds:
            fitting.setdefault(contender.entry.name, contender)
        else:
            passed.setdefault(contender.entry.name, _why_passed(contender))
    not_chosen = [NotChosen(name, reason) for name, reason in passed.items() if name not in fitting]
    if not fitting:
        return NothingFits(tuple(not_chosen))
    highest = max(contender.entry.priority for contender in fitting.values())
    best = [contender for contender in fitting.values() if contender.entry.priority == highest]
    for name, contender in fitting.items():
        if contender.entry.priority < highest:
            reason = f"priority {contender.entry.priority} is below {highest} of {best[0].entry.name}"
            not_chosen.append(NotChosen(name, reason))
    if len(best) > 1:
        names = tuple(sorted(contender.entry.name for contender in best))
        return AmbiguousPriority(names, highest, tuple(not_chosen))
    return Selected(best[0].entry.loaded, tuple(not_chosen))


def _why_passed(contender: Contender) -> str:
    if contender.holds is None:
        return f"its condition could not be evaluated: {contender.error}"
    when = contender.entry.when
    return f"its condition does not hold: {when.text if when else ''}"


def _entry(loaded: LoadedPlaybook) -> Entry:
    match = loaded.playbook.match
    if match is None:
        return Entry(loaded, (), None)
    matchers = tuple(matcher for text in match.alerts for matcher in parse_matchers(text))
    return Entry(loaded, matchers, compile_expression(match.when) if match.when.strip() else None)
