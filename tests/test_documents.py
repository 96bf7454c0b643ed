"""What the documents say is so: links lead somewhere, tables name what there is, snippets run."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import l2sim
from l2sim import Scenario
from l2sim.cli import app
from l2sim.part import ROOM_NAMES
from l2sim.results import Run
from l2sim.simulation import experiment

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
    named = set(re.findall(r"(?<![\w/<])(?:scenarios|notebooks|tests|docs|\.ci|l2sim)/(?!\S*<)[\w/.-]*\w", text_of(name)))
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


def snippet(document: str, language: str) -> str:
    """The first block of that language in a document."""
    found = re.search(rf"^( *)```{language}\n(.*?)^ *```", text_of(document), re.MULTILINE | re.DOTALL)
    assert found is not None
    return "".join(line.removeprefix(found[1]) for line in found[2].splitlines(keepends=True))


def test_the_scenario_of_the_readme_loads(tmp_path: Path) -> None:
    file = tmp_path / "outage.yaml"
    file.write_text(snippet("README.md", "yaml"), encoding="utf-8")
    scenario = Scenario.load(file)
    assert set(scenario.agents) == {"longs", "keepers"}
    assert not scenario.without_attacks().attacks


def test_the_python_of_the_readme_uses_what_there_is() -> None:
    """That it runs is for the notebook to show; here: no name in it is invented."""
    tree = ast.parse(snippet("README.md", "python"))
    imported = [alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert set(imported) <= set(l2sim.__all__) | {"experiment"}
    assert callable(experiment)
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert used <= {name for known in (l2sim.Scenario, l2sim.Study, l2sim.Findings, l2sim.Results, Run) for name in dir(known)} | {"path"}


def test_the_commands_of_the_documents_exist() -> None:
    known = {command.name or (command.callback.__name__ if command.callback else "") for command in app.registered_commands}
    for document in DOCUMENTS:
        named = set(re.findall(r"(?:python -m |[`(])l2sim ([a-z]+)", document.read_text(encoding="utf-8")))
        assert named <= known, document.name


def test_the_kind_of_the_guide_is_a_kind(tmp_path: Path) -> None:
    (tmp_path / "longest_first.py").write_text(snippet("CONTRIBUTING.md", "python"), encoding="utf-8")
    program = f"""
import sys
sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]
import numpy as np
import longest_first
from l2sim.ordering import Ordering, Pending
part = Ordering.model_validate({{"kind": "longest_first"}})
print(part.order(Pending(*np.array([[1, 2, 3], [0, 0, 0], [0, 0, 0], [7, 9, 8]])), np.random.Generator(np.random.Philox(1))).tolist())
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "[1, 2, 0]\n"
