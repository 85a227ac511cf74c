"""JSON Schema of test files for editors: as much of what is valid as JSON Schema can say."""

from __future__ import annotations

from typing import Any

from remediator.playbook_tests.acting import DEEDS, SAYINGS, TRIGGERS
from remediator.playbook_tests.expecting import SIBLINGS
from remediator.playbook_tests.model import HAPPENINGS, METRICS, TestFile
from remediator.playbook_tests.placed import PLACED

ONE_OF = {
    "Deed": DEEDS,
    "Expectation": tuple(SIBLINGS),
    "Happening": HAPPENINGS,
    "Metric": tuple(METRICS),
    "Placed": tuple(PLACED),
    "Prepared": SAYINGS,
    "Trigger": tuple(TRIGGERS),
}


def schema_of_tests() -> dict[str, Any]:
    """JSON Schema (2020-12) for one file of playbook tests."""
    schema = TestFile.model_json_schema(by_alias=True)
    for name, kinds in ONE_OF.items():
        schema["$defs"][name]["oneOf"] = [{"required": [kind]} for kind in kinds]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://remediator.dev/schemas/playbook-test-v1.json",
        **schema,
        "title": "remediator playbook tests",
    }
