"""Withdrawal delays side by side: a line for each way out of each chain, over all bridges of a scenario."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from l2sim.events import TransactionIncluded
from l2sim.events.bridging import WithdrawalAdvanced
from l2sim.metrics.withdrawal_delay import WithdrawalDelay
from l2sim.report.evidence import Evidence
from l2sim.report.figures import BLUE, ORANGE, Drawing, Picture, canvas, duration_axis
from l2sim.report.withdrawals import delays, left_out
from l2sim.units import SECOND
from l2sim.wording import amount, scale

if TYPE_CHECKING:
    import pandas as pd

    from l2sim.log import Log

Floats = npt.NDArray[np.float64]
QUANTILES = (5, 25, 50, 75, 95)
LOOKS = {"bridge": (BLUE, "o", "through the bridge"), "fast": (ORANGE, "D", "paid by a provider")}
LEAST = 1.0
"""Seconds; the axis is logarithmic."""


class Way(NamedTuple):
    """A way out of a chain."""

    chain: str
    bridge: str
    how: str
    """``bridge`` or ``fast``."""
    delays: Floats
    """Seconds from submission until the money was on L1, sorted, of all replications."""

    def quantiles(self) -> Floats:
        """Of these delays, at ``QUANTILES``."""
        return np.maximum(np.percentile(self.delays, QUANTILES), LEAST)


def pictures(evidence: Evidence) -> Iterator[Picture]:
    """A picture for each metric, or one over the whole run where none asks; none where there is nothing to compare."""
    metrics = {name: metric for name, metric in evidence.metrics("withdrawal_delay").items() if isinstance(metric, WithdrawalDelay)}
    for name, metric in (metrics or {"": WithdrawalDelay()}).items():
        ways = _ways(evidence, metric)
        if len(ways) > 1:
            yield _picture(evidence, name, metric, ways)


def _ways(evidence: Evidence, metric: WithdrawalDelay) -> list[Way]:
    found: dict[tuple[str, str, str], list[Floats]] = {}
    for number in evidence.written.measured:
        log = evidence.written.log(number)
        for bridge, market in sorted(log.about["markets"].items()):
            if market["kind"] == "bridge":
                quick = fast(log, bridge, metric)
                found.setdefault((market["on"], bridge, "bridge"), []).append(_without(log, bridge, metric))
                found.setdefault((market["on"], bridge, "fast"), []).append(np.array(list(quick.values()), np.float64))
    ways = [Way(*key, np.sort(np.concatenate(parts))) for key, parts in found.items()]
    return sorted((way for way in ways if len(way.delays)), key=lambda way: -float(np.median(way.delays)))


def fast(log: "Log", bridge: str, metric: WithdrawalDelay) -> dict[int, float]:
    """Seconds until a provider paid, by the numbers of the withdrawals that one paid."""
    since, numbers, status = log.select(TransactionIncluded, "submitted", "x", "status", market=bridge, action="withdraw")
    counted = (status == 0) & (since >= metric.warm_up) & (since <= log.about["duration"] - metric.cool_down)
    began = dict(zip(numbers[counted].astype(np.int64).tolist(), since[counted].tolist(), strict=True))
    times, about = log.select(WithdrawalAdvanced, "time", "number", market=bridge)
    return {
        number: (time - began[number]) / SECOND
        for number, time in zip(about.tolist(), times.tolist(), strict=True)
        if number in began
    }  # fmt: skip


def _without(log: "Log", bridge: str, metric: WithdrawalDelay) -> Floats:
    """The delays of all that the bridge paid, whoever got it: a provider waits as long."""
    return delays(log, bridge, "paid", metric)[0]


def _picture(evidence: Evidence, name: str, metric: WithdrawalDelay, ways: list[Way]) -> Picture:
    anchor = evidence.anchor("delays", name) if name else "withdrawal_delays"
    least, largest = min(way.quantiles()[0] for way in ways) / 1.6, max(way.quantiles()[-1] for way in ways) * 4.0
    chains = list(dict.fromkeys(way.chain for way in ways))
    with canvas(0.85 + 0.34 * len(ways)) as figure:
        axes = figure.subplots()
        axes.set_xscale("log")
        for place, way in enumerate(ways[::-1]):
            colour, marker, words = LOOKS[way.how]
            low, lower, middle, upper, high = way.quantiles()
            first = all(other.how != way.how for other in ways[::-1][:place])
            axes.plot([low, high], [place, place], color=colour, linewidth=1.1, solid_capstyle="butt")
            axes.plot([lower, upper], [place, place], color=colour, linewidth=5.0, alpha=0.45, solid_capstyle="butt")
            axes.plot(middle, place, marker, color=colour, markersize=5.5, linestyle="none", label=words if first else None)
            factor, unit = scale("s", middle)
            axes.annotate(f"{middle / factor:.3g} {unit}", (high, place), (5, 0), textcoords="offset points", va="center", fontsize=8.0)
        several = {chain: len({way.bridge for way in ways if way.chain == chain}) > 1 for chain in chains}
        labels = [f"{way.chain}: {way.bridge}" if several[way.chain] else way.chain for way in ways]
        axes.set_yticks(range(len(ways)), labels[::-1])
        axes.set_ylim(-0.6, len(ways) - 0.4)
        axes.set_xlim(least, largest)
        duration_axis(axes.xaxis, least, largest)
        axes.grid(visible=True, axis="x")
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("time from submission on the rollup until the money is on L1, logarithmic")
        handles, words_ = axes.get_legend_handles_labels()
        figure.legend(handles[::-1], words_[::-1], loc="outside upper left", ncols=2, borderaxespad=0.8)
        drawn = Drawing(figure, anchor)
    counted = sum(len(way.delays) for way in ways)
    caption = _caption(evidence, metric, counted, provided=any(way.how == "fast" for way in ways))
    alt = f"Intervals of the delay of withdrawals, for {len(ways)} ways out of {len(chains)} chains."
    title = f"Withdrawal delay by chain{evidence.which(name) if name else ''}"
    return Picture(anchor, title, caption, alt, drawn, _data(ways))


def _caption(evidence: Evidence, metric: WithdrawalDelay, counted: int, *, provided: bool) -> str:
    n = evidence.replications
    over = f" of n = {n} replications" if n > 1 else ""
    world = f" as written, with {evidence.attacks}" if evidence.scenario.attacks else ""
    parts = ["Marks and figures: medians; thick: from the first to the third quartile; thin: from the 5th to the 95th percentile."]
    parts.append(f"Over {amount(counted)} payments{over}{world}.")
    if provided:
        parts.append("What a provider paid is there twice: when its owner had the money, and when the bridge paid the provider.")
    parts += left_out(metric)
    parts.append("Withdrawals that were not paid by the end of the run have no delay and are not in it.")
    return " ".join(parts)


def _data(ways: list[Way]) -> "pd.DataFrame":
    import pandas as pd

    rows = [(way.chain, way.bridge, way.how, len(way.delays), *way.quantiles()) for way in ways]
    return pd.DataFrame(rows, columns=["chain", "bridge", "how", "n", *(f"p{q:02}_s" for q in QUANTILES)])
