"""`cnpg_restart` and `cnpg_reload`: an annotation with the time, as the operator's own tool writes it."""

from __future__ import annotations

from remediator.actions.base import Params
from remediator.actions.change import GENERATED_TIME, Change
from remediator.actions.databases.cnpg import CLUSTER, read_cluster, refuse_fenced, refuse_moving
from remediator.actions.databases.parts import annotate
from remediator.actions.view import View
from remediator.actions.workload import RESTARTED_AT
from remediator.objects import dig

RELOADED_AT = "cnpg.io/reloadedAt"


class CnpgRestartParams(Params):
    """None: the operator restarts one instance after the other, the primary last."""


class CnpgRestart:
    """A restart has no inverse. It always asks a person: it restarts the primary too."""

    name = "cnpg_restart"
    kinds: tuple[str, ...] = (CLUSTER,)
    needs: frozenset[str] = frozenset()
    disruptive = True
    params = CnpgRestartParams

    def resolve(self, params: CnpgRestartParams, view: View) -> CnpgRestartParams:
        return params

    def plan(self, params: CnpgRestartParams, view: View) -> Change:
        """Raises: NotPossible, also while the operator is busy: a second roll would begin on top of the first."""
        cluster = read_cluster(view)
        refuse_fenced(cluster)
        refuse_moving(cluster)
        alone = cluster.instances == 1
        method = str(dig(view.target, "spec", "primaryUpdateMethod", default="restart"))
        notes = ["there is no undo", f"the primary comes last, by {method} (primaryUpdateMethod)"]
        if dig(view.target, "spec", "primaryUpdateStrategy") == "supervised":
            notes.append("its primaryUpdateStrategy is supervised: the operator waits for a person before the primary")
        outage = "it has one instance: an outage" if alone else "writes stop while the primary restarts or moves"
        return Change(
            effects=(annotate(view.target, RESTARTED_AT, GENERATED_TIME),),
            takes=min(1, cluster.ready),
            summary=f"restart {cluster.instances} {'instance' if alone else 'instances'}, one after the other",
            reduces_capacity=True,
            needs_approval=f"a restart of {view.ref} restarts its primary; {outage}",
            notes=tuple(notes),
        )


class CnpgReloadParams(Params):
    """None."""


class CnpgReload:
    """Makes the instances read their configuration, ConfigMaps and Secrets again. Nothing restarts for it."""

    name = "cnpg_reload"
    kinds: tuple[str, ...] = (CLUSTER,)
    needs: frozenset[str] = frozenset()
    disruptive = False
    params = CnpgReloadParams

    def resolve(self, params: CnpgReloadParams, view: View) -> CnpgReloadParams:
        return params

    def plan(self, params: CnpgReloadParams, view: View) -> Change:
        """Raises: NotPossible."""
        cluster = read_cluster(view)
        refuse_moving(cluster)
        return Change(
            effects=(annotate(view.target, RELOADED_AT, GENERATED_TIME),),
            summary=f"reload the configuration of {cluster.instances} instances",
            notes=("parameters that take a restart are not in force after it",),
        )
