"""`export_objects`: what is there, whole, and without anybody's secrets."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from remediator.adapters.simulated import FailRead, Script
from remediator.errors import CannotSee
from remediator.objects import ObjectRef
from remediator.remediation.collectors.base import MAX_TEXT
from tests.checks.simulated import Sim, manifest
from tests.remediation.collectors.looking import SECRET, collect, container

SHOP = ObjectRef("Namespace", "", "shop")


def config(name: str = "settings", **data: str) -> dict[str, Any]:
    return manifest("ConfigMap", name, data=data)


def workload(name: str = "api", **more: Any) -> dict[str, Any]:
    app = container(
        env=[
            {"name": "MODE", "value": "plain"},
            {"name": "PASSWORD", "value": SECRET},
            {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "k"}}},
        ]
    )
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [app], "initContainers": [app]}}
    spec = {"replicas": 0, "selector": {"matchLabels": {"app": name}}, "template": template}
    return manifest("Deployment", name, spec=spec, **more)


def documents(text: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(text))


async def test_a_workload_as_a_person_would_write_it() -> None:
    sim = Sim()
    copy = {"kubectl.kubernetes.io/last-applied-configuration": SECRET, "team": "web"}
    sim.put(workload(annotations=copy))
    found = await collect(sim.context(SHOP), "export_objects", kinds=["Deployment"])
    (one,) = documents(found.text)
    assert set(one) == {"apiVersion", "kind", "metadata", "spec"}
    assert one["metadata"] == {"name": "api", "namespace": "shop", "annotations": {"team": "web"}}
    pod = one["spec"]["template"]["spec"]
    for part in (*pod["containers"], *pod["initContainers"]):
        assert [one.get("value") for one in part["env"][:2]] == ["(not exported)"] * 2
        assert part["env"][2]["valueFrom"] == {"secretKeyRef": {"name": "k"}}
    assert found.summary == "1 of 1 object exported"
    assert found.private


async def test_what_looks_like_a_secret_anywhere_is_taken_out_and_it_is_still_yaml() -> None:
    sim = Sim()
    obj = workload(annotations={"example.com/token": SECRET})
    obj["spec"]["template"]["spec"]["containers"][0] |= {
        "args": ["--listen", ":8080", "--api-token", SECRET, f"--password={SECRET}", f"http://app:{SECRET}@db"],
    }
    sim.put(obj)
    found = await collect(sim.context(SHOP), "export_objects", kinds=["Deployment"], values=True)
    (one,) = documents(found.text)
    assert one["metadata"]["annotations"] == {"example.com/token": "[redacted]"}
    (app,) = one["spec"]["template"]["spec"]["containers"]
    assert [one.get("value") for one in app["env"][:2]] == ["plain", "(not exported)"]
    assert app["args"][:4] == ["--listen", ":8080", "--api-token", "[redacted]"]


async def test_values_of_a_config_map_stay_away_and_still_show_whether_they_change() -> None:
    texts = []
    for value in (SECRET, SECRET, SECRET + "2"):
        sim = Sim()
        sim.put(config(mode=value))
        texts.append((await collect(sim.context(SHOP), "export_objects", kinds=["ConfigMap"])).text)
    assert "not exported, 14 characters" in texts[0]
    assert texts[0] == texts[1] != texts[2]


async def test_values_that_are_asked_for_come_without_those_that_are_named_like_secrets() -> None:
    sim = Sim()
    sim.put(config(mode="fast", password=SECRET, url=f"postgres://app:{SECRET}@db/x"), workload())
    helm = manifest("ConfigMap", "sh.helm.release.v1.api.v1", labels={"owner": "helm"}, data={"release": SECRET})
    sim.put(helm, manifest("ConfigMap", "kube-root-ca.crt", data={"ca.crt": "PEM"}))
    found = await collect(sim.context(SHOP), "export_objects", kinds=["ConfigMap"], values=True)
    (one,) = documents(found.text)
    assert one["data"]["mode"] == "fast"
    assert one["data"]["password"].startswith("(not exported")
    assert one["data"]["url"].startswith("(not exported")


async def test_what_has_no_room_is_named_and_never_cut() -> None:
    sim = Sim()
    sim.put(*(config(f"c-{n}", **{f"k{i}": "x" for i in range(60)}) for n in range(9)))
    found = await collect(sim.context(SHOP), "export_objects", kinds=["ConfigMap"])
    whole = documents(found.text)
    assert 0 < len(whole) < 9
    assert all(len(one["data"]) == 60 for one in whole)
    assert found.truncated
    assert "# without room: ConfigMap/shop/c-" in found.text
    assert len(found.text) <= MAX_TEXT
    assert found.data["left_out"] == 9 - len(whole)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        pytest.param({"kinds": ["Secret"]}, "Secrets are never exported", id="a Secret"),
        pytest.param({"kinds": ["Application.argoproj.io"]}, "is not exported", id="an operator's object"),
        pytest.param({"kinds": []}, "at least 1 item", id="nothing"),
    ],
)
async def test_what_is_never_exported(args: Any, said: str) -> None:
    found = await collect(Sim().context(SHOP), "export_objects", **args)
    assert said in found.error
    assert found.text == ""


async def test_what_cannot_be_read_never_looks_empty() -> None:
    sim = Sim()
    sim.put(config())
    sim.cluster.faults = script = Script()
    script.read(FailRead(CannotSee("503 etcd is away")), kind="Service", times=9)
    found = await collect(sim.context(SHOP), "export_objects", kinds=["ConfigMap", "Service"])
    assert "Service: could not be read" in found.error
    assert found.text.startswith("# Service: could not be read")
    assert len(documents(found.text)) == 1
    script.read(FailRead(CannotSee("503 etcd is away")), times=99)
    assert (await collect(sim.context(SHOP), "export_objects")).summary == "not available"
