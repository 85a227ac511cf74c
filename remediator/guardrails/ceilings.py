"""What cannot be: a playbook above its ceilings, an operator's number that is none. For loading, `check` and start-up.

A playbook is measured by the loosest place that its target can be in; in a stricter one it is brought back to the
ceiling there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from remediator.errors import InvalidPlaybook
from remediator.guardrails.environments import WORDS, Environment, Place
from remediator.guardrails.facts import EffectiveLimits
from remediator.guardrails.layers import SHIPPED, beyond, comparable, size, tightest
from remediator.guardrails.policy import EVERYWHERE, Policy, domain_label, limits_in_force, mode_ceiling_at
from remediator.playbooks.limits import Numbers, flat
from remediator.playbooks.limits_table import LIMITS, Limit, Value, shown
from remediator.playbooks.model import Mode, Playbook, TargetSpec
from remediator.playbooks.problems import did_you_mean
from remediator.playbooks.windows_model import zone_problems


class OverCeiling(InvalidPlaybook):
    """A playbook asks for more than the operator allows. `problems` has one line for each number."""

    def __init__(self, playbook: str, problems: tuple[str, ...]) -> None:
        super().__init__(f"playbook {playbook}: {'; '.join(problems)}")
        self.problems = problems


def effective_limits(playbook: Playbook, policy: Policy, place: Place = EVERYWHERE) -> EffectiveLimits:
    """The numbers in force for a playbook. Raises: OverCeiling when it asks for more than it may anywhere."""
    problems = over_ceiling(playbook, policy)
    if problems:
        raise OverCeiling(playbook.name, problems)
    return limits_in_force(playbook, policy, place)


def over_ceiling(playbook: Playbook, policy: Policy) -> tuple[str, ...]:
    """What a playbook asks for beyond the ceilings of the loosest place that it can reach, a line each; for loading."""
    return tuple(_problems(playbook, policy))


def _problems(playbook: Playbook, policy: Policy) -> Iterator[str]:
    reached = _reached(playbook, policy)
    ceiling, loosest = _loosest_mode(policy, reached)
    if playbook.mode.rank > ceiling.rank:
        of = f" of environment {loosest.name}" if loosest and loosest.mode_ceiling else ""
        yield f"mode: {playbook.mode} is above the ceiling {ceiling}{of}; write mode: {ceiling}"
    asked = flat(playbook.guardrails)
    for limit in LIMITS:
        if limit.key not in asked:
            continue
        nonsense = list(_senseless(limit, asked[limit.key], "guardrails"))
        yield from nonsense or _beyond(limit, asked[limit.key], policy, reached)
    label = playbook.guardrails.failure_domain and playbook.guardrails.failure_domain.label
    fixed = {domain_label(playbook, policy, Place(environment=e.name if e else "")) for e in reached}
    if label and label not in fixed:
        yield (
            f"guardrails.failure_domain.label: the operator has fixed it to {' or '.join(sorted(fixed))}; "
            "write that, or remove it"
        )
    elif label and label not in (named := policy.domain_labels()):
        yield (
            f"guardrails.failure_domain.label: {label} is none that the operator has named; a label that every node "
            f"shares, or none has, would switch the guardrail off. Write {' or '.join(sorted(named))}, or ask the "
            "operator for defaults.failure_domain.label"
        )
    if playbook.guardrails.windows is not None:
        yield from zone_problems(playbook.guardrails.windows, policy.zone, "guardrails.windows")


def highest_mode(playbook: Playbook, policy: Policy) -> Mode:
    """What it comes to at most, in the loosest place that it can reach."""
    ceiling, _ = _loosest_mode(policy, _reached(playbook, policy))
    return min(playbook.mode, ceiling, key=lambda mode: mode.rank)


def _loosest_mode(policy: Policy, reached: tuple[Environment | None, ...]) -> tuple[Mode, Environment | None]:
    ceilings = [(mode_ceiling_at(policy, environment, EVERYWHERE), environment) for environment in reached]
    return max(ceilings, key=lambda one: one[0].rank)


def _reached(playbook: Playbook, policy: Policy) -> tuple[Environment | None, ...]:
    """The environments that its targets may be in; None = none of them, where the policy itself holds."""
    found: list[Environment | None] = []
    for cluster, namespace in _targets(playbook):
        for environment in policy.environments:
            if not environment.match.may_hold(cluster, namespace):
                continue
            found.append(environment)
            if environment.match.certain(cluster, namespace):
                break
        else:
            found.append(None)
    return tuple(dict.fromkeys(found))


def _targets(playbook: Playbook) -> list[tuple[str, str]]:
    """Cluster and namespace of the main target, as far as they are written out; empty = not known."""
    target = playbook.targets or playbook.target
    if target is None or isinstance(target, str):
        return [("", "")]
    cluster = target.cluster if isinstance(target, TargetSpec) else ""
    return [("" if "${" in cluster else cluster, "" if "${" in target.namespace else target.namespace)]


def _beyond(limit: Limit, value: Value, policy: Policy, reached: tuple[Environment | None, ...]) -> Iterator[str]:
    """Only what no place that it can reach allows."""
    ceilings = [_ceiling(limit, policy, environment) for environment in reached]
    if not all(beyond(limit, value, ceiling) for ceiling, _ in ceilings):
        return
    choose = max if limit.bound == "at most" else min
    ceiling, by = choose(ceilings, key=lambda one: size(one[0]))
    side = "above" if limit.bound == "at most" else "below"
    of = f" of {by}" if by.startswith("environment") else ""
    more = "" if by == SHIPPED else f", or ask the operator for ceilings.{limit.key}"
    yield (
        f"guardrails.{limit.key}: {shown(value)}{limit.unit} is {side} the ceiling{of}, which is {limit.bound} "
        f"{shown(ceiling)}; write {shown(ceiling)}{more}"
    )


def _ceiling(limit: Limit, policy: Policy, environment: Environment | None) -> tuple[Value, str]:
    said = {"policy": flat(policy.ceilings)}
    if environment is not None:
        said[f"environment {environment.name}"] = flat(environment.ceilings)
    return tightest(limit, {by: numbers[limit.key] for by, numbers in said.items() if limit.key in numbers})


def policy_problems(policy: Policy) -> tuple[str, ...]:
    """What an operator wrote that cannot be. For `check` and start-up."""
    return tuple(_policy_problems(policy))


def _policy_problems(policy: Policy) -> Iterator[str]:
    parts: list[tuple[str, Numbers]] = [("defaults", policy.defaults), ("ceilings", policy.ceilings)]
    for environment in policy.environments:
        where = f"environments[{environment.name}]"
        parts += [(f"{where}.defaults", environment.defaults), (f"{where}.ceilings", environment.ceilings)]
        yield from _incomparable(policy, environment, where)
    parts += [(f"severities.{name}.defaults", severity.defaults) for name, severity in policy.severities.items()]
    for where, numbers in parts:
        said = flat(numbers)
        for limit in LIMITS:
            if limit.key not in said:
                continue
            nonsense = list(_senseless(limit, said[limit.key], where))
            yield from nonsense
            if not nonsense and where.endswith("ceilings") and beyond(limit, said[limit.key], limit.ceiling):
                yield (
                    f"{where}.{limit.key}: {shown(said[limit.key])} is beyond the shipped ceiling, which is "
                    f"{limit.bound} {shown(limit.ceiling)}; ceilings can only be made tighter"
                )
    for where, windows in policy.all_windows():
        yield from zone_problems(windows, policy.zone, where.removeprefix("policy."))
    names = [environment.name for environment in policy.environments]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"environments[{name}] is there twice; names must differ"
    for index, hidden in enumerate(policy.environments):
        before = next((e for e in policy.environments[:index] if e.match.covers(hidden.match)), None)
        if before is not None and before.name != hidden.name:
            yield (
                f"environments[{hidden.name}] is never in force: environments[{before.name}] stands before it and "
                f"matches all of its places; move {hidden.name} up"
            )
    known = set(policy.severity_map.values())
    for name in policy.severities:
        if name not in known and name in policy.severity_map:
            yield f"severities.{name}: severity_map turns it into {policy.severity_map[name]}; write that"


def _incomparable(policy: Policy, environment: Environment, where: str) -> Iterator[str]:
    own, general = flat(environment.ceilings), flat(policy.ceilings)
    for key in own.keys() & general.keys():
        if not comparable(own[key], general[key]):
            yield (
                f"{where}.ceilings.{key}: {shown(own[key])} cannot be compared with {shown(general[key])} of "
                f"ceilings.{key}; write both as shares, or both as numbers"
            )


def unknown_words(policy: Policy, actions: Collection[str]) -> tuple[str, ...]:
    """Words of `auto` that nobody has installed."""
    said = [("auto", policy.auto), *((f"environments[{e.name}].auto", e.auto) for e in policy.environments)]
    return tuple(
        f"policy.{where}: there is no action {word}. {did_you_mean(word, {*actions, *WORDS})}"
        for where, words in said
        for word in words or ()
        if word not in actions and word not in WORDS
    )


def _senseless(limit: Limit, value: Value, where: str) -> Iterator[str]:
    """Zero and less, which would mean never or without limit."""
    if size(value) < size(limit.nearest):
        nearest = shown(limit.nearest)
        yield f"{where}.{limit.key}: {shown(value)} is not allowed; the nearest allowed value is {nearest}"
