"""Secrets never leave with log text; ordinary log lines stay readable."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.redact import MARK, redact

JWT = "eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.eyJpc3MiOiJrdWJlcm5ldGVzL3NlcnZpY2VhY2NvdW50In0.c2lnbmF0dXJl-_x"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        pytest.param("login with password=hunter2 failed", "hunter2", id="password ="),
        pytest.param("DB_PASSWORD: s3cr3t", "s3cr3t", id="upper case, yaml"),
        pytest.param('{"user": "a", "password": "p w \\" x"}', "p w", id="json with an escaped quote"),
        pytest.param('msg="{\\"api_key\\":\\"abcdef\\"}"', "abcdef", id="json inside json"),
        pytest.param("dbpassword='with space'", "with space", id="single quotes"),
        pytest.param("Authorization: Bearer abc.def-123", "abc.def-123", id="authorization header"),
        pytest.param('"authorization": "AWS4-HMAC-SHA256 Credential=A, Signature=ff00"', "ff00", id="signature"),
        pytest.param("curl -H 'Authorization: Basic dXNlcjpwYXNz'", "dXNlcjpwYXNz", id="basic auth"),
        pytest.param("sent bearer 0123456789abcdef to x", "0123456789abcdef", id="bearer in prose"),
        pytest.param("Set-Cookie: sid=abc; HttpOnly", "abc", id="cookie"),
        pytest.param(f"token file holds {JWT} now", JWT, id="jwt"),
        pytest.param("key AKIAIOSFODNN7EXAMPLE used", "AKIAIOSFODNN7EXAMPLE", id="aws access key id"),
        pytest.param(
            "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiEXAMPLEKEY", "wJalrXUtnFEMI", id="aws secret"
        ),
        pytest.param("connecting to postgres://app:p%40ss@db:5432/shop", "p%40ss", id="credentials in a URL"),
        pytest.param("redis://:hunter2@cache:6379/0", "hunter2", id="url without a user"),
        pytest.param("git clone https://ghp_tok3n@github.com/x/y", "ghp_tok3n", id="token as user"),
        pytest.param("amqp://u:p@ss@mq/vhost", "p@ss", id="@ in a URL's password"),
        pytest.param("using ghp_abcdefghijklmnopqrstuvwxyz0123456789", "ghp_abc", id="github"),
        pytest.param("xoxb-1234567890-abcdef", "xoxb-1234567890", id="slack token"),
        pytest.param("POST https://hooks.slack.com/services/T0/B0/XXXX", "XXXX", id="slack webhook"),
        pytest.param("run --db-password hunter2 --verbose", "hunter2", id="flag"),
        pytest.param("GET /x?access_token=abc123&y=1", "abc123", id="query string"),
        pytest.param("GET /x?X-Amz-Signature=abc123&y=1", "abc123", id="presigned URL"),
        pytest.param("ALTER ROLE app PASSWORD 'hunter2'", "hunter2", id="sql"),
        pytest.param("X-Vault-Token: hvs.abc", "hvs.abc", id="header by name"),
        pytest.param("client_secret=>'abc'", "abc", id="ruby hash"),
        pytest.param("-----BEGIN RSA PRIVATE KEY-----\nMIIabc\n-----END RSA PRIVATE KEY-----", "MIIabc", id="pem"),
        pytest.param("-----BEGIN PRIVATE KEY-----\nMIIabc cut here", "MIIabc", id="pem cut off"),
    ],
)
def test_secret_is_gone(text: str, secret: str) -> None:
    cleaned = redact(text)
    assert secret not in cleaned
    assert MARK in cleaned
    assert redact(cleaned) == cleaned


@pytest.mark.parametrize(
    "text",
    [
        "Back-off restarting failed container api in pod api-7d9f-x_shop(1-2)",
        "dial tcp 10.0.0.1:5432: connect: connection refused",
        "bearer authentication failed for client 7",
        'MountVolume.SetUp failed: secret "api-tls" not found',
        "secretName: api-tls",
        "secretKeyRef: {name: db, key: x}",
        "tokens left; token_count=5",
        "GET http://api.shop.svc:8080/health?x=1 200",
        "mail to a@b.example bounced",
        "passenger list: 3",
    ],
)
def test_ordinary_lines_stay(text: str) -> None:
    assert redact(text) == text


def test_what_stands_around_a_secret_stays() -> None:
    assert redact('{"password": "x1", "user": "ann"}') == '{"password": [redacted], "user": "ann"}'
    assert redact("postgres://app:pw@db:5432/shop") == "postgres://[redacted]@db:5432/shop"
    assert redact("GET /?token=abc&page=2") == "GET /?token=[redacted]&page=2"


def test_known_secrets_are_taken_out_word_for_word() -> None:
    assert redact("routing key R0UT1NGKEY sent", known=["R0UT1NGKEY", "", "key"]) == "routing key [redacted] sent"


@given(st.text(max_size=400))
def test_never_raises_and_twice_is_once(text: str) -> None:
    once = redact(text)
    assert redact(once) == once


@given(st.text(alphabet="apiswordtken_-=:\"'\\[] @/.&", max_size=200))
def test_twice_is_once_near_the_grammar(text: str) -> None:
    once = redact(text)
    assert redact(once) == once


@pytest.mark.parametrize(
    "piece", ["a-", "password", "://", "-----BEGIN PRIVATE KEY-----", "eyJ", "token=", '\\"', "--x-", "bearer "]
)
def test_hostile_lines_are_not_slow(piece: str) -> None:
    text = (piece * (100_000 // len(piece)))[:100_000]
    before = time.process_time()
    redact(text)
    assert time.process_time() - before < 2.0
