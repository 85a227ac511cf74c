"""Whom a playbook can name as an approver: `oncall:pagerduty/SCHEDULE`, `slack:@handle`, `role:sre`, ... Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator

from remediator.playbooks.fields import complaint

Kind = Literal[
    "oncall_pagerduty", "oncall_opsgenie", "slack_handle", "slack_group", "slack_user", "role", "person", "api"
]

FORMS: tuple[tuple[Kind, str, str], ...] = (
    ("oncall_pagerduty", r"oncall:pagerduty/([A-Za-z0-9]{3,40})", "oncall:pagerduty/SCHEDULE_ID"),
    ("oncall_opsgenie", r"oncall:opsgenie/([^/\s?#][^/?#]{0,99})", "oncall:opsgenie/SCHEDULE"),
    ("slack_handle", r"slack:@([a-z0-9][a-z0-9._-]{0,79})", "slack:@group-handle"),
    ("slack_group", r"slack:(S[A-Z0-9]{2,})", "slack:S123 (a user group)"),
    ("slack_user", r"slack:([UW][A-Z0-9]{2,})", "slack:U123 (a member)"),
    ("role", r"role:([a-z0-9][a-z0-9._-]{0,62})", "role:sre"),
    ("person", r"person:([A-Za-z0-9][A-Za-z0-9._@ -]{0,62})", "person:ann"),
    ("api", r"api:(.{1,100})", "api:TOKEN_NAME"),
)
"""Kind, how it is written, and how it is shown to who wrote it wrong."""

KNOWN = ", ".join(form for _, _, form in FORMS)


@dataclass(frozen=True, slots=True)
class Reference:
    """One entry of `approvers`. `id` is what stands behind the kind: a schedule, a handle, an id, a role, a name."""

    kind: Kind
    id: str
    text: str

    def __str__(self) -> str:
        return self.text


def parse_reference(text: str) -> Reference:
    """Raises: ValueError, for what names nobody."""
    for kind, pattern, _ in FORMS:
        if found := re.fullmatch(pattern, text):
            return Reference(kind, found[1], text)
    raise ValueError(f"{text[:80]!r} names nobody who could approve")


def _known(text: str) -> str:
    try:
        parse_reference(text)
    except ValueError as exc:
        raise complaint(str(exc), f"Known: {KNOWN}.") from None
    return text


Approver = Annotated[str, AfterValidator(_known)]
"""As settings have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What an installation has that could stand behind a reference. `systems`: those of pagerduty, opsgenie and slack
    that can be asked."""

    people: Collection[str] = ()
    roles: Collection[str] = ()
    tokens: Collection[str] = ()
    systems: Collection[str] = ()


NEEDS: Mapping[Kind, tuple[str, str]] = {
    "oncall_pagerduty": ("pagerduty", "pagerduty.api"),
    "oncall_opsgenie": ("opsgenie", "opsgenie"),
    "slack_handle": ("slack", "slack"),
    "slack_group": ("slack", "slack"),
}
"""Kind -> the system that is asked, and where it is configured."""


def nobody_behind(where: str, approvers: Sequence[str], known: Known) -> Iterator[str]:
    """What is wrong with references that nobody could ever fulfil here: the question would only expire."""
    for index, text in enumerate(approvers):
        reference = parse_reference(text)
        system, setting = NEEDS.get(reference.kind, ("", ""))
        if system and system not in known.systems:
            yield f"{where}[{index}]: {text} cannot be looked up; configure {setting}"
        listed = {"person": known.people, "role": known.roles, "api": {*known.tokens, *known.people}}
        if reference.kind in listed and reference.id not in listed[reference.kind]:
            place = "`api`" if reference.kind == "api" else "`people`"
            yield f"{where}[{index}]: {text} is nobody; add it to {place} in the configuration"
