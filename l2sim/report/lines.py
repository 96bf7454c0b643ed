"""Lines over simulated time, as several pictures of one replication draw and tell them."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from l2sim.report import series
from l2sim.report.evidence import Evidence
from l2sim.units import SECOND
from l2sim.wording import listed

if TYPE_CHECKING:
    import pandas as pd

    from l2sim.log import Log

Floats = npt.NDArray[np.float64]

DASHED = (0, (2.5, 1.5))
"""How a line of the world without the attacks is drawn."""


class Line(NamedTuple):
    """A line of a panel."""

    panel: str
    name: str
    world: str
    times: Floats
    """Nanoseconds since the start."""
    values: Floats
    unit: str


def told(evidence: Evidence, log: "Log", first: int, meaning: str) -> list[str]:
    """What a caption says of such a picture: which replication it shows, what is shaded, what the lines mean, what is dashed."""
    n = evidence.replications
    parts = [f"Replication {first} of n = {n}, so no intervals." if n > 1 else "The only replication, so no intervals."]
    windows = series.windows(log)
    if windows:
        parts.append(f"Shaded: {listed([window.name.replace('_', ' ') for window in windows])}.")
    parts.append(meaning)
    if evidence.compared:
        parts.append(f"Dashed: the same luck without {evidence.attacks}.")
    return parts


def data(lines: list[Line]) -> "pd.DataFrame":
    """The values of the lines, a row each."""
    import pandas as pd

    frames = [
        pd.DataFrame({
            "panel": line.panel, "line": line.name, "world": line.world, "seconds": line.times / SECOND, "value": line.values,
            "unit": line.unit,
        })
        for line in lines
    ]  # fmt: skip
    return pd.concat(frames, ignore_index=True)
