"""What a pull request says: plain, bounded, and inert. Pure.

Names and labels come from alerts and objects, so from anybody. A mention, a reference to an issue, a closing word or a
quick action in them must do nothing: whatever is not ours stands in code, where forges look for none of these.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from remediator.actions.change import Change
from remediator.actions.diff import diff_lines
from remediator.actions.view import View
from remediator.gitops.owner import Owner

MOST = 200
LINES = 30
_ODD = re.compile(r"[^\w .,:;/+=()\[\]{}>-]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Why it is proposed. All of it stays the same for as long as a remediation lasts: people approve these words."""

    remediation: str = ""
    playbook: str = ""
    alert: str = ""
    """The name of the alert that began it, or what began it without one."""
    because: str = ""
    """What chose the target."""


def code(text: object, limit: int = MOST) -> str:
    """Somebody else's text as code: one line, no backquotes, bounded."""
    flat = " ".join(str(text).replace("`", "'").split())
    return f"`{flat if len(flat) <= limit else flat[: limit - 3] + '...'}`" if flat else "`-`"


def inert(text: str, limit: int = 120) -> str:
    """For a title, which is no Markdown: without what names people or issues."""
    flat = text.replace("@", " at ").replace("://", ": ").replace("GH-", "GH ").replace("gh-", "gh ")
    flat = " ".join(_ODD.sub(" ", flat).split())
    return flat if len(flat) <= limit else flat[: limit - 3] + "..."


def title(change: Change, view: View) -> str:
    return inert(f"{view.ref}: {change.summary}")


def summary_of(way: str, change: Change) -> str:
    """The line of a plan, short enough for every message that begins with it."""
    return f"{change.summary}, {'by a pull request' if way == 'pr' else 'live and by a pull request'}"


def way_of(way: str, owner: Owner, repository: str, places: tuple[str, ...]) -> str:
    """What people agree to, in full."""
    where = f"opens a pull request in {repository} ({', '.join(places)})"
    if way == "pr":
        return f"{where}; nothing changes until people merge it"
    return f"holds {owner}, changes it live, {where}; the hold ends when that is merged, or after 2 h"


def body(
    way: str,
    owner: Owner,
    change: Change,
    view: View,
    places: tuple[str, ...],
    notes: tuple[str, ...],
    evidence: Evidence,
) -> str:
    """Markdown. The evidence that the plan has: what, where, why, and what happens next."""
    lines = [
        "Proposed by remediator.",
        "",
        f"- Object: {code(view.ref)}, owned by {code(owner)}",
        *(f"- Change: {code(line)}" for line in diff_lines(change, view.ref)[:LINES]),
        *(f"- File: {code(place)}" for place in places[:LINES]),
        f"- Why: {code(evidence.alert)}, target from {code(evidence.because)}",
        f"- Playbook: {code(evidence.playbook)}, remediation {code(evidence.remediation)}",
        *(f"- Note: {code(note)}" for note in (*change.notes, *notes)[:LINES]),
        "",
    ]
    if way == "pr":
        lines.append("Nothing was changed in the cluster. It takes effect once this is merged.")
    else:
        lines.append(
            "The same change is live already. Drift correction of the owner is held until this is merged, at most for "
            "2 hours; without it the owner then takes the live change back."
        )
    return "\n".join(lines) + "\n"
