"""`windows:` as a playbook and the operator's policy write it: when something may be done, and when not.

    windows:
      allow: [{cron: "0 22 * * mon-fri", duration: 6h, zone: Europe/Berlin, name: nightly}]
      deny:  [{cron: "0 8 24 12 *", duration: 72h, zone: Europe/Berlin, name: christmas freeze}]
      calendars: [freeze]
      overrun: false

What the words mean in time is told in `remediator.guardrails.windows`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import AfterValidator, Field, model_validator

from remediator.playbooks.cron import BadCron, parse_cron
from remediator.playbooks.durations import format_duration
from remediator.playbooks.fields import Duration, Flag, Strict, complaint
from remediator.playbooks.problems import did_you_mean

SHORTEST, LONGEST = timedelta(minutes=1), timedelta(days=31)
_NO_PLACE = frozenset({"", "localtime", "Factory"})
"""Names that zone databases have for the machine's own zone: the opposite of an explicit one."""


def is_zone(name: str) -> bool:
    """Whether this is the name of an IANA time zone."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: "Europe" is a folder of the database
        return False
    return name not in _NO_PLACE


def _zone(value: str) -> str:
    if value and not is_zone(value):
        near = did_you_mean(value, available_timezones())
        hint = near if near.startswith("Did") else "Use an IANA name such as Europe/Berlin, America/New_York or UTC."
        raise complaint(f"{value!r:.60} is no time zone", hint)
    return value


def _cron(value: str) -> str:
    try:
        parse_cron(value)
    except BadCron as exc:
        raise complaint(exc.what, exc.hint) from None
    return value


def _length(value: timedelta) -> timedelta:
    if not SHORTEST <= value <= LONGEST:
        raise complaint(
            f"a window takes 1m to 31d, not {format_duration(value)}",
            "Write it like 6h; for a longer freeze use a calendar.",
        )
    return value


def _one_line(value: str) -> str:
    if len(value) > 60 or not value.isprintable():
        raise complaint("a window's name is one line of at most 60 characters", "Shorten it.")
    return value


Zone = Annotated[str, AfterValidator(_zone)]
"""An IANA name; empty = none given."""
CronText = Annotated[str, AfterValidator(_cron)]
CalendarName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]


class Window(Strict):
    """Begins whenever `cron` says so on the clocks of `zone`, and ends `duration` of elapsed time later."""

    cron: CronText
    duration: Annotated[Duration, AfterValidator(_length)]
    zone: Zone = ""
    """May only be left out where the operator's policy gives a default: see `zone_problems`."""
    name: Annotated[str, AfterValidator(_one_line)] = ""

    @property
    def title(self) -> str:
        return self.name or self.cron


class Windows(Strict):
    """Deny windows and calendars win. Without allow windows every other moment is allowed."""

    allow: tuple[Window, ...] = ()
    deny: tuple[Window, ...] = ()
    calendars: tuple[CalendarName, ...] = ()
    """Names of freeze calendars from the operator's configuration."""
    overrun: Flag = False
    """Whether work that has begun may go on when these windows close. What undoes it always may."""

    @model_validator(mode="after")
    def _says_something(self) -> Windows:
        if not (self.allow or self.deny or self.calendars):
            raise complaint("no window in it", "Write allow, deny or calendars, or remove windows.")
        return self

    def in_zone(self, default: str) -> Windows:
        """The same, with the policy's zone where a window gives none."""
        fill = {"zone": default}
        return self.model_copy(
            update={
                key: tuple(window if window.zone else window.model_copy(update=fill) for window in windows)
                for key, windows in (("allow", self.allow), ("deny", self.deny))
            }
        )


def zone_problems(windows: Windows, default: str, where: str) -> Iterator[str]:
    """A line for each window without a zone where the policy has no default either; for loading."""
    if default:
        return
    for key, listed in (("allow", windows.allow), ("deny", windows.deny)):
        for index, window in enumerate(listed):
            if not window.zone:
                yield (
                    f"{where}.{key}[{index}].zone: required, but missing; write an IANA name such as Europe/Berlin, "
                    "or give a default zone in the operator's policy"
                )
