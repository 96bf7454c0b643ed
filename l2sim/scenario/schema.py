"""Schema: what may be written in a scenario, as JSON Schema for editors and as pages for people."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from l2sim import presets
from l2sim.part import Part, Room
from l2sim.scenario import Scenario


class _Schema(GenerateJsonSchema):
    """A field for a room's noun accepts any of the room's kinds; nothing is required, because files may lie over a preset."""

    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        part = schema["cls"]
        room = getattr(part, "room", None)
        if room is not None and part is room.base:
            kinds = [self.generate_inner(_definition(kind)) for kind in room.kinds().values()]
            short = [{"type": ["string", "number"]}] if part._shorthand("1") is not None else []
            return {"anyOf": [*kinds, *short]}
        page = super().model_schema(schema)
        page.pop("required", None)
        page.pop("title", None)
        fields = page.get("properties", {})
        for name, field in part.model_fields.items():
            shown = fields[field.alias or name]
            shown.pop("title", None)
            if "default" in shown:
                shown["default"] = default(part, name)
        if getattr(part, "kind", ""):
            page["properties"] = {"kind": {"const": part.kind}, **fields}
        return page


def _definition(part: type[Part]) -> CoreSchema:
    return part.__pydantic_core_schema__


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of scenario files; the docstrings of fields are the texts that an editor shows."""
    page = described(Scenario, "l2sim scenario")
    fields = page["properties"]
    fields["extends"] = {"type": "string", "description": "Path of a scenario file that this one is laid over."}
    chains = fields["chains"]
    chains["additionalProperties"] = {
        "anyOf": [
            {
                "type": "object",
                "properties": {"preset": {"enum": presets.names(), "description": "The preset that this chain is laid over."}},
                "required": ["preset"],
            },
            chains["additionalProperties"],
        ]
    }
    return page


def described(part: type[Part], title: str) -> dict[str, Any]:
    """JSON Schema of files that hold such a part."""
    page = part.model_json_schema(by_alias=True, schema_generator=_Schema, mode="validation")
    page.pop("title", None)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, **page}


class Parameter(NamedTuple):
    """A field of a part as a person reads about it."""

    name: str
    default: str
    """The default as it would be written, or nothing where a value must be given."""
    text: str


def parameters(part: type[Part]) -> Iterator[Parameter]:
    """The fields of a kind, in the order of its file."""
    for name, field in part.model_fields.items():
        written = "" if field.is_required() else _short(default(part, name))
        yield Parameter(field.alias or name, written, field.description or "")


def default(part: type[Part], name: str) -> Any:
    """The default of a field as plain data, units as text."""
    blank = part.model_construct()
    return blank.model_dump(mode="json", include={name}, warnings=False)[name]


def _short(value: Any) -> str:
    """Plain data on one line, as YAML would take it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_short(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_short(inner) for inner in value) + "]"
    if value is None or isinstance(value, bool):
        return "none" if value is None else str(value).lower()
    return str(value) if value != "" else "''"


def summary(thing: Room | type[Part]) -> str:
    """The first sentence about a room or a kind."""
    doc = (thing.base if isinstance(thing, Room) else thing).__doc__ or ""
    return " ".join(doc.split("\n\n")[0].split())
