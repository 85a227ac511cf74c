"""`created` and `job_succeeded`: what this remediation has made does what it was made for.

    created: {is: 'target.object.status.phase == "Completed"', failed: 'target.object.status.phase == "Failed"'}
    job_succeeded: {}
    job_succeeded: {job: migrate}

Only the object that this remediation made counts, which its label proves: one of the same name from before, or from
somebody else, says nothing.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from remediator.actions.render import made_by
from remediator.actions.times import parse_time
from remediator.errors import NotFound
from remediator.kinds import KINDS
from remediator.objects import Object, ObjectRef, dig, ref_of
from remediator.remediation.checks.base import CheckArgs, CheckContext, CheckKind, Unknown, answer, one_line
from remediator.remediation.checks.condition import LATE, Conditions, judge, one_namespace
from remediator.remediation.samples import CheckSample

CREATED = "created"
JOB = "job_succeeded"


class CreatedArgs(Conditions):
    """`kind`: the last one of this kind that was made; empty = the last object, whatever it is."""

    kind: str = ""

    @property
    def about(self) -> str:
        return self.kind.partition(".")[0]


class JobArgs(CheckArgs):
    """`job`: by default the last Job that this remediation made. `namespace`: by default the target's."""

    job: Annotated[str, Field(max_length=253)] = ""
    namespace: Annotated[str, Field(max_length=63)] = ""

    @property
    def about(self) -> str:
        return self.job


async def created(args: CreatedArgs, context: CheckContext) -> CheckSample:
    """Raises: Unknown, ReadError."""
    if args.kind and args.kind not in KINDS:
        raise Unknown(f"{args.kind!r:.60} is no kind that is known here")
    found = judge(args, await last_made(context, args.kind), context)
    return answer(CREATED, found.answer, found.detail, context.now, badness=float(found.missing))


async def job_succeeded(args: JobArgs, context: CheckContext) -> CheckSample:
    """Raises: Unknown, ReadError."""
    if not args.job:
        job = await last_made(context, "Job")
    else:
        namespace = args.namespace or one_namespace(context)
        job = await context.cluster.get(ObjectRef("Job", namespace, args.job))
        if not context.is_after_effect(parse_time(job["metadata"]["creationTimestamp"])):
            raise Unknown(f"{ref_of(job)} is from before the last effect")
    return judge_job(job, context)


def judge_job(job: Object, context: CheckContext) -> CheckSample:
    """Only its conditions end a Job; counts of pods are on their way."""
    ref, ended = ref_of(job), {}
    for condition in dig(job, "status", "conditions") or ():
        if condition.get("status") == "True":
            ended[condition.get("type")] = one_line(str(condition.get("reason") or ""), 60)
    if "Failed" in ended:
        why = ended["Failed"] or "no reason given"
        return answer(JOB, "bad", f"{ref} failed: {why}", context.now, badness=1.0)
    if "Complete" in ended:
        return answer(JOB, "good", f"{ref} is complete", context.now, badness=0.0)
    counts = {key: int(dig(job, "status", key) or 0) for key in ("active", "succeeded", "failed")}
    told = ", ".join(f"{count} {key}" for key, count in counts.items())
    suspended = "suspended, " if dig(job, "spec", "suspend") else ""
    return answer(JOB, "unknown", f"{ref} runs: {suspended}{told}", context.now)


async def last_made(context: CheckContext, kind: str = "") -> Object:
    """The last object that it made. Raises: Unknown where there is none, or it is another's; ReadError."""
    made = [ref for ref in context.made if kind in ("", ref.kind)]
    what = kind.partition(".")[0] or "object"
    if not made:
        raise Unknown(f"this remediation has made no {what}" + ("" if context.since else " yet"))
    try:
        found = await context.cluster.get(made[-1])
    except NotFound:
        raise Unknown(f"{made[-1]}, which this remediation made, does not exist any more") from None
    if made_by(found) != context.remediation:
        raise Unknown(f"{made[-1]} is not the one that this remediation made")
    return found


KINDS_OF_CHECK = (
    CheckKind(CREATED, CreatedArgs, created, late=LATE),
    CheckKind(JOB, JobArgs, job_succeeded),
)
