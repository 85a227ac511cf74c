"""A mutant as data: what is taken out of the program, and which tests ought to notice first."""

from __future__ import annotations

from dataclasses import dataclass

from tests.mutants.cutting import Change, Cut

FIRST_LIGHT = "tests/remediation/test_first_light.py"
GUARDED = "tests/remediation/test_guarded_runs.py"
REGRESSIONS = "tests/sim/test_regressions.py"
DECIDE = "tests/remediation/test_decide.py"
JUDGE = "tests/remediation/test_judge.py"
ORDER = "tests/guardrails/test_order.py"
EFFECTOR = "tests/remediation/test_effector.py"
LEASES = "tests/remediation/test_leases.py"
RENDER = "tests/actions/test_render.py"
ATTEMPTS = "tests/journal/test_attempts.py"
RESERVATIONS = "tests/journal/test_reservations.py"
REMEDIATIONS = "tests/journal/test_remediations.py"
PAUSES = "tests/journal/test_pauses.py"
ONCE = "tests/invariants/test_once.py"
LIMITS = "tests/invariants/test_limits.py"
PEOPLE = "tests/invariants/test_people.py"
UNSEEN = "tests/invariants/test_unseen.py"
RECORD = "tests/invariants/test_record.py"
TIME = "tests/invariants/test_time.py"
MOMENTS = "tests/invariants/test_moments.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """`gone` says what the program does without, for people. `tables` are run in their order, then schedules."""

    name: str
    gone: str
    changes: tuple[Change, ...]
    tables: tuple[str, ...] = ()


def cut(name: str, gone: str, where: str, old: str, new: str, *tables: str, again: tuple[str, ...] = ()) -> Mutant:
    """One clause of one function or value. `where` without the package's name."""
    full = (f"remediator.{value}" for value in again)
    return Mutant(name=name, gone=gone, changes=(Cut(f"remediator.{where}", old, new, tuple(full)),), tables=tables)
