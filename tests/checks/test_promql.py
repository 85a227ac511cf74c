"""`promql`: what a number means, and above all what no number means."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest

from remediator.errors import CannotSee
from remediator.ports import Sample
from remediator.remediation.checks.base import Unknown
from remediator.remediation.checks.promql import PromqlArgs, sample
from remediator.remediation.checks.threshold import Threshold
from remediator.remediation.samples import CheckSample
from tests.checks.fakes import EFFECT, NOW, FakeQueries, context, renderer, vector

MANY = (Sample({"a": "1"}, 0.01, NOW), Sample({"a": "2"}, 0.09, NOW))


async def ask(found: Any, *, proof: Any = (), render: Any = None, **more: Any) -> CheckSample:
    queries = FakeQueries().on("errors", found).on("proof", proof)
    args: dict[str, Any] = {"query": "errors", "success": "< 0.02", "failure": "> 0.05"}
    return await sample(PromqlArgs.model_validate(args | more), context(queries=queries))


@pytest.mark.parametrize(
    ("found", "more", "answer"),
    [
        pytest.param(vector(0.01), {}, "good", id="success"),
        pytest.param(vector(0.03), {}, "unknown", id="between"),
        pytest.param(vector(0.06), {}, "bad", id="failure"),
        pytest.param(vector(0.03), {"failure": None}, "bad", id="without failure, no success is bad"),
        pytest.param(vector(math.inf), {}, "bad", id="infinite"),
        pytest.param(MANY, {}, "bad", id="one bad series is enough"),
        pytest.param(MANY, {"failure": "> 0.1"}, "unknown", id="good needs all series"),
        pytest.param(vector(0.995), {"success": ">= 99%", "failure": "< 95%"}, "good", id="percent, upwards"),
        pytest.param(vector(0.4), {"success": "< 500ms", "failure": "> 2s"}, "good", id="durations"),
    ],
)
async def test_thresholds(found: tuple[Sample, ...], more: dict[str, Any], answer: str) -> None:
    assert (await ask(found, **more)).answer == answer


@pytest.mark.parametrize(
    ("found", "success", "badness"),
    [
        pytest.param(MANY, "< 0.02", 0.09, id="the highest"),
        pytest.param(MANY, "> 0.5", -0.01, id="the lowest, turned"),
        pytest.param(MANY, "== 1", None, id="neither way is worse"),
    ],
)
async def test_badness_grows_with_what_is_worse(found: Any, success: str, badness: float | None) -> None:
    assert (await ask(found, success=success, failure=None)).badness == badness


@pytest.mark.parametrize(
    ("found", "why"),
    [
        pytest.param((), "the result is empty", id="empty"),
        pytest.param(vector(math.nan), "NaN", id="NaN"),
        pytest.param((*MANY, Sample({}, math.nan, NOW)), "NaN", id="NaN among numbers"),
        pytest.param(vector(0.01, NOW - timedelta(seconds=61)), "stale", id="stale"),
        pytest.param(vector(0.01, NOW + timedelta(seconds=61)), "ahead of our clock", id="from the future"),
        pytest.param(vector(0.01, EFFECT), "before the last effect", id="from before the effect"),
        pytest.param(CannotSee("timeout"), "timeout", id="no answer"),
    ],
)
async def test_what_proves_nothing_is_unknown(found: Any, why: str) -> None:
    with pytest.raises((Unknown, CannotSee), match=why):
        await ask(found)


@pytest.mark.parametrize(
    ("proof", "why"),
    [
        pytest.param((), "so is the query that should prove", id="nobody scrapes"),
        pytest.param(vector(0.0), "gives 0", id="up is 0"),
        pytest.param(vector(math.nan), "gives nan", id="NaN"),
        pytest.param((*vector(1.0), *vector(0.0, pod="b")), "gives 0", id="one of two is down"),
        pytest.param(vector(1.0, EFFECT), "before the last effect", id="proof from before the effect"),
        pytest.param(CannotSee("503"), "503", id="no answer"),
    ],
)
async def test_empty_is_only_a_value_while_scraping_is_proven(proof: Any, why: str) -> None:
    with pytest.raises((Unknown, CannotSee), match=why):
        await ask((), proof=proof, on_empty={"value": 0, "while": "proof"})


async def test_empty_with_proof_is_the_value_that_the_author_gave() -> None:
    """After a good rollback no 5xx series exists."""
    found = await ask((), proof=vector(7.0), on_empty={"value": 0, "while": "proof"})
    assert (found.answer, found.badness) == ("good", 0.0)


@pytest.mark.parametrize(
    ("query", "minutes", "answer"),
    [
        pytest.param("rate(errors[5m])", 5, "good", id="the window is all after the effect"),
        pytest.param("rate(errors[5m])", 4, "", id="it still holds what was before"),
        pytest.param("errors:ratio_rate5m", 4, "", id="also inside a recording rule"),
        pytest.param("errors", 1, "good", id="no window"),
    ],
)
async def test_a_window_that_reaches_back_before_the_effect_proves_nothing(
    query: str, minutes: int, answer: str
) -> None:
    args = PromqlArgs(query=query, success="< 1")
    asking = sample(
        args, context(queries=FakeQueries().on("errors", vector(0.0)), since=NOW - timedelta(minutes=minutes))
    )
    if answer:
        assert (await asking).answer == answer
    else:
        with pytest.raises(Unknown, match="reaches back before the effect until"):
            await asking


async def test_label_values_cannot_become_promql() -> None:
    queries = FakeQueries().on("errors", vector(0.0))
    args = PromqlArgs(query='errors{ns="${ns}",pod=~"${pod}-.*"}', success="< 1")
    render = renderer(ns='"} or vector(0) #', pod=".*|x")
    await sample(args, context(queries=queries, render=render))
    assert queries.asked == [r'errors{ns="\x22} or vector(0) #",pod=~"\\.\\*\\|x-.*"}']
    with pytest.raises(ValueError, match="only a number or a duration"):
        await sample(
            PromqlArgs(query="errors > ${x}", success="< 1"),
            context(queries=queries, render=renderer(x="0 or vector(0)")),
        )


async def test_without_prometheus_it_is_unknown() -> None:
    with pytest.raises(Unknown, match="no Prometheus is configured"):
        await sample(PromqlArgs(query="up", success="> 0"), context())


@pytest.mark.parametrize(
    "more",
    [
        {"success": "0.02"},
        {"success": "< many"},
        {"success": "< nan"},
        {"success": "< 1e999"},
        {"success": "< 0.05", "failure": "> 0.02"},
        {"success": "< 1", "failure": "!= 5"},
        {"on_empty": {"value": 0}},
        {"on_empty": {"value": math.nan, "while": "up"}},
        {"query": ""},
        {"treshold": 1},
    ],
    ids=str,
)
def test_arguments_that_cannot_work_are_refused_at_load(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        PromqlArgs.model_validate({"query": "up", "success": "< 1"} | more)


@pytest.mark.parametrize("text", ["< 1", "<= 1", "> 1", ">= 1", "== 1", "!= 1"])
def test_nan_satisfies_nothing(text: str) -> None:
    assert not Threshold.parse(text).holds(math.nan)
