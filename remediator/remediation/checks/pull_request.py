"""`pull_request`: whether people have merged what this remediation has proposed.

    pull_request: {}
    pull_request: {within: 4h}

Good when it is merged, bad when it was closed without that. As long as it is open nobody knows.
"""

from __future__ import annotations

from remediator.playbooks.gates import MERGED_WITHIN, PULL_REQUEST, Within
from remediator.remediation.checks.base import CheckArgs, CheckContext, CheckKind, Unknown, answer, one_line
from remediator.remediation.samples import CheckAnswer, CheckSample

VIA = "forge"
ANSWERS: dict[str, CheckAnswer] = {"merged": "good", "closed": "bad", "open": "unknown"}
SAYS = {
    "merged": "is merged",
    "closed": "was closed without a merge",
    "open": "is open: nobody has merged it yet",
}


class PullRequestArgs(CheckArgs):
    """`within`: how long a gate waits for it."""

    within: Within = MERGED_WITHIN


async def sample(args: PullRequestArgs, context: CheckContext) -> CheckSample:
    """The newest one counts. Raises: Unknown, ReadError."""
    if not context.proposed:
        raise Unknown("this remediation has proposed nothing" + ("" if context.since else " yet"))
    place, branch = context.proposed[-1]
    if VIA not in context.callers:
        raise Unknown("no forge is configured (outside.forges)")
    found = await context.callers[VIA].ask(place, {"about": PULL_REQUEST, "branch": branch})
    state = str(found.get("state"))
    if state not in ANSWERS:
        raise Unknown(f"{place} has no pull request of {branch}")
    number, url = one_line(str(found.get("number") or ""), 20), one_line(str(found.get("url") or ""), 200)
    what = " ".join(part for part in (f"pull request {number}".strip(), f"({url})" if url else "", SAYS[state]) if part)
    return answer(PULL_REQUEST, ANSWERS[state], what, context.now)


KIND = CheckKind(PULL_REQUEST, PullRequestArgs, sample)
