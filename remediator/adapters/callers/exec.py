"""The caller `exec`: programs of the operator's list, in a container of a pod that is bound by its uid.

`place` is `namespace/pod/container`; what is run is the name of a listed command with the words for its `*`.

    ask   {"about": "command", "command", "args"}          whether it may run here, and the words (`place`: namespace)
          {"about": "output", "command", "args", "uid"?}   run it, where the operator says that it only reads
    send  {"command", "args", "argv", "uid"}               `argv` as the plan showed it: another list by now refuses
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from remediator.adapters.kubernetes.exec import Executed
from remediator.alerts.regex import compile_regex
from remediator.errors import (
    CannotSee,
    EffectError,
    Forbidden,
    NotFound,
    ReadError,
    Refused,
    TargetGone,
    Unavailable,
)
from remediator.objects import ObjectRef, dig, uid_of
from remediator.outside import ExecCommand
from remediator.ports import Cluster, Found
from remediator.redact import redact

MAX_OUTPUT = 64 * 1024
MAX_WORD = 500
LAST_LINES = 5

Request = Mapping[str, Any]


@runtime_checkable
class Executes(Protocol):
    """A cluster that can run programs in containers."""

    async def exec(
        self, pod: ObjectRef, *, container: str, argv: Sequence[str], timeout_s: float, limit_bytes: int = MAX_OUTPUT
    ) -> Executed:
        """Raises: EffectError."""
        ...


class NotAllowed(Exception):
    """The operator's list does not have this; the message is for people."""


def words(command: ExecCommand, args: Sequence[str]) -> tuple[str, ...]:
    """The argv, each `*` replaced by the next of `args`. Raises: NotAllowed."""
    if len(args) != len(command.args):
        raise NotAllowed(f"command {command.name} takes {len(command.args)} args, not {len(args)}")
    for number, (word, expression) in enumerate(zip(args, command.args, strict=True)):
        where = f"command {command.name}: args[{number}] {word!r:.80}"
        if not word or len(word) > MAX_WORD or not word.isprintable():
            raise NotAllowed(f"{where} is empty, too long or holds control characters")
        if word.startswith("-"):
            raise NotAllowed(f"{where} would be an option; options belong to the operator's list")
        if compile_regex(expression).fullmatch(word.encode()) is None:
            raise NotAllowed(f"{where} does not match {expression!r}")
    left = iter(args)
    return tuple(next(left) if word == "*" else word for word in command.argv)


class ExecCaller:
    """One cluster's containers."""

    def __init__(self, commands: Sequence[ExecCommand], cluster: Cluster, runs: Executes) -> None:
        self._commands = {one.name: one for one in commands}
        self._cluster = cluster
        self._runs = runs

    async def close(self) -> None:
        """The connections are the cluster's."""

    async def ask(self, place: str, request: Request) -> Any:
        """Raises: ReadError."""
        namespace, _, rest = place.partition("/")
        if request.get("about") == "command":
            return self._described(namespace, request)
        if request.get("about") != "output":
            raise NotFound(f"{request.get('about')!r:.40} cannot be asked of a container")
        pod, container = _pod(namespace, rest)
        try:
            command, argv = self._listed(namespace, container, request)
        except NotAllowed as exc:
            raise Forbidden(str(exc)) from exc
        if not command.read_only:
            raise Forbidden(f"command {command.name} is not read_only in the configuration: a step has to run it")
        try:
            await self._check(pod, container, str(request.get("uid") or ""))
            ran = await self._run(command, pod, container, argv)
        except EffectError as exc:
            raise _as_read(exc) from exc
        return {"exit_code": ran.exit_code, "stdout": redact(ran.stdout), "stderr": redact(ran.stderr), "cut": ran.cut}

    async def rehearse(self, place: str, request: Request) -> str:
        """Nothing is run: whether it may be, and whether there is somewhere to run it. Raises: Refused, ReadError."""
        namespace, _, rest = place.partition("/")
        pod, container = _pod(namespace, rest)
        self._bound(namespace, container, request)
        for verb in ("create", "get"):  # websockets ask for `get`, and since 1.35 for `create` as well
            if not await self._cluster.allowed(verb, "Pod", namespace, subresource="exec"):
                raise Refused(f"we may not {verb} pods/exec in {namespace}: give our role that right", forbidden=True)
        try:
            await self._check(pod, container, str(request.get("uid") or ""))
        except TargetGone as exc:
            raise Refused(str(exc)) from exc
        except Unavailable as exc:
            raise CannotSee(str(exc)) from exc
        return ""

    async def send(self, place: str, request: Request, *, key: str) -> Mapping[str, Any]:
        """Raises: EffectError. An exit code other than 0 is Refused: it ran, and it did not do it."""
        namespace, _, rest = place.partition("/")
        try:
            pod, container = _pod(namespace, rest)
        except NotFound as exc:
            raise Refused(str(exc)) from exc
        command, argv = self._bound(namespace, container, request)
        await self._check(pod, container, str(request.get("uid") or ""))
        ran = await self._run(command, pod, container, argv)
        if ran.exit_code:
            raise Refused(f"{command.name} in {pod} ended with exit code {ran.exit_code}: {_last(ran)}")
        return {
            "exit_code": 0,
            "stdout": redact(ran.stdout),
            "stderr": redact(ran.stderr),
            "cut": ran.cut,
            "says": f"{command.name} ran in {pod}",
        }

    async def find(self, place: str, request: Request, *, key: str) -> Found:
        """A process leaves no trace that we could ask for."""
        return "unknown"

    def _described(self, namespace: str, request: Request) -> dict[str, Any]:
        container = str(request.get("container") or "")
        try:
            command, argv = self._listed(namespace, container, request)
        except NotAllowed as exc:
            return {"allowed": False, "why": str(exc)}
        return {
            "allowed": True,
            "argv": list(argv),
            "read_only": command.read_only,
            "timeout_s": command.timeout.total_seconds(),
            "containers": list(command.containers),
        }

    def _listed(self, namespace: str, container: str, request: Request) -> tuple[ExecCommand, tuple[str, ...]]:
        """Raises: NotAllowed. An empty container is one that is not chosen yet."""
        name = str(request.get("command") or "")
        command = self._commands.get(name)
        if command is None:
            raise NotAllowed(f"outside.exec has no command {name!r:.80}; an operator has to list it")
        if namespace not in command.namespaces:
            raise NotAllowed(f"command {name} may not run in namespace {namespace}: see its `namespaces`")
        if container and command.containers and container not in command.containers:
            raise NotAllowed(f"command {name} may not run in container {container}: see its `containers`")
        return command, words(command, [str(word) for word in request.get("args") or ()])

    def _bound(self, namespace: str, container: str, request: Request) -> tuple[ExecCommand, tuple[str, ...]]:
        """Raises: Refused, also where the list says something else than when it was planned."""
        try:
            command, argv = self._listed(namespace, container, request)
        except NotAllowed as exc:
            raise Refused(str(exc)) from exc
        if tuple(request.get("argv") or ()) != argv:
            raise Refused(f"command {command.name} is another one in the configuration than in the plan: plan again")
        return command, argv

    async def _check(self, pod: ObjectRef, container: str, uid: str) -> None:
        """The pod of the plan is there and its container runs: a name may be another pod's by now. Raises:
        EffectError, and nothing was started then."""
        try:
            found = await self._cluster.get(pod)
        except NotFound as exc:
            raise TargetGone(f"{pod} does not exist any more") from exc
        except Forbidden as exc:
            raise Refused(f"{pod} cannot be read: {exc}", forbidden=True) from exc
        except ReadError as exc:
            raise Unavailable(f"nothing was sent: {pod} cannot be read: {exc}") from exc
        if uid and uid_of(found) != uid:
            raise TargetGone(f"{pod} is another pod than the one of the plan")
        if dig(found, "metadata", "deletionTimestamp") is not None:
            raise TargetGone(f"{pod} is going away")
        running = {
            str(status.get("name"))
            for status in dig(found, "status", "containerStatuses") or ()
            if dig(status, "state", "running") is not None
        }
        if container not in running:
            raise Refused(f"container {container} of {pod} does not run")

    async def _run(self, command: ExecCommand, pod: ObjectRef, container: str, argv: Sequence[str]) -> Executed:
        return await self._runs.exec(
            pod, container=container, argv=argv, timeout_s=command.timeout.total_seconds(), limit_bytes=MAX_OUTPUT
        )


def _pod(namespace: str, rest: str) -> tuple[ObjectRef, str]:
    """Raises: NotFound."""
    pod, _, container = rest.partition("/")
    if not (namespace and pod and container) or "/" in container:
        raise NotFound(f"{namespace}/{rest!s:.300} names no container: expected namespace/pod/container")
    return ObjectRef("Pod", namespace, pod), container


def _last(ran: Executed) -> str:
    """The last lines of what it said, on one line."""
    lines = [line.strip() for line in (ran.stderr or ran.stdout).splitlines() if line.strip()]
    return redact(" | ".join(lines[-LAST_LINES:]))[:500] or "it said nothing"


def _as_read(exc: EffectError) -> ReadError:
    """What a failed question means: nothing of it says anything about what was asked."""
    match exc:
        case TargetGone():
            return NotFound(str(exc))
        case Refused(forbidden=True):
            return Forbidden(str(exc))
        case _:
            return CannotSee(str(exc))
