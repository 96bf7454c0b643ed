"""The findings of the two scenarios over all presets, shortened: what a chain costs, how soon it is final, and how one gets out of it."""

import numpy as np
import pytest
from worlds import SCENARIOS, lived

from l2sim.events import TransactionIncluded
from l2sim.events.l1_market import BlockBuilt
from l2sim.scenario import Scenario

VALIDITY = ("zksync", "starknet", "scroll", "linea", "taiko", "validium")
OPTIMISTIC = ("op", "base", "uni", "arb")
OWN = ("hyper", "dydx")
SHORT = (
    "duration=100min", "prices.eth.shocks.fall.at=10min", "prices.eth.shocks.fall.over=10min", "chains.hyper.sequencer.block_time=200ms",
    *(f"agents.{chain}_traders.size=100" for chain in (*VALIDITY, *OPTIMISTIC, *OWN, "l1")),
    "metrics.finality.cool_down=70min", "metrics.at_risk.cool_down=70min", "chains.arb.batch_poster.max_delay=30min",
)  # fmt: skip


def test_chains_differ_in_finality_and_cost_and_not_in_what_positions_need() -> None:
    scenario = Scenario.load(SCENARIOS / "execution_environments.yaml", SHORT)
    log = lived(scenario)
    finality = scenario.metrics["finality"].measure(log)
    cost = scenario.metrics["cost"].measure(log)["total_mean_usd"]
    at_risk = scenario.metrics["at_risk"].measure(log)["mean"]
    rollups = [*VALIDITY, *OPTIMISTIC]
    for chain in OWN:
        assert finality.loc[chain, "finalized_mean"] < 2.0
        assert at_risk[chain] < 0.01 * at_risk[rollups].min()
        assert cost[chain] == 0.0
    # Two epochs of L1 and a batch before them; on all rollups alike, but for how often batches go.
    assert finality.loc[rollups, "finalized_mean"].min() > 768.0
    assert finality.loc[rollups, "soft_mean"].max() < 3.5
    often = ["op", "base", "uni", "zksync", "taiko", "scroll"]
    assert finality.loc[often, "safe_mean"].max() < 330.0 < finality.loc[["arb", "starknet"], "safe_mean"].min()
    assert cost["op"] < 0.001 < 0.01 < cost["arb"] < cost["linea"] < 0.1 < cost["l1"]
    # On L1 no batch comes first, but a slot takes longer than a sequencer.
    assert 768.0 < finality.loc["l1", "finalized_mean"] < finality.loc[rollups, "finalized_mean"].min()
    assert 6.0 < finality.loc["l1", "soft_mean"] < 18.0
    efficiency = scenario.metrics["efficiency"].measure(log)["efficiency"]
    assert efficiency.max() < 1.5 * efficiency.min()  # of a hundred people each
    exposure = scenario.metrics["exposure"].measure(log)
    for whose, those in (("own", OWN), ("committee", ("validium",)), ("l1", {"l1", *rollups} - {"validium"})):
        rests = exposure[f"{whose}_mean"]
        assert set(rests[rests > 0].index) == set(those)
        assert rests[list(those)].tolist() == exposure.loc[list(those), "held_mean"].tolist()
    assert exposure["held_mean"].min() > 10_000.0  # of each person alone
    censored = scenario.metrics["censorship"].measure(log).drop("l1")
    assert (censored["attempts"] == 1).all()
    assert set(censored.index[censored["never"] == 0]) == {"op", "base", "uni", "taiko"}
    assert 10 * 60 < censored.loc["taiko", "mean"] < 1000 < censored.loc["op", "mean"] < 2500
    assert (censored["failed"].dropna() == 0).all()
    # On L1 the next of the others' blocks takes whom some builders leave out, after a minute on average.
    builder = dict(zip(*(column.tolist() for column in log.select(BlockBuilt, "number", "builder", chain="l1")), strict=True))
    person = log.about["groups"]["l1_person"]["first"]
    sender, block, status = log.select(TransactionIncluded, "sender", "block", "status", chain="l1")
    (of,) = np.flatnonzero(sender == person)
    assert status[of] == 0
    assert log.names.all[builder[int(block[of])]] == "l1"


def test_the_way_out_takes_a_week_where_claims_are_disputed_and_hours_where_they_are_proved() -> None:
    # Blocks are rare, so that nine days are quick.
    settings = [f"chains.{chain}.sequencer.block_time=1h" for chain in (*OPTIMISTIC, *VALIDITY)]
    scenario = Scenario.load(SCENARIOS / "ways_out.yaml", settings)
    log = lived(scenario)
    delays = scenario.metrics["ways_out"].measure(log)
    hours = delays["mean"]
    for chain in ("op", "base", "uni"):
        assert 168.0 < hours[f"{chain}_bridge"] < 171.0  # seven days after the proof, which waits for a claim
    assert 45_818 * 12 / 3600 < hours["arb_bridge"] < 157.0
    for chain in VALIDITY:
        assert 1.0 < hours[f"{chain}_bridge"] < 13.0
    assert (delays["unpaid"] == 0).all()
    censored = scenario.metrics["censorship"].measure(log)
    never = {chain for chain in censored.index if censored.loc[chain, "never"] == 1}
    assert never == {"zksync", "starknet", "scroll", "linea", "validium"}
    longest = censored["max"].dropna()
    assert longest["arb"] == pytest.approx(19.2 * 3600, rel=0.1)  # 5,760 blocks of L1
    assert longest.drop("arb").max() < 2.1 * 3600
    assert np.isnan(censored.loc["linea", "max"])
