"""What the log looks like, and that no secret gets into it."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from remediator.logs import set_up_logging


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """Logging is global; leave it as pytest set it up."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


def logged(**given: object) -> dict[str, object]:
    """One event through the whole chain."""
    out = io.StringIO()
    set_up_logging(secrets=["s3cr3t-of-ours"], stream=out)
    structlog.get_logger("test").info("happened", **given)
    found: dict[str, object] = json.loads(out.getvalue())
    return found


def test_one_json_object_a_line() -> None:
    found = logged(remediation="r-1", count=3, ok=True, nothing=None)
    assert found.pop("at").endswith("Z")  # type: ignore[attr-defined]
    assert found == {
        "event": "happened",
        "level": "info",
        "remediation": "r-1",
        "count": 3,
        "ok": True,
        "nothing": None,
    }


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"error": "401 for Bearer s3cr3t-of-ours"}, id="known, in a text"),
        pytest.param({"token": "s3cr3t-0f-theirs"}, id="by the name of the key"),
        pytest.param({"header": "Authorization: Bearer s3cr3t-0f-theirs"}, id="by form"),
        pytest.param({"body": {"deep": [{"password": "s3cr3t-0f-theirs"}]}}, id="deep inside"),
        pytest.param({"line": "password=s3cr3t-0f-theirs"}, id="name inside a text"),
        pytest.param({"error": ValueError("password=s3cr3t-0f-theirs")}, id="an exception as value"),
    ],
)
def test_secrets_stay_out(given: dict[str, object]) -> None:
    assert "s3cr3t" not in json.dumps(logged(**given))


def test_secrets_stay_out_of_tracebacks_and_of_what_libraries_say() -> None:
    out = io.StringIO()
    set_up_logging(secrets=["s3cr3t-of-ours"], stream=out)
    try:
        raise ValueError("could not log in with s3cr3t-of-ours")
    except ValueError:
        structlog.get_logger("test").exception("failed")
        logging.getLogger("some.library").exception("it failed: %s", "s3cr3t-of-ours")
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["event"].partition(":")[0] for line in lines] == ["failed", "it failed"]
    assert all("Traceback" in line["exception"] for line in lines)
    assert "s3cr3t" not in out.getvalue()


def test_on_a_terminal_it_is_readable() -> None:
    out = io.StringIO()
    set_up_logging(style="console", stream=out)
    try:
        raise ValueError("password=hush-hush")
    except ValueError:
        structlog.get_logger("test").exception("happened", remediation="r-1", password="hush-hush")
    for part in ("happened", "r-1", "Traceback"):
        assert part in out.getvalue()
    assert "hush" not in out.getvalue()


def test_level() -> None:
    out = io.StringIO()
    set_up_logging(level="warning", stream=out)
    structlog.get_logger("test").info("quiet")
    logging.getLogger("aiohttp.access").info("quiet as well")
    structlog.get_logger("test").warning("loud")
    assert [json.loads(line)["event"] for line in out.getvalue().splitlines()] == ["loud"]
