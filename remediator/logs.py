"""Logging: one JSON object a line on stderr, or readable lines on a terminal. No secret passes.

Everything goes through here, also what libraries say through `logging`.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, MutableMapping
from functools import lru_cache
from typing import Any, Literal, TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor

from remediator.redact import MARK, redact

Style = Literal["auto", "json", "console"]
Level = Literal["debug", "info", "warning", "error"]

_QUIET = ("aiohttp.access", "alembic", "asyncio", "kubernetes_asyncio", "slack_sdk", "sqlalchemy")
"""Libraries whose information is not ours to show; their warnings are."""


def set_up_logging(
    *, style: Style = "auto", level: Level = "info", secrets: Iterable[str] = (), stream: TextIO | None = None
) -> None:
    """Once per process. `secrets` are the ones that we hold; they are taken out word for word."""
    out = sys.stderr if stream is None else stream
    console = style == "console" or (style == "auto" and out.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.format_exc_info,
        Redactor(tuple(secrets)),
    ]
    last: Processor = (
        structlog.dev.ConsoleRenderer(timestamp_key="at", exception_formatter=structlog.dev.plain_traceback)
        if console
        else structlog.processors.JSONRenderer(serializer=_json)
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


class Redactor:
    """Takes secrets out of every text of an event, whatever its depth, and out of values whose key names a secret."""

    def __init__(self, known: tuple[str, ...] = ()) -> None:
        self._known = known

    def __call__(self, logger: object, method: str, event: EventDict) -> MutableMapping[str, Any]:
        return {key: self._value(key, value) for key, value in event.items()}

    def _value(self, key: str, value: Any) -> Any:
        if isinstance(value, str):
            return MARK if value and _names_a_secret(key) else redact(value, known=self._known)
        if isinstance(value, dict):
            return {k: self._value(str(k), v) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._value(key, v) for v in value]
        if value is None or isinstance(value, (bool, int, float)) or key.startswith("_"):
            return value  # keys with an underscore are structlog's own
        return redact(str(value), known=self._known)


@lru_cache(maxsize=1024)
def _names_a_secret(key: str) -> bool:
    """Asked of `redact` itself, so that there is one list of such names."""
    return MARK in redact(f"{key}=x1y2z3x1y2z3")


def _json(event: Any, **_: Any) -> str:
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
