"""Saturation: the blob fee over time where somebody fills an L1's blocks, and how far the safe head of a rollup falls behind."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from l2sim.events import AttackBegan, AttackEnded, BlockSealed, HeadAdvanced
from l2sim.events.l1_market import SpaceBought
from l2sim.metrics.saturation import Saturation, made_at
from l2sim.report.evidence import Evidence
from l2sim.report.figures import BLUE, GREEN, ORANGE, SHADE, VERMILLION, Drawing, Picture, canvas, legend, plain_axis, quantity_axis
from l2sim.report.tables import Table, head_of, rows_of
from l2sim.units import GWEI, SECOND
from l2sim.wording import listed

if TYPE_CHECKING:
    import pandas as pd

    from l2sim.log import Log

Floats = npt.NDArray[np.float64]
POINTS = 600
LOOKS = ((VERMILLION, "-"), (BLUE, (0, (4, 2))), (GREEN, (0, (1, 1.2))), (ORANGE, (0, (6, 1, 1, 1))))
FIGURES = (
    "spent", "blocks", "lag", "delay", "delay_per_ether", "finalized_lag", "finalized_delay", "finalized_delay_per_ether", "bad_debt",
    "bad_debt_per_ether",
)  # fmt: skip


class Lines(NamedTuple):
    """What is drawn of one rollup: a row for each replication."""

    l1: str
    rollup: str
    fees: Floats
    """Blob fee (gwei per blob gas)."""
    ages: Floats
    """Time since the newest safe block was made (s)."""
    bought: list[float]
    """When the last slot was bought, by replication (s)."""


def pictures(evidence: Evidence) -> Iterator[Picture]:
    """One picture for all metrics of the kind, where anything was bought."""
    rules = {name: rule for name, rule in evidence.metrics("saturation").items() if isinstance(rule, Saturation)}
    logs = [evidence.written.log(number) for number in evidence.written.measured] if rules else []
    if not logs:
        return
    duration = logs[0].about["duration"]
    grid = np.linspace(0.0, duration, POINTS)
    found = [lines(logs, rule.rollup, grid) for rule in rules.values()]
    if any(np.isfinite(one.bought).any() for one in found):
        yield _picture(evidence, found, grid / SECOND, _begun(logs[0]))


def tables(evidence: Evidence) -> Iterator[Table]:
    """The figures of each metric."""
    for name, rule in evidence.metrics("saturation").items():
        rows = rows_of(evidence, name, FIGURES)
        if rows and isinstance(rule, Saturation):
            note = (
                "Ages are the greatest that are reached; more than before the attack: than the greatest until the first block was bought."
            )
            yield Table(f"Blobs filled on purpose, {rule.rollup}{evidence.which(name)}: {evidence.how}", head_of(evidence), rows, note=note)


def lines(logs: "list[Log]", rollup: str, grid: Floats) -> Lines:
    """Fee and age at each time of the grid (ns), replication by replication."""
    l1 = logs[0].about["chains"][rollup]["settles_on"]
    fees, ages, bought = [], [], []
    for log in logs:
        made, fee = log.select(BlockSealed, "time", "blob_base_fee", chain=l1)
        fees.append(_held(made, fee / GWEI, grid, fee[0] / GWEI if len(fee) else np.nan))
        moved, number = log.select(HeadAdvanced, "time", "number", chain=rollup, head="safe")
        ages.append((grid - _held(moved, made_at(log, rollup, number).astype(float), grid, 0.0)) / SECOND)
        (times,) = log.select(SpaceBought, "time", chain=l1)
        bought.append(float(times.max()) / SECOND if len(times) else np.nan)
    return Lines(l1, rollup, np.array(fees), np.array(ages), bought)


def _held(times: npt.NDArray[np.int64], values: Floats, grid: Floats, before: float) -> Floats:
    """The last value at or before each time."""
    held: Floats = np.append(before, values)[np.searchsorted(times, grid, side="right")]
    return held


def _begun(log: "Log") -> tuple[float, float]:
    """When the first attack began and the last one ended (s)."""
    (begun,), (ended,) = log.select(AttackBegan, "time"), log.select(AttackEnded, "time")
    return (float(begun.min()) / SECOND if len(begun) else np.nan, float(ended.max()) / SECOND if len(ended) else np.nan)


def _picture(evidence: Evidence, found: list[Lines], seconds: Floats, attack: tuple[float, float]) -> Picture:
    with canvas(4.3) as figure:
        upper, lower = figure.subplots(2, 1, sharex=True)
        least = min(float(np.nanmin(one.fees)) for one in found)
        largest = max(float(np.nanmax(one.fees)) for one in found)
        for (colour, dashes), one in zip(LOOKS * len(found), found, strict=False):
            middle = np.exp(np.log(np.maximum(one.fees, 1e-9)).mean(axis=0))
            upper.plot(seconds, middle, color=colour, linestyle=dashes, linewidth=1.4, label=one.l1)
            upper.fill_between(seconds, one.fees.min(axis=0), one.fees.max(axis=0), color=colour, alpha=0.15, linewidth=0)
            lower.plot(seconds, one.ages.mean(axis=0), color=colour, linestyle=dashes, linewidth=1.4, label=one.rollup)
            lower.fill_between(seconds, one.ages.min(axis=0), one.ages.max(axis=0), color=colour, alpha=0.15, linewidth=0)
            for axes in (upper, lower) if np.isfinite(one.bought).any() else ():
                axes.axvline(float(np.nanmean(one.bought)), color=colour, linestyle=dashes, linewidth=0.7)
        for axes in (upper, lower):
            axes.axvline(attack[0], color=SHADE, linewidth=4.0, zorder=0)
        upper.set_yscale("log")
        plain_axis(upper.yaxis, largest / least)
        upper.set_title("blob fee")
        upper.set_ylabel("gwei per blob gas")
        legend(upper)
        lower.set_title("age of the newest safe block")
        top = max(float(one.ages.max()) for one in found)
        lower.set_ylim(0.0, 1.05 * top)
        lower.set_ylabel(quantity_axis(lower.yaxis, "s", top))
        legend(lower)
        lower.set_xlim(0.0, seconds[-1])
        lower.set_xlabel(f"simulated time, {quantity_axis(lower.xaxis, 's', float(seconds[-1]))}")
        drawn = Drawing(figure, "saturation")
    n = evidence.replications
    caption = "Grey: the attack begins. Thin upright lines: the last block that was bought. "
    caption += (
        f"Means over n = {n} replications (of the fee, geometric); bands from the lowest to the highest." if n > 1 else "One replication."
    )
    alt = f"Blob fee of {listed([one.l1 for one in found])} and age of the safe head of {listed([one.rollup for one in found])} over time."
    return Picture(
        "saturation", "What filling the blobs does to the blob fee and to the safe head", caption, alt, drawn, _data(found, seconds)
    )


def _data(found: list[Lines], seconds: Floats) -> "pd.DataFrame":
    import pandas as pd

    frames = [
        pd.DataFrame(
            {"l1": one.l1, "rollup": one.rollup, "s": seconds, "blob_fee_gwei": one.fees.mean(axis=0), "age_s": one.ages.mean(axis=0)}
        )
        for one in found
    ]
    return pd.concat(frames, ignore_index=True)
