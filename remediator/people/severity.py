"""How grave something is, in one scheme of four: `severities:` in the configuration. Pages, routes and ladders ask it.

Everybody has a scheme of his own: Alertmanager's critical, warning and info, priorities that begin at P1, priorities
that begin at P0. A sender is told apart by its name among `sources`, because the same `P1` means two things.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from remediator.people.story import Story
from remediator.playbooks.fields import Strict, complaint


class Sev(StrEnum):
    """Gravest first."""

    SEV1 = "sev1"
    """A system or service is down, data is lost."""
    SEV2 = "sev2"
    """A main function is hit."""
    SEV3 = "sev3"
    """A secondary function, one service."""
    SEV4 = "sev4"
    """Cosmetic, noise."""


Scheme = Literal["p1", "p0"]
"""Where priorities begin to count."""

UNREADABLE = Sev.SEV2
"""Somebody said how grave it is and nobody can read it. It may be the gravest there is, so it calls people like a main
function that is hit; a call too many gets the word into the configuration the next morning."""
UNSAID = Sev.SEV3
"""Nobody claims that it is grave: it is told, it calls when automation fails, and it climbs after hours."""

# Alertmanager's `critical` covers sev1 and sev2: what could be either is taken for the graver.
_WORDS: Mapping[str, Sev] = {
    **dict.fromkeys(("sev1", "critical", "crit", "page", "emergency", "fatal", "disaster"), Sev.SEV1),
    **dict.fromkeys(("sev2", "error", "high", "major"), Sev.SEV2),
    **dict.fromkeys(("sev3", "warning", "warn", "medium", "minor", "average"), Sev.SEV3),
    **dict.fromkeys(("sev4", "info", "information", "informational", "notice", "low", "debug", "none"), Sev.SEV4),
}
_PRIORITIES: Mapping[Scheme, Mapping[str, Sev]] = {
    # Whoever counts from P1 and says P0 means even graver.
    "p1": {"p0": Sev.SEV1, "p1": Sev.SEV1, "p2": Sev.SEV2, "p3": Sev.SEV3, "p4": Sev.SEV4, "p5": Sev.SEV4},
    "p0": {"p0": Sev.SEV1, "p1": Sev.SEV2, "p2": Sev.SEV3, "p3": Sev.SEV4, "p4": Sev.SEV4, "p5": Sev.SEV4},
}
LABELS = ("severity", "priority")
"""Labels of an alert that are looked at."""


def _sev(value: object) -> object:
    word = str(value).strip().lower()
    if found := _WORDS.get(word):
        return found
    hint = "Write sev1, sev2, sev3 or sev4 (critical, error, warning and info mean the same)."
    raise complaint(f"{str(value)!r:.60} is no severity", hint)


SevName = Annotated[Sev, BeforeValidator(_sev)]
"""`sev2`, or a word that means the same wherever it is said (`error`). Not `P1`: it depends on who says it."""


def _lower(value: object) -> object:
    return {str(k).strip().lower(): v for k, v in value.items()} if isinstance(value, Mapping) else value


Words = Annotated[Mapping[str, SevName], BeforeValidator(_lower)]


class SourceSeverities(Strict):
    """What one sender means. `priorities` None = as everybody else."""

    priorities: Scheme | None = None
    map: Words = Field(default_factory=dict)


class Severities(Strict):
    """`severities:`. Stronger is what is said for the source, then `map`, then what is shipped."""

    priorities: Scheme = "p1"
    """`p1`: P1 is the gravest; `p0`: P0 is, so that P1 is sev2."""
    map: Words = Field(default_factory=dict)
    by_source: Mapping[str, SourceSeverities] = Field(default_factory=dict)
    """By the name of the source."""

    def of_word(self, word: str, source: str = "") -> Sev | None:
        """None: nobody knows the word."""
        said = word.strip().lower()
        own = self.by_source.get(source, SourceSeverities())
        for words in (own.map, self.map, _PRIORITIES[own.priorities or self.priorities], _WORDS):
            if said in words:
                return words[said]
        return None

    def of(self, labels: Mapping[str, str], source: str = "") -> Sev:
        """The gravest that its labels say. A label that nobody can read counts only where no other can be read."""
        return gravest_of((labels.get(name, "") for name in LABELS), self, source)


def gravest_of(words: Iterable[str], severities: Severities, source: str = "") -> Sev:
    said = [word for word in words if word.strip()]
    known = [found for word in said if (found := severities.of_word(word, source)) is not None]
    return min(known) if known else UNREADABLE if said else UNSAID


SHIPPED = Severities()


def sev_of(story: Story) -> Sev:
    """What the teller has found; of a story that nobody has looked at, what its own words say."""
    return Sev(story.sev) if story.sev else gravest_of((story.severity,), SHIPPED)


PagerWord = Literal["critical", "error", "warning", "info"]
PAGER_WORDS: Mapping[Sev, PagerWord] = {
    Sev.SEV1: "critical",
    Sev.SEV2: "error",
    Sev.SEV3: "warning",
    Sev.SEV4: "info",
}
"""The pager's own four; a service with dynamic urgency rings loudly for the first two."""


def pager_word(story: Story) -> PagerWord:
    return PAGER_WORDS[sev_of(story)]
