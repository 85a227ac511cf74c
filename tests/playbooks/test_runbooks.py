"""The shipped runbooks of several steps prove each step before the next one begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from remediator.actions.registry import load_actions
from remediator.playbooks.loader import load_playbook
from remediator.playbooks.model import Playbook
from remediator.remediation.checks.registry import CHECKS

PLAYBOOKS = Path(__file__).parents[2] / "playbooks"
RUNBOOKS = {
    # playbook: the actions in their order, and a check at the end that asks from the users' side
    "workloads/restart-platform-in-order": (("rollout_restart",) * 7, "promql"),
    "databases/promote-standby": (("cnpg_promote",), "exec_check"),
    "certificates/certificate-emergency": (("renew_certificate", "rollout_restart"), "tls"),
    "airflow/upgrade-airflow": (("velero_backup", "helm_upgrade"), "http"),
}


def read(name: str) -> Playbook:
    checks = {kind: found.args for kind, found in CHECKS.items()}
    text = (PLAYBOOKS / f"{name}.yaml").read_text(encoding="utf-8")
    return load_playbook(text, name, actions=load_actions(), checks=checks, collectors=None).playbook


def unproved(playbook: Playbook) -> list[str]:
    """Actions after which the next step begins without a look: no `verify`, and no check step right behind."""
    behind = (*playbook.steps[1:], None)
    return [
        f"steps[{number}] {step.action}"
        for number, (step, after) in enumerate(zip(playbook.steps, behind, strict=True))
        if step.action and not step.verify and not (after is not None and after.check)
    ]


@pytest.mark.parametrize("name", RUNBOOKS)
def test_each_action_is_proved_before_the_next_step(name: str) -> None:
    playbook = read(name)
    assert tuple(step.action for step in playbook.steps if step.action) == RUNBOOKS[name][0]
    assert unproved(playbook) == []


@pytest.mark.parametrize("name", RUNBOOKS)
def test_the_end_is_proved_from_the_side_of_those_who_use_it(name: str) -> None:
    playbook = read(name)
    kinds = {check.kind for check in playbook.verify.checks} | set(playbook.steps[-1].verify or {})
    assert RUNBOOKS[name][1] in kinds


def test_a_step_without_a_proof_is_found() -> None:
    playbook = read("airflow/upgrade-airflow")
    bare = playbook.model_copy(update={"steps": tuple(step for step in playbook.steps if step.check is None)})
    assert unproved(bare) == ["steps[1] velero_backup"]
