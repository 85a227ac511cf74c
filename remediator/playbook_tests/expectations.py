"""Whether what came of a story is what was expected. Pure: a record in, the difference in words out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from remediator.guardrails.verdict import Answer
from remediator.people.wording import WORDINGS
from remediator.playbook_tests.expecting import Effect, Expectation, Gone, Made, Message, Told
from remediator.playbook_tests.outside import holds
from remediator.playbook_tests.record import GONE, Changed, Record, Said, flat, same, shown
from remediator.playbook_tests.times import clock_text

MOST = 5
"""Things that are listed as what happened instead."""
NOTHING = "nothing of the kind"

Met = tuple[float, str]
"""When, and what, for people."""


def difference(expected: Expectation, record: Record) -> tuple[str, str] | None:
    """What was expected and what happened, each in one line; None when it is so."""
    return _JUDGES[expected.kind](expected, record)


def _judge(what: str, met: Sequence[Met], others: Sequence[str], expected: Expectation) -> tuple[str, str] | None:
    """For things that must have happened: `met` is everything that fits but for its time."""
    low = expected.not_before.total_seconds() if expected.not_before is not None else None
    high = expected.by.total_seconds() if expected.by is not None else None
    in_time = [m for m in met if (low is None or m[0] >= low) and (high is None or m[0] <= high)]
    wanted = expected.times
    if (len(in_time) == wanted) if wanted is not None else in_time:
        return None
    bounds = [
        *([f"not before {clock_text(low)}"] if low is not None else []),
        *([f"by {clock_text(high)}"] if high is not None else []),
    ]
    said = ", ".join((what, *bounds))
    if wanted is not None:
        said = f"{_often(wanted)}: {said}"
    found = [f"{text} at {clock_text(at)}" for at, text in met]
    return said, _list(found or list(others))


def _often(times: int) -> str:
    return {0: "never", 1: "once"}.get(times, f"{times} times")


def _list(found: Sequence[str]) -> str:
    kept = list(dict.fromkeys(found))
    more = f"; and {len(kept) - MOST} more" if len(kept) > MOST else ""
    return ("; ".join(kept[:MOST]) or NOTHING) + more


def _holds(texts: Sequence[str], said: str) -> bool:
    flat_said = " ".join(said.split()).lower()
    return all(" ".join(text.split()).lower() in flat_said for text in texts)


def _containing(expected: Sequence[str]) -> str:
    return f", saying {' and '.join(map(repr, expected))}" if expected else ""


# --- choosing


def _chosen(e: Expectation, record: Record) -> tuple[str, str] | None:
    met = [(at, f"{name} was chosen") for at, name in record.choices if name == e.chosen]
    others = [f"{name} was chosen at {clock_text(at)}" for at, name in record.choices] + record.passed_over
    return _judge(f"playbook {e.chosen} is chosen", met, others or _alerts(record), e)


def _not_chosen(e: Expectation, record: Record) -> tuple[str, str] | None:
    chosen = [f"it was chosen at {clock_text(at)}" for at, name in record.choices if name == e.not_chosen]
    said = f"playbook {e.not_chosen} is not chosen{_containing(e.contains)}"
    if chosen:
        return said, _list(chosen)
    reasons = [reason for reason in record.passed_over if e.not_chosen in reason]
    if e.contains and not any(_holds(e.contains, reason) for reason in reasons):
        return said, _list(reasons or record.passed_over or _alerts(record))
    return None


def _alerts(record: Record) -> list[str]:
    return [f"alert {line.text}" for line in record.timeline if line.source == "alert"]


# --- guardrails

_ANSWERS = {"denied": Answer.DENY, "held": Answer.HOLD, "asked": Answer.ASK}


def _guarded(e: Expectation, record: Record) -> tuple[str, str] | None:
    guardrail, answer = getattr(e, e.kind), _ANSWERS[e.kind]
    found = [(j, v) for j, v in record.objections(answer) if not e.playbook or j.playbook == e.playbook]
    met = [
        (j.at, v.reason) for j, v in found if v.guardrail == guardrail and _holds(e.contains, f"{v.reason} {v.changes}")
    ]
    others = [
        f"{v.guardrail} said {v.answer.value} at {clock_text(j.at)}: {v.reason}"
        for j in record.judged
        for v in j.verdicts
        if v.guardrail == guardrail or v.answer.rank > Answer.PASS.rank
    ]
    of = f" of {e.playbook}" if e.playbook else ""
    return _judge(f"{guardrail} says {answer.value}{of}{_containing(e.contains)}", met, others or _states(record), e)


# --- effects


def _effect(e: Expectation, record: Record) -> tuple[str, str] | None:
    assert e.effect is not None
    met = [(c.at, str(c)) for c in record.changes if _is_effect(e.effect, c)]
    others = [f"{c} at {clock_text(c.at)}" for c in record.changes]
    return _judge(f"the effect {_given(e.effect)}", met, others or ["no effect at all", *_states(record)], e)


def _is_effect(wanted: Effect, change: Changed) -> bool:
    if wanted.action and wanted.action != change.action:
        return False
    if wanted.object and not _is_about(wanted.object, change):
        return False
    if wanted.undo is not None and wanted.undo != change.undo:
        return False
    if not wanted.path:
        return True
    if wanted.path not in change.paths:
        return False
    before, after = change.paths[wanted.path]
    given = wanted.model_fields_set
    return ("before" not in given or same(wanted.before, before)) and (
        "after" not in given or same(wanted.after, after)
    )


def _is_about(pattern: str, change: Changed) -> bool:
    return fnmatchcase(change.object, pattern) or fnmatchcase(change.full, pattern)


def _given(model: Effect | Made | Gone | Told | Message) -> str:
    said = [
        f"{name}={shown(getattr(model, name))}" for name in type(model).model_fields if name in model.model_fields_set
    ]
    return "{" + ", ".join(said) + "}"


def _created(e: Expectation, record: Record) -> tuple[str, str] | None:
    wanted = e.created
    assert wanted is not None
    met = [
        (c.at, str(c))
        for c in record.changes
        if c.verb == "create"
        and _by_action(wanted, c)
        and all(same(value, c.made.get(path, GONE)) for path, value in wanted.fields.items())
    ]
    others = [f"{c}{_values(wanted.fields, c.made)}" for c in record.changes if c.verb == "create"]
    return _judge(f"{_given(wanted)} is created", met, others or _no_effect(record), e)


def _values(paths: Mapping[str, Any], made: Mapping[str, Any]) -> str:
    said = [f"{path} = {shown(made.get(path, GONE))}" for path in paths]
    return f" with {', '.join(said)}" if said else ""


def _removed(e: Expectation, record: Record) -> tuple[str, str] | None:
    wanted = e.removed
    assert wanted is not None
    gone = [c for c in record.changes if c.verb in ("delete", "evict")]
    met = [(c.at, str(c)) for c in gone if _by_action(wanted, c)]
    return _judge(f"{_given(wanted)} is removed", met, [str(c) for c in gone] or _no_effect(record), e)


def _called(e: Expectation, record: Record) -> tuple[str, str] | None:
    wanted = e.called
    assert wanted is not None
    calls = [c for c in record.changes if c.verb == "call"]
    met = [
        (c.at, str(c))
        for c in calls
        if fnmatchcase(c.object, f"{wanted.via or '*'} {wanted.place or '*'}")
        and wanted.action in ("", c.action)
        and wanted.undo in (None, c.undo)
        and holds(wanted.request, c.request)
    ]
    return _judge(f"the call {_given(wanted)}", met, [str(c) for c in calls] or _no_effect(record), e)


def _by_action(wanted: Made | Gone, change: Changed) -> bool:
    right = wanted.action in ("", change.action) and wanted.undo in (None, change.undo)
    return right and (not wanted.object or _is_about(wanted.object, change))


def _no_effect(record: Record) -> list[str]:
    found = [f"{c} at {clock_text(c.at)}" for c in record.changes]
    return found or ["no effect at all", *_states(record)]


def _effects(e: Expectation, record: Record) -> tuple[str, str] | None:
    if len(record.changes) == e.effects:
        return None
    found = [f"{c} at {clock_text(c.at)}" for c in record.changes]
    wanted = "no effect at all" if e.effects == 0 else f"{e.effects} effects in all"
    return wanted, f"{len(record.changes)}: {_list(found)}" if found else "no effect at all"


# --- people


def _message(e: Expectation, record: Record) -> tuple[str, str] | None:
    assert e.message is not None
    met = [(said.at, _first(said)) for said in record.said if _is_message(e.message, said)]
    others = [f"{said.to}: {_first(said)}" for said in record.said]
    return _judge(f"the message {_given(e.message)}", met, others or ["nobody was told anything"], e)


def _is_message(wanted: Message, said: Said) -> bool:
    if wanted.to is not None and wanted.to != said.to:
        return False
    if wanted.state and WORDINGS[wanted.state].title.lower() not in _first(said).lower():
        return False
    return _holds(wanted.contains, said.text)


def _first(said: Said) -> str:
    return shown(said.text.partition("\n")[0])


def _refused(e: Expectation, record: Record) -> tuple[str, str] | None:
    met = [(r.at, r.text) for r in record.refusals if r.who == e.refused and _holds(e.contains, r.text)]
    others = [f"{r.who} at {clock_text(r.at)}: {r.text}" for r in record.refusals]
    return _judge(f"{e.refused} is refused{_containing(e.contains)}", met, others or ["nobody was refused"], e)


# --- remediations


def _state(e: Expectation, record: Record) -> tuple[str, str] | None:
    met = [
        (m.at, f"{m.playbook} was {m.state}")
        for m in record.moves
        if m.state == e.state and e.playbook in ("", m.playbook)
    ]
    return _judge(f"{e.playbook or 'a remediation'} is {e.state}", met, _states(record), e)


def _ends(e: Expectation, record: Record) -> tuple[str, str] | None:
    """Every one of them has ended so."""
    of = [r for r in record.last.values() if e.playbook in ("", r.playbook)]
    fits = [
        r for r in of if r.state.value == e.ends and e.outcome in ("", r.outcome.value) and _holds(e.contains, r.reason)
    ]
    ended_at = {m.id: m.at for m in record.moves if m.ended}
    how = f" ({e.outcome})" if e.outcome else ""
    what = f"{e.playbook or 'every remediation'} ends {e.ends}{how}{_containing(e.contains)}"
    if not of or len(fits) < len(of):
        return what, _list(_states(record))
    last = max(ended_at[r.id] for r in fits)
    return _judge(what, [(last, f"{e.ends}")], (), e)


def _remediations(e: Expectation, record: Record) -> tuple[str, str] | None:
    if len(record.last) == e.remediations:
        return None
    return f"remediations: {e.remediations}", f"{len(record.last)}: {_list(_states(record))}"


def _states(record: Record) -> list[str]:
    """How each remediation was left."""
    found = [
        f"{r.playbook or r.id} is {r.state.value}{f' ({r.outcome.value})' if r.outcome else ''}: {shown(r.reason)}"
        for r in record.last.values()
    ]
    return found or ["there was no remediation", *_alerts(record)]


# --- the cluster


def _field(e: Expectation, record: Record) -> tuple[str, str] | None:
    assert e.field is not None
    wanted = f"{e.field.of} has {e.field.path} = {shown(e.field.is_)} at the end"
    obj = record.objects.get(e.field.of)
    if obj is None:
        if e.field.is_ is None:
            return None
        return wanted, f"there is no {e.field.of}"
    value = flat(obj).get(e.field.path, GONE)
    return None if same(e.field.is_, value) else (wanted, f"{e.field.path} = {shown(value)}")


_JUDGES: Mapping[str, Callable[[Expectation, Record], tuple[str, str] | None]] = {
    "chosen": _chosen,
    "not_chosen": _not_chosen,
    "denied": _guarded,
    "held": _guarded,
    "asked": _guarded,
    "effect": _effect,
    "created": _created,
    "removed": _removed,
    "called": _called,
    "effects": _effects,
    "message": _message,
    "state": _state,
    "ends": _ends,
    "refused": _refused,
    "field": _field,
    "remediations": _remediations,
}
