"""CPU and memory of containers, exactly: no float decides what a quota or a limit is. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Literal

RESOURCES = ("cpu", "memory")

Qos = Literal["Guaranteed", "Burstable", "BestEffort"]

_QUANTITY = re.compile(r"(\d{1,18}(?:\.\d{0,9})?|\.\d{1,9})(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]|[eE][+-]?\d{1,2})?", re.ASCII)
_FACTORS = {unit: Fraction(10) ** (3 * power) for power, unit in enumerate(("n", "u", "m", "", "k"), start=-3)}
_FACTORS |= {unit: Fraction(10) ** (3 * power) for power, unit in enumerate(("M", "G", "T", "P", "E"), start=2)}
_FACTORS |= {unit: Fraction(1024) ** power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), start=1)}
_MI, _GI = 1024**2, 1024**3


def exact(text: object) -> Fraction:
    """Cores or bytes of `500m`, `1Gi`, `2`. Raises: ValueError."""
    found = None if isinstance(text, bool) else _QUANTITY.fullmatch(str(text)[:60])
    if not found:
        raise ValueError(f"expected a quantity such as 500m or 1Gi, got {str(text)[:60]!r}")
    number, suffix = Fraction(found[1]), found[2] or ""
    return number * (_FACTORS[suffix] if suffix in _FACTORS else Fraction(f"1{suffix}"))


def written(resource: str, amount: Fraction) -> str:
    """An amount as people write it, rounded up to whole millicores or MiB: `1500m`, `2`, `768Mi`, `4Gi`."""
    if resource == "cpu":
        milli = math.ceil(amount * 1000)
        return f"{milli}m" if milli % 1000 else str(milli // 1000)
    mebi = math.ceil(amount / _MI)
    return f"{mebi}Mi" if mebi % 1024 else f"{mebi * _MI // _GI}Gi"


def qos_of(pod_spec: Mapping[str, Any]) -> Qos:
    """The QoS class that Kubernetes gives a pod of this spec, init containers included.

    A missing request counts as the limit, as the API server fills it in. Raises: ValueError for what it cannot read.
    """
    containers = [*(pod_spec.get("containers") or ()), *(pod_spec.get("initContainers") or ())]
    pairs = [_pair(container, resource) for container in containers for resource in RESOURCES]
    if all(request == 0 and limit == 0 for request, limit in pairs):
        return "BestEffort"
    guaranteed = all(limit > 0 and request == limit for request, limit in pairs)
    return "Guaranteed" if guaranteed else "Burstable"


def request_of(container: Mapping[str, Any], resource: str) -> Fraction:
    """What the scheduler reserves for it; 0 where nothing is set. Raises: ValueError."""
    return _pair(container, resource)[0]


def _pair(container: Mapping[str, Any], resource: str) -> tuple[Fraction, Fraction]:
    resources = container.get("resources") or {}
    limit = exact((resources.get("limits") or {}).get(resource) or 0)
    request = (resources.get("requests") or {}).get(resource)
    return (limit if request is None else exact(request)), limit
