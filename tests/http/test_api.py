"""`/api/v1`: who may do what, what each route answers, and that a slip of the keyboard is refused."""

from __future__ import annotations

import asyncio
import io
from datetime import timedelta
from typing import Any

import pytest

from remediator.remediation.events import Rejected
from remediator.remediation.state import State
from tests.http.harness import DIGEST, ROLES, Client, World, alert, api_token, as_, bearer, source, webhook
from tests.support.building import NOW, playbook

API = "/api/v1"

ROUTES: tuple[tuple[str, str, dict[str, Any] | None, str], ...] = (
    ("GET", "/alerts", None, "viewer"),
    ("GET", "/remediations", None, "viewer"),
    ("GET", "/remediations/r-1", None, "viewer"),
    ("GET", "/handover", None, "viewer"),
    ("GET", "/playbooks", None, "viewer"),
    ("GET", "/pauses", None, "viewer"),
    ("POST", "/explain", {"labels": {"alertname": "A"}}, "viewer"),
    ("POST", "/pauses", {"scope": "everything"}, "operator"),
    ("DELETE", "/pauses?scope=everything", None, "operator"),
    ("DELETE", "/pauses/p-1", None, "operator"),
    ("POST", "/remediations/r-1/approve", {}, "approver"),
    ("POST", "/remediations/r-1/reject", {}, "operator"),
    ("POST", "/remediations/r-1/snooze", {"for": "5m"}, "approver"),
    ("POST", "/episodes/e-1/take", {}, "operator"),
    ("POST", "/episodes/r-1/give-back", {}, "operator"),
    ("POST", "/playbooks/scale-api/run", {}, "operator"),
)


class TestRoles:
    @pytest.mark.parametrize("role", ROLES)
    @pytest.mark.parametrize(
        ("method", "path", "body", "needed"), [pytest.param(*r, id=f"{r[0]} {r[1]}") for r in ROUTES]
    )
    async def test_each_route_needs_its_role(
        self, client: Client, method: str, path: str, body: dict[str, Any] | None, needed: str, role: str
    ) -> None:
        """viewer < operator < approver < admin; a forbidden call changes nothing."""
        answer = await client.request(method, API + path, json=body, headers=as_(role))
        if ROLES.index(role) >= ROLES.index(needed):
            assert answer.status not in (401, 403)
        else:
            assert answer.status == 403
            assert await answer.json() == {
                "error": "not_allowed",
                "detail": f"this needs the role {needed}, the-{role} is {role}",
                "next": "Use another token.",
            }

    @pytest.mark.parametrize(("method", "path", "body", "needed"), [pytest.param(*r, id=r[1]) for r in ROUTES])
    @pytest.mark.parametrize("headers", [{}, bearer("wrong"), bearer(""), {"Authorization": "Basic dTpw"}])
    async def test_nobody_without_a_token(
        self, client: Client, method: str, path: str, body: Any, needed: str, headers: dict[str, str]
    ) -> None:
        answer = await client.request(method, API + path, json=body, headers=headers)
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert (await answer.json())["error"] == "unauthorized"

    async def test_a_sender_of_alerts_is_no_user(self, client: Client) -> None:
        assert (await client.get(f"{API}/alerts", headers=bearer())).status == 401

    async def test_without_any_token_configured_it_says_so(self, world: World) -> None:
        async with world.serving(api=()) as client:
            told = await (await client.get(f"{API}/alerts", headers=bearer("x"))).json()
            assert "`api:`" in told["detail"]


class TestErrors:
    @pytest.mark.parametrize(
        ("method", "path", "body", "status", "said"),
        [
            pytest.param("GET", "/nothing", None, 404, "GET /api/v1/nothing", id="no such route"),
            pytest.param("POST", "/alerts", {}, 405, "POST /api/v1/alerts", id="wrong method"),
            pytest.param("GET", "/remediations/r-9", None, 404, "no remediation is called 'r-9'", id="unknown id"),
            pytest.param("GET", "/remediations?limt=3", None, 400, "limt", id="misspelt parameter"),
            pytest.param("GET", "/remediations?limit=0", None, 400, "limit", id="limit too small"),
            pytest.param("GET", "/remediations?limit=9&limit=8", None, 400, "given twice", id="parameter twice"),
            pytest.param("GET", "/remediations?state=sleeping", None, 400, "no state is called", id="unknown state"),
            pytest.param("GET", "/pauses?x=1", None, 400, "x", id="parameter where none is known"),
            pytest.param("POST", "/pauses", {"scope": "everything", "untill": "x"}, 400, "untill", id="misspelt field"),
            pytest.param("POST", "/pauses", {}, 400, "scope", id="missing field"),
            pytest.param("POST", "/pauses", [], 400, "JSON object", id="no object"),
            pytest.param("POST", "/pauses", {"scope": "the world"}, 400, "names nothing", id="unclear scope"),
            pytest.param("POST", "/pauses", {"scope": "everything", "for": "soon"}, 400, "for", id="no duration"),
            pytest.param("POST", "/pauses", {"scope": "everything", "for": 0}, 400, "longer than 0", id="no time"),
            pytest.param(
                "POST", "/pauses", {"scope": "everything", "until": "2026-03-01T00:00:00"}, 400, "until", id="no zone"
            ),
            pytest.param(
                "POST", "/pauses", {"scope": "everything", "until": "2020-01-01T00:00:00Z"}, 400, "over", id="past"
            ),
            pytest.param(
                "POST",
                "/pauses",
                {"scope": "everything", "for": "1h", "until": "2030-01-01T00:00:00Z"},
                400,
                "not both",
                id="two ends",
            ),
            pytest.param("POST", "/pauses", {"scope": "everything", "reason": "x" * 501}, 400, "501", id="long reason"),
            pytest.param("DELETE", "/pauses", None, 400, "scope", id="resume what"),
            pytest.param("DELETE", "/pauses/p-77", None, 404, "no live pause", id="unknown pause"),
            pytest.param("DELETE", "/pauses?scope=everything", None, 404, "is not paused", id="not paused"),
            pytest.param("POST", "/remediations/r-9/snooze", {}, 400, "how long", id="snooze without end"),
            pytest.param("POST", "/remediations/r-9/approve", {"digest": "xyz"}, 400, "digest", id="no digest"),
            pytest.param("POST", "/explain", {}, 400, "has labels", id="explain nothing"),
            pytest.param("POST", "/explain", {"alerts": []}, 400, "no alert in it", id="explain no alert"),
            pytest.param("POST", "/explain", [{"labels": {}}] * 21, 400, "21 alerts", id="explain too many"),
        ],
    )
    async def test_each_says_what_is_wrong(
        self, client: Client, method: str, path: str, body: Any, status: int, said: str
    ) -> None:
        """One shape for all: error, detail, next."""
        answer = await client.request(method, API + path, json=body, headers=as_("admin"))
        told = await answer.json()
        assert (answer.status, set(told)) == (status, {"error", "detail", "next"})
        assert said in told["detail"]

    async def test_not_json(self, client: Client) -> None:
        answer = await client.post(f"{API}/pauses", data=b"{", headers=as_("admin"))
        assert (answer.status, (await answer.json())["error"]) == (400, "invalid_request")

    async def test_bodies_are_bounded(self, client: Client) -> None:
        body = io.BytesIO(b'{"scope": "everything", "reason": "' + b"x" * 1_048_577 + b'"}')
        answer = await client.post(f"{API}/pauses", data=body, headers=as_("admin"))
        assert (answer.status, (await answer.json())["error"]) == (413, "too_large")

    async def test_the_store_is_down(self, world: World, client: Client) -> None:
        world.store.error = "disk full"
        answer = await client.get(f"{API}/remediations", headers=as_("viewer"))
        assert (answer.status, (await answer.json())["error"]) == (503, "store_unavailable")

    async def test_a_defect_shows_nothing_of_its_inside(self, world: World, client: Client) -> None:
        world.explained = {"would": object()}
        answer = await client.post(f"{API}/explain", json={"labels": {}}, headers=as_("viewer"))
        told = await answer.json()
        assert (answer.status, told["error"]) == (500, "internal")
        assert "object" not in told["detail"]


class TestReading:
    async def test_alerts_with_their_verdicts(self, world: World, client: Client) -> None:
        await world.service.accept(webhook(alert("A", namespace="shop", severity="page")), source().source())
        record = (await world.journal.undecided(10))[0]
        await world.journal.decide_alerts({record.id: "no_playbook: nothing matches"}, NOW)
        (shown,) = (await (await client.get(f"{API}/alerts", headers=as_("viewer"))).json())["alerts"]
        assert (shown["name"], shown["severity"], shown["status"]) == ("A", "page", "firing")
        assert (shown["verdict"], shown["detail"], shown["remediation"]) == ("no_playbook", "nothing matches", "")
        assert shown["starts_at"] == "2026-03-01T02:55:00.000Z"

    async def test_an_alert_names_its_remediation(self, world: World, client: Client) -> None:
        await world.proposed()
        (shown,) = (await (await client.get(f"{API}/alerts", headers=as_("viewer"))).json())["alerts"]
        assert (shown["verdict"], shown["remediation"], shown["detail"]) == ("remediation", "r-1", "")

    async def test_remediations_newest_first_and_filtered(self, world: World, client: Client) -> None:
        for number in (1, 2, 3):
            await world.proposed(number)
            world.clock.time += timedelta(seconds=1)
        await world.mover.apply_from_person("r-2", Rejected(who="ann"))

        async def ids(query: str) -> list[str]:
            answer = await client.get(f"{API}/remediations{query}", headers=as_("viewer"))
            return [r["id"] for r in (await answer.json())["remediations"]]

        assert await ids("") == ["r-3", "r-2", "r-1"]
        assert await ids("?limit=1") == ["r-3"]
        assert await ids("?state=rejected") == ["r-2"]
        assert await ids("?state=open") == ["r-3", "r-1"]
        assert await ids("?state=open&limit=1") == ["r-3"]
        assert await ids("?playbook=other") == []

    async def test_one_with_everything_on_record(self, world: World, client: Client) -> None:
        await world.proposed()
        answer = await client.get(f"{API}/remediations/r-1", headers=as_("viewer"))
        shown = await answer.json()
        assert shown["state"] == "awaiting_approval"
        assert shown["target"] == {"kind": "Deployment", "namespace": "shop", "name": "api"}
        assert shown["plan"]["steps"][0]["diff"] == ["replicas 3 -> 5"]
        assert shown["plan"]["digest"] == shown["approval"]["digest"] == DIGEST
        assert shown["approval"]["given"] == []
        assert [v["guardrail"] for v in shown["verdicts"]] == ["cooldown", "silenced"]
        assert [a["name"] for a in shown["alerts"]] == ["Busy1"]
        assert [(e["from"], e["to"]) for e in shown["timeline"]][-2:] == [
            ("received", "planned"),
            ("planned", "awaiting_approval"),
        ]

    async def test_log_text_is_not_for_viewers(self, world: World, client: Client) -> None:
        await world.proposed()
        data = {"title": "Logs of api-1", "text": "50 lines, 3 with ERROR", "log": "ERROR customer 4711"}
        await world.journal.note("r-1", "evidence", "logs", data, NOW)
        for role, log in (("viewer", ""), ("operator", "ERROR customer 4711")):
            shown = await (await client.get(f"{API}/remediations/r-1", headers=as_(role))).json()
            (note,) = shown["evidence"]
            assert (note["log"], note["withheld"]) == (log, role == "viewer")
            assert note["text"] == "50 lines, 3 with ERROR"
            assert "4711" not in str(shown["timeline"])

    async def test_playbooks(self, client: Client) -> None:
        (shown,) = (await (await client.get(f"{API}/playbooks", headers=as_("viewer"))).json())["playbooks"]
        assert (shown["name"], shown["mode"], shown["steps"]) == ("scale-api", "auto", ["scale"])


class TestApproving:
    async def approve(self, client: Client, user: str = "approver", **body: str) -> tuple[int, dict[str, Any]]:
        answer = await client.post(f"{API}/remediations/r-1/approve", json=body, headers=as_(user))
        return answer.status, await answer.json()

    async def test_yes(self, world: World, client: Client) -> None:
        await world.proposed()
        status, told = await self.approve(client)
        assert (status, told["remediation"]["state"]) == (200, "approved")
        assert "Approved r-1 by the-approver" in told["message"]
        r = await world.journal.get("r-1")
        assert r is not None
        assert [(c.who, c.digest, c.via) for c in r.consents] == [("the-approver", DIGEST, "api")]
        history = await world.journal.history("r-1")
        assert history[-1].data["event"]["who"] == "the-approver"  # type: ignore[index]
        assert world.metrics.registry.get_sample_value("remediator_approvals_total", {"result": "approved"}) == 1

    @pytest.mark.parametrize("digest", [DIGEST, DIGEST[:8], DIGEST[:12].upper()])
    async def test_bound_to_what_was_looked_at(self, world: World, client: Client, digest: str) -> None:
        await world.proposed()
        assert (await self.approve(client, digest=digest))[0] == 200

    async def test_another_digest(self, world: World, client: Client) -> None:
        await world.proposed()
        status, told = await self.approve(client, digest="0" * 64)
        assert (status, told["error"]) == (409, "not_now")
        assert "what you looked at is not what would be done" in told["detail"]
        assert "remediations show r-1" in told["next"]

    async def test_quorum_of_two(self, world: World) -> None:
        """Counted by person: saying yes twice is one yes."""
        await world.proposed(spec=playbook(mode="approve", approval={"quorum": 2}))
        api = (api_token("approver", "ann", "token-of-ann"), api_token("admin", "bob", "token-of-bob"))
        async with world.serving(api=api) as client:
            status, told = await self.approve(client, "ann")
            assert (status, told["remediation"]["state"]) == (200, "awaiting_approval")
            assert "1 of 2 agreed, 1 more needed" in told["message"]
            _, told = await self.approve(client, "ann")
            assert "ann has approved r-1 already. 1 of 2 agreed" in told["message"]
            _, told = await self.approve(client, "bob")
            assert told["remediation"]["state"] == "approved"
            assert [c["who"] for c in told["remediation"]["approval"]["given"]] == ["ann", "bob"]

    async def test_the_requester_cannot(self, world: World, client: Client) -> None:
        await world.proposed(requester="the-approver")
        status, told = await self.approve(client)
        assert (status, told["error"]) == (403, "not_allowed")
        assert (await self.approve(client, "admin"))[0] == 200

    async def test_a_double_click_counts_once(self, world: World, client: Client) -> None:
        await world.proposed()
        answers = await asyncio.gather(*(self.approve(client) for _ in range(5)))
        assert sorted({status for status, _ in answers}) in ([200], [200, 409])
        r = await world.journal.get("r-1")
        assert r is not None
        assert len(r.consents) == 1

    async def test_what_has_ended(self, world: World, client: Client) -> None:
        await world.proposed()
        await world.mover.apply_from_person("r-1", Rejected(who="bob", why="no"))
        status, told = await self.approve(client)
        assert (status, told["error"]) == (409, "not_now")
        assert "ended 2026-03-01 03:00 UTC: rejected" in told["detail"]

    async def test_what_is_approved_already(self, world: World, client: Client) -> None:
        await world.proposed()
        await self.approve(client, "admin")
        status, told = await self.approve(client)
        assert (status, told["detail"]) == (409, "r-1 is approved already, by the-admin; there is nothing to approve")

    async def test_too_late(self, world: World, client: Client) -> None:
        await world.proposed()
        world.clock.time += timedelta(minutes=15)
        status, told = await self.approve(client)
        assert (status, told["detail"]) == (409, "the time to approve r-1 ended at 03:15:00 UTC")

    @pytest.mark.parametrize(
        "scope",
        ["everything", "playbook scale-api", "namespace shop", "target Deployment/shop/api", "namespace:c1/shop"],
    )
    async def test_paused_is_shown_not_approvable(self, world: World, client: Client, scope: str) -> None:
        await world.proposed()
        body = {"scope": scope, "reason": "moving house"}
        made = await (await client.post(f"{API}/pauses", json=body, headers=as_("operator"))).json()
        status, told = await self.approve(client)
        assert (status, told["error"]) == (409, "not_now")
        assert "paused by the-operator: moving house; r-1 can be looked at, not approved" in told["detail"]
        assert made["id"] in told["next"]
        shown = await (await client.get(f"{API}/remediations/r-1", headers=as_("viewer"))).json()
        assert [p["id"] for p in shown["pauses"]] == [made["id"]]
        await client.delete(f"{API}/pauses/{made['id']}", headers=as_("operator"))
        assert (await self.approve(client))[0] == 200

    @pytest.mark.parametrize("scope", ["playbook other", "namespace other", "target Deployment/shop/other"])
    async def test_a_pause_of_something_else(self, world: World, client: Client, scope: str) -> None:
        await world.proposed()
        await client.post(f"{API}/pauses", json={"scope": scope}, headers=as_("operator"))
        assert (await self.approve(client))[0] == 200

    async def test_an_unknown_one(self, client: Client) -> None:
        status, told = await self.approve(client)
        assert (status, told["next"]) == (404, "See them all: remediator remediations list")

    async def test_via_the_cli(self, world: World, client: Client) -> None:
        await world.proposed()
        headers = {**as_("approver"), "User-Agent": "remediator-cli/1"}
        await client.post(f"{API}/remediations/r-1/approve", headers=headers)
        r = await world.journal.get("r-1")
        assert r is not None
        assert [c.via for c in r.consents] == ["cli"]


class TestRejectingAndSnoozing:
    async def test_a_veto_is_final(self, world: World, client: Client) -> None:
        await world.proposed()
        url = f"{API}/remediations/r-1/reject"
        answer = await client.post(url, json={"reason": "known  and\nfine"}, headers=as_("approver"))
        told = await answer.json()
        assert (answer.status, told["remediation"]["state"]) == (200, "rejected")
        assert told["remediation"]["reason"] == "rejected by the-approver: known and fine"
        assert (await client.post(url, headers=as_("approver"))).status == 409

    async def test_also_under_a_pause_and_by_the_requester(self, world: World, client: Client) -> None:
        await world.proposed(requester="the-approver")
        await client.post(f"{API}/pauses", json={"scope": "everything"}, headers=as_("operator"))
        assert (await client.post(f"{API}/remediations/r-1/reject", headers=as_("approver"))).status == 200

    async def test_snooze(self, world: World, client: Client) -> None:
        await world.proposed()
        url = f"{API}/remediations/r-1/snooze"
        answer = await client.post(url, json={"for": "30m"}, headers=as_("approver"))
        assert answer.status == 200
        assert (await answer.json())["message"].startswith("Snoozed r-1 until 2026-03-01 03:30 UTC")
        r = await world.journal.get("r-1")
        assert r is not None
        assert (r.state, r.deadline) == (State.SNOOZED, NOW + timedelta(minutes=30))

    @pytest.mark.parametrize("length", ["30s", "25h"])
    async def test_snooze_has_bounds(self, world: World, client: Client, length: str) -> None:
        await world.proposed()
        answer = await client.post(f"{API}/remediations/r-1/snooze", json={"for": length}, headers=as_("approver"))
        assert (answer.status, (await answer.json())["detail"]) == (
            400,
            "a snooze lasts between 1 minute and 24 hours",
        )

    async def test_snooze_until(self, world: World, client: Client) -> None:
        await world.proposed()
        body = {"until": "2026-03-01T06:00:00+02:00"}
        answer = await client.post(f"{API}/remediations/r-1/snooze", json=body, headers=as_("approver"))
        assert (await answer.json())["remediation"]["deadline"] == "2026-03-01T04:00:00.000Z"


class TestPausing:
    async def test_pause_list_resume(self, world: World, client: Client) -> None:
        body = {"scope": "namespace shop", "reason": "moving house", "for": "2h"}
        answer = await client.post(f"{API}/pauses", json=body, headers=as_("operator"))
        made = await answer.json()
        assert answer.status == 201
        assert (made["scope"], made["covers"], made["who"]) == (
            "namespace:c1/shop",
            "namespace shop in c1",
            "the-operator",
        )
        assert (made["until"], made["note"]) == ("2026-03-01T05:00:00.000Z", "")
        (listed,) = (await (await client.get(f"{API}/pauses", headers=as_("viewer"))).json())["pauses"]
        assert listed == {key: value for key, value in made.items() if key != "note"}
        answer = await client.delete(f"{API}/pauses/{made['id']}", headers=as_("operator"))
        assert await answer.json() == {"resumed": [made["id"]]}
        assert await world.journal.pauses(NOW) == ()
        assert world.mover.pokes == 1

    async def test_it_ends_by_itself(self, world: World, client: Client) -> None:
        await client.post(f"{API}/pauses", json={"scope": "everything", "for": "1h"}, headers=as_("operator"))
        world.clock.time += timedelta(hours=1, seconds=1)
        assert await (await client.get(f"{API}/pauses", headers=as_("viewer"))).json() == {"pauses": []}

    async def test_resume_by_scope_lifts_all_of_that_scope(self, world: World, client: Client) -> None:
        for scope in ("everything", "everything", "playbook scale-api"):
            await client.post(f"{API}/pauses", json={"scope": scope}, headers=as_("operator"))
        answer = await client.delete(f"{API}/pauses?scope=everything", headers=as_("operator"))
        assert len((await answer.json())["resumed"]) == 2
        assert [p.scope for p in await world.journal.pauses(NOW)] == ["playbook:scale-api"]

    async def test_a_playbook_that_is_not_loaded_is_taken_and_said(self, client: Client) -> None:
        """It may be back in a minute; or it is a slip, which the person should hear."""
        answer = await client.post(f"{API}/pauses", json={"scope": "playbook scale-apo"}, headers=as_("operator"))
        assert (answer.status, (await answer.json())["note"]) == (201, "no playbook of this name is loaded now")


WEBHOOK = {
    "status": "firing",
    "labels": {"alertname": "A"},
    "annotations": {"summary": "bad"},
    "startsAt": "2026-03-01T02:55:00Z",
    "endsAt": "0001-01-01T00:00:00Z",
    "generatorURL": "http://p",
    "fingerprint": "0" * 16,
}
FROM_API = {**WEBHOOK, "status": {"state": "active", "silencedBy": []}, "endsAt": "2026-03-01T03:20:00Z"}
PROMETHEUS = {"labels": {"alertname": "A"}, "state": "firing", "activeAt": "2026-03-01T02:55:00Z", "value": "1"}


class TestExplaining:
    @pytest.mark.parametrize(
        ("document", "starts"),
        [
            pytest.param({"version": "4", "alerts": [WEBHOOK]}, "2026-03-01T02:55:00Z", id="webhook"),
            pytest.param(WEBHOOK, "2026-03-01T02:55:00Z", id="one alert of it"),
            pytest.param(FROM_API, "2026-03-01T02:55:00Z", id="Alertmanager API"),
            pytest.param([FROM_API], "2026-03-01T02:55:00Z", id="amtool"),
            pytest.param(PROMETHEUS, "2026-03-01T02:55:00Z", id="Prometheus API"),
            pytest.param({"data": {"alerts": [PROMETHEUS]}}, "2026-03-01T02:55:00Z", id="Prometheus API, whole"),
            pytest.param({"labels": {"alertname": "A"}}, NOW.isoformat(), id="labels only"),
        ],
    )
    async def test_alerts_as_people_have_them(self, world: World, client: Client, document: Any, starts: str) -> None:
        answer = await client.post(f"{API}/explain", json=document, headers=as_("viewer"))
        (explained,) = (await answer.json())["explanations"]
        (asked,) = world.asked
        assert answer.status == 200
        assert (asked["status"], asked["labels"], asked["startsAt"]) == ("firing", {"alertname": "A"}, starts)
        assert asked["endsAt"] == ""
        assert (explained["acts"], explained["would"], explained["remediation"]) == (False, "nothing", None)
        assert explained["alert"]["labels"] == {"alertname": "A"}

    async def test_an_unknown_cluster(self, client: Client) -> None:
        document = {"labels": {"alertname": "A"}, "cluster": "mars"}
        answer = await client.post(f"{API}/explain", json=document, headers=as_("viewer"))
        assert (answer.status, (await answer.json())["detail"]) == (400, "no cluster is called 'mars'")


class TestTaking:
    async def test_take_and_give_back_by_either_id(self, world: World, client: Client) -> None:
        r = await world.proposed()
        for first, second in ((r.id, r.episode), (r.episode, r.id)):
            answer = await client.post(f"{API}/episodes/{first}/take", headers=as_("operator"))
            assert (answer.status, (await answer.json())["episode"]) == (200, r.episode)
            (pause,) = (await (await client.get(f"{API}/pauses", headers=as_("viewer"))).json())["pauses"]
            assert (pause["said"], pause["lifted_by"]) == (
                "taken by the-operator (API)",
                f"remediator give-back {r.episode}",
            )
            answer = await client.post(f"{API}/episodes/{second}/give-back", headers=as_("operator"))
            assert answer.status == 200
        answer = await client.post(f"{API}/episodes/{r.id}/give-back", headers=as_("operator"))
        assert (answer.status, (await answer.json())["detail"]) == (409, f"nobody has taken {r.episode}")

    async def test_a_word_too_many_is_refused(self, world: World, client: Client) -> None:
        await world.proposed()
        answer = await client.post(f"{API}/episodes/r-1/take", json={"for": "2h"}, headers=as_("operator"))
        assert answer.status == 400
        assert await world.journal.pauses(NOW) == ()

    async def test_breaking_the_glass_where_it_is_not_configured(self, world: World, client: Client) -> None:
        await world.proposed()
        body = {"break_glass": "checkout is down, nobody answers"}
        answer = await client.post(f"{API}/remediations/r-1/approve", json=body, headers=as_("admin"))
        said = "Ask those who may approve it. For the next time: approvals.break_glass in the configuration."
        assert (answer.status, (await answer.json())["next"]) == (403, said)
