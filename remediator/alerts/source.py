"""Who sent a webhook, and what that sender may claim.

A sender proves who it is (token or certificate, config `sources:`) before its message is read. What it then says
about clusters and environments is only as good as that proof: a staging Alertmanager must not be able to say
`cluster="prod"`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from remediator.errors import InvalidConfig

SHOWN = 120
"""Characters of untrusted text that a message repeats at most."""


def shown(value: object) -> str:
    """Untrusted text as a message may repeat it: quoted, escaped, bounded."""
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One authenticated sender.

    `forced` labels replace whatever the sender says. `allow` lists, per label, the only values the sender may claim;
    an absent label claims nothing. The cluster of an alert is `cluster`, or the value of `cluster_label` where one
    Alertmanager serves several clusters; that label must then be forced or limited.
    """

    name: str = "default"
    cluster: str = "default"
    cluster_label: str = ""
    forced: Mapping[str, str] = field(default_factory=dict)
    allow: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        label = self.cluster_label
        if label and label not in self.allow and label not in self.forced:
            raise InvalidConfig(
                f"source {self.name}: cluster_label {label!r} lets this sender name any cluster; "
                f"list the clusters it may name under allow.{label}"
            )

    def relabelled(self, labels: Mapping[str, str]) -> Mapping[str, str]:
        """The labels as we believe them."""
        return {**labels, **self.forced} if self.forced else labels

    def objection(self, labels: Mapping[str, str]) -> str | None:
        """Why this sender may not send an alert with these (relabelled) labels; None means it may."""
        for name, allowed in self.allow.items():
            value = labels.get(name, "")
            if value and value not in allowed:
                return (
                    f"label {name}={shown(value)}: source {self.name!r} may only say {', '.join(sorted(allowed))}; "
                    f"correct the sender, or sources[{self.name}].allow.{name}"
                )
        if self.cluster_label and not labels.get(self.cluster_label):
            return f"label {self.cluster_label} is missing: source {self.name!r} names the cluster with it"
        return None

    def cluster_of(self, labels: Mapping[str, str]) -> str:
        """The cluster that an alert with these (relabelled) labels is about."""
        return labels[self.cluster_label] if self.cluster_label else self.cluster
