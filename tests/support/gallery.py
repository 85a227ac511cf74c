"""The messages that matter most, as pages to look at: what somebody sees on a phone at 3 a.m."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from remediator.guardrails.facts import Pause
from remediator.guardrails.verdict import Answer, Verdict
from remediator.people.buttons import Origin
from remediator.people.controls import proposal_of
from remediator.people.digests import Beside, Digest, Passed, Period, digest_message, summarise
from remediator.people.graph import Curve, Graph, Limit, Mark, described
from remediator.people.graph_png import draw
from remediator.people.home import home
from remediator.people.messages import main_message, refusal, state_reply
from remediator.people.modals import details_modal, reject_modal
from remediator.people.storms import StormStory
from remediator.people.storms import main_message as storm_message
from remediator.people.story import ApprovalNote, Measure, Risk, Story, StoryAlert
from tests.people.stories import ESCALATED, HELD, INCONCLUSIVE, NOW, OFFERED, PASSING, SUCCEEDED, VERIFYING
from tests.support import slack_page

PHONE, DESKTOP = 400, 760


@dataclass(frozen=True, slots=True)
class Picture:
    """One page and how wide it is looked at, in CSS pixels."""

    body: Callable[[], str]
    width: int = PHONE


# --- stories ----------------------------------------------------------------------------------------------------------

assert OFFERED.approval is not None
QUORUM = replace(
    OFFERED,
    approval=replace(OFFERED.approval, quorum=2, approved_by=("ann",), rights={"ann": "on call in PCHECK (PagerDuty)"}),
    now=NOW + timedelta(minutes=4),
)
RESTART = replace(
    OFFERED,
    remediation_id="r-77d0aa",
    playbook="restart-stuck-consumer",
    headline="rollout restart StatefulSet shop/orders-consumer",
    risk=Risk(takes=1, of=3, lasting=("restart of all 3 pods",)),
)
DONE = replace(
    SUCCEEDED,
    interactive=True,
    approval=ApprovalNote(
        approvers=("slack:@checkout-leads",),
        approved_by=("ann",),
        approved_at=NOW + timedelta(seconds=52),
        rights={"ann": "on call in PCHECK (PagerDuty)"},
    ),
    now=NOW + timedelta(minutes=12),
)
UNDONE = replace(ESCALATED, interactive=True, approval=DONE.approval, now=NOW + timedelta(minutes=9))
EXPIRED = replace(
    OFFERED,
    state="escalated",
    outcome="expired",
    explanation="nobody approved in time.",
    measures=(Measure(check="error_ratio", before="20 %"),),
    now=NOW + timedelta(minutes=15),
)
PAUSED = replace(
    OFFERED,
    verdicts=(
        *PASSING[1:],
        Verdict(
            guardrail="pause",
            answer=Answer.HOLD,
            reason="namespace shop in prod-eu is paused by bob: database migration",
            changes="Lift it: remediator resume p-12",
        ),
    ),
)
SNOOZED = replace(OFFERED, state="snoozed", snoozed_by="ann", deadline=NOW + timedelta(minutes=30))
TAKEN = replace(OFFERED, taken_by="ann")
HELD_NOW = replace(HELD, interactive=True)

_EVIL = "<!channel> *urgent* <https://evil.example|Console> `rm -rf` :fire: @here https://evil.example"
HOSTILE = replace(
    OFFERED,
    headline="scale Deployment shop/\u202etuokcehc, replicas 3 → 5",
    explanation=_EVIL
    + " \u05e9\u05dc\u05d5\u05dd 3 → 5 "
    + "a\u0301\u0302\u0303\u0304\u0305\u0306" * 5
    + "\n\n> quote",
    alerts=(
        StoryAlert(name="Z" * 60 + "`*_~", starts_at=NOW, summary=_EVIL, labels={"severity": "critical<@U1>"}),
        StoryAlert(name="Long", starts_at=NOW, summary="A" * 10_000),
    ),
    diff=("replicas 3 → 5", "image <!here> → ```evil``` {{ .Values.x }}"),
    undo="replicas go back ${5} → 3 _now_ ~or never~",
    approval=ApprovalNote(approvers=("<!subteam^S1>", "role:sre"), expires_at=NOW + timedelta(minutes=15)),
)


def storm() -> StormStory:
    def member(name: str) -> Story:
        alerts = (StoryAlert(name="HighLatency", starts_at=NOW),)
        return replace(HELD, remediation_id=f"r-{name}", target=f"Deployment shop/{name}", alerts=alerts)

    return StormStory(
        id="s-1",
        cluster="prod-eu",
        since=NOW - timedelta(minutes=2),
        until=NOW + timedelta(minutes=13),
        targets=14,
        limit=5,
        window="5m",
        members=tuple(member(n) for n in ("cart", "checkout", "search", "orders", "mail", "stock", "price", "login")),
        count=14,
        cause=("Node worker-7 stands under 9 of 14 of them; it is NotReady since 03:01 UTC.",),
        now=NOW,
        console_url="https://remediator.example.com",
    )


# --- graphs -----------------------------------------------------------------------------------------------------------


def _ratio(second: float) -> float | None:
    """Errors: quiet, a bad release, a gap where nothing was scraped, then a rollback."""
    ripple = 0.003 * (1 + math.sin(second / 41.0))
    if 2040 <= second < 2220:
        return None
    if second < 1500:
        return 0.001 + ripple
    if second < 2820:
        return 0.2 * (1 - math.exp(-(second - 1500) / 120)) + ripple
    return 0.2 * math.exp(-(second - 2820) / 90) + ripple


STEP = timedelta(seconds=30)
END = NOW + timedelta(minutes=12)
BEFORE_AFTER = Graph(
    title="rollback-bad-release: error ratio of http_requests_total",
    subtitle="Deployment shop/checkout, cluster prod-eu",
    start=END - timedelta(hours=1),
    end=END,
    step=STEP,
    curves=(Curve(name="all", points=tuple((END - STEP * (120 - i), _ratio(i * 30.0)) for i in range(121))),),
    marks=(
        Mark(kind="alert", at=END - timedelta(minutes=33), label="alert"),
        Mark(kind="action", at=END - timedelta(minutes=13), label="rollback"),
    ),
    limits=(Limit(value=0.02, good=True, label="good < 2 %"), Limit(value=0.05, good=False, label="bad > 5 %")),
    unit="ratio",
)
SEVERAL = replace(
    BEFORE_AFTER,
    title="restart-slow-pods: p95 of http_request_duration_seconds",
    curves=tuple(
        Curve(
            name=f"checkout-6b7d9c5f4d-{name}",
            points=tuple(
                (END - STEP * (120 - i), 0.18 + 0.05 * math.sin(i / 9 + n) + (0.9 if i > 54 and n < 2 else 0.0))
                for i in range(121)
            ),
        )
        for n, name in enumerate(("x2lkq", "8hv6z", "p9d4m", "qq7ns", "zt5wd", "c4b2f"))
    ),
    more=3,
    marks=(BEFORE_AFTER.marks[0],),
    limits=(Limit(value=0.5, good=True, label="good < 500 ms"),),
    unit="seconds",
)


def _source(graph: Graph) -> str:
    return "data:image/png;base64," + base64.b64encode(draw(graph)).decode()


# --- pages ------------------------------------------------------------------------------------------------------------


def _of(story: Story, *, mentions: tuple[str, ...] = ()) -> str:
    made = main_message(story, mentions=mentions)
    return slack_page.message(made.blocks, made.text)


def _confirm() -> str:
    origin = Origin(proposal=proposal_of(RESTART))
    asked = slack_page.confirm(main_message(RESTART).blocks)
    return asked + slack_page.view(reject_modal(origin, what=RESTART.headline))


def _done() -> str:
    replies = "".join(f'<div class="t">{_reply(story)}</div>' for story in (VERIFYING, DONE))
    shown = slack_page.picture(f"📈 {described(BEFORE_AFTER)}", _source(BEFORE_AFTER), "r-4f2c91-end-1.png")
    return f'{_of(DONE)}{replies}<div class="t">{shown}</div>'


def _reply(story: Story) -> str:
    made = state_reply(story)
    return slack_page.message(made.blocks, made.text)


def _states() -> str:
    no = refusal("r-4f2c91 is approved already, by ann", "Look at it: remediator remediations show r-4f2c91")
    return "".join(_of(s) for s in (PAUSED, TAKEN)) + slack_page.message(no.blocks, no.text)


def _storm() -> str:
    made = storm_message(storm(), mentions=("S0ONCALL",))
    return slack_page.message(made.blocks, made.text)


def _digest() -> str:
    def one(number: int, state: str, target: str, playbook: str, **more: object) -> Passed:
        values = {"id": f"r-{number:04x}", "state": state, "target": target, "playbook": playbook, **more}
        return Passed(**values)  # type: ignore[arg-type]

    passed = [
        one(1, "succeeded", "Deployment shop/cart", "restart-stuck", what="rollout restart"),
        one(2, "succeeded", "Deployment shop/search", "scale-up", what="replicas 3 → 5"),
        one(3, "succeeded", "Deployment shop/checkout", "rollback-bad-release", agreed_by=("ann",)),
        one(4, "denied", "Deployment shop/db", "restart-stuck", reason="namespace is protected", denied_by="protect"),
        one(5, "denied", "Deployment shop/api", "scale-up", reason="HPA owns replicas", denied_by="ownership"),
        one(6, "observed", "Deployment shop/mail", "restart-stuck", what="rollout restart", reason="mode observe"),
        one(7, "escalated", "Deployment shop/stock", "scale-up", outcome="undone", reason="got worse, taken back"),
    ]
    period = Period(since=NOW - timedelta(days=1), until=NOW)
    console = "https://remediator.example.com"
    made = digest_message(Digest(channels=("C0OPS",)), summarise(passed), Beside(), period, console=console)
    return slack_page.message(made.blocks, made.text)


def _home() -> str:
    soon = replace(QUORUM, deadline=NOW + timedelta(minutes=15))
    pause = Pause(
        id="p-12", scope="namespace:prod-eu/shop", who="bob", why="database migration", until=None, created_at=NOW
    )
    restart = replace(RESTART, deadline=NOW + timedelta(minutes=40))
    stories = [replace(INCONCLUSIVE, interactive=True), VERIFYING, restart, soon]
    view = home(
        stories,
        [pause],
        now=NOW + timedelta(minutes=4),
        mine=["r-77d0aa"],
        console_url="https://remediator.example.com",
    )
    return slack_page.view(view)


GALLERY: Mapping[str, Picture] = {
    "proposal": Picture(lambda: _of(OFFERED, mentions=("S0ONCALL",))),
    "confirm": Picture(_confirm),
    "quorum": Picture(lambda: _of(QUORUM)),
    "succeeded": Picture(_done),
    "undone": Picture(lambda: _of(UNDONE)),
    "escalated": Picture(lambda: _of(EXPIRED)),
    "held": Picture(lambda: _of(HELD_NOW)),
    "snoozed": Picture(lambda: _of(SNOOZED)),
    "states": Picture(_states, DESKTOP),
    "storm": Picture(_storm),
    "digest": Picture(_digest, DESKTOP),
    "hostile": Picture(lambda: _of(HOSTILE)),
    "home": Picture(_home, DESKTOP),
    "details": Picture(lambda: slack_page.view(details_modal(OFFERED)), DESKTOP),
}

GRAPHS: Mapping[str, Graph] = {"graph": BEFORE_AFTER, "graph-several": SEVERAL}
