"""The sequencer's margin: what a rollup's users pay, less what its batches and its assertions cost on L1."""

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from l2sim.events import AssertionMade, BatchPosted
from l2sim.metrics import Metric, groups
from l2sim.metrics.fee_components import COMPONENTS, paid
from l2sim.units import DAY

if TYPE_CHECKING:
    import pandas as pd

    from l2sim.log import Log


class SequencerMargin(Metric):
    """Per rollup: revenue by component, the cost of posting batches and of asserting its state, and what is left; ETH, in all and a day.

    All fees go to who runs the rollup (base fee, priority fee, data fee, operator fee). Costs are the gas and blobs that the batch
    poster paid, and the gas of assertions that the rollup's own proposer made. What nobody has posted yet has cost nothing so far.
    """

    units: ClassVar[dict[str, str]] = {
        **{f"{name}_revenue": "ETH" for name in COMPONENTS}, "revenue": "ETH", "batch_cost": "ETH", "settlement_cost": "ETH",
        "margin": "ETH", "margin_per_day": "ETH",
    }  # fmt: skip
    key: ClassVar[tuple[str, ...]] = ("revenue", "batch_cost", "settlement_cost", "margin_per_day")

    def measure(self, log: "Log") -> "pd.DataFrame":
        import pandas as pd

        rollups = [name for name, chain in sorted(log.about.get("chains", {}).items()) if chain["kind"] == "rollup"]
        rows = {chain: _of(chain, log) for chain in rollups}
        return pd.DataFrame.from_dict(rows, orient="index", columns=list(_of("", log)), dtype=float)


def _of(chain: str, log: "Log") -> dict[str, float]:
    _, _, components = paid(log, chain)
    revenue = components.sum(axis=0)
    (batches,) = log.select(BatchPosted, "cost", chain=chain)
    accounts, costs = log.select(AssertionMade, "account", "cost", chain=chain)
    names, group = groups(accounts, log)
    own = [which >= 0 and names[which] == f"{chain}.proposer" for which in group.tolist()]
    settlement = float(costs[np.array(own, bool)].sum()) if len(costs) else 0.0
    days = log.about.get("duration", 0) / DAY
    margin = float(revenue.sum() - batches.sum()) - settlement
    figures = {f"{name}_revenue": float(amount) for name, amount in zip(COMPONENTS, revenue, strict=True)}
    return figures | {
        "revenue": float(revenue.sum()),
        "batch_cost": float(batches.sum()),
        "settlement_cost": settlement,
        "margin": margin,
        "margin_per_day": margin / days if days else np.nan,
        "data_cover": float(revenue[2] / batches.sum()) if batches.sum() else np.nan,
    }
