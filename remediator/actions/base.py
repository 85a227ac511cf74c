"""The shape of an action: a params model and one pure function from a snapshot to a Change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict

from remediator.actions.change import Change
from remediator.actions.view import View


@dataclass(frozen=True, slots=True)
class Right:
    """What an action needs to be allowed, in RBAC's words: `patch` of `Certificate.cert-manager.io` `status`."""

    verb: str
    kind: str
    subresource: str = ""


class Params(BaseModel):
    """Base of every action's `with:` block: unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


P = TypeVar("P", bound=Params)


class Action(Protocol, Generic[P]):
    """`plan` never touches the cluster. Found through the entry-point group `remediator.actions`."""

    name: str
    kinds: tuple[str, ...]
    """Kinds of target it can act on."""
    needs: frozenset[str]
    """Parts of the View it reads: `pods`, `revisions`, `hpas`, `pdbs` (target, namespace and observed always).

    An action that can take healthy copies needs `pdbs`: the guardrail looks at them in the same View.
    """
    disruptive: bool
    """Whether it can take healthy copies away.

    An action that changes data, or what cannot be taken back at all, says `changes_data = True` beside it: the operator
    may want more approvers for it.

    Two more members are optional. `rights: tuple[Right, ...]` is what it must be allowed, where that is more or other
    than patching its kinds. `wants(params, view) -> Mapping[str, Wanted]` names what it has to know besides the target;
    it is read before `plan` is asked and is in `view.found` under the same names. What cannot be read holds the
    remediation: an action never sees half of it. It is asked with the params as written, before `resolve`, and again
    with what was found until it names nothing new, four times at most. An action of a package that only changes fields
    which manifests may hold says `through_git = True`: steps with `via` take it.
    """
    params: type[Any]

    def resolve(self, params: P, view: View) -> P:
        """The params with everything relative to the present made absolute (`by: 2` becomes `to: 5`).

        Asked once, at the first plan; every later plan uses the answer, so that an effect which has happened already
        does not count a second time. The same params when nothing is relative. Raises: NotPossible.
        """
        ...

    def plan(self, params: P, view: View) -> Change:
        """Raises: NotPossible."""
        ...
