"""Episodes close when their alerts are resolved and their remediations over, and stay so for a while."""

from __future__ import annotations

from remediator.adapters.sql.journal import SqlJournal
from remediator.objects import ObjectRef
from remediator.remediation.state import State
from tests.journal.given import HOUR, MINUTE, SECOND, alert, ended, opened, resolved
from tests.support.building import NOW

ROOT = ObjectRef("Deployment", "shop", "api")


async def test_an_episode_closes_when_all_is_quiet(journal: SqlJournal) -> None:
    await journal.accept([alert()], NOW)
    (record,) = await journal.undecided(1)
    r = await opened(journal, root=ROOT, alerts=(record.id,))
    assert await journal.close_episodes(NOW + 9 * HOUR, HOUR) == 0, "it runs, and fires"
    await ended(journal, r, now=NOW + 10 * MINUTE)
    assert await journal.close_episodes(NOW + 9 * HOUR, HOUR) == 0, "it fires"
    await journal.accept([resolved(ends_at=NOW + 20 * MINUTE)], NOW + 20 * MINUTE)
    assert await journal.close_episodes(NOW + 80 * MINUTE - SECOND, HOUR) == 0, "not for long enough"
    assert await journal.close_episodes(NOW + 80 * MINUTE, HOUR) == 1
    assert await journal.close_episodes(NOW + 80 * MINUTE, HOUR) == 0
    episode = await journal.episode(r.episode)
    assert episode is not None
    assert (episode.closed_at, episode.root) == (NOW + 80 * MINUTE, ROOT)


async def test_after_that_the_root_gets_a_new_one(journal: SqlJournal) -> None:
    first = await opened(journal, 1, root=ROOT)
    await ended(journal, first, State.DENIED)
    second = await opened(journal, 2, root=ROOT)
    assert second.episode == first.episode
    await ended(journal, second, State.DENIED)
    await journal.close_episodes(NOW + HOUR, HOUR)
    third = await opened(journal, 3, root=ROOT)
    assert third.episode != first.episode


async def test_a_quiet_alert_that_fires_again_keeps_it_open(journal: SqlJournal) -> None:
    await journal.accept([alert()], NOW)
    (record,) = await journal.undecided(1)
    await ended(journal, await opened(journal, alerts=(record.id,)))
    await journal.accept([resolved(ends_at=NOW + MINUTE)], NOW + MINUTE)
    await journal.accept([alert(starts_at=NOW + 5 * MINUTE)], NOW + 5 * MINUTE)
    assert await journal.close_episodes(NOW + 9 * HOUR, HOUR) == 0


async def test_an_episode_closes_although_no_resolve_ever_comes(journal: SqlJournal) -> None:
    """Neither switched-off resolved messages nor a silence keep it open for ever."""
    await journal.accept([alert()], NOW)
    (record,) = await journal.undecided(1)
    r = await opened(journal, root=ROOT, alerts=(record.id,))
    await ended(journal, r)
    assert await journal.close_episodes(NOW + 9 * HOUR, HOUR) == 0
    await journal.close_unsent(NOW + 25 * HOUR, 24 * HOUR)
    assert await journal.close_episodes(NOW + 26 * HOUR, HOUR) == 1
    assert await journal.firing_roots("c1") == {}


async def test_one_that_is_not_known_is_none(journal: SqlJournal) -> None:
    assert await journal.episode("e-9") is None


async def test_a_remediation_alone_keeps_it_open(journal: SqlJournal) -> None:
    r = await opened(journal)
    assert await journal.close_episodes(NOW + 9 * HOUR, HOUR) == 0, "it runs"
    await ended(journal, r, State.DENIED, now=NOW + 9 * HOUR)
    assert await journal.close_episodes(NOW + 10 * HOUR - SECOND, HOUR) == 0, "not for long enough"
    assert await journal.close_episodes(NOW + 10 * HOUR, HOUR) == 1
