"""An alert as the rest of the product sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

AlertStatus = Literal["firing", "resolved"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert of one webhook message.

    `fingerprint` is 16 hex digits, a hash of the labels. `ends_at` is None while firing. Times are aware and UTC.
    `source` is the name of the sender that authenticated (config `sources:`), `cluster` the cluster it is about.
    """

    fingerprint: str
    status: AlertStatus
    labels: Mapping[str, str]
    annotations: Mapping[str, str] = field(default_factory=dict)
    starts_at: datetime
    ends_at: datetime | None = None
    generator_url: str = ""
    group_key: str = ""
    source: str = "default"
    cluster: str = "default"

    @property
    def name(self) -> str:
        """The `alertname` label, or empty."""
        return self.labels.get("alertname", "")

    @property
    def severity(self) -> str:
        return self.labels.get("severity", "")
