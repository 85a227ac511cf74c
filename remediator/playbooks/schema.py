"""JSON Schema of playbooks for editors: completion and red lines while typing, also for actions' and checks' arguments.

The loader decides what is valid; the schema says as much of it as JSON Schema can. Everything that loads fits the
schema, but CEL, matchers and names across files are beyond it. Made from the same models, it cannot fall behind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from pydantic import BaseModel, TypeAdapter

from remediator.actions.base import Action
from remediator.objects import KINDS
from remediator.playbooks.durations import format_duration
from remediator.playbooks.meaning import ArgsModels, goes_through_git
from remediator.playbooks.model import PAGE_KEYS, THROUGH_GIT, Playbook

Schema = dict[str, Any]

TEMPLATE: Schema = {"type": "string", "pattern": r"\$\{", "description": "${...} with CEL inside"}
_BRANCHES = ("anyOf", "oneOf", "allOf")
_ISO_DURATION = TypeAdapter(timedelta)


def playbook_schema(
    actions: Mapping[str, Action[Any]], checks: ArgsModels, collectors: ArgsModels | None = None
) -> Schema:
    """JSON Schema (2020-12) for one playbook file."""
    schema = _without_null(_plain(Playbook.model_json_schema(by_alias=True, ref_template="#/$defs/{model}")))
    definitions: Schema = schema["$defs"]
    check_kinds = {name: _arguments(model, f"check.{name}", definitions) for name, model in sorted(checks.items())}
    definitions["Check"] = _one_key("One check: its kind and its arguments.", check_kinds)
    if collectors is not None:
        kinds = {name: _arguments(model, f"collect.{name}", definitions) for name, model in sorted(collectors.items())}
        definitions["Collect"] = _one_key("One piece of evidence: kind and arguments.", kinds)
    else:
        definitions["Collect"] = {"type": "object", "minProperties": 1, "maxProperties": 1}
    schema["properties"]["params"]["additionalProperties"] = False  # the pattern is the only way to write a name
    _targets(schema, definitions)
    _beginnings(schema)
    _steps(definitions["Step"], check_kinds, actions, definitions)
    _rungs(definitions["Escalation"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://remediator.dev/schemas/playbook-v1.json",
        "title": "remediator playbook",
        **schema,
    }


def _targets(schema: Schema, definitions: Schema) -> None:
    """Exactly one of target and targets; their parts may be templates, kinds are known."""
    kind = {"anyOf": [{"enum": sorted(KINDS)}, TEMPLATE]}
    definitions["TargetSpec"]["properties"]["kind"] = kind
    definitions["TargetsSpec"]["properties"]["kind"] = kind
    definitions["FleetSpec"]["properties"]["kind"] = kind
    schema["properties"]["target"] = {"anyOf": [{"const": "from_alert"}, {"$ref": "#/$defs/TargetSpec"}]}
    schema["properties"]["targets"] = {"$ref": "#/$defs/TargetsSpec"}
    schema["oneOf"] = [{"required": ["target"]}, {"required": ["targets"]}]


def _beginnings(schema: Schema) -> None:
    """Something starts it, and what has no steps collects something about a single target."""
    started = [{"required": ["match"]}, {"required": ["schedule"]}]
    schema["anyOf"] = [*started, {"properties": {"manual": {"const": True}}, "required": ["manual"]}]
    report: Schema = {"properties": {"collect": {"minItems": 1}}, "required": ["collect", "target"]}
    no_steps: Schema = {"properties": {"steps": {"maxItems": 0}}}
    schema["if"], schema["then"] = no_steps, report
    schema["dependentSchemas"] = {"schedule": {"properties": {"target": {"type": "object"}}}}


def _steps(step: Schema, checks: Schema, actions: Mapping[str, Action[Any]], definitions: Schema) -> None:
    """Exactly one of the four forms; `with` by the action that is named."""
    properties = step["properties"]
    properties["action"] = {"enum": sorted(actions)}
    properties["verify"] = {"type": "object", "properties": checks, "additionalProperties": False}
    properties["check"] = {"$ref": "#/$defs/Check"}
    step["oneOf"] = [{"required": [form]} for form in ("action", "wait", "check", "ask")]
    step["dependentRequired"] = {
        name: ["action"] for name in ("with", "target", "verify", "repeatable", "revert", "via")
    }
    step["allOf"] = _through_git(actions)
    for name, action in sorted(actions.items()):
        arguments = _arguments(action.params, f"action.{name}", definitions, may_be_empty=False)
        then: Schema = {"properties": {"with": arguments}}
        if _required(arguments, definitions):
            then["required"] = ["with"]
        condition = {"properties": {"action": {"const": name}}, "required": ["action"]}
        step["allOf"].append({"if": condition, "then": then})


def _through_git(actions: Mapping[str, Action[Any]]) -> list[Schema]:
    """What goes through Git is said there, taken back there, and proved after the merge."""
    said = sorted(name for name, action in actions.items() if goes_through_git(action))
    only: Schema = {"properties": {"action": {"enum": said}, "revert": False, "repeatable": {"const": False}}}
    rules: list[Schema] = []
    for ways, then in ((list(THROUGH_GIT), only), (["pr"], {"properties": {"verify": False}})):
        rules.append({"if": {"properties": {"via": {"enum": ways}}, "required": ["via"]}, "then": then})
    return rules


def _rungs(rung: Schema) -> None:
    page: Schema = {"type": "object", "properties": {}, "additionalProperties": False}
    for key, choices in PAGE_KEYS.items():
        page["properties"][key] = {"enum": list(choices)} if choices else {"type": "string"}
    rung["properties"]["page"] = page
    rung["oneOf"] = [{"required": ["playbook"]}, {"required": ["page"]}]


def _one_key(description: str, kinds: Schema) -> Schema:
    return {
        "description": description,
        "type": "object",
        "properties": kinds,
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }


def _arguments(model: type[BaseModel], name: str, definitions: Schema, *, may_be_empty: bool = True) -> Schema:
    """A reference to the arguments' schema, which is put among the definitions with templates allowed in it."""
    schema = _plain(model.model_json_schema(by_alias=True, ref_template=f"#/$defs/{name}.{{model}}"))
    for inner, definition in schema.pop("$defs", {}).items():
        definitions[f"{name}.{inner}"] = _with_templates(definition)
    definitions[name] = _with_templates(schema)
    reference = {"$ref": f"#/$defs/{name}"}
    if may_be_empty and not schema.get("required"):
        return {"anyOf": [reference, {"type": "null"}]}  # `rollout:` without anything behind it
    return reference


def _required(arguments: Schema, definitions: Schema) -> bool:
    return bool(definitions[arguments["$ref"].rpartition("/")[2]].get("required"))


def _with_templates(schema: Schema) -> Schema:
    """The same schema, but wherever a value may stand, `${...}` may stand as well: one that gives a list or a mapping
    keeps it."""
    if "properties" in schema:
        found = _mapped(schema, _with_templates)
        return {**found, "properties": {key: _or_template(inner) for key, inner in found["properties"].items()}}
    if "items" in schema or any(branch in schema for branch in _BRANCHES):
        return _mapped(schema, _with_templates)
    if schema.get("type") in ("object", "array", "null") or "$ref" in schema or not schema:
        return _mapped(schema, _with_templates)
    if schema.keys() - {"description", "default"} <= {"type", "minLength"} and schema.get("type") == "string":
        return schema  # any text fits already
    notes: Schema = {key: schema[key] for key in ("description", "default") if key in schema}
    return {"anyOf": [{key: value for key, value in schema.items() if key not in notes}, TEMPLATE], **notes}


def _or_template(schema: Schema) -> Schema:
    if schema.get("type") not in ("array", "object"):
        return schema
    notes: Schema = {key: schema[key] for key in ("description", "default") if key in schema}
    return {"anyOf": [{key: value for key, value in schema.items() if key not in notes}, TEMPLATE], **notes}


def _plain(schema: Schema) -> Schema:
    """Without the titles that pydantic derives from names, with durations as playbooks write them."""
    found = {key: value for key, value in schema.items() if not (key == "title" and isinstance(value, str))}
    default = found.get("default")
    if isinstance(default, dict):
        del found["default"]  # the parts say their own defaults
    elif isinstance(default, str) and default.startswith("P") and default[1:2] in tuple("T0123456789"):
        found["default"] = format_duration(_ISO_DURATION.validate_python(default))
    if "$defs" in found:
        found["$defs"] = {name: _plain(value) for name, value in found["$defs"].items()}
    return _mapped(found, _plain)


def _without_null(schema: Schema) -> Schema:
    """The models take None for "not given"; in a file an empty key is refused: nobody can tell what was meant."""
    found = {key: value for key, value in schema.items() if not (key == "default" and value is None)}
    if "anyOf" in found:
        branches = [branch for branch in found.pop("anyOf") if branch != {"type": "null"}]
        found = {**found, **branches[0]} if len(branches) == 1 else {**found, "anyOf": branches}
    if "$defs" in found:
        found["$defs"] = {name: _without_null(value) for name, value in found["$defs"].items()}
    return _mapped(found, _without_null)


def _mapped(schema: Schema, change: Callable[[Schema], Schema]) -> Schema:
    """`change` applied to the schemas directly inside one."""
    found = dict(schema)
    for key in ("properties", "patternProperties"):
        if key in found:
            found[key] = {name: change(value) for name, value in found[key].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(found.get(key), dict):
            found[key] = change(found[key])
    for key in _BRANCHES:
        if key in found:
            found[key] = [change(value) for value in found[key]]
    return found
