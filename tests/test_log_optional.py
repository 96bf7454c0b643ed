"""Optional facts: written for the metrics that need them, and no part of what a digest identifies."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import NamedTuple

import pandas as pd
import pytest
from validation import SCENARIOS
from worlds import lived

from l2sim import events
from l2sim.agents import Agent, Waiting
from l2sim.events import BlockSealed, TransactionIncluded, TransactionServed
from l2sim.log import Log, Table
from l2sim.metrics import Metric
from l2sim.part import ROOMS, room
from l2sim.results.tables import pack, read_log
from l2sim.scenario import Scenario
from l2sim.world.seat import Seat

QUEUE = Scenario.load(SCENARIOS / "queue.yaml", ("duration=20 s", "agents.traders.gas_used={kind: exponential, mean: 1 Mgas}"))
TOPICS = [import_module(f"{events.__name__}.{topic.name}") for topic in iter_modules(events.__path__)]
OPTIONAL = {name for module in (events, *TOPICS) for name, fact in vars(module).items() if getattr(fact, "optional", None) is True}


def test_an_optional_fact_is_there_for_the_metric_that_needs_it_and_nobody_else() -> None:
    asked = lived(QUEUE)
    others = lived(QUEUE.without("metrics.queue"))
    assert len(asked.tables["TransactionServed"]) > 1000
    assert "TransactionServed" not in others.tables
    assert asked.lengths() == others.lengths() | {"TransactionServed": len(asked.tables["TransactionServed"])}
    assert asked.digest == others.digest
    assert asked.digest_of_everything == others.digest_of_everything


def test_a_digest_leaves_optional_facts_out_and_nothing_else() -> None:
    log = Log()
    log.record(1, BlockSealed("arb", 1, 0, 0, 0, 0, 0, 0))
    before = log.digest
    log.record(1, TransactionServed("arb", 0, 1, 2, 3, 4))
    assert log.digest == before
    log.record(2, BlockSealed("arb", 2, 0, 0, 0, 0, 0, 0))
    assert log.digest != before


def test_what_is_said_of_a_fact_is_no_field_of_it() -> None:
    assert "TransactionServed" in OPTIONAL
    assert TransactionServed._fields == ("chain", "submitted", "sender", "arrives", "begins", "ends")
    assert Table(TransactionServed, Log().names).optional
    assert not Table(TransactionIncluded, Log().names).optional


@pytest.mark.parametrize("metric", [kind for kind in room("metrics").kinds().values() if kind.__module__.startswith("l2sim.")])
def test_what_a_metric_needs_exists_and_is_optional(metric: type[Metric]) -> None:
    assert set(metric.needs) <= OPTIONAL


def test_a_stored_optional_fact_stays_optional(tmp_path: Path) -> None:
    class Whispered(NamedTuple):
        """A fact of another package."""

        optional = True  # type: ignore[misc]

        whisper: str

    log = lived(QUEUE)
    log.record(7, Whispered("hush"))
    for name, content in pack(log).items():
        (tmp_path / name).write_bytes(content)
    stored = read_log(tmp_path)
    assert stored.frame("TransactionServed").equals(log.frame("TransactionServed"))
    assert stored.frame("Whispered")["whisper"].tolist() == ["hush"]
    assert stored.tables["Whispered"].optional
    assert stored.digest == log.digest


class Thought(NamedTuple):
    """Something that somebody thought."""

    optional = True  # type: ignore[misc]

    thought: str


@pytest.fixture
def guests() -> Iterator[None]:
    """Forget the kinds that a test defines."""
    before = {name: dict(room(name).kinds()) for name in ("agents", "metrics")}
    yield
    for name, kinds in before.items():
        ROOMS[name]._kinds = kinds


@pytest.mark.usefixtures("guests")
def test_agents_may_announce_optional_facts_of_their_own() -> None:
    class Thinker(Agent):
        """Somebody who thinks aloud."""

        def run(self, me: Seat) -> Waiting:
            yield me.sleep(1)
            me.announce(Thought("hm"))

    class Minds(Metric):
        """How many thoughts there were."""

        needs = ("Thought",)

        def measure(self, log: Log) -> "pd.Series[float]":
            return pd.Series({"thoughts": float(len(log.select(Thought, "time")[0]))})

    curious = QUEUE.vary({"agents.somebody": {"kind": "thinker"}, "metrics.minds": {"kind": "minds"}})
    log = lived(curious)
    assert curious.metrics["minds"].measure(log)["thoughts"] == 1.0
    deaf = lived(curious.without("metrics.minds"))
    assert "Thought" not in deaf.tables
    assert log.digest == deaf.digest
