"""Loss versus rebalancing: what an arbitrageur earns from a pool, with and without fees, block by block (validations 1.1 to 1.5).

Milionis, Moallemi, Roughgarden, Zhang 2022 (arXiv 2208.06046) without fees; Milionis, Moallemi, Roughgarden 2023 (arXiv 2305.14604)
with fees and blocks at random times; Nezlobin, Tassy 2025 (arXiv 2505.05113) with blocks at fixed times. A half band γ is the fee
f = 1 - exp(-γ), paid out in US dollars on both sides; u is how far beyond the band's edge the price is when there is a trade.
"""

from collections.abc import Callable
from functools import cache
from math import cosh, exp, expm1, pi, sqrt
from typing import Any, Literal, NamedTuple

import numpy as np
import pytest
from ruamel.yaml import YAML
from validation import SCENARIOS, SEED, DisagreementError, Estimate, agree, run

from l2sim.agents.arbitrageur import Arbitrageur, react
from l2sim.events import OutsideTraded, TransactionIncluded
from l2sim.log import Log
from l2sim.markets.constant_product import BUY, PHI
from l2sim.scenario import Scenario
from l2sim.world.prices import LivePrices

Blocks = Literal["fixed", "poisson"]

SIGMA = 0.05  # per sqrt(day)
DAY = 86_400.0
BASE, PRICE = 2_500.0, 2_000.0
VALUE = 2.0 * BASE * PRICE
POOLS = 10  # in one world, each with a price of its own; they share the times of blocks
WORLDS = 32  # which share nothing
WARM_UP = 0.1  # share of the blocks that is left out, until the edges of the band are as full as they stay
BP = 1e-4


# ---- what theory says


def step(block_time: float) -> float:
    """Standard deviation of the logarithm of the price over a block."""
    return SIGMA * sqrt(block_time / DAY)


def poisson_share(gamma: float, block_time: float) -> float:
    """P_trade = 1 / (1 + η), η = sqrt(2 λ) γ / σ."""
    return 1.0 / (1.0 + sqrt(2.0) * gamma / step(block_time))


def poisson_arbitrage(gamma: float, block_time: float) -> float:
    """ARB over LVR: P_trade cosh(γ/2) / (1 - σ² / (8 λ))."""
    return poisson_share(gamma, block_time) * cosh(gamma / 2.0) / (1.0 - step(block_time) ** 2 / 8.0)


@cache
def fixed_chain(gamma: float, block_time: float) -> tuple[float, float]:
    """P_trade and ARB over LVR of the exact stationary chain: a normal step, then the mispricing is clipped to the band.

    After a block there are atoms A at both edges, and a density f inside that solves ``f = K f + A (edges)`` with K the normal step;
    their sum is 1. By Gauss-Legendre quadrature on panels no wider than a quarter of a step.
    """
    sd = step(block_time)
    panels = max(int(8.0 * gamma / sd), 8)
    points, weights = np.polynomial.legendre.leggauss(8)

    def grid(start: float, stop: float, n: int) -> tuple[Any, Any]:
        width = (stop - start) / n
        return (start + width * (np.arange(n)[:, None] + (points + 1.0) / 2.0)).ravel(), np.tile(weights * width / 2.0, n)

    def density(move: Any) -> Any:
        return np.exp(-((move / sd) ** 2) / 2.0) / (sd * sqrt(2.0 * pi))

    x, w = grid(-gamma, gamma, panels)
    inside = np.linalg.solve(np.eye(len(x)) - density(x[:, None] - x) * w, density(x - gamma) + density(x + gamma))
    atom = 1.0 / (w @ inside + 2.0)
    u, du = grid(0.0, 12.0 * sd, 48)
    beyond = atom * (density(gamma + u[:, None] - x) @ (w * inside) + density(u) + density(2.0 * gamma + u))
    # Profit over V(P) is exp(±γ/2) 2 sinh²(u/4), by side.
    return float(2.0 * atom), float(2.0 * (du * beyond) @ (2.0 * np.sinh(u / 4.0) ** 2)) * cosh(gamma / 2.0) / (sd**2 / 8.0)


# Seconds between blocks, γ in bp: P_trade and ARB over LVR, to the digits they are printed with.
POISSON = {
    (12.0, 30): (0.121951, 0.121951),
    (2.0, 30): (0.0536586, 0.0536587),
    (0.25, 30): (0.0196529, 0.0196529),
    (12.0, 5): (0.454545, 0.454545),
    (2.0, 5): (0.253847, 0.253847),
    (0.25, 5): (0.107367, 0.107367),
}
FIXED = {
    (12.0, 30): (0.124627, 0.102683),
    (2.0, 30): (0.0541705, 0.044632),
    (0.25, 30): (0.0197212, 0.0162486),
    (12.0, 5): (0.494734, 0.406923),
    (2.0, 5): (0.265724, 0.218934),
    (0.25, 5): (0.109436, 0.0901662),
}
# Seconds between blocks: P_trade in per cent at 1, 5, 10, 30 and 100 bp.
TABLE = {
    600.0: (96.7, 85.5, 74.7, 49.5, 22.8),
    120.0: (92.9, 72.5, 56.9, 30.5, 11.6),
    12.0: (80.6, 45.5, 29.4, 12.2, 4.0),
    2.0: (63.0, 25.4, 14.5, 5.4, 1.7),
    0.25: (37.6, 10.7, 5.7, 2.0, 0.6),
    0.05: (21.2, 5.1, 2.6, 0.9, 0.3),
}
FEES = (1, 5, 10, 30, 100)


def test_theory_is_as_listed() -> None:
    for (block_time, bp), (share, arbitrage) in POISSON.items():
        assert poisson_share(bp * BP, block_time) == pytest.approx(share, rel=5e-6)
        assert poisson_arbitrage(bp * BP, block_time) == pytest.approx(arbitrage, rel=5e-6)
    for (block_time, bp), listed in FIXED.items():
        assert fixed_chain(bp * BP, block_time) == pytest.approx(listed, rel=1e-5)
    for block_time, row in TABLE.items():
        assert [100.0 * poisson_share(bp * BP, block_time) for bp in FEES] == pytest.approx(row, abs=0.0501)


# ---- what the simulator says


class Found(NamedTuple):
    """Means over the blocks of a world."""

    share: float
    """Blocks with a trade."""
    arbitrage: float
    """Profit over V(P) and σ²/8 a block."""
    fees: float
    """Fees over V(P) and σ²/8 a block."""


def pools(gamma: float, block_time: float, blocks: int, times: Blocks, n: int, offset: float = 0.5, **price: str) -> Scenario:
    """The file's scenario with ``n`` pools instead of one, their mispricings at the start spread evenly over the band."""
    plan = YAML(typ="safe").load(SCENARIOS / "lvr.yaml")
    plan["duration"] = f"{round(blocks * block_time * 1e9)} ns"
    plan["chains"]["arb"]["sequencer"] = {"kind": "sequencer", "block_time": f"{round(block_time * 1e9)} ns", "blocks": times}
    eth, pool, agent = plan["prices"]["eth"] | price, plan["markets"]["pool"], plan["agents"]["arbitrageur"]
    start = [gamma * (2.0 * (k + offset) / n - 1.0) for k in range(n)]
    plan["prices"] = {f"eth_{k}": eth for k in range(n)}
    plan["markets"] = {
        f"pool_{k}": pool | {"base": f"eth_{k}", "fee": -expm1(-gamma), "quote_reserve": f"{BASE * PRICE * exp(start[k])!r} USD"}
        for k in range(n)
    }
    plan["agents"] = {f"arbitrageur_{k}": agent | {"market": f"pool_{k}"} for k in range(n)}
    return Scenario.of(plan, "lvr")


class Trades(NamedTuple):
    """All trades of a run, as columns in the order of execution."""

    pool: Any
    """Number of the pool."""
    block: Any
    profit: Any
    """US dollars, the result valued at what it was traded back for outside."""
    fee: Any
    """US dollars, paid out of the pool."""
    price: Any
    """Outside, US dollars."""


def trades(log: Log, gamma: float) -> Trades:
    block, market, action, status, x, y = log.select(TransactionIncluded, "block", "market", "action", "status", "x", "y")
    quantity, cost = log.select(OutsideTraded, "quantity", "cost")
    assert not status.any()
    number = np.array([int(name.removeprefix("pool_")) if name.startswith("pool_") else -1 for name in log.names.all])
    buys = action == log.names.find("buy")
    assert (quantity == np.where(buys, -y, x)).all()
    fee = np.where(buys, x * -expm1(-gamma), y * expm1(gamma))
    return Trades(number[market], block, np.where(buys, -x, y) - cost, fee, cost / quantity)


def found(scenario: Scenario, gamma: float, block_time: float, replication: int) -> Found:
    log = run(scenario, SEED, replication)
    made, n = log.about["chains"]["arb"]["blocks"], len(scenario.markets)
    first = int(WARM_UP * made)
    done = trades(log, gamma)
    late = done.block > first
    quotes = np.array([scenario.markets[f"pool_{k}"].quote_reserve for k in range(n)])  # type: ignore[attr-defined]
    value = 2.0 * np.sqrt(BASE * quotes[done.pool] * done.price)
    seen = n * (made - first)
    unit = seen * step(block_time) ** 2 / 8.0
    return Found(late.sum() / seen, (done.profit / value)[late].sum() / unit, (done.fee / value)[late].sum() / unit)


@cache
def estimates(bp: float, block_time: float, times: Blocks, n: int) -> tuple[Estimate, Estimate, Estimate, Estimate]:
    """P_trade, ARB, FEE and their sum over LVR, from ``n`` blocks of pools in all."""
    drift = {"drift": f"{SIGMA**2 / 2.0 * 100:.9g} %/day"}  # the logarithm has none
    blocks = int(n / (POOLS * WORLDS * (1.0 - WARM_UP)))
    worlds = [
        found(pools(bp * BP, block_time, blocks, times, POOLS, (w + 0.5) / WORLDS, **drift), bp * BP, block_time, w) for w in range(WORLDS)
    ]
    columns = np.array(worlds).T
    share, arbitrage, fees = map(Estimate.of, columns)
    return share, arbitrage, fees, Estimate.of(columns[1] + columns[2])


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


@pytest.mark.validate
@pytest.mark.parametrize(("block_time", "bp"), POISSON)
def test_fees_and_blocks_at_random_times_in_full(block_time: float, bp: float, record_property: Callable[..., None]) -> None:
    for line in check_poisson(block_time, bp, 2_000_000, full=True):
        record_property("validation", line)


@pytest.mark.validate
@pytest.mark.parametrize(("block_time", "bp"), FIXED)
def test_fees_and_blocks_at_fixed_times_in_full(block_time: float, bp: float, record_property: Callable[..., None]) -> None:
    for line in check_fixed(block_time, bp, 2_000_000):
        record_property("validation", line)


@pytest.mark.validate
@pytest.mark.parametrize("bp", FEES)
@pytest.mark.parametrize("block_time", TABLE)
def test_how_often_there_is_a_trade_in_full(block_time: float, bp: float, record_property: Callable[..., None]) -> None:
    record_property("validation", check_cell(block_time, bp, 500_000))


# ---- without fees


def losses(block_time: float, days: float, n: int, **price: str) -> Any:
    """What arbitrageurs earned from ``n`` pools without fees, US dollars each."""
    scenario = pools(0.0, block_time, round(days * DAY / block_time), "fixed", 40, **price)
    runs = [trades(run(scenario, SEED, replication), 0.0) for replication in range(n // 40)]
    return np.concatenate([np.bincount(done.pool, done.profit, minlength=40) for done in runs])


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
        check_long(1_200, drift=f"{SIGMA**2 / 2.0 * 100:.9g} %/day")


def test_marking_at_the_stale_price_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def stale(prices: LivePrices, name: str) -> float:
        return prices._paths[name][max(prices._at() - 1, 0)]

    monkeypatch.setattr(LivePrices, "path", stale)
    with pytest.raises(DisagreementError) as caught:
        check_without_fees(3_600.0, 400)
    assert " -3" in str(caught.value)


@pytest.mark.validate
def test_fixed_blocks_under_the_name_of_poisson_are_caught() -> None:
    with pytest.raises(DisagreementError, match=r"1\.2"):
        check_poisson(12.0, 30, 600_000, "fixed")
