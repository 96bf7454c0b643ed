"""Random points; and the ranges that sampled designs draw from."""

from collections.abc import Iterable, Mapping
from math import exp, log
from typing import Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from l2sim.designs import Design, Point
from l2sim.designs.grid import NUMBER, Factor, Level, Measure, common, factor, factors, joined, measured, wrong
from l2sim.part import Part

DIGITS = 6
"""Significant digits of what is drawn from a range, so that settings can be read; whole numbers are exact."""


def _quantity(written: Any) -> Any:
    if measured(written) is None:
        raise wrong(f"must be a number or a quantity like '5 min', not {written!r}")
    return written


class Range(Part):
    """A factor that may be anywhere between two values."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"from": "5 min", "to": "2 h", "scale": "log"}]})

    low: Annotated[str | float, AfterValidator(_quantity), Field(alias="from")]
    """The least, a number or a quantity with its unit."""
    high: Annotated[str | float, AfterValidator(_quantity), Field(alias="to")]
    """The greatest, in units of the same kind."""
    scale: Literal["linear", "log"] = "linear"
    """Whether equal steps or equal ratios are equally likely."""
    whole: bool = False
    """Whether only whole numbers are meant, each equally likely on a linear scale; for numbers without a unit."""

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        low, high, measure = self.ends()
        if measure is None:
            raise wrong(f"'from' and 'to' have different units: {self.low} and {self.high}")
        if low > high:
            raise wrong(f"the range is upside down, from {self.low} to {self.high}")
        if low == high:
            raise wrong(f"the range has no width: both ends are {self.low}")
        if self.scale == "log" and low <= 0:
            raise wrong(f"a logarithmic scale needs more than 0 under 'from', not {self.low}")
        if self.whole and (measure is not NUMBER or low != int(low) or high != int(high)):
            raise wrong(f"'whole: true' is for whole numbers without a unit, not from {self.low} to {self.high}")
        return self

    def ends(self) -> tuple[float, float, Measure | None]:
        """Both ends in base units, and how they are measured."""
        low, high = (measured(written) or (0.0, NUMBER) for written in (self.low, self.high))
        return low[0], high[0], common([low, high])

    @property
    def unit(self) -> str:
        """The unit of its levels."""
        return (self.ends()[2] or NUMBER).unit

    def taken(self, path: str, places: Iterable[float]) -> list[Level]:
        """The levels at places between 0 and 1."""
        low, high, found = self.ends()
        measure = found or NUMBER
        return [
            Level(value / measure.size, {path: _written(value, measure)}) for value in (self._at(u, low, high, measure) for u in places)
        ]

    def _at(self, u: float, low: float, high: float, measure: Measure) -> float:
        log_scale = self.scale == "log"
        if self.whole:
            # On a log scale a number has the room between the halves around it; on a linear one all have the same.
            value: float = round(_between(low - 0.5, high + 0.5, u, log_scale)) if log_scale else int(_between(low, high + 1, u, False))
        else:
            rounded = float(f"{_between(low, high, u, log_scale):.{DIGITS}g}")
            value = round(rounded) if measure.dimension.whole else rounded
        return min(max(value, low), high)


def _written(value: float, measure: Measure) -> Any:
    if measure is not NUMBER:
        return measure.dimension.write(value)
    return int(value) if value == int(value) else value


def _between(low: float, high: float, u: float, log_scale: bool) -> float:
    return exp(log(low) + u * (log(high) - log(low))) if log_scale else low + u * (high - low)


def _ranged(written: Any) -> Any:
    """A range where a mapping looks like one."""
    return Range.model_validate(written) if isinstance(written, Mapping) and {"from", "to"} & set(written) else written


def variable(name: str, written: Any) -> Factor | Range:
    """What varies under that name: anything in a range, or one of some levels.

    Raises:
        PydanticCustomError: it is neither.
    """
    return written if isinstance(written, Range) else factor(name, written)


class Random(Design):
    """Points drawn independently, every factor by itself."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"factors": {"attacks.outage.lasts": {"from": "5 min", "to": "2 h"}}, "size": 8}]}
    )

    factors: dict[str, Annotated[Range | Any, BeforeValidator(_ranged)]]
    """What varies: for a dotted path a range, ``{from: 5 min, to: 2 h, scale: log}`` or ``{from: 1, to: 9, whole: true}``, or a list of
    values or a mapping of names to values that are equally likely; another name has a mapping of names to settings, as in a grid."""
    size: Annotated[int, Field(ge=1)]
    """How many points."""

    @field_validator("factors")
    @classmethod
    def _can_vary(cls, written: dict[str, Any]) -> dict[str, Any]:
        factors(written, variable)
        return written

    def coordinates(self, rng: np.random.Generator) -> npt.NDArray[np.float64]:
        """Where in the unit cube the points are: a row for each point, a column for each factor."""
        return rng.random((self.size, len(self.factors)))

    def points(self, rng: np.random.Generator) -> list[Point]:
        made = factors(self.factors, variable)
        columns = [_taken(one, name, places) for (name, one), places in zip(made.items(), self.coordinates(rng).T.tolist(), strict=True)]
        return [joined(dict(zip(made, levels, strict=True))) for levels in zip(*columns, strict=True)]

    def units(self) -> Mapping[str, str]:
        return {name: one.unit for name, one in factors(self.factors, variable).items() if one.unit is not None}


def _taken(one: Factor | Range, name: str, places: Iterable[float]) -> list[Level]:
    if isinstance(one, Range):
        return one.taken(name, places)
    return [one.levels[min(int(u * len(one.levels)), len(one.levels) - 1)] for u in places]
