"""Schema: what may be written in a study's file, as JSON Schema for editors."""

from typing import Any

from l2sim.scenario.schema import described
from l2sim.study.description import Study

SCENARIO = "scenario.schema.json"
"""The schema of scenario files, which lies beside that of studies."""


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of study files; a scenario that is written out follows the schema of scenario files beside it."""
    page = described(Study, "l2sim study")
    fields = page["properties"]
    fields["scenario"] = {
        "anyOf": [{"type": "string"}, {"$ref": SCENARIO}],
        "description": fields["scenario"]["description"],
    }
    return page
