"""Cascades: how large they are, in every world on the same luck, and how many times larger because they move the price."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from l2sim.events import LoanLiquidated, PositionLiquidated
from l2sim.metrics.liquidation_cascade import LiquidationCascade
from l2sim.report.evidence import Evidence
from l2sim.report.figures import CALM, FAINT, STILL, WRITTEN, Drawing, Picture, canvas, plain_axis, quantity_axis
from l2sim.report.tables import Table, head_of, row_of
from l2sim.results.run import AS_WRITTEN, WITHOUT_ATTACKS, WITHOUT_IMPACT
from l2sim.statistics.intervals import interval
from l2sim.wording import amount, listed, phrase, scale, span, verdict

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from l2sim.log import Log
    from l2sim.results import Results

Floats = npt.NDArray[np.float64]

WORLDS = {
    AS_WRITTEN: ("as written", WRITTEN, "o"),
    WITHOUT_ATTACKS: ("without attack", CALM, "s"),
    WITHOUT_IMPACT: ("without impact", STILL, "^"),
}
FIGURES = ("notional", "positions", "cascades", "largest_notional", "largest_positions", "largest_rounds", "price_drop", "traders_lost")


class Sizes(NamedTuple):
    """The cascades of a world."""

    world: str
    replications: list[int]
    notional: list[Floats]
    """Of each cascade in US dollars, by replication."""

    @property
    def totals(self) -> Floats:
        """Notional liquidated in each replication."""
        return np.array([notional.sum() for notional in self.notional])


def picture(evidence: Evidence, name: str, metric: LiquidationCascade) -> Picture | None:
    """Sizes of cascades and totals by replication; nothing where nobody was liquidated in any world."""
    worlds = {AS_WRITTEN: evidence.written, WITHOUT_ATTACKS: evidence.calm, WITHOUT_IMPACT: evidence.still}
    found = [_sizes(world, results, metric) for world, results in worlds.items() if results is not None]
    if not any(sizes.totals.any() for sizes in found):
        return None
    anchor = evidence.anchor("cascades", name)
    with canvas(3.0) as figure:
        left, right = figure.subplots(1, 2, width_ratios=[1.35, 1.0])
        _survival(left, found)
        _totals(right, found)
        figure.legend(*left.get_legend_handles_labels(), loc="outside upper left", ncols=3)
        drawn = Drawing(figure, anchor)
    n = evidence.replications
    over = f"averaged over n = {n} replications" if n > 1 else "in the only one there is"
    caption = (
        f"Left: how many cascades of a replication are at least so large, {over}; "
        f"liquidations belong to one cascade as long as none waits more than {span(metric.gap)} for the next. "
        "Right: notional liquidated in each replication, thin lines join worlds on the same luck"
    )
    caption += "; bars: mean and 95 % interval (Student's t over replications)." if n > 1 else "; one replication, so no interval."
    labels = listed([WORLDS[sizes.world][0] for sizes in found])
    return Picture(anchor, f"Sizes of liquidation cascades{evidence.which(name)}", caption, f"Cascade sizes {labels}.", drawn, _data(found))


def table(evidence: Evidence, name: str) -> Table:
    """The metric's figures in every world."""
    rows = []
    for figure in (f"{name}.{figure}" for figure in FIGURES):
        if evidence.level(figure).n:
            row = row_of(evidence, figure, evidence.label(figure))
            still = evidence.level(figure, WITHOUT_IMPACT).mean
            like = evidence.level(figure).mean or None
            rows.append([*row, *([amount(still, evidence.unit(figure), like=like)] if evidence.still is not None else [])])
    head = head_of(evidence, *(["without impact"] if evidence.still is not None else []))
    return Table(f"Liquidations{evidence.which(name)}: {evidence.how}", head, rows)


def multipliers(evidence: Evidence) -> Table | None:
    """How many times larger figures are than where trades move no price."""
    rows = []
    for name, found in evidence.multipliers():
        words = evidence.label(name) + evidence.which(name.partition(".")[0])
        rows.append([words, phrase(found, "×"), verdict(found, "one"), str(found.n), str(evidence.replications - found.n)])
    head = ["", "ratio", "", "pairs", "pairs without a ratio"]
    note = "As written over the same luck where trades move no price"
    note += "; geometric mean, 95 % interval from Student's t on logarithms." if evidence.replications > 1 else "."
    return Table("Multiplier of the loop between price and liquidations", head, rows, note=note) if rows else None


def _sizes(world: str, results: "Results", metric: LiquidationCascade) -> Sizes:
    return Sizes(world, list(results.measured), [_cascades(results.log(number), metric) for number in results.measured])


def _cascades(log: "Log", metric: LiquidationCascade) -> Floats:
    times, size, mark = log.select(PositionLiquidated, "time", "size", "mark", market=metric.market)
    when, seized = log.select(LoanLiquidated, "time", "seized_value", market=metric.market)
    times, notional = np.concatenate([times, when]), np.concatenate([np.abs(size) * mark, seized])
    if not len(times):
        return np.empty(0)
    order = np.argsort(times, kind="stable")
    first = np.append(0, np.flatnonzero(np.diff(times[order]) > metric.gap) + 1)
    sums: Floats = np.add.reduceat(notional[order], first)
    return sums


def _survival(axes: "Axes", found: list[Sizes]) -> None:
    sizes = [np.sort(np.concatenate(world.notional)) for world in found]
    largest = max(float(pooled[-1]) for pooled in sizes if len(pooled))
    for world, pooled in zip(found, sizes, strict=True):
        label, style, _ = WORLDS[world.world]
        above = np.arange(len(pooled), 0, -1) / len(world.replications)
        axes.step(
            np.append(pooled, pooled[-1:]),
            np.append(above, 0.5 / len(world.replications))[: len(pooled) + 1],
            where="pre",
            label=label,
            **style,
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    factor, unit = scale("USD", largest)
    _dollars(axes, factor)
    plain_axis(axes.yaxis, max(len(pooled) for pooled in sizes))
    axes.set_xlabel(f"notional of a cascade, {unit}")
    axes.set_ylabel("cascades at least so large")
    axes.set_title("Sizes")


def _dollars(axes: "Axes", factor: float) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.xaxis.set_major_locator(LogLocator(numticks=6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / factor:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _totals(axes: "Axes", found: list[Sizes]) -> None:
    columns = np.array([world.totals for world in found])
    places = np.arange(len(found))
    for replication in range(columns.shape[1]):
        axes.plot(places, columns[:, replication], color=FAINT, linewidth=0.5, zorder=1)
    for place, world in enumerate(found):
        _, style, marker = WORLDS[world.world]
        axes.plot(np.full(len(world.totals), place), world.totals, marker, color=style["color"], markersize=3.5, alpha=0.55, zorder=2)
        mean = interval(world.totals)
        if mean.n > 1:
            error = [[mean.mean - mean.low], [mean.high - mean.mean]]
            axes.errorbar(
                place + 0.17, mean.mean, error, color=style["color"], marker=marker, markersize=5.5, capsize=3, linewidth=1.4, zorder=3
            )
    axes.set_xticks(places, [WORLDS[world.world][0].replace(" ", "\n") for world in found])
    axes.set_xlim(-0.45, len(found) - 0.45)
    axes.set_ylim(0, float(columns.max()) * 1.12)
    axes.set_ylabel(f"notional, {quantity_axis(axes.yaxis, 'USD', float(columns.max()))}")
    axes.set_title("Liquidated in a replication")


def _data(found: list[Sizes]) -> "pd.DataFrame":
    import pandas as pd

    rows = [
        (world.world, number, notional)
        for world in found
        for number, cascades in zip(world.replications, world.notional, strict=True)
        for notional in cascades.tolist()
    ]
    return pd.DataFrame(rows, columns=["world", "replication", "notional_usd"])
