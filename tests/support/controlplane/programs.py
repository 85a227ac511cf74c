"""The Go programs of the control plane, each built once into a cache.

The sources are the small Go modules in `tests/controlplane/<name>`. A program's folder in the cache is named by a hash
over them and the build options, so a changed pin builds anew and a second checkout finds what the first has built.
As with envtest, a binary in `$KUBEBUILDER_ASSETS` wins over building.
Standard library only: `python -m tests.support.controlplane build` runs before any virtual environment exists.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.controlplane.errors import BuildFailed, NoControlPlane

SOURCES = Path(__file__).resolve().parents[2] / "controlplane"
ASSETS_VARIABLE = "KUBEBUILDER_ASSETS"
CACHE_VARIABLE = "REMEDIATOR_TEST_CACHE"
BUILD_TIMEOUT_S = 3600.0  # the largest takes five minutes on two cores; a slow module proxy may add as much again


@dataclass(frozen=True, slots=True)
class Program:
    """One binary: a module under tests/controlplane and the package in it, or in what it pins, that is `main`."""

    name: str
    package: str
    tags: str = ""
    commands: tuple[str, ...] = ()
    """Commands it answers to by its first argument; empty when it is only itself."""
    vendor_files: tuple[tuple[str, str], ...] = ()
    """Files (path below vendor/, text) that the published module lacks and its build embeds."""
    module: str = ""
    """The folder of its module where another program has it already: one pin for both."""

    @property
    def folder(self) -> Path:
        return SOURCES / (self.module or self.name)

    def ldflags(self) -> str:
        flags = "-s -w"  # no symbols: half the size, half the link time
        if self.name == "kube":
            flags += "".join(f" -X k8s.io/component-base/version.{key}={value}" for key, value in self._versions())
        return flags

    def _versions(self) -> list[tuple[str, str]]:
        """What a release build stamps in. Clients such as kubectl cannot parse the default."""
        found = re.search(r"^\s*k8s\.io/kubernetes (v(\d+)\.(\d+)\.\S+)", (self.folder / "go.mod").read_text(), re.M)
        if found is None:
            raise BuildFailed("tests/controlplane/kube/go.mod does not pin k8s.io/kubernetes")
        version, major, minor = found.groups()
        return [
            ("gitVersion", version),
            ("gitMajor", major),
            ("gitMinor", minor),
            ("gitTreeState", "clean"),
            ("gitCommit", "0" * 40),
            ("buildDate", "1970-01-01T00:00:00Z"),
        ]

    def digest(self) -> str:
        """Name of the cache folder: everything that decides what the binary will be, but the Go version."""
        digest = hashlib.sha256()
        for path in sorted((*self.folder.glob("*.go"), self.folder / "go.mod", self.folder / "go.sum")):
            digest.update(f"{path.name}\0".encode() + path.read_bytes() + b"\0")
        options = (self.package, self.tags, self.ldflags(), self.vendor_files, platform.system(), platform.machine())
        digest.update(repr(options).encode())
        return digest.hexdigest()


PROGRAMS: tuple[Program, ...] = (
    Program("kube", ".", commands=("kube-apiserver", "kube-controller-manager", "kube-scheduler")),
    Program("etcd", "go.etcd.io/etcd/server/v3"),
    Program("kwok", "sigs.k8s.io/kwok/cmd/kwok"),
    # Service discoveries of the clouds are two thirds of Prometheus; tests use static targets and files.
    Program("prometheus", "github.com/prometheus/prometheus/cmd/prometheus", tags="remove_all_sd"),
    Program("promtool", "github.com/prometheus/prometheus/cmd/promtool", tags="remove_all_sd", module="prometheus"),
    Program(
        "alertmanager",
        "github.com/prometheus/alertmanager/cmd/alertmanager",
        # Since 0.32 the UI is embedded from a folder that the module lacks. Tests use the API only.
        vendor_files=(("github.com/prometheus/alertmanager/ui/app/dist/index.html", "<p>API only</p>\n"),),
    ),
    Program("kube-state-metrics", "k8s.io/kube-state-metrics/v2"),
    Program("helm", "helm.sh/helm/v3/cmd/helm"),
    Program("logql", "."),
)


def cache_root() -> Path:
    """Where binaries are kept. Safe to delete at any time but during a test run."""
    chosen = os.environ.get(CACHE_VARIABLE)
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "remediator" / "controlplane"


def command(name: str) -> list[str]:
    """The argv that starts `name` (a program or one of its commands), after building it if need be.

    Raises: NoControlPlane without Go, BuildFailed.
    """
    asset = _asset(name)
    if asset is not None:
        return [str(asset)]
    for program in PROGRAMS:
        if name in program.commands:
            return [str(ensure(program)[0]), name]
        if name == program.name:
            return [str(ensure(program)[0])]
    raise KeyError(f"no program called {name}")


def in_assets(program: Program) -> bool:
    """Whether `$KUBEBUILDER_ASSETS` holds all that the program would give."""
    return all(_asset(name) is not None for name in program.commands or (program.name,))


def ensure(program: Program) -> tuple[Path, float]:
    """The binary of a program and the seconds it took to build, 0 when it was in the cache.

    Raises: NoControlPlane without Go, BuildFailed.
    """
    target = cache_root() / program.digest() / program.name
    if target.exists():
        return target, 0.0
    started = time.monotonic()
    go = _go()
    target.parent.parent.mkdir(parents=True, exist_ok=True)
    with _locked(target.parent.with_suffix(".lock")):
        if not target.exists():  # another process may have built it while we waited for the lock
            _build(go, program, target.parent)
    return target, time.monotonic() - started


def _asset(name: str) -> Path | None:
    folder = os.environ.get(ASSETS_VARIABLE)
    path = Path(folder).expanduser() / name if folder else None
    return path if path is not None and os.access(path, os.X_OK) else None


def _go() -> str:
    go = shutil.which("go")
    if go is None:
        raise NoControlPlane(
            "Go is not installed; install Go 1.26 or newer and run `python -m tests.support.controlplane build`, "
            f"or point {ASSETS_VARIABLE} at ready binaries"
        )
    return go


def _build(go: str, program: Program, folder: Path) -> None:
    """Build into a folder beside the final one, then rename: a killed build leaves nothing that looks finished."""
    with tempfile.TemporaryDirectory(prefix=f"{program.name}-", dir=folder.parent) as scratch:
        module, output = program.folder, Path(scratch) / "out"
        arguments = ["build", "-buildvcs=false", "-trimpath", "-ldflags", program.ldflags()]
        if program.tags:
            arguments += ["-tags", program.tags]
        if program.vendor_files:
            module = _vendored(go, program, Path(scratch) / "src")
            arguments += ["-mod=vendor"]
        _run_go(go, [*arguments, "-o", str(output / program.name), program.package], module, program)
        output.rename(folder)


def _vendored(go: str, program: Program, module: Path) -> Path:
    """A copy of the module with its dependencies in vendor/ and the files that one of them lacks."""
    module.mkdir()
    for name in ("go.mod", "go.sum"):
        shutil.copy(program.folder / name, module / name)
    _run_go(go, ["mod", "vendor", "-e"], module, program)  # -e: the missing files are an error to it too
    for name, text in program.vendor_files:
        path = module / "vendor" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return module


def _run_go(go: str, arguments: list[str], module: Path, program: Program) -> None:
    # Without cgo a machine needs no C compiler. A workspace or a -mod flag of the developer's would change the pins.
    flags = [flag for flag in os.environ.get("GOFLAGS", "").split() if not flag.startswith("-mod")]
    env = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": " ".join(flags)}
    try:
        done = subprocess.run(
            [go, *arguments], cwd=module, env=env, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as exc:
        raise BuildFailed(f"go {arguments[0]} of {program.name} took more than {BUILD_TIMEOUT_S:.0f} s") from exc
    if done.returncode == 0:
        return
    if "requires go >=" in done.stderr:
        raise NoControlPlane(f"Go is too old; {done.stderr.strip().splitlines()[-1]}")
    raise BuildFailed(f"go {arguments[0]} of {program.name} failed:\n" + "\n".join(done.stderr.splitlines()[-20:]))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Two test runs on one machine build a program once. Windows is not supported, as are the servers themselves."""
    import fcntl

    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
