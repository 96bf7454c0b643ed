"""What trades lost, to what and to whom: the parts add up, sandwiches are found, and the metric says so."""

from fractions import Fraction
from math import inf
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from validation import SCENARIOS

from l2sim.agents import Agent, Waiting
from l2sim.log import Log
from l2sim.markets.constant_product import BASE_RESERVE, BUY, QUOTE_RESERVE, SELL, swapped
from l2sim.metrics.extraction import PARTS, Extraction
from l2sim.part import ROOMS, room
from l2sim.scenario import Scenario
from l2sim.simulation import simulate
from l2sim.streams import Streams
from l2sim.units import SECOND
from l2sim.world.attribution import Swap, attributed, split, takers
from l2sim.world.seat import Do, Seat
from l2sim.world.world import World

VICTIM, ANNA, BERT, OTHER = range(4)


class Pool:
    """A pool of 1000 ETH and 2,000,000 USD to try trades on."""

    def __init__(self, fee: float = 0.003, paid_out: int = 0) -> None:
        self.cells = [1.0 - fee, 1000.0, 2e6, 0.0]
        self.paid_out = paid_out

    def mid(self) -> float:
        return self.cells[QUOTE_RESERVE] / self.cells[BASE_RESERVE]

    def trade(self, buys: bool, paid: float) -> float:
        return swapped(self.cells, self.paid_out, BUY if buys else SELL, paid, inf, 0.0)


def executed(trades: list[tuple[int, bool, float]], fee: float = 0.003, paid_out: int = 0) -> list[Swap]:
    pool = Pool(fee, paid_out)
    return [Swap(sender, buys, paid, pool.trade(buys, paid)) for sender, buys, paid in trades]


# ---- the parts add up

exact = st.fractions(min_value=Fraction(1, 1000), max_value=1000, max_denominator=10**6)


@given(st.booleans(), exact, exact, exact, exact, exact, st.fractions(0, Fraction(1, 2), max_denominator=1000))
def test_the_parts_of_a_loss_add_up_to_it_exactly(buys: bool, paid: Any, got: Any, then: Any, before: Any, alone: Any, fee: Any) -> None:
    parts = split(Swap(VICTIM, buys, paid, got), then, before, alone, fee)
    assert sum(parts) == (paid - got * then if buys else paid * then - got)
    assert parts.extraction == (alone - got) * (then if buys else 1)


trades = st.tuples(st.integers(0, 3), st.booleans(), st.floats(1e-6, 0.1)).map(
    lambda trade: (trade[0], trade[1], trade[2] * (2e6 if trade[1] else 1000.0))
)


@given(st.lists(trades, max_size=8), st.floats(1800.0, 2200.0), st.sampled_from([(0.0, 0), (0.003, 0), (0.003, 1)]))
def test_the_parts_of_a_block_add_up_and_takers_are_credited(made: list[Any], then: float, kind: tuple[float, int]) -> None:
    swaps = executed(made, *kind)
    for i, (parts, taken) in enumerate(attributed(lambda: Pool(*kind), swaps, [then] * len(swaps), kind[0])):
        swap = swaps[i]
        loss = swap.paid - swap.got * then if swap.buys else swap.paid * then - swap.got
        assert parts.total() == pytest.approx(loss, abs=1e-11 * then * 1000.0)
        assert sum(amount for _, amount in taken) == pytest.approx(parts.extraction, abs=1e-9)
        assert parts.fees >= 0.0
        assert parts.impact >= -1e-9
        assert [taker for taker, _ in taken] == takers(swaps, i)
        if not taken:
            assert parts.extraction == 0.0
            others = Pool(*kind)
            for other in swaps[:i]:
                others.trade(other.buys, other.paid)
            assert parts.movement == pytest.approx(
                swap.paid * (1.0 - then / others.mid()) if swap.buys else swap.paid * (then - others.mid()), abs=1e-9
            )


def test_who_takes_from_whom() -> None:
    swaps = executed(
        [(ANNA, True, 1e4), (BERT, True, 5e3), (OTHER, True, 1e3), (VICTIM, True, 1e5), (BERT, False, 2.0), (ANNA, False, 4.0)]
    )
    assert [takers(swaps, i) for i in range(6)] == [[], [ANNA], [ANNA, BERT], [ANNA, BERT], [], []]
    # What is not behind it, not in its direction, or its own, is a movement.
    alone = executed(
        [(VICTIM, True, 1e3), (ANNA, True, 1e4), (BERT, False, 1.0), (VICTIM, True, 1e5), (VICTIM, False, 3.0), (BERT, True, 10.0)]
    )
    assert [takers(alone, i) for i in range(6)] == [[], [VICTIM], [], [], [BERT], []]


def test_a_sandwich_takes_what_the_victim_gets_less() -> None:
    quoted = Pool().trade(True, 1e5)
    front = Pool()
    bought = front.trade(True, 10_336.5536)
    swaps = executed([(ANNA, True, 10_336.5536), (VICTIM, True, 1e5), (ANNA, False, bought)])
    _, (parts, taken), _ = attributed(Pool, swaps, [2000.0] * 3, 0.003)
    assert parts.extraction == pytest.approx(0.47482974 * 2000.0, rel=1e-6)
    assert parts.extraction == pytest.approx((quoted - swaps[1].got) * 2000.0, rel=1e-12)
    assert taken == [(ANNA, parts.extraction)]
    assert parts.movement == 0.0
    assert parts.fees == 300.0
    assert parts.impact == pytest.approx(1e5 * 0.997 - quoted * 2000.0, rel=1e-12)


def test_two_takers_share_by_what_their_absence_is_worth() -> None:
    swaps = executed([(ANNA, True, 6e3), (BERT, True, 4e3), (VICTIM, True, 1e5), (ANNA, False, 2.9), (BERT, False, 1.9)])
    parts, taken = attributed(Pool, swaps, [2000.0] * 5, 0.003)[2]
    assert [who for who, _ in taken] == [ANNA, BERT]
    without_anna = executed([(BERT, True, 4e3), (VICTIM, True, 1e5)])[1].got
    assert taken[0][1] == pytest.approx((without_anna - swaps[2].got) * 2000.0, rel=1e-9)
    assert taken[0][1] + taken[1][1] == pytest.approx(parts.extraction, rel=1e-12)


# ---- in a world


def world(*changes: str, engine: Any = "auto", needs: bool = True) -> Log:
    scenario = Scenario.load(SCENARIOS / "sandwich.yaml", [*changes, *(["metrics.extraction={kind: extraction}"] if needs else [])])
    return World(scenario, Streams(1), engine=engine).run()


def test_the_metric_names_who_lost_and_who_took() -> None:
    results = simulate(Scenario.load(SCENARIOS / "sandwich.yaml", ["metrics.extraction={kind: extraction}"]), seed=1)
    found = Extraction().measure(results.log(0))
    assert found.index.tolist() == ["searcher", "victim"]
    victim, searcher = found.loc["victim"], found.loc["searcher"]
    assert searcher.taken == victim.extraction > 900.0
    assert (victim.trades, searcher.trades, victim.taken, searcher.extraction) == (1, 2, 0, 0)
    assert found[list(PARTS[1:])].sum(axis=1).to_numpy() == pytest.approx(found.loss.to_numpy(), abs=1e-6)
    pools = Extraction(by="pool").measure(results.log(0))
    assert pools.index.tolist() == ["pool"]
    assert pools.loc["pool"].to_dict() == pytest.approx(found.sum().to_dict())
    assert "extraction" in " ".join(map(str, results.summary.columns))


def test_gas_is_a_fee_and_all_that_a_refused_trade_loses() -> None:
    log = world("agents.victim.steps.swap.slippage=1 %", "chains.arb.fee.fee=10 gwei")
    (row,) = log.frame("TradeAttributed").itertuples()
    gas = 120_000 * 10e-9 * 2000.0
    assert (row.loss, row.fees) == pytest.approx((gas, gas))
    assert (row.movement, row.impact, row.extraction) == (0.0, 0.0, 0.0)


def test_movement_is_counted_from_when_a_trade_was_sent() -> None:
    early = "agents.victim.steps.early={at: 0s, market: pool, action: buy, fields: {quote_in: 200000}}"
    slow = ("network={within: 3s}", "agents.victim.steps.swap.slippage=100 %", "agents.searcher.capital=0 USD")
    log = world(early, *slow)
    first, second = log.frame("TradeAttributed").itertuples()
    assert (first.submitted, second.submitted) == (0, 10**9)
    assert first.price == second.price == 2000.0
    assert second.movement > 0.15 * 100_000.0
    assert second.extraction == 0.0
    late = world(early, *slow, "agents.victim.steps.swap.at=5s").frame("TradeAttributed")
    assert late.price[1] > 2300.0
    assert late.movement[1] == 0.0


def test_nobody_pays_for_it_who_does_not_ask() -> None:
    asked, plain = world(), world(needs=False)
    assert asked.digest == plain.digest
    assert "TradeAttributed" not in list(plain)
    assert len(asked.frame("ValueExtracted")) == 1


@pytest.fixture
def bundler() -> Any:
    """An agent whose sandwich is made of transactions of two steps, known for one test."""
    before = dict(room("agents").kinds())

    class Bundler(Agent):
        """Buys in one transaction of two steps and sells in another."""

        atomic: ClassVar[bool] = True

        def arrive(self, me: Seat) -> None:
            me.endow("arb", "usd", 1e6)
            me.endow("arb", me.gas_token, 1.0)

        def run(self, me: Seat) -> Waiting:
            yield me.sleep(SECOND)
            me.submit_steps(Do("pool", "buy", (4_000.0,)), Do("pool", "buy", (6_336.5536,)), tip=1)
            yield me.sleep(SECOND // 2)
            me.submit_steps(Do("pool", "sell", (5.0,)), Do("pool", "buy", (1.0,)))

    yield
    ROOMS["agents"]._kinds = before


@pytest.mark.usefixtures("bundler")
def test_steps_of_larger_transactions_count_as_trades() -> None:
    log = world("agents.bundler={kind: bundler}", "agents.searcher.capital=0 USD", "agents.victim.steps.swap.slippage=100 %")
    (row,), (taken,) = log.frame("TradeAttributed").itertuples(), log.frame("ValueExtracted").itertuples()
    before = executed([(ANNA, True, 4_000.0), (ANNA, True, 6_336.5536), (VICTIM, True, 1e5)])
    assert row.extraction == pytest.approx((Pool().trade(True, 1e5) - before[2].got) * 2000.0, rel=1e-9)
    assert (taken.amount, row.movement) == (row.extraction, 0.0)
    assert taken.taker == log.about["groups"]["bundler"]["first"]


def test_engines_attribute_alike() -> None:
    crowd = (
        "agents.crowd={kind: crowd_of_traders, market: pool, rate: 20 /s, size: 50, slippage: 2 %}",
        "agents.crowd.notional={kind: lognormal, median: 9 kUSD, sigma: 1}",
        "agents.searcher.count=2",
        "duration=60s",
    )
    logs = [world(*crowd, engine=engine) for engine in ("lists", "arrays")]
    one, other = (log.frame("TradeAttributed") for log in logs)
    assert logs[0].digest == logs[1].digest == world(*crowd, needs=False, engine="arrays").digest
    assert one.equals(other)
    assert (one.extraction > 0.0).sum() > 10
    parts = one[list(PARTS[1:])].to_numpy()
    assert np.array_equal(((parts[:, 0] + parts[:, 1]) + parts[:, 2]) + parts[:, 3], one.loss.to_numpy())
    # What the pool and the chain had of it, and others: money in and out of the trades themselves.
    included = logs[0].frame("TransactionIncluded")
    good = (included.status == 0).to_numpy()
    paid, got, buys = included.x.to_numpy()[good], included.y.to_numpy()[good], (included.action == "buy").to_numpy()[good]
    price = one.price.to_numpy()[good]
    assert one.loss.to_numpy()[good] == pytest.approx(np.where(buys, paid - got * price, paid * price - got), abs=1e-6)
