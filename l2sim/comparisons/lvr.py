"""LVR: what the providers of a pool lose to arbitrageurs, against the theory of loss versus rebalancing."""

from collections.abc import Mapping
from math import ceil, cosh, expm1, log1p, pi, sqrt
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from l2sim.comparisons import Comparison, Curves, FactorName, Line, Reading, Sample, WorldName
from l2sim.part import FigureName, MarketName, did_you_mean
from l2sim.statistics.intervals import Interval, interval
from l2sim.statistics.sample import Cell, Written, sentence
from l2sim.units import DURATION, FRACTION, SECOND, SECONDS_A_YEAR, USD, VOLATILITY, YEARLY
from l2sim.wording import amount, number, phrase

PANELS = 256
"""At most: where they are wider than four steps, which takes a band of more than a thousand, digits are lost."""

Floats = npt.NDArray[np.float64]


class _Place(NamedTuple):
    """What was found at a level of the factor, and what theory says."""

    cell: Cell
    found: Interval
    theory: float
    without_fee: float
    z: float


class LVR(Comparison):
    """What arbitrageurs gain from the providers of a constant-product pool, against theory, point by point.

    Without a fee the providers lose σ²/8 of the pool's value a unit of time to arbitrageurs, whatever the time between blocks (Milionis,
    Moallemi, Roughgarden, Zhang 2022, "Automated market making and loss-versus-rebalancing", arXiv 2208.06046). With a fee f,
    γ = -ln(1 - f), arbitrageurs keep a part of that, ARB/LVR: with blocks at random times of rate λ it is
    ``P_trade cosh(γ/2) / (1 - σ²/(8λ))``, ``P_trade = 1 / (1 + sqrt(2λ) γ/σ)`` (Milionis, Moallemi, Roughgarden 2023, "Automated market
    making and arbitrage profits in the presence of fees", arXiv 2305.14604); at fixed times it is the integral over the stationary
    mispricing of a random walk that is clipped to the band (Nezlobin, Tassy 2025, arXiv 2505.05113), found by quadrature.

    The theory's price is a geometric Brownian motion, its arbitrageurs pay no gas and are never late, and the mispricing is stationary: a
    run should last much longer than (γ/σ)², the time to cross the band. Volatility, fee, block time and the pool's value are taken from
    each point's resolved scenario.
    """

    figure: FigureName
    """What arbitrageurs gain from the pool over a run, in US dollars, such as ``profit.groups.arbitrageur.profit``."""
    pool: MarketName
    """The pool, by its name among the scenario's markets."""
    over: FactorName
    """The factor along the axis, such as the block time, by its name in the design; all other factors are lines."""
    where: dict[FactorName, Written] = {}
    """Levels of factors to look at alone."""
    world: WorldName = "as_written"
    """The world."""

    def read(self, sample: Sample) -> Reading:
        import pandas as pd

        figure, over = sample.figure(self.figure), sample.factor(self.over)
        sample.world(self.world)
        by = sample.others(over, *self.where)
        findings: list[str] = []
        lines: list[Line] = []
        places: list[_Place] = []
        for cell in sample.cells(by, self.where):
            here = [self._place(sample, one, cell) for one in sample.cells([over], {**self.where, **cell.levels})]
            name = sample.words(cell.levels)
            x = [place.cell.levels[over] for place in here]
            lines.append(Line(name or "measured", x, [place.found for place in here]))
            exact = [Interval(place.theory, place.theory, place.theory, 0) for place in here]
            lines.append(Line(f"theory, {name}" if name else "theory", x, exact, theory=True))
            findings.append(self._told(sample, name, here))
            places += here
        findings.append(self._agreement(sample, places))
        rows = [
            {**place.cell.levels, **place.found._asdict(), "unit": "USD", "theory": place.theory, "without_fee": place.without_fee}
            | {"share": place.found.mean / place.without_fee, "share_in_theory": place.theory / place.without_fee, "z": place.z}
            for place in places
        ]
        columns = [*by, over, *Interval._fields, "unit", "theory", "without_fee", "share", "share_in_theory", "z"]
        numeric = not any(isinstance(level, str) for level in sample.levels(over))
        picture = Curves(sample.label(over), sample.unit(over), sample.label(figure), "USD", lines, x_log=numeric, y_log=numeric)
        return Reading(findings, pd.DataFrame(rows, columns=columns), picture, 2 * len(rows))

    def _place(self, sample: Sample, cell: Cell, line: Cell) -> _Place:
        values = sample.observed(self.world, self.figure, cell.points)
        found = interval(values)
        each = [expected(sample.resolved(point), self.pool) for point in cell.points]
        theory, without_fee = (float(np.mean(column)) for column in zip(*each, strict=True))
        error = float(values.std(ddof=1)) / sqrt(found.n) if found.n > 1 else 0.0
        z = (found.mean - theory) / error if error > 0 else float("nan")
        return _Place(Cell({**line.levels, **cell.levels}, cell.points), found, theory, without_fee, z)

    # ---- words

    def _told(self, sample: Sample, given: str, places: list[_Place]) -> str:
        seen = [place for place in places if place.found.n]
        what = sample.label(self.figure)
        if not seen:
            return sentence(f"{what} was never observed", given)

        def at(place: _Place) -> str:
            share = amount(place.found.mean / place.without_fee, "%")
            where = sample.words({self.over: place.cell.levels[self.over]})
            return f"{phrase(place.found, 'USD')} at {where} (theory {amount(place.theory, 'USD')}), {share} of the loss without a fee"

        ends = seen if len(seen) == 1 else [seen[0], seen[-1]]
        return sentence(f"{what} is {' and '.join(map(at, ends))}", given)

    def _agreement(self, sample: Sample, places: list[_Place]) -> str:
        tested = [place for place in places if not np.isnan(place.z)]
        if not tested:
            return "Without two replications of a point nothing can be said about how far theory is off."
        worst = max(tested, key=lambda place: abs(place.z))
        beyond = sum(abs(place.z) > 2 for place in tested)
        return (
            f"Theory is off by at most {number(abs(worst.z), 1)} standard errors (at {sample.words(worst.cell.levels)}), "
            f"and by more than two at {beyond} of {len(tested)} points."
        )


# ---- what theory says


def expected(resolved: Mapping[str, Any], pool: str) -> tuple[float, float]:
    """What arbitrageurs are expected to gain over a run (US dollars), and what they would without a fee.

    Raises:
        ValueError: the scenario is none that the theory is about.
    """
    markets = {name: market for name, market in resolved["markets"].items() if market["kind"] == "constant_product"}
    if pool not in markets:
        raise ValueError(f"there is no pool '{pool}' of kind constant_product{did_you_mean(pool, markets)}")
    market = markets[pool]
    price = resolved["prices"][market["base"]]
    if price["kind"] != "geometric_brownian" or price.get("shocks"):
        raise ValueError(f"theory needs a geometric Brownian price without shocks, and '{market['base']}' is another")
    sequencer = resolved["chains"][market["on"]].get("sequencer")
    if sequencer is None or "block_time" not in sequencer:
        raise ValueError(f"theory needs the time between blocks, and chain '{market['on']}' of pool '{pool}' has no sequencer that says it")
    seconds = DURATION.read(resolved["duration"]) / SECOND
    block_time = DURATION.read(sequencer["block_time"]) / SECOND
    variance = VOLATILITY.read(price["volatility"]) ** 2 / SECONDS_A_YEAR
    start, reserve = USD.read(price["start"]), float(market["base_reserve"])
    quote = reserve * start if market.get("quote_reserve") is None else USD.read(market["quote_reserve"])
    # The value at the market price is 2 sqrt(x y P), and sqrt(P) grows by half the drift less σ²/8.
    growth = YEARLY.read(price["drift"]) / SECONDS_A_YEAR / 2.0 - variance / 8.0
    value = 2.0 * sqrt(reserve * quote * start)
    without_fee = variance / 8.0 * value * (expm1(growth * seconds) / growth if growth else seconds)
    gamma, step = -log1p(-FRACTION.read(market["fee"])), sqrt(variance * block_time)
    kept = random_times(gamma, step) if sequencer.get("blocks") == "poisson" else fixed_times(gamma, step)
    return without_fee * kept, without_fee


def random_times(gamma: float, step: float) -> float:
    """ARB over LVR with blocks at random times; ``step`` is the standard deviation of the log price over a mean block time."""
    return cosh(gamma / 2.0) / (1.0 + sqrt(2.0) * gamma / step) / (1.0 - step**2 / 8.0)


def fixed_times(gamma: float, step: float) -> float:
    """ARB over LVR with blocks at fixed times; ``step`` is the standard deviation of the log price over a block.

    In the stationary state the mispricing after a block has atoms A at both edges of the band and a density g inside, which solves
    ``g = K g + A (edges)`` with K the normal step; their sum is 1. A trade u beyond the edge gains ``2 sinh²(u/4) cosh(γ/2)`` of the
    pool's value, both sides together. By Gauss-Legendre quadrature on panels as wide as a step.
    """
    if gamma == 0.0:
        return 1.0
    panels = min(max(ceil(2.0 * gamma / step), 8), PANELS)
    x, weight = _quadrature(-gamma, gamma, panels)

    def density(move: Floats) -> Floats:
        found: Floats = np.exp(-((move / step) ** 2) / 2.0) / (step * sqrt(2.0 * pi))
        return found

    kernel = density(x[:, None] - x) * weight
    inside = np.linalg.solve(np.eye(len(x)) - kernel, density(x - gamma) + density(x + gamma))
    atom = 1.0 / float(weight @ inside + 2.0)
    u, width = _quadrature(0.0, 12.0 * step, 48)
    beyond = atom * (density(gamma + u[:, None] - x) @ (weight * inside) + density(u) + density(2.0 * gamma + u))
    gain = 2.0 * float((width * beyond) @ (2.0 * np.sinh(u / 4.0) ** 2))
    return gain * cosh(gamma / 2.0) / (step**2 / 8.0)


def _quadrature(start: float, stop: float, panels: int) -> tuple[Floats, Floats]:
    """Points and weights of Gauss and Legendre, eight a panel."""
    points, weights = np.polynomial.legendre.leggauss(8)
    width = (stop - start) / panels
    places = start + width * (np.arange(panels)[:, None] + (points + 1.0) / 2.0)
    return places.ravel(), np.tile(weights * width / 2.0, panels)
