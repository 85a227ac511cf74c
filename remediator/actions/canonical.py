"""One spelling for one JSON value: what is hashed, recorded and sent must not depend on key order."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from remediator.objects import JSON


def _plain(value: Any) -> Any:
    """Mappings that are not dicts (frozen views) become dicts; anything that is not JSON is refused."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not a JSON value")


def canonical_json(value: JSON) -> bytes:
    """UTF-8 JSON with sorted keys and no spaces; tuples are lists.

    Raises: TypeError for what JSON does not know, ValueError for NaN and infinities.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_plain)
    return text.encode()
