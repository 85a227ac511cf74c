"""Every effect that has no inverse here is a command, and no command changes what Git says."""

from __future__ import annotations

import pytest

from remediator.actions.certificates.renew import RenewCertificate, RenewCertificateParams
from remediator.actions.delivery.argo_sync import ArgoRefresh, ArgoRefreshParams, ArgoSync, ArgoSyncParams
from remediator.actions.delivery.commands import COMMANDS
from remediator.actions.delivery.external_secret import ForceSyncSecret, ForceSyncSecretParams
from remediator.actions.delivery.flux import FluxReconcile, FluxReconcileParams
from tests.actions.certificates.test_renew import certificate
from tests.actions.delivery.make_delivery import application, external_secret, flux
from tests.actions.make import view


@pytest.mark.parametrize(
    ("action", "params", "obj"),
    [
        pytest.param(ArgoRefresh(), ArgoRefreshParams(), application(), id="argocd_refresh"),
        pytest.param(ArgoSync(), ArgoSyncParams(), application(), id="argocd_sync"),
        pytest.param(
            FluxReconcile(), FluxReconcileParams(force=True, reset=True), flux("HelmRelease"), id="flux_reconcile"
        ),
        pytest.param(ForceSyncSecret(), ForceSyncSecretParams(), external_secret(), id="force_sync_secret"),
        pytest.param(RenewCertificate(), RenewCertificateParams(), certificate(), id="renew_certificate"),
    ],
)
def test_commands(action, params, obj):
    change = action.plan(params, view(obj, found={"certificates": ()}))
    paths = {field.path for effect in change.effects for field in effect.changes}
    assert paths <= COMMANDS
    assert not any(path[0] == "spec" for path in paths)
    assert not any(effect.undoable for effect in change.effects)
