"""A process dies between proposal and click, and between click and effect: one effect, and the right message.

Two services, one after the other, over one journal file and one cluster.
"""

from __future__ import annotations

import contextlib
from datetime import datetime
from pathlib import Path

from remediator.adapters.simulated import VirtualClock
from remediator.errors import JournalUnavailable
from remediator.people.buttons import Button
from tests.people.slack.bed import bed
from tests.support.fake_slack import FakeSlack

ANN = "U0ANN"


async def test_between_proposal_and_click(slack: FakeSlack, clock: VirtualClock, tmp_path: Path) -> None:
    file = tmp_path / "journal.db"
    async with bed(slack, clock, file=file) as first:
        message = await first.proposed()
    async with bed(slack, clock, file=file, before=first) as second:
        assert (await slack.click(ANN, message, Button.APPROVE)).ok
        await second.run_for(5)
        assert second.effects == 1
        assert ANN in message.shown
        assert len(slack.main()) == 1, "no second proposal"


async def test_between_click_and_decision(slack: FakeSlack, clock: VirtualClock, tmp_path: Path) -> None:
    file = tmp_path / "journal.db"
    async with bed(slack, clock, file=file) as first:
        message = await first.proposed()
        assert (await slack.click(ANN, message, Button.APPROVE)).ok
    async with bed(slack, clock, file=file, before=first) as second:
        await second.run_for(5)
        assert second.effects == 1
        assert ANN in message.shown
        assert slack.whispered(ANN) == []


async def test_between_decision_and_effect(slack: FakeSlack, clock: VirtualClock, tmp_path: Path) -> None:
    file = tmp_path / "journal.db"
    async with bed(slack, clock, file=file) as first:
        message = await first.proposed()
        await slack.click(ANN, message, Button.APPROVE)
        assert await first.inbox.run_once() == 1
        assert first.effects == 0
    async with bed(slack, clock, file=file, before=first) as second:
        await second.run_for(5)
        assert second.effects == 1
        assert ANN in message.shown


async def test_between_decision_and_its_record(
    slack: FakeSlack, clock: VirtualClock, tmp_path: Path, monkeypatch
) -> None:
    """The row comes again after the decision counted: nothing is done twice, and nobody reads a refusal."""
    file = tmp_path / "journal.db"
    async with bed(slack, clock, file=file) as first:
        message = await first.proposed()
        await slack.click(ANN, message, Button.APPROVE)

        async def lost(item_id: int, result: str, now: datetime) -> None:
            raise JournalUnavailable("the process died here")

        monkeypatch.setattr(first.journal, "dealt_with", lost)
        await first.inbox.run_once()
        assert [c.account for c in (await first.newest()).consents] == ["slack:T0TEAM/U0ANN"]
    async with bed(slack, clock, file=file, before=first) as second:
        await second.run_for(60)
        assert second.effects == 1
        assert (await second.newest()).state == "succeeded"
        assert slack.whispered(ANN) == []
        assert await second.journal.incoming(clock.now(), 9) == ()


async def test_a_rejection_that_comes_again_shows_no_refusal(
    slack: FakeSlack, clock: VirtualClock, tmp_path: Path, monkeypatch
) -> None:
    file = tmp_path / "journal.db"
    async with bed(slack, clock, file=file) as first:
        message = await first.proposed()
        await slack.click(ANN, message, Button.REJECT)
        await slack.submit(ANN, slack.the_view(ANN), reason="no")

        async def lost(item_id: int, result: str, now: datetime) -> None:
            raise JournalUnavailable("the process died here")

        monkeypatch.setattr(first.journal, "dealt_with", lost)
        await first.inbox.run_once()
    async with bed(slack, clock, file=file, before=first) as second:
        await second.run_for(3)
        assert (await second.newest()).state == "rejected"
        assert second.effects == 0
        assert slack.whispered(ANN) == []


async def test_a_message_posted_twice_has_one_set_of_buttons(
    slack: FakeSlack, clock: VirtualClock, tmp_path: Path, monkeypatch
) -> None:
    """The post's answer got lost with the process, so the next one posts again: the older message is void."""
    file = tmp_path / "journal.db"
    async with bed(slack, clock, file=file) as first:

        async def lost(*given: object, **more: object) -> bool:
            raise JournalUnavailable("the process died here")

        monkeypatch.setattr(first.journal, "sent", lost)
        await first.world.alert()
        for _ in range(3):
            await first.world.turn()
            first.world.cluster.advance(1.0)
        with contextlib.suppress(JournalUnavailable):
            await first.outbox.run_once(clock.now())
    (orphan,) = slack.main()
    async with bed(slack, clock, file=file, before=first) as second:
        await second.run_for(200)
        newest = slack.main()[-1]
        assert newest is not orphan
        await slack.click(ANN, orphan, Button.APPROVE)
        await second.run_for(3)
        assert second.effects == 0
        assert "not the message on record" in str(slack.whispers[-1].blocks)
        await slack.click(ANN, newest, Button.APPROVE)
        await second.run_for(5)
        assert second.effects == 1
