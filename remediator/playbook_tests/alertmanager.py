"""Alertmanager of a story, as far as it is asked: what people have silenced there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from remediator.errors import CannotSee
from remediator.ports import Silence


class Alertmanager:
    """The port `Silences`."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._silences: list[Silence] = []
        self.down = False

    def silence(self, matchers: tuple[str, ...], who: str, why: str, until: datetime) -> None:
        number = len(self._silences) + 1
        made = Silence(id=f"s-{number}", created_by=who, comment=why, ends_at=until, matchers=matchers)
        self._silences.append(made)

    async def active(self) -> tuple[Silence, ...]:
        if self.down:
            raise CannotSee("the test says that Alertmanager is down")
        now = self._now()
        return tuple(silence for silence in self._silences if silence.ends_at > now)

    async def close(self) -> None:
        """Nothing to close."""
