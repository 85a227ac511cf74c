"""The caller `helm`: upgrades and rollbacks of the operator's releases, by the helm binary.

    ask   {"about": "release"}                                                 its history
          {"about": "upgrade", "chart", "version", "values": [...]}            that, and what would change
          {"about": "rollback", "revision"}                                    the same for going back
    send  {"do": "upgrade", "from", "chart", "version", "values", "chart_sha", "values_sha"}
          {"do": "rollback", "from", "revision"}

`from` is the revision that the plan saw. helm takes no precondition, so it is looked at right before; two helms at the
same moment are told apart by the cluster: the next revision is a Secret of that name, which can be created once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from remediator.adapters.callers.child import NotStarted, OutOfTime, Ran
from remediator.adapters.callers.helm_program import Helm, read_failure, said
from remediator.adapters.callers.helm_text import (
    Revision,
    difference,
    hooks_of_dry_run,
    hooks_of_manifest,
    hooks_on,
    read_manifest,
)
from remediator.errors import CannotSee, Conflict, Forbidden, NotFound, ReadError, Refused, Unavailable, Uncertain
from remediator.outside_helm import HelmRelease
from remediator.ports import Found

GRACE_S = 30.0
"""On top of helm's own timeout, which is per hook and per object."""
MAX_SAID = 64 * 1024
LIVE = ("deployed", "failed")
"""What the newest revision may be for something to follow it."""
MOST_KNOWN = 1000

Request = Mapping[str, Any]


class HelmCaller:
    """`place` is the name of a release in `outside.helm`."""

    def __init__(self, places: Sequence[HelmRelease], helm: Helm) -> None:
        self._places = {one.name: one for one in places}
        self._helm = helm
        self._ended: dict[str, None] = {}
        """Keys whose helm we have seen end: nothing of it can still come."""
        self._told: dict[tuple[Any, ...], Mapping[str, Any]] = {}
        """The last differences: the same revision, chart and values differ in the same way."""

    async def close(self) -> None:
        await self._helm.close()

    async def ask(self, place: str, request: Request) -> Any:
        """Raises: ReadError."""
        release = self._release(place)
        match request.get("about"):
            case "release":
                return _told(release, await self._helm.history(release))
            case "upgrade":
                return await self._about_upgrade(release, request)
            case "rollback":
                return await self._about_rollback(release, request)
            case other:
                raise NotFound(f"{other!r:.40} cannot be asked of helm")

    async def rehearse(self, place: str, request: Request) -> str:
        """helm's own dry run; that of an upgrade goes by the API server. Raises: Refused, ReadError."""
        release = self._release(place)
        try:
            words = await self._command(release, request)
            if request.get("do") == "rollback":
                await self._helm.read(release, *words, "--dry-run")
            else:
                await self._helm.read(release, *words, "--dry-run=server", "--hide-secret")
        except Forbidden as exc:
            raise Refused(str(exc), forbidden=True) from exc
        except Conflict as exc:
            raise CannotSee(str(exc)) from exc
        except CannotSee as exc:
            if _says_no(str(exc)):
                raise Refused(str(exc)) from exc
            raise
        return ""

    async def send(self, place: str, request: Request, *, key: str) -> Mapping[str, Any]:
        """Raises: EffectError."""
        try:
            release = self._release(place)
            words = await self._command(release, request)
            if request["do"] == "upgrade":
                words += ["--description", _mark(key)]
            current = (await self._helm.history(release))[-1]
        except (NotFound, Forbidden) as exc:
            raise Refused(str(exc), forbidden=isinstance(exc, Forbidden)) from exc
        except ReadError as exc:
            raise Unavailable(f"nothing was sent: {exc}") from exc
        _refuse_moved(release, request, current)
        limit_s = release.timeout.total_seconds()
        words += ["--history-max", str(release.history_max), "--timeout", f"{int(limit_s)}s"]
        try:
            ran = await self._helm.run(release, *words, timeout_s=limit_s + GRACE_S, limit=MAX_SAID)
        except NotStarted as exc:
            raise Unavailable(f"nothing was sent: {exc}") from exc
        except OutOfTime as exc:
            self._over(key)
            raise Uncertain(f"helm {words[0]} of {release.called} was {exc}") from exc
        self._over(key)
        number = int(request["from"]) + 1
        if ran.code != 0:
            raise await self._failure(release, words[0], ran, number)
        return {"revision": number, "says": f"{release.called} is at revision {number} now"}

    async def find(self, place: str, request: Request, *, key: str) -> Found:
        """What became of the revision that it would have made. Raises: ReadError."""
        release, number = self._release(place), int(request["from"]) + 1
        over = key in self._ended  # before we look
        history = await self._helm.history(release)
        made = next((one for one in history if one.number == number), None)
        if made is None:
            # Another helm of ours may still be on its way to it, unless we have seen its end.
            return "never" if over and history[-1].number < number else "unknown"
        if made.pending:
            return "unknown"
        if made.status == "failed":  # helm replaces the description by the reason
            return "happened" if over else "unknown"
        return "happened" if _is_ours(made, request, key) else "never"

    async def _about_upgrade(self, release: HelmRelease, request: Request) -> Mapping[str, Any]:
        name, version, names = str(request.get("chart") or ""), str(request["version"]), list(request["values"])
        why = _not_listed(release, name, names)
        history = await self._helm.history(release)
        if why:
            return {**_told(release, history), "allowed": False, "why": why}
        chart = release.chart(name)
        assert chart is not None
        path, chart_sha = await self._helm.chart(release, chart, version)
        files, values_sha = await self._helm.values(release, names)
        known = (release.name, history[-1].number, history[-1].status, chart_sha, values_sha)
        if known not in self._told:
            words = _upgrade(release, path, files)
            dry = await self._helm.read(release, *words, "--dry-run=server", "-o", "json")
            before = await self._helm.read(release, "get", "manifest", release.called)
            self._remember(known, await asyncio.to_thread(_upgraded, before, dry, release.namespace))
        return {
            **_told(release, history),
            "allowed": True,
            "chart": chart.name,
            "chart_sha": chart_sha,
            "values_sha": values_sha,
            **self._told[known],
        }

    async def _about_rollback(self, release: HelmRelease, request: Request) -> Mapping[str, Any]:
        history, to = await self._helm.history(release), request.get("revision")
        told = _told(release, history)
        aim = _previous(history) if to == "previous" else next((one for one in history if one.number == to), None)
        if aim is None:
            which = "no earlier revision that was deployed" if to == "previous" else f"no revision {to!r:.20}"
            return {**told, "allowed": False, "why": f"{release.called} has {which}"}
        known = (release.name, history[-1].number, history[-1].status, aim.number)
        if known not in self._told:
            number = str(aim.number)
            before = await self._helm.read(release, "get", "manifest", release.called)
            after = await self._helm.read(release, "get", "manifest", release.called, "--revision", number)
            hooks = await self._helm.read(release, "get", "hooks", release.called, "--revision", number)
            self._remember(known, await asyncio.to_thread(_rolled_back, before, after, hooks, release.namespace))
        return {**told, "allowed": True, "to": aim.told(), **self._told[known]}

    async def _command(self, release: HelmRelease, request: Request) -> list[str]:
        """Everything but what differs between a rehearsal and the real thing. Raises: ReadError, Refused, Conflict."""
        match request.get("do"):
            case "rollback":
                return ["rollback", release.called, str(int(request["revision"]))]
            case "upgrade":
                if why := _not_listed(release, str(request["chart"]), list(request["values"])):
                    raise Refused(why)
                chart = release.chart(str(request["chart"]))
                assert chart is not None
                path, chart_sha = await self._helm.chart(release, chart, str(request["version"]))
                files, values_sha = await self._helm.values(release, list(request["values"]))
                if (chart_sha, values_sha) != (request["chart_sha"], request["values_sha"]):
                    what = "the chart" if chart_sha != request["chart_sha"] else "a values file"
                    raise Conflict(f"{what} of {release.called} is not the one that the plan was made with")
                return _upgrade(release, path, files)
            case other:
                raise Refused(f"helm cannot do {other!r:.40}")

    async def _failure(self, release: HelmRelease, what: str, ran: Ran, number: int) -> Exception:
        """Where helm has begun the next revision, something may have been changed. An EffectError."""
        message = f"helm {what} of {release.called}: {said(ran)}"
        try:
            newest = (await self._helm.history(release))[-1].number
        except ReadError as exc:
            return Uncertain(f"{message}; whether it has begun cannot be seen: {exc}")
        if newest >= number:
            return Uncertain(f"{message}; revision {newest} was begun")
        return Refused(message, forbidden=isinstance(read_failure(what, ran), Forbidden))

    def _release(self, place: str) -> HelmRelease:
        """Raises: NotFound."""
        found = self._places.get(place)
        if found is None:
            known = ", ".join(sorted(self._places)) or "none"
            raise NotFound(f"outside.helm has no {place!r:.80} for this cluster; there are: {known}")
        return found

    def _over(self, key: str) -> None:
        self._ended[key] = None
        if len(self._ended) > MOST_KNOWN:
            del self._ended[next(iter(self._ended))]

    def _remember(self, known: tuple[Any, ...], told: Mapping[str, Any]) -> None:
        self._told[known] = told
        if len(self._told) > 20:
            del self._told[next(iter(self._told))]


def _upgrade(release: HelmRelease, chart: Path, files: Sequence[Path]) -> list[str]:
    """With values files, they and the chart's own values are all there is; without, those of the release stay."""
    words = ["upgrade", release.called, str(chart), "--reset-values" if files else "--reset-then-reuse-values"]
    for file in files:
        words += ["--values", str(file)]
    return words


def _told(release: HelmRelease, history: Sequence[Revision]) -> dict[str, Any]:
    newest = history[-1]
    return {
        "release": release.called,
        "namespace": release.namespace,
        "revision": newest.number,
        "status": newest.status,
        "deployed": newest.chart,
        "description": newest.told()["description"],
        "history": [one.told() for one in history[-20:]],
    }


def _upgraded(before: bytes, dry: bytes, namespace: str) -> Mapping[str, Any]:
    """Raises: CannotSee."""
    try:
        found = orjson.loads(dry)
        manifest = str(found["manifest"])
    except (orjson.JSONDecodeError, KeyError, TypeError) as exc:
        raise CannotSee(f"helm's dry run cannot be read: {type(exc).__name__}") from exc
    diff = difference(read_manifest(before), read_manifest(manifest), namespace=namespace)
    return {"diff": diff, "hooks": hooks_on(hooks_of_dry_run(found), "pre-upgrade", "post-upgrade")}


def _rolled_back(before: bytes, after: bytes, hooks: bytes, namespace: str) -> Mapping[str, Any]:
    """Raises: CannotSee."""
    diff = difference(read_manifest(before), read_manifest(after), namespace=namespace)
    return {"diff": diff, "hooks": hooks_on(hooks_of_manifest(read_manifest(hooks)), "pre-rollback", "post-rollback")}


def _previous(history: Sequence[Revision]) -> Revision | None:
    """The newest revision before the present one that was deployed; a failed one is nothing to go back to."""
    return next((one for one in reversed(history[:-1]) if one.status in ("superseded", "deployed")), None)


def _not_listed(release: HelmRelease, chart: str, values: Sequence[str]) -> str:
    """Why the operator's list does not have this; empty when it does."""
    if release.chart(chart) is None:
        known = ", ".join(one.name for one in release.charts) or "none"
        return f"outside.helm[{release.name}] has no chart {chart!r:.80}; there are: {known}"
    if missing := [name for name in values if name not in release.values]:
        known = ", ".join(sorted(release.values)) or "none"
        return f"outside.helm[{release.name}] has no values {missing[0]!r:.80}; there are: {known}"
    return ""


def _refuse_moved(release: HelmRelease, request: Request, current: Revision) -> None:
    """Raises: Conflict, Unavailable, Refused."""
    if current.number != int(request["from"]):
        raise Conflict(f"{release.called} is at revision {current.number} by now, not {request['from']}")
    if current.pending:
        raise Unavailable(f"{release.called} is {current.status}: another helm is at work, or was killed at it")
    if current.status not in LIVE:
        raise Refused(f"{release.called} is {current.status}: there is nothing to upgrade or roll back")


def _is_ours(made: Revision, request: Request, key: str) -> bool:
    if request.get("do") == "rollback":  # helm writes the description itself; by whomever, it is what we wanted
        return made.description == f"Rollback to {request['revision']}"
    return made.description == _mark(key)


def _mark(key: str) -> str:
    return f"remediator effect {key}"


def _says_no(text: str) -> bool:
    """Whether a rehearsal failed because of what was to be done, and not because nobody answered."""
    return any(
        word in text for word in ("UPGRADE FAILED", "execution error", "is invalid", "has no deployed", "no revision")
    ) and not any(word in text for word in ("unreachable", "timed out", "timeout", "connection refused", "EOF"))
