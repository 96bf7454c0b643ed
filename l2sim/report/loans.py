"""Loans: when they were liquidated and at which price, how late, and who gained and lost by it."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from l2sim.events import BadDebtIncurred, LoanLiquidated
from l2sim.report import series
from l2sim.report.evidence import Evidence
from l2sim.report.figures import BLACK, BLUE, CALM, GREEN, INK, PURPLE, SHADE, VERMILLION, Drawing, Picture, canvas, legend, quantity_axis
from l2sim.report.series import Series
from l2sim.report.tables import Table, head_of, rows_of
from l2sim.statistics.intervals import Interval, interval
from l2sim.units import SECOND
from l2sim.wording import amount, listed

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from l2sim.log import Log
    from l2sim.results import Results

Floats = npt.NDArray[np.float64]

BINS = 120
PARTIES = {"borrowers": "borrowers", "liquidators": "liquidators", "protocol": "the protocol", "lenders": "lenders (bad debt)"}
FIGURES = (
    "loans", "liquidations", "repaid", "seized", "borrowers_lost", "liquidators_gained", "protocol_gained", "bad_debt", "repaid_share",
    "health_factor",
)  # fmt: skip
_FEW_PRICES = (INK, BLUE, PURPLE, GREEN)


class Sums(NamedTuple):
    """What liquidations did to each party in a pool (USD), by replication."""

    pool: str
    party: str
    amounts: Floats


class Strip(NamedTuple):
    """A pool's liquidations over time, in equal intervals (USD)."""

    pool: str
    repaid: Series
    seized: Series
    unpaid: Series
    prices: dict[str, Series]
    """Of each collateral that was seized, relative to its first."""


def pictures(evidence: Evidence) -> Iterator[Picture]:
    """Liquidations over time in the first replication; health factors and sums over all of them."""
    first = next(iter(evidence.written.measured))
    log = evidence.written.log(first)
    strips = [strip(log, pool) for pool in log.present(LoanLiquidated, "market")]
    if strips:
        yield _timeline(evidence, log, strips, first)
    gains, health = sums(evidence.written), _health(evidence.written)
    if gains:
        yield _sides(evidence, gains, health)


def tables(evidence: Evidence) -> Iterator[Table]:
    """The metric's figures, metric by metric."""
    for name, metric in evidence.metrics("loan_liquidations").items():
        agents = [figure.partition(".")[2] for figure in evidence.figures if figure.startswith(f"{name}.") and figure.endswith(".gained")]
        rows = rows_of(evidence, name, [*FIGURES, *agents])
        where = getattr(metric, "market", None)
        if rows:
            caption = f"Loans liquidated{f' in {where}' if where else ''}: {evidence.how}"
            note = "Worth at the prices that the pool saw; before fees, and before anything is sold."
            yield Table(caption, head_of(evidence), rows, note=note)


def strip(log: "Log", pool: str) -> Strip:
    """The liquidations of a pool and the prices of what was seized."""
    ends = series.edges(log, BINS)
    middle = (ends[1:] + ends[:-1]) / 2
    times, collateral, repaid, seized = log.select(LoanLiquidated, "time", "collateral", "repaid_value", "seized_value", market=pool)
    when, unpaid = log.select(BadDebtIncurred, "time", "amount", market=pool)

    def summed(at: "npt.NDArray[np.int64]", amounts: Floats) -> Series:
        return Series(middle, np.histogram(at, ends, weights=amounts)[0])

    prices = {}
    for code in np.unique(collateral).tolist():
        _, index = series.outside(log, log.names.all[code])
        if index.there:
            prices[log.names.all[code]] = Series(index.times, index.values / index.values[0])
    return Strip(pool, summed(times, repaid), summed(times, seized), summed(when, unpaid), prices)


def sums(results: "Results") -> list[Sums]:
    """Who gained and who lost in each pool; a loss is negative, and all sum to zero but for bad debt, which nobody got."""
    logs = [results.log(number) for number in results.measured]
    found = []
    for pool in sorted({pool for log in logs for pool in log.present(LoanLiquidated, "market")}):
        rows = []
        for log in logs:
            repaid, seized, fee = log.select(LoanLiquidated, "repaid_value", "seized_value", "protocol_fee", market=pool)
            (unpaid,) = log.select(BadDebtIncurred, "amount", market=pool)
            bonus = float((seized - repaid).sum())
            rows.append((-bonus, bonus - float(fee.sum()), float(fee.sum()), -float(unpaid.sum())))
        found += [Sums(pool, party, column) for party, column in zip(PARTIES, np.array(rows).T, strict=True)]
    return found


def _health(results: "Results") -> dict[str, Floats]:
    """Health factors right before liquidation, by pool, of all replications."""
    found: dict[str, list[Floats]] = {}
    for number in results.measured:
        log = results.log(number)
        for pool in log.present(LoanLiquidated, "market"):
            found.setdefault(pool, []).extend(log.select(LoanLiquidated, "health_factor", market=pool))
    return {pool: np.concatenate(parts) for pool, parts in sorted(found.items())}


# ---- over time


def _timeline(evidence: Evidence, log: "Log", strips: list[Strip], first: int) -> Picture:
    per, hours = series.time_unit(log.about["duration"])
    heights = [height for found in strips for height in ([0.75] if found.prices else []) + [1.1]]
    with canvas(0.6 + 1.5 * sum(heights)) as figure:
        stack = iter(figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0])
        every = []
        for found in strips:
            if found.prices:
                every.append(_prices(next(stack), found, per))
            every.append(_amounts(next(stack), found, per))
        for axes in every:
            for window in series.windows(log):
                axes.axvspan(window.begins / per, window.ends / per, facecolor=SHADE, edgecolor="none", zorder=0)
        every[-1].set_xlim(0, log.about["duration"] / per)
        every[-1].set_xlabel(f"simulated time, {hours}")
        figure.align_ylabels(every)
        drawn = Drawing(figure, "loans")
    caption = f"Replication {first}{f' of n = {evidence.replications}' if evidence.replications > 1 else ''}. "
    caption += f"Upwards, in {BINS} equal intervals: what liquidators seized, and what of that paid for debt; "
    caption += "downwards: debt that was written off. Prices are the outside index, impact included."
    alt = f"Liquidations in {listed([found.pool for found in strips])} over time."
    return Picture("loans", "Loans liquidated over time", caption, alt, drawn, _rows(strips))


def _prices(axes: "Axes", found: Strip, per: float) -> "Axes":
    for (name, points), colour in zip(found.prices.items(), _FEW_PRICES * len(found.prices), strict=False):
        axes.plot(points.times / per, points.values, color=colour, linewidth=1.1, label=name)
    axes.set_title(f"Price of the collateral in {found.pool}, relative to the start")
    axes.set_ylabel(quantity_axis(axes.yaxis, "%", 1.0, ticks=4))
    legend(axes)
    return axes


def _amounts(axes: "Axes", found: Strip, per: float) -> "Axes":
    middle = found.seized.times / per
    width = middle[1] - middle[0]
    for points, sign, look in (
        (found.seized, 1.0, {"facecolor": "white", "edgecolor": VERMILLION, "hatch": "//////", "linewidth": 0.5, "label": "seized"}),
        (found.repaid, 1.0, {"facecolor": BLUE, "edgecolor": BLUE, "linewidth": 0.5, "label": "repaid"}),
        (found.unpaid, -1.0, {"facecolor": BLACK, "edgecolor": BLACK, "linewidth": 0.5, "label": "bad debt, downwards"}),
    ):
        some = points.values > 0
        if some.any():
            options: dict[str, Any] = {**look, "width": width}
            axes.bar(middle[some], sign * points.values[some], **options)
    axes.axhline(0.0, color=INK, linewidth=0.6)
    axes.set_title(f"Liquidated in {found.pool}")
    largest = float(max(found.seized.values.max(), found.unpaid.values.max()))
    axes.set_ylabel(quantity_axis(axes.yaxis, "USD", largest, magnitude=True))
    legend(axes)
    return axes


def _rows(strips: list[Strip]) -> "pd.DataFrame":
    import pandas as pd

    frames = []
    for found in strips:
        lines = {"repaid": found.repaid, "seized": found.seized, "bad_debt": found.unpaid}
        lines |= {f"price of {name}": points for name, points in found.prices.items()}
        for name, points in lines.items():
            unit = "1" if name.startswith("price") else "USD"
            about = {"pool": found.pool, "line": name, "unit": unit}
            frames.append(pd.DataFrame(about | {"seconds": points.times / SECOND, "value": points.values}))
    return pd.concat(frames, ignore_index=True)


# ---- how late, and who paid


def _sides(evidence: Evidence, gains: list[Sums], health: Mapping[str, Floats]) -> Picture:
    calm = {(one.pool, one.party): one for one in sums(evidence.calm)} if evidence.calm is not None else {}
    pools = list(health)
    with canvas(max(2.6, 0.9 + 0.24 * len(gains))) as figure:
        left, right = figure.subplots(1, 2, width_ratios=[1.0, 1.25])
        _cumulative(left, health)
        _bars(right, gains, calm, several=len(pools) > 1)
        drawn = Drawing(figure, "loans_sides")
    n = evidence.replications
    caption = f"Left: share of the {amount(sum(map(len, health.values())))} liquidations in all replications at or below a health factor, "
    caption += "right before. "
    caption += "Right: at the prices that the pool saw; liquidators before fees and before they sold anything. "
    caption += f"Means over n = {n} replications; whiskers: 95 % intervals (Student's t)." if n > 1 else "One replication, so no intervals."
    caption += " Hollow squares: without the attack." if calm else ""
    title = "How late loans were liquidated, and who gained and lost by it"
    alt = f"Health factors at liquidation and gains by party in {listed(pools)}."
    return Picture("loans_sides", title, caption, alt, drawn, _data(gains, calm))


def _cumulative(axes: "Axes", health: Mapping[str, Floats]) -> None:
    looks = ((VERMILLION, "-"), (BLUE, (0, (4, 2))), (GREEN, (0, (1, 1.2))), (PURPLE, (0, (6, 1.5, 1, 1.5))))
    for place, (pool, factors) in enumerate(health.items()):
        colour, dashes = looks[place % len(looks)]
        ordered = np.sort(factors)
        points = np.append(0, np.unique(np.linspace(0, len(ordered) - 1, 500).astype(np.int64)))
        shares = (points + 1.0) / len(ordered)
        shares[0] = 0.0
        axes.step(ordered[points], shares, where="post", color=colour, linestyle=dashes, linewidth=1.4, label=pool)
    least = min(float(np.quantile(factors, 0.005)) for factors in health.values())
    axes.set_xlim(min(least, 0.98) - 0.005, 1.002)
    axes.axvline(1.0, color=INK, linewidth=0.7)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("health factor (liquidatable below 1)")
    axes.set_ylabel(f"share of liquidations, {quantity_axis(axes.yaxis, '%', 1.0)}")
    axes.set_title("")
    if len(health) > 1:
        axes.legend(loc="center left")


def _bars(axes: "Axes", gains: list[Sums], calm: Mapping[tuple[str, str], Sums], *, several: bool) -> None:
    means = {(one.pool, one.party): interval(one.amounts) for one in gains}
    places = np.arange(len(gains))[::-1].astype(float)
    for place, one in zip(places, gains, strict=True):
        found = means[one.pool, one.party]
        colour = VERMILLION if found.mean < 0 else BLUE
        whisker: dict[str, Any] = {"ecolor": INK, "elinewidth": 0.9, "capsize": 2.0}
        axes.barh(place, found.mean, height=0.6, color=colour, xerr=_half(found), error_kw=whisker)
        if without := calm.get((one.pool, one.party)):
            axes.plot(interval(without.amounts).mean, place, "s", markerfacecolor="white", color=CALM["color"], markersize=5)
    axes.axvline(0.0, color=INK, linewidth=0.7)
    names = [f"{one.pool}: {PARTIES[one.party]}" if several else PARTIES[one.party] for one in gains]
    axes.set_yticks(places, names)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(visible=True, axis="x")
    axes.grid(visible=False, axis="y")
    largest = max(abs(bound) for found in means.values() for bound in found[:3] if np.isfinite(bound))
    axes.set_xlabel(f"gain, {quantity_axis(axes.xaxis, 'USD', largest, ticks=4)}")


def _half(found: Interval) -> float:
    return float(np.nan_to_num(found.high - found.mean))


def _data(gains: list[Sums], calm: Mapping[tuple[str, str], Sums]) -> "pd.DataFrame":
    import pandas as pd

    worlds = (("written", gains), ("without", calm.values()))
    rows = [(one.pool, one.party, world, *interval(one.amounts)) for world, every in worlds for one in every]
    return pd.DataFrame(rows, columns=["pool", "party", "world", "mean_usd", "low_usd", "high_usd", "n"])
