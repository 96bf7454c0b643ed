"""The house rules for every file there is: short, well named, no state, no luck and no clock but the run's, on its floor."""

import ast
import importlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from l2sim.part import ROOM_NAMES, room

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted((ROOT / "l2sim").rglob("*.py"))
ALL_FILES = FILES + sorted(file for folder in ("tests", "benchmarks") for file in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("file", ALL_FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_file_is_short_and_has_a_name_of_the_field(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 400
    assert not {"utils", "util", "helpers", "helper", "manager", "base", "common", "misc"} & set(
        file.relative_to(ROOT).with_suffix("").parts
    )


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_nothing_is_left_to_be_done(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert not [word for word in ("TODO", "FIXME", "XXX", "NotImplementedError") if word in text]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_module_keeps_state(file: Path) -> None:
    assert not list(module_state(ast.parse(file.read_text(encoding="utf-8"))))


CONTAINERS = {"list", "dict", "set", "bytearray", "deque", "defaultdict", "Counter", "OrderedDict", "count", "cycle", "iter", "default_rng"}
MUTATORS = {"append", "extend", "insert", "add", "update", "setdefault", "pop", "popitem", "clear", "remove", "discard", "sort"}
REGISTRIES = {"ROOMS"}  # rooms by name: the one thing that importing a module changes


def module_state(tree: ast.Module) -> Iterator[str]:
    """Module-level containers that are not constants, constants that a function changes, and ``global``."""
    constants = set(REGISTRIES)
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = {target.id for target in targets if isinstance(target, ast.Name)} - {"__all__"}
            constants |= names
            value = node.value
            counter = isinstance(value, ast.Call) and called(value) in {"count", "cycle", "iter", "default_rng"}
            mutable = isinstance(value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp)
            if counter or mutable or (isinstance(value, ast.Call) and called(value) in CONTAINERS):
                yield from (f"line {node.lineno}: {name}" for name in names if counter or name != name.upper())
    constants -= REGISTRIES
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            yield f"line {node.lineno}: global"
        changed: ast.expr | None = None
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS:
            changed = node.func.value
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            changed = node.value
        if isinstance(changed, ast.Name) and changed.id in constants:
            yield f"line {changed.lineno}: {changed.id} is changed"


def called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else call.func.id if isinstance(call.func, ast.Name) else ""


# Only these know what time it is on the wall: they show progress and note when a run was made.
CLOCKED = {"__main__", "cli", "simulation", "results", "engine", "study"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_chance_and_time_come_from_the_run_alone(file: Path) -> None:
    clocked = file.relative_to(ROOT / "l2sim").with_suffix("").parts[0] in CLOCKED
    assert not list(outside_luck(ast.parse(file.read_text(encoding="utf-8")), clocked))


def outside_luck(tree: ast.Module, clocked: bool) -> Iterator[str]:
    """Imports and calls that bring in the wall clock or unseeded chance."""
    forbidden = {"random", "secrets", "uuid"} | (set() if clocked else {"time"})
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        yield from (f"line {node.lineno}: import {name}" for name in names if name.split(".")[0] in forbidden)
        if isinstance(node, ast.Attribute):
            dotted = ast.unparse(node)
            if dotted.startswith(("np.random.", "numpy.random.")) and node.attr not in {
                "Generator",
                "Philox",
                "SeedSequence",
                "BitGenerator",
            }:
                yield f"line {node.lineno}: {dotted}"
            if not clocked and node.attr in {"now", "today", "utcnow"} and "date" in dotted:
                yield f"line {node.lineno}: {dotted}"
            if dotted == "os.urandom":
                yield f"line {node.lineno}: {dotted}"


@pytest.mark.parametrize(
    "text",
    [
        "seen = []",
        "seen: dict[str, int] = {}",
        "TICKETS = itertools.count()",
        "SEEN = {}\ndef note(name):\n    SEEN[name] = 1",
        "SEEN = set()\ndef note(name):\n    SEEN.add(name)",
        "last = 0\ndef note(n):\n    global last\n    last = n",
    ],
)
def test_the_rule_on_state_can_fail(text: str) -> None:
    assert list(module_state(ast.parse(text)))


@pytest.mark.parametrize(
    "text",
    [
        "import random",
        "from time import time",
        "np.random.rand(3)",
        "rng = np.random.default_rng()",
        "start = datetime.now()",
        "os.urandom(8)",
    ],
)
def test_the_rule_on_chance_and_time_can_fail(text: str) -> None:
    assert list(outside_luck(ast.parse(text), clocked=False))


@pytest.mark.parametrize("name", ROOM_NAMES)
def test_a_charter_is_short(name: str) -> None:
    """A page of code at most; what is said in docstrings does not count."""
    charter = Path(importlib.import_module(room(name).package).__file__ or "")
    assert lines_of_code(charter) < 80


def lines_of_code(file: Path) -> int:
    text = file.read_text(encoding="utf-8")
    silent: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            silent.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = enumerate(text.splitlines(), 1)
    return sum(1 for number, line in lines if number not in silent and line.strip() and not line.strip().startswith("#"))


# ---- floors


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    command = "from importlinter.cli import lint_imports_command as check; check(['--no-cache'])"
    return subprocess.run([sys.executable, "-c", command], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("room_name", ["agents", "attacks", "settlement"])
def test_of_the_world_will_knows_its_seat_only(room_name: str) -> None:
    """The contract in pyproject.toml lists the files of the world; this holds for those to come."""
    for file in sorted((ROOT / "l2sim" / room_name).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("l2sim.world"):
                assert node.module == "l2sim.world.seat", f"{file.name}, line {node.lineno}"


def test_the_floors_hold() -> None:
    pytest.importorskip("importlinter")
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout


def test_the_floors_can_fail(tmp_path: Path) -> None:
    pytest.importorskip("importlinter")
    shutil.copytree(ROOT / "l2sim", tmp_path / "l2sim", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "l2sim" / "ordering" / "clockwise.py").write_text("import simpy\nfrom l2sim.log import Log\n", encoding="utf-8")
    (tmp_path / "l2sim" / "homeless.py").write_text("", encoding="utf-8")
    result = lint_imports(tmp_path)
    assert result.returncode != 0
    assert "l2sim.ordering.clockwise -> l2sim.log" in result.stdout
    assert "l2sim.ordering.clockwise -> simpy" in result.stdout
    assert "homeless" in result.stdout
