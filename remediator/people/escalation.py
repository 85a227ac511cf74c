"""Ladders as they are configured (`escalation:`): whom to call next while nobody has answered.

Names and places are resolved here, and a ladder that does not end at a person does not load. How one is climbed is in
`ladder`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, ValidationInfo, field_validator, model_validator

from remediator.people.severity import Sev
from remediator.playbooks.fields import Duration, Strict, complaint
from remediator.playbooks.problems import did_you_mean

Kind = Literal[
    "page", "channel", "slack", "pagerduty", "apprise", "webhook", "ticket", "incident_channel", "status_page"
]
_NAMED: Mapping[str, str] = {
    "slack": "[UWSCGD][A-Z0-9]{2,}",
    "pagerduty": r"[A-Za-z0-9][A-Za-z0-9._ -]{0,62}",
    "apprise": r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}",
    "webhook": r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}",
    "ticket": r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}",
}
_ALONE: tuple[Kind, ...] = ("page", "channel", "incident_channel", "status_page")
_FORM = "|".join(
    (*_ALONE, "page:low", f"pagerduty:{_NAMED['pagerduty']}:low", *(f"{kind}:{name}" for kind, name in _NAMED.items()))
)
Where = Annotated[str, StringConstraints(pattern=rf"^({_FORM})$")]
"""A place to be told: `slack:U…`, `pagerduty:shop`, ... or one that depends on the story (`page`, `channel`)."""
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,40}$")]


@dataclass(frozen=True, slots=True)
class Destination:
    """`name` is a Slack id, a service or a channel of `channels:`; empty where the story says it. `low`: no alarm."""

    kind: Kind
    name: str = ""
    low: bool = False

    @property
    def text(self) -> str:
        return ":".join((self.kind, *([self.name] if self.name else []), *(["low"] if self.low else [])))

    @property
    def person(self) -> bool:
        """Whether somebody in person gets it; a channel may be read by nobody."""
        return self.kind in ("page", "pagerduty", "apprise") or (self.kind == "slack" and self.name[0] in "UWS")


def destination(text: str) -> Destination:
    """From the text that `Where` lets through."""
    kind, _, rest = text.partition(":")
    low = kind in ("page", "pagerduty") and (rest == "low" or rest.endswith(":low"))
    name = rest.removesuffix("low").removesuffix(":") if low else rest
    return Destination(kind, name, low)  # type: ignore[arg-type]  # its pattern is made of the kinds


class Rung(Strict):
    """`after` counts from the beginning of the ladder."""

    after: Duration = timedelta(0)
    to: Annotated[tuple[str, ...], Field(min_length=1)]


def _shipped(*rungs: tuple[int, str]) -> tuple[Rung, ...]:
    return tuple(Rung(after=timedelta(minutes=minutes), to=tuple(to.split())) for minutes, to in rungs)


SHIPPED: Mapping[Sev, tuple[Rung, ...]] = {
    Sev.SEV1: _shipped((0, "page channel incident_channel status_page mail"), (5, "second"), (10, "l3"), (15, "leads")),
    Sev.SEV2: _shipped((0, "page channel incident_channel mail"), (15, "second"), (45, "l3"), (60, "leads")),
    Sev.SEV3: _shipped((0, "channel tickets"), (120, "page:low"), (240, "leads")),
    Sev.SEV4: _shipped((0, "tickets"), (24 * 60, "page:low")),
}
"""What nobody has said who it is (`second`, `leads`, ...) is left out of these."""
OPTIONAL = frozenset({"second", "l3", "leads", "mail", "tickets", "incident_channel", "status_page"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Climb:
    """One rung with its places, as the ladder keeps it: a changed configuration changes no ladder under way."""

    after: timedelta
    to: tuple[Destination, ...]


class IncidentChannel(Strict):
    """A Slack channel for each incident of a ladder that has the rung."""

    prefix: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,20}$")] = "inc"
    invite: tuple[Annotated[str, StringConstraints(pattern=r"^[UW][A-Z0-9]{2,}$")], ...] = ()


class Escalation(Strict):
    """`escalation:`. A severity without a ladder of its own has the shipped one."""

    who: Mapping[Name, Annotated[tuple[Where, ...], Field(min_length=1)]] = Field(default_factory=dict)
    """Names for rungs: `second`, `l3`, `leads`, `mail`, `tickets` stand in the shipped ladders."""
    sev1: tuple[Rung, ...] = ()
    sev2: tuple[Rung, ...] = ()
    sev3: tuple[Rung, ...] = ()
    sev4: tuple[Rung, ...] = ()
    incident_channel: IncidentChannel | None = None
    status_page: str = ""
    """The webhook that feeds it."""

    @field_validator("sev1", "sev2", "sev3", "sev4")
    @classmethod
    def _upwards(cls, rungs: tuple[Rung, ...], info: ValidationInfo) -> tuple[Rung, ...]:
        for before, after in pairwise(rungs):
            if after.after <= before.after:
                raise complaint("a rung is not later than the one before it", "`after` counts from the beginning.")
        return rungs

    @model_validator(mode="after")
    def _reach_people(self) -> Escalation:
        for sev in Sev:
            for index, rung in enumerate(self._own(sev)):
                for name in rung.to:
                    self._check(name, f"{sev}[{index}].to")
            rungs = self.ladder(sev)
            if not any(where.person for where in rungs[-1].to) if rungs else True:
                raise complaint(
                    f"the ladder of {sev} does not end at a person",
                    "Its last rung must be a page, a member (slack:U...), a group (slack:S...) or mail (apprise:...). "
                    "In the shipped ladders say who they are: who: {leads: [slack:S0LEADS]}.",
                )
        return self

    def _check(self, name: str, where: str) -> None:
        if name in self.who:
            return
        if name == "incident_channel" and self.incident_channel is None:
            raise complaint(f"{where}: incident_channel is not set up", "Add incident_channel: {} to escalation.")
        if name == "status_page" and not self.status_page:
            raise complaint(f"{where}: status_page is not set up", "Name its webhook: status_page: NAME.")
        try:
            _Place(where=name)
        except ValueError:
            hint = did_you_mean(name, (*self.who, *_ALONE))
            raise complaint(f"{where}: {name!r:.60} is nobody", f"{hint} Or say who it is, under who.") from None

    def _own(self, sev: Sev) -> tuple[Rung, ...]:
        own: tuple[Rung, ...] = getattr(self, sev.value)
        return own

    def ladder(self, sev: Sev) -> tuple[Climb, ...]:
        """With every name resolved; rungs of nobody are left out."""
        own = self._own(sev)
        rungs = ((rung.after, tuple(self._places(rung))) for rung in own or SHIPPED[sev])
        return tuple(Climb(after=after, to=places) for after, places in rungs if places)

    def _places(self, rung: Rung) -> Iterator[Destination]:
        for name in rung.to:
            if name in self.who:
                yield from (destination(text) for text in self.who[name])
            elif name == "incident_channel":
                yield from [Destination("incident_channel")] if self.incident_channel else []
            elif name == "status_page":
                yield from [Destination("status_page", self.status_page)] if self.status_page else []
            elif name not in OPTIONAL:
                yield destination(name)

    def services(self) -> frozenset[str]:
        """Pager services that some rung names."""
        return frozenset(w.name for sev in Sev for r in self.ladder(sev) for w in r.to if w.kind == "pagerduty")

    def others(self) -> frozenset[str]:
        """`apprise:mail`, `webhook:status`, ...: what must be there under `channels`."""
        kinds = {"apprise": "apprise", "webhook": "webhook", "ticket": "ticket", "status_page": "webhook"}
        places = (w for sev in Sev for r in self.ladder(sev) for w in r.to)
        return frozenset(f"{kinds[w.kind]}:{w.name}" for w in places if w.kind in kinds)


class _Place(Strict):
    where: Where
