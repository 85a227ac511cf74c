"""`flux_reconcile`, `flux_suspend`, `flux_resume`: let Flux look now, not at all, or again."""

from __future__ import annotations

from remediator.actions.base import Params
from remediator.actions.change import GENERATED_TIME, Change, FieldChange, NotPossible, Patch
from remediator.actions.delivery.standing import refuse_wrong, said
from remediator.actions.owners import managers_of
from remediator.actions.view import View
from remediator.objects import annotations_of, dig, uid_of
from remediator.ports import FIELD_MANAGER

KUSTOMIZATION = "Kustomization.kustomize.toolkit.fluxcd.io"
HELM_RELEASE = "HelmRelease.helm.toolkit.fluxcd.io"
GIT_REPOSITORY = "GitRepository.source.toolkit.fluxcd.io"

REQUESTED = "reconcile.fluxcd.io/requestedAt"
FORCE = "reconcile.fluxcd.io/forceAt"
RESET = "reconcile.fluxcd.io/resetAt"
SUSPEND_PATH = ("spec", "suspend")


class FluxReconcileParams(Params):
    """HelmRelease only: `force` upgrades once although nothing changed, `reset` forgets how often it has failed."""

    force: bool = False
    reset: bool = False


class FluxReconcile:
    """A token in an annotation; handled when Flux repeats it in `status.lastHandledReconcileAt`."""

    name = "flux_reconcile"
    kinds: tuple[str, ...] = (KUSTOMIZATION, HELM_RELEASE, GIT_REPOSITORY)
    needs: frozenset[str] = frozenset()
    disruptive = True
    params = FluxReconcileParams

    def resolve(self, params: FluxReconcileParams, view: View) -> FluxReconcileParams:
        return params

    def plan(self, params: FluxReconcileParams, view: View) -> Change:
        """Raises: NotPossible, also for a suspended object, which ignores such requests."""
        refuse_wrong(view, self.kinds)
        if dig(view.target, *SUSPEND_PATH):
            raise NotPossible(f"{view.ref} is suspended and ignores requests: use flux_resume, or ask who suspended it")
        asked = [key for key, wanted in ((FORCE, params.force), (RESET, params.reset)) if wanted]
        if asked and view.ref.kind != HELM_RELEASE:
            raise NotPossible(f"{view.ref} is no HelmRelease, which alone takes force and reset: leave them out")
        # Flux takes forceAt and resetAt only where they equal requestedAt.
        changes = tuple(_token(view, key) for key in (REQUESTED, *asked))
        extra = [word for word, wanted in (("force", params.force), ("reset", params.reset)) if wanted]
        return Change(
            effects=(Patch(ref=view.ref, uid=uid_of(view.target), changes=changes, undoable=False),),
            summary=f"reconcile now{', ' + ' and '.join(extra) if extra else ''}",
            needs_approval="force upgrades the release although nothing changed" if params.force else "",
            notes=tuple(_pending(view)),
        )


def _token(view: View, key: str) -> FieldChange:
    path = ("metadata", "annotations", key)
    return FieldChange(path=path, before=dig(view.target, *path), after=GENERATED_TIME)


def _pending(view: View) -> list[str]:
    asked = annotations_of(view.target).get(REQUESTED)
    if asked is None or asked == dig(view.target, "status", "lastHandledReconcileAt"):
        return []
    return [f"Flux has not handled the request of {said(asked)} yet: its controller may be down"]


class FluxSuspendParams(Params):
    """None."""


class FluxSuspend:
    """Undo puts `spec.suspend` back."""

    name = "flux_suspend"
    kinds: tuple[str, ...] = (KUSTOMIZATION, HELM_RELEASE)
    needs: frozenset[str] = frozenset()
    disruptive = False
    params = FluxSuspendParams

    def resolve(self, params: FluxSuspendParams, view: View) -> FluxSuspendParams:
        return params

    def plan(self, params: FluxSuspendParams, view: View) -> Change:
        """Raises: NotPossible when it is suspended already."""
        refuse_wrong(view, self.kinds)
        if dig(view.target, *SUSPEND_PATH):
            raise NotPossible(f"{view.ref} is suspended already")
        return Change(
            effects=(_suspend(view, after=True),),
            summary="suspend: Flux leaves it alone",
            notes=("nothing that it manages is healed or deployed until flux_resume",),
        )


class FluxResumeParams(Params):
    """None."""


class FluxResume:
    """Undo suspends it again; what was deployed meanwhile stays."""

    name = "flux_resume"
    kinds: tuple[str, ...] = (KUSTOMIZATION, HELM_RELEASE)
    needs: frozenset[str] = frozenset()
    disruptive = True
    params = FluxResumeParams

    def resolve(self, params: FluxResumeParams, view: View) -> FluxResumeParams:
        return params

    def plan(self, params: FluxResumeParams, view: View) -> Change:
        """Raises: NotPossible when it is not suspended."""
        refuse_wrong(view, self.kinds)
        if not dig(view.target, *SUSPEND_PATH):
            raise NotPossible(f"{view.ref} is not suspended")
        writers = [manager.name for manager in managers_of(view.target, SUSPEND_PATH)]
        ours = writers[:1] == [FIELD_MANAGER]
        return Change(
            effects=(_suspend(view, after=False),),
            summary="resume: Flux applies what its source says",
            needs_approval="" if ours else f"{said(writers[0]) if writers else 'somebody else'} has suspended it",
            notes=("what is new in its source since then is deployed at once",),
        )


def _suspend(view: View, *, after: bool) -> Patch:
    change = FieldChange(path=SUSPEND_PATH, before=dig(view.target, *SUSPEND_PATH), after=after)
    return Patch(ref=view.ref, uid=uid_of(view.target), changes=(change,))
