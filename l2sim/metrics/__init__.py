"""Metrics: questions put to the log after the run. The verb is ``measure(log)``."""

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from l2sim.events import BlockSealed, TransactionDropped, TransactionIncluded
from l2sim.part import Part

if TYPE_CHECKING:
    import pandas as pd

    from l2sim.log import Log


class Metric(Part, room="metrics"):
    """A question whose answer is a Series of named figures, or a DataFrame with one row per subject."""

    needs: ClassVar[tuple[str, ...]] = ()
    """Optional facts that the question needs, by the names of their classes: they are written for its sake."""
    units: ClassVar[dict[str, str]] = {}
    """Unit of each figure, by its name or by the last word of its name."""
    key: ClassVar[tuple[str, ...]] = ()
    """The few figures that are quoted first, by their names; all of them where it is empty."""

    subjects: ClassVar[tuple[str, ...]] = ()
    """Sections of the scenario whose members the rows are about, so that a figure of nobody is refused before the run; empty where they
    are about something else, or nothing."""

    @abstractmethod
    def measure(self, log: "Log") -> "pd.Series[float] | pd.DataFrame":
        """The answer; a figure without any observation is NaN, never zero."""

    @classmethod
    def unit(cls, figure: str) -> str:
        """The unit of a figure such as ``arb.finalized_mean``: by its name, the name after the dot, or its last word."""
        name = figure.rpartition(".")[2]
        word = name.rpartition("_")[2]
        return cls.units.get(figure, cls.units.get(name, cls.units.get(word, "")))


def trading_chains(log: "Log") -> list[str]:
    """The chains that markets are on or that transactions went to, sorted."""
    homes = {market["on"] for market in log.about.get("markets", {}).values()}
    return sorted(homes.union(log.present(TransactionIncluded, "chain"), log.present(TransactionDropped, "chain")))


def chains(log: "Log") -> list[str]:
    """The chains that made blocks, or that markets are on or transactions went to, sorted."""
    return sorted({*trading_chains(log), *log.present(BlockSealed, "chain")})


def groups(accounts: npt.NDArray[np.int64], log: "Log") -> tuple[list[str], npt.NDArray[np.int64]]:
    """The names of the groups of accounts (an agent, all of a crowd), and for each account the position of its group among them."""
    known = sorted(log.about.get("groups", {}).items(), key=lambda group: int(group[1]["first"]))
    first = np.array([group["first"] for _, group in known], np.int64)
    return [name for name, _ in known], np.searchsorted(first, accounts, side="right") - 1


def spread(values: npt.NDArray[np.float64], *, largest: bool = False) -> dict[str, float]:
    """Mean, median, 95th and 99th percentile (and the largest) of a sample; NaN where it is empty."""
    names = ["mean", "p50", "p95", "p99", *(["max"] if largest else [])]
    if not len(values):
        return dict.fromkeys(names, np.nan)
    figures = [values.mean(), *np.percentile(values, [50, 95, 99]), values.max()]
    return {name: float(figure) for name, figure in zip(names, figures, strict=False)}


def of_others(log: "Log", senders: npt.NDArray[np.int64], groups: tuple[str, ...]) -> npt.NDArray[np.bool_]:
    """Which of these senders belong to none of the groups."""
    about = log.about.get("groups", {})
    those = [(senders >= about[name]["first"]) & (senders < about[name]["last"]) for name in groups if name in about]
    return ~np.any(those, axis=0) if those else np.ones(len(senders), bool)
