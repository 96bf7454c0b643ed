"""Gains: who gained and who lost, as written over without the attacks, and what the attacks did to each."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from l2sim.report.evidence import Evidence
from l2sim.report.figures import CALM, INK, VERMILLION, Drawing, Picture, canvas, quantity_axis
from l2sim.report.tables import Table, head_of, row_of
from l2sim.statistics.intervals import Interval
from l2sim.wording import amount, is_clear, listed

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

Floats = npt.NDArray[np.float64]

NEGLIGIBLE = 0.005
"""US dollars below which a group that neither gained nor lost is left out."""
VISIBLE = 0.002
"""Share of the largest amount below which a bar could not be seen."""


class Gain(NamedTuple):
    """What became of one group (USD)."""

    group: str
    kind: str
    figure: str
    written: Interval
    without: Interval
    effect: Interval

    @property
    def size(self) -> float:
        """The largest of its amounts."""
        return float(max(abs(np.nan_to_num(part.mean)) for part in (self.written, self.without, self.effect)))

    @property
    def weight(self) -> float:
        """By which groups are sorted: the effect where there is one, else the profit."""
        return self.effect.mean if self.effect.n else self.written.mean


def gains(evidence: Evidence, name: str) -> list[Gain]:
    """Every group's, from the greatest loser to the greatest winner."""
    first = next(iter(evidence.written.measured))
    groups = evidence.written.log(first).about.get("groups", {})
    found = []
    for subject in evidence.subjects(name):
        figure = f"{name}.{subject}.profit"
        if not subject.startswith("groups.") or not evidence.level(figure).n:
            continue
        group = subject.removeprefix("groups.")
        kind = groups.get(group, {}).get("kind", "").replace("_", " ")
        gain = Gain(group, kind, figure, evidence.level(figure), evidence.without(figure), evidence.effect(figure))
        if gain.size >= NEGLIGIBLE:
            found.append(gain)
    return sorted(found, key=lambda gain: (gain.weight, gain.group))


def picture(evidence: Evidence, name: str) -> Picture | None:
    """Bars of profit, and beside them what the attacks made of it."""
    every = gains(evidence, name)[::-1]
    found = [gain for gain in every if gain.size >= VISIBLE * max(gain.size for gain in every)]
    if not found:
        return None
    anchor = evidence.anchor("gains", name)
    with canvas(0.95 + 0.36 * len(found)) as figure:
        both = evidence.compared
        stack = figure.subplots(1, 2 if both else 1, sharey=True, squeeze=False, width_ratios=[1.25, 1.0] if both else None)[0]
        places = np.arange(len(found))[::-1].astype(float)
        _bars(stack[0], found, places, both=both)
        stack[0].set_yticks(places, [gain.group for gain in found])
        stack[0].set_ylim(-0.7, len(found) - 0.3)
        if both:
            stack[0].set_title("Profit")
            stack[1].set_title(f"Difference that {evidence.attacks} made")
            _effects(stack[1], found, places)
            figure.legend(*stack[0].get_legend_handles_labels(), loc="outside upper left", ncols=2)
        for axes in stack:
            axes.tick_params(axis="y", length=0)
            axes.spines["left"].set_visible(False)
        drawn = Drawing(figure, anchor)
    n = evidence.replications
    caption = "Change in what each group holds over the run, valued at the end. "
    caption += f"Means over n = {n} replications; whiskers: 95 % intervals (Student's t)." if n > 1 else "One replication, so no intervals."
    if both:
        caption += f" Right: paired differences that {evidence.attacks} made"
        caption += "; hollow where the interval contains zero." if n > 1 else "."
    if len(found) < len(every):
        caption += f" {len(every) - len(found)} groups with less than {VISIBLE * 100:g} % of the largest amount are in the table only."
    title = "Profit and loss by group" + (f", and what {evidence.attacks} did to it" if both else "")
    return Picture(anchor, title, caption, f"Profit and loss of {listed([gain.group for gain in found])}.", drawn, _data(every))


def table(evidence: Evidence, name: str) -> Table | None:
    """The same in numbers, and their sum."""
    rows = []
    for gain in gains(evidence, name):
        kind = f" ({gain.kind})" if gain.kind and gain.kind != gain.group else ""
        rows.append(row_of(evidence, gain.figure, gain.group + kind, signed=True))
    total = f"{name}.sum"
    foot = ["sum over everybody", rounded(evidence.level(total).mean)]
    foot += [rounded(evidence.without(total).mean), rounded(evidence.effect(total).mean)] if evidence.compared else []
    return Table(f"Profit and loss{evidence.which(name)}: {evidence.how}", head_of(evidence), rows, foot) if rows else None


def rounded(dollars: float) -> str:
    """A sum that should vanish, to the cent."""
    return "0.00 USD" if abs(dollars) < NEGLIGIBLE else amount(dollars, "USD", signed=True)


def _bars(axes: "Axes", found: list[Gain], places: Floats, *, both: bool) -> None:
    bar = 0.36 if both else 0.6
    shift = bar / 2 if both else 0.0
    options: dict[str, Any] = {"height": bar, "linewidth": 0.8, "error_kw": {"ecolor": INK, "elinewidth": 0.9, "capsize": 2.0}}
    written = [gain.written for gain in found]
    axes.barh(places + shift, _means(written), xerr=_errors(written), color=VERMILLION, edgecolor=VERMILLION, label="as written", **options)
    if both:
        calm = [gain.without for gain in found]
        look: dict[str, Any] = {"color": "white", "edgecolor": CALM["color"], "hatch": "//////", "label": "without attack"}
        axes.barh(places - shift, _means(calm), xerr=_errors(calm), **look, **options)
    every = written + [gain.without for gain in found]
    largest = max(abs(bound) for level in every for bound in level[:3] if np.isfinite(bound))
    axes.axvline(0.0, color=INK, linewidth=0.7)
    axes.grid(visible=True, axis="x")
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(f"profit, {quantity_axis(axes.xaxis, 'USD', float(largest))}")


def _effects(axes: "Axes", found: list[Gain], places: Floats) -> None:
    effects = [gain.effect for gain in found]
    for place, effect in zip(places, effects, strict=True):
        if effect.n:
            fill = VERMILLION if is_clear(effect) else "white"
            look: dict[str, Any] = {"color": VERMILLION, "markerfacecolor": fill, "markersize": 5.5, "capsize": 2.5, "linewidth": 1.2}
            axes.errorbar(effect.mean, place, xerr=_errors([effect]), fmt="o", ecolor=INK, **look)
    axes.axvline(0.0, color=INK, linewidth=0.7)
    axes.grid(visible=True, axis="x")
    largest = max([abs(bound) for effect in effects for bound in effect[:3] if np.isfinite(bound)], default=1.0)
    axes.set_xlabel(f"difference, {quantity_axis(axes.xaxis, 'USD', largest)}")


def _means(intervals: list[Interval]) -> Floats:
    means: Floats = np.nan_to_num(np.array([found.mean for found in intervals]))
    return means


def _errors(intervals: list[Interval]) -> Floats:
    half = [found.high - found.mean for found in intervals]
    errors: Floats = np.nan_to_num(np.array([half, half]))
    return errors


def _data(found: list[Gain]) -> "pd.DataFrame":
    import pandas as pd

    rows = [
        (gain.group, gain.kind, what, *part)
        for gain in found
        for what, part in (("as_written", gain.written), ("without_attacks", gain.without), ("difference", gain.effect))
        if part.n
    ]
    return pd.DataFrame(rows, columns=["group", "kind", "what", "mean_usd", "low_usd", "high_usd", "n"])
