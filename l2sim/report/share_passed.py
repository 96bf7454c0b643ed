"""Share passed: how much of what was false became final, by the number of validators that watch, chain beside chain."""

from typing import TYPE_CHECKING, Any

import numpy as np

from l2sim.report.asserted import Pass, sentence, watchers
from l2sim.report.evidence import Evidence
from l2sim.report.figures import COLOURS, FAINT, MARKERS, Drawing, Picture, canvas, legend
from l2sim.wording import amount, listed

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

BESIDE = 0.6
"""Width over which chains with as many validators stand beside each other, in validators."""
FEW = 30.0
"""Ratio of the largest share to the least above zero up to which the axis is linear."""


def picture(evidence: Evidence, found: list[Pass]) -> Picture:
    """The shares with their intervals, and what was to be expected of validators alone."""
    implied = list(dict.fromkeys(filter(None, (_implied(evidence, one.chain) for one in found))))
    most = max(3, *(one.validators for one in found)) + 1
    numbers = np.arange(most + 1)
    with canvas(2.7) as figure:
        axes = figure.subplots()
        for p, c in implied:
            label = f"c + (1 − c) pⁿ with p = {amount(p, '%')}, c = {amount(c, '%')}"
            dashes: dict[str, Any] = {"color": FAINT, "linewidth": 1.0, "linestyle": (0, (4, 2)), "marker": ".", "markersize": 4}
            axes.plot(numbers, c + (1 - c) * p**numbers, label=label, **dashes)
        for k, (one, place) in enumerate(zip(found, places(found), strict=True)):
            error = np.nan_to_num([[one.share.mean - one.share.low], [one.share.high - one.share.mean]])
            look: dict[str, Any] = {"color": COLOURS[(k + 1) % len(COLOURS)], "markersize": 6, "linewidth": 1.5, "zorder": 3}
            axes.errorbar(place, one.share.mean, error, fmt=MARKERS[k % len(MARKERS)], capsize=3.5, clip_on=False, label=one.chain, **look)
        axes.set_xticks(numbers)
        axes.set_xlim(-0.5, most + 0.5)
        bounds = [bound for one in found for bound in one.share[:3] if bound > 0] + [
            c + (1 - c) * p**n for p, c in implied for n in (0, most)
        ]
        _share_axis(axes, min(filter(None, bounds)), max(bounds))
        axes.set_xlabel("validators that watch")
        axes.set_ylabel("false assertions confirmed, %")
        legend(axes, columns=3)
        drawn = Drawing(figure, "undetected")
    n = evidence.replications
    caption = f"Of {listed([f'{amount(one.decided)} false assertions decided on {one.chain}' for one in found])}, in "
    caption += f"{n} replications" if n > 1 else "one replication"
    hows = dict.fromkeys(one.how for one in found)
    caption += "; " + "; ".join(
        how if len(hows) == 1 else f"{how}: {listed([one.chain for one in found if one.how == how])}" for how in hows
    )
    caption += ". Chains with as many validators stand beside each other." if len(found) > 1 else "."
    if implied:
        caption += " Dashed: what n validators, each failing for itself with p and all together with c, would let pass if nothing else did."
    return Picture("undetected", "How many false assertions nobody stopped", caption, " ".join(map(sentence, found)), drawn, _shares(found))


def places(found: list[Pass]) -> list[float]:
    """Where each stands: at its number of validators, those of the same number beside each other."""
    placed = []
    for k, one in enumerate(found):
        same = [i for i, other in enumerate(found) if other.validators == one.validators]
        placed.append(one.validators + BESIDE * (same.index(k) - (len(same) - 1) / 2) / len(same))
    return placed


def _share_axis(axes: "Axes", least: float, largest: float) -> None:
    """In per cent from zero, which has a place on it; above the least share logarithmic where linear would hide it."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    if largest > FEW * least:
        axes.set_yscale("symlog", linthresh=least)
        axes.yaxis.set_major_locator(FixedLocator([0.0, *(10.0**k for k in range(-9, 1) if 10.0**k >= 0.9 * least)]))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.set_ylim(0.0, min(1.1, 1.5 * largest))
    else:
        axes.set_ylim(0.0, min(1.05, 1.08 * largest))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100.0 * value:.6g}"))


def _implied(evidence: Evidence, chain: str) -> tuple[float, float] | None:
    """Own and common probability of failing, where one group of validators watches and says both."""
    groups = watchers(evidence, chain)
    return (groups[0].failure, groups[0].common_failure) if len(groups) == 1 else None


def _shares(found: list[Pass]) -> "pd.DataFrame":
    import pandas as pd

    columns = ["chain", "validators", "runs", "decided", "undetected", "share", "low", "high"]
    rows = [(one.chain, one.validators, len(one.runs), one.decided, one.undetected, *one.share[:3]) for one in found]
    return pd.DataFrame(rows, columns=columns)
