"""The shipped environments and maintenance windows: they load, and are open when they say."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from remediator.actions.registry import load_actions
from remediator.config import Config, load_config
from remediator.guardrails.calendars import parse_calendar
from remediator.guardrails.ceilings import policy_problems
from remediator.guardrails.environments import Place
from remediator.guardrails.policy import quorum_in_force
from remediator.guardrails.windows import is_open
from remediator.playbooks.loader import load_playbook
from remediator.playbooks.model import Playbook
from remediator.playbooks.windows_model import Windows
from remediator.remediation.checks.registry import CHECKS
from tests.support.alert_rules import CONFIG, read

EXAMPLE = CONFIG / "maintenance-windows.yaml"
SOURCES = [{"name": "prod", "tokens": ["/etc/remediator/secrets/webhook/token"]}]
PLANNED = {
    # name of the window: moments at which it is open, moments at which it is not
    "security patches": (
        ["2026-03-03 02:00", "2026-03-10 03:59"],
        ["2026-03-03 01:59", "2026-03-03 04:00", "2026-03-04 02:30"],
    ),
    "minor updates": (
        ["2026-03-04 02:00", "2026-03-18 03:59"],
        ["2026-03-11 02:30", "2026-03-25 02:30", "2026-03-04 04:00", "2026-03-05 02:30"],
    ),
    "major upgrades": (
        ["2026-01-03 02:00", "2026-04-04 05:59", "2026-10-03 02:00"],
        ["2026-04-11 03:00", "2026-03-07 03:00", "2026-04-04 06:00"],
    ),
    "database maintenance": (
        ["2026-03-01 03:00", "2026-04-05 04:59"],
        ["2026-03-01 05:00", "2026-03-08 03:30", "2026-03-02 03:30"],
    ),
}
FREEZE = """BEGIN:VCALENDAR
VERSION:2.0
BEGIN:VEVENT
UID:freeze-1
DTSTAMP:20260101T000000Z
DTSTART:20260302T000000Z
DTEND:20260306T000000Z
SUMMARY:quarter end
END:VEVENT
END:VCALENDAR
""".replace("\n", "\r\n")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    path = tmp_path / "remediator.yaml"
    path.write_text(yaml.safe_dump({"sources": SOURCES, **read(EXAMPLE)}))
    return load_config(path, {})


def parts() -> list[dict[str, Any]]:
    """What the comments at the end say, as YAML reads it."""
    found = re.findall(r"^#   guardrails:\n(?:#    .*\n)+", EXAMPLE.read_text(), re.MULTILINE)
    return [yaml.safe_load(re.sub("^#   ", "", part, flags=re.MULTILINE)) for part in found]


def planned() -> dict[str, Playbook]:
    """A playbook for each of these parts, by the name of its window."""
    checks = {name: kind.args for name, kind in CHECKS.items()}
    actions, found = load_actions(), {}
    for given in parts():
        whole = {
            "name": "planned-work",
            "match": {"alerts": ['alertname="Planned"']},
            "target": "from_alert",
            "steps": [{"action": "rollout_restart"}],
            **given,
        }
        text = yaml.safe_dump(whole)
        playbook = load_playbook(text, "config", actions=actions, checks=checks, collectors={}).playbook
        windows = playbook.guardrails.windows
        assert windows is not None
        found[windows.allow[0].name] = playbook
    return found


def shipped() -> list[tuple[str, dict[str, Any]]]:
    """Every window in which a shipped playbook may begin, with its name, as its file writes it."""
    files = [path for path in sorted((CONFIG.parent / "playbooks").rglob("*.yaml")) if "tests" not in path.parts]
    limits = [(path.stem, read(path).get("guardrails") or {}) for path in files]
    return [(name, span) for name, given in limits for span in (given.get("windows") or {}).get("allow", ())]


def windows_of(name: str) -> Windows:
    windows = planned()[name].guardrails.windows
    assert windows is not None
    return windows


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_the_policy_loads(config: Config) -> None:
    assert policy_problems(config.policy) == ()
    assert [e.name for e in config.policy.environments] == ["development", "staging", "production-data", "production"]


@pytest.mark.parametrize(
    ("labels", "namespace", "environment", "ceiling", "by_itself"),
    [
        ("dev", "shop", "development", "auto", ("reversible", "rollout_restart", "evict_pod")),
        ("staging", "shop", "staging", "auto", ("rollout_restart", "scale")),
        ("qa", "data", "staging", "auto", ("rollout_restart", "scale")),
        ("production", "shop", "production", "approve", None),
        ("prod", "postgres-main", "production-data", "approve", None),
    ],
)
def test_what_may_run_where(
    config: Config, labels: str, namespace: str, environment: str, ceiling: str, by_itself: tuple[str, ...] | None
) -> None:
    place = Place(cluster="c1", namespace=namespace, labels={"environment": labels})
    found = config.policy.environment_at(place)
    assert found is not None
    assert (found.name, found.mode_ceiling, found.auto) == (environment, ceiling, by_itself)


def test_where_no_environment_is_named_people_are_asked(config: Config) -> None:
    assert config.policy.environment_at(Place(cluster="c1", namespace="shop")) is None
    assert config.policy.mode_ceiling == "approve"


def test_data_in_production_wants_two_approvers(config: Config) -> None:
    playbook = next(iter(planned().values()))
    for namespace in ("data", "shop"):
        place = Place(namespace=namespace, labels={"environment": "prod"})
        assert quorum_in_force(playbook, config.policy, place, data=True) == 2
        assert quorum_in_force(playbook, config.policy, place, data=False) == 1


def test_nothing_begins_on_data_stores_while_backups_are_made(config: Config) -> None:
    found = config.policy.environment_at(Place(namespace="data", labels={"environment": "prod"}))
    assert found is not None
    assert found.windows is not None
    windows = found.windows.in_zone(config.policy.zone)
    moments = ("2026-03-03 01:59", "2026-03-03 02:00", "2026-03-03 03:59", "2026-03-03 04:00")
    assert [is_open([windows], {}, at(m)).open for m in moments] == [True, False, False, True]


def test_the_windows_for_planned_work_are_these() -> None:
    assert planned().keys() == PLANNED.keys()
    assert {tuple(windows_of(name).calendars) for name in PLANNED} == {("freeze",)}


def test_shipped_playbooks_keep_to_these_windows() -> None:
    """By their names: the same minute, days, length and zone as in the list, and no window that the list lacks."""
    listed = {span["name"]: span for part in parts() for span in part["guardrails"]["windows"]["allow"]}
    assert [f"{playbook}: {span}" for playbook, span in shipped() if listed.get(span.get("name")) != span] == []
    assert {span["name"] for _, span in shipped()} == listed.keys() == PLANNED.keys()


@pytest.mark.parametrize("name", PLANNED)
def test_a_window_is_open_when_it_says(name: str) -> None:
    freeze = {"freeze": parse_calendar(FREEZE.replace("2026", "2020"), "freeze", "UTC")}
    inside, outside = PLANNED[name]
    assert [m for m in inside if not is_open([windows_of(name)], freeze, at(m)).open] == []
    assert [m for m in outside if is_open([windows_of(name)], freeze, at(m)).open] == []


def test_a_freeze_beats_a_window() -> None:
    freeze = {"freeze": parse_calendar(FREEZE, "freeze", "UTC")}
    moments = ("2026-03-03 02:30", "2026-03-10 02:30")
    assert [is_open([windows_of("security patches")], freeze, at(m)).open for m in moments] == [False, True]


def test_alertmanager_mutes_in_the_same_windows() -> None:
    """Its intervals have the same names, days and hours, in words of their own."""
    intervals = {i["name"]: i["time_intervals"] for i in read(CONFIG / "alertmanager.yml")["time_intervals"]}
    assert intervals.keys() == {name.replace(" ", "-") for name in PLANNED}
    for name, (inside, outside) in PLANNED.items():
        spans = intervals[name.replace(" ", "-")]
        assert {span["location"] for span in spans} == {"UTC"}
        assert [m for m in inside if not any(_within(span, at(m)) for span in spans)] == []
        assert [m for m in outside if any(_within(span, at(m)) for span in spans)] == []


def _within(span: dict[str, Any], moment: datetime) -> bool:
    """What Alertmanager makes of a time interval; ends are open."""
    days = [tuple(map(int, part.split(":"))) for part in span.get("days_of_month", ["1:31"])]
    hours = [(t["start_time"], t["end_time"]) for t in span["times"]]
    return (
        f"{moment:%A}".lower() in span["weekdays"]
        and f"{moment:%B}".lower() in span.get("months", [f"{moment:%B}".lower()])
        and any(first <= moment.day <= last for first, last in days)
        and any(start <= f"{moment:%H:%M}" < end for start, end in hours)
    )
