"""Fee components: what a transaction pays for base fee, priority, data, the operator and inclusion through L1, by chain and over time."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from l2sim.metrics.fee_components import COMPONENTS, paid
from l2sim.report.evidence import Evidence
from l2sim.report.figures import BLUE, GREEN, ORANGE, SKY, Drawing, Picture, canvas, grid, key, name_axes, quantity_axis, room
from l2sim.report.tables import Table, head_of, row_of
from l2sim.units import SECOND
from l2sim.wording import amount, listed

if TYPE_CHECKING:
    import pandas as pd

    from l2sim.log import Log

BINS = 48
"""Parts that the run is cut into."""
GWEI_A_ETH = 1e9
SPIKE = 5.0
"""How many times what nine parts in ten stay below a part must cost for the axis to end below it."""
LOOKS: dict[str, tuple[str, dict[str, Any]]] = {
    "base": ("base fee", {"facecolor": SKY}),
    "priority": ("priority fee", {"facecolor": BLUE}),
    "data": ("data on L1", {"facecolor": "white", "hatch": "//////"}),
    "operator": ("operator", {"facecolor": ORANGE, "hatch": "...."}),
    "inclusion": ("inclusion through L1", {"facecolor": GREEN, "hatch": "xxxx"}),
}
"""Hatches tell them apart where colours do not."""
Floats = npt.NDArray[np.float64]


def picture(evidence: Evidence, name: str) -> Picture | None:
    """For each chain the mean cost of a transaction over time, its components upon one another; with the scenario's attacks."""
    logs = [evidence.written.log(number) for number in evidence.written.measured]
    chains = [chain for chain in evidence.subjects(name) if " on " not in chain]
    means = {chain: _mean([over_time(log, chain) for log in logs]) for chain in chains if _paid(logs, chain)}
    if not means:
        return None
    there = [one for k, one in enumerate(COMPONENTS) if one != "inclusion" or any(np.nansum(mean[:, k]) > 0 for mean in means.values())]
    duration = logs[0].about["duration"] / SECOND
    edges = np.linspace(0.0, duration, BINS + 1)
    cut: list[str] = []
    with canvas(0.75 + room(len(means), 1.45)) as figure:
        every = grid(figure, len(means))
        for axes, (chain, mean) in zip(every, means.items(), strict=True):
            axes.set_title(f"on {chain}")
            for component, lower, upper in layers(mean):
                words, look = LOOKS[component]
                if component in there:
                    # Each part over the whole of its width, the last one before a gap too.
                    axes.stairs(upper, edges, baseline=lower, fill=True, label=words, edgecolor="#333333", linewidth=0.3, **look)
            top, limit = _heights(mean)
            axes.set_ylim(0.0, limit)
            if top > limit:
                cut.append(chain)
                axes.set_title(f"up to {amount(top)}", loc="right", fontsize=7.5)
        every[0].set_xlim(0.0, duration)
        unit = quantity_axis(every[0].xaxis, "s", duration)
        name_axes(every, f"simulated time, {unit}", "gwei a transaction")
        key(figure, columns=len(there))
        drawn = Drawing(figure, evidence.anchor("fee_components", name))
    caption = f"Means of all transactions in each {BINS}th of the run"
    caption += f" and over n = {len(logs)} replications." if len(logs) > 1 else ", one replication."
    caption += f" On {listed(cut)} parts that cost far more than the others are cut off; the dearest's cost is above." if cut else ""
    caption += " A gap is a part without transactions. Scales differ from chain to chain; a gwei is a thousand-millionth of an ether."
    return Picture(
        evidence.anchor("fee_components", name),
        "What a transaction pays, by component",
        caption,
        f"Components of the mean cost of a transaction over time on {listed(list(means))}.",
        drawn,
        _data(means, edges),
    )


def _heights(mean: Floats) -> tuple[float, float]:
    """What the dearest part costs, and where the axis ends: above it, unless it is far from what nine in ten cost."""
    total = np.nansum(mean, axis=1)
    top, usual = float(total.max()), float(np.quantile(total[np.isfinite(mean[:, 0])], 0.9))
    return top, 1.6 * usual if top > SPIKE * usual > 0.0 else 1.08 * top


def layers(mean: Floats) -> list[tuple[str, Floats, Floats]]:
    """Each component with its lower and upper edge in each part; NaN, which leaves a gap, where there was no transaction."""
    heights = np.column_stack([np.where(np.isnan(mean[:, 0]), np.nan, 0.0), np.cumsum(mean, axis=1)])
    return [(component, heights[:, k], heights[:, k + 1]) for k, component in enumerate(COMPONENTS)]


def over_time(log: "Log", chain: str) -> Floats:
    """Mean of each component (gwei a transaction) in equal parts of the run, shape (BINS, 5); NaN where nothing was included."""
    times, _, components = paid(log, chain)
    part = np.minimum(times * BINS // log.about["duration"], BINS - 1)
    number = np.bincount(part, minlength=BINS)
    sums = np.column_stack([np.bincount(part, weights=one, minlength=BINS) for one in components.T])
    with np.errstate(invalid="ignore"):
        means: Floats = sums / np.where(number, number, np.nan)[:, None] * GWEI_A_ETH
    return means


def table(evidence: Evidence, name: str) -> Table | None:
    """The same in numbers, of each group of senders too; in all what they paid on L1, for what is in no block too."""
    money = "usd" if any(evidence.level(f"{name}.{subject}.base_mean_usd").n for subject in evidence.subjects(name)) else "eth"
    rows = [
        row_of(evidence, f"{name}.{subject}.{component}_mean_{money}", f"{subject}: {LOOKS[component][0]}, mean")
        for subject in evidence.subjects(name)
        for component in COMPONENTS
        if not evidence.is_nothing(f"{name}.{subject}.{component}_mean_{money}")
    ]
    rows += [
        row_of(evidence, f"{name}.{subject}.inclusion_total_eth", f"{subject}: {LOOKS['inclusion'][0]}, in all")
        for subject in evidence.subjects(name)
        if not evidence.is_nothing(f"{name}.{subject}.inclusion_total_eth")
    ]
    return (
        Table(f"Cost of a transaction by component and payer{evidence.which(name)}: {evidence.how}", head_of(evidence), rows)
        if rows
        else None
    )


def _mean(replications: list[Floats]) -> Floats:
    """Over those in which something was included; NaN where that is none of them."""
    number = np.isfinite(replications).sum(axis=0)
    mean: Floats = np.where(number > 0, np.nansum(replications, axis=0) / np.maximum(number, 1), np.nan)
    return mean


def _paid(logs: "list[Log]", chain: str) -> bool:
    return any(paid(log, chain)[2].any() for log in logs)


def _data(means: dict[str, Floats], edges: Floats) -> "pd.DataFrame":
    import pandas as pd

    frames = [
        pd.DataFrame(
            {"chain": chain, "from_s": edges[:-1], "to_s": edges[1:], **{f"{one}_gwei": mean[:, k] for k, one in enumerate(COMPONENTS)}}
        )
        for chain, mean in means.items()
    ]
    return pd.concat(frames, ignore_index=True)
