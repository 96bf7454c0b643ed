"""Arbitrum's backlog pricing before ArbOS 51: when it begins, how fast it grows, and where elastic demand settles.

Demand r above the speed limit S grows the backlog by r - S. The fee begins to move after tol S / (r - S) seconds, then doubles every
ln 2 x inertia x S / (r - S). Demand r1 (b / b1)^-eps settles where it equals S, with time constant inertia / eps.
"""

from math import exp, log2
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pytest
from pydantic import Field
from validation import SEED, DisagreementError, equal, run_file

from l2sim.agents import Agent, Waiting
from l2sim.events import BlockSealed
from l2sim.fees import Used
from l2sim.fees.arbitrum import Arbitrum
from l2sim.part import MarketName
from l2sim.units import MS, SECOND, GasRate
from l2sim.world.seat import Seat

MINIMUM = 100_000_000
Floats = npt.NDArray[np.float64]


class SteadyDemand(Agent):
    """Sends one transaction four times a second, of as much gas as it wants at the present fee."""

    market: MarketName
    """Where to."""
    rate: GasRate
    """Gas per second at the least fee."""
    elasticity: Annotated[float, Field(ge=0)] = 0.0
    """Power of (least fee / fee) in the rate."""

    def arrive(self, me: Seat) -> None:
        me.endow(me.chain_of(self.market), me.gas_token, 1e6)
        me.endow(me.chain_of(self.market), "usd", 1e6)

    def run(self, me: Seat) -> Waiting:
        chain, decision = me.chain_of(self.market), 0
        while True:
            yield me.sleep(250 * MS)
            gas = self.rate / 4 * (MINIMUM / me.base_fee(chain)) ** self.elasticity
            me.submit_rows(
                self.market, "buy", submitted=np.array([me.now]), accounts=np.array([me.accounts.start]), decisions=np.array([decision]),
                a=0.01, gas=np.array([gas]),
            )  # fmt: skip
            decision += 1


def fees(*settings: str) -> tuple[Floats, Floats]:
    """Seconds since demand began, and the base fee over the least, block by block through the event loop."""
    times, found = run_file("backlog_pricing", *settings, seed=SEED).select(BlockSealed, "time", "base_fee", chain="arb")
    return (times - times[0]) / SECOND, found / MINIMUM


def at(seconds: Floats, fee: Floats, when: float) -> float:
    return float(fee[np.searchsorted(seconds, when)])


def onset(seconds: Floats, fee: Floats) -> float:
    """The last second in which the fee is at its least."""
    return float(np.floor(seconds[fee == 1.0].max()))


def doubling(seconds: Floats, fee: Floats) -> float:
    """Time that the fee takes from 1.1 to 2.2 times the least, between seconds."""
    steps = np.flatnonzero(np.diff(fee)) + 1
    one, other = np.interp(np.log([1.1, 2.2]), np.log(fee[steps]), seconds[steps])
    return float(other - one)


def check_onset(seconds: Floats, fee: Floats) -> None:
    if not abs(onset(seconds, fee) - 10.0) <= 1.0:
        raise DisagreementError(f"2.9 onset (s): {onset(seconds, fee)}")
    equal("2.9 doubling (s)", doubling(seconds, fee), 70.701, 0.01)


def test_demand_at_twice_the_speed_limit() -> None:
    check_onset(*fees())


def test_the_fee_follows_the_exponential() -> None:
    """At 14 Mgas/s the excess is one inertia after 112 s; at 21 Mgas/s two after 107 s; the rule has four terms of the series."""
    seconds, fee = fees()
    equal("2.9 b/min at 112 s, r = 14 Mgas/s", at(seconds, fee, 112.0), 2.70833, 0.01)
    equal("2.9 the same against e", at(seconds, fee, 112.0), exp(1.0), 0.01)
    seconds, fee = fees("agents.demand.rate=21 Mgas/s")
    equal("2.9 b/min at 107 s, r = 21 Mgas/s", at(seconds, fee, 107.0), 7.0, 0.01)


def test_elastic_demand_settles_where_it_is_what_the_chain_executes() -> None:
    """At elasticity 1 the fee's distance from the equilibrium falls exponentially, with the inertia as time constant."""
    seconds, fee = fees("agents.demand.elasticity=1", "duration=1500s")
    settled = float(fee[seconds > 1000].mean())
    equal("2.9 equilibrium fee (of the least)", settled, 2.0, 0.01)
    rising = (seconds > 20) & (seconds < 260)
    slope = np.polyfit(seconds[rising], np.log(settled - fee[rising]), 1)[0]
    equal("2.9 time constant (s)", -1.0 / float(slope), 102.0, 0.01)


def per_block(state: Any, used: Used) -> Any:
    """The mistake: the speed limit of a second is paid off every block."""
    return (used.time, max(state[1] + used.gas - 7_000_000, 0))


def test_paying_off_per_block_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Arbitrum, "kernel", None)
    monkeypatch.setattr(Arbitrum, "next", lambda self, state, used: per_block(state, used))
    with pytest.raises(DisagreementError, match="onset"):
        check_onset(*fees())


def test_forgetting_the_tolerance_is_noticed() -> None:
    with pytest.raises(DisagreementError, match="onset"):
        check_onset(*fees("chains.arb.fee.constraints.legacy.tolerance=0 s"))


def test_an_eip_1559_at_this_pace_explodes() -> None:
    """12.5 % a block at four blocks a second doubles every 1.5 s."""
    rule = "chains.arb.fee={kind: eip1559, elasticity: 18, denominator: 8, initial: 0.1 gwei, minimum: 0.1 gwei}"
    seconds, fee = fees(rule, "chains.arb.block_gas_limit=32 Mgas")
    assert log2(fee[40] / fee[0]) / seconds[40] == pytest.approx(1.0 / 1.5, rel=0.05)
    with pytest.raises(DisagreementError):
        check_onset(seconds, fee)
