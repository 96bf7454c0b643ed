"""Efficiency: the notional that a unit of collateral supports at a given probability of bad debt."""

from collections.abc import Iterator

import numpy as np

from l2sim.metrics.capital_efficiency import CapitalEfficiency
from l2sim.report.evidence import Evidence
from l2sim.report.tables import Table
from l2sim.results import Results
from l2sim.statistics.intervals import Interval, interval
from l2sim.statistics.proportion import wilson
from l2sim.statistics.quantiles import mirrored, quantile
from l2sim.wording import amount, phrase


def tables(evidence: Evidence) -> Iterator[Table]:
    """One for each metric, where there are runs enough for one of them to be beyond the quantile."""
    worlds = {"": evidence.written, ", without attack": evidence.calm}
    for name, rule in evidence.metrics("capital_efficiency").items():
        if not isinstance(rule, CapitalEfficiency) or evidence.replications * rule.probability < 1.0:
            continue
        rows = [
            [f"{market}{which}", *_row(results, f"{name}.{market}", rule.probability)]
            for market in evidence.subjects(name)
            for which, results in worlds.items()
            if results is not None
        ]
        share = phrase(Interval(1.0 - rule.probability, np.nan, np.nan, 1), "%")
        head = ["", "runs with bad debt", "by unit of collateral, mean", f"that suffices in {share} of runs"]
        note = "The last column is a quantile over runs of notional over collateral and bad debt together: with that much collateral, the "
        note += "bad debt of the other runs alone would have been left. Its interval assumes no distribution; too few runs have none. "
        note += "'At least': so few runs had bad debt, if any, that less collateral might do; how much less is not known."
        caption = f"Notional that collateral supports{evidence.which(name)}: n = {evidence.replications} replications, 95 % intervals"
        yield Table(caption, head, rows, note=note)


def _row(results: Results, subject: str, probability: float) -> list[str]:
    debt, mean, sufficient = (results.summary[f"{subject}.{figure}"].to_numpy(float) for figure in ("bad_debt", "efficiency", "sufficient"))
    beyond, n = int(np.count_nonzero(debt > 0.0)), len(debt)
    found = supported(sufficient, probability)
    # Where fewer runs than are allowed had bad debt, all that is known of the collateral is that it was enough.
    words = f"at least {amount(found.mean)}" if beyond < n * probability and np.isfinite(found.mean) else phrase(found)
    return [phrase(wilson(beyond, n), "%"), phrase(interval(mean)), words if beyond else f"{words} (no bad debt seen)"]


def supported(sufficient: np.ndarray, probability: float) -> Interval:
    """The notional that a unit of collateral supports when bad debt may have a probability, from what would have sufficed in each run."""
    return mirrored(quantile(-sufficient, 1.0 - probability))
