"""Loss versus rebalancing: what theory says of a pool and an arbitrageur, and how the simulator is asked.

Milionis, Moallemi, Roughgarden, Zhang 2022 (arXiv 2208.06046) without fees; Milionis, Moallemi, Roughgarden 2023 (arXiv 2305.14604)
with fees and blocks at random times; Nezlobin, Tassy 2025 (arXiv 2505.05113) with blocks at fixed times. A half band γ is the fee
f = 1 - exp(-γ), paid out in US dollars on both sides; u is how far beyond the band's edge the price is when there is a trade.
"""

from functools import cache
from math import cosh, exp, expm1, pi, sqrt
from typing import Any, Literal, NamedTuple

import numpy as np
from ruamel.yaml import YAML
from validation import SCENARIOS, SEED, Estimate

from l2sim.events import OutsideTraded, TransactionIncluded
from l2sim.log import Log
from l2sim.scenario import Scenario
from l2sim.streams import Streams
from l2sim.world.world import World

Blocks = Literal["fixed", "poisson"]

SIGMA = 0.05  # per sqrt(day)
DAY = 86_400.0
BASE, PRICE = 2_500.0, 2_000.0
VALUE = 2.0 * BASE * PRICE
POOLS = 10  # in one world, each with a price of its own; they share the times of blocks
WORLDS = 32  # which share nothing
COMPILED = 1_000_000  # blocks from which compiled code pays
WARM_UP = 0.1  # share of the blocks that is left out, until the edges of the band are as full as they stay
BP = 1e-4
DRIFTLESS = f"{SIGMA**2 / 2.0 * 100:.9g} %/day"  # growth of the mean price with which its logarithm has no drift


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


def run(scenario: Scenario, replication: int = 0, blocks: int = 0) -> Log:
    return World(scenario, Streams(SEED, replication), engine="arrays" if blocks >= COMPILED else "lists").run()


def found(log: Log, scenario: Scenario, gamma: float, block_time: float) -> Found:
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
    gamma, blocks = bp * BP, int(n / (POOLS * WORLDS * (1.0 - WARM_UP)))
    worlds = []
    for number in range(WORLDS):
        scenario = pools(gamma, block_time, blocks, times, POOLS, (number + 0.5) / WORLDS, drift=DRIFTLESS)
        worlds.append(found(run(scenario, number, n), scenario, gamma, block_time))
    columns = np.array(worlds).T
    share, arbitrage, fees = map(Estimate.of, columns)
    return share, arbitrage, fees, Estimate.of(columns[1] + columns[2])
