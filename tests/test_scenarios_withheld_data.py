"""The shipped finding, shortened: a validium whose data are withheld leaves more bad debt and keeps money longer than a rollup."""

from worlds import SCENARIOS, lived

from l2sim.scenario import Scenario
from l2sim.units import MINUTE

SHORT = (
    "duration=150min", "prices.eth.shocks.fall.at=10min", "prices.eth.shocks.fall.over=40min", "prices.eth.shocks.fall.size=-20 %",
    *(f"agents.{chain}_traders.size=500" for chain in ("rollup", "validium")),
    *(f"markets.{chain}_perp.insurance_fund=10 kUSD" for chain in ("rollup", "validium")),
    *(f"agents.{chain}_leavers.until=90min" for chain in ("rollup", "validium")),
    *(f"attacks.{chain}_dark.{when}" for chain in ("rollup", "validium") for when in ("begins=20min", "lasts=60min")),
    *(f"chains.{chain}.sequencer.block_time=6s" for chain in ("rollup", "validium")),
    "chains.rollup.availability.takeover=10min",
)  # fmt: skip


def test_where_the_data_are_withheld_positions_go_bankrupt_and_money_is_stuck() -> None:
    scenario = Scenario.load(SCENARIOS / "withheld_data.yaml", SHORT)
    log, calm = lived(scenario), lived(scenario.without_attacks())
    debts, before = (scenario.metrics["debt"].measure(one) for one in (log, calm))
    assert debts["validium_perp.bad_debt"] > 2.0 * debts["rollup_perp.bad_debt"]
    assert debts["validium_perp.bad_debt"] > 10_000.0
    assert before["validium_perp.bad_debt"] == before["rollup_perp.bad_debt"] == 0.0
    delays = scenario.vary(metrics__withdrawals__cool_down="60min").metrics["withdrawals"].measure(log)["max"]
    assert delays["validium_bridge"] > 1.2 * delays["rollup_bridge"]
    # Nobody's money is lost for good: the data come back, and all that was asked for is paid.
    back = log.frame("DataReleased").set_index("chain")["time"]
    assert back["rollup"] == 30 * MINUTE
    assert back["validium"] == 80 * MINUTE
    paid = log.frame("WithdrawalFinalized")
    assert (paid["valid"] == 1).all()
    assert len(paid.query("market == 'validium_bridge'")) > 50
