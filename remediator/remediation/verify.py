"""Asks all checks of a playbook at one moment. Never raises: whatever goes wrong is an unknown with its reason."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from remediator.actions.workload import read_workload
from remediator.errors import InvalidPlaybook, ReadError, RemediatorError
from remediator.objects import WORKLOADS, Object, ObjectRef
from remediator.playbooks.model import Check
from remediator.playbooks.templates import texts
from remediator.remediation.arguments import fill_plain
from remediator.remediation.checks.base import CheckContext, CheckTarget, Unknown, answer, one_line
from remediator.remediation.checks.registry import CHECKS, ParsedCheck, parse_check
from remediator.remediation.checks.workload import read_target
from remediator.remediation.samples import CheckSample, SampleSet

CHECK_TIMEOUT = timedelta(seconds=10)
"""Longer than one query with its retries (5 s), shorter than the usual interval between samples (15 s)."""

DEFAULT_CHECKS = (Check(kind="rollout"), Check(kind="alert_resolved"))


def checks_in_force(checks: Sequence[Check], context: CheckContext) -> tuple[Check, ...]:
    """The playbook's checks, or the defaults; those that cannot apply here are left out as long as another remains.

    A target without copies has no rollout, and without an alert (a person or a schedule started it) none can resolve.
    """
    wanted = tuple(checks) or DEFAULT_CHECKS
    no_copies = not checks and not all(t.ref.kind in WORKLOADS for t in context.targets)
    apply = tuple(
        c
        for c in wanted
        if not (c.kind == "rollout" and no_copies) and not (c.kind == "alert_resolved" and not context.alerts)
    )
    return apply or wanted


async def sample_all(
    checks: Sequence[Check], context: CheckContext, *, timeout: timedelta = CHECK_TIMEOUT
) -> SampleSet:
    """Every check in force, once, at the same time. Each has `timeout`; all read the same snapshot of the targets."""
    objects, problems = await _read_targets(context, timeout)
    context = replace(context, objects={**context.objects, **objects})
    wanted = checks_in_force(checks, context)
    samples = await asyncio.gather(
        *(_sample(check, name, context, timeout) for check, name in zip(wanted, names_of(wanted), strict=True))
    )
    workloads = [read_workload(o) for o in objects.values() if o.get("kind") in WORKLOADS]
    complete = bool(workloads) and len(workloads) == len(context.targets)
    return SampleSet(
        taken_at=context.now,
        checks=tuple(samples),
        available=sum(w.available for w in workloads) if complete else None,
        facts={
            "targets": {
                str(w.ref): {"desired": w.desired, "updated": w.updated, "ready": w.ready, "available": w.available}
                for w in workloads
            },
            **({"unreadable": problems} if problems else {}),
        },
    )


def names_of(checks: Sequence[Check]) -> tuple[str, ...]:
    """One name for each check: its kind, with what it is about where it says so, numbered where that is not enough."""
    names: list[str] = []
    seen: Counter[str] = Counter()
    for check in checks:
        about = _about(check)
        name = one_line(f"{check.kind} {about}" if about else check.kind, 80)
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name} #{seen[name]}")
    return tuple(names)


def templates_of(checks: Sequence[Check]) -> tuple[str, ...]:
    """Every text with `${...}` in the checks' arguments."""
    return tuple(text for check in checks for _, text in texts(check.args))


def _about(check: Check) -> str:
    try:
        return parse_check(check).args.about
    except InvalidPlaybook:
        return ""


async def _read_targets(context: CheckContext, timeout: timedelta) -> tuple[dict[ObjectRef, Object], dict[str, str]]:
    """The targets that can be read, and why the others cannot: the checks that need those find out for themselves."""
    problems: dict[str, str] = {}
    found: dict[ObjectRef, Object] = {}

    async def read(target: CheckTarget) -> None:
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                found[target.ref] = await read_target(context, target)
        except (ReadError, Unknown, TimeoutError) as exc:
            problems[str(target.ref)] = one_line(str(exc) or type(exc).__name__)

    await asyncio.gather(*(read(t) for t in context.targets))
    return found, problems


async def _sample(check: Check, name: str, context: CheckContext, timeout: timedelta) -> CheckSample:
    try:
        kind = CHECKS.get(check.kind)
        args = fill_plain(check.args, context, kind.late if kind else frozenset())
        parsed = parse_check(Check(kind=check.kind, args=args))
        async with asyncio.timeout(timeout.total_seconds()):
            return replace(await _ask(parsed, context), check=name)
    except TimeoutError:
        why = f"CANNOT SEE: no answer within {timeout.total_seconds():g} s"
    except Unknown as exc:
        why = str(exc)
    except ReadError as exc:
        why = f"CANNOT SEE: {str(exc) or type(exc).__name__}"
    except (RemediatorError, ValueError) as exc:
        why = str(exc)
    except Exception as exc:  # a check that is broken must not look like a target that is broken
        why = f"the check failed: {type(exc).__name__}: {exc}"
    return answer(name, "unknown", why, context.now)


async def _ask(parsed: ParsedCheck, context: CheckContext) -> CheckSample:
    sample: CheckSample = await CHECKS[parsed.kind].sample(parsed.args, context)
    return sample
