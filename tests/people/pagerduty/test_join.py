"""The key of Alertmanager's own incident, computed, against what Alertmanager itself sends."""

import asyncio
import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from remediator.adapters.pagerduty_rest import PagerDutyRest
from remediator.people.join import Join, go_quoted, read_route_key
from tests.http.harness import FakeClock
from tests.support.controlplane import AlertmanagerServer
from tests.support.fake_pagerduty import FakePagerDuty
from tests.support.real_servers import started


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("written", "key"),
    [
        pytest.param("{}", "{}", id="the first route"),
        pytest.param('{}/{severity="critical"}', '{}/{severity="critical"}', id="as it is"),
        pytest.param("{}/{severity=critical}", '{}/{severity="critical"}', id="without quotes"),
        pytest.param(' {}/{ team =~ "a|b" , severity="page" } ', '{}/{severity="page",team=~"a|b"}', id="sorted"),
        pytest.param('{}/{a!~"1",a!="1",a=~"1",a="1"}', '{}/{a="1",a!="1",a=~"1",a!~"1"}', id="one name, by operator"),
        pytest.param('{}/{a="b/{c}"}/{d="}/{"}', '{}/{a="b/{c}"}/{d="}/{"}', id="braces in quotes"),
        pytest.param('{}/{path=~"C:\\\\\\\\.*",q="\\"x\\""}', '{}/{path=~"C:\\\\\\\\.*",q="\\"x\\""}', id="escapes"),
        pytest.param('{}/{"with space"="ä\\n"}', '{}/{"with space"="ä\\n"}', id="a name in quotes"),
        pytest.param('{}/{"plain"="x"}', '{}/{plain="x"}', id="a name that needs no quotes"),
    ],
)
def test_a_route_key_is_read_as_people_write_it(written: str, key: str) -> None:
    assert read_route_key(written) == key
    assert read_route_key(key) == key


@pytest.mark.parametrize("text", ["", "severity=critical", "{}/", "{}{}", "{}/{a=}/", '{}/{a="1"', "{}/{}x", "/{}"])
def test_what_is_no_route_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValidationError, match="route_key"):
        Join(route_key=text, group_by=())


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ('say "hi" \\ bye', '"say \\"hi\\" \\\\ bye"'),
        ("\a\b\f\n\r\t\v", '"\\a\\b\\f\\n\\r\\t\\v"'),
        ("\x00\x1f\x7f", '"\\x00\\x1f\\x7f"'),
        ("\x85\xa0\u200b\u202e", '"\\u0085\\u00a0\\u200b\\u202e"'),
        ("ünï 日本 €", '"ünï 日本 €"'),
        ("🚀\U000e0001", '"🚀\\U000e0001"'),
    ],
)
def test_quoting_as_go_does_it(text: str, quoted: str) -> None:
    assert go_quoted(text) == quoted


def test_labels_that_are_not_there_do_not_count() -> None:
    join = Join(route_key="{}", group_by=("alertname", "cluster", "team"))
    assert join.group({"alertname": "A", "cluster": "", "pod": "p"}) == {"alertname": "A"}
    assert join.without({"alertname": "A"}) == ("cluster", "team")
    assert join.key({"alertname": "A", "pod": "p"}) == sha('{}:{alertname="A"}')


def test_the_key_does_not_fail_on_text_that_nobody_can_send() -> None:
    assert len(Join(route_key="{}", group_by=("...",)).key({"a": "\ud800"})) == 64


def test_every_label_cannot_stand_beside_others() -> None:
    with pytest.raises(ValidationError, match="every label"):
        Join(route_key="{}", group_by=("...", "alertname"))


@pytest.mark.parametrize(
    ("group_by", "forced", "named"),
    [
        (("alertname",), ("cluster",), False),
        (("alertname", "cluster"), ("cluster",), True),
        (("...",), ("cluster",), True),
        (("...",), (), False),
        ((), ("cluster",), False),
    ],
)
def test_labels_that_a_source_writes_itself_are_not_alertmanagers(
    group_by: tuple[str, ...], forced: tuple[str, ...], named: bool
) -> None:
    objection = Join(route_key="{}", group_by=group_by).objection(forced)
    assert ("cluster" in objection) is named
    assert bool(objection) is named


# Against the real one ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """`routes` is the way from the first route down to the one with the receiver; the last ones' `group_by` counts."""

    routes: tuple[dict[str, Any], ...]
    route_key: str
    group_by: tuple[str, ...]
    labels: dict[str, str] = field(default_factory=dict)


CASES = {
    "the first route": Case(({"group_by": ["alertname"]},), "{}", ("alertname",)),
    "no grouping": Case(({},), "{}", ()),
    "every label": Case(({"group_by": ["..."]},), "{}", ("...",)),
    "nested": Case(
        (
            {"group_by": ["alertname"]},
            {"matchers": ['team="shop"']},
            {"matchers": ["severity=critical", 'env!="test"'], "group_by": ["alertname", "cluster", "missing"]},
        ),
        '{}/{team="shop"}/{severity="critical", env!="test"}',
        ("alertname", "cluster", "missing"),
    ),
    "an inherited grouping": Case(
        ({"group_by": ["team", "alertname"]}, {"matchers": ['team="shop"']}),
        '{}/{team="shop"}',
        ("alertname", "team"),
    ),
    "regular expressions": Case(
        ({}, {"matchers": ['alertname=~"Pod.*|Node[0-9]+"', 'team!~"a\\\\.b|c/d"', 'severity=~"(critical|page)"']}),
        '{}/{severity=~"(critical|page)", alertname=~"Pod.*|Node[0-9]+", team!~"a\\\\.b|c/d"}',
        (),
    ),
    "quotes and braces": Case(
        ({}, {"matchers": ['note="a \\"quoted\\" {word}/{x}, and \\\\ more"'], "group_by": ["note"]}),
        '{}/{note="a \\"quoted\\" {word}/{x}, and \\\\ more"}',
        ("note",),
        {"note": 'a "quoted" {word}/{x}, and \\ more'},
    ),
    "old matchers": Case(
        ({}, {"match": {"team": "shop"}, "match_re": {"severity": "crit.*"}, "group_by": ["alertname"]}),
        '{}/{severity=~"^(?:crit.*)$", team="shop"}',  # what Alertmanager makes of match_re
        ("alertname",),
    ),
    "two matchers of one label": Case(
        ({}, {"matchers": ['team!="x"', 'team!~"x"', 'team=~"shop"', 'team="shop"'], "group_by": ["team"]}),
        '{}/{team!~"x", team=~"shop", team="shop", team!="x"}',
        ("team",),
    ),
    "hostile values": Case(
        ({"group_by": ["evil", "alertname"]},),
        "{}",
        ("alertname", "evil"),
        {"evil": 'x\ny\t"\\ \x00\x1b[31m \u202e3 → 5 \u00a0\u200b 🚀 ünï \U000e0001, more="'},
    ),
    "names of any kind": Case(
        ({}, {"matchers": ['"über name"="x y"'], "group_by": ["über name", "a.b"]}),
        '{}/{"über name"="x y"}',
        ("a.b", "über name"),
        {"über name": "x y", "a.b": "1"},
    ),
    "names that begin alike": Case(
        ({"group_by": ["a", "a1", "ab", "a_b", "A"]},), "{}", ("a", "a1", "ab", "a_b", "A"), dict.fromkeys("aA", "v")
    ),
}
ALERT = {"alertname": "PodCrashLooping", "severity": "critical", "team": "shop", "cluster": "eu-1"}


def config(case: Case, url: str, routing_key: str) -> dict[str, Any]:
    whole: dict[str, Any] = {}
    for route in reversed(case.routes):
        whole = {**route, **({"routes": [whole]} if whole else {"receiver": "pagerduty"})}
    first = {"receiver": "pagerduty", "group_wait": "0s", "group_interval": "1s", "repeat_interval": "1h"}
    receiver = {"routing_key": routing_key, "url": url, "send_resolved": True}
    return {
        "route": {**first, **whole},
        "receivers": [{"name": "pagerduty", "pagerduty_configs": [receiver]}],
    }


@pytest.mark.controlplane
@pytest.mark.parametrize("name", CASES)
async def test_alertmanager_computes_the_same_key(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    labels = {**ALERT, **case.labels}
    join = Join(route_key=case.route_key, group_by=case.group_by)
    async with FakePagerDuty() as pagerduty:
        server = AlertmanagerServer(tmp_path, config(case, pagerduty.url, pagerduty.routing_key))
        with started(server):
            await asyncio.to_thread(server.post_alerts, {"labels": labels})
            await pagerduty.until(lambda: bool(pagerduty.incidents), timeout_s=20)
            (incident,) = pagerduty.incidents
            assert incident.dedup_key == join.key(labels)
            async with PagerDutyRest(pagerduty.token, pagerduty.user, FakeClock(), url=pagerduty.root) as rest:
                (found,) = await rest.find(join.key(labels))
                await rest.annotate(found.id, "remediator: on it")
            assert incident.notes == ["remediator: on it"]
            assert pagerduty.violations == []
