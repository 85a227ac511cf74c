"""The Dockerfile, read as data: there is no Docker where the tests run. And the wheel that it installs."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from remediator import __version__
from tests.packaging.dockerfile import admitted, files_below, parse_dockerfile

ROOT = Path(__file__).parents[2]
INSTRUCTIONS = parse_dockerfile((ROOT / "Dockerfile").read_text())
IGNORE = (ROOT / ".dockerignore").read_text()
LAST = INSTRUCTIONS[-1].stage


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        pytest.param("remediator/app.py", True, id="package"),
        pytest.param("remediator/adapters/sql/schema.py", True, id="deep in the package"),
        pytest.param("remediator/__pycache__/app.cpython-312.pyc", False, id="bytecode"),
        pytest.param("requirements/runtime.txt", True, id="pins"),
        pytest.param("README.md", True, id="readme"),
        pytest.param("tests/conftest.py", False, id="tests"),
        pytest.param(".git/config", False, id="history"),
        pytest.param(".venv/bin/python", False, id="environment"),
        pytest.param("remediator.db", False, id="a journal"),
    ],
)
def test_what_the_builder_gets(path: str, wanted: bool) -> None:
    assert admitted(path, IGNORE) is wanted


def test_every_copied_file_is_there_and_gets_to_the_builder() -> None:
    copies = [i for i in INSTRUCTIONS if i.name == "COPY" and not any(f.startswith("--from") for f in i.flags)]
    sources = [source for copy in copies for source in copy.words[:-1]]
    assert {"remediator/", "requirements/runtime.txt", "playbooks/", "config/"} <= set(sources)
    for source in sources:
        files = [file for file in files_below(ROOT / source) if "__pycache__" not in file.parts]
        assert files, f"COPY {source}: nothing there"
        assert all(admitted(str(file.relative_to(ROOT)), IGNORE) for file in files), source


def test_what_the_build_backend_reads_is_copied_before_the_wheel_is_built() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project, wheel_settings = pyproject["project"], pyproject["tool"]["hatch"]["build"]["targets"]["wheel"]
    names = [i.text for i in INSTRUCTIONS]
    wheel = next(index for index, text in enumerate(names) if "pip wheel" in text)
    copied = {word.rstrip("/") for i in INSTRUCTIONS[:wheel] if i.name == "COPY" for word in i.words}
    wanted = {"pyproject.toml", project["readme"], *project["license-files"], *wheel_settings["packages"]}
    assert wanted | {name.split("/")[0] for name in wheel_settings.get("force-include", ())} <= copied


def test_packages_are_pinned_by_hash_and_nothing_is_compiled() -> None:
    installs = [i.text for i in INSTRUCTIONS if i.name == "RUN" and " install" in i.text and "pip" in i.text]
    assert len(installs) == 3
    for text in installs:
        assert "--no-index" in text or ("--require-hashes" in text and "--only-binary=:all:" in text), text


def test_the_image_is_not_root_and_has_no_health_check_of_its_own() -> None:
    last = {i.name: i.text for i in INSTRUCTIONS if i.stage == LAST}
    assert last["USER"] == "65532:65532"
    assert last["HEALTHCHECK"] == "NONE"
    assert last["ENTRYPOINT"] == '["remediator"]'
    assert "HOME=/var/lib/remediator" in last["ENV"]  # uid 65532 has none of its own
    assert "org.opencontainers.image.licenses" in last["LABEL"]
    after_user = [i.name for i in INSTRUCTIONS[next(n for n, i in enumerate(INSTRUCTIONS) if i.name == "USER") :]]
    assert not {"RUN", "COPY"} & set(after_user)


def test_no_shell_tricks() -> None:
    """One command each: no pipes, no downloads, no secrets in arguments."""
    assert {i.name for i in INSTRUCTIONS} <= {
        *("ARG", "FROM", "ENV", "WORKDIR", "COPY", "RUN", "LABEL", "USER", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD")
    }
    for instruction in INSTRUCTIONS:
        if instruction.name == "RUN":
            assert not re.search(r"[|;&<>$`]|curl|wget|apt", instruction.text), instruction.text
    assert [i.words[0] for i in INSTRUCTIONS if i.name == "ARG"] == ["PYTHON_IMAGE=python:3.12-slim-trixie"]


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_runs_from_anywhere(tmp_path: Path) -> None:
    """As in the image: built without an index, imported from where nothing may be written."""
    build = ["pip", "wheel", "--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path)]
    subprocess.run([sys.executable, "-m", *build, str(ROOT)], check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("remediator-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path / "installed")
    assert {"remediator/py.typed", "remediator/adapters/sql/migrations/env.py"} <= names
    assert {name.split("/")[0] for name in names} == {"remediator", f"remediator-{__version__}.dist-info"}
    nowhere = tmp_path / "nowhere"
    nowhere.mkdir(mode=0o555)
    done = subprocess.run(
        [
            sys.executable,
            "-B",
            "-c",
            "import remediator; print(remediator.__file__); from remediator.__main__ import main; main()",
            "version",
        ],
        cwd=nowhere,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "installed")},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.splitlines() == [str(tmp_path / "installed/remediator/__init__.py"), f"remediator {__version__}"]
    assert not list(nowhere.iterdir())


def test_what_the_package_imports_is_pinned() -> None:
    """A clean environment has only the pins of runtime.txt; the developers' one has more. Extras are imported late."""
    imported: dict[str, Path] = {}
    for file in (ROOT / "remediator").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            imported |= {name.split(".")[0]: file for name in names}
    foreign = set(imported) - sys.stdlib_module_names - {"remediator", "__future__", "msvcrt"}
    lines = (ROOT / "requirements/runtime.txt").read_text().splitlines()
    pinned = {_plain(line.split("==")[0]) for line in lines if "==" in line}
    distributions = packages_distributions()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"].values()
    late = {_plain(re.split("[^A-Za-z0-9._-]", one)[0]) for extra in extras for one in extra}
    for name in sorted(foreign):
        found = {_plain(one) for one in distributions.get(name, [name])}
        said = f"{imported[name]} imports {name} ({', '.join(found)}), which runtime.txt does not pin"
        assert found & (pinned | late), said


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).strip().lower()
