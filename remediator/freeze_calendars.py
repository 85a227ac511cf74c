"""The operator's freeze calendars: read at start, and again when a file changes.

A file that is gone or broken makes its calendar unknown, and unknown holds: only a calendar that can be read says that
there is no freeze.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

from remediator.guardrails.calendars import parse_calendar
from remediator.guardrails.ics import InvalidCalendar
from remediator.playbooks.windows_model import Windows
from remediator.remediation.fact_reading import KnownCalendars

log = structlog.get_logger()

LOOK_EVERY_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarFile:
    """Where a calendar is, and the zone of its times that name none."""

    path: Path
    zone: str


class FreezeCalendars:
    """`known` may be read at any time; it is replaced as a whole. Before the first look nothing is known."""

    def __init__(
        self,
        files: Mapping[str, CalendarFile],
        read: Callable[[Path], bytes] = Path.read_bytes,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._files = dict(files)
        self._read = read
        self._now = now
        self._texts: dict[str, bytes] = {}
        self.known = KnownCalendars(problems=dict.fromkeys(files, "not read yet"))

    def look(self) -> None:
        """Read what has changed. Blocks, never raises; what cannot be read is unknown from now on."""
        calendars, problems = dict(self.known.calendars), {}
        for name, file in self._files.items():
            try:
                text = self._read(file.path)
                if name not in calendars or text != self._texts.get(name):
                    calendars[name] = parse_calendar(text.decode(), name, file.zone)
                    self._texts[name] = text
                    log.info("calendar_loaded", calendar=name, events=len(calendars[name].events))
                # Counting rules from their first start takes seconds, and the guardrails run in the event loop: here it
                # keeps nobody waiting, and they find it done.
                calendars[name].work_out(self._now())
            except OSError as exc:
                problems[name] = f"{file.path} cannot be read: {exc.strerror}"
            except UnicodeDecodeError:
                problems[name] = f"{file.path} is no UTF-8 text"
            except InvalidCalendar as exc:
                problems[name] = f"{file.path}: {exc}"
            if name in problems:
                calendars.pop(name, None)
                if self.known.problems.get(name) != problems[name]:
                    log.error("calendar_unknown", calendar=name, problem=problems[name])
        self.known = KnownCalendars(calendars=calendars, problems=problems)

    async def turn(self) -> float:
        """For a loop: look, and say after how many seconds to look again."""
        await asyncio.to_thread(self.look)
        return LOOK_EVERY_S


def unknown_calendars(windows: Windows | None, known: Collection[str], where: str) -> tuple[str, ...]:
    """Names of calendars that nobody has configured, a line each."""
    names = sorted(set(windows.calendars if windows else ()) - set(known))
    step = f"known are {', '.join(sorted(known))}. Name one of them, or add" if known else "there are none. Add"
    return tuple(
        f"{where}.calendars: no calendar is called {name}; {step} calendars.{name} to the configuration"
        for name in names
    )
