"""Untrusted text stays text, and stays short."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.people import markup
from tests.people.hostile import hostile_text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("replicas 3 → 5", "replicas 3 → 5", id="harmless"),
        pytest.param("<!channel> & <@U1>", "&lt;!channel&gt; &amp; &lt;@U1&gt;", id="mentions"),
        pytest.param("<https://evil|Console>", "&lt;https://evil|Console&gt;", id="link"),
        pytest.param("&lt;!here&gt;", "&amp;lt;!here&amp;gt;", id="already escaped"),
        pytest.param("a<b>c&d", "a&lt;b&gt;c&amp;d", id="inside words"),
        pytest.param("http_requests_total", "http_requests_total", id="underscores in a name stay"),
        pytest.param("rate(x[5m])*100", "rate(x[5m])∗100", id="a star at a boundary"),  # noqa: RUF001
        pytest.param("*bold* _it_ ~no~", "∗bold∗ ˍitˍ ∼no∼", id="formats"),  # noqa: RUF001
        pytest.param("`x` a`b", "ˋxˋ aˋb", id="backticks"),  # noqa: RUF001
        pytest.param("one\n*two*\r\n\tthree", "one ∗two∗ three", id="lines"),  # noqa: RUF001
        pytest.param("5 \u202e→ 3\u202c\x1b[31m\x00", "5 → 3[31m", id="hidden characters"),
        pytest.param("\ud800x", "x", id="half a surrogate"),
        pytest.param("", "", id="empty"),
    ],
)
def test_prose(text: str, expected: str) -> None:
    assert markup.prose(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("HighErrorRate", "`HighErrorRate`", id="plain"),
        pytest.param("*a* _b_ ~c~", "`*a* _b_ ~c~`", id="nothing formats inside code, so it stays exact"),
        pytest.param("`*out*`", "`ˋ*out*ˋ`", id="cannot leave the code"),  # noqa: RUF001
        pytest.param("a\n```\n<!here>", "`a ˋˋˋ &lt;!here&gt;`", id="nor by a fence"),  # noqa: RUF001
        pytest.param("", "`-`", id="empty"),
        pytest.param(" \n ", "`-`", id="blank"),
    ],
)
def test_code(text: str, expected: str) -> None:
    assert markup.code(text) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param("https://a.example/x?a=1&b=2#c", "https://a.example/x?a=1&b=2#c", id="good"),
        pytest.param("http://a.example/?q=%28up%29", "http://a.example/?q=%28up%29", id="encoded once only"),
        pytest.param("https://a.example/x|y>z <w", "https://a.example/x%7Cy%3Ez%20%3Cw", id="cannot end the link"),
        pytest.param("javascript:alert(1)", "", id="scheme"),
        pytest.param("file:///etc/passwd", "", id="no host"),
        pytest.param("/graph?g0.expr=up", "", id="relative"),
        pytest.param("https://[::1", "", id="broken"),
        pytest.param("", "", id="empty"),
        pytest.param("https://a.example/" + "x" * 3000, "", id="too long for a link"),
        pytest.param("https://a.example/?" + "&" * 400, "", id="too long once escaped"),
    ],
)
def test_safe_url(url: str, expected: str) -> None:
    assert markup.safe_url(url) == expected


def test_a_link_escapes_what_slack_needs_escaped() -> None:
    assert markup.link("Graph", "https://p.example/?a=1&b=2") == "<https://p.example/?a=1&amp;b=2|Graph>"
    assert markup.link("Graph", "javascript:1") == "Graph"


def test_text_is_cut_with_a_count_and_never_inside_an_escape() -> None:
    assert markup.prose("abcdefghij" * 10, 40) == "abcdefghijabcdefg… (83 more characters)"
    assert markup.prose("&" * 100, 40) == "&amp;&amp;&amp;… (97 more characters)"


def test_a_megabyte_is_counted_not_read() -> None:
    assert markup.prose("x" * 1_000_000, 60).endswith("more characters)")
    assert len(markup.prose("x" * 1_000_000, 60)) <= 60


def test_lines_are_dropped_whole_and_counted() -> None:
    assert markup.bounded(["aaaa", "bbbb", "cccc"], 100) == "aaaa\nbbbb\ncccc"
    assert markup.bounded(["a" * 10] * 10, 50).splitlines() == ["a" * 10] * 3 + ["… (7 more)"]


def test_of_a_log_the_end_is_kept() -> None:
    shown = markup.log_block("\n".join(f"line {i}" for i in range(1000)), 200)
    assert shown.startswith("```\n… (98")
    assert shown.endswith("line 999\n```")
    assert markup.size(shown) <= 200


@given(hostile_text, st.integers(40, 3000))
def test_prose_is_inert_and_fits(text: str, limit: int) -> None:
    shown = markup.prose(text, limit)
    assert markup.size(shown) <= limit
    assert not set("<>`\n") & set(shown)
    assert not re.search(r"&(?!(amp|lt|gt);)", shown)
    assert not re.search(r"(?:^|\W|_)[*_~]|[*_~](?:$|\W|_)", shown), "a marker at the edge of a word could format"


@given(hostile_text, st.integers(40, 3000))
def test_code_is_inert_and_fits(text: str, limit: int) -> None:
    shown = markup.code(text, limit)
    assert markup.size(shown) <= limit + 2
    assert shown[0] == shown[-1] == "`"
    assert not set("<>`\n") & set(shown[1:-1])


@given(st.lists(hostile_text, max_size=60), st.integers(100, 3000))
def test_blocks_of_code_cannot_be_left(lines: list[str], limit: int) -> None:
    for shown in (markup.code_block(lines, limit), markup.log_block("\n".join(lines), limit)):
        assert markup.size(shown) <= limit
        assert shown.count("```") == 2
        assert not set("<>") & set(shown)


@given(hostile_text)
def test_a_link_is_one_link(url: str) -> None:
    shown = markup.link("Console", f"https://a.example/{url}")
    assert shown == "Console" or re.fullmatch(r"<https://a\.example/[^<>|\s]*\|Console>", shown)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a" + "\u0301" * 40 + "b", "a\u0301\u0301b"),
        ("a\u3164\u2800b", "a b"),
        ("a\u2066b\u2069\u200dc\U000e0041", "abc"),
    ],
)
def test_what_is_hidden_or_piled_up_goes(text: str, shown: str) -> None:
    assert markup.one_line(text) == shown


@given(hostile_text)
def test_nothing_hidden_and_nothing_that_turns_the_line_around(text: str) -> None:
    for shown in (markup.prose(text, 3000), markup.code(text, 3000), markup.one_line(text)):
        assert not set("\u202a\u202b\u202d\u202e\u2066\u2067\u2068\u200f\u061c\u200b\u200d\ufeff\u3164\x1b\x00") & set(
            shown
        )
        assert not re.search("[\u0300-\u036f]{3}", shown)
    assert not re.search(":[a-z_]+:", markup.prose(text, 3000)), "an emoji"


def test_numbers_behind_a_hebrew_name_keep_their_order() -> None:
    assert markup.one_line("\u05e9\u05dc 3 → 5") == "\u05e9\u05dc\u200e 3 → 5"
    assert markup.one_line("a\u05e9") == "a\u05e9\u200e"


def test_names_that_look_a_little_like_an_emoji_stay_readable() -> None:
    assert markup.prose("at 03:05:10 :fire: burns") == "at 03:05:10 \u2236fire: burns"
    assert markup.code(":fire:") == "`:fire:`", "in code nothing is drawn"


def test_code_keeps_its_indentation() -> None:
    assert markup.code_block(["a", "  b", " " * 90 + "c"], 200) == "```\na\n  b\n" + " " * 24 + "c\n```"
