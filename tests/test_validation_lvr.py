"""Loss versus rebalancing: what an arbitrageur earns from a pool, with and without fees, block by block (validations 1.1 to 1.5)."""

from collections.abc import Callable
from math import expm1, sqrt
from typing import Any

import numpy as np
import pytest
from lvr import (
    BASE,
    BP,
    COMPILED,
    DAY,
    DRIFTLESS,
    FEES,
    FIXED,
    POISSON,
    POOLS,
    PRICE,
    SIGMA,
    TABLE,
    VALUE,
    Blocks,
    estimates,
    fixed_chain,
    poisson_arbitrage,
    poisson_share,
    pools,
    run,
    step,
    trades,
)  # fmt: skip
from validation import SEED, DisagreementError, Estimate, agree

from l2sim.agents.arbitrageur import Arbitrageur, react
from l2sim.events import TransactionIncluded
from l2sim.markets.constant_product import BUY, PHI
from l2sim.streams import Streams
from l2sim.world.prices import LivePrices
from l2sim.world.world import World


def test_theory_is_as_listed() -> None:
    for (block_time, bp), (share, arbitrage) in POISSON.items():
        assert poisson_share(bp * BP, block_time) == pytest.approx(share, rel=5e-6)
        assert poisson_arbitrage(bp * BP, block_time) == pytest.approx(arbitrage, rel=5e-6)
    for (block_time, bp), listed in FIXED.items():
        assert fixed_chain(bp * BP, block_time) == pytest.approx(listed, rel=1e-5)
    for block_time, row in TABLE.items():
        assert [100.0 * poisson_share(bp * BP, block_time) for bp in FEES] == pytest.approx(row, abs=0.0501)


# ---- with fees


def check_poisson(block_time: float, bp: float, n: int, times: Blocks = "poisson", full: bool = False) -> list[str]:
    gamma = bp * BP
    what = f"{block_time:g} s (Poisson), {bp:g} bp"
    share, arbitrage, fees, both = estimates(bp, block_time, times, n)
    expected, eta = poisson_arbitrage(gamma, block_time), sqrt(2.0) * gamma / step(block_time)
    wrong_shares = {"sqrt(λ)": 1.0 / (1.0 + eta / sqrt(2.0)), "a round trip of 2 γ": 1.0 / (1.0 + 2.0 * eta)}
    wrong_profits = {"the fee counted as profit": 1.0}
    if full:
        wrong_profits["blocks at fixed times"] = fixed_chain(gamma, block_time)[1]
    return [
        agree(f"1.2 P_trade, {what}", share, poisson_share(gamma, block_time), wrong_shares),
        agree(f"1.2 ARB over LVR, {what}", arbitrage, expected, wrong_profits),
        agree(f"1.2 FEE over LVR, {what}", fees, 1.0 - poisson_share(gamma, block_time), {"fees counted twice": 2.0 - 2.0 * expected}),
        agree(f"1.5 ARB + FEE over LVR, {what}", both, 1.0, {"fees counted twice": 2.0 - expected, "no fees": expected}),
    ]


def check_fixed(block_time: float, bp: float, n: int) -> list[str]:
    what = f"{block_time:g} s (fixed), {bp:g} bp"
    share, arbitrage, _, both = estimates(bp, block_time, "fixed", n)
    expected_share, expected = fixed_chain(bp * BP, block_time)
    wrong = {"ARB = LVR x P_trade": expected_share, "γ taken for the full band": fixed_chain(bp * BP / 2.0, block_time)[1]}
    return [
        agree(f"1.3 P_trade, {what}", share, expected_share, {"γ taken for the full band": fixed_chain(bp * BP / 2.0, block_time)[0]}),
        agree(f"1.3 ARB over LVR, {what}", arbitrage, expected, wrong),
        agree(f"1.5 ARB + FEE over LVR, {what}", both, 1.0, {"no fees": expected}),
    ]


def check_cell(block_time: float, bp: float, n: int) -> str:
    gamma = bp * BP
    per_day = 1.0 / (1.0 + sqrt(2.0) * gamma / SIGMA)  # a σ per sqrt(day) for a σ per sqrt(second), 294 times too large
    return agree(
        f"1.4 P_trade, {block_time:g} s, {bp:g} bp",
        estimates(bp, block_time, "poisson", n)[0],
        poisson_share(gamma, block_time),
        {"σ a day for σ a second": per_day},
    )


def test_fees_and_blocks_at_random_times(record_property: Callable[..., None]) -> None:
    for line in check_poisson(12.0, 30, 120_000):
        record_property("validation", line)


def test_fees_and_blocks_at_fixed_times(record_property: Callable[..., None]) -> None:
    for line in check_fixed(12.0, 30, 100_000):
        record_property("validation", line)


@pytest.mark.parametrize(("block_time", "bp"), [(600.0, 100), (2.0, 1), (0.25, 5)])
def test_how_often_there_is_a_trade(block_time: float, bp: float, record_property: Callable[..., None]) -> None:
    record_property("validation", check_cell(block_time, bp, 40_000))


def sample(block_time: float, bp: float) -> int:
    """Blocks for a full check: where trades are rare, what tells blocks at random times from fixed ones is small."""
    return 5_000_000 if (block_time, bp) == (0.25, 30) else 2_000_000


@pytest.mark.validate
@pytest.mark.parametrize(("block_time", "bp"), POISSON)
def test_fees_and_blocks_at_random_times_in_full(block_time: float, bp: float, record_property: Callable[..., None]) -> None:
    for line in check_poisson(block_time, bp, sample(block_time, bp), full=True):
        record_property("validation", line)


@pytest.mark.validate
@pytest.mark.parametrize(("block_time", "bp"), FIXED)
def test_fees_and_blocks_at_fixed_times_in_full(block_time: float, bp: float, record_property: Callable[..., None]) -> None:
    for line in check_fixed(block_time, bp, sample(block_time, bp)):
        record_property("validation", line)


@pytest.mark.validate
@pytest.mark.parametrize("bp", FEES)
@pytest.mark.parametrize("block_time", TABLE)
def test_how_often_there_is_a_trade_in_full(block_time: float, bp: float, record_property: Callable[..., None]) -> None:
    record_property("validation", check_cell(block_time, bp, 500_000))


# ---- without fees


def losses(block_time: float, days: float, n: int, **price: str) -> Any:
    """What arbitrageurs earned from ``n`` pools without fees, US dollars each."""
    blocks = round(days * DAY / block_time)
    each = POOLS if n * blocks >= COMPILED else 40
    scenario = pools(0.0, block_time, blocks, "fixed", each, **price)
    runs = [trades(run(scenario, replication, n * blocks), 0.0) for replication in range(n // each)]
    return np.concatenate([np.bincount(done.pool, done.profit, minlength=each) for done in runs])


def check_without_fees(block_time: float, n: int, **price: str) -> str:
    expected = -VALUE * expm1(-(SIGMA**2) / 8.0)
    assert expected == pytest.approx(3124.512, abs=5e-4)
    wrong = {"marked at the stale price": -expected, "σ/sqrt(365) a day": expected / 365.0, "twice": 2.0 * expected}
    return agree(f"1.1 loss of a day, blocks of {block_time:g} s, USD", Estimate.of(losses(block_time, 1.0, n, **price)), expected, wrong)


def check_long(n: int, **price: str) -> str:
    expected, driftless = -expm1(-(SIGMA**2) * 400.0 / 8.0), expm1(SIGMA**2 * 400.0 / 8.0)
    assert (expected, driftless) == pytest.approx((0.117503, 0.133148), abs=5e-7)
    found = Estimate.of(losses(20.0 * DAY, 400.0, n, **price) / VALUE)
    return agree("1.1 loss of 400 days over the value at the start", found, expected, {"no drift of the logarithm": driftless})


@pytest.mark.parametrize(("block_time", "n"), [(3_600.0, 400), (300.0, 80)])
def test_without_fees_the_schedule_of_blocks_does_not_matter(block_time: float, n: int, record_property: Callable[..., None]) -> None:
    record_property("validation", check_without_fees(block_time, n))


@pytest.mark.validate
@pytest.mark.parametrize("block_time", [3_600.0, 300.0, 12.0])
def test_without_fees_the_schedule_of_blocks_does_not_matter_in_full(block_time: float, record_property: Callable[..., None]) -> None:
    record_property("validation", check_without_fees(block_time, 400))


def test_a_year_and_more_without_fees(record_property: Callable[..., None]) -> None:
    record_property("validation", check_long(1_200))


# ---- the mechanism, and listed mistakes injected


def test_the_ledger_says_the_same_as_the_trades() -> None:
    gamma = 5 * BP
    log = run(pools(gamma, 12.0, 2_000, "poisson", 3))
    done = trades(log, gamma)
    closed = log.frame("AccountClosed").assign(change=lambda one: one.closing - one.opening)
    for k in range(3):
        mine = closed[closed.group == f"arbitrageur_{k}"]
        assert mine[mine.asset == f"eth_{k}"].change.sum() == pytest.approx(0.0, abs=1e-6)  # everything was traded back
        assert mine[mine.asset == "usd"].change.sum() == pytest.approx(done.profit[done.pool == k].sum(), rel=1e-6)
    assert closed[closed.asset == "usd"].change.sum() == pytest.approx(0.0, abs=1e-3)


@pytest.mark.parametrize(("gamma", "times"), [(30 * BP, "poisson"), (5 * BP, "fixed"), (0.0, "fixed")])
def test_a_hedged_provider_earns_fees_minus_the_loss_on_every_path(gamma: float, times: Blocks) -> None:
    """What the pool is worth, fees included, minus the same units held outside from block to block: FEE - LVR, with LVR = ARB + FEE."""
    block_time, n = 12.0, 3_000
    world = World(pools(gamma, block_time, n, times, 1), Streams(SEED), engine="lists")
    log = world.run()
    done = trades(log, gamma)
    action, paid, got = log.select(TransactionIncluded, "action", "x", "y")
    buys = action == log.names.find("buy")
    units, dollars = np.where(buys, -got, paid), np.where(buys, paid, -got)  # fees go to the providers
    instants = world.chains["arb"].instants()
    price = np.concatenate([[PRICE], np.array(world.prices._paths["eth_0"])[np.searchsorted(world.prices._times, instants)]])
    change = np.bincount(done.block, units, minlength=len(price))
    held = BASE + np.cumsum(change)
    gain = held[-1] * price[-1] - BASE * PRICE + dollars.sum()
    hedge = float(held[:-1] @ np.diff(price))
    loss = float(done.profit.sum() + done.fee.sum())
    assert gain - hedge == pytest.approx(done.fee.sum() - loss, abs=1e-9 * VALUE)
    # The mistake: a loss at every block, as though the pool were moved to the price, whether there is a trade or not.
    value = 2.0 * np.sqrt(BASE * BASE * PRICE * price)
    before = np.concatenate([[BASE], held[:-1]])
    counted = float((before * price + BASE * BASE * PRICE / before - value).sum())
    assert counted == pytest.approx(loss, rel=1e-6) if gamma == 0.0 else counted > (1.2 if gamma == 5 * BP else 5.0) * loss


def to_the_price(settings: Any, memory: Any, cells: Any, *rest: Any) -> int:
    """Trades where it pays, but as though there were no fee."""
    if not react(settings, memory, cells, *rest):
        return 0
    assert react(settings, memory, [1.0, *cells[1:]], *rest)
    intent = rest[-1][0]
    intent[4] = 1.0
    if intent[0] == BUY:
        intent[1] /= cells[PHI]
    return 1


def test_pushing_the_pool_to_the_price_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Arbitrageur, "reflex", staticmethod(to_the_price))
    estimates.cache_clear()
    with pytest.raises(DisagreementError, match=r"1\.2 P_trade"):
        check_poisson(12.0, 30, 30_000)
    share = estimates(30, 12.0, "poisson", 30_000)[0]
    assert share.mean == pytest.approx(0.02931, abs=4.0 * share.error)
    estimates.cache_clear()


@pytest.mark.validate
def test_a_price_without_drift_of_the_logarithm_is_caught() -> None:
    with pytest.raises(DisagreementError):
        check_long(1_200, drift=DRIFTLESS)


def test_marking_at_the_stale_price_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def stale(prices: LivePrices, name: str) -> float:
        return prices._paths[name][max(prices._at(prices._clock.now) - 1, 0)]

    monkeypatch.setattr(LivePrices, "path", stale)
    with pytest.raises(DisagreementError) as caught:
        check_without_fees(3_600.0, 400)
    assert " -3" in str(caught.value)


@pytest.mark.validate
def test_fixed_blocks_under_the_name_of_poisson_are_caught() -> None:
    with pytest.raises(DisagreementError, match=r"1\.2"):
        check_poisson(12.0, 30, 600_000, "fixed")
