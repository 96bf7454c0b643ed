"""What the documents say is so: links lead somewhere, tables name what there is, snippets run."""

import re
import tomllib
from pathlib import Path

import pytest

from l2sim.part import ROOM_NAMES

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "scenarios").glob("*.md"), ROOT / "results" / "README.md"])


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text(encoding="utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "DESIGN.md"])
def test_files_that_are_named_exist(name: str) -> None:
    named = set(re.findall(r"\b(?:scenarios|notebooks|tests|docs|\.ci|l2sim)/[\w/.-]*\w", text_of(name)))
    assert sorted(path for path in named if not (ROOT / path).exists()) == []


def test_the_floors_of_the_documents_are_those_that_are_held() -> None:
    layers = tomllib.loads(text_of("pyproject.toml"))["tool"]["importlinter"]["contracts"][0]["layers"]
    held = {module for layer in layers for module in re.findall(r"\w+", layer)}
    table = text_of("DESIGN.md").split("## The floors")[1].split("## Decisions")[0]
    assert held <= set(re.findall(r"`(\w+)`", table))
    assert held - {"__main__"} <= set(re.findall(r"`(\w+)`", text_of("README.md").split("## What is inside")[1]))


def test_every_room_is_explained() -> None:
    assert set(ROOM_NAMES) == set(re.findall(r"^\| `(\w+)`", text_of("CONTRIBUTING.md"), re.MULTILINE))


def test_decisions_are_numbered() -> None:
    numbers = [int(number) for number in re.findall(r"^\*\*(\d+)\. ", text_of("DESIGN.md"), re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))


def test_make_targets_that_are_named_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", text_of("Makefile"), re.MULTILINE))
    for document in DOCUMENTS:
        named = set(re.findall(r"(?:`|^    )make ([a-z]+)", document.read_text(encoding="utf-8"), re.MULTILINE))
        assert named <= targets, document.name
