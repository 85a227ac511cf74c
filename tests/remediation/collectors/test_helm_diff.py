"""`helm_diff`: what would change, asked of helm, and never more than it says itself."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.errors import CannotSee, NotFound
from remediator.remediation.evidence import Evidence
from tests.remediation.collectors.looking import collect
from tests.remediation.test_outside_evidence import FakeCaller, calling

TOLD = {"release": "shop", "namespace": "shop", "revision": 7, "status": "deployed", "deployed": "shop-1.8.2"}
DIFF = {
    "lines": ["~ Deployment api: spec.replicas 2 -> 3", "- PersistentVolumeClaim old"],
    "changed": 1,
    "added": 0,
    "removed": 1,
    "workloads": ["Deployment/shop/api"],
    "data": ["PersistentVolumeClaim old"],
}
UPGRADE: dict[str, Any] = {**TOLD, "allowed": True, "chart": "shop", "diff": DIFF, "hooks": ["Job migrate"]}
BACK: dict[str, Any] = {**TOLD, "allowed": True, "to": {"revision": 6}, "diff": DIFF, "hooks": []}


async def diff(helm: FakeCaller | None = None, /, **args: Any) -> Evidence:
    context = calling(helm=helm) if helm else calling()
    return await collect(context, "helm_diff", **({"release": "shop"} | args))


async def test_what_an_upgrade_would_change() -> None:
    helm = FakeCaller({"upgrade": UPGRADE})
    found = await diff(helm, version="1.9.0", chart="shop", values=["prod"])
    request = {"about": "upgrade", "chart": "shop", "version": "1.9.0", "values": ["prod"]}
    assert helm.asked == [("shop", request)]
    assert found.title == "shop to shop 1.9.0, now shop-1.8.2, revision 7, deployed"
    assert found.text.splitlines() == [
        "removes what holds data: PersistentVolumeClaim old",
        *DIFF["lines"],  # type: ignore[misc]
        "hooks run: Job migrate",
    ]
    assert found.summary == "2 objects would change: 1 changed, 0 added, 1 removed, data among them"
    assert found.data == {"changed": 1, "added": 0, "removed": 1, "revision": 7}


async def test_what_going_back_would_change() -> None:
    helm = FakeCaller({"rollback": BACK})
    found = await diff(helm, revision="previous")
    assert helm.asked == [("shop", {"about": "rollback", "revision": "previous"})]
    assert found.title.startswith("shop back to revision 6, now")


async def test_no_difference_is_said() -> None:
    none = {**DIFF, "lines": [], "changed": 0, "removed": 0, "data": []}
    found = await diff(FakeCaller({"upgrade": {**UPGRADE, "diff": none, "hooks": []}}), version="1.9.0")
    assert found.text == "nothing would change"
    assert found.error == ""


async def test_a_long_difference_says_how_much_is_left_out() -> None:
    long = {**DIFF, "changed": 90}
    assert "and 89 more" in (await diff(FakeCaller({"upgrade": {**UPGRADE, "diff": long}}), version="1.9.0")).text


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        pytest.param({**UPGRADE, "allowed": False, "why": "no chart 'x'"}, "no chart 'x'", id="not listed"),
        pytest.param(NotFound("outside.helm has no 'shop'"), "outside.helm has no", id="no such release"),
        pytest.param(CannotSee("helm timed out"), "helm timed out", id="no answer"),
    ],
)
async def test_no_answer_is_not_no_difference(said: Any, problem: str) -> None:
    found = await diff(FakeCaller({"upgrade": said}), version="1.9.0")
    assert problem in found.error
    assert (found.text, found.summary) == ("", "not available")


async def test_without_helm_it_says_what_is_missing() -> None:
    assert "configured that can be asked by helm" in (await diff(version="1.9.0")).error


@pytest.mark.parametrize(
    ("args", "said"),
    [
        pytest.param({}, "exactly one of version or revision", id="neither"),
        pytest.param({"version": "1.9.0", "revision": 6}, "exactly one of version or revision", id="both"),
        pytest.param(
            {"revision": 6, "chart": "shop"}, "chart and values belong to version", id="a chart to go back to"
        ),
        pytest.param({"version": "1.9"}, "version", id="a range"),
        pytest.param({"version": "1.9.0", "release": "--all"}, "release", id="a flag"),
    ],
)
async def test_arguments(args: dict[str, Any], said: str) -> None:
    assert said in (await diff(FakeCaller({}), **args)).error
