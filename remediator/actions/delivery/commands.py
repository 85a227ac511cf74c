"""Fields by which an operator is told to do something. They belong to nobody: not to Git, not to an owner.

A Certificate made for an Ingress, or an Application of an ApplicationSet, may be asked to do its work all the same.
"""

from __future__ import annotations

from remediator.actions.certificates.renew import ISSUING_PATH, RENEWED_PATH
from remediator.actions.delivery.argo import OPERATION_PATH
from remediator.actions.delivery.argo_sync import REFRESH_PATH
from remediator.actions.delivery.external_secret import FORCE_SYNC_PATH
from remediator.actions.delivery.flux import FORCE, REQUESTED, RESET

COMMANDS = frozenset(
    {
        OPERATION_PATH,
        REFRESH_PATH,
        FORCE_SYNC_PATH,
        ISSUING_PATH,
        RENEWED_PATH,
        *(("metadata", "annotations", key) for key in (REQUESTED, FORCE, RESET)),
    }
)
