"""`gitops_pr`, `promote`: single values in Git, proposed as a pull request. People merge it, or do not.

Nothing changes in the cluster by this alone. It is for what `via: pr` of another action cannot find by itself: the
values of Helm charts, and a value that is taken from one environment to the next.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StrictBool, StrictFloat, StrictInt, StrictStr, StringConstraints

from remediator.actions.base import Params
from remediator.actions.change import GENERATED_ID, Call, Change, NotPossible
from remediator.actions.delivery.argo import APPLICATION
from remediator.actions.delivery.flux import HELM_RELEASE, KUSTOMIZATION
from remediator.actions.delivery.standing import refuse_wrong
from remediator.actions.render import brief, dotted
from remediator.actions.view import Ask, View
from remediator.gitops.edits import CannotEdit, Edit, Place, apply, path_of, place_in
from remediator.gitops.wording import code, inert
from remediator.objects import JSON, WORKLOADS, uid_of
from remediator.playbooks.fields import NAME_PATTERN

KINDS = (*WORKLOADS, "Rollout.argoproj.io", APPLICATION, KUSTOMIZATION, HELM_RELEASE)

Scalar = StrictBool | StrictInt | StrictFloat | Annotated[StrictStr, StringConstraints(max_length=1000)]

NOTHING_YET = "nothing changes until people merge it and the owner syncs"


def _file(text: str) -> str:
    if not text.endswith((".yaml", ".yml", ".json")):
        raise ValueError(f"{text!r:.100} is no YAML or JSON file")
    if any(part.startswith(".") for part in text.split("/")):
        raise ValueError(f"{text!r:.100}: no part of it may begin with a dot")
    return text


def _path(text: str) -> str:
    path_of(text)
    return text


Repository = Annotated[str, Field(pattern=NAME_PATTERN)]
Branch = Annotated[str, Field(pattern=r"^([A-Za-z0-9_][A-Za-z0-9._/-]{0,199})?$")]
File = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._/-]{0,299}$"), AfterValidator(_file)]
YamlPath = Annotated[str, Field(min_length=1, max_length=300), AfterValidator(_path)]


class GitopsPrParams(Params):
    """`repository` is a name of `outside.forges[].repositories`, `branch` the one to propose to, the first listed
    without. `set`: values by their path in the file, which is there already: `image.tag`,
    `spec.containers[name=app].image`. `reason` is for the people who merge."""

    repository: Repository
    branch: Branch = ""
    file: File
    set: Mapping[YamlPath, Scalar] = Field(min_length=1, max_length=20)
    reason: str = Field("", max_length=300)


class GitopsPr:
    """Undo closes it, as long as it is not merged."""

    name = "gitops_pr"
    kinds: tuple[str, ...] = KINDS
    needs: frozenset[str] = frozenset()
    disruptive = False
    rights = ()
    params = GitopsPrParams

    def wants(self, params: GitopsPrParams, view: View) -> Mapping[str, Ask]:
        return {"file": _about(params.repository, params.branch, params.file)}

    def resolve(self, params: GitopsPrParams, view: View) -> GitopsPrParams:
        return params

    def plan(self, params: GitopsPrParams, view: View) -> Change:
        """Raises: NotPossible unless each path is one value of the same type."""
        refuse_wrong(view, self.kinds)
        found = view.found["file"]
        try:
            edits = [
                Edit(place_in(found["files"], params.file, path_of(path)), after) for path, after in params.set.items()
            ]
            for edit in edits:
                _same_type(edit)
            return _proposal(view, params.repository, found, edits, params.reason)
        except CannotEdit as exc:
            raise NotPossible(f"{params.repository}: {exc}") from exc


class PromoteParams(Params):
    """The value at `path` of `from_file` becomes that of `to_file`, at `to_path` if that has another one there."""

    repository: Repository
    branch: Branch = ""
    from_file: File
    to_file: File
    path: YamlPath
    to_path: Annotated[str, Field(max_length=300)] = ""
    reason: str = Field("", max_length=300)


class Promote:
    """What is in Git counts: whether it runs well where it comes from is for the playbook's conditions to say."""

    name = "promote"
    kinds: tuple[str, ...] = KINDS
    needs: frozenset[str] = frozenset()
    disruptive = False
    rights = ()
    params = PromoteParams

    def wants(self, params: PromoteParams, view: View) -> Mapping[str, Ask]:
        return {
            "from": _about(params.repository, params.branch, params.from_file),
            "to": _about(params.repository, params.branch, params.to_file),
        }

    def resolve(self, params: PromoteParams, view: View) -> PromoteParams:
        return params

    def plan(self, params: PromoteParams, view: View) -> Change:
        """Raises: NotPossible."""
        refuse_wrong(view, self.kinds)
        if params.from_file == params.to_file:
            raise NotPossible(f"{params.to_file} is both ends: name the file of the environment before it in from_file")
        found = view.found["to"]
        try:
            to_path = path_of(params.to_path) if params.to_path else path_of(params.path)
            source = place_in(view.found["from"]["files"], params.from_file, path_of(params.path))
            edit = Edit(place_in(found["files"], params.to_file, to_path), source.before)
            _same_type(edit)
            change = _proposal(view, params.repository, found, [edit], params.reason, source)
        except (CannotEdit, ValueError) as exc:
            raise NotPossible(f"{params.repository}: {exc}") from exc
        return change


def _about(repository: str, branch: str, file: str) -> Ask:
    return Ask("forge", repository, {"about": "files", "path": file, "branch": branch})


def _same_type(edit: Edit) -> None:
    """Raises: NotPossible for text in place of a number, and the like: what reads the file would refuse it."""
    there, wanted = _type(edit.place.before), _type(edit.after)
    if there != wanted:
        raise NotPossible(f"{edit.place} is {there} ({brief(edit.place.before)}): give {there}, not {wanted}")


def _type(value: JSON) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    return "a text" if isinstance(value, str) else "nothing"


def _proposal(
    view: View, repository: str, found: Mapping[str, Any], edits: list[Edit], reason: str, source: Place | None = None
) -> Change:
    """Raises: CannotEdit, NotPossible when nothing would change."""
    files = found["files"]
    new = apply(files, edits)
    if not new:
        raise NotPossible(f"{found['repository']} says it already: let its owner sync, nothing is to be proposed")
    changed = [edit for edit in edits if edit.after != edit.place.before]
    lines = [f"{dotted(edit.place.path)} {brief(edit.place.before)} -> {brief(edit.after)}" for edit in changed]
    summary = f"propose {', '.join(lines)} in {', '.join(new)} of {found['repository']} ({found['branch']})"
    branch = f"remediator/{GENERATED_ID}"
    request: dict[str, JSON] = {
        "do": "propose",
        "branch": branch,
        "base": found["branch"],
        # Without a commit: what other people push elsewhere in the repository must not make another plan of it.
        "head": "",
        "files": {path: {"before_sha": _sha(files[path]), "text": text} for path, text in sorted(new.items())},
        "title": inert(f"{view.ref}: {', '.join(lines)}"),
        "body": _body(view, new, lines, reason, source),
    }
    call = Call(
        ref=view.ref,
        uid=uid_of(view.target),
        via="forge",
        place=repository,
        request=request,
        says=f"open a pull request in {found['repository']}: {', '.join(lines)}",
        inverse={"do": "close", "branch": branch},
    )
    return Change(effects=(call,), summary=summary, notes=(NOTHING_YET,))


def _body(view: View, new: Mapping[str, str], lines: list[str], reason: str, source: Place | None) -> str:
    said = [
        "Proposed by remediator.",
        "",
        f"- Object: {code(view.ref)}",
        *(f"- File: {code(path)}" for path in sorted(new)),
        *(f"- Change: {code(line)}" for line in lines),
        *([f"- Taken from: {code(source)}"] if source else []),
        *([f"- Why: {code(reason, 300)}"] if reason else []),
        "",
        "Nothing was changed in the cluster. It takes effect once this is merged.",
    ]
    return "\n".join(said) + "\n"


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
