"""helm on the real API server: what it says of a release, one upgrade, back again, and what is refused."""

from __future__ import annotations

import re
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from remediator.adapters.callers.helm import HelmCaller
from remediator.adapters.callers.helm_program import Helm
from remediator.errors import CannotSee, Conflict, NotFound, Refused, Unavailable, Uncertain
from remediator.outside_helm import HelmRelease
from tests.support.controlplane import ControlPlane, command

pytestmark = pytest.mark.controlplane

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {helm.sh/chart: "{{ .Chart.Name }}-{{ .Chart.Version }}"}}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: app
          image: {{ required "image is needed" .Values.image | quote }}
          env: [{name: WELCOME, value: {{ .Values.welcome | quote }}}]
"""
SECRET = """
apiVersion: v1
kind: Secret
metadata: {name: web}
stringData: {password: {{ .Values.password | quote }}}
"""
MIGRATE = """
apiVersion: v1
kind: ConfigMap
metadata: {name: migrate, annotations: {"helm.sh/hook": "pre-upgrade,post-rollback"}}
"""
BROKEN = """
apiVersion: v1
kind: Service
metadata: {name: broken}
spec: {ports: [{port: {{ .Values.port }}}]}
"""
VALUES = {"replicas": 2, "image": "app:v1", "welcome": "hello-there", "password": "sesame-one", "port": 80}


def packed(folder: Path, version: str, **templates: str) -> Path:
    chart = folder / f"src-{version}"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text(yaml.safe_dump({"apiVersion": "v2", "name": "shop", "version": version}))
    (chart / "values.yaml").write_text(yaml.safe_dump(VALUES))
    for name, text in templates.items():
        (chart / "templates" / f"{name}.yaml").write_text(text)
    subprocess.run([*command("helm"), "package", str(chart), "-d", str(folder)], check=True, capture_output=True)
    return folder / f"shop-{version}.tgz"


class Stage:
    """A release `shop-web` at revision 1, and a caller that may change it."""

    def __init__(self, plane: ControlPlane, namespace: str, folder: Path) -> None:
        self.plane, self.namespace, self.folder = plane, namespace, folder
        self.first = packed(folder, "1.0.0", web=WEB, secret=SECRET)
        self.second = packed(folder, "1.1.0", web=WEB, secret=SECRET, migrate=MIGRATE, broken=BROKEN)
        self.values = folder / "prod.yaml"
        self.write_values(replicas=3, image="app:v2", welcome="good-bye", password="sesame-two")
        self.helm("install", "shop-web", str(self.first))

    def write_values(self, **values: Any) -> None:
        self.values.write_text(yaml.safe_dump(values))

    def helm(self, *words: str) -> str:
        argv = [*command("helm"), *words, "--kubeconfig", str(self.plane.kubeconfig), "-n", self.namespace]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout

    def caller(self, **more: Any) -> HelmCaller:
        given = {
            "name": "web",
            "release": "shop-web",
            "namespace": self.namespace,
            "charts": [{"name": "one", "chart": str(self.first)}, {"name": "two", "chart": str(self.second)}],
            "values": {"prod": str(self.values)},
            "program": command("helm")[0],
            "timeout": "30s",
            **more,
        }
        release = HelmRelease.model_validate(given)
        return HelmCaller((release,), Helm(kubeconfig=self.plane.kubeconfig, context=None))

    def replicas(self) -> int:
        found: int = self.plane.client.get("deployments", "web", self.namespace)["spec"]["replicas"]
        return found


@pytest.fixture
def stage(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> Stage:
    return Stage(control_plane, namespace, tmp_path)


@pytest.fixture
async def caller(stage: Stage) -> AsyncIterator[HelmCaller]:
    made = stage.caller()
    yield made
    await made.close()


ASK = {"about": "upgrade", "chart": "two", "version": "1.1.0", "values": ["prod"]}


async def planned(caller: HelmCaller, **more: Any) -> dict[str, Any]:
    """The request of an upgrade, as the action makes it."""
    asked = {**ASK, **more}
    found = await caller.ask("web", asked)
    request = {key: asked[key] for key in ("chart", "version", "values")}
    shas = {key: found[key] for key in ("chart_sha", "values_sha")}
    return {"do": "upgrade", "from": found["revision"], **request, **shas}


async def test_what_would_change_is_told_without_values(caller: HelmCaller, stage: Stage) -> None:
    found = await caller.ask("web", ASK)
    where = stage.namespace
    assert (found["revision"], found["status"], found["deployed"]) == (1, "deployed", "shop-1.0.0")
    assert found["diff"]["lines"] == [
        "~ Deployment web: spec.replicas 2 -> 3, spec.template.spec.containers.[app].env.[WELCOME].value, "
        "spec.template.spec.containers.[app].image app:v1 -> app:v2",
        "~ Secret web",
        "+ Service broken",
    ]
    assert found["diff"]["workloads"] == [f"Deployment/{where}/web"]
    assert found["hooks"] == ["ConfigMap migrate (pre-upgrade, post-rollback)"]
    assert not re.search("sesame|good-bye|hello-there", str(found))


async def test_an_upgrade_and_back(caller: HelmCaller, stage: Stage) -> None:
    request = await planned(caller)
    assert await caller.rehearse("web", request) == ""
    assert stage.replicas() == 2
    assert await caller.find("web", request, key="r1/0") == "unknown"
    answer = await caller.send("web", request, key="r1/0")
    assert (answer["revision"], stage.replicas()) == (2, 3)
    assert await caller.find("web", request, key="r1/0") == "happened"
    assert await caller.find("web", request, key="r2/0") == "never"

    with pytest.raises(Conflict, match="at revision 2 by now, not 1"):
        await caller.send("web", request, key="r1/0")

    back = {"do": "rollback", "from": 2, "revision": 1}
    told = await caller.ask("web", {"about": "rollback", "revision": "previous"})
    assert (told["to"]["revision"], told["diff"]["removed"]) == (1, 1)
    assert told["hooks"] == []  # revision 1 has none
    assert await caller.rehearse("web", back) == ""
    await caller.send("web", back, key="r1/undo/0")
    assert stage.replicas() == 2
    assert await caller.find("web", back, key="r1/undo/0") == "happened"
    assert await caller.find("web", {**back, "revision": 2}, key="x") == "never"
    forward = await caller.ask("web", {"about": "rollback", "revision": 2})
    assert forward["hooks"] == ["ConfigMap migrate (pre-upgrade, post-rollback)"]
    assert [one["revision"] for one in forward["history"]] == [1, 2, 3]


async def test_without_values_those_of_the_release_stay(caller: HelmCaller, stage: Stage) -> None:
    stage.helm("upgrade", "shop-web", str(stage.first), "--set", "replicas=1")
    request = await planned(caller, values=[], chart="one", version="1.0.0")
    await caller.send("web", request, key="k")
    assert stage.replicas() == 1


async def test_other_contents_than_agreed_are_not_sent(caller: HelmCaller, stage: Stage) -> None:
    request = await planned(caller)
    stage.write_values(replicas=9)
    with pytest.raises(Conflict, match="a values file of shop-web is not the one"):
        await caller.send("web", request, key="k")
    with pytest.raises(CannotSee, match="is not the one"):
        await caller.rehearse("web", request)
    assert stage.replicas() == 2


async def test_what_is_not_listed(caller: HelmCaller, stage: Stage) -> None:
    for more, why in (({"chart": "three"}, "no chart 'three'"), ({"values": ["dev"]}, "no values 'dev'")):
        found = await caller.ask("web", {**ASK, **more})
        assert not found["allowed"]
        assert why in found["why"]
    with pytest.raises(NotFound, match=r"is version 1\.1\.0, not 1\.2\.0"):
        await caller.ask("web", {**ASK, "version": "1.2.0"})
    with pytest.raises(NotFound, match="no 'other'"):
        await caller.ask("other", ASK)
    found = await caller.ask("web", {"about": "rollback", "revision": 9})
    assert found["why"] == "shop-web has no revision 9"
    request = {**await planned(caller), "values": ["/etc/passwd"]}
    with pytest.raises(Refused, match="no values '/etc/passwd'"):
        await caller.send("web", request, key="k")


async def test_a_release_that_is_not_there(stage: Stage) -> None:
    caller = stage.caller(release="nothing")
    with pytest.raises(NotFound, match="release: not found"):
        await caller.ask("web", {"about": "release"})
    await caller.close()


async def test_what_the_api_server_refuses(caller: HelmCaller, stage: Stage) -> None:
    stage.write_values(port=-5)
    request = await planned(caller)
    with pytest.raises(Uncertain, match=r"Invalid value.*revision 2 was begun"):
        await caller.send("web", request, key="r1/0")
    assert await caller.find("web", request, key="r1/0") == "happened"  # it was begun, and it has ended
    later = stage.caller()
    assert await later.find("web", request, key="r1/0") == "unknown"  # for whom nobody saw it end
    await later.close()
    back = await caller.ask("web", {"about": "rollback", "revision": "previous"})
    assert (back["status"], back["to"]["revision"]) == ("failed", 1)


async def test_a_template_that_fails_changes_nothing(caller: HelmCaller, stage: Stage) -> None:
    request = await planned(caller)
    stage.write_values(image="")
    with pytest.raises(CannotSee, match="image is needed"):
        await caller.ask("web", ASK)
    _, values_sha = await caller._helm.values(caller._places["web"], ["prod"])
    request["values_sha"] = values_sha
    with pytest.raises(Refused, match="image is needed"):
        await caller.rehearse("web", request)
    with pytest.raises(Refused, match="image is needed"):
        await caller.send("web", request, key="k")
    assert await caller.find("web", request, key="k") == "never"


async def test_somebody_elses_helm_at_work(caller: HelmCaller, stage: Stage) -> None:
    """What a helm that was killed leaves behind."""
    request = await planned(caller)
    secret = stage.plane.client.get("secrets", "sh.helm.release.v1.shop-web.v1", stage.namespace)
    record = stage.helm("history", "shop-web", "-o", "json")
    assert '"deployed"' in record
    _mark_pending(stage, secret)
    assert (await caller.ask("web", {"about": "release"}))["status"] == "pending-upgrade"
    with pytest.raises(Unavailable, match="pending-upgrade: another helm is at work"):
        await caller.send("web", request, key="k")
    assert stage.replicas() == 2


def _mark_pending(stage: Stage, secret: Any) -> None:
    """The release's record is gzipped JSON in base64, within the Secret's own base64."""
    import base64
    import gzip
    import json

    content = json.loads(gzip.decompress(base64.b64decode(base64.b64decode(secret["data"]["release"]))))
    content["info"]["status"] = "pending-upgrade"
    again = base64.b64encode(base64.b64encode(gzip.compress(json.dumps(content).encode()))).decode()
    labels = {**secret["metadata"]["labels"], "status": "pending-upgrade"}
    body = {"metadata": {"labels": labels}, "data": {"release": again}}
    name = secret["metadata"]["name"]
    stage.plane.client.patch("secrets", name, body, stage.namespace)
