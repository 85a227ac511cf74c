"""An incident that a person takes leaves its episode to that person: which one, and when not."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from remediator.adapters.sql.journal import SqlJournal
from remediator.guardrails.scopes import episode_scope
from remediator.people import incident_desk
from remediator.people.account import Account
from remediator.people.carriers.pagerduty import PagerDutyCarrier
from remediator.people.inbox import Later
from remediator.people.incident_desk import BEFORE_WE_KNEW, IncidentDesk, webhook_row
from remediator.people.incident_webhooks import read_webhook
from remediator.people.incidents import NOTES, Incident
from remediator.people.join import Join
from remediator.people.outbox import Outbox
from remediator.people.outbox_rows import OutboxMessage
from remediator.people.pages import incident_key
from remediator.ports import ChatError
from remediator.remediation.state import Remediation
from tests.support.pagerduty_webhooks import INTEGRATION, delivery, event
from tests.support.world import World, deployment, restart_playbook

MINUTE = timedelta(minutes=1)
JOIN = Join(route_key="{}", group_by=("alertname", "namespace"))
EU = "eu-1"


class Incidents:
    """What PagerDuty's API would say."""

    def __init__(self, *known: Incident, error: ChatError | None = None) -> None:
        self._known = {incident.id: incident for incident in known}
        self._error = error

    async def find(self, key: str) -> list[Incident]:
        raise AssertionError("not asked")

    async def get(self, incident_id: str) -> Incident | None:
        if self._error:
            raise self._error
        return self._known.get(incident_id)

    async def notes(self, incident_id: str) -> list[str]:
        raise AssertionError("not asked")

    async def annotate(self, incident_id: str, text: str) -> None:
        raise AssertionError("notes leave through the outbox")


class Taking:
    """A pager that takes everything."""

    async def send(self, event: Mapping[str, object]) -> None:
        """Taken."""


class Scene:
    """One service with a proposal that waits, and its desk."""

    def __init__(self, **more: Any) -> None:
        self.world = World(restart_playbook(mode="approve"))
        self.world.cluster.apply(deployment())
        self.world.settle()
        self.world.cluster.advance(60)
        self.taken: list[tuple[str, Account]] = []
        self.more = {"instance": EU, **more}
        self.desk = IncidentDesk(self.journal, self._take, self.world.clock, **self.more)

    @property
    def journal(self) -> SqlJournal:
        return self.world.journal

    async def _take(self, episode: str, who: Account) -> None:
        self.taken.append((episode, who))
        await self.journal.pause(episode_scope(episode), who.key, "PagerDuty", None, self.world.clock.now())

    async def proposal(self) -> Remediation:
        await self.world.alert(deployment="api", namespace="shop", severity="critical")
        return await self.world.run_until("awaiting_approval")

    async def hear(
        self, kind: str = "incident.acknowledged", *, key: str, ago: timedelta = 0 * MINUTE, **more: Any
    ) -> str:
        """Through the door, as far as it gets."""
        payload = event(kind, at=self.world.clock.now() - ago, key=key, **more)
        read = read_webhook(delivery(payload)[0])
        if read is None or not self.desk.concerns(read):
            return "not stored"
        return await self.desk.handle(webhook_row(read))

    async def sent(self, action: str, key: str) -> None:
        """The pager has taken this event of ours, now."""
        now = self.world.clock.now()
        message = OutboxMessage(
            channel="pagerduty",
            destination="other",
            key=f"k/{action}/{now}",
            kind="event",
            payload={"event_action": action, "dedup_key": key},
        )
        await self.journal.store_messages([message], now)
        await Outbox(self.journal, {"pagerduty": PagerDutyCarrier({"other": Taking(), "shop": Taking()})}).run_once(now)


def key_of(r: Remediation, instance: str = EU) -> str:
    return incident_key(instance, r.cluster, r.episode)


@pytest.mark.parametrize(
    "kind",
    [
        *("incident.acknowledged", "incident.resolved", "incident.reassigned", "incident.delegated"),
        "incident.priority_updated",
    ],
)
async def test_a_person_takes_it(kind: str) -> None:
    scene = Scene()
    r = await scene.proposal()
    said = await scene.hear(kind, key=key_of(r))
    ((episode, who),) = scene.taken
    assert episode == r.episode
    assert (who.system, who.id, who.name, who.via) == ("pagerduty", "PANN001", "Ann Miller", "pagerduty")
    assert "is left to pagerduty:PANN001" in said


async def test_whatever_is_no_person_takes_nothing() -> None:
    scene = Scene()
    r = await scene.proposal()
    assert await scene.hear(key=key_of(r), agent=INTEGRATION) == "not stored"
    assert await scene.hear("incident.resolved", key=key_of(r), agent=None) == "not stored"
    assert scene.taken == []


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("remediator/eu-1/c1/e-nobody", id="no such episode"),
        pytest.param("remediator", id="no episode at all"),
        pytest.param("somebody/else", id="somebody else's"),
        pytest.param("d3640fbd41094207a1c11e58e46b1662", id="opened by hand"),
        pytest.param("f" * 64, id="Alertmanager's, which we do not join"),
    ],
)
async def test_incidents_that_are_not_ours(key: str) -> None:
    scene = Scene()
    await scene.proposal()
    assert await scene.hear(key=key) in ("not stored", "no open episode of ours has this incident")
    assert scene.taken == []


async def test_an_incident_of_another_installation_with_an_episode_called_alike() -> None:
    scene = Scene()
    r = await scene.proposal()
    assert await scene.hear(key=key_of(r, "eu-2")) == "no open episode of ours has this incident"
    assert await scene.hear(key=incident_key(EU, "c2", r.episode)) == "no open episode of ours has this incident"
    assert scene.taken == []


async def test_an_episode_that_is_over_is_not_taken_any_more() -> None:
    scene = Scene()
    r = await scene.proposal()
    await scene.world.alert(deployment="api", namespace="shop", severity="critical", resolved=True)
    await scene.world.run_for(20, step=5)
    now = scene.world.clock.now() + timedelta(days=2)
    await scene.world.run_until("superseded", "escalated", within_s=4000)
    await scene.journal.close_episodes(now, timedelta(hours=1))
    episode = await scene.journal.episode(r.episode)
    assert episode is not None
    assert episode.closed_at is not None
    assert await scene.hear(key=key_of(r)) == "no open episode of ours has this incident"
    assert scene.taken == []


async def test_a_late_word_about_an_incident_that_we_have_closed_takes_nothing() -> None:
    """The next one of the same episode has the same key."""
    scene = Scene()
    r = await scene.proposal()
    await scene.sent("trigger", key_of(r))
    scene.world.cluster.advance(120)
    await scene.sent("resolve", key_of(r))
    scene.world.cluster.advance(60)
    await scene.sent("trigger", key_of(r))
    assert await scene.hear(key=key_of(r), ago=2 * MINUTE) == "no open episode of ours has this incident"
    assert scene.taken == []
    assert "is left to" in await scene.hear(key=key_of(r), ago=MINUTE / 2)


async def test_a_word_from_before_it_was_given_back_takes_nothing_again() -> None:
    """PagerDuty repeats what was not answered in time, and so does our own inbox after a crash."""
    scene = Scene(incidents=Incidents())
    r = await scene.proposal()
    assert "is left to" in await scene.hear(key=key_of(r))
    scene.world.cluster.advance(60)
    (pause,) = await scene.journal.pauses(scene.world.clock.now())
    await scene.journal.resume(pause.id, "bob", scene.world.clock.now())
    scene.world.cluster.advance(60)
    said = await scene.hear(key=key_of(r), ago=2 * MINUTE)
    assert said == f"{r.episode} was given back after that"
    assert await scene.journal.pauses(scene.world.clock.now()) == ()
    assert "is left to" in await scene.hear(key=key_of(r), ago=MINUTE / 2)


async def test_what_only_refers_to_the_incident_is_looked_up() -> None:
    scene = Scene()
    r = await scene.proposal()
    assert await scene.hear("incident.responder.added", key="") == "not stored", "without the API nobody can know"
    known = Incidents(Incident(id="Q00001", key=key_of(r), status="triggered"))
    scene.desk = IncidentDesk(scene.journal, scene._take, scene.world.clock, instance=EU, incidents=known)
    assert "is left to" in await scene.hear("incident.responder.added", key="")
    assert await scene.hear("incident.responder.added", key="", incident="QOTHER") == (
        "no open episode of ours has this incident"
    )


@pytest.mark.parametrize("retry", [30.0, None])
async def test_an_api_that_does_not_answer(retry: float | None) -> None:
    scene = Scene(incidents=Incidents(error=ChatError("503", retry_after_s=retry)))
    await scene.proposal()
    if retry is None:
        assert await scene.hear("incident.responder.added", key="") == "no open episode of ours has this incident"
        return
    with pytest.raises(Later) as caught:
        await scene.hear("incident.responder.added", key="")
    assert caught.value.after_s == retry


async def test_who_lets_it_go_hears_that_we_still_stay_away() -> None:
    scene = Scene(incidents=Incidents())
    r = await scene.proposal()
    await scene.hear(key=key_of(r))
    said = await scene.hear("incident.unacknowledged", key=key_of(r), agent=None, event_id="02")
    assert "is still left to pagerduty:PANN001" in said
    (note,) = await scene.journal.due(NOTES, scene.world.clock.now(), 10)
    assert note.payload["incident_key"] == key_of(r)
    assert f"remediator give-back {r.episode}" in note.payload["text"]
    assert [p.scope for p in await scene.journal.pauses(scene.world.clock.now())] == [episode_scope(r.episode)]


async def test_who_never_took_it_lets_nothing_go() -> None:
    scene = Scene(incidents=Incidents())
    r = await scene.proposal()
    assert "had not been left" in await scene.hear("incident.unacknowledged", key=key_of(r), agent=None)
    assert await scene.journal.due(NOTES, scene.world.clock.now(), 10) == ()


# Alertmanager's own incident ------------------------------------------------------------------------------------------


async def test_who_takes_alertmanagers_incident_takes_the_episode_of_its_alerts() -> None:
    scene = Scene(join=JOIN)
    r = await scene.proposal()
    key = JOIN.key({"alertname": "Stuck", "namespace": "shop"})
    assert "is left to" in await scene.hear(key=key)
    assert [episode for episode, _ in scene.taken] == [r.episode]


async def test_another_group_is_another_incident() -> None:
    scene = Scene(join=JOIN)
    await scene.proposal()
    other = JOIN.key({"alertname": "Other", "namespace": "shop"})
    assert await scene.hear(key=other, ago=BEFORE_WE_KNEW) == "no open episode of ours has this incident"
    assert scene.taken == []


async def test_a_word_from_before_the_alert_fired_is_about_an_earlier_incident() -> None:
    """The key of a group is the same for ever."""
    scene = Scene(join=JOIN)
    await scene.proposal()
    key = JOIN.key({"alertname": "Stuck", "namespace": "shop"})
    assert await scene.hear(key=key, ago=timedelta(hours=20)) == "no open episode of ours has this incident"
    assert scene.taken == []


async def test_alertmanager_may_page_people_before_it_tells_us() -> None:
    scene = Scene(join=JOIN)
    key = JOIN.key({"alertname": "Stuck", "namespace": "shop"})
    with pytest.raises(Later):
        await scene.hear(key=key)
    r = await scene.proposal()
    assert "is left to" in await scene.hear(key=key, ago=timedelta(seconds=30))
    assert [episode for episode, _ in scene.taken] == [r.episode]


async def test_one_group_may_be_several_episodes() -> None:
    scene = Scene(join=JOIN)
    first = await scene.proposal()
    scene.world.cluster.apply(deployment("web"))
    scene.world.settle("web")
    await scene.world.alert(deployment="web", namespace="shop", severity="critical")
    second = await scene.world.run_until("awaiting_approval")
    while second.id == first.id:
        await scene.world.run_for(1)
        second = await scene.world.newest()
    await scene.hear(key=JOIN.key({"alertname": "Stuck", "namespace": "shop"}))
    assert {episode for episode, _ in scene.taken} == {first.episode, second.episode}


async def test_the_alert_may_be_over_when_the_word_arrives() -> None:
    """Had it come in time it would have counted, and it may fire again any minute."""
    scene = Scene(join=JOIN)
    r = await scene.proposal()
    scene.world.cluster.advance(60)
    await scene.world.alert(deployment="api", namespace="shop", severity="critical", resolved=True)
    scene.world.cluster.advance(10)
    key = JOIN.key({"alertname": "Stuck", "namespace": "shop"})
    with pytest.raises(Later):  # about a firing that we do not know of yet
        await scene.hear(key=key, ago=timedelta(seconds=5))
    await scene.hear(key=key, ago=timedelta(seconds=30))
    assert [episode for episode, _ in scene.taken] == [r.episode]


async def test_an_old_alert_is_not_forgotten_behind_many_new_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incident_desk, "KNOWN_ALERTS", 3)
    scene = Scene(join=JOIN)
    r = await scene.proposal()
    for number in range(4):
        await scene.world.alert(f"Other{number}")
    await scene.hear(key=JOIN.key({"alertname": "Stuck", "namespace": "shop"}))
    assert [episode for episode, _ in scene.taken] == [r.episode]
