"""Optional traces: one remediation is one trace, a span for each state that it was in and one for each effect.

All ids are derived from the remediation's, so that spans from before and after a restart, or from two replicas, belong
together, and a ticket or a log line leads to the trace. A span is made when its state is over; the one that holds them
all, when the remediation is. Nothing waits for any of it: what cannot be exported is dropped by the library.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import structlog

from remediator import __version__
from remediator.errors import InvalidConfig
from remediator.remediation.draft import Decision
from remediator.remediation.state import Done, Remediation, State

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
    from opentelemetry.trace import SpanContext

log = structlog.get_logger(__name__)

MISSING = "tracing: the libraries are not installed; install remediator[otel], or remove tracing from the configuration"
CLOSE_S = 5.0
"""So long the last spans may take. The library's own limits do not hold: a receiver that dribbles its answer keeps its
flush for ever."""
TEXT_LIMIT = 500
BAD = frozenset({State.ESCALATED, State.INCONCLUSIVE, State.CANCELLED})


def trace_id(remediation: str) -> int:
    """128 bits, never zero."""
    return int.from_bytes(hashlib.sha256(f"trace/{remediation}".encode()).digest()[:16], "big") or 1


def span_id(remediation: str, name: str) -> int:
    """64 bits, never zero."""
    return int.from_bytes(hashlib.sha256(f"span/{remediation}/{name}".encode()).digest()[:8], "big") or 1


class Tracing:
    """`decision` is called after each commit. Close it at the end, which waits a moment for the last spans."""

    def __init__(
        self, endpoint: str, *, headers: Mapping[str, str] | None = None, instance: str = "", timeout_s: float = 5.0
    ) -> None:
        """Raises: InvalidConfig without the optional libraries."""
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError as exc:
            raise InvalidConfig(MISSING) from exc
        exporter = OTLPSpanExporter(endpoint=endpoint, headers=dict(headers or {}), timeout=timeout_s)
        facts = {"service.name": "remediator", "service.version": __version__, "service.instance.id": instance}
        self._resource = Resource({name: value for name, value in facts.items() if value})
        self._processor: SpanProcessor = BatchSpanProcessor(exporter)

    def close(self) -> None:
        """Sends what waits. Blocks for at most `CLOSE_S`; what is under way then dies with the process."""
        last = threading.Thread(target=self._processor.shutdown, name="tracing-close", daemon=True)
        last.start()
        last.join(CLOSE_S)
        if last.is_alive():
            log.warning("traces_lost", why=f"the receiver did not take them within {CLOSE_S:g} s")

    def decision(self, decision: Decision) -> None:
        """The spans that this transition ends. Never raises."""
        try:
            for span in self._spans(decision):
                self._processor.on_end(span)
        except Exception as exc:
            log.warning("trace_lost", remediation=decision.remediation.id, error=repr(exc))

    def _spans(self, decision: Decision) -> list[ReadableSpan]:
        before, after = decision.before, decision.remediation
        made = []
        if before.state is not after.state:
            name = f"{before.state.value}/{before.version}"
            made.append(self._span(after, before.state.value, name, before.since, after.since, _reason(before)))
        made += [self._effect(before, done) for done in after.done[len(before.done) :]]
        if after.ended and not before.ended:
            made.append(self._root(after))
        return made

    def _effect(self, r: Remediation, done: Done) -> ReadableSpan:
        """From when nothing else was under way until it was acknowledged."""
        begun = max(r.since, *(d.at for d in r.done)) if r.done else r.since
        return self._span(
            r,
            f"effect {done.summary}"[:TEXT_LIMIT],
            f"effect/{done.effect_id}",
            min(begun, done.at),
            done.at,
            {"remediator.effect": done.effect_id, "remediator.step": done.step},
        )

    def _root(self, r: Remediation) -> ReadableSpan:
        facts = {
            "remediator.remediation": r.id,
            "remediator.episode": r.episode,
            "remediator.playbook": r.playbook,
            "remediator.mode": r.mode,
            "remediator.state": r.state.value,
            "remediator.outcome": r.outcome.value,
            "remediator.target": str(r.target or r.root or ""),
            "remediator.severity": r.severity,
            "k8s.cluster.name": r.cluster,
            "k8s.namespace.name": r.root.namespace if r.root else "",
            **_reason(r),
        }
        return self._span(r, f"remediation {r.playbook}".strip(), "", r.created_at, r.ended_at or r.since, facts)

    def _span(
        self, r: Remediation, shown: str, name: str, start: datetime, end: datetime, facts: Mapping[str, Any]
    ) -> ReadableSpan:
        """`name` empty = the root of the trace."""
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

        def context(of: str) -> SpanContext:
            return SpanContext(trace_id(r.id), span_id(r.id, of), is_remote=False, trace_flags=TraceFlags(1))

        bad = not name and r.state in BAD
        return ReadableSpan(
            name=shown,
            context=context(name),
            parent=context("") if name else None,
            resource=self._resource,
            attributes={
                k: v if isinstance(v, int) else str(v)[:TEXT_LIMIT] for k, v in facts.items() if v not in ("", None)
            },
            kind=SpanKind.INTERNAL,
            status=Status(StatusCode.ERROR if bad else StatusCode.UNSET),
            start_time=_nanoseconds(start),
            end_time=_nanoseconds(max(start, end)),
        )


def _reason(r: Remediation) -> dict[str, Any]:
    return {"remediator.reason": r.reason}


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000) * 1000
