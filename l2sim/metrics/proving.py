"""Proving: how long validity proofs wait for a machine and take, what they cost, and how busy the machines are."""

from math import sqrt
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from l2sim.events import AssertionConfirmed, AssertionMade
from l2sim.events.proofs import ProofLost, ProofMade, ProofRequested, ProofsVerified, ProverFined, ProverOpened
from l2sim.metrics import Metric
from l2sim.metrics.queueing import time_averages
from l2sim.units import SECOND, Duration

if TYPE_CHECKING:
    import pandas as pd

    from l2sim.log import Log

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]


class Proving(Metric):
    """A rollup's market of proofs, per rollup.

    Of the proofs that were delivered: the time from a request until the work on it that was delivered began (``wait``; ``waited_share``
    is the share of those that found no machine free), from there to delivery (``proving``), and the price (``price_mean``, ETH).
    ``unmade`` is how many requests had no proof at the end, ``lost`` how often work was in vain, ``fined`` what provers lost of their
    stakes (ETH), ``busy_share`` the share of the machines' time in which they worked. Of assertions: ``finality``, the time from being
    on L1 to being final, of those that were final by the end; ``gas_each``, gas of verification for each; ``verifications``, how often
    L1 verified; ``cost_each``, price and verification for each (ETH). ``…_error`` is a standard error from the means of equal batches
    (Law 2015, Simulation Modeling and Analysis, section 9.5.3).
    """

    subjects: ClassVar[tuple[str, ...]] = ("chains",)
    units: ClassVar[dict[str, str]] = {
        **{f"{what}_{figure}": "s" for what in ("wait", "proving", "finality") for figure in ("mean", "error", "p95", "max")},
        **dict.fromkeys(("price_mean", "cost_each", "fined"), "ETH"),
        "gas_each": "gas",
    }
    key: ClassVar[tuple[str, ...]] = ("wait_mean", "waited_share", "busy_share", "cost_each", "finality_mean", "finality_max")

    warm_up: Duration = 0
    """Leave out what was asked for or asserted in this first part of the run."""
    cool_down: Duration = 0
    """Leave out what was asked for or asserted in this last part of the run."""
    batches: Annotated[int, Field(ge=2)] = 30
    """How many batches the standard errors are made of."""

    def measure(self, log: "Log") -> "pd.DataFrame":
        import pandas as pd

        rows = {chain: self._of(chain, log) for chain in log.present(ProverOpened, "chain")}
        return pd.DataFrame.from_dict(dict(sorted(rows.items())), orient="index", columns=list(self._of("", log)), dtype=float)

    def _of(self, chain: str, log: "Log") -> dict[str, float]:
        until = log.about.get("duration", 0) - self.cool_down
        names = "requested", "begun", "time", "price", "assertion"
        requested, begun, made, price, assertion = log.select(ProofMade, *names, chain=chain)
        order = np.argsort(requested, kind="stable")
        order = order[(requested[order] >= self.warm_up) & (requested[order] <= until)]
        wait, proving = (begun - requested)[order] / SECOND, (made - begun)[order] / SECOND
        waited = (wait > 0).astype(np.float64)
        (asked,) = log.select(ProofRequested, "time", chain=chain)
        (fined,) = log.select(ProverFined, "amount", chain=chain)
        gas, number, cost = log.select(ProofsVerified, "gas", "number", "cost", chain=chain)
        verified = max(float(number.sum()), 1.0) if len(number) else np.nan
        own = order[assertion[order] >= 0]
        finality = self._finality(chain, log, until)
        return {
            "requested": float(((asked >= self.warm_up) & (asked <= until)).sum()),
            "made": float(len(order)),
            "unmade": float(((asked >= self.warm_up) & (asked <= until)).sum() - len(order)),
            "lost": float(len(log.select(ProofLost, "time", chain=chain)[0])),
            "wait_mean": _mean(wait),
            "wait_error": self._error(wait),
            "wait_p95": float(np.percentile(wait, 95)) if len(wait) else np.nan,
            "waited_share": _mean(waited),
            "waited_share_error": self._error(waited),
            "proving_mean": _mean(proving),
            "busy_share": self._busy(chain, log, begun, made),
            "price_mean": _mean(price[order]),
            "fined": float(fined.sum()),
            "verifications": float(len(gas)),
            "gas_each": float(gas.sum()) / verified,
            "cost_each": _mean(price[own]) + float(cost.sum()) / verified,
            "finality_mean": _mean(finality),
            "finality_max": float(finality.max()) if len(finality) else np.nan,
        }

    def _busy(self, chain: str, log: "Log", begun: Times, made: Times) -> float:
        """The share of the machines' time from the end of the warm-up to the end of the run; work that is not over counts as none."""
        machines, ends = float(log.select(ProverOpened, "machines", chain=chain)[0].sum()), log.about.get("duration", 0)
        since, lost = log.select(ProofLost, "begun", "time", chain=chain)
        edges = np.array([self.warm_up, ends], np.float64)
        if not machines or not len(begun) + len(since):
            return np.nan
        at_work = time_averages(np.concatenate([begun, since, [ends]]), np.concatenate([made, lost, [ends]]), edges)
        return float(at_work[0]) / machines if len(at_work) else np.nan

    def _finality(self, chain: str, log: "Log", until: int) -> Floats:
        """Seconds from each assertion to its confirmation."""
        made, number = log.select(AssertionMade, "time", "number", chain=chain)
        final, confirmed = log.select(AssertionConfirmed, "time", "number", chain=chain)
        at = dict(zip(confirmed.tolist(), final.tolist(), strict=True))
        counted = [
            (one, time) for one, time in zip(number.tolist(), made.tolist(), strict=True) if self.warm_up <= time <= until and one in at
        ]
        return np.array([at[one] - time for one, time in counted], np.float64) / SECOND

    def _error(self, values: Floats) -> float:
        """The standard error of the mean of values in order of time, by the means of equal batches."""
        size = len(values) // self.batches
        means = values[: size * self.batches].reshape(self.batches, size).mean(axis=1) if size else values[:0]
        return float(means.std(ddof=1)) / sqrt(self.batches) if size else np.nan


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else np.nan
