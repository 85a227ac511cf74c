"""What may stand where Kubernetes expects a label. Names of objects are in `alerts/names.py`."""

from __future__ import annotations

import re

from remediator.alerts.names import name_problem

_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_LABEL_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")


def is_label_value(text: str) -> bool:
    return _LABEL_VALUE.fullmatch(text) is not None


def is_label_key(text: str) -> bool:
    """`app` or `app.kubernetes.io/name`."""
    prefix, slash, name = text.rpartition("/")
    return (not slash or name_problem("", prefix) is None) and _LABEL_NAME.fullmatch(name) is not None
