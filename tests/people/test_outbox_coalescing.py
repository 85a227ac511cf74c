"""Which of a key's rows goes next, and what a limit holds back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from remediator.people.carriers.slack import PACE
from remediator.people.coalescing import MOST_BLOCKS, MOST_TEXT, next_of_key
from remediator.people.lanes import Traffic
from remediator.people.outbox_rows import OutboxKind, OutboxRow
from remediator.ports import MessageRef

NOW = datetime(2025, 6, 2, 3, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
POST = {"slack C1": SECOND, "slack chat.postMessage": timedelta(0)}
ELSEWHERE = {"slack C2": SECOND, "slack chat.postMessage": timedelta(0)}
UPDATE = {"slack chat.update": 1.2 * SECOND}


def row(id_: int, kind: OutboxKind, text: str = "", **changes: Any) -> OutboxRow:
    block = {"type": "section", "text": {"type": "mrkdwn", "text": text or f"t{id_}"}}
    payload = {"text": text or f"t{id_}", "blocks": [block]}
    given = {"channel": "slack", "destination": "C1", "key": "k", "due_at": NOW, "created_at": NOW}
    return OutboxRow(id=id_, kind=kind, **{"payload": payload, **given, **changes})


def test_the_newest_state_takes_the_place_of_the_oldest() -> None:
    sending = next_of_key([row(1, "update", tries=3), row(2, "reply"), row(3, "update"), row(4, "update")])
    assert (sending.row.id, sending.row.payload["text"], sending.row.kind, sending.row.tries) == (1, "t4", "update", 3)
    assert (sending.superseded, sending.changed) == ((3, 4), True)


def test_a_post_stays_a_post() -> None:
    sending = next_of_key([row(1, "update"), row(2, "post"), row(3, "update")])
    assert (sending.row.id, sending.row.kind, sending.row.payload["text"]) == (1, "post", "t3")


def test_a_repetition_that_is_due_is_covered_by_any_newer_state() -> None:
    sending = next_of_key([row(1, "again", payload={}), row(2, "update"), row(3, "update")])
    assert (sending.row.id, sending.row.kind, sending.row.payload["text"]) == (2, "update", "t3")
    assert sorted(sending.superseded) == [1, 3]


def test_repetitions_become_one() -> None:
    sending = next_of_key([row(1, "again"), row(5, "again")])
    assert (sending.row.id, sending.row.kind, sending.superseded) == (1, "again", (5,))


def test_replies_go_one_by_one_while_the_channel_keeps_up() -> None:
    sending = next_of_key([row(1, "reply"), row(2, "reply")])
    assert (sending.row.id, sending.superseded, sending.changed) == (1, (), False)


def test_replies_that_wait_go_together_when_the_channel_is_behind() -> None:
    sending = next_of_key([row(1, "reply", tries=1), row(2, "reply", tries=2), row(3, "reply")], behind=True)
    assert (sending.row.id, sending.superseded, sending.row.tries) == (1, (2, 3), 2)
    assert sending.row.payload["text"] == "t1\nt2\nt3"
    assert [block["text"]["text"] for block in sending.row.payload["blocks"]] == ["t1", "t2", "t3"]


@pytest.mark.parametrize(
    "second",
    [
        pytest.param(row(2, "reply", "x" * MOST_TEXT), id="too much text"),
        pytest.param(row(2, "reply", payload={"text": "t", "blocks": [{}] * MOST_BLOCKS}), id="too many blocks"),
        pytest.param(row(2, "reply", payload={"text": "t", "blocks": [{"x": "y" * 9000}]}), id="too large"),
        pytest.param(row(2, "reply", payload={"text": "t", "blocks": []}), id="text alone"),
    ],
)
def test_replies_that_do_not_fit_stay_apart_and_in_order(second: OutboxRow) -> None:
    sending = next_of_key([row(1, "reply"), second, row(3, "reply")], behind=True)
    assert (sending.row.id, sending.superseded, sending.changed) == (1, (), False)


def test_a_lane_takes_one_call_at_a_time_and_rests_from_its_answer() -> None:
    traffic = Traffic()
    assert traffic.enter(POST, NOW)
    assert not traffic.enter(POST, NOW)
    traffic.leave(POST, NOW + 3 * SECOND)
    assert not traffic.enter(POST, NOW + 3.9 * SECOND)
    assert traffic.next_free(POST, NOW + 3.9 * SECOND) == NOW + 4 * SECOND
    assert traffic.enter(POST, NOW + 4 * SECOND)


def test_a_limit_without_a_figure_holds_nothing_back_until_told() -> None:
    traffic = Traffic()
    assert traffic.enter(POST, NOW)
    assert traffic.enter(ELSEWHERE, NOW)


def test_all_lanes_or_none() -> None:
    traffic = Traffic()
    assert traffic.enter(UPDATE, NOW)
    assert not traffic.enter({**POST, **UPDATE}, NOW)
    assert traffic.enter(POST, NOW)


def test_retry_after_is_for_the_channel_and_when_two_channels_hear_it_for_the_workspace() -> None:
    traffic = Traffic()
    third = {"slack C3": SECOND, "slack chat.postMessage": timedelta(0)}
    for lanes in (POST, ELSEWHERE):
        assert traffic.enter(lanes, NOW)
    traffic.slow_down(POST, 30 * SECOND, NOW)
    traffic.leave(POST, NOW)
    assert traffic.enter(third, NOW), "the other channels go on"
    traffic.leave(third, NOW)
    traffic.slow_down(ELSEWHERE, 20 * SECOND, NOW)
    traffic.leave(ELSEWHERE, NOW)
    assert not traffic.enter(third, NOW + 19 * SECOND)
    assert traffic.enter(third, NOW + 20 * SECOND)
    assert not traffic.enter(POST, NOW + 29 * SECOND)
    assert traffic.enter(UPDATE, NOW), "another method is another limit"


def test_two_orders_that_do_not_overlap_say_nothing_about_the_workspace() -> None:
    traffic = Traffic()
    traffic.slow_down(POST, 5 * SECOND, NOW)
    traffic.slow_down(ELSEWHERE, 30 * SECOND, NOW + 6 * SECOND)
    assert traffic.enter(POST, NOW + 6 * SECOND)


def test_a_clock_that_was_set_back_silences_no_lane() -> None:
    traffic = Traffic()
    traffic.slow_down(POST, 30 * SECOND, NOW)
    assert traffic.enter(POST, NOW - timedelta(hours=1))


@pytest.mark.parametrize(
    ("kind", "main", "lanes"),
    [
        ("post", None, {"slack C1", "slack chat.postMessage"}),
        ("post", MessageRef("C1", "1.0"), {"slack C1", "slack chat.postMessage", "slack chat.update"}),
        ("update", None, {"slack C1", "slack chat.postMessage"}),
        ("update", MessageRef("C1", "1.0"), {"slack chat.update"}),
        ("again", MessageRef("C1", "1.0"), {"slack chat.update"}),
        ("reply", MessageRef("C9", "1.0"), {"slack C9", "slack chat.postMessage"}),
    ],
)
def test_what_slack_counts_a_message_under(kind: OutboxKind, main: MessageRef | None, lanes: set[str]) -> None:
    assert set(PACE.lanes_of(row(1, kind, main=main))) == lanes
