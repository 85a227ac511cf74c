"""Reading what Alertmanager posts: leniently where fields are new to us, strictly where we act on them."""

from __future__ import annotations

import json
from contextlib import suppress
from copy import deepcopy
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remediator.alerts.alert import Alert
from remediator.alerts.fingerprint import fingerprint
from remediator.alerts.source import Source
from remediator.alerts.webhook import Webhook, parse_webhook
from remediator.errors import InvalidWebhook

SOURCE = Source(name="prod-am", cluster="prod")

FIRING: dict[str, Any] = {
    "status": "firing",
    "labels": {"alertname": "KubePodCrashLooping", "namespace": "shop", "pod": "api-7d9-x"},
    "annotations": {"summary": "<b>x</b> & y"},
    "startsAt": "2025-06-01T10:00:00.123456789Z",
    "endsAt": "0001-01-01T00:00:00Z",
    "generatorURL": "http://p/graph?g0.expr=up",
    "fingerprint": "0123456789abcdef",
}
RESOLVED: dict[str, Any] = {
    "status": "resolved",
    "labels": {"alertname": "KubePodCrashLooping", "namespace": "shop", "pod": "api-7d9-y"},
    "annotations": {},
    "startsAt": "2025-06-01T09:50:00Z",
    "endsAt": "2025-06-01T10:01:00Z",
    "generatorURL": "",
    "fingerprint": "fedcba9876543210",
}
MESSAGE: dict[str, Any] = {
    "receiver": "team\\.x",
    "status": "firing",
    "alerts": [FIRING, RESOLVED],
    "notification_reason": "some alerts resolved",
    "groupLabels": {"alertname": "KubePodCrashLooping"},
    "commonLabels": {"alertname": "KubePodCrashLooping", "namespace": "shop"},
    "commonAnnotations": {},
    "routeLabels": {},
    "externalURL": "http://am:9093",
    "version": "4",
    "groupKey": '{}:{alertname="KubePodCrashLooping"}',
    "truncatedAlerts": 3,
}

MISSING = object()


def parse(message: object, source: Source = SOURCE) -> Webhook:
    return parse_webhook(json.dumps(message).encode(), source=source)


def with_alert(**changes: object) -> dict[str, Any]:
    """The message with one alert, of which fields are replaced or left out."""
    message = deepcopy(MESSAGE)
    alert = {**message["alerts"][0], **changes}
    message["alerts"] = [{name: value for name, value in alert.items() if value is not MISSING}]
    return message


def test_mixed_group_is_read_whole():
    """Firing and resolved alerts of one message, with everything a later stage needs."""
    webhook = parse(MESSAGE)
    assert webhook.group_key == '{}:{alertname="KubePodCrashLooping"}'
    assert webhook.receiver == "team\\.x"
    assert webhook.truncated == 3
    assert webhook.external_url == "http://am:9093"
    assert webhook.alerts == (
        Alert(
            fingerprint="0123456789abcdef",
            status="firing",
            labels=FIRING["labels"],
            annotations=FIRING["annotations"],
            starts_at=datetime(2025, 6, 1, 10, 0, 0, 123456, tzinfo=UTC),
            ends_at=None,
            generator_url="http://p/graph?g0.expr=up",
            group_key='{}:{alertname="KubePodCrashLooping"}',
            source="prod-am",
            cluster="prod",
        ),
        Alert(
            fingerprint="fedcba9876543210",
            status="resolved",
            labels=RESOLVED["labels"],
            annotations={},
            starts_at=datetime(2025, 6, 1, 9, 50, tzinfo=UTC),
            ends_at=datetime(2025, 6, 1, 10, 1, tzinfo=UTC),
            group_key='{}:{alertname="KubePodCrashLooping"}',
            source="prod-am",
            cluster="prod",
        ),
    )


def test_only_what_we_use_is_needed():
    """Whatever an older, newer or simpler sender leaves out or adds is no reason to lose an alert."""
    webhook = parse({"version": "4", "alerts": [{k: FIRING[k] for k in ("status", "labels", "startsAt")}], "new": [1]})
    (alert,) = webhook.alerts
    assert alert.fingerprint == fingerprint(FIRING["labels"])
    assert (alert.annotations, alert.generator_url, alert.group_key) == ({}, "", "")
    assert (webhook.group_key, webhook.receiver, webhook.truncated, webhook.external_url) == ("", "", 0, "")


@pytest.mark.parametrize("field", ["annotations", "endsAt", "generatorURL", "fingerprint"])
def test_null_counts_as_missing(field):
    """Optional fields may be null."""
    assert parse(with_alert(**{field: None})) == parse(with_alert(**{field: MISSING}))


def test_no_alerts_is_a_message_too():
    """An empty list is nothing to do, not an error."""
    assert parse({"version": "4", "alerts": []}).alerts == ()


def test_label_names_are_any_text():
    """Alertmanager 0.27+ allows UTF-8 label names."""
    labels = {"alertname": "X", "über.label/1": "ja", "": "odd"}
    assert parse(with_alert(labels=labels)).alerts[0].labels == labels


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("2025-06-01T10:00:00Z", datetime(2025, 6, 1, 10, tzinfo=UTC), id="seconds"),
        pytest.param("2025-06-01T10:00:00.5Z", datetime(2025, 6, 1, 10, 0, 0, 500000, tzinfo=UTC), id="tenth"),
        pytest.param("2025-06-01T10:00:00.999999999Z", datetime(2025, 6, 1, 10, 0, 0, 999999, tzinfo=UTC), id="nanos"),
        pytest.param("2025-06-01T10:00:00+05:30", datetime(2025, 6, 1, 4, 30, tzinfo=UTC), id="offset east"),
        pytest.param(
            "2025-06-01T10:00:00.1234567-08:00", datetime(2025, 6, 1, 18, 0, 0, 123456, tzinfo=UTC), id="west"
        ),
        pytest.param("2025-06-01T10:00:00+00:00", datetime(2025, 6, 1, 10, tzinfo=UTC), id="zero offset"),
    ],
)
def test_times_become_utc(text, expected):
    """RFC 3339 with any offset; nanoseconds are cut."""
    starts_at = parse(with_alert(startsAt=text)).alerts[0].starts_at
    assert starts_at == expected
    assert starts_at.tzinfo is UTC


@pytest.mark.parametrize("ends_at", ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00+05:30", "0001-01-01T05:00:00-08:00"])
@pytest.mark.parametrize("status", ["firing", "resolved"])
def test_zero_time_is_none(ends_at, status):
    """Go's zero time is no time, with any offset (arithmetic on it would overflow)."""
    assert parse(with_alert(status=status, endsAt=ends_at)).alerts[0].ends_at is None


def test_firing_alert_has_not_ended():
    """Other senders put a future `endsAt` on firing alerts; that is when they would expire."""
    assert parse(with_alert(endsAt="2025-06-01T10:05:00Z")).alerts[0].ends_at is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            {"labels": {"alertname": 1}}, "alerts[0].labels.alertname: expected a string, got number", id="number"
        ),
        pytest.param({"labels": {"a": True}}, "alerts[0].labels.a: expected a string, got boolean", id="boolean"),
        pytest.param({"labels": {"a b": []}}, "alerts[0].labels['a b']: expected a string, got array", id="odd name"),
        pytest.param({"labels": {"a": None}}, "alerts[0].labels.a: expected a string, got nothing", id="null value"),
        pytest.param({"labels": []}, "alerts[0].labels: expected an object, got array", id="labels array"),
        pytest.param({"labels": MISSING}, "alerts[0].labels: expected an object, got nothing", id="labels missing"),
        pytest.param({"labels": {}}, "alerts[0].labels: expected at least one label", id="labels empty"),
        pytest.param({"annotations": {"s": {}}}, "alerts[0].annotations.s: expected a string, got object", id="nested"),
        pytest.param({"annotations": "x"}, "alerts[0].annotations: expected an object, got string", id="annotations"),
        pytest.param({"status": "on"}, 'alerts[0].status: expected "firing" or "resolved", got \'on\'', id="status"),
        pytest.param({"status": MISSING}, "alerts[0].status: expected", id="status missing"),
        pytest.param({"startsAt": MISSING}, "alerts[0].startsAt: missing or zero", id="no start"),
        pytest.param({"startsAt": "0001-01-01T00:00:00Z"}, "alerts[0].startsAt: missing or zero", id="zero start"),
        pytest.param(
            {"startsAt": "2025-06-01T10:00:00"}, "alerts[0].startsAt: expected a time with offset", id="naive"
        ),
        pytest.param({"startsAt": "yesterday"}, "alerts[0].startsAt: expected a time with offset", id="no time"),
        pytest.param({"startsAt": 1748772000}, "alerts[0].startsAt: expected a string, got number", id="unix time"),
        pytest.param({"startsAt": "9999-12-31T23:59:59-01:00"}, "alerts[0].startsAt: expected a time", id="overflow"),
        pytest.param({"status": "resolved", "endsAt": "soon"}, "alerts[0].endsAt: expected a time", id="bad end"),
        pytest.param({"fingerprint": "0123"}, "alerts[0].fingerprint: expected 16 hex digits", id="short"),
        pytest.param({"fingerprint": "0123456789abcdeg"}, "alerts[0].fingerprint: expected 16 hex", id="not hex"),
        pytest.param({"fingerprint": 7}, "alerts[0].fingerprint: expected a string, got number", id="no text"),
        pytest.param({"generatorURL": []}, "alerts[0].generatorURL: expected a string, got array", id="url"),
    ],
)
def test_bad_alert_is_named(change, message):
    """The message says which field of which alert, and what was expected there."""
    with pytest.raises(InvalidWebhook) as caught:
        parse(with_alert(**change))
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            {"version": MISSING}, "version: missing; is this receiver's `payload` customised?", id="no version"
        ),
        pytest.param({"version": 4}, 'version: expected "4", got 4', id="version number"),
        pytest.param({"version": "5"}, "version: expected \"4\", got '5'", id="next version"),
        pytest.param({"alerts": MISSING}, "alerts: expected an array, got nothing; is this receiver's", id="no alerts"),
        pytest.param({"alerts": {}}, "alerts: expected an array, got object", id="alerts object"),
        pytest.param({"alerts": [1]}, "alerts[0]: expected an object, got number", id="alert number"),
        pytest.param({"groupKey": 1}, "groupKey: expected a string, got number", id="group key"),
        pytest.param({"receiver": []}, "receiver: expected a string, got array", id="receiver"),
        pytest.param({"externalURL": {}}, "externalURL: expected a string, got object", id="url"),
        pytest.param({"truncatedAlerts": -1}, "truncatedAlerts: expected a whole number of at least 0", id="negative"),
        pytest.param({"truncatedAlerts": True}, "truncatedAlerts: expected a whole number", id="boolean count"),
        pytest.param({"truncatedAlerts": 1.5}, "truncatedAlerts: expected a whole number", id="fraction"),
    ],
)
def test_bad_message_is_named(change, message):
    """The same for the fields of the message."""
    body = {name: value for name, value in {**MESSAGE, **change}.items() if value is not MISSING}
    with pytest.raises(InvalidWebhook) as caught:
        parse(body)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"NaN", b"[" * 5000, b'"\\ud800"', b'{"version": "4"'])
def test_no_json_is_refused(body):
    """Broken UTF-8, lone surrogates, deep nesting: a sender's fault, never a crash."""
    with pytest.raises(InvalidWebhook, match=r"^body: not JSON"):
        parse_webhook(body, source=SOURCE)


@pytest.mark.parametrize("body", [b"[]", b"null", b"4", b'"4"'])
def test_other_json_is_refused(body):
    """A message is an object."""
    with pytest.raises(InvalidWebhook, match=r"^body: expected a JSON object"):
        parse_webhook(body, source=SOURCE)


def test_one_bad_alert_refuses_the_message():
    """Nothing is half taken: the good alert before the bad one is not returned either."""
    message = {**MESSAGE, "alerts": [FIRING, {**RESOLVED, "labels": {"alertname": None}}]}
    with pytest.raises(InvalidWebhook, match=r"^alerts\[1\]\.labels\.alertname"):
        parse(message)


def test_hostile_text_does_not_flood_the_message():
    """What a sender sends back in our error is quoted and bounded."""
    with pytest.raises(InvalidWebhook) as caught:
        parse(with_alert(labels={"x\n" * 100_000: 1}))
    assert len(str(caught.value)) < 250
    assert "\n" not in str(caught.value)


def test_nul_becomes_a_replacement_character():
    """PostgreSQL cannot store NUL. Everything else of the text stays, also text that only looks like the escape."""
    body = json.dumps(with_alert(labels={"alertname": "a\x00b", "path": "C:\\u0000"}, annotations={"s\x00": "\\\x00"}))
    (alert,) = parse_webhook(body.encode(), source=SOURCE).alerts
    assert alert.labels == {"alertname": "a\ufffdb", "path": "C:\\u0000"}
    assert alert.annotations == {"s\ufffd": "\\\ufffd"}


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        pytest.param({"severity": "warning", "job": "foo"}, "9266ef3da838ad95", id="warning"),
        pytest.param({"severity": "critical", "job": "foo"}, "3b15fd163d36582e", id="critical"),
        pytest.param({"job": "foo", "severity": "critical"}, "3b15fd163d36582e", id="order does not count"),
        pytest.param({"job": "foo", "severity": "critical", "x": ""}, "3b15fd163d36582e", id="empty does not count"),
        pytest.param({}, "cbf29ce484222325", id="no labels"),
    ],
)
def test_fingerprint_is_alertmanagers(labels, expected):
    """The vectors come from Alertmanager."""
    assert fingerprint(labels) == expected


def test_fingerprint_is_lower_case():
    """One alert, one identity, however a sender writes it."""
    assert parse(with_alert(fingerprint="0123456789ABCDEF")).alerts[0].fingerprint == "0123456789abcdef"


def test_absent_fingerprint_is_that_of_the_sent_labels():
    """Forced labels change what an alert says, not which alert it is."""
    forced = Source(forced={"cluster": "staging"})
    for absent in (MISSING, ""):
        (alert,) = parse(with_alert(fingerprint=absent), forced).alerts
        assert alert.fingerprint == fingerprint(FIRING["labels"])
        assert alert.labels == {**FIRING["labels"], "cluster": "staging"}


# --- properties ---

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
texts = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
moments = st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001


@settings(deadline=None)
@given(st.binary() | anything.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_read_or_refused(body):
    """Whatever arrives, the only error is InvalidWebhook."""
    with suppress(InvalidWebhook):
        parse_webhook(body, source=SOURCE)


@settings(deadline=None)
@given(st.data())
def test_a_message_with_one_odd_field_is_read_or_refused(data):
    """The same one field away from a good message, where most of the code is."""
    message = with_alert()
    where = data.draw(st.sampled_from([message, message["alerts"][0], message["alerts"][0]["labels"]]))
    where[data.draw(st.sampled_from(sorted(where)))] = data.draw(anything)
    with suppress(InvalidWebhook):
        parse(message)


@settings(deadline=None)
@given(
    labels=st.dictionaries(texts, texts, min_size=1),
    annotations=st.dictionaries(texts, texts),
    starts_at=moments,
    offset_minutes=st.integers(-14 * 60, 14 * 60),
    nanos=st.integers(0, 999),
    group_key=texts,
)
def test_what_is_sent_is_what_is_read(labels, annotations, starts_at, offset_minutes, nanos, group_key):
    """Any labels, any offset, nanoseconds cut: the alert comes out as it went in."""
    local = starts_at.astimezone(timezone(timedelta(minutes=offset_minutes)))
    text = f"{local:%H:%M:%S}.{local.microsecond:06}{nanos:03}{local:%z}"
    text = f"{local.year:04}-{local:%m-%d}T{text[:-2]}:{text[-2:]}"
    message = with_alert(labels=labels, annotations=annotations, startsAt=text, fingerprint=MISSING)
    message["groupKey"] = group_key
    (alert,) = parse(message).alerts
    assert alert == Alert(
        fingerprint=fingerprint(labels),
        status="firing",
        labels=labels,
        annotations=annotations,
        starts_at=starts_at,
        generator_url=FIRING["generatorURL"],
        group_key=group_key,
        source="prod-am",
        cluster="prod",
    )
