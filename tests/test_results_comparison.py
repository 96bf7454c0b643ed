"""Two runs beside each other, and runs with damaged files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worlds import small

from l2sim.results import Measured, Results, Run, RunNotFound
from l2sim.results.comparison import ABSENT, Comparison, compare
from l2sim.scenario import Scenario
from l2sim.simulation import simulate
from l2sim.statistics.difference import paired, welch

DEBT = "debt.bad_debt"
N = 12


@pytest.fixture(scope="module")
def base() -> Scenario:
    return small()


def made(scenario: Scenario, seed: int = 1, n: int = N, *, above: float = 0.0, **more: float) -> Run:
    """A run of made-up figures: luck that depends on seed and replication, and something above it."""
    worlds = {}
    for world, lift in (("as_written", above), ("without_attacks", 0.0)):
        measured = {}
        for number in range(n):
            rng = np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, number))))
            figures = {DEBT: 100.0 + lift + 30.0 * rng.standard_normal() + 0.1 * rng.random(), "delay.mean": np.nan, **more}
            measured[number] = Measured(Path(f"nowhere/{number}"), f"{number:064x}", figures)
        worlds[world] = Results(scenario, seed, measured)
    return Run(Path(f"results/small/{seed}-{above:g}"), scenario, seed, worlds, {})


def row(found: Comparison, world: str = "as_written", figure: str = DEBT) -> dict[str, Any]:
    table = found.table
    ((_, answer),) = table[(table["world"] == world) & (table["figure"] == figure)].iterrows()
    return dict(answer)


def test_the_same_luck_is_paired(base: Scenario) -> None:
    one, other = made(base, above=5.0), made(base)
    found = compare(one, other)
    assert found.paired
    here, there = (run.worlds["as_written"].summary[DEBT].to_numpy() for run in (one, other))
    assert [row(found)[end] for end in ("mean", "low", "high", "n")] == pytest.approx(list(paired(here, there)))
    assert row(found)["mean"] == pytest.approx(5.0)
    assert row(found)["one"] - row(found)["other"] == pytest.approx(5.0)
    assert (row(found)["unit"], row(found)["one_n"]) == ("USD", N)
    assert row(found, "without_attacks")["mean"] == 0.0
    assert "12 replications" in found.findings[0]
    assert "bad debt by +5" in found.findings[2]
    assert found.labels == {DEBT: "bad debt"}
    assert found.path == Path("results/small/1-5-and-1-0")
    assert found.intervals == 2


def test_replications_that_both_have_are_pairs(base: Scenario) -> None:
    found = compare(made(base, above=5.0, n=20), made(base))
    assert (row(found)["n"], row(found)["one_n"], row(found)["other_n"]) == (N, 20, N)
    assert row(found)["mean"] == pytest.approx(5.0)


def test_other_luck_is_welch(base: Scenario) -> None:
    one, other = made(base, above=5.0), made(base, seed=2)
    found = compare(one, other)
    assert not found.paired
    here, there = (run.worlds["as_written"].summary[DEBT].to_numpy() for run in (one, other))
    assert [row(found)[end] for end in ("mean", "low", "high", "n")] == pytest.approx(list(welch(here, there)))
    assert row(found)["high"] - row(found)["low"] > 20.0
    assert "Seeds differ (1 and 2)" in found.findings[0]
    assert found.differences.to_dict("records") == [{"setting": "seed", "one": "1", "other": "2"}]


def test_figures_of_one_alone_are_named(base: Scenario) -> None:
    found = compare(made(base, **{"profit.sum": 1.0}), made(base, **{"cascade.notional": 2.0}))
    assert found.alone == {"one": ["profit.sum"], "other": ["cascade.notional"]}
    assert set(found.table["figure"]) == {DEBT}


def test_settings_that_differ_are_named_by_path(base: Scenario) -> None:
    changes = {
        "agents.keepers.count": 1,
        "attacks.outage.lasts": "1min",
        "chains.arb.ordering": {"kind": "priority_fee"},
        "title": "Another",
    }
    found = compare(made(base), made(base.vary(changes).without("agents.arbitrageur")))
    differ = found.differences.set_index("setting")
    assert tuple(differ.loc["agents.keepers.count"]) == ("3", "1")
    assert tuple(differ.loc["attacks.outage.lasts"]) == ("3 min", "1 min")
    assert tuple(differ.loc["chains.arb.ordering.kind"]) == ("first_come_first_served", "priority_fee")
    assert tuple(differ.loc["agents.arbitrageur"]) == ("arbitrageur", ABSENT)
    assert not any(name.startswith(("title", "agents.arbitrageur.")) for name in differ.index)
    assert len(differ) == 4
    assert "4 settings differ: " in found.findings[1]
    assert "No setting differs" in compare(made(base), made(base)).findings[1]


def test_results_can_be_compared(base: Scenario) -> None:
    found = compare(made(base, above=5.0).worlds["as_written"], made(base).worlds["without_attacks"])
    assert found.worlds == ["as_written"]
    assert row(found)["mean"] == pytest.approx(5.0)


# ---- damaged files


@pytest.mark.parametrize("keep", [0, 100, -8])
def test_a_truncated_table_is_named_with_a_remedy(tmp_path: Path, keep: int) -> None:
    simulate(small("duration=1min"), seed=1).save(tmp_path / "run")
    run = Run.load(tmp_path / "run")
    place = next((tmp_path / "run" / "replications" / "0000").rglob("BlockSealed.parquet"))
    place.write_bytes(place.read_bytes()[:keep])
    with pytest.raises(RunNotFound, match=r"BlockSealed\.parquet' is damaged .*remove '.*0000' and run again"):
        run.worlds["as_written"].events("BlockSealed")
    assert len(run.worlds["as_written"].events("AccountClosed")) > 0
    place.unlink()
    with pytest.raises(RunNotFound, match=r"BlockSealed\.parquet' is damaged \(it is missing\)"):
        Run.load(tmp_path / "run").worlds["as_written"].log()
    (place.parent / "about.json").write_text("{", encoding="utf-8")
    with pytest.raises(RunNotFound, match=r"about\.json' is damaged"):
        run.worlds["as_written"].log()
