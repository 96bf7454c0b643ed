"""The scenarios that come with the project: complete, listed, and each with a mechanism that bites, shown on a shortened copy."""

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from l2sim import Scenario, simulate
from l2sim.results import Results

FOLDER = Path(__file__).resolve().parent.parent / "scenarios"
FILES = sorted(FOLDER.glob("*.yaml"))


def shortened(name: str, **changes: Any) -> Scenario:
    return Scenario.load(FOLDER / f"{name}.yaml", [f"{path.replace('__', '.')}={value}" for path, value in changes.items()])


def figures(results: Results) -> "pd.Series[float]":
    return results.summary.iloc[0]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_says_what_it_asks_and_what_it_takes_for_granted(file: Path) -> None:
    scenario = Scenario.load(file)
    assert scenario.title
    assert scenario.question.endswith("?")
    assert scenario.assumptions
    assert scenario.metrics
    assert Scenario.load(file).without_attacks().attacks == {}


def test_the_list_of_scenarios_names_each_and_its_finding() -> None:
    rows = re.findall(r"^\| .*\[(\w+\.yaml)\]\((\w+\.yaml)\) \| (.+) \|$", (FOLDER / "README.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(name for name, _, _ in rows) == [file.name for file in FILES]
    assert all(name == link for name, link, _ in rows)
    assert all(re.search(r"\d.*\[.*\d.*,.*\d.*\]", finding) for _, _, finding in rows), "a finding is a number with its interval"


def test_an_outage_stops_blocks_and_what_was_sent_waits_for_them() -> None:
    scenario = shortened(
        "sequencer_outage",
        duration="75min",
        prices__eth__shocks__crash__at="15min",
        prices__eth__shocks__crash__over="15min",
        attacks__outage__begins="20min",
        attacks__outage__lasts="20min",
        agents__leveraged__size=2000,
        metrics__finality__cool_down=0,
    )
    hit, calm = figures(simulate(scenario)), figures(simulate(scenario.without_attacks()))
    assert hit["throughput.arb.longest_silence"] == pytest.approx(1200, abs=1)
    assert calm["throughput.arb.longest_silence"] < 1
    assert hit["throughput.arb.pending_max"] > 10 * calm["throughput.arb.pending_max"]
    assert 1100 < hit["delay.arb.max"] < 1300
    assert hit["finality.arb.soft_mean"] > 30 + calm["finality.arb.soft_mean"]
    assert hit["cascade.positions"] > 50
    assert hit["debt.shortfall"] > calm["debt.shortfall"]


def test_a_fee_spike_costs_users_delays_batches_and_throttles_the_sequencer() -> None:
    scenario = shortened(
        "fee_spike_in_a_crash",
        duration="45min",
        prices__eth__shocks__crash__at="14min",
        prices__eth__shocks__crash__over="5min",
        attacks__spike__begins="4min",
        attacks__spike__lasts="20min",
        chains__op__backlog_limit="600 kB",
        agents__leveraged__size=2000,
        metrics__finality="{warm_up: 4min, cool_down: 21min}",
    )
    attacked, quiet = simulate(scenario), simulate(scenario.without_attacks())
    hit, calm = figures(attacked), figures(quiet)

    def blob_fee(results: Results) -> float:
        return float(results.events("BlockSealed").query("chain == 'l1'")["blob_base_fee"].max())

    assert blob_fee(attacked) > 100 * blob_fee(quiet)
    assert hit["cost.op.data_mean_usd"] > 10 * calm["cost.op.data_mean_usd"]
    assert hit["finality.op.safe_mean"] > 300 + calm["finality.op.safe_mean"]
    assert hit["throughput.op.pending_max"] > 10 * calm["throughput.op.pending_max"]
    assert hit["delay.op.dropped"] > 100 > calm["delay.op.dropped"]
    assert hit["debt.shortfall"] > 1000 > calm["debt.shortfall"]
    assert hit["profit.groups.spike.profit"] < -100


def test_three_orderings_serve_three_kinds_of_people() -> None:
    scenario = shortened(
        "ordering_in_a_crash",
        duration="25min",
        prices__eth__shocks__crash__at="3min",
        prices__eth__shocks__crash__over="3min",
        **{f"agents__{chain}_{who}__size": 500 for chain in ("fcfs", "priority", "random") for who in ("savers", "tippers")},
    )
    found = figures(simulate(scenario))
    profit = {who: found[f"profit.groups.{who}.profit"] for who in scenario.agents}
    wait = {who: found[f"wait.{who}.mean"] for who in scenario.agents if f"wait.{who}.mean" in found}

    assert all(found[f"throughput.{chain}.pending_max"] > 300 for chain in ("fcfs", "priority", "random"))
    assert wait["priority_savers"] > 3 * wait["priority_tippers"]
    assert wait["fcfs_savers"] == pytest.approx(wait["fcfs_tippers"], rel=0.25)
    assert wait["random_savers"] == pytest.approx(wait["random_tippers"], rel=0.25)
    assert profit["fcfs_nearby"] > max(1000, 3 * profit["fcfs_bidder"])
    assert profit["priority_bidder"] > 1000 > 100 > profit["priority_nearby"]
    assert min(profit["random_nearby"], profit["random_bidder"]) > 1000
    assert found["priority_cascade.positions"] > found["fcfs_cascade.positions"]

    # Another ordering on one rollup changes nothing on the others, and makes of it what it makes of them.
    varied = figures(simulate(scenario.vary({"chains.fcfs.ordering": {"kind": "priority_fee"}})))
    elsewhere = [name for name in found.index if name.startswith(("random_cascade", "debt.priority_perp", "throughput.random"))]
    pd.testing.assert_series_equal(varied[elsewhere], found[elsewhere])
    assert varied["wait.fcfs_savers.mean"] > 3 * varied["wait.fcfs_tippers.mean"]
    assert varied["profit.groups.fcfs_bidder.profit"] > 1000 > 100 > varied["profit.groups.fcfs_nearby.profit"]


def test_false_assertions_take_the_escrow_where_nobody_watches_and_nothing_where_somebody_does() -> None:
    short = shortened("invalid_assertion", duration="5h", attacks__fraud__lasts="25min", agents__traders__rate="0.1 /s")
    watched = short.vary({"agents.validators.failure": 0, "agents.validators.common_failure": 0})
    alone, safe = figures(simulate(short.vary({"agents.validators.count": 0}))), figures(simulate(watched))
    assert (alone["disputes.op.false"], alone["disputes.op.undetected_share"]) == (3, 1.0)
    assert alone["withdrawals.bridge.stolen"] > 10e6
    assert alone["profit.groups.fraud.profit"] > 10e6
    assert safe["disputes.op.undetected_share"] == safe["withdrawals.bridge.stolen"] == 0.0
    assert safe["profit.groups.fraud.profit"] < -3 * 0.08 * 2000
    assert safe["profit.groups.validators.profit"] > 0
    assert 10 < safe["disputes.op.moves"] < 40


def test_flash_loans_leave_what_a_pool_cannot_take() -> None:
    """With a tenth of the loans, and of what takes their collateral."""
    scenario = shortened(
        "loans_in_a_crash",
        duration="40min",
        agents__own_borrowers__size=2000,
        agents__flash_borrowers__size=2000,
        agents__flash_keepers__in_flight=10,
        markets__own_exchange__base_reserve=200,
        markets__flash_exchange__base_reserve=200,
        chains__outside__depth="0.4 MUSD",
    )
    results = simulate(scenario)
    found = figures(results)
    assert found["flash.bad_debt"] > 5000 > 100 > found["own.bad_debt"]
    assert found["own.health_factor"] > 0.98 > 0.95 > found["flash.health_factor"], "who brings capital is there in time"
    assert found["flash_cascade.largest_duration"] > 2 * found["own_cascade.largest_duration"]
    assert found["own_cascade.price_drop"] > found["flash_cascade.price_drop"] > 0.3, "and sells it all at once"
    assert found["profit.groups.own_keepers.profit"] > found["profit.groups.flash_keepers.profit"] > 10_000
    assert found["profit.groups.flash_loans.profit"] < 0 < found["profit.groups.own_loans.profit"], "lenders pay for it"

    alone = figures(simulate(scenario.vary({"chains.outside.impact": "none"})))
    assert alone["own_cascade.price_drop"] == pytest.approx(alone["flash_cascade.price_drop"], abs=1e-12), "the same path outside"
    assert alone["own_cascade.notional"] < found["own_cascade.notional"]
