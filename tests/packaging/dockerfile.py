"""A Dockerfile and its .dockerignore as data: as much of both as ours use."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction of one stage; `words` are its arguments without flags."""

    stage: int
    name: str
    text: str
    flags: tuple[str, ...]
    words: tuple[str, ...]


def parse_dockerfile(text: str) -> list[Instruction]:
    """The instructions in order. Stage 0 is what stands before the first FROM."""
    joined = re.sub(r"\\\n", " ", "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#")))
    found: list[Instruction] = []
    stage = 0
    for line in filter(None, (line.strip() for line in joined.splitlines())):
        name, _, rest = line.partition(" ")
        stage += name == "FROM"
        words = rest.split()
        flags = tuple(word for word in words if word.startswith("--") and name != "RUN")
        found.append(Instruction(stage, name, " ".join(words), flags, tuple(w for w in words if w not in flags)))
    return found


def admitted(path: str, dockerignore: str) -> bool:
    """Whether a file of the build context gets to the builder: the last pattern that fits it or a parent decides."""
    inside = True
    for line in dockerignore.splitlines():
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        keep = pattern.startswith("!")
        expression = _expression(pattern.removeprefix("!").strip("/"))
        here = PurePosixPath(path)
        if any(re.fullmatch(expression, str(one)) for one in (here, *here.parents) if str(one) != "."):
            inside = keep
    return inside


def _expression(pattern: str) -> str:
    parts = re.split(r"(\*\*/?|\*|\?|\[[^]]*\])", pattern)
    signs = {"**": ".*", "**/": "(.*/)?", "*": "[^/]*", "?": "[^/]"}
    return "".join(signs.get(part) or (part if part.startswith("[") else re.escape(part)) for part in parts)


def files_below(path: Path) -> list[Path]:
    return [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
