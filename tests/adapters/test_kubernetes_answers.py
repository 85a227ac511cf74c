"""What an answer of the API server means to us."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.adapters.answers import effect_error, parse_answer, read_error
from remediator.errors import (
    CannotSee,
    Conflict,
    EffectError,
    Forbidden,
    NotFound,
    ReadError,
    Refused,
    TargetGone,
    Unavailable,
    Uncertain,
)

UID = "the UID in the precondition (a) does not match the UID in record (b). The object might have been recreated"
RBAC = 'deployments.apps "web" is forbidden: User "u" cannot patch resource "deployments" in API group "apps"'
QUOTA = 'pods "web" is forbidden: exceeded quota: q, requested: pods=1, used: pods=5, limited: pods=5'
BUDGET = {"causes": [{"reason": "DisruptionBudget", "message": "The disruption budget web needs 2 healthy pods"}]}


NAMED = {"name": "web", "kind": "deployments"}


def status(code: int, reason: str, message: str = "", details: Any = None) -> tuple[int, bytes]:
    body = {"kind": "Status", "reason": reason, "message": message, "details": details, "code": code}
    return code, json.dumps(body).encode()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        pytest.param(status(400, "BadRequest"), Refused, id="400"),
        pytest.param(status(401, "Unauthorized"), Unavailable, id="401: credentials, not the request"),
        pytest.param(status(403, "Forbidden", RBAC), Refused, id="403"),
        pytest.param(status(404, "NotFound", details=NAMED), TargetGone, id="404"),
        pytest.param(status(404, "NotFound", details={}), Refused, id="404 of a resource that is not served"),
        pytest.param((404, b"404 page not found"), Refused, id="404 of a group that is not served"),
        pytest.param((404, b"<html>gone fishing</html>"), Refused, id="404 of a proxy"),
        pytest.param((408, b""), Uncertain, id="408"),
        pytest.param(status(409, "Conflict", "the object has been modified"), Conflict, id="409"),
        pytest.param(status(409, "AlreadyExists", "already exists"), Conflict, id="409 AlreadyExists"),
        pytest.param(status(409, "Conflict", UID), TargetGone, id="409 about the uid"),
        pytest.param(
            status(409, "Conflict", "Precondition failed: UID in precondition: a, UID in object meta: b"),
            TargetGone,
            id="409 about the uid, as storage words it",
        ),
        pytest.param(status(413, "RequestEntityTooLarge"), Refused, id="413"),
        pytest.param(status(415, "UnsupportedMediaType"), Refused, id="415"),
        pytest.param(status(422, "Invalid", "spec.replicas: Invalid value"), Refused, id="422"),
        pytest.param(
            status(422, "Invalid", 'x is invalid: metadata.uid: Invalid value: "1": field is immutable'),
            TargetGone,
            id="422 about the uid of a patch",
        ),
        pytest.param(status(429, "TooManyRequests"), Unavailable, id="429"),
        pytest.param((429, b"Too many requests, please try again later.\n"), Unavailable, id="429 as text"),
        pytest.param(status(500, "InternalError"), Uncertain, id="500"),
        pytest.param(
            status(500, "", "This pod has more than one PodDisruptionBudget, which is not supported"),
            Refused,
            id="500 that will never pass",
        ),
        pytest.param((502, b"<html>Bad Gateway</html>"), Uncertain, id="502"),
        pytest.param(status(503, "ServiceUnavailable"), Uncertain, id="503"),
        pytest.param(status(504, "Timeout"), Uncertain, id="504"),
        pytest.param((302, b""), Uncertain, id="a redirect"),
        pytest.param((600, b""), Uncertain, id="nonsense"),
    ],
)
def test_what_a_failed_write_means(answer: tuple[int, bytes], error: type[EffectError]) -> None:
    assert type(effect_error(parse_answer(answer[0], {}, answer[1]))) is error


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        pytest.param(status(404, "NotFound", details=NAMED), NotFound, id="404"),
        pytest.param(status(404, "NotFound", details={}), CannotSee, id="404 of a resource that is not served"),
        pytest.param((404, b"404 page not found"), CannotSee, id="404 of a group that is not served"),
        pytest.param(status(403, "Forbidden", RBAC), Forbidden, id="403"),
        pytest.param(status(400, "BadRequest"), CannotSee, id="400"),
        pytest.param(status(401, "Unauthorized"), CannotSee, id="401"),
        pytest.param(status(410, "Expired"), CannotSee, id="410"),
        pytest.param((429, b"later"), CannotSee, id="429"),
        pytest.param((500, b"\xff\xfe"), CannotSee, id="500, not even text"),
        pytest.param((301, b""), CannotSee, id="a redirect"),
    ],
)
def test_what_a_failed_read_means(answer: tuple[int, bytes], error: type[ReadError]) -> None:
    assert type(read_error(parse_answer(answer[0], {}, answer[1]))) is error


@pytest.mark.parametrize(
    ("code", "reason", "message", "forbidden"),
    [
        (403, "Forbidden", RBAC, True),
        (403, "Forbidden", QUOTA, False),
        (403, "Forbidden", 'admission webhook "x" denied the request: no', False),
        (403, "", 'admission webhook "x" denied the request: no', False),
        (422, "Invalid", "User and cannot", False),
    ],
)
def test_a_missing_permission_is_told_from_other_refusals(
    code: int, reason: str, message: str, forbidden: bool
) -> None:
    error = effect_error(parse_answer(*status(code, reason, message)[:1], {}, status(code, reason, message)[1]))
    assert isinstance(error, Refused)
    assert error.forbidden is forbidden


def test_a_403_of_a_proxy_counts_as_a_missing_permission() -> None:
    error = effect_error(parse_answer(403, {}, b"<html>Access denied</html>"))
    assert isinstance(error, Refused)
    assert error.forbidden


@pytest.mark.parametrize(
    ("headers", "details", "wait_s", "budget"),
    [
        pytest.param({}, BUDGET, None, True, id="budget spent: no Retry-After"),
        pytest.param({"Retry-After": "10"}, BUDGET, 10.0, True, id="budget being processed"),
        pytest.param({"Retry-After": "1"}, None, 1.0, False, id="overload"),
        pytest.param({}, {"retryAfterSeconds": 3}, 3.0, False, id="in the body"),
        pytest.param({"Retry-After": "5"}, {"retryAfterSeconds": 3}, 5.0, False, id="the header wins"),
        pytest.param({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, None, None, False, id="a date"),
        pytest.param({"Retry-After": "-1"}, None, None, False, id="negative"),
        pytest.param({"Retry-After": "inf"}, None, None, False, id="infinite"),
        pytest.param({"Retry-After": "nan"}, None, None, False, id="not a number"),
    ],
)
def test_when_to_try_again(headers: dict[str, str], details: Any, wait_s: float | None, budget: bool) -> None:
    error = effect_error(parse_answer(429, headers, status(429, "TooManyRequests", "no", details)[1]))
    assert isinstance(error, Unavailable)
    assert (error.retry_after_s, error.disruption_budget) == (wait_s, budget)


def test_the_cause_of_a_refused_eviction_reaches_people() -> None:
    answer = parse_answer(429, {}, status(429, "TooManyRequests", "Cannot evict pod.", BUDGET)[1])
    assert str(answer) == "429 TooManyRequests: Cannot evict pod. (The disruption budget web needs 2 healthy pods)"


def test_a_cause_that_only_repeats_the_message_is_left_out() -> None:
    details = {"causes": [{"reason": "FieldValueInvalid", "message": "must be positive"}]}
    answer = parse_answer(422, {}, status(422, "Invalid", "spec.x: must be positive", details)[1])
    assert str(answer) == "422 Invalid: spec.x: must be positive"


def test_a_webhook_that_gives_no_reason_is_quoted_without_one() -> None:
    answer = parse_answer(403, {}, status(403, "", 'admission webhook "x" denied the request: no')[1])
    assert str(answer) == '403: admission webhook "x" denied the request: no'


def test_many_causes_stay_one_readable_line() -> None:
    causes = [{"reason": "FieldValueInvalid", "message": f"rule {number}\nis broken"} for number in range(500)]
    said = str(parse_answer(403, {}, status(403, "", "no", {"causes": causes})[1]))
    assert said.startswith("403: no (rule 0 is broken; rule 1 is broken; ")
    assert len(said) < 600


def test_an_object_dumped_into_a_message_is_cut_out() -> None:
    """Seen on 1.36: the whole patched object, environment and all, stands before the reason."""
    dumped = json.dumps({"spec": {"env": [{"name": "PASSWORD", "value": "hunter2"}]}})
    message = (
        f'"" is invalid: patch: Invalid value: {json.dumps(dumped)}: strict decoding error: unknown field "spec.x"'
    )
    answer = parse_answer(422, {}, status(422, "Invalid", message)[1])
    assert "hunter2" not in str(answer)
    assert answer.message.endswith('strict decoding error: unknown field "spec.x"')


def test_parts_of_objects_are_cut_out_one_by_one() -> None:
    message = (
        '[spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`, '
        'spec.template: Invalid value: {"spec":{"env":[{"value":"hunter2"}]}}: field is immutable, '
        "spec.replicas: Invalid value: -1: must be greater than or equal to 0]"
    )
    assert parse_answer(422, {}, status(422, "Invalid", message)[1]).message == (
        "[spec.template.metadata.labels: Invalid value: (object): `selector` does not match template `labels`, "
        "spec.template: Invalid value: (object): field is immutable, "
        "spec.replicas: Invalid value: -1: must be greater than or equal to 0]"
    )


def test_a_diff_in_a_message_is_cut_off() -> None:
    answer = parse_answer(422, {}, status(422, "Invalid", "pod updates may not change\n@@ -1,2 +1,2 @@\n- a\n+ b")[1])
    assert answer.message == "pod updates may not change"


@given(st.integers(100, 699), st.binary(max_size=200), st.dictionaries(st.just("Retry-After"), st.text(max_size=9)))
def test_no_answer_is_too_strange(code: int, body: bytes, headers: dict[str, str]) -> None:
    answer = parse_answer(code, headers, body)
    assert isinstance(effect_error(answer), EffectError)
    assert isinstance(read_error(answer), ReadError)
    assert len(str(answer)) < 2000


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)


@given(st.integers(400, 599), JSON_VALUES, JSON_VALUES, JSON_VALUES)
def test_no_status_is_too_strange(code: int, reason: Any, message: Any, details: Any) -> None:
    body = {"kind": "Status", "reason": reason, "message": message, "details": details}
    answer = parse_answer(code, {}, json.dumps(body).encode())
    assert isinstance(effect_error(answer), EffectError)
    assert isinstance(read_error(answer), ReadError)
