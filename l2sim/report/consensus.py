"""Consensus: the heads of an L1 over time, the votes behind them, and the stake that absence or equivocation cost."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from l2sim.events.consensus import StakeChanged, VotesCounted
from l2sim.report import series
from l2sim.report.evidence import Evidence
from l2sim.report.figures import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    SHADE,
    SKY,
    VERMILLION,
    Drawing,
    Picture,
    canvas,
    legend,
    quantity_axis,
)
from l2sim.report.lines import DASHED, Line, data, told
from l2sim.report.reorganizations import Undone, undone
from l2sim.report.tables import Table, head_of, rows_of
from l2sim.wording import amount

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from l2sim.log import Log

HEADS = {"safe": ("justified", GREEN, 1.2), "finalized": ("final", ORANGE, 1.6)}
LOOKS = (VERMILLION, BLUE, SKY, PURPLE, GREEN, ORANGE)
FIGURES = (
    "missed_slots", "undone_slots", "longest_without_finality", "epochs", "epochs_not_justified", "epochs_in_leak", "votes_min",
    "stake_lost",
)  # fmt: skip


def pictures(evidence: Evidence) -> Iterator[Picture]:
    """A picture for each L1 with groups of validators."""
    first = next(iter(evidence.written.measured))
    log = evidence.written.log(first)
    calm = evidence.calm.log(first) if evidence.calm is not None and first in evidence.calm.measured else None
    for chain in log.present(VotesCounted, "chain"):
        yield _picture(evidence, chain, first, log, calm)


def tables(evidence: Evidence) -> Iterator[Table]:
    """The figures of the metric, L1 by L1."""
    for name in evidence.metrics("loss_of_finality"):
        for chain in evidence.subjects(name):
            rows = rows_of(evidence, f"{name}.{chain}", FIGURES)
            if rows:
                yield Table(f"Finality of {chain}{evidence.which(name)}: {evidence.how}", head_of(evidence), rows)


def _picture(evidence: Evidence, chain: str, first: int, log: "Log", calm: "Log | None") -> Picture:
    per, hours = series.time_unit(log.about["duration"])
    lines = [*_heads(log, chain, "written"), *(_heads(calm, chain, "without") if calm is not None else [])]
    votes, stakes = _votes(log, chain), list(_stakes(log, chain))
    back = [one for one in undone(log) if one.chain == chain]
    anchor = evidence.anchor("consensus", chain) if len(log.present(VotesCounted, "chain")) > 1 else "consensus"
    rows = [1.5, 1.0, *([0.9] if stakes else [])]
    with canvas(0.45 + 1.75 * sum(rows)) as figure:
        stack = figure.subplots(len(rows), 1, sharex=True, squeeze=False, height_ratios=rows)[:, 0]
        _draw_heads(stack[0], lines, per, chain)
        _draw_votes(stack[1], votes, log, chain, per)
        if stakes:
            _draw_stakes(stack[2], stakes, per)
        for axes in stack:
            for window in series.windows(log):
                axes.axvspan(window.begins / per, window.ends / per, facecolor=SHADE, edgecolor="none", zorder=0)
            for one in back:
                axes.axvline(one.ends / per, color=PURPLE, linewidth=0.9, zorder=0.6)
        stack[-1].set_xlabel(f"simulated time, {hours}")
        stack[-1].set_xlim(0, log.about["duration"] / per)
        figure.align_ylabels(list(stack))
        drawn = Drawing(figure, anchor)
    return Picture(
        anchor,
        f"The heads of {chain} over time, and the votes behind them",
        _caption(evidence, log, chain, first, back, stakes),
        f"How far the justified and the final head of {chain} are behind, the votes of each epoch, and stake lost.",
        drawn,
        data([*lines, *votes, *stakes]),
    )


def _heads(log: "Log", chain: str, world: str) -> Iterator[Line]:
    for head, (name, _, _) in HEADS.items():
        points = series.lag(log, chain, head)
        yield Line("heads", name, world, points.times, points.values, "s")


def _votes(log: "Log", chain: str) -> list[Line]:
    """Shares of stake: votes that an epoch's own blocks included, and those included at all; each from the end of its epoch on."""
    time, votes, late, total = log.select(VotesCounted, "time", "votes", "late", "total", chain=chain)
    times = time.astype(np.float64)
    # The second count is of the epoch before.
    return [
        Line("votes", "by the epoch's end", "written", times, votes / total, "1"),
        Line("votes", "an epoch later", "written", times[:-1], late[1:] / total[1:], "1"),
    ]


def _stakes(log: "Log", chain: str) -> Iterator[Line]:
    time, group, lost = log.select(StakeChanged, "time", "group", "lost", chain=chain)
    for code in np.unique(group):
        own = group == code
        if lost[own].any():
            times = np.concatenate([[0.0], time[own].astype(np.float64), [log.about["duration"]]])
            yield Line("stake lost", log.names.all[code], "written", times, np.concatenate([[0.0], lost[own], lost[own][-1:]]), "ETH")


def _draw_heads(axes: "Axes", lines: list[Line], per: float, chain: str) -> None:
    axes.set_title(f"How far the heads of {chain} are behind")
    looks = {name: (colour, width) for name, colour, width in HEADS.values()}
    for line in lines:
        colour, width = looks[line.name]
        written = line.world == "written"
        style: dict[str, Any] = {"linewidth": width if written else 0.8, "linestyle": "-" if written else DASHED}
        axes.plot(line.times / per, line.values, color=colour, label=line.name if written else "_", **style)
    largest = max((float(line.values.max()) for line in lines if len(line.values)), default=1.0)
    axes.set_ylim(0.0, 1.08 * largest)
    axes.set_ylabel(f"lag, {quantity_axis(axes.yaxis, 's', largest)}")
    legend(axes)


def _draw_votes(axes: "Axes", lines: list[Line], log: "Log", chain: str, per: float) -> None:
    axes.set_title("Stake that voted, by epoch")
    for line, (colour, style) in zip(lines, ((SKY, "-"), (BLUE, "-")), strict=True):
        axes.step(line.times / per, 100.0 * line.values, where="pre", color=colour, linestyle=style, linewidth=1.2, label=line.name)
    axes.axhline(200.0 / 3.0, color=INK, linewidth=0.8, linestyle=(0, (1, 1.5)), label="two thirds")
    time, leak = log.select(VotesCounted, "time", "leak", chain=chain)
    if leak.any():
        ends = np.concatenate([[0], time]) / per
        leaking = np.flatnonzero(leak)
        for place, number in enumerate(leaking):
            axes.axvspan(
                ends[number], ends[number + 1], ymax=0.06, facecolor=VERMILLION, edgecolor="none", label="_" if place else "leak"
            )  # fmt: skip
    axes.set_ylim(0, 104)
    axes.set_ylabel("% of stake")
    legend(axes, columns=4)


def _draw_stakes(axes: "Axes", lines: list[Line], per: float) -> None:
    axes.set_title("Stake lost")
    for place, line in enumerate(lines):
        axes.step(line.times / per, line.values, where="post", color=LOOKS[place % len(LOOKS)], linewidth=1.3, label=line.name)
    largest = max(float(line.values.max()) for line in lines)
    axes.set_ylim(0.0, 1.1 * largest)
    axes.set_ylabel(quantity_axis(axes.yaxis, "ETH", largest))
    legend(axes)


def _caption(evidence: Evidence, log: "Log", chain: str, first: int, back: list[Undone], stakes: list[Line]) -> str:
    parts = told(
        evidence, log, first, "A lag is now less the time at which the head's block was made; without a new head it grows as time goes by."
    )
    (leak,) = log.select(VotesCounted, "leak", chain=chain)
    if leak.any():
        parts.append(f"Red, at the foot: the inactivity leak, {amount(float(leak.sum()))} epochs.")
    if back:
        times = f"{amount(len(back))} times" if len(back) > 1 else "once"
        blocks = sum(one.blocks for one in back)
        parts.append(f"Violet lines: blocks were undone, {times}, in {amount(blocks)} slot{'s' if blocks > 1 else ''} together.")
    return " ".join(parts)
