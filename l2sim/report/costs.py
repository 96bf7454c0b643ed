"""Costs: what a transaction pays, for execution on its chain, for its data on L1, and to be included through L1."""

from typing import TYPE_CHECKING, Any

import numpy as np

from l2sim.report.evidence import Evidence
from l2sim.report.figures import CALM, INK, SKY, WRITTEN, Drawing, Picture, canvas, quantity_axis
from l2sim.report.tables import Table, head_of, row_of
from l2sim.results.run import AS_WRITTEN, WITHOUT_ATTACKS
from l2sim.statistics.intervals import Interval
from l2sim.wording import listed

if TYPE_CHECKING:
    import pandas as pd

PARTS = ("execution", "data", "inclusion", "total")
LOOKS: dict[str, tuple[str, dict[str, Any]]] = {
    "execution": ("execution", {}),
    "data": ("data on L1", {"color": "white", "hatch": "//////"}),
    "inclusion": ("inclusion through L1", {"color": "white", "hatch": "xxxx"}),
}
FIGURES = ("execution_mean", "data_mean", "inclusion_mean", "total_mean", "total_median")


def currency(evidence: Evidence, name: str) -> str:
    """``usd`` where the price of ether is known, else ``eth``."""
    known = any(evidence.level(f"{name}.{chain}.total_mean_usd").n for chain in evidence.subjects(name))
    return "usd" if known else "eth"


def chains(evidence: Evidence, name: str) -> list[str]:
    """Where anybody paid."""
    return [chain for chain in evidence.subjects(name) if evidence.level(f"{name}.{chain}.total_mean_eth").n]


def picture(evidence: Evidence, name: str) -> Picture | None:
    """Execution, data and inclusion, one bar upon the other, by chain and world."""
    money, paid = currency(evidence, name), chains(evidence, name)
    worlds = {AS_WRITTEN: "as written", **({WITHOUT_ATTACKS: "without attack"} if evidence.compared else {})}
    rows = [
        (chain, world, [evidence.level(f"{name}.{chain}.{part}_mean_{money}", world) for part in PARTS])
        for chain in paid
        for world in worlds
    ]
    if not rows or not any(total.mean > 0 for _, _, (*_, total) in rows):
        return None
    anchor = evidence.anchor("costs", name)
    with canvas(0.85 + 0.36 * len(rows)) as figure:
        axes = figure.subplots()
        places = np.arange(len(rows))[::-1].astype(float)
        drawn_parts = [part for part in LOOKS if part != "inclusion" or any(of[-2].mean > 0 for _, _, of in rows)]
        for place, (_, world, (*found, total)) in zip(places, rows, strict=True):
            edge = (WRITTEN if world == AS_WRITTEN else CALM)["color"]
            look: dict[str, Any] = {"height": 0.62, "edgecolor": edge, "linewidth": 0.9}
            first = place == places[0]
            left = 0.0
            for part, one in zip(drawn_parts, found, strict=False):
                words, plain = LOOKS[part]
                fill = plain or {"color": SKY if world == AS_WRITTEN else "white"}
                axes.barh(place, one.mean, left=left, label=words if first else "_", **look, **fill)
                left += one.mean
            if np.isfinite(total.high):
                axes.errorbar(total.mean, place, xerr=total.high - total.mean, color=INK, capsize=2.5, linewidth=1.0)
        axes.set_yticks(places, [f"{chain}, {worlds[world]}" if evidence.compared else chain for chain, world, _ in rows])
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=True, axis="x")
        axes.grid(visible=False, axis="y")
        largest = max(bound for *_, (*_, total) in rows for bound in (total.mean, total.high) if np.isfinite(bound))
        axes.set_xlabel(f"mean cost of a transaction, {quantity_axis(axes.xaxis, money.upper(), largest)}")
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=len(drawn_parts))
        drawn = Drawing(figure, anchor)
    n = evidence.replications
    caption = (
        f"Means over n = {n} replications; whiskers: 95 % intervals of the total (Student's t)."
        if n > 1
        else "One replication, so no intervals."
    )
    return Picture(
        anchor,
        f"Mean cost of a transaction: {listed([LOOKS[part][0] for part in drawn_parts])}",
        caption,
        f"Mean cost of a transaction on {', '.join(paid)}.",
        drawn,
        _data(rows, money),
    )


def table(evidence: Evidence, name: str) -> Table | None:
    """The same in numbers."""
    money = currency(evidence, name)
    rows = [
        row_of(evidence, f"{name}.{chain}.{figure}_{money}", f"{chain}: {figure.replace('_', ', ')}")
        for chain in chains(evidence, name)
        for figure in FIGURES
        if not evidence.is_nothing(f"{name}.{chain}.{figure}_{money}")
    ]
    return Table(f"Cost of a transaction{evidence.which(name)}: {evidence.how}", head_of(evidence), rows) if rows else None


def _data(rows: list[tuple[str, str, list[Interval]]], money: str) -> "pd.DataFrame":
    import pandas as pd

    flat = [(chain, world, part, *found) for chain, world, parts in rows for part, found in zip(PARTS, parts, strict=True)]
    return pd.DataFrame(flat, columns=["chain", "world", "part", f"mean_{money}", f"low_{money}", f"high_{money}", "n"])
