"""A price path given by points."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import ValidatorFunctionWrapHandler, field_validator
from pydantic_core import PydanticCustomError

from l2sim.prices import Floats, Price, Recording, Times
from l2sim.units import Duration, Positive, Usd


class Path(Price):
    """The given prices at the given times, for what-ifs and tests; after the last point its price holds."""

    points: dict[Duration, Annotated[Usd, Positive]]
    """Prices by time since the start, such as ``{0: 3000 USD, 4h: 2700 USD}``; the point at 0 is the start."""
    interpolate: Literal["linear", "hold"] = "linear"
    """Between two points: ``linear`` moves the price evenly in time, ``hold`` keeps the earlier one and jumps."""

    @field_validator("points", mode="wrap")
    @classmethod
    def _from_the_start(cls, value: Any, handler: ValidatorFunctionWrapHandler) -> dict[int, float]:
        points: dict[int, float] = handler(value)
        if 0 not in points:
            raise PydanticCustomError("points", "the point at time 0 is missing: add '0: 3000 USD', say")
        if len(points) < len(value):
            raise PydanticCustomError("points", "two points are at the same time, written in different units")
        return dict(sorted(points.items()))

    def path(
        self,
        rng: np.random.Generator,
        times: Times,
        *,
        family: np.random.Generator | None = None,
        data: Mapping[str, Recording] | None = None,
    ) -> Floats:
        """The prices at ``times``; nothing is drawn."""
        at = np.array(list(self.points), np.int64)
        values = np.array(list(self.points.values()), np.float64)
        if self.interpolate == "linear":
            return np.interp(times, at, values)
        held: Floats = values[np.searchsorted(at, times, side="right") - 1]
        return held
