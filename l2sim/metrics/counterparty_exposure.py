"""Counterparty exposure: what traders have on a chain, and on whose honesty it rests."""

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from l2sim.metrics import Metric
from l2sim.metrics.capital_efficiency import Floats, Times, positions
from l2sim.units import Duration

if TYPE_CHECKING:
    import pandas as pd

    from l2sim.log import Log


class CounterpartyExposure(Metric):
    """Margins of traders in the perpetuals of a chain (what was posted, without gains), and on whom it depends that they get them back.

    ``held`` is the time average and the maximum of these margins. ``own`` of it rests on those alone who run the chain, its validators or
    its sequencer, because it settles on no L1. ``committee`` is on a chain that settles on L1 and whose data are with a committee: they
    can be frozen by it, as nobody else can show L1 what is whose. ``l1`` is on a chain whose data are on L1. The three add up to
    ``held``. What L1 has not got yet, ``value_at_risk_before_finality`` tells; how long somebody can be kept in, ``censorship_delay``.
    """

    subjects: ClassVar[tuple[str, ...]] = ("chains",)
    needs: ClassVar[tuple[str, ...]] = ("PositionBrought",)
    units: ClassVar[dict[str, str]] = {"mean": "USD", "max": "USD"}
    key: ClassVar[tuple[str, ...]] = ("held_mean", "held_max", "own_mean", "committee_mean")

    warm_up: Duration = 0
    """Leave out this first part of the run."""
    cool_down: Duration = 0
    """Leave out this last part of the run."""

    def measure(self, log: "Log") -> "pd.DataFrame":
        import pandas as pd

        homes: dict[str, list[str]] = {}
        for name, market in sorted(log.about.get("markets", {}).items()):
            if market["kind"] == "perpetual":
                homes.setdefault(market["on"], []).append(name)
        columns = ["held_mean", "held_max", "own_mean", "committee_mean", "l1_mean"]
        rows = {chain: self._of(chain, markets, log) for chain, markets in sorted(homes.items())}
        return pd.DataFrame.from_dict(rows, orient="index", columns=columns, dtype=float)

    def _of(self, chain: str, markets: list[str], log: "Log") -> dict[str, float]:
        since, until = self.warm_up, log.about.get("duration", 0) - self.cool_down
        mean, largest = _level([(times, margin) for times, _, margin in (positions(name, log) for name in markets)], since, until)
        whose = _rests_on(log.about["chains"][chain])
        parts = {f"{one}_mean": mean * (one == whose) for one in ("own", "committee", "l1")}
        return {"held_mean": mean, "held_max": largest, **parts}


def _rests_on(chain: dict[str, str | None]) -> str:
    """Whose honesty decides about what is on a chain."""
    if chain["settles_on"] is None and chain["kind"] != "l1":
        return "own"
    return "committee" if chain.get("availability") == "committee" else "l1"


def _level(steps: list[tuple[Times, Floats]], since: int, until: int) -> tuple[float, float]:
    """Time average and maximum, between two times (ns), of the sum of step functions; each has a value from 0 on."""
    if until <= since:
        return np.nan, np.nan
    times = np.unique(np.concatenate([np.clip(at, since, until) for at, _ in steps]))
    times = times[times < until]
    values = np.sum([value[np.searchsorted(at, times, side="right") - 1] for at, value in steps], axis=0)
    return float((values * np.diff(np.append(times, until))).sum() / (until - since)), float(values.max())
