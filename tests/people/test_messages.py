"""What people read in Slack: the right thing first, within the limits, and nothing that a label smuggled in."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from remediator.guardrails.verdict import Answer, Verdict
from remediator.people.markup import size
from remediator.people.messages import CONTINUED, Message, call_reply, evidence_reply, main_message, state_reply
from remediator.people.story import EvidenceNote, Story, StoryAlert
from remediator.people.wording import (
    ASKING,
    BESIDE_ITS_END,
    CHECK_FAILED,
    LEFT_ALONE,
    OUTCOMES,
    RELEASED,
    REPORT,
    TAKEN,
    WORDINGS,
)
from remediator.remediation.state import State, StepOutcome
from tests.people.hostile import hostile_stories
from tests.people.stories import ALL, DENIED, ESCALATED, HELD, NOW, ROLLBACK, SUCCEEDED
from tests.support import block_kit
from tests.support.fake_slack import shown

OWN_TOKEN = re.compile(
    r"<!date\^\d+\^\{time\}\|(\d{4}-\d\d-\d\d )?\d\d:\d\d UTC>|<https?://[^<>|\s]+\|(Console|Runbook|Graph)>"
)


def lines(message: Message) -> list[str]:
    return shown(message.blocks).splitlines()


def assert_sendable(message: Message) -> None:
    blocks: list[dict[str, Any]] = list(message.blocks)
    assert block_kit.problem(blocks) is None
    assert not block_kit.too_long(blocks)
    assert message.text
    assert size(message.text) < 4000
    json.dumps(blocks).encode()


def assert_inert(message: Message) -> None:
    """Every control sequence is one of our own kinds; nothing mentions anybody."""
    for text in (message.text, *_texts(message.blocks)):
        left = OWN_TOKEN.sub("", text)
        assert "<" not in left
        assert ">" not in left
    everything = json.dumps([message.text, message.blocks])
    assert not re.search(r"<!(channel|here|everyone|subteam)|<@|<#", everything)


def _texts(value: object) -> Sequence[str]:
    if isinstance(value, dict):
        return [t for v in value.values() for t in _texts(v)]
    if isinstance(value, list | tuple):
        return [t for v in value for t in _texts(v)]
    return [value] if isinstance(value, str) else []


def test_a_proposal_says_what_is_needed_first_and_how_to_answer() -> None:
    message = main_message(ROLLBACK, mentions=("S0LEADS", "U0ANN"))
    assert_sendable(message)
    assert message.text.startswith(
        "✋ Approval needed by 03:20 UTC: roll back Deployment shop/checkout to revision 41 [HighErrorRate]"
    )
    assert lines(message) == [
        "✋ Approval needed: roll back Deployment shop/checkout to revision 41",
        "<!subteam^S0LEADS> <@U0ANN> "
        "*Please approve or reject. Without an answer nothing is changed and a person is asked.*",
        f"*Decide by*  <!date^{int(NOW.timestamp()) + 900}^{{time}}|03:20 UTC> (03:20 UTC), 15 min left at 03:05",
        "`remediator approve r-4f2c91`",
        "`remediator reject r-4f2c91`",
        "*Fires*  `HighErrorRate` (critical) since 03:01 UTC (4 min): 20 % of requests to checkout fail",
        "*Change*",
        "```",
        "image",
        "  registry.example.com/shop/checkout:2.14.0",
        "→ registry.example.com/shop/checkout:2.13.7",
        "```",
        "*Why*  Released 14 min ago, errors rose from 0.1 % to 20 % since; revision 41 was healthy for 6 days.",
        "*Undo*  image goes back to registry.example.com/shop/checkout:2.14.0",
        "*Guards*  all 8 pass",
        "*Who may*  slack:@checkout-leads, role:sre (1 is enough)",
        "r-4f2c91 · rollback-bad-release (approve) · cluster prod-eu · team-checkout · 03:05 UTC",
        "<https://remediator.example.com/remediations/r-4f2c91|Console>",
        "<https://runbooks.example.com/checkout/errors|Runbook>",
        "<https://prometheus.example.com/graph?g0.expr=rate%28x%5B5m%5D%29&amp;g0.tab=1|Graph>",
    ]


def test_guards_that_hold_are_shown_gravest_first_with_their_numbers() -> None:
    denies = Verdict(guardrail="protect", answer=Answer.DENY, reason="namespace kube-system")
    message = main_message(replace(HELD, verdicts=(*HELD.verdicts, denies)))
    start = next(i for i, line in enumerate(lines(message)) if line.startswith("*Guards*"))
    assert lines(message)[start : start + 5] == [
        "*Guards*  `protect` says no: namespace kube-system.",
        "`cooldown` holds: last r-3b11 7m ago, undone. Over at 03:32 UTC.",
        "`rate_limit` holds: 5 of 5 in 1h. Next token 03:20 UTC.",
        "`blockers` cannot see: Prometheus did not answer.",
        "the other 8 pass",
    ]


def test_guards_that_do_not_apply_are_not_counted() -> None:
    silent = Verdict(guardrail="windows", answer=Answer.NOT_APPLICABLE)
    assert "*Guards*  all 8 pass" in lines(main_message(replace(ROLLBACK, verdicts=(*ROLLBACK.verdicts, silent))))
    assert not any("Guards" in line for line in lines(main_message(replace(ROLLBACK, verdicts=(silent,)))))


@pytest.mark.parametrize(
    ("story", "header", "second"),
    [
        pytest.param(
            HELD,
            "⏸ On hold: scale Deployment shop/checkout, replicas 3 → 5",
            "*Nothing needed yet: nothing was changed, and it is tried again by itself."
            " A person is asked at 03:20 UTC.*",
            id="held",
        ),
        pytest.param(
            DENIED,
            "⛔ Not done: scale Deployment shop/checkout, replicas 3 → 5",
            "*Nothing was changed. The alert is yours.*",
            id="denied",
        ),
        pytest.param(
            SUCCEEDED,
            "✅ Fixed: roll back Deployment shop/checkout to revision 41",
            "*Nothing needed from you.*",
            id="succeeded",
        ),
        pytest.param(
            ESCALATED,
            "🚨 Needs a person (did not help, undone): roll back Deployment shop/checkout to revision 41",
            "*Please look. The change was taken back, the problem is still there.*",
            id="undone, escalated",
        ),
        pytest.param(
            replace(ESCALATED, outcome="expired"),
            "🚨 Needs a person (nobody approved): roll back Deployment shop/checkout to revision 41",
            "*Please look. Nothing was changed.*",
            id="expired, escalated",
        ),
        pytest.param(
            replace(ESCALATED, outcome="failed", next_rung="restart-deployment"),
            "🚨 Did not help: roll back Deployment shop/checkout to revision 41",
            "*What was changed is still in place. Playbook restart-deployment is tried next.*",
            id="another rung follows",
        ),
        pytest.param(
            replace(ESCALATED, outcome="undo_failed"),
            "🚨 Needs a person (undo failed): roll back Deployment shop/checkout to revision 41",
            "*Please look now. The change made it worse and could not be taken back.*",
            id="undo failed",
        ),
        pytest.param(
            replace(ESCALATED, cleared_at=NOW + timedelta(minutes=9)),
            "🚨 Needs a person (did not help, undone): roll back Deployment shop/checkout to revision 41",
            "*The alert cleared at 03:14 UTC. Have a look when you are up.*",
            id="cleared later",
        ),
        pytest.param(
            replace(ROLLBACK, state="asking", explanation="Is the cache warm?"),
            "✋ Answer needed: roll back Deployment shop/checkout to revision 41",
            "*Is the cache warm? "
            "Approve to go on, reject to stop here. Without an answer it stops and a person is asked.*",
            id="a question between two steps",
        ),
        pytest.param(
            replace(HELD, state="left_alone"),
            "⛔ Left alone: scale Deployment shop/checkout, replicas 3 → 5",
            "*Please look. Nothing was changed. Somebody changed it after it was planned.*",
            id="somebody else changed it",
        ),
        pytest.param(
            replace(HELD, state="some_new_state"),
            "• Some new state: scale Deployment shop/checkout, replicas 3 → 5",
            "*Change*",
            id="a state without words",
        ),
    ],
)
def test_the_first_two_lines(story: Story, header: str, second: str) -> None:
    assert lines(main_message(story))[:2] == [header, second]


def test_measures_show_before_and_now() -> None:
    assert "*Before → now*  `error_ratio` 20 % → 35 % ✗" in lines(main_message(ESCALATED))


def test_ten_alerts_are_one_story() -> None:
    alert = StoryAlert(name="KubePodCrashLooping", starts_at=NOW)
    message = main_message(replace(ROLLBACK, alerts=(alert,) * 10))
    assert [line for line in lines(message) if "CrashLooping" in line].__len__() == 3
    assert "… (7 more)" in lines(message)


def test_a_time_of_another_day_says_so() -> None:
    alert = StoryAlert(name="Old", starts_at=NOW - timedelta(days=1))
    assert "*Fires*  `Old` since 2025-06-01 03:05 UTC (24 h)" in lines(main_message(replace(ROLLBACK, alerts=(alert,))))


def test_markup_in_values_is_shown_not_obeyed() -> None:
    alert = StoryAlert(
        name="`<!channel>`",
        labels={"severity": "*bold*\n<@U1>"},
        starts_at=NOW,
        summary="<https://evil.example|Console> & ~gone~",
    )
    message = main_message(replace(ROLLBACK, alerts=(alert,)))
    assert_inert(message)
    assert (
        "*Fires*  `ˋ&lt;!channel&gt;ˋ` (∗bold∗ &lt;@U1&gt;) since 03:05 UTC: "  # noqa: RUF001
        "&lt;https://evil.example|Console&gt; &amp; ∼gone∼"  # noqa: RUF001
    ) in lines(message)


def test_a_link_that_is_none_is_left_out() -> None:
    message = main_message(replace(ROLLBACK, generator_url="javascript:alert(1)", runbook="see wiki"))
    assert lines(message)[-1] == "<https://remediator.example.com/remediations/r-4f2c91|Console>"


def test_long_addresses_fit() -> None:
    url = "https://prometheus.example.com/graph?" + "q=1&" * 180
    assert_sendable(main_message(replace(ROLLBACK, console_url=url, runbook=url, generator_url=url)))


def test_every_text_object_is_verbatim() -> None:
    """Otherwise Slack turns bare #names, addresses and some @names into live ones."""
    for story in ALL.values():
        for block in main_message(story).blocks:
            for text in [block.get("text", {}), *block.get("elements", ())]:
                assert text.get("type") != "mrkdwn" or text["verbatim"] is True


def test_the_thread_keeps_each_state_in_short() -> None:
    assert lines(state_reply(ESCALATED)) == [
        "🚨 *Needs a person (did not help, undone)* at 03:05 UTC",
        "3 bad measurements in a row; fewer copies than before, so the change was taken back.",
        "*Please look. The change was taken back, the problem is still there.*",
    ]


def test_the_thread_says_that_it_cleared() -> None:
    assert lines(state_reply(replace(ESCALATED, cleared_at=NOW + timedelta(minutes=9)))) == [
        "✅ *Cleared*, was: Needs a person (did not help, undone)",
        "*The alert cleared at 03:14 UTC. Have a look when you are up.*",
    ]


def test_a_long_question_is_shown_whole_and_once() -> None:
    question = "Does the new cluster answer from all three zones? " * 20
    shown_lines = lines(main_message(replace(ROLLBACK, state="asking", explanation=question.strip())))
    assert [line.count("Does the new cluster answer") for line in shown_lines if "Does" in line] == [20]


def test_a_call_is_one_line_that_mentions() -> None:
    message = call_reply(ESCALATED, ("S1", "U1"))
    assert_sendable(message)
    assert lines(message) == [
        "<!subteam^S1> <@U1> Needs a person (did not help, undone): roll back Deployment shop/checkout to revision 41."
        " Please look. The change was taken back, the problem is still there."
    ]


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_every_outcome_says_how_the_target_was_left(outcome: str) -> None:
    second = lines(main_message(replace(ESCALATED, outcome=outcome)))[1]
    assert second.startswith("*Please look")
    assert len(second) > len("*Please look now.*")


def test_the_words_cover_the_state_machine() -> None:
    finer = {ASKING, LEFT_ALONE, TAKEN, REPORT, RELEASED, *BESIDE_ITS_END}
    assert {state.value for state in State} | finer == set(WORDINGS)
    assert {outcome.value for outcome in StepOutcome} - {""} == set(OUTCOMES) - {CHECK_FAILED}


def test_evidence_leaves_log_text_out_unless_asked() -> None:
    without, with_logs = evidence_reply(ROLLBACK), evidence_reply(ROLLBACK, include_logs=True)
    assert lines(without) == [
        "*Evidence for r-4f2c91*",
        "*Logs* 50 lines, 31 with ERROR",
        "*Events* 12 x BackOff in 4 min",
    ]
    assert "customer 4711" not in json.dumps([without.text, without.blocks])
    assert "ERROR secret customer 4711" in lines(with_logs)
    assert_sendable(with_logs)


def test_too_much_evidence_is_counted() -> None:
    many = tuple(EvidenceNote(title=f"Note {i}", text="x" * 900) for i in range(80))
    message = evidence_reply(replace(ROLLBACK, evidence=many))
    assert_sendable(message)
    assert re.fullmatch(r"… \(\d+ more\)", lines(message)[-1])


def test_a_huge_story_keeps_its_first_lines() -> None:
    huge = "registry.example.com/a-very-long-name&" * 500
    story = replace(
        ROLLBACK,
        headline=huge,
        explanation=huge,
        undo=huge,
        diff=(huge,) * 50,
        verdicts=tuple(Verdict(guardrail=f"g{i}", answer=Answer.DENY, reason=huge) for i in range(40)),
    )
    message = main_message(story)
    assert_sendable(message)
    assert lines(message)[1].startswith("*Please approve or reject.")
    assert "`remediator approve r-4f2c91`" in lines(message)
    assert "more characters)" in lines(message)[0]


@pytest.mark.parametrize("state", [*WORDINGS, "unheard_of"])
def test_every_state_can_be_told(state: str) -> None:
    story = replace(ESCALATED, state=state, outcome="")
    for message in (main_message(story), state_reply(story)):
        assert_sendable(message)
        assert_inert(message)


def test_the_closing_of_an_old_message_is_sendable() -> None:
    assert_sendable(CONTINUED)


def test_what_the_explanation_says_is_not_said_again_below() -> None:
    closed = Verdict(
        guardrail="windows", answer=Answer.HOLD, reason="outside its windows", changes="opens at 22:00 UTC"
    )
    busy = Verdict(
        guardrail="in_flight", answer=Answer.HOLD, reason="cluster 3/3 running", changes="passes when 1 ended"
    )
    verdicts = (*ROLLBACK.verdicts, closed, busy)
    said = "HELD x: windows. Outside its windows. Opens at 22:00 UTC."
    text = json.dumps(main_message(replace(HELD, verdicts=verdicts, explanation=said)).blocks, ensure_ascii=False)
    assert text.lower().count("outside its windows") == 1
    assert "`in_flight` holds: cluster 3/3 running. Passes when 1 ended." in text


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None, max_examples=40)
@given(hostile_stories)
def test_no_value_breaks_a_limit_or_gets_obeyed(story: Story) -> None:
    messages = (
        main_message(story),
        state_reply(story),
        call_reply(story, ()),
        evidence_reply(story, include_logs=True),
    )
    for message in messages:
        assert_sendable(message)
        assert_inert(message)
