"""The words of `/remediator`: which command, and what it is about. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from remediator.playbooks.durations import duration_of
from remediator.slack_app.members import Refusal

COMMANDS: Mapping[str, str] = {
    "status": "what waits, what runs, what is paused",
    "pending": "what waits for a person",
    "pause": "SCOPE [for 2h] [because REASON]: nothing is sent there",
    "resume": "SCOPE or p-12: lift a pause",
    "run": "PLAYBOOK [Deployment/shop/api] [copies=5] [because REASON]: start it; somebody else approves",
    "explain": "r-4f2c91d0aa: why it is where it is",
    "take": "r-4f2c91d0aa: leave its incident to you, nothing more is sent for it",
    "give-back": "r-4f2c91d0aa: the other way round",
    "handover": "[8h]: what the next one on call must know",
    "help": "this list",
}
"""Name -> what it takes and does."""

HELP = "Write /remediator help."

_SAME_HERE = {
    "remediator remediations list": "/remediator status",
    "remediator remediations show": "/remediator explain",
    "remediator pause list": "/remediator status",
    "remediator resume": "/remediator resume",
    "remediator run": "/remediator run",
    "remediator take": "/remediator take",
    "remediator give-back": "/remediator give-back",
}
"""A command of the command line -> what does the same in Slack."""


def in_slack(advice: str) -> str:
    """Advice of the service, for whoever reads it in Slack."""
    for typed, here in _SAME_HERE.items():
        advice = re.sub(rf"(?<![/\w]){typed}\b", here, advice)
    return advice


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    name: str
    rest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseWords:
    scope: str
    length: timedelta | None = None
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunWords:
    playbook: str
    target: str = ""
    params: Mapping[str, str] = field(default_factory=dict)
    why: str = ""


def read_command(text: str) -> Command:
    """Nothing at all means status. Raises: Refusal."""
    name, _, rest = " ".join(text.split()).partition(" ")
    name = name.lower() or "status"
    if name not in COMMANDS:
        raise Refusal(f"there is no command {name[:40]!r}", advice=f"There are: {', '.join(COMMANDS)}. {HELP}")
    return Command(name=name, rest=rest.strip())


_PAUSE = re.compile(r"(?P<scope>.*?)(?: for (?P<length>\S+))?(?: because (?:of )?(?P<why>.+))?")


def read_pause(rest: str) -> PauseWords:
    """Raises: Refusal."""
    found = _PAUSE.fullmatch(rest)
    if found is None or not found["scope"]:
        raise Refusal(
            "pause what?",
            advice="For example: /remediator pause namespace shop for 2h because of the release, or: pause everything",
        )
    length = read_length(found["length"]) if found["length"] else None
    return PauseWords(scope=found["scope"], length=length, why=found["why"] or "")


def read_run(rest: str) -> RunWords:
    """Raises: Refusal."""
    asked, _, why = rest.partition(" because ")
    playbook, *words = asked.split()[:50] or [""]
    params = dict(word.split("=", 1) for word in words if "=" in word)
    targets = [word for word in words if "=" not in word]
    if not playbook or len(targets) > 1:
        raise Refusal(
            "run what?",
            advice="For example: /remediator run restart-api Deployment/shop/api because it leaks",
        )
    return RunWords(playbook=playbook, target=next(iter(targets), ""), params=params, why=why.removeprefix("of "))


def read_length(text: str) -> timedelta:
    """Raises: Refusal."""
    try:
        return duration_of(text)
    except ValueError as exc:
        raise Refusal(f"for how long? {exc}", advice="For example: 30m, 2h, 1d.") from exc
