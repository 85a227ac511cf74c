"""`exec_in_pod`: run a program of the operator's list in a container, word by word, once."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from pydantic import Field

from remediator.actions.base import Right
from remediator.actions.change import Call, Change
from remediator.actions.outside.containers import InPod, Name, Word, about_command, container_of, listed, pinned, pod_of
from remediator.actions.pods import name_of
from remediator.actions.view import Ask, View
from remediator.objects import WORKLOADS, Object, ObjectRef, uid_of

EXEC_RIGHTS = (Right("create", "Pod", "exec"), Right("get", "Pod", "exec"))
"""Websockets ask for `get`; API servers since 1.35 for `create` as well."""

MOST_SHOWN = 1000


class ExecInPodParams(InPod):
    """`command` is a name of `outside.exec`, `args` the words for each `*` in it, which the list bounds.

    `repeatable`: running it twice does no harm, so a lost answer need not go to a person.
    """

    command: Name
    args: tuple[Word, ...] = Field((), max_length=20)
    repeatable: bool = False


class ExecInPod:
    """What a program has done cannot be taken back from here."""

    name = "exec_in_pod"
    kinds: tuple[str, ...] = WORKLOADS
    needs = frozenset({"pods", "revisions"})
    disruptive = False
    changes_data = True
    rights = EXEC_RIGHTS
    params = ExecInPodParams

    def wants(self, params: ExecInPodParams, view: View) -> Mapping[str, Ask]:
        return {"command": about_command(view, params.command, params.args, params.container)}

    def resolve(self, params: ExecInPodParams, view: View) -> ExecInPodParams:
        return pinned(params, view)

    def plan(self, params: ExecInPodParams, view: View) -> Change:
        """Raises: NotPossible."""
        found = listed(view)
        pod = pod_of(params, view)
        container = container_of(params, pod, found.get("containers") or ())
        call = run_in(view, pod, container, params.command, params.args, found["argv"], repeatable=params.repeatable)
        return Change(
            effects=(call,),
            summary=f"run {params.command} in pod {name_of(pod)}",
            notes=("what a program has done cannot be taken back",),
            touches=(ObjectRef("Pod", view.ref.namespace, name_of(pod)),),
        )


def run_in(
    view: View,
    pod: Object,
    container: str,
    command: str,
    args: Sequence[str],
    argv: Sequence[str],
    *,
    repeatable: bool = False,
) -> Call:
    """One run, bound to the pod's uid and to these words: another list by then refuses."""
    name = name_of(pod)
    return Call(
        ref=view.ref,
        uid=uid_of(view.target),
        via="exec",
        place=f"{view.ref.namespace}/{name}/{container}",
        request={"command": command, "args": list(args), "argv": list(argv), "uid": uid_of(pod)},
        says=f"run {_shown(argv)} in container {container} of pod {name}",
        repeatable=repeatable,
    )


def _shown(argv: Sequence[str]) -> str:
    """As one would type it, whole as far as people read."""
    text = shlex.join(argv)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}… ({len(text) - MOST_SHOWN} characters more)"
