"""`helm_diff`: what an upgrade or a rollback of a release would change, without doing it.

    helm_diff: {release: shop, version: 1.16.0}
    helm_diff: {release: shop, revision: previous}

The difference is helm's own dry run against what is deployed: names of fields, and values only where they are no
secrets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from remediator.playbooks.fields import NAME_PATTERN
from remediator.remediation.checks.base import CheckContext, Unknown, one_line
from remediator.remediation.collectors.base import CollectArgs, CollectorKind, Evidence
from remediator.remediation.collectors.reading import count, hand_over
from remediator.remediation.outside_asking import ask

NAME = "helm_diff"

Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Version = Annotated[str, Field(pattern=r"^v?\d{1,6}\.\d{1,6}\.\d{1,6}([-+][0-9A-Za-z.+-]{1,60})?$")]


class HelmDiffArgs(CollectArgs):
    """`release` is a name of `outside.helm`. Either `version`, with `chart` and `values` by the names that the operator
    gave them there, or `revision`: a number, or `previous`."""

    release: Name
    version: Version | None = None
    chart: Name | None = None
    values: tuple[Name, ...] = Field((), max_length=10)
    revision: Annotated[int, Field(ge=1)] | Literal["previous"] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> HelmDiffArgs:
        if (self.version is None) == (self.revision is None):
            raise ValueError("give exactly one of version or revision")
        if self.revision is not None and (self.chart or self.values):
            raise ValueError("chart and values belong to version")
        return self


async def collect(args: HelmDiffArgs, context: CheckContext) -> Evidence:
    """Raises: Unknown, ReadError."""
    found: Mapping[str, Any] = await ask(context, "helm", args.release, _request(args))
    if not found.get("allowed", True):
        raise Unknown(str(found["why"]))
    diff: Mapping[str, Any] = found["diff"]
    differs = sum(int(diff[key]) for key in ("changed", "added", "removed"))
    lines: Sequence[str] = [str(line) for line in diff["lines"]]
    hooks = [str(hook) for hook in found["hooks"]]
    lost = [str(one) for one in diff["data"]]
    what = f"{one_line(str(found['release']), 60)} {_aim(args, found)}"
    return hand_over(
        NAME,
        context,
        title=f"{what}, now {one_line(str(found['deployed']), 80)}, revision {found['revision']}, {found['status']}",
        lines=[
            *([f"removes what holds data: {', '.join(lost)}"] if lost else []),
            *lines,
            *([f"and {differs - len(lines)} more"] if differs > len(lines) else []),
            *([f"hooks run: {', '.join(hooks)}"] if hooks else []),
            *([] if differs else ["nothing would change"]),
        ],
        summary=f"{count(differs, 'object')} would change: {diff['changed']} changed, {diff['added']} added, "
        f"{diff['removed']} removed" + (", data among them" if lost else ""),
        data={key: int(diff[key]) for key in ("changed", "added", "removed")} | {"revision": int(found["revision"])},
        private=True,
    )


def _request(args: HelmDiffArgs) -> Mapping[str, Any]:
    if args.version is None:
        return {"about": "rollback", "revision": args.revision}
    return {"about": "upgrade", "chart": args.chart or "", "version": args.version, "values": list(args.values)}


def _aim(args: HelmDiffArgs, found: Mapping[str, Any]) -> str:
    if args.version is not None:
        return f"to {found['chart']} {args.version}"
    return f"back to revision {found['to']['revision']}"


KIND = CollectorKind(NAME, HelmDiffArgs, collect)
