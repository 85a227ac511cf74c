"""`vault_rotate`: a new random value for one key of one secret in HashiCorp Vault. Nobody gets to see it.

Vault is one side only. Until the secret is read again, its consumers are restarted and whoever checks the value has got
it as well, they are locked out as soon as they have to log in anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from remediator.actions.base import Params
from remediator.actions.change import Call, Change, NotPossible
from remediator.actions.delivery.external_secret import EXTERNAL_SECRET, refuse_ignored
from remediator.actions.delivery.standing import condition_of, refuse_wrong
from remediator.actions.outside.containers import Name
from remediator.actions.view import Ask, View
from remediator.objects import WORKLOADS, Object, dig, uid_of

LOCKS_OUT = (
    "consumers are locked out until they have the new value: read the secret store next, then restart them in order; "
    "whoever checks the value has to get it in the same sequence"
)


class VaultRotateParams(Params):
    """`vault` is a name of `outside.vaults`, `secret` one of its `secrets`."""

    vault: Name
    secret: Name


class VaultRotate:
    """Bound to the version that was seen. Undo writes the value before again, as another version."""

    name = "vault_rotate"
    kinds: tuple[str, ...] = (EXTERNAL_SECRET, *WORKLOADS)
    needs: frozenset[str] = frozenset()
    disruptive = False
    changes_data = True
    rights = ()
    params = VaultRotateParams

    def wants(self, params: VaultRotateParams, view: View) -> Mapping[str, Ask]:
        return {"secret": Ask("vault", params.vault, {"about": "secret", "secret": params.secret})}

    def resolve(self, params: VaultRotateParams, view: View) -> VaultRotateParams:
        return params

    def plan(self, params: VaultRotateParams, view: View) -> Change:
        """Raises: NotPossible."""
        refuse_wrong(view, self.kinds)
        found = view.found["secret"]
        where = f"{found['key']} of {found['mount']}/{found['path']}"
        _refuse_unfit(found, where)
        if view.ref.kind == EXTERNAL_SECRET:
            _refuse_stranded(view, found)
        version = found["version"]
        call = Call(
            ref=view.ref,
            uid=uid_of(view.target),
            via="vault",
            place=params.vault,
            request={"do": "rotate", "secret": params.secret, "version": version},
            says=f"a new random value for {where} in {params.vault} (version {version} -> {version + 1})",
            inverse={"do": "restore", "secret": params.secret, "version": version},
        )
        return Change(
            effects=(call,), summary=f"rotate {where} in {params.vault}", notes=tuple(_notes(view, found, where))
        )


def _refuse_unfit(found: Mapping[str, Any], where: str) -> None:
    """Raises: NotPossible for a secret that would lose something, or cannot be brought back."""
    if found["delete_after"] not in ("0s", "0", ""):
        raise NotPossible(
            f"{where}: Vault deletes each version after {found['delete_after']} by itself, so the new value would "
            "vanish: unset delete_version_after first"
        )
    if found["state"] != "there":
        raise NotPossible(
            f"{where}: version {found['version']} is deleted, or will be by itself: undelete or write it first"
        )
    if not found["has_key"]:
        raise NotPossible(f"{where}: version {found['version']} has no such key: a new one is not made, mend the name")
    if found["max_versions"] == 1:
        raise NotPossible(f"{where}: Vault keeps one version (max_versions), there would be no way back: keep more")


def _refuse_stranded(view: View, found: Mapping[str, Any]) -> None:
    """Raises: NotPossible where the new value would not arrive: its consumers could not follow."""
    refuse_ignored(view)
    ready = condition_of(view.target, "Ready")
    if ready is None or ready.get("status") != "True":
        raise NotPossible(f"{view.ref} is not ready: the new value would not arrive in the cluster. Mend it first")
    if not any(_reads(ref, found) for ref in _refs(view.target)):
        raise NotPossible(
            f"{view.ref} does not read {found['key']} of {found['path']}: name the ExternalSecret that does"
        )


def _refs(external: Object) -> Iterator[Mapping[str, Any]]:
    """What it reads: of `data` one property each, of `dataFrom` all; `find` may be anything."""
    for one in dig(external, "spec", "data") or ():
        if isinstance(ref := one.get("remoteRef"), Mapping):
            yield ref
    for one in dig(external, "spec", "dataFrom") or ():
        if isinstance(ref := one.get("extract"), Mapping):
            yield ref
        elif one.get("find") is not None:
            yield {}


def _reads(ref: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    """Its key may be written with the mount and with `data/` in front."""
    path, mount = found["path"], found["mount"]
    if not ref:
        return True
    known = ref.get("key") in (path, f"data/{path}", f"{mount}/{path}", f"{mount}/data/{path}")
    return known and ref.get("property") in (None, "", found["key"])


def _notes(view: View, found: Mapping[str, Any], where: str) -> Iterator[str]:
    yield LOCKS_OUT
    if view.ref.kind != EXTERNAL_SECRET:
        yield f"whether {view.ref} reads {where} is not looked at"
    if not found["cas_required"]:
        yield f"{where}: others may write it without looking (cas_required is off)"
