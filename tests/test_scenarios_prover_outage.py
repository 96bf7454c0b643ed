"""The shipped finding, shortened: provers who are down cost those who leave, and nobody who trades; others who may prove help."""

from typing import Any

from worlds import SCENARIOS, lived

from l2sim.scenario import Scenario

CHAINS = "closed", "open"
SHORT = (
    "duration=5h", "prices.eth.shocks.fall.at=1h", "prices.eth.shocks.fall.over=1h",
    *(f"agents.{chain}_traders.size=200" for chain in CHAINS),
    *(f"agents.{chain}_leavers.{what}" for chain in CHAINS for what in ("until=4h", "rate=120 /h", "expected_delay=45min")),
    *(f"agents.{chain}_lender.{what}" for chain in CHAINS for what in ("capital=100 kUSD", "expected_delay=45min")),
    *(f"chains.{chain}.proposer.{what}" for chain in CHAINS for what in ("interval=10min", "phase=5min")),
    *(f"chains.{chain}.sequencer.block_time=24s" for chain in CHAINS),
    *(f"agents.{prover}.proving_time=15min" for prover in ("closed_prover", "open_prover", "strangers")),
    "chains.open.settlement.market.window=45min",
    *(f"attacks.{chain}_outage.{when}" for chain in CHAINS for when in ("begins=1h", "lasts=150min")),
    *(f"metrics.{metric}.cool_down=1h" for metric in ("proving", "cost", "finality")),
    "metrics.withdrawals.warm_up=1h", "metrics.withdrawals.cool_down=90min",
)  # fmt: skip


def test_the_delay_is_that_of_who_leaves_during_the_outage() -> None:
    scenario = Scenario.load(SCENARIOS / "prover_outage.yaml")
    window: Any = scenario.metrics["withdrawals"]
    for outage in scenario.attacks.values():
        assert window.warm_up == outage.begins
        assert scenario.duration - window.cool_down == outage.begins + outage.lasts


def test_who_leaves_waits_and_who_trades_does_not_notice() -> None:
    scenario = Scenario.load(SCENARIOS / "prover_outage.yaml", SHORT)
    hit, calm = lived(scenario), lived(scenario.without_attacks())
    measured = {name: [metric.measure(log) for log in (hit, calm)] for name, metric in scenario.metrics.items()}
    finality, usual = (one["finality_max"] for one in measured["proving"])
    assert finality["closed"] > 150 * 60 > usual["closed"]
    assert finality["open"] < 0.8 * finality["closed"]
    assert finality["open"] > 45 * 60
    delays, before = (one["mean"] for one in measured["withdrawals"])
    assert delays["closed_bridge"] > 2.0 * before["closed_bridge"]
    unpaid, none = (one["unpaid"] for one in measured["withdrawals"])
    assert unpaid["closed_bridge"] >= unpaid["open_bridge"] >= none.max() == 0
    assert before["open_bridge"] < delays["open_bridge"] < 0.8 * delays["closed_bridge"]
    locked, less = (one["locked_mean"] for one in measured["locked"])
    assert locked["closed_bridge"] > locked["open_bridge"] > less["open_bridge"]
    # Fewer find a provider of fast withdrawals with money left.
    fast, all_ = (one["fast"] for one in measured["withdrawals"])
    assert fast["closed_bridge"] < fast["open_bridge"] < all_["open_bridge"]
    # Positions are opened, liquidated and closed as if nothing had happened.
    for table in ("PositionChanged", "PositionLiquidated", "PositionClosed"):
        if table in hit:
            assert len(hit.frame(table)) == len(calm.frame(table))
    profits = [one.filter(regex=r"(traders|keepers)\.profit") for one in measured["profit"]]
    assert len(profits[0]) == 4
    assert (abs(profits[0] - profits[1]) < 0.01).all()
    assert measured["cascade"][0]["positions"] == measured["cascade"][1]["positions"] > 0
    # Strangers ask more than the operator's own provers.
    price, cheaper = (one["price_mean"] for one in measured["proving"])
    assert price["open"] > 1.1 * cheaper["open"]
