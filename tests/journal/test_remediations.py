"""Opening, joining, claiming and moving remediations: every write is a compare-and-set."""

from __future__ import annotations

from dataclasses import replace

import pytest

from remediator.adapters.sql.journal import SqlJournal
from remediator.objects import ObjectRef
from remediator.remediation.decide import decide
from remediator.remediation.events import Joined, PlanMade
from remediator.remediation.journal import AlreadyDecided, Committed, StaleRemediation
from remediator.remediation.state import Remediation, State
from tests.journal.given import (
    HOUR,
    LEASE,
    ME,
    MINUTE,
    SECOND,
    alert,
    attempt,
    begun,
    claimed,
    ended,
    moved,
    opened,
    request,
    reserved,
    to,
)
from tests.support.building import NOW, acted, made, plan, remediation

# Opening --------------------------------------------------------------------------------------------------------------


async def test_what_is_opened_comes_back_with_its_episode(journal: SqlJournal) -> None:
    given = begun(plan=plan())
    stored = await opened(journal, plan=plan())
    assert stored == replace(given, episode="e-1")
    assert await journal.get("r-1") == stored
    assert await journal.get("r-2") is None
    assert stored.root is not None
    episode = await journal.episode("e-1")
    assert episode is not None
    assert (episode.cluster, episode.root, episode.opened_at, episode.ladders) == ("c1", stored.root, NOW, 0)


async def test_opening_decides_its_alerts(journal: SqlJournal) -> None:
    await journal.accept([alert("A"), alert("B"), alert("C")], NOW)
    a, b, c = await journal.undecided(10)
    await opened(journal, alerts=(a.id, b.id))
    assert [r.id for r in await journal.undecided(10)] == [c.id]
    assert [r.verdict for r in await journal.alerts([a.id, b.id])] == ["remediation:r-1", "remediation:r-1"]


async def test_only_one_gathers_for_a_root(journal: SqlJournal) -> None:
    root = ObjectRef("Deployment", "shop", "api")
    first = await opened(journal, 1, root=root, state=State.RECEIVED)
    assert await journal.open(begun(2, root=root, state=State.RECEIVED), NOW) is None
    assert await journal.get("r-2") is None
    await opened(journal, 3, root=root, state=State.RECEIVED, cluster="c2")
    await moved(journal, to(first, State.PLANNED))
    second = await journal.open(begun(4, root=root, state=State.RECEIVED), NOW)
    assert second is not None
    assert second.episode == first.episode
    assert [r.id for r in await journal.unfinished("c1", root)] == ["r-1", "r-4"]


async def test_what_a_person_asks_for_does_not_wait_for_the_gathering(journal: SqlJournal) -> None:
    root = ObjectRef("Deployment", "shop", "api")
    await opened(journal, 1, root=root, state=State.RECEIVED)
    asked = await opened(journal, 2, root=root, requester="ann")
    assert asked.episode == "e-1"


async def test_a_refused_opening_leaves_the_alerts_undecided(journal: SqlJournal) -> None:
    root = ObjectRef("Deployment", "shop", "api")
    await opened(journal, 1, root=root, state=State.RECEIVED)
    await journal.accept([alert()], NOW)
    (record,) = await journal.undecided(1)
    await journal.open(begun(2, root=root, state=State.RECEIVED, alerts=(record.id,)), NOW)
    assert len(await journal.undecided(1)) == 1


async def test_opening_twice_is_opening_once(journal: SqlJournal) -> None:
    """The first answer may have got lost."""
    first = await opened(journal)
    assert await journal.open(begun(reason="another"), NOW) == first
    assert len(await journal.recent(10)) == 1


async def test_without_a_root_every_remediation_has_an_episode_of_its_own(journal: SqlJournal) -> None:
    one = await opened(journal, 1, root=None, target=None, state=State.RECEIVED)
    two = await opened(journal, 2, root=None, target=None, state=State.RECEIVED)
    assert one.episode != two.episode


async def test_joining_lists_the_alerts_and_decides_them(journal: SqlJournal) -> None:
    await journal.accept([alert("A"), alert("B")], NOW)
    a, b = await journal.undecided(10)
    host = await opened(journal, alerts=(a.id,), state=State.RECEIVED)
    await journal.join(decide(host, Joined(alerts=(b.id,), severity="critical"), NOW), NOW)
    joined = await journal.get(host.id)
    assert joined is not None
    assert (joined.alerts, joined.severity) == ((a.id, b.id), "critical")
    assert [r.verdict for r in await journal.alerts([b.id])] == ["joined:r-1"]
    assert await journal.undecided(10) == ()


async def test_what_was_decided_meanwhile_opens_nothing(journal: SqlJournal) -> None:
    """Two looked at the same alert: it has one remediation, not two."""
    await journal.accept([alert()], NOW)
    (record,) = await journal.undecided(1)
    await opened(journal, 1, alerts=(record.id,))
    with pytest.raises(AlreadyDecided):
        await journal.open(begun(2, alerts=(record.id,)), NOW)
    assert [r.id for r in await journal.recent(9)] == ["r-1"]
    assert await journal.episode("e-2") is None
    assert [r.verdict for r in await journal.alerts([record.id])] == ["remediation:r-1"]


async def test_what_was_decided_meanwhile_joins_nothing(journal: SqlJournal) -> None:
    await journal.accept([alert()], NOW)
    (record,) = await journal.undecided(1)
    host = await opened(journal)
    await journal.decide_alerts({record.id: "no_playbook"}, NOW)
    with pytest.raises(AlreadyDecided):
        await journal.join(decide(host, Joined(alerts=(record.id,)), NOW), NOW)
    assert await journal.get(host.id) == host
    assert [r.verdict for r in await journal.alerts([record.id])] == ["no_playbook"]


async def test_joining_what_has_moved_joins_nothing(journal: SqlJournal) -> None:
    await journal.accept([alert()], NOW)
    (record,) = await journal.undecided(10)
    host = await opened(journal)
    await moved(journal, to(host, State.HELD))
    with pytest.raises(StaleRemediation, match="version 1, not 0"):
        await journal.join(decide(host, Joined(alerts=(record.id,)), NOW), NOW)
    assert len(await journal.undecided(10)) == 1


# Lists ----------------------------------------------------------------------------------------------------------------


async def test_unfinished_ones_of_a_root_come_oldest_first(journal: SqlJournal) -> None:
    root = ObjectRef("Deployment", "shop", "api")
    for number in (3, 1, 2):
        await opened(journal, number, root=root)
    await opened(journal, 4)
    third = await journal.get("r-3")
    assert third is not None
    await ended(journal, third)
    assert [r.id for r in await journal.unfinished("c1", root)] == ["r-1", "r-2"]
    assert await journal.unfinished("c2", root) == ()


async def test_recent_ones_come_newest_first_and_can_be_filtered(journal: SqlJournal) -> None:
    for number in (1, 2, 3):
        await opened(journal, number)
    second = await journal.get("r-2")
    assert second is not None
    await ended(journal, second)
    assert [r.id for r in await journal.recent(2)] == ["r-3", "r-2"]
    assert [r.id for r in await journal.recent(9, state="succeeded")] == ["r-2"]
    assert [r.id for r in await journal.recent(9, playbook="scale-api")] == ["r-3", "r-2", "r-1"]
    assert await journal.recent(9, playbook="other") == ()


# Moving ---------------------------------------------------------------------------------------------------------------


async def test_a_commit_stores_the_new_value_whole(journal: SqlJournal) -> None:
    r = await claimed(journal)
    decision = decide(r, made("hold", plan_=plan(root=r.root)), NOW)
    result = await journal.commit(decision, NOW, holder=ME)
    assert result == Committed(remediation=decision.remediation)
    assert await journal.get(r.id) == decision.remediation


async def test_the_same_decision_twice_is_stale(journal: SqlJournal) -> None:
    r = await claimed(journal)
    decision = to(r, State.HELD)
    await journal.commit(decision, NOW, holder=ME)
    with pytest.raises(StaleRemediation, match="is at version 1, not 0"):
        await journal.commit(decision, NOW, holder=ME)
    assert len(await journal.history(r.id)) == 2


async def test_a_remediation_that_does_not_exist_is_stale(journal: SqlJournal) -> None:
    with pytest.raises(StaleRemediation, match="does not exist"):
        await journal.commit(to(begun(), State.HELD), NOW, holder=ME)


async def test_only_the_holder_moves_it_on(journal: SqlJournal) -> None:
    r = await claimed(journal)
    with pytest.raises(StaleRemediation, match="held by me, not by other"):
        await journal.commit(to(r, State.HELD), NOW, holder="other")


async def test_nobody_moves_what_he_never_claimed(journal: SqlJournal) -> None:
    r = await opened(journal)
    with pytest.raises(StaleRemediation, match="held by nobody"):
        await journal.commit(to(r, State.HELD), NOW, holder=ME)


async def test_a_persons_event_needs_no_claim_and_takes_none(journal: SqlJournal) -> None:
    r = await claimed(journal)
    r = await moved(journal, to(r, State.HELD), keep_claim=False)
    assert await journal.renew(ME, [r.id], NOW, LEASE) == {r.id}
    await journal.commit(to(r, State.PLANNED), NOW, holder=ME)


async def test_a_claim_is_given_back_with_the_commit(journal: SqlJournal) -> None:
    r = await claimed(journal)
    await journal.commit(to(r, State.HELD), NOW, holder=ME, keep_claim=False)
    assert await journal.renew(ME, [r.id], NOW, LEASE) == frozenset()
    assert [x.id for x in await journal.claim("other", NOW, LEASE, 9)] == [r.id]


async def test_an_old_epoch_is_stale(journal: SqlJournal) -> None:
    r = await reserved(journal, await opened(journal))
    with pytest.raises(StaleRemediation, match="epoch"):
        await journal.commit(to(replace(r, epoch=r.epoch + 1), State.ACTING), NOW, holder="")


async def test_an_ignored_event_moves_only_the_next_look(journal: SqlJournal) -> None:
    """It is on record by `note`; the transition must not be recorded a second time."""
    r = await claimed(journal)
    ignored = decide(r, acted("done"), NOW)
    assert ignored.ignored
    await journal.commit(ignored, NOW, holder=ME, keep_claim=False)
    assert await journal.get(r.id) == ignored.remediation
    assert len(await journal.history(r.id)) == 1
    assert await journal.renew(ME, [r.id], NOW, LEASE) == frozenset()


async def test_a_decision_and_what_comes_with_it_must_agree(journal: SqlJournal) -> None:
    r = await claimed(journal)
    for decision, rest in (
        (to(r, State.RESERVED, reserve=True), {}),
        (to(r, State.HELD), {"reserve": request(r)}),
        (to(r, State.ESCALATED, child="next"), {}),
        (to(r, State.HELD), {"child": begun(2)}),
    ):
        with pytest.raises(ValueError, match="disagree"):
            await journal.commit(decision, NOW, holder=ME, **rest)
    assert await journal.get(r.id) == r


async def test_a_change_of_root_is_found_under_the_new_one(journal: SqlJournal) -> None:
    r = await opened(journal, root=None)
    root = ObjectRef("StatefulSet", "shop", "db")
    await moved(journal, to(r, State.HELD, root=root))
    assert [x.id for x in await journal.unfinished("c1", root)] == [r.id]


# Claims ---------------------------------------------------------------------------------------------------------------


async def test_due_ones_are_claimed_most_overdue_first(journal: SqlJournal) -> None:
    for number, seconds in ((1, 30), (2, 10), (3, 20), (4, 61)):
        await opened(journal, number, due=NOW + seconds * SECOND, deadline=NOW + HOUR)
    now = NOW + MINUTE
    assert [r.id for r in await journal.claim(ME, now, LEASE, 2)] == ["r-2", "r-3"]
    assert [r.id for r in await journal.claim("other", now, LEASE, 9)] == ["r-1"]
    assert await journal.next_due() == NOW + 10 * SECOND
    assert await journal.next_due(["r-1", "r-2", "r-3"]) == NOW + 61 * SECOND


async def test_a_passed_deadline_wakes_what_is_not_due(journal: SqlJournal) -> None:
    await opened(journal, due=None, deadline=NOW + MINUTE)
    assert await journal.claim(ME, NOW + 59 * SECOND, LEASE, 9) == ()
    assert await journal.next_due() == NOW + MINUTE
    assert [r.id for r in await journal.claim(ME, NOW + MINUTE, LEASE, 9)] == ["r-1"]


async def test_what_has_neither_waits_for_people(journal: SqlJournal) -> None:
    await opened(journal, due=None, deadline=None)
    assert await journal.claim(ME, NOW + HOUR, LEASE, 9) == ()
    assert await journal.next_due() is None


async def test_a_lease_keeps_others_away_until_it_is_over(journal: SqlJournal) -> None:
    await claimed(journal)
    assert await journal.claim("other", NOW + LEASE - SECOND, LEASE, 9) == ()
    assert [r.id for r in await journal.claim(ME, NOW + SECOND, LEASE, 9)] == ["r-1"]
    assert await journal.claim(ME, NOW + SECOND, LEASE, 9, ["r-1"]) == ()
    assert await journal.claim("other", NOW + LEASE, LEASE, 9) == (), "renewed by the claim"
    assert [r.id for r in await journal.claim("other", NOW + SECOND + LEASE, LEASE, 9)] == ["r-1"]


async def test_renewing_tells_what_is_still_ours(journal: SqlJournal) -> None:
    await claimed(journal, 1)
    await claimed(journal, 2)
    late = NOW + LEASE + SECOND
    await journal.claim("other", late, LEASE, 1)
    assert await journal.renew(ME, ["r-1", "r-2", "r-9"], late, LEASE) == {"r-2"}
    assert await journal.claim("other", late + LEASE - SECOND, LEASE, 9, ["r-1"]) == ()
    assert await journal.renew(ME, [], late, LEASE) == frozenset()


async def test_nothing_that_has_ended_is_claimed_or_renewed(journal: SqlJournal) -> None:
    r = await claimed(journal)
    await journal.commit(to(r, State.SUCCEEDED), NOW, holder=ME)
    assert await journal.claim(ME, NOW + HOUR, LEASE, 9) == ()
    assert await journal.renew(ME, ["r-1"], NOW, LEASE) == frozenset()
    assert await journal.next_due() is None


async def test_taking_a_dead_holders_remediation_fences_him(journal: SqlJournal) -> None:
    r = await claimed(journal)
    result = await journal.commit(to(r, State.RESERVED, reserve=True), NOW, holder=ME, reserve=request(r))
    assert isinstance(result, Committed)
    zombie = result.remediation
    late = NOW + LEASE
    (taken,) = await journal.claim("other", late, LEASE, 9)
    assert taken.epoch > zombie.epoch
    assert taken == replace(zombie, epoch=taken.epoch) == await journal.get(r.id)
    with pytest.raises(StaleRemediation):
        await journal.commit(to(zombie, State.ACTING), late, holder=ME)
    refused = await journal.record_attempt(attempt(zombie), late)
    assert refused.why == "fenced"  # type: ignore[union-attr]
    assert (await journal.commit(to(taken, State.ACTING), late, holder="other")).remediation.state is State.ACTING  # type: ignore[union-attr]


async def test_a_free_one_keeps_its_epoch_when_claimed(journal: SqlJournal) -> None:
    r = await reserved(journal, await opened(journal))
    (taken,) = await journal.claim(ME, NOW, LEASE, 9)
    assert taken == r


async def test_at_start_everything_of_the_process_before_is_ours(journal: SqlJournal) -> None:
    dead = await reserved(journal, await claimed(journal, 1))
    free = await reserved(journal, await opened(journal, 2))
    await journal.claim("old", NOW, LEASE, 9, ["r-2"])
    mine = await opened(journal, 3)
    await journal.claim("new", NOW, LEASE, 9)
    assert await journal.takeover("new") == 1
    taken = {r.id: r for r in await journal.claim("new", NOW + SECOND, LEASE, 9)}
    assert taken["r-1"].epoch > dead.epoch
    assert taken["r-2"].epoch == free.epoch, "the new process has claimed it already"
    assert taken["r-3"] == mine
    with pytest.raises(StaleRemediation):
        await journal.commit(to(dead, State.ACTING), NOW, holder=ME)


async def test_a_takeover_fences_also_what_nobody_held(journal: SqlJournal) -> None:
    r = await reserved(journal, await opened(journal))
    assert await journal.takeover("new") == 1
    (taken,) = await journal.claim("new", NOW, LEASE, 9)
    assert taken.epoch > r.epoch


# Rungs ----------------------------------------------------------------------------------------------------------------


def _rung(parent: Remediation, number: int = 2) -> Remediation:
    return begun(number, root=parent.root, target=parent.target, parent=parent.id, episode=parent.episode)


async def test_a_child_is_created_with_the_end_of_its_parent(journal: SqlJournal) -> None:
    parent = await opened(journal)
    child = _rung(parent)
    await moved(journal, to(parent, State.ESCALATED, child="next"), child=child)
    assert await journal.get(child.id) == child
    assert [r.id for r in await journal.claim(ME, NOW, LEASE, 9)] == [child.id]
    (line,) = await journal.history(child.id)
    assert (line.type, line.data["parent"]) == ("opened", parent.id)


async def test_a_stale_parent_has_no_child(journal: SqlJournal) -> None:
    parent = await opened(journal)
    await moved(journal, to(parent, State.HELD))
    with pytest.raises(StaleRemediation):
        await journal.commit(to(parent, State.ESCALATED, child="next"), NOW, holder="", child=_rung(parent))
    assert await journal.get("r-2") is None


async def test_an_odd_value_survives_the_journey(journal: SqlJournal) -> None:
    r = remediation(
        State.PLANNED,
        alerts=(),
        reason='quotes " and \\ and \x00 and ünïcode ✓',
        plan=plan(digest="d" * 64),
        chain=("a", "b"),
    )
    stored = await journal.open(r, NOW)
    assert stored is not None
    event = PlanMade(plan=stored.plan, verdicts=(), explanation="x\x00y")
    assert await journal.get(r.id) == stored
    await moved(journal, to(stored, State.HELD, event=event))
