"""Every example in the documents does what it says: commands and Python are run in order, in an empty folder, files are written there.

Blocks of ``sh`` are typed in, of ``python`` executed, of ``yaml`` and of anything that begins with ``# name.ending`` written to that
file. Replications are few, jobs one, and the shipped scenarios shrunk, so that it is quick; what needs a cluster is only looked up.
"""

import re
import shlex
import sys
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import NamedTuple

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from l2sim.cli import app
from l2sim.part import ROOMS, room
from l2sim.scenario import Scenario
from l2sim.study import Study

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*(ROOT / "docs").glob("*.md"), ROOT / "README.md"])
NEEDS = {
    "how_to_write_an_agent.md": ["tutorial.md"],
    "how_to_run_a_study.md": ["tutorial.md"],
    "how_to_run_on_a_cluster.md": ["tutorial.md", "how_to_run_a_study.md"],
}
"""Documents whose files another begins with."""
SMALL = """\
extends: {0}
duration: 2h30min
prices: {{eth: {{step: 10s, shocks: {{crash: {{at: 5min}}}}}}}}
chains: {{arb: {{preset: op_mainnet, sequencer: {{block_time: 30s}}}}}}
agents:
  leveraged: {{size: 50, attention: 30s}}
  traders: {{size: 20, rate: 0.02 /s}}
  maker: {{attention: 1min}}
  reporter: {{observe: 10s}}
attacks: {{outage: {{begins: 10min}}}}
metrics: {{finality: {{cool_down: 5min}}, finality_in_outage: {{warm_up: 10min, cool_down: 5min}}}}
"""
"""What a shipped scenario is replaced with."""
LESS = {
    r"\b(size|agents\.longs\.size): \d{3}\b": r"\1: 40",
    r"duration: 30min": "duration: 20min",
    r"step: 1s": "step: 5s",
    r"kind: market_maker,": "kind: market_maker, attention: 10s,",
    r"replications: \d+": "replications: 2",
    r"\{preset: op_mainnet\}": "{preset: op_mainnet, sequencer: {block_time: 10s}}",
    r"least: 4, most: 8, step: 4": "least: 2, most: 4, step: 2",
}
"""What is written otherwise in the files of examples, which have been loaded as they are."""


class Block(NamedTuple):
    """An example."""

    language: str
    text: str
    line: int

    @property
    def file(self) -> str | None:
        """The file that it is to be saved as."""
        named = re.match(r"# ([\w/]+\.\w+)\n", self.text)
        return named[1] if named else None


def blocks(document: Path) -> list[Block]:
    """All fenced examples, and commands that are only indented."""
    text = document.read_text("utf-8")
    found = [
        Block(
            match[2] or "",
            "".join(line.removeprefix(match[1]) for line in match[3].splitlines(keepends=True)),
            text[: match.start()].count("\n") + 1,
        )
        for match in re.finditer(r"^( *)```(\w*)\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    ]
    indented = re.finditer(r"(?:^    \.venv/bin/python -m l2sim .*\n)+", text, re.MULTILINE)
    found += [Block("sh", match[0], text[: match.start()].count("\n") + 1) for match in indented]
    return sorted(found, key=lambda block: block.line)


def commands(block: Block) -> Iterator[list[str]]:
    """The words of each command line, without comments."""
    for line in block.text.replace("\\\n", " ").splitlines():
        words = shlex.split(re.sub(r"(^|\s)#.*", "", line.strip().removeprefix(".venv/bin/python -m ")))
        if words:
            yield words


def small(words: list[str]) -> list[str]:
    """The same with two replications at most and one process, places in capitals filled in with the newest of them."""
    words = list(words)
    for option, most in (("--replications", 2), ("--jobs", 1)):
        if option in words:
            at = words.index(option) + 1
            words[at] = str(min(int(words[at]), most))
    if words[0] in ("run", "sweep") and "--jobs" not in words:
        words += ["--jobs", "1"]
    if words[0] == "run" and "--replications" not in words:
        words += ["--replications", "2"]
    return [filled(word) for word in words]


def filled(word: str) -> str:
    """``results/outage/RUN#0`` with the folder of the newest run of that name, ``STUDY`` with that of a study."""
    place = re.match(r"(results/\w+/)(RUN|STUDY)\b", word.replace("SCENARIO", "sequencer_outage"))
    if not place:
        return word
    kept = [folder.parent for folder in Path(place[1]).glob("*/manifest.json")]
    kept = [folder for folder in kept if (folder / "study.yaml").exists() == (place[2] == "STUDY")]
    newest = max(kept, key=lambda folder: (folder / "manifest.json").stat().st_mtime_ns)
    return f"{newest.as_posix()}{word[re.search(place[2], word).end() :]}"  # type: ignore[union-attr]


def typed(words: list[str], where: str) -> None:
    """A command is carried out and exits with 0; reports take longer than all the rest, so only ``report`` writes one."""
    assert words[0] == "l2sim", f"{where}: only commands of l2sim can be run here, not {words[0]}"
    with pytest.MonkeyPatch.context() as patch:
        if words[1] != "report":
            patch.setattr("l2sim.report.write_report", lambda place, pdf=False: getattr(place, "path", place))
        result = CliRunner().invoke(app, small(words[1:]))
    assert result.exit_code == 0, f"{where}: {shlex.join(words)}\n{result.output}{result.exception!r}"


def written(block: Block) -> None:
    """What is to be saved is there; scenarios and studies among it load."""
    assert block.file
    file = Path(block.file)
    file.write_text(block.text, "utf-8")
    if block.language == "yaml":
        content = YAML(typ="safe").load(block.text)
        if "duration" in content:
            Scenario.load(file)
        elif "scenario" in content:
            Study.load(file).check()
        file.write_text(reduce(lambda text, less: re.sub(*less, text), LESS.items(), block.text), "utf-8")


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder with small versions of what is shipped; kinds that an example defines are forgotten afterwards."""
    (tmp_path / "scenarios").mkdir()
    for name in ("sequencer_outage",):
        (tmp_path / "scenarios" / f"{name}.yaml").write_text(SMALL.format(ROOT / "scenarios" / f"{name}.yaml"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    before = dict(room("agents").kinds())
    yield tmp_path
    ROOMS["agents"]._kinds = before
    for block in (block for document in DOCUMENTS for block in blocks(document) if block.language == "python" and block.file):
        sys.modules.pop(Path(block.file or "").stem, None)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.stem)
def test_the_examples_of(document: Path, empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for earlier in NEEDS.get(document.name, ()):
        for block in blocks(ROOT / "docs" / earlier):
            if block.file:
                written(block)
    names: dict[str, object] = {"__name__": "__main__"}
    for block in blocks(document):
        where = f"{document.name}, line {block.line}"
        if block.file:
            written(block)
        elif block.language == "sh":
            for words in commands(block):
                if "--cluster" not in words:
                    typed([word.replace("$SLURM_ARRAY_TASK_ID", "3") for word in words], where)
        elif block.language == "python":
            code = re.sub(r"jobs=\d+", "jobs=1", re.sub(r"replications=\d+", "replications=2", block.text))
            exec(compile(code, where, "exec"), names)
        elif block.language == "yaml":
            (empty / "example.yaml").write_text(block.text, "utf-8")
            Scenario.load(empty / "example.yaml")
    assert "Traceback" not in capsys.readouterr().err


def test_options_that_are_not_run_exist() -> None:
    """Also those of commands that need a cluster."""
    for document in DOCUMENTS:
        for block in blocks(document):
            for words in commands(block) if block.language == "sh" else ():
                shown = CliRunner().invoke(app, [words[1], "--help"], env={"COLUMNS": "200"})
                assert shown.exit_code == 0, f"{document.name}: {shlex.join(words)}"
                for word in words:
                    assert not word.startswith("--") or word in shown.stdout, f"{document.name}: {shlex.join(words)}"


@pytest.mark.parametrize("name", ["explanation", "explanation_chains"])
def test_tests_that_the_explanation_names_exist(name: str) -> None:
    text = (ROOT / "docs" / f"{name}.md").read_text("utf-8")
    for paragraph in text.split("\n\n"):
        files = re.findall(r"`tests/(test_\w+\.py)`", paragraph)
        there = "".join((ROOT / "tests" / file).read_text("utf-8") for file in files)
        for test in re.findall(r"`(test_\w+)`", paragraph):
            assert f"def {test}(" in there, f"{test} is in none of {files}"
    assert len(re.findall(r"`test_\w+`", text)) > 20


def test_what_is_searched_can_be_found() -> None:
    found = [block for document in DOCUMENTS for block in blocks(document)]
    assert {"sh", "python", "yaml"} <= {block.language for block in found}
    assert sum(1 for block in found if block.language == "sh") > 15
    words = [words for block in found if block.language == "sh" for words in commands(block)]
    assert {"run", "sweep", "compare", "replay", "report", "check"} <= {command[1] for command in words}
