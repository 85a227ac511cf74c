"""Durations, quantities, selectors and parameters: small texts that people write by hand."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.playbooks.durations import LONGEST, duration_of, format_duration
from remediator.playbooks.model import Param
from remediator.playbooks.params import InvalidParam, resolve_params
from remediator.playbooks.quantity import parse_quantity
from remediator.playbooks.selectors import selector_problem


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        *(
            ("90s", 90),
            ("15m", 900),
            ("2h", 7200),
            ("1h30m", 5400),
            ("7d", 604800),
            ("1.5s", 1.5),
            ("500ms", 0.5),
            ("0s", 0),
        ),
        *((90, 90), (0.25, 0.25), (timedelta(minutes=2), 120), (" 5m ", 300), ("1d2h3m4s5ms", 93784.005)),
    ],
)
def test_durations(value, seconds):
    assert duration_of(value) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "value",
    [
        *(
            "",
            "5",
            "5 m",
            "m5",
            "1m1h",
            "-5m",
            "5M",
            "1y",
            "1e3s",
            "٣s",
            True,
            None,
            [],
            -1,
            float("nan"),
            float("inf"),
        ),
        *("367d", 10**12, timedelta(days=-1), "9" * 100 + "s", "9" * 20 + "d"),
    ],
)
def test_what_is_no_duration(value):
    with pytest.raises(ValueError, match="expected"):
        duration_of(value)


@given(st.timedeltas(min_value=timedelta(0), max_value=LONGEST))
def test_a_written_duration_is_read_back(value):
    whole = value - value % timedelta(milliseconds=1)
    assert duration_of(format_duration(value)) == whole


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(
            ("100Mi", 104857600),
            ("250m", 0.25),
            ("1.5", 1.5),
            ("2k", 2000),
            ("1e3", 1000),
            ("1E", 1e18),
            ("-1Ki", -1024),
        ),
        *((".5", 0.5), (3, 3), (2.5, 2.5), ("1Ei", 2**60), ("12E2", 1200)),
    ],
)
def test_quantities(text, number):
    assert parse_quantity(text) == pytest.approx(number)
    assert type(parse_quantity(text)) is float


@pytest.mark.parametrize("text", ["", "Mi", "1 Mi", "1MB", "1e", "e3", "one", True, None, "1" * 100, "1e999"])
def test_what_is_no_quantity(text):
    with pytest.raises(ValueError, match="quantity"):
        parse_quantity(text)


@pytest.mark.parametrize(
    "text",
    [
        *("app=api", "app==api", "app in (web, api)", "app.kubernetes.io/name=api,tier!=db", "app", "app,!canary"),
        *(" app = api , tier notin (db) ", "app=api,version=v1.2_3"),
    ],
)
def test_selectors(text):
    assert selector_problem(text) == ""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "everything"),
        ("  ", "everything"),
        (",", "no label requirement"),
        ("app=api,", "no label requirement"),
        ("app=", "nothing"),
        ("app in ()", "nothing"),
        ("app in (a,)", "nothing"),
        ("!app", "may be everything"),
        ("app!=x,tier notin (a)", "may be everything"),
        ("app in a", "no label requirement"),
        ("app=a b", "no label requirement"),
        ("-app=a", "no label name"),
        ("a/b/c=d", "no label name"),
        ("app=ä", "no label value"),
        ("app=" + "x" * 64, "no label value"),
        ("app>1", "no label name"),
    ],
)
def test_selectors_that_are_refused(text, why):
    assert why in selector_problem(text)


SPECS = {
    "ratio": Param(type="number", default=0.02, min=0, max=0.1),
    "copies": Param(type="integer", min=1, max=5),
    "zone": Param(type="string", default="a", enum=("a", "b")),
    "force": Param(type="boolean", default=False),
    "wait": Param.model_validate({"type": "duration", "default": "5m", "min": "1m", "max": "1h"}),
}


class TestParams:
    def test_defaults(self):
        """A parameter without default and without value is left out, so that using it is an error."""
        found = resolve_params(SPECS, {})
        assert found == {"ratio": 0.02, "zone": "a", "force": False, "wait": timedelta(minutes=5)}

    @pytest.mark.parametrize(
        ("name", "given_value", "value"),
        [
            pytest.param("ratio", "0.05", 0.05, id="number as text, from an annotation"),
            pytest.param("ratio", 0, 0.0, id="whole number for a number"),
            pytest.param("copies", "3", 3, id="integer as text"),
            pytest.param("force", "true", True, id="boolean as text"),
            pytest.param("zone", "b", "b", id="one of the choices"),
            pytest.param("wait", "90", timedelta(seconds=90), id="seconds as text"),
            pytest.param("wait", "30m", timedelta(minutes=30), id="duration"),
        ],
    )
    def test_given_values(self, name, given_value, value):
        found = resolve_params(SPECS, {name: given_value})[name]
        assert found == value
        assert type(found) is type(value)

    @pytest.mark.parametrize(
        ("name", "given_value", "why"),
        [
            ("ratio", 0.2, "above its max"),
            ("ratio", "-1", "below its min"),
            ("ratio", "nan", "expected a number"),
            ("ratio", float("nan"), "expected a number"),
            ("ratio", True, "expected a number"),
            ("ratio", "1e-2", "expected a number"),
            ("copies", 2.0, "expected a whole number"),
            ("copies", "1_0", "expected a whole number"),
            ("copies", "٣", "expected a whole number"),
            ("copies", True, "expected a whole number"),
            ("zone", "c", "not one of"),
            ("zone", 1, "expected text"),
            ("force", "yes", "expected true or false"),
            ("force", 1, "expected true or false"),
            ("wait", "30s", "below its min"),
            ("wait", "soon", "expected a duration"),
            ("speed", 1, "there is no parameter speed"),
        ],
    )
    def test_refused_values(self, name, given_value, why):
        with pytest.raises(InvalidParam, match=why):
            resolve_params(SPECS, {name: given_value})
