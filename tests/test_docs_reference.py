"""The reference in the documents is what the code says, every room, kind and parameter of it."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from l2sim.cli import app
from l2sim.cli.reference import pages
from l2sim.part import ROOM_NAMES, room
from l2sim.scenario.schema import parameters

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "reference"


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return pages()


def test_the_committed_pages_are_those_of_the_code(made: dict[str, str]) -> None:
    assert sorted(made) == sorted(path.name for path in FOLDER.iterdir())
    for name, text in made.items():
        assert (FOLDER / name).read_text("utf-8") == text, f"{name}: run: python -m l2sim reference"


@pytest.mark.parametrize("name", ROOM_NAMES)
def test_every_kind_and_parameter_has_its_row(name: str, made: dict[str, str]) -> None:
    parts = re.split(r"^## (.*)\n", made[f"{name}.md"], flags=re.MULTILINE)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    for kind, part in room(name).kinds().items():
        if part.__module__.startswith("l2sim."):
            rows = re.findall(r"^\| `([^`]+)` \|", sections[kind], re.MULTILINE)
            assert rows == [one.name for one in parameters(part)]


def test_types_are_in_words(made: dict[str, str]) -> None:
    assert "| `reaction` | duration, as `250ms`, 0 or more | `0 s` |" in made["agents.md"]
    assert "| `depth` | amount of money, as `3000 USD`, more than 0 | `40 MUSD` |" in made["chains.md"]
    assert "| `market` | name in `markets` | required |" in made["agents.md"]
    assert "[distributions](distributions.md)" in made["agents.md"]
    rows = re.findall(r"^\| `.*$", "".join(made.values()), re.MULTILINE)
    assert [row for row in rows if re.search(r"<class|typing\.|Annotated", row)] == []


def test_places_on_the_pages_exist(made: dict[str, str]) -> None:
    for name, text in made.items():
        heads = {head.lower().replace(" ", "-") for head in re.findall(r"^##? (.*)$", text, re.MULTILINE)}
        assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= heads, name


def test_the_command_writes_them(made: dict[str, str], tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["reference", str(tmp_path / "new")])
    assert result.exit_code == 0
    assert sorted(result.stdout.split()) == sorted(str(tmp_path / "new" / name) for name in made)
    assert {path.name: path.read_text("utf-8") for path in (tmp_path / "new").iterdir()} == made
