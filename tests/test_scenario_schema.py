"""The JSON Schema for editors, and the pages about kinds."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from l2sim import presets
from l2sim.part import ROOM_NAMES, room
from l2sim.scenario import Scenario
from l2sim.scenario.schema import parameters, schema, summary
from l2sim.study.schema import schema as of_studies

FILE = Path(__file__).parent.parent / "docs" / "scenario.schema.json"


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    return schema()


def mappings(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    for inner in value if isinstance(value, list) else ():
        yield from mappings(inner)


def test_the_committed_schema_is_that_of_the_code() -> None:
    done = subprocess.run([sys.executable, "-m", "l2sim", "schema"], capture_output=True, text=True, check=True, encoding="utf-8")
    fresh = done.stdout
    assert json.loads(FILE.read_text("utf-8")) == json.loads(fresh), "run: python -m l2sim schema > docs/scenario.schema.json"
    assert FILE.read_text("utf-8") == fresh


def test_every_section_is_there_with_its_help(page: dict[str, Any]) -> None:
    assert set(page["properties"]) == {*Scenario.model_fields, "extends"}
    assert page["additionalProperties"] is False
    for name, field in Scenario.model_fields.items():
        assert page["properties"][name]["description"] == field.description


def test_every_kind_of_every_room_that_files_can_name_is_there(page: dict[str, Any]) -> None:
    pages = (page, of_studies())
    kinds = {
        (inner["properties"]["kind"]["const"], inner["description"])
        for inner in (inner for each in pages for inner in mappings(each))
        if "kind" in inner.get("properties", {})
    }
    for name in ROOM_NAMES:
        for kind, part in room(name).kinds().items():
            if part.__module__.startswith("l2sim."):
                assert any(known == kind and summary(part) in " ".join(text.split()) for known, text in kinds), f"{name}.{kind}"


def test_overlays_are_not_flagged(page: dict[str, Any]) -> None:
    for inner in mappings(page):
        assert "oneOf" not in inner
        if "required" in inner and isinstance(inner["required"], list):
            assert inner["required"] == ["preset"]


def test_references_lead_somewhere(page: dict[str, Any]) -> None:
    for inner in mappings(page):
        if isinstance(inner.get("$ref"), str):
            assert inner["$ref"].removeprefix("#/$defs/") in page["$defs"]


def test_a_chain_may_be_a_preset(page: dict[str, Any]) -> None:
    first = page["properties"]["chains"]["additionalProperties"]["anyOf"][0]
    assert first["properties"]["preset"]["enum"] == presets.names()


def test_defaults_are_written_with_units(page: dict[str, Any]) -> None:
    assert page["$defs"]["Outside"]["properties"]["depth"]["default"] == "40 MUSD"
    assert page["$defs"]["L1"]["properties"]["slot"]["default"] == "12 s"


def test_parameters_of_a_kind() -> None:
    found = {one.name: one for one in parameters(room("chains").kinds()["l1"])}
    assert (found["slot"].default, found["slot"].text) == ("12 s", "Time between slots.")
    assert found["base_fee"].default == ""
    assert {one.name: one.default for one in parameters(room("chains").kinds()["rollup"])}["backlog_limit"] == "none"
