"""Sizes of volumes, exact: `20Gi`, `1.5Ti`, `500M`. Floats would lose bytes, and a volume never shrinks again."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Annotated

from pydantic import AfterValidator, Field

_SIZE = re.compile(r"\+?(\d{1,18}(?:\.\d{0,9})?|\.\d{1,9})(Ki|Mi|Gi|Ti|Pi|Ei|[mkMGTPE]|[eE]\+?\d{1,2})?", re.ASCII)

_UNITS = {"": Fraction(1), "m": Fraction(1, 1000)}
_UNITS |= {unit: Fraction(1000**power) for power, unit in enumerate(("k", "M", "G", "T", "P", "E"), start=1)}
_UNITS |= {unit: Fraction(1024**power) for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), start=1)}

KI, MI, GI = 1024, 1024**2, 1024**3


def size_of(text: object) -> int:
    """Bytes, rounded up as Kubernetes does. Raises: ValueError for what is no size, or is none."""
    if isinstance(text, bool) or not isinstance(text, str | int):
        raise ValueError(f"expected a size such as 20Gi, got {text!r:.60}")
    found = _SIZE.fullmatch(str(text))
    if not found:
        raise ValueError(f"expected a size such as 20Gi, got {text!r:.60}")
    suffix = found[2] or ""
    unit = _UNITS[suffix] if suffix in _UNITS else Fraction(10) ** int(suffix[1:])
    exact = Fraction(found[1]) * unit
    size = -(-exact.numerator // exact.denominator)
    if size < 1:
        raise ValueError(f"expected a size such as 20Gi, got {text!r:.60}")
    return size


def size_text(size: int) -> str:
    """The shortest exact spelling: `20Gi`, `1536Mi`, or bytes."""
    for unit in ("Ti", "Gi", "Mi", "Ki"):
        if size % int(_UNITS[unit]) == 0:
            return f"{size // int(_UNITS[unit])}{unit}"
    return str(size)


def _checked(text: str) -> str:
    size_of(text)
    return text


Size = Annotated[str, Field(max_length=40), AfterValidator(_checked)]
"""A size as a parameter."""
