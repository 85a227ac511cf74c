"""One line that explains a decision, made here for CLI, chat, API and journal alike.

HELD evict pod checkout-7d9-x in prod: min_available. 3 of 5 ready, this takes 1 ready copy, 3 must remain. Passes …
HELD by 2: cooldown (last r-4f2c 7m ago, undone; over at 14:32 Europe/Berlin); rate_limit playbook 5/5 in 1h (…).
CANNOT SEE: Prometheus did not answer (3 tries, 5 s). Nothing was done, because blocker severity="critical" is unknown.
"""

from __future__ import annotations

from collections.abc import Sequence

from remediator.guardrails.verdict import Answer, Verdict, gravest
from remediator.guardrails.words import many

_HEADS = {
    Answer.ASK: "NEEDS APPROVAL",
    Answer.SUGGEST: "SUGGESTED",
    Answer.HOLD: "HELD",
    Answer.DENY: "DENIED",
}


def explain(verdicts: Sequence[Verdict], *, subject: str = "") -> str:
    """The line. `subject` is what it is about: `evict pod checkout-7d9-x in prod`.

    Only the gravest answers are told; among holds, what could not be seen comes first, because nothing else is known
    for sure then, and the others follow by name.
    """
    answer = gravest(tuple(verdicts))
    if answer.rank <= Answer.PASS.rank:
        return f"ALLOWED{_of(subject)}: {_count(verdicts)}."
    told = [verdict for verdict in verdicts if verdict.answer is answer]
    blind = [verdict for verdict in told if verdict.cannot_see]
    if blind:
        others = ", ".join(verdict.guardrail for verdict in told if verdict is not blind[0])
        return f"CANNOT SEE: {_sentences(blind[0])}{f' Held by {others} as well.' if others else ''}"
    if len(told) > 1:
        return f"{_HEADS[answer]} by {len(told)}: {'; '.join(_brief(verdict) for verdict in told)}."
    return f"{_HEADS[answer]}{_of(subject)}: {told[0].guardrail}. {_sentences(told[0])}".rstrip()


def explain_one(verdict: Verdict) -> str:
    """One verdict in a list of all of them: `hold  min_available  3 of 5 ready, ... Passes when ready >= 4.`"""
    return f"{verdict.answer.value}: {verdict.guardrail}. {_sentences(verdict)}".rstrip()


def _of(subject: str) -> str:
    return f" {subject}" if subject else ""


def _count(verdicts: Sequence[Verdict]) -> str:
    passed = sum(1 for verdict in verdicts if verdict.answer is Answer.PASS)
    idle = len(verdicts) - passed
    text = f"{many(passed, 'guardrail')} {'passes' if passed == 1 else 'pass'}"
    return f"{text}, {idle} not applicable" if idle else text


def _brief(verdict: Verdict) -> str:
    if verdict.brief:
        return verdict.brief
    inside = "; ".join(part for part in (verdict.reason, verdict.changes) if part)
    return f"{verdict.guardrail} ({inside})" if inside else verdict.guardrail


def _sentences(verdict: Verdict) -> str:
    return " ".join(_sentence(part) for part in (verdict.reason, verdict.changes) if part)


def _sentence(text: str) -> str:
    """With one full stop and a capital letter, unless it begins with a name."""
    text = text.strip().removesuffix(".")
    plain = text.partition(" ")[0].isalpha()
    return f"{text[:1].upper() if plain else text[:1]}{text[1:]}." if text else ""
