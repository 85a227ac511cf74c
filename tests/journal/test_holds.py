"""Holds of drift correction wait from the commit that records them until somebody has ended them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from remediator.actions.change import FieldChange, Patch
from remediator.adapters.sql.journal import SqlJournal
from remediator.objects import ObjectRef
from remediator.people.outbox_rows import OutboxMessage
from remediator.playbooks.model import Step
from remediator.remediation.journal import StaleRemediation, WaitingHold
from remediator.remediation.state import Done, Remediation, State
from tests.journal.given import DAY, MINUTE, begun, ended, moved, opened, to
from tests.support.building import NOW, playbook

APP = ObjectRef("Application.argoproj.io", "argocd", "shop")
PATCH = Patch(ref=APP, uid="u", changes=(FieldChange(("spec", "syncPolicy", "automated"), None, {}),))
HOLD = Done(effect_id="r-1/0.0", step=0, at=NOW, summary="hold", inverse=PATCH)
MESSAGE = OutboxMessage(channel="slack", destination="C0", key="k", kind="post", payload={"text": "late"})


async def holding(journal: SqlJournal) -> Remediation:
    steps = (Step(action="scale", via="hold_and_pr"),)
    r = await opened(journal, spec=playbook().model_copy(update={"steps": steps}))
    return await moved(journal, to(r, State.ACTING, done=(HOLD,)))


async def test_it_is_written_with_the_effect_and_once(journal: SqlJournal) -> None:
    r = await holding(journal)
    expected = WaitingHold(effect_id="r-1/0.0", remediation_id="r-1", at=NOW)
    assert await journal.waiting_holds(9) == (expected,)
    r = await moved(journal, to(r, State.VERIFYING), now=NOW + MINUTE)
    assert await journal.waiting_holds(9) == (expected,)
    await journal.settle_hold("r-1/0.0", NOW + MINUTE, "switched on by hand")
    await ended(journal, r, now=NOW + 2 * MINUTE)
    assert await journal.waiting_holds(9) == (), "what is settled does not begin anew"


async def test_a_commit_that_fails_has_written_none(journal: SqlJournal) -> None:
    steps = (Step(action="scale", via="hold_and_pr"),)
    r = await opened(journal, spec=playbook().model_copy(update={"steps": steps}))
    with pytest.raises(StaleRemediation):
        await moved(journal, to(replace(r, version=7), State.ACTING, done=(HOLD,)))
    assert await journal.waiting_holds(9) == ()


async def test_a_release_begins_once_and_again_after_it_has_failed(journal: SqlJournal) -> None:
    await holding(journal)
    (waiting,) = await journal.waiting_holds(9)
    assert await journal.release_hold(waiting, begun(2), NOW) is not None
    assert await journal.release_hold(waiting, begun(3), NOW) is None
    (again,) = await journal.waiting_holds(9)
    assert again.release_id == "r-2"
    assert await journal.release_hold(again, begun(4), NOW) is not None
    assert await journal.get("r-3") is None
    await journal.settle_hold("r-1/0.0", NOW, "released")
    assert await journal.release_hold(replace(again, release_id="r-4"), begun(5), NOW) is None
    assert await journal.get("r-5") is None


async def test_people_are_told_once(journal: SqlJournal) -> None:
    await holding(journal)
    assert await journal.told_of_hold("r-1/0.0", NOW + MINUTE, (MESSAGE,))
    assert not await journal.told_of_hold("r-1/0.0", NOW + 2 * MINUTE, (MESSAGE,))
    (waiting,) = await journal.waiting_holds(9)
    assert waiting.told_at == NOW + MINUTE
    assert len(await journal.due("slack", NOW + DAY, 9)) == 1


async def test_what_is_settled_is_forgotten_with_its_record_and_not_before(journal: SqlJournal) -> None:
    r = await holding(journal)
    await ended(journal, r)
    assert "holds" not in {k for k, v in (await journal.purge(NOW + 80 * DAY)).items() if v}
    await journal.settle_hold("r-1/0.0", NOW, "released")
    assert (await journal.purge(NOW + 91 * DAY))["holds"] == 1
