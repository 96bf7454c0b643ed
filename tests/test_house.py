"""The house rules for every kind there is, without naming one: a new kind is tested by existing."""

import importlib
import inspect
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from ruamel.yaml import YAML

import l2sim
from l2sim.agents import Agent, Waiting
from l2sim.log import Log
from l2sim.metrics import Metric
from l2sim.ordering import Ordering, Pending
from l2sim.part import ROOM_NAMES, ROOMS, InRoom, Part, room, snake_case
from l2sim.world.seat import Seat

ROOT = Path(__file__).resolve().parent.parent
KINDS = [
    pytest.param(found, id=f"{name}.{kind}")
    for name in ROOM_NAMES
    for kind, found in room(name).kinds().items()
    if found.__module__.startswith("l2sim.")
]


def pages() -> list[type[BaseModel]]:
    """Every class of parameters in the package, kinds and the pages inside them."""
    found = {}
    for module in pkgutil.walk_packages(l2sim.__path__, "l2sim."):
        if not module.name.endswith("__main__"):
            for member in vars(importlib.import_module(module.name)).values():
                if inspect.isclass(member) and issubclass(member, BaseModel) and member.__module__ == module.name:
                    found[f"{member.__module__}.{member.__qualname__}"] = member
    return [found[name] for name in sorted(found)]


PAGES = [pytest.param(page, id=page.__qualname__) for page in pages()]


# ---- a kind is a file


@pytest.mark.parametrize("found", KINDS)
def test_a_kind_lives_in_the_file_of_its_name(found: type[Part]) -> None:
    assert found.room is not None
    home = f"{found.room.package}.{found.kind}"
    assert found.__module__ == home or found.__module__.startswith(f"{home}."), f"{found.__qualname__} belongs into {home}"
    assert found.kind == snake_case(found.__name__)


@pytest.mark.parametrize("name", [name for name in ROOM_NAMES if name != "chains"])
def test_a_file_of_a_room_holds_its_kind(name: str) -> None:
    house = room(name)
    kinds = house.kinds()
    home = importlib.import_module(house.package)
    for module in pkgutil.iter_modules(home.__path__):
        assert module.name in kinds, f"{house.package}.{module.name} holds no kind of that name"


# ---- a part is a frozen page of documented parameters


@pytest.mark.parametrize("page", PAGES)
def test_every_page_is_frozen_and_refuses_unknown_keys(page: type[BaseModel]) -> None:
    assert page.model_config.get("frozen") is True
    assert page.model_config.get("extra") == "forbid"


@pytest.mark.parametrize("page", PAGES)
def test_every_page_and_parameter_is_documented(page: type[BaseModel]) -> None:
    assert (page.__dict__.get("__doc__") or "").strip(), f"{page.__qualname__} has no docstring"
    silent = [name for name, field in page.model_fields.items() if not (field.description or "").strip()]
    assert not silent, f"parameters of {page.__qualname__} without a docstring: {silent}"


@pytest.mark.parametrize("found", KINDS)
def test_a_kind_goes_through_yaml_and_comes_back(found: type[Part]) -> None:
    part = example(found)
    text = StringIO()
    YAML(typ="safe").dump(part.model_dump(mode="json", by_alias=True), text)
    plain = YAML(typ="safe").load(text.getvalue())
    assert plain["kind"] == found.kind
    assert found.room is not None
    again = found.room.base.model_validate(plain)
    assert type(again) is found
    assert again == part
    assert again.model_dump(mode="json", by_alias=True) == part.model_dump(mode="json", by_alias=True)


@pytest.mark.parametrize("found", KINDS)
def test_a_misspelt_kind_gets_the_right_spelling(found: type[Part]) -> None:
    assert found.room is not None
    middle = len(found.kind) // 2
    misspelt = found.kind[:middle] + found.kind[middle + 1 :]
    if misspelt in found.room.kinds():
        pytest.skip("the misspelling is a kind too")
    with pytest.raises(ValidationError, match="did you mean") as caught:
        found.room.base.model_validate({"kind": misspelt})
    assert f"'{misspelt}' in {found.room.name}" in str(caught.value)


def test_an_unknown_key_and_a_missing_kind_are_refused() -> None:
    with pytest.raises(ValidationError, match="colour"):
        Ordering.model_validate({"kind": "random", "colour": "red"})
    with pytest.raises(ValidationError, match="a kind is missing"):
        Ordering.model_validate({})
    with pytest.raises(KeyError, match="did you mean 'ordering'"):
        room("orderings")


def test_a_part_cannot_be_changed() -> None:
    part = Ordering.model_validate({"kind": "random"})
    with pytest.raises((ValidationError, TypeError, AttributeError)):
        part.kind = "priority_fee"  # type: ignore[misc]
    agent = example(next(iter(room("agents").kinds().values())))
    with pytest.raises(ValidationError, match="frozen"):
        agent.count = 7  # type: ignore[attr-defined]


# What a required parameter may look like, tried in this order until the class accepts it.
CANDIDATES: tuple[Any, ...] = (
    *("250ms", "3000 USD", "5 bps", "10 /s", "30 gwei", "32 Mgas", "120 kB", "eth", 2, 0.5, True),
    *({}, {"eth": "eth"}, ["250ms", "12s"], ["eth"], [1, 2], [0.5], [["0s", "3000 USD"], ["1h", "2900 USD"]]),
    *({"0s": "3000 USD", "1h": "2900 USD"}, {"first": {"at": "1h"}}),
)


def candidates(field: FieldInfo) -> Iterator[Any]:
    """Values that a field may accept: one of its literals, any of the texts above, a part of its room."""
    if get_origin(field.annotation) is Literal:
        yield from get_args(field.annotation)
    yield from CANDIDATES
    houses = [thing.name for thing in field.metadata if isinstance(thing, InRoom)]
    if inspect.isclass(field.annotation) and issubclass(field.annotation, Part) and field.annotation.room is not None:
        houses.append(field.annotation.room.name)
    for name in houses:
        for found in room(name).kinds().values():
            yield example(found)


def example(found: type[Part]) -> Part:
    """A part of that class: its own example where it gives one, else the first candidate that each required parameter accepts.

    A class whose parameters cannot be guessed names an example itself, ``model_config = {"json_schema_extra": {"examples": […]}}``.
    """
    extra = found.model_config.get("json_schema_extra")
    if isinstance(extra, dict) and isinstance(examples := extra.get("examples"), list):
        return found.model_validate(examples[0])
    required = {field.alias or name: candidates(field) for name, field in found.model_fields.items() if field.is_required()}
    values = {name: next(choice) for name, choice in required.items()}
    try:
        while True:
            try:
                return found.model_validate(values)
            except ValidationError as error:
                wrong = {str(mistake["loc"][0]) for mistake in error.errors() if mistake["loc"]} & required.keys()
                if not wrong:
                    return with_one_more(found, values)
                values |= {name: next(required[name]) for name in sorted(wrong)}
    except StopIteration:
        pytest.fail(f"no example of {found.__qualname__} can be guessed from {values}; give it one in json_schema_extra")


def with_one_more(found: type[Part], values: dict[str, Any]) -> Part:
    """A part of a class that wants one of its optional parameters too."""
    for name, field in found.model_fields.items():
        for value in () if field.is_required() else candidates(field):
            try:
                return found.model_validate({**values, field.alias or name: value})
            except ValidationError:
                continue
    pytest.fail(f"no example of {found.__qualname__} can be guessed from {values}; give it one in json_schema_extra")


# ---- adding a kind edits nothing else


@pytest.fixture
def guests() -> Iterator[None]:
    """Forget the kinds that a test defines."""
    before = {name: dict(room(name).kinds()) for name in ("agents", "metrics", "ordering")}
    yield
    for name, kinds in before.items():
        ROOMS[name]._kinds = kinds


@pytest.mark.usefixtures("guests")
def test_a_class_in_a_notebook_cell_is_a_kind() -> None:
    class LastComeFirstServed(Ordering):
        """The latest arrival goes first."""

        def order(self, pending: Pending, rng: np.random.Generator) -> np.ndarray[Any, np.dtype[np.int64]]:
            return np.lexsort((pending.tie, -pending.arrives))

    class Sleeper(Agent):
        """Somebody who waits for the end."""

        dreams: int = 3
        """How often it wakes."""

        def run(self, me: Seat) -> Waiting:
            yield me.sleep_until(me.ends)

    class Silence(Metric):
        """How many tables the log has not got."""

        def measure(self, log: Log) -> pd.Series:
            return pd.Series({"silence": float(not log.tables)})

    ordering = Ordering.model_validate({"kind": "last_come_first_served"})
    pending = Pending(np.array([1, 3, 2]), np.array([0, 0, 0], np.uint64), np.zeros(3, np.int64), np.zeros(3, np.int64))
    assert ordering.order(pending, np.random.Generator(np.random.Philox(1))).tolist() == [1, 2, 0]
    assert Agent.model_validate({"kind": "sleeper", "dreams": 5, "count": 2}) == Sleeper(dreams=5, count=2)
    assert Metric.model_validate({"kind": "silence"}).measure(Log())["silence"] == 1.0
    assert room("ordering").find("last_come_first_served") is LastComeFirstServed
    with pytest.raises(ValidationError, match="did you mean 'sleeper'"):
        Agent.model_validate({"kind": "sleper"})
    assert Silence.kind == "silence"


GUESTS = '''
"""Kinds from another package."""
import numpy as np
import pandas as pd
from l2sim.agents import Agent
from l2sim.metrics import Metric
from l2sim.ordering import Ordering

class LongestFirst(Ordering):
    """Whoever uses most gas goes first."""
    def order(self, pending, rng):
        return np.argsort(-pending.gas)

class Bystander(Agent):
    """Somebody who looks on."""
    def run(self, me):
        yield me.sleep_until(me.ends)

class Noise(Metric):
    """How many tables the log has."""
    def measure(self, log):
        return pd.Series({"noise": float(len(log.tables))})
'''

ASKED = """
from l2sim.part import room
for name, kind in (("ordering", "longest_first"), ("agents", "bystander"), ("metrics", "noise")):
    found = room(name).find(kind)
    part = room(name).base.model_validate({"kind": kind})
    print(name, kind, type(part).__module__, part.model_dump()["kind"])
"""


def test_another_package_adds_kinds_by_entry_points(tmp_path: Path) -> None:
    (tmp_path / "l2sim_guests.py").write_text(GUESTS, encoding="utf-8")
    card = tmp_path / "l2sim_guests-1.0.dist-info"
    card.mkdir()
    (card / "METADATA").write_text("Metadata-Version: 2.1\nName: l2sim-guests\nVersion: 1.0\n", encoding="utf-8")
    groups = ("ordering = l2sim_guests:LongestFirst", "agents = l2sim_guests:Bystander", "metrics = l2sim_guests:Noise")
    entries = "".join(f"[l2sim.{group.split(' ')[0]}]\nguest = {group.split(' = ')[1]}\n" for group in groups)
    (card / "entry_points.txt").write_text(entries, encoding="utf-8")
    program = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]\n{ASKED}"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split("\n")[:3] == [
        "ordering longest_first l2sim_guests longest_first",
        "agents bystander l2sim_guests bystander",
        "metrics noise l2sim_guests noise",
    ]


# ---- the front door


def test_importing_the_package_costs_nothing() -> None:
    program = (
        "import sys; before = set(sys.modules); import l2sim; print(*sorted({name.split('.')[0] for name in set(sys.modules) - before}))"
    )
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(result.stdout.split())
    assert "l2sim" in loaded
    assert not loaded & {"numpy", "pandas", "matplotlib", "scipy", "numba", "pydantic", "simpy", "networkx", "pyarrow", "joblib"}


@pytest.mark.parametrize("name", l2sim.__all__)
def test_the_front_door_leads_somewhere(name: str) -> None:
    assert name in dir(l2sim)
    assert getattr(l2sim, name) is not None
