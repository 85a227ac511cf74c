"""The operators' own CRDs on the test control plane, from their Go modules at test time; none is copied here.

Each operator is pinned by version and by the hash that Go computes over the module's content. A `go.mod` would not pin
them: within one build list a module is raised to whatever version another one asks for, and loading that list takes the
`go.mod` files of hundreds of modules of which none is built.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest
import yaml

from remediator.kinds import KINDS, Kind
from tests.support.controlplane import ControlPlane, Object, wait_until
from tests.support.fixtures_controlplane import REQUIRE_VARIABLE

DOWNLOAD_TIMEOUT_S = 300.0


class NoCrds(Exception):
    """The CRDs of an operator are not to be had here; the message says why."""


class WrongHash(Exception):
    """A module is not what was pinned. Never skipped over."""


@dataclass(frozen=True, slots=True)
class Operator:
    """A module that holds CRDs as YAML. `path` is a file in it, or a folder of files."""

    name: str
    module: str
    version: str
    sum: str
    path: str


OPERATORS: tuple[Operator, ...] = (
    Operator(
        "cert-manager",
        "github.com/cert-manager/cert-manager",
        "v1.21.2",
        "h1:UWgoYM+KLNtRlqmoWOKjKBOBUPVHeepQ6/ac3ERJW68=",
        "deploy/crds",
    ),
    Operator(
        "CloudNativePG",
        "github.com/cloudnative-pg/cloudnative-pg",
        "v1.27.0",
        "h1:mp0zlYO4vKAJmQdArWORWKr1lmB4Hj8JeBQGX5RBnpg=",
        "config/crd/bases",
    ),
    Operator(
        "Velero",
        "github.com/vmware-tanzu/velero",
        "v1.18.3",
        "h1:9uwN5yxTWQl9PsF5ljX4xiG+7VIq3I9mxOQ0DyyZ31A=",
        "config/crd/v1/bases",
    ),
    Operator(
        "Argo CD",
        "github.com/argoproj/argo-cd/v3",
        "v3.5.7",
        "h1:Xm1BF+I5OgDKUG3SDK49vn2/Y5AMyaNVko+/JT08gj0=",
        "manifests/crds",
    ),
    Operator(
        "Argo Rollouts",
        "github.com/argoproj/argo-rollouts",
        "v1.10.0",
        "h1:1/DTeu/eGzJzcz8FxMBFzr0jlNQia/lnctkw83AUph0=",
        "manifests/crds",
    ),
    Operator(
        "External Secrets",
        "github.com/external-secrets/external-secrets",
        "v1.3.2",
        "h1:u2J8RjlHIeF0oZCqtl92adI/uZWUwOesJIDkfql6LqQ=",
        "config/crds/bases",
    ),
    Operator(
        "Longhorn",
        "github.com/longhorn/longhorn-manager",
        "v1.9.0",
        "h1:BpA0vvEEXFPEa2DYtEyhd5sHOvaWBbD5Fd1vLvtl1Js=",
        "k8s/crds.yaml",
    ),
    Operator(
        "Gateway API",
        "sigs.k8s.io/gateway-api",
        "v1.6.3",
        "h1:lKpJa5bGlraC/QeACvCpsHLdmO6y0iKfzVl6gzaFEYc=",
        "config/crd/standard",
    ),
    Operator(
        "KEDA",
        "github.com/kedacore/keda/v2",
        "v2.21.0",
        "h1:R6z2HZvstK4RLUMxroNACzBj74xGxt3kG59b5Xc+Xps=",
        "config/crd/bases",
    ),
    Operator(
        "Istio",
        "istio.io/api",
        "v1.26.0",
        "h1:hYWzFonwfimFkzp3P4iKJ0bCyenIoYvEIOXrLi74tjg=",
        "kubernetes/customresourcedefinitions.gen.yaml",
    ),
    Operator(
        "Cluster API",
        "sigs.k8s.io/cluster-api",
        "v1.10.0",
        "h1:Jcmr8aEDI4/MCqNmvjj9YQlW7r4qTUpTnL6T9UUrVuQ=",
        "config/crd/bases",
    ),
    Operator(
        "Karpenter",
        "sigs.k8s.io/karpenter",
        "v1.5.0",
        "h1:3HaFtFvkteUJ+SjIViR1ImR0qR+GTqDulahauIuE4Qg=",
        "pkg/apis/crds",
    ),
    Operator(
        "Flux",
        "github.com/fluxcd/kustomize-controller",
        "v1.6.0",
        "h1:13S+wqCQ44njSg59DNgm1qMqVkK6+0eoZs+jv4+EWCs=",
        "config/crd/bases",
    ),
    Operator(
        "Zalando's Postgres Operator",
        "github.com/zalando/postgres-operator",
        "v1.14.0",
        "h1:C8+n26C8v6fPB1SNW+Y8X6oQoEHufzGJXJzYPlix+zw=",
        "manifests/postgresql.crd.yaml",
    ),
)

WITHOUT_SCHEMA = (
    "HelmRelease.helm.toolkit.fluxcd.io",
    "GitRepository.source.toolkit.fluxcd.io",
    "Kafka.kafka.strimzi.io",
    "KafkaConnector.kafka.strimzi.io",
    "KafkaRebalance.kafka.strimzi.io",
    "StrimziPodSet.core.strimzi.io",
    "ObjectStore.barmancloud.cnpg.io",
)
"""Kinds whose operator publishes no CRD in a Go module that can be had. They are served with any content, so what is
shown of them is the wire (patches, marker, rights, undo) and not whether their fields are right."""

NEVER_SERVED = "VolumeSnapshot.snapshot.storage.k8s.io"
"""Stands for an operator that is not installed."""


_OF_A_CHART = re.compile(r"\{\{-? include .*?\}\}")
"""Longhorn's file is written for its chart, which fills in labels and the namespace of a webhook: neither is needed."""


@dataclass(frozen=True, slots=True)
class Served:
    """What the control plane serves now: by kind, what its CRD is from; and why others are not served."""

    kinds: Mapping[str, str]
    missing: Mapping[str, str]

    def needs(self, kinds: Iterable[str]) -> None:
        """Skip the test when one of these kinds (keys of KINDS) is an operator's and not served."""
        lacking = sorted(kind for kind in kinds if "." in kind and kind not in self.kinds)
        if lacking:
            without(f"{', '.join(lacking)}: {'; '.join(self.missing.values()) or 'no operator here has such a CRD'}")


def install(plane: ControlPlane) -> Served:
    """Apply every CRD of a kind that we know, and wait until each is served. An operator that is not to be had is
    named in `missing`. Raises: NoCrds without Go, WrongHash.
    """
    go = shutil.which("go")
    if go is None:
        raise NoCrds("Go is not installed, and the operators' CRDs come from Go modules: install Go 1.26 or newer")
    names = {(kind.group, kind.kind): name for name, kind in KINDS.items() if "." in name}
    served: dict[str, str] = dict.fromkeys(WITHOUT_SCHEMA, "no schema")
    missing: dict[str, str] = {}
    crds: list[Object] = [_open_crd(KINDS[name]) for name in WITHOUT_SCHEMA]
    for operator in OPERATORS:
        try:
            found = list(_documents(_folder(go, operator) / operator.path))
        except NoCrds as exc:
            missing[operator.name] = str(exc)
            continue
        for crd in found:
            name = names.get((crd["spec"]["group"], crd["spec"]["names"]["kind"]))
            if name is not None:
                served[name] = f"{operator.name} {operator.version}"
                crds.append(_prepared(crd))
    for crd in crds:
        plane.client.apply(crd)
    wanted = {crd["metadata"]["name"] for crd in crds}
    wait_until(lambda: wanted <= _established(plane), timeout_s=60, what="the operators' kinds to be served")
    return Served(served, missing)


def without(reason: str) -> NoReturn:
    """Skip the test, or fail it where a control plane is required (`REQUIRE_CONTROL_PLANE=1`)."""
    if os.environ.get(REQUIRE_VARIABLE) == "1":
        pytest.fail(f"no CRDs: {reason} ({REQUIRE_VARIABLE}=1)", pytrace=False)
    pytest.skip(f"no CRDs: {reason}")


def _folder(go: str, operator: Operator) -> Path:
    """The module's folder in Go's own cache. Raises: NoCrds, WrongHash."""
    wanted = f"{operator.module}@{operator.version}"
    flags = [flag for flag in os.environ.get("GOFLAGS", "").split() if not flag.startswith("-mod")]
    env = {**os.environ, "GOWORK": "off", "GOFLAGS": " ".join(flags)}
    argv = [go, "mod", "download", "-json", wanted]
    try:  # in a folder that belongs to no module: there, the version is the one that is asked for
        done = subprocess.run(
            argv, cwd=Path("/"), env=env, capture_output=True, text=True, timeout=DOWNLOAD_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise NoCrds(f"{wanted} did not arrive within {DOWNLOAD_TIMEOUT_S:.0f} s") from None
    try:
        said: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        said = {"Error": done.stderr.strip()}
    if said.get("Error") or "Dir" not in said:
        raise NoCrds(f"{wanted} is not to be had: {' '.join(str(said.get('Error', '')).split())[:300]}")
    if said.get("Sum") != operator.sum:
        raise WrongHash(f"{wanted} has the hash {said.get('Sum')}, tests/support/crds.py pins {operator.sum}")
    return Path(said["Dir"])


def _documents(path: Path) -> Iterator[Object]:
    """The CRDs of a file or a folder of files. Raises: NoCrds when there is none."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    found = 0
    for file in sorted(path.glob("*.yaml")) if path.is_dir() else [path]:
        for document in yaml.load_all(_OF_A_CHART.sub("", file.read_text()), Loader=loader):
            if isinstance(document, dict) and document.get("kind") == "CustomResourceDefinition":
                found += 1
                yield document
    if not found:
        raise NoCrds(f"{path.name} holds no CRD: the module has moved them")


def _prepared(crd: Object) -> Object:
    """Without the conversion webhook, which is a part of the operator: only the stored version is used here."""
    spec = {key: value for key, value in crd["spec"].items() if key != "conversion"}
    meta = {"name": crd["metadata"]["name"], "annotations": crd["metadata"].get("annotations") or {}}
    return {"apiVersion": crd["apiVersion"], "kind": crd["kind"], "metadata": meta, "spec": spec}


def _open_crd(kind: Kind) -> Object:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    names = {"plural": kind.plural, "singular": kind.kind.lower(), "kind": kind.kind, "listKind": f"{kind.kind}List"}
    version: dict[str, Any] = {
        "name": kind.api_version.rpartition("/")[2],
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
    }
    if kind.status:
        version["subresources"] = {"status": {}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{kind.group}"},
        "spec": {
            "group": kind.group,
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "names": names,
            "versions": [version],
        },
    }


def _established(plane: ControlPlane) -> set[str]:
    """Names of CRDs that are served."""

    def is_served(crd: Object) -> bool:
        found = (crd.get("status") or {}).get("conditions") or ()
        return any(c["type"] == "Established" and c["status"] == "True" for c in found)

    return {crd["metadata"]["name"] for crd in plane.client.list("customresourcedefinitions") if is_served(crd)}
