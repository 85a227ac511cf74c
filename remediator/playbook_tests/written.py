"""What the models of test files share: an empty key is a mistake, and many items are exactly one of several kinds."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from pydantic import model_validator

from remediator.playbooks.fields import Strict, complaint


class Written(Strict):
    """A mapping of a file. `NULLABLE` are the keys where nothing (`null`) is a value; elsewhere nobody can tell what
    was meant."""

    NULLABLE: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="before")
    @classmethod
    def _nothing_empty(cls, content: Any) -> Any:
        if isinstance(content, Mapping):
            empty = [str(key) for key, value in content.items() if value is None and key not in cls.NULLABLE]
            known = {field.alias or name for name, field in cls.model_fields.items()}
            if named := sorted(known.intersection(empty)):
                raise complaint(f"nothing is given for {', '.join(named)}", "Fill it in, or remove the key.")
        return content


def exactly_one(model: Written, kinds: Mapping[str, Collection[str]], shared: Collection[str] = ()) -> str:
    """Which of the kinds a mapping is of; with it only its own keys and the shared ones may be given. Raises: a
    complaint."""
    given = [name for name in kinds if name in model.model_fields_set]
    if len(given) != 1:
        found = f"got {' and '.join(given)}" if given else "got none of them"
        raise complaint(f"it is exactly one of {', '.join(kinds)}; {found}", "Write a list item for each.")
    fits = {*kinds[given[0]], *shared}
    stray = sorted(model.model_fields_set - fits - {given[0]})
    if stray:
        known = ", ".join(sorted(fits)) or "no other keys"
        raise complaint(f"{', '.join(stray)} does not go with {given[0]}", f"With {given[0]} go: {known}.")
    return given[0]
