"""`rbac`: the smallest rights for these playbooks, as the chart takes them. Needs no server and no cluster."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from remediator.cli.options import Output, OutputOption
from remediator.cli.problems import Problem

if TYPE_CHECKING:  # what these import takes longer than `version` may
    from remediator.doctor import Right

Rule = dict[str, list[str]]

READS = frozenset({"get", "list", "watch"})


def rbac(
    paths: Annotated[list[Path], typer.Argument(metavar="PATHS...", help="Playbook files, or folders of them.")],
    namespace: Annotated[
        list[str] | None, typer.Option("--namespace", "-n", help="A namespace they may write in; may be given again.")
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Print the Role and ClusterRole that these playbooks need, beside what the chart grants for reading workloads."""
    import yaml

    from remediator.actions.registry import load_actions
    from remediator.cli.checking import results_of
    from remediator.cli.screen import print_json
    from remediator.rights import needed_rights

    loaded = [result.loaded for result in results_of(paths) if result.loaded is not None]
    if not loaded:
        raise Problem("no playbook could be loaded", advice=f"remediator check {' '.join(map(str, paths))}")
    wide, narrow = split(needed_rights(loaded, load_actions(), (), ""))
    documents = [_role("ClusterRole", "", wide)] if wide else []
    documents += [_role("Role", name, narrow) for name in namespace or [""]] if narrow else []
    if output is Output.JSON:
        print_json(documents)
    else:
        print(yaml.safe_dump_all(documents, sort_keys=False, width=120), end="")


def split(rights: Iterable[Right]) -> tuple[list[Rule], list[Rule]]:
    """The rules of the ClusterRole, of reads and of kinds without a namespace, and those of the Roles, which write."""
    from remediator.objects import KINDS

    wide: dict[tuple[str, str], set[str]] = defaultdict(set)
    narrow: dict[tuple[str, str], set[str]] = defaultdict(set)
    for right in rights:
        kind = KINDS[right.kind]
        resource = f"{kind.plural}/{right.subresource}" if right.subresource else kind.plural
        rules = wide if right.verb in READS or not kind.namespaced else narrow
        rules[kind.group, resource].add(right.verb)
    return _rules(wide), _rules(narrow)


def _rules(found: Mapping[tuple[str, str], set[str]]) -> list[Rule]:
    """One rule for each group and set of verbs, in a stable order."""
    together: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    for (group, resource), verbs in sorted(found.items()):
        together[group, tuple(sorted(verbs))].append(resource)
    return [{"apiGroups": [g], "resources": r, "verbs": list(v)} for (g, v), r in sorted(together.items())]


def _role(kind: str, namespace: str, rules: Sequence[Rule]) -> dict[str, Any]:
    meta = {"name": "remediator-playbooks", **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": meta, "rules": list(rules)}
