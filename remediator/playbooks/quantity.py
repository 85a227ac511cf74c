"""Kubernetes quantities: `100Mi`, `250m`, `1.5`, `1e3`."""

from __future__ import annotations

import re

_QUANTITY = re.compile(r"([+-]?(?:\d+(?:\.\d*)?|\.\d+))(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]|[eE][+-]?\d{1,2})?", re.ASCII)
_FACTORS = {"n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
_FACTORS |= {unit: 1024.0**power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), start=1)}


def parse_quantity(text: str | int | float) -> float:
    """The number a quantity stands for: bytes, cores or copies. Raises: ValueError."""
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        raise ValueError(f"expected a quantity such as 100Mi or 250m, got {text!r}")
    if not isinstance(text, str):
        return float(text)
    found = _QUANTITY.fullmatch(text) if len(text) <= 60 else None
    if not found:
        raise ValueError(f"expected a quantity such as 100Mi or 250m, got {text[:60]!r}")
    number, suffix = float(found[1]), found[2] or ""
    return number * (_FACTORS[suffix] if suffix in _FACTORS else float(f"1{suffix}"))
