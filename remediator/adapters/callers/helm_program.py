"""The helm binary on one cluster: its surroundings, its questions, and charts as files of our own.

helm has no precondition and no way to ask for one. What we can do: a chart is fetched once into a file whose hash is
part of what people agree to, and the release's revision is looked at right before anything is sent.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from remediator.adapters.callers.child import NotStarted, OutOfTime, Ran, run
from remediator.adapters.callers.helm_text import LOADER, Revision, digest, read_history
from remediator.errors import CannotSee, Forbidden, InvalidConfig, NotFound, ReadError
from remediator.outside_helm import HelmChart, HelmRelease
from remediator.redact import redact

QUESTION_S = 60.0
MAX_OUTPUT = 16 * 2**20
"""Of a question: a dry run prints the chart along with the manifest."""
MAX_CHART = 16 * 2**20
MAX_VALUES = 2**20
MAX_SAID = 300
HISTORY = 50

_NOT_OURS = ("HELM_", "KUBE_CONTEXT", "KUBECONFIG")


class Helm:
    """helm for one cluster. Without a kubeconfig it finds the pod's service account."""

    def __init__(self, *, kubeconfig: Path | None, context: str | None) -> None:
        self._kubeconfig = kubeconfig
        self._context = context
        self._folder: Path | None = None
        self._charts: dict[tuple[str, str, str], tuple[Path, str]] = {}

    async def close(self) -> None:
        if self._folder is not None:
            await asyncio.to_thread(shutil.rmtree, self._folder, True)
            self._folder = None
            self._charts.clear()

    async def run(self, place: HelmRelease, *words: str, timeout_s: float, limit: int = MAX_OUTPUT) -> Ran:
        """One command in the release's namespace. Raises: NotStarted, OutOfTime."""
        argv = [find_program(place), *words, "--namespace", place.namespace]
        if self._context:
            argv += ["--kube-context", self._context]
        return await run(argv, env=self._env(place), timeout_s=timeout_s, limit=limit)

    async def read(self, place: HelmRelease, *words: str) -> bytes:
        """What a command that changes nothing prints. Raises: ReadError."""
        try:
            ran = await self.run(place, *words, timeout_s=QUESTION_S)
        except (NotStarted, OutOfTime) as exc:
            raise CannotSee(f"helm {words[0]}: {exc}") from exc
        if ran.code != 0:
            raise read_failure(words[0], ran)
        if ran.cut:
            raise CannotSee(f"helm {words[0]} prints more than {MAX_OUTPUT} bytes")
        return ran.stdout

    async def history(self, place: HelmRelease) -> tuple[Revision, ...]:
        """The newest revisions, oldest first. Raises: ReadError."""
        return read_history(await self.read(place, "history", place.called, "--max", str(HISTORY), "-o", "json"))

    async def chart(self, place: HelmRelease, chart: HelmChart, version: str) -> tuple[Path, str]:
        """A packed chart of exactly this version, and its hash. Raises: ReadError."""
        key = (place.name, chart.name, version)
        known = self._charts.get(key)
        if known is not None:
            path, was = known
            if digest(await _content(path, MAX_CHART)) == was:
                return known
        path = Path(chart.chart) if chart.chart.startswith("/") else await self._pulled(place, chart, version)
        content = await _content(path, MAX_CHART)
        # A copy: what is looked at is what is sent, whatever becomes of the file in between.
        own = self._home() / "charts" / f"{digest(content)}.tgz"
        await asyncio.to_thread(own.write_bytes, content)
        self._charts[key] = own, digest(content)
        found = await self.read(place, "show", "chart", str(own))
        try:
            says = str(yaml.load(found, Loader=LOADER)["version"])  # noqa: S506 a safe loader
        except (yaml.YAMLError, TypeError, KeyError) as exc:
            raise CannotSee(f"chart {chart.name}: its Chart.yaml cannot be read") from exc
        if says.removeprefix("v") != version.removeprefix("v"):
            del self._charts[key]
            raise NotFound(f"chart {chart.name} is version {says}, not {version}")
        return self._charts[key]

    async def values(self, place: HelmRelease, names: Sequence[str]) -> tuple[list[Path], str]:
        """Copies of the values files, and a hash over all of them. Raises: ReadError."""
        found, folder = [], self._home() / "values"
        for name in names:
            if name not in place.values:
                raise NotFound(f"outside.helm[{place.name}].values has no {name!r:.80}")
            content = await _content(place.values[name], MAX_VALUES)
            own = folder / f"{digest(content)}.yaml"
            await asyncio.to_thread(own.write_bytes, content)
            found.append(own)
        return found, digest("\n".join(path.name for path in found).encode())

    async def _pulled(self, place: HelmRelease, chart: HelmChart, version: str) -> Path:
        into = Path(await asyncio.to_thread(tempfile.mkdtemp, dir=self._home() / "pulled"))
        words = ["pull", chart.chart, "--version", version, "--destination", str(into)]
        if chart.repo:
            words += ["--repo", chart.repo]
        if place.ca is not None:
            words += ["--ca-file", str(place.ca)]
        await self.read(place, *words)
        found = await asyncio.to_thread(lambda: list(into.glob("*.tgz")))
        if len(found) != 1:
            raise CannotSee(f"helm pull left {len(found)} files for chart {chart.name}")
        return found[0]

    def _home(self) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="remediator-helm-"))
            for part in ("charts", "pulled", "values", "home"):
                (self._folder / part).mkdir(mode=0o700)
        return self._folder

    def _env(self, place: HelmRelease) -> Mapping[str, str]:
        """Ours, without what would make helm read other settings, plug-ins or clusters."""
        home = self._home() / "home"
        env = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_OURS)}
        env |= {f"HELM_{what}_HOME": str(home / what.lower()) for what in ("CACHE", "CONFIG", "DATA")}
        env["HELM_PLUGINS"] = str(home / "plugins")
        # A file that is not there: helm then takes the pod's service account.
        env["KUBECONFIG"] = str(self._kubeconfig.absolute() if self._kubeconfig else home / "no-kubeconfig")
        if place.registry_config is not None:
            env["HELM_REGISTRY_CONFIG"] = str(place.registry_config)
        return env


def find_program(place: HelmRelease) -> str:
    """The absolute path. Raises: NotStarted."""
    found = shutil.which(place.program)
    if found is None:
        raise NotStarted(f"outside.helm[{place.name}].program: there is no program {place.program}; install helm 3")
    return found


def check_program(place: HelmRelease) -> None:
    """Raises: InvalidConfig."""
    try:
        find_program(place)
    except NotStarted as exc:
        raise InvalidConfig(str(exc)) from exc


def said(ran: Ran) -> str:
    """The last of what helm complained of, without secrets: warnings come first, the reason at the end."""
    lines = [line for line in ran.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    wrong = [line for line in lines if line.startswith("Error:")] or lines[-1:]
    return redact(" ".join(" ".join(wrong).split()))[:MAX_SAID] or f"exit code {ran.code}"


def read_failure(what: str, ran: Ran) -> ReadError:
    text = said(ran)
    message = f"helm {what}: {text}"
    if "release: not found" in text or "not found in" in text or "no chart version found" in text:
        return NotFound(message)
    return Forbidden(message) if "forbidden" in text.lower() else CannotSee(message)


async def _content(path: Path, limit: int) -> bytes:
    """Raises: CannotSee."""

    def read() -> bytes:
        with path.open("rb") as file:
            return file.read(limit + 1)

    try:
        content = await asyncio.to_thread(read)
    except OSError as exc:
        raise CannotSee(f"{path.name} cannot be read: {exc.strerror}") from exc
    if len(content) > limit:
        raise CannotSee(f"{path.name} is larger than {limit} bytes")
    return content
