"""What people have said: pause, silenced, protect, mode, and the store that remembers."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from remediator.actions.change import FieldChange
from remediator.guardrails import mode, pause, protect, silenced, store_history
from remediator.guardrails.facts import EffectiveLimits, Pause
from remediator.guardrails.verdict import Answer
from remediator.playbooks.model import Mode
from remediator.ports import Silence
from tests.actions.make import NOW, deployment, hpa, pod
from tests.guardrails.make import MINUTE, a_patch, alert, facts, restart, scale, target

NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}


def namespace(**annotations: str) -> dict[str, Any]:
    return {**NAMESPACE, "metadata": {"name": "shop", "annotations": annotations}}


# --- pause ------------------------------------------------------------------------------------------------------------


def paused(scope: str, until: timedelta | None = None) -> Pause:
    return Pause(
        id="p-1", scope=scope, who="ann", why="migration", until=None if until is None else NOW + until, created_at=NOW
    )


@pytest.mark.parametrize(
    ("scope", "answer"),
    [
        pytest.param("everything", Answer.HOLD, id="everything"),
        pytest.param("playbook:restart-api", Answer.HOLD, id="this playbook"),
        pytest.param("playbook:other", Answer.PASS, id="another playbook"),
        pytest.param("namespace:prod/shop", Answer.HOLD, id="this namespace"),
        pytest.param("namespace:test/shop", Answer.PASS, id="this namespace of another cluster"),
        pytest.param("namespace:prod/sho", Answer.PASS, id="a namespace whose name begins the same"),
        pytest.param("target:prod/Deployment/shop/api", Answer.HOLD, id="this target"),
        pytest.param("target:prod/Deployment/shop/web", Answer.PASS, id="another target"),
        pytest.param("target:test/Deployment/shop/api", Answer.PASS, id="this target of another cluster"),
    ],
)
def test_pause_scopes(scope, answer):
    assert pause.check(facts(pauses=(paused(scope),))).answer is answer


@pytest.mark.parametrize(
    ("until", "answer"),
    [
        pytest.param(timedelta(seconds=1), Answer.HOLD, id="for another second"),
        pytest.param(timedelta(0), Answer.PASS, id="just over"),
        pytest.param(None, Answer.HOLD, id="until somebody resumes it"),
    ],
)
def test_pause_ends(until, answer):
    assert pause.check(facts(pauses=(paused("everything", until),))).answer is answer


def test_pause_says_who_why_and_until_when():
    verdict = pause.check(facts(pauses=(paused("everything", 90 * MINUTE),), zone="Europe/Berlin"))
    assert verdict.reason == "everything is paused by ann: migration"
    assert verdict.changes == "ends at 15:30 Europe/Berlin, or with: remediator resume p-1"
    verdict = pause.check(facts(pauses=(paused("everything"),)))
    assert verdict.changes == "until somebody says: remediator resume p-1"


def test_a_pause_of_the_autoscaler_stops_a_change_of_its_bound():
    """Everything that would be written counts, not only the target."""
    scaler = hpa()
    change = replace(restart(deployment()), effects=(a_patch(scaler, FieldChange(("spec", "minReplicas"), 2, 4)),))
    one = target(change=change, hpas=(scaler,))
    held = facts(one, pauses=(paused("target:prod/HorizontalPodAutoscaler/shop/api"),))
    assert pause.check(held).answer is Answer.HOLD


@pytest.mark.parametrize(
    ("one", "answer"),
    [
        pytest.param(
            target(deployment(annotations={"remediator.dev/pause": "upgrade"})), Answer.HOLD, id="on the object"
        ),
        pytest.param(target(deployment(annotations={"remediator.dev/pause": ""})), Answer.HOLD, id="without a reason"),
        pytest.param(target(namespace=namespace(**{"remediator.dev/pause": "x"})), Answer.HOLD, id="on the namespace"),
        pytest.param(target(namespace=namespace()), Answer.PASS, id="neither"),
    ],
)
def test_pause_by_annotation(one, answer):
    assert pause.check(facts(one)).answer is answer


@pytest.mark.parametrize("guard", [pause, protect], ids=["pause", "protect"])
def test_a_namespace_that_cannot_be_read_holds(guard):
    verdict = guard.check(facts(target(unreadable={"namespace": "403"})))
    assert verdict.answer is Answer.HOLD
    assert verdict.cannot_see


# --- silenced ---------------------------------------------------------------------------------------------------------


def silence(*matchers: str, by: str = "ann", ends: timedelta = MINUTE) -> Silence:
    return Silence(id="s-1", created_by=by, comment="known", ends_at=NOW + ends, matchers=matchers)


@pytest.mark.parametrize(
    ("silences", "answer"),
    [
        pytest.param(None, Answer.NOT_APPLICABLE, id="no Alertmanager"),
        pytest.param((), Answer.PASS, id="no silence"),
        pytest.param((silence('alertname="X"'),), Answer.DENY, id="this alert"),
        pytest.param((silence('alertname="X"', 'namespace="shop"'),), Answer.DENY, id="all matchers hold"),
        pytest.param((silence('alertname="X"', 'namespace="web"'),), Answer.PASS, id="one matcher does not hold"),
        pytest.param((silence('alertname=~"X|Y"'),), Answer.DENY, id="a regex"),
        pytest.param((silence('alertname!="X"'),), Answer.PASS, id="not this alert"),
        pytest.param((silence('alertname="X"', by="remediator"),), Answer.PASS, id="our own"),
        pytest.param((silence('alertname="X"', ends=timedelta(0)),), Answer.PASS, id="over"),
        pytest.param((silence('alertname="Y"'), silence('alertname="X"')), Answer.DENY, id="the second one"),
    ],
)
def test_silenced(silences, answer):
    assert silenced.check(facts(silences=silences)).answer is answer


def test_one_silenced_alert_of_several_cancels():
    several = (alert(pod="a"), alert(pod="b"))
    assert silenced.check(facts(alerts=several, silences=(silence('pod="b"'),))).answer is Answer.DENY


@pytest.mark.parametrize("matchers", [(), ("{}",), ('alertname=~"(?=x)"',), ("nonsense",)])
def test_a_silence_that_cannot_be_read_may_be_one_that_matches(matchers):
    verdict = silenced.check(facts(silences=(silence(*matchers),)))
    assert verdict.answer is Answer.HOLD
    assert verdict.cannot_see


def test_silenced_says_who_and_why():
    assert silenced.check(facts(silences=(silence('alertname="X"'),))).reason == "X is silenced by ann: known"


# --- protect ----------------------------------------------------------------------------------------------------------

PROTECTED = frozenset({"kube-system", "shop"})


@pytest.mark.parametrize(
    ("one", "namespaces", "answer"),
    [
        pytest.param(target(), frozenset({"kube-system"}), Answer.PASS, id="elsewhere"),
        pytest.param(target(), PROTECTED, Answer.DENY, id="a protected namespace"),
        pytest.param(target(named=True), PROTECTED, Answer.PASS, id="named one by one"),
        pytest.param(
            target(deployment(annotations={"remediator.dev/protect": "true"})), frozenset(), Answer.DENY, id="object"
        ),
        pytest.param(
            target(deployment(annotations={"remediator.dev/protect": ""})), frozenset(), Answer.DENY, id="no value"
        ),
        pytest.param(
            target(deployment(annotations={"remediator.dev/protect": "false"})),
            frozenset(),
            Answer.PASS,
            id="object: false",
        ),
        pytest.param(
            target(deployment(annotations={"remediator.dev/protect": "true"}), named=True),
            frozenset(),
            Answer.DENY,
            id="the owner's word is stronger than the playbook's",
        ),
        pytest.param(
            target(namespace=namespace(**{"remediator.dev/protect": "true"})),
            frozenset(),
            Answer.DENY,
            id="its namespace",
        ),
    ],
)
def test_protect(one, namespaces, answer):
    assert protect.check(facts(one, protected_namespaces=namespaces)).answer is answer


def test_protect_looks_at_the_root_too():
    """A pod in an ordinary place may belong to something that is not."""
    one = target()
    one = replace(one, root=replace(one.root, namespace="kube-system"))
    assert protect.check(facts(one)).answer is Answer.DENY


def test_protect_covers_an_autoscaler_that_would_be_written():
    scaler = hpa()
    scaler["metadata"]["annotations"] = {"remediator.dev/protect": "true"}
    change = replace(restart(deployment()), effects=(a_patch(scaler, FieldChange(("spec", "minReplicas"), 2, 4)),))
    assert protect.check(facts(target(change=change, hpas=(scaler,)))).answer is Answer.DENY
    assert protect.check(facts(target(hpas=(scaler,)))).answer is Answer.PASS


def test_protect_covers_the_namespace_object_itself():
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system", "uid": "u"}}
    assert protect.check(facts(target(space, restart(space)))).answer is Answer.DENY


# --- mode -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "ceiling", "approved", "answer"),
    [
        pytest.param(Mode.OBSERVE, Mode.AUTO, False, Answer.SUGGEST, id="observe"),
        pytest.param(Mode.OBSERVE, Mode.AUTO, True, Answer.SUGGEST, id="observe, whatever anybody approves"),
        pytest.param(Mode.SUGGEST, Mode.AUTO, False, Answer.SUGGEST, id="suggest"),
        pytest.param(Mode.APPROVE, Mode.AUTO, False, Answer.ASK, id="approve"),
        pytest.param(Mode.APPROVE, Mode.AUTO, True, Answer.PASS, id="approved"),
        pytest.param(Mode.AUTO, Mode.AUTO, False, Answer.PASS, id="auto"),
        pytest.param(Mode.AUTO, Mode.APPROVE, False, Answer.ASK, id="auto above the ceiling asks"),
        pytest.param(Mode.AUTO, Mode.OBSERVE, True, Answer.SUGGEST, id="a ceiling of observe"),
    ],
)
def test_mode(wanted, ceiling, approved, answer):
    limits = EffectiveLimits(mode=wanted, mode_ceiling=ceiling)
    assert mode.check(facts(limits=limits, approved=approved)).answer is answer


def test_the_ceiling_is_named_only_where_it_counts():
    assert mode.check(facts(limits=EffectiveLimits(mode=Mode.AUTO, mode_ceiling=Mode.APPROVE))).reason == (
        "mode auto, the ceiling here is approve"
    )
    assert mode.check(facts(limits=EffectiveLimits(mode=Mode.APPROVE, mode_ceiling=Mode.AUTO))).reason == "mode approve"


def test_a_change_that_needs_a_person_asks_in_auto_too():
    one = target(change=replace(restart(deployment()), needs_approval="revision 3 was never seen healthy"))
    verdict = mode.check(facts(one))
    assert verdict.answer is Answer.ASK
    assert "revision 3 was never seen healthy" in verdict.reason
    assert mode.check(facts(one, approved=True)).answer is Answer.PASS


# --- store_history ----------------------------------------------------------------------------------------------------


def test_a_marker_that_the_journal_lacks_holds():
    verdict = store_history.check(facts(unknown_marker="r-9/0.0"))
    assert verdict.answer is Answer.HOLD
    assert "store history is missing" in verdict.reason
    assert "r-9/0.0" in verdict.reason
    assert store_history.check(facts()).answer is Answer.PASS


def test_pause_and_protect_say_the_gravest_of_several_targets():
    other = deployment(metadata={"name": "web"}, annotations={"remediator.dev/protect": "true"})
    verdict = protect.check(facts(target(), target(other, scale(other, 3, 4))))
    assert verdict.answer is Answer.DENY
    assert verdict.reason.startswith("Deployment shop/web: ")


@pytest.mark.parametrize("guard", [protect], ids=["protect"])
def test_no_target_is_never_a_pass(guard):
    with pytest.raises(ValueError, match="no target"):
        guard.check(replace(facts(), targets=()))


def test_a_pod_is_no_workload_but_still_paused_or_not():
    one = pod("x", deployment())
    assert pause.check(facts(target(one, restart(one)))).answer is Answer.PASS
