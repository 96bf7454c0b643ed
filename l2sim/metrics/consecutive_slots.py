"""Consecutive slots: how often the same group of validators proposes several L1 blocks in a row."""

from itertools import groupby
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field

from l2sim.events.consensus import ProposerDrawn
from l2sim.metrics import Metric, spread

if TYPE_CHECKING:
    import pandas as pd

    from l2sim.log import Log


class ConsecutiveSlots(Metric):
    """Per group of validators: its share of slots, its longest row of slots, and how often there is a row of ``length``.

    ``windows_with_row`` is the share of windows of that many slots, one behind the other from the first slot on, with a row
    inside; ``to_row_…`` is about the number of slots until a row is complete, counted anew after each.
    """

    needs: ClassVar[tuple[str, ...]] = ("ProposerDrawn",)
    units: ClassVar[dict[str, str]] = {}
    key: ClassVar[tuple[str, ...]] = ("share", "longest", "windows_with_row")

    length: Annotated[int, Field(ge=1)]
    """Slots in a row."""
    window: Annotated[int, Field(ge=1)] = 32
    """Slots of a window; an epoch has 32."""

    def measure(self, log: "Log") -> "pd.DataFrame":
        import pandas as pd

        chains = log.present(ProposerDrawn, "chain")
        found = {}
        for chain in chains:
            (groups,) = log.select(ProposerDrawn, "group", chain=chain)
            for code in np.unique(groups):
                name = log.names.all[code]
                found[name if len(chains) == 1 else f"{chain} {name}"] = self._of((groups == code).tolist())
        return pd.DataFrame.from_dict(found, orient="index", columns=list(self._of([])), dtype=float)

    def _of(self, own: list[bool]) -> dict[str, float]:
        windows = [own[start : start + self.window] for start in range(0, len(own) - self.window + 1, self.window)]
        waits = np.diff(self._rows(own), prepend=0).astype(np.float64)
        return {
            "share": float(np.mean(own)) if own else np.nan,
            "longest": float(max((len(list(row)) for mine, row in groupby(own) if mine), default=0)),
            "rows": float(len(waits)),
            "windows": float(len(windows)),
            "windows_with_row": float(np.mean([bool(self._rows(window)) for window in windows])) if windows else np.nan,
            **{f"to_row_{name}": value for name, value in spread(waits).items()},
        }

    def _rows(self, own: list[bool]) -> list[int]:
        """How many slots there were when each row was complete."""
        ends, length = [], 0
        for number, mine in enumerate(own, 1):
            length = length + 1 if mine else 0
            if length == self.length:
                ends.append(number)
                length = 0
        return ends
