"""Finality: how long until a transaction is in a block, safe and final, as distributions over the replications."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from l2sim.events import BlockSealed, TransactionIncluded
from l2sim.metrics.time_to_finality import NOT_YET, TimeToFinality, reached
from l2sim.report.evidence import Evidence
from l2sim.report.figures import COLUMN, GREEN, INK, ORANGE, Drawing, Picture, canvas, duration_axis, grid, key, name_axes, room
from l2sim.report.tables import Table, head_of, row_of
from l2sim.units import SECOND
from l2sim.wording import amount, listed, span

if TYPE_CHECKING:
    import pandas as pd

    from l2sim.log import Log
    from l2sim.results import Results

Floats = npt.NDArray[np.float64]

GRID = np.logspace(-4, 7, 1101)
"""Durations at which distributions are evaluated (s)."""
STAGES: Mapping[str, tuple[str, str, float]] = {
    "soft": ("in a block", INK, 1.1),
    "safe": ("safe", GREEN, 1.4),
    "finalized": ("final", ORANGE, 1.7),
}


class Curve(NamedTuple):
    """A distribution, averaged over replications."""

    chain: str
    stage: str
    world: str
    mean: Floats
    """Share at or below each of ``GRID``."""
    low: Floats
    """The least of any replication."""
    high: Floats
    """The most of any replication."""
    observed: int
    """Durations in all replications."""
    unresolved: int
    """What was not there yet when its replication ended."""
    what: str
    """``transactions`` or ``blocks``."""


def picture(evidence: Evidence, name: str, rule: TimeToFinality) -> Picture | None:
    """The distributions by chain; nothing where nothing was sent and no block was made."""
    curves = _curves(evidence.written, "written", rule)
    if evidence.calm is not None:
        curves += _curves(evidence.calm, "without", rule)
    chains = sorted({curve.chain for curve in curves})
    if not chains:
        return None
    with canvas(0.55 + room(len(chains), 2.4)) as figure:
        every = grid(figure, len(chains), same_y=True)
        for axes, chain in zip(every, chains, strict=True):
            axes.set_title(f"on {chain}")
            here = [curve for curve in curves if curve.chain == chain]
            for curve in sorted(here, key=lambda curve: list(STAGES).index(curve.stage)):
                words, colour, width = STAGES[curve.stage]
                written = curve.world == "written"
                called = words if written else f"{words}, without"
                dashes = "-" if written else (0, (3, 1.6))
                axes.plot(GRID, curve.mean, color=colour, linewidth=width, linestyle=dashes, label=called)
                axes.fill_between(GRID, curve.low, curve.high, color=colour, alpha=0.16, linewidth=0)
        every[0].set(xscale="log", xlim=_limits(curves), ylim=(0, 1.02))
        duration_axis(every[0].xaxis, *_limits(curves), width=1.0 if len(every) <= COLUMN else 0.45)
        since = "submission" if curves[0].what == "transactions" else "the block was made"
        name_axes(every, f"time since {since} (logarithmic)", f"share of {curves[0].what}")
        key(figure, columns=3)
        anchor = evidence.anchor("finality", name)
        drawn = Drawing(figure, anchor)
    return Picture(
        anchor,
        f"Time until {curves[0].what} are {listed(list(dict.fromkeys(STAGES[curve.stage][0] for curve in curves)))}{evidence.which(name)}",
        _caption(evidence, rule, curves),
        f"Cumulative distributions of the time to finality on {', '.join(chains)}.",
        drawn,
        _data(curves),
    )


def mean_of(evidence: Evidence, name: str, chain: str, stage: str) -> str:
    """The figure with the mean of a stage: of transactions, or of the chain's blocks where nobody sent any."""
    figure = f"{name}.{chain}.{stage}_mean"
    return figure if evidence.level(figure).n else f"{name}.{chain}.{stage}_from_block_mean"


def table(evidence: Evidence) -> Table | None:
    """Means and quantiles as the metrics measured them, of blocks where nobody sent anything."""
    rows: list[list[str]] = []
    for name in evidence.metrics("time_to_finality"):
        found = []
        for chain in evidence.subjects(name):
            for stage, (words, _, _) in STAGES.items():
                mean = mean_of(evidence, name, chain, stage)
                if evidence.level(mean).n:
                    row = row_of(evidence, mean, f"{chain}: {words}{' (blocks)' if 'from_block' in mean else ''}")
                    quantiles = (mean.removesuffix("mean") + figure for figure in ("p50", "p95", "p99"))
                    found.append([*row, *(amount(evidence.level(figure).mean, "s") for figure in quantiles)])
        rows += [*([[name.replace("_", " ")]] if found and evidence.which(name) else []), *found]
    head = head_of(evidence, "median", "95 %", "99 %")
    note = "From submission, of blocks from their own time. The last three columns are quantiles as written."
    return Table(f"Time to finality: {evidence.how}", head, rows, note=note) if rows else None


def _caption(evidence: Evidence, rule: TimeToFinality, curves: list[Curve]) -> str:
    n = evidence.replications
    first = "soft" if any(curve.stage == "soft" for curve in curves) else "safe"
    observed = sum(curve.observed for curve in curves if curve.world == "written" and curve.stage == first)
    missing = max((curve.unresolved for curve in curves if curve.world == "written"), default=0)
    parts = [
        f"Cumulative distributions averaged over n = {n} replication{'s' if n > 1 else ''}, {amount(observed)} {curves[0].what} as written."
    ]
    if n > 1:
        parts.append("Bands: from the lowest to the highest replication.")
    if evidence.compared:
        parts.append(f"Solid: as written; dashed: without {evidence.attacks}.")
    ends = [f"the {end} {span(time)}" for end, time in (("first", rule.warm_up), ("last", rule.cool_down)) if time]
    if ends:
        parts.append(f"Left out: {listed(ends)}.")
    if missing:
        parts.append(f"Of the slowest stage {amount(missing)} had not got there when their run ended and are not in the curve.")
    return " ".join(parts)


def _limits(curves: list[Curve]) -> tuple[float, float]:
    inside = np.zeros(len(GRID), bool)
    for curve in curves:
        inside |= (curve.high > 0.005) & (curve.low < 0.9999)
    shown = GRID[inside] if inside.any() else GRID
    return float(shown[0]) * 0.8, float(shown[-1]) * 1.3


def _curves(results: "Results", world: str, rule: TimeToFinality) -> list[Curve]:
    what = "transactions"
    shares: dict[tuple[str, str], list[tuple[Floats, int, int]]] = {}
    for number in results.measured:
        log = results.log(number)
        sent = log.present(TransactionIncluded, "chain")
        what = "transactions" if sent else "blocks"
        for chain in sent or log.present(BlockSealed, "chain"):
            for stage, (durations, unresolved) in _durations(log, chain, rule).items():
                if len(durations):
                    share = np.searchsorted(np.sort(durations), GRID, side="right") / len(durations)
                    shares.setdefault((chain, stage), []).append((share, len(durations), unresolved))
    curves = []
    for (chain, stage), found in sorted(shares.items()):
        every = np.array([share for share, _, _ in found])
        observed, unresolved = sum(seen for _, seen, _ in found), sum(left for _, _, left in found)
        curves.append(Curve(chain, stage, world, every.mean(axis=0), every.min(axis=0), every.max(axis=0), observed, unresolved, what))
    return sorted(curves, key=lambda curve: (curve.chain, list(STAGES).index(curve.stage)))


def _durations(log: "Log", chain: str, rule: TimeToFinality) -> dict[str, tuple[Floats, int]]:
    """Seconds until each stage, and how many were not there at the end."""
    included, since, block = log.select(TransactionIncluded, "time", "submitted", "block", chain=chain)
    found = {}
    if not len(since):
        since, block = log.select(BlockSealed, "time", "number", chain=chain)
        included = since[:0]
    counted = (since >= rule.warm_up) & (since <= log.about["duration"] - rule.cool_down)
    if len(included):
        found["soft"] = ((included[counted] - since[counted]) / SECOND, 0)
    for head in ("safe", "finalized"):
        until = reached(chain, head, block[counted], log)
        there = until != NOT_YET
        found[head] = ((until[there] - since[counted][there]) / SECOND, int(np.count_nonzero(~there)))
    return found


def _data(curves: list[Curve]) -> "pd.DataFrame":
    import pandas as pd

    frames = []
    for curve in curves:
        moving = np.flatnonzero((curve.high > 0) & (np.append(0.0, curve.low[:-1]) < 1))
        columns = {"chain": curve.chain, "stage": curve.stage, "world": curve.world, "seconds": GRID[moving]}
        shares = {"share": curve.mean[moving], "lowest": curve.low[moving], "highest": curve.high[moving]}
        frames.append(pd.DataFrame(columns | shares))
    return pd.concat(frames, ignore_index=True)
