"""Text that somebody could put into a label to make us shout, lie or break."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import strategies as st

from remediator.guardrails.verdict import Answer, Verdict
from remediator.people.story import ApprovalNote, EvidenceNote, Measure, Story, StoryAlert
from remediator.people.wording import WORDINGS
from tests.people.stories import NOW, ROLLBACK

SNIPPETS = (
    *("<!channel>", "<!here>", "<!everyone>", "<@U123>", "<!subteam^S1>", "<https://evil.example|Console>", "<#C1>"),
    *("```", "`", "*b*", "_i_", "~s~", "> quote", "&lt;!channel&gt;", "&", "<", ">", "|", "\n", "\r\n", "\u2028"),
    *("\u202e", "\u200b", "\x00", "\x1b[2J", "\ud800", "\U0001f525", "@channel", "javascript:alert(1)", ":fire:"),
)

hostile_text = st.lists(st.one_of(st.sampled_from(SNIPPETS), st.text(max_size=20)), max_size=12).map(
    "".join
) | st.builds(lambda snippet, times: snippet * times, st.sampled_from(SNIPPETS), st.integers(1, 5000))

_texts = st.lists(hostile_text, max_size=30).map(tuple)
_alerts = st.lists(
    st.builds(
        StoryAlert,
        name=hostile_text,
        labels=st.fixed_dictionaries({"severity": hostile_text}),
        starts_at=st.just(NOW),
        summary=hostile_text,
    ),
    max_size=30,
).map(tuple)
_verdicts = st.lists(
    st.builds(
        Verdict, guardrail=hostile_text, answer=st.sampled_from(Answer), reason=hostile_text, changes=hostile_text
    ),
    max_size=30,
).map(tuple)
_approval = st.none() | st.builds(
    ApprovalNote,
    approvers=_texts,
    approved_by=_texts,
    rejected_by=hostile_text,
    comment=hostile_text,
    expires_at=st.just(NOW + timedelta(days=2)),
)

hostile_stories: st.SearchStrategy[Story] = st.builds(
    replace,
    st.just(ROLLBACK),
    state=st.sampled_from([*WORDINGS, "brand_new_state"]),
    outcome=st.sampled_from(["", "undone", "expired", "<!channel>"]),
    **dict.fromkeys(
        ("headline", "explanation", "target", "cluster", "namespace", "severity", "owner", "playbook", "undo"),
        hostile_text,
    ),
    **dict.fromkeys(("console_url", "runbook", "generator_url", "next_rung", "remediation_id", "mode"), hostile_text),
    alerts=_alerts,
    verdicts=_verdicts,
    diff=_texts,
    timeline=_texts,
    approval=_approval,
    measures=st.lists(st.builds(Measure, check=hostile_text, before=hostile_text, after=hostile_text), max_size=30).map(
        tuple
    ),
    evidence=st.lists(
        st.builds(EvidenceNote, title=hostile_text, text=hostile_text, log=hostile_text), max_size=70
    ).map(tuple),
)
