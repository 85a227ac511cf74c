"""From what an action asks to what people merge, with a real caller and a forge in between."""

from __future__ import annotations

from typing import Any

from remediator.actions.base import Action
from remediator.actions.change import Call
from remediator.actions.delivery.pull_requests import GitopsPr, GitopsPrParams, Promote, PromoteParams
from remediator.actions.render import resolved
from remediator.adapters.callers.forge import ForgeCaller
from tests.actions.make import deployment, view
from tests.support.forges.server import WEB, ForgeServer

API = "apps/shop/api.yaml"


async def merged(caller: ForgeCaller, server: ForgeServer, action: Action[Any], params: Any) -> Call:
    """Ask, plan, rehearse, send, merge."""
    seen = view(deployment())
    wanted = action.wants(params, seen)  # type: ignore[attr-defined]
    found = {name: await caller.ask(ask.place, ask.request) for name, ask in wanted.items()}
    change = action.plan(params, view(deployment(), found=found))
    (planned,) = change.effects
    assert isinstance(planned, Call)
    await caller.rehearse(planned.place, planned.request)
    call = resolved(planned, "abcdefghij")
    assert isinstance(call, Call)
    said = await caller.send(call.place, call.request, key="k")
    server.repo.merge(said["number"], delete_branch=False)
    return call


async def test_a_value_gets_into_git(caller: ForgeCaller, server: ForgeServer) -> None:
    given = {"repository": "deploy", "file": WEB, "set": {"spec.replicas": 5}}
    before = server.repo.text("main", WEB)
    call = await merged(caller, server, GitopsPr(), GitopsPrParams.model_validate(given))
    assert server.repo.text("main", WEB) == before.replace("replicas: 3", "replicas: 5")
    assert (server.repo.pulls[0].branch, server.repo.pulls[0].base) == ("remediator/abcdefghij", "main")
    assert call.inverse == {"do": "close", "branch": "remediator/abcdefghij"}


async def test_a_value_is_promoted(caller: ForgeCaller, server: ForgeServer) -> None:
    given = {"repository": "deploy", "from_file": WEB, "to_file": API, "path": "spec.replicas"}
    before = server.repo.text("main", API)
    await merged(caller, server, Promote(), PromoteParams.model_validate(given))
    assert server.repo.text("main", API) == before.replace("replicas: 1", "replicas: 3")
    assert server.repo.changed(server.repo.branches["main"], server.repo.branches["remediator/abcdefghij"]) == set()
