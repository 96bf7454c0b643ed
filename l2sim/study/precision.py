"""Precision: how well a figure is to be known, and whether it is."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from l2sim.designs.grid import NUMBER, measured, wrong
from l2sim.part import Part
from l2sim.statistics.intervals import Floats, interval
from l2sim.units import Fraction, Positive


def _amount(written: str | float) -> str | float:
    found = measured(written)
    if found is None or found[0] <= 0:
        raise wrong(f"must be more than 0, a number or a quantity like '5 kUSD', not {written!r}")
    return written


class Precision(Part):
    """How well a figure is to be known at every point: replications are added until its interval is narrow enough."""

    figure: str
    """The figure, ``metric.figure``."""
    world: str = "as_written"
    """The world in which it is measured."""
    width: Annotated[Fraction, Positive] | None = None
    """How far the interval may reach to either side of the mean, as a share of the mean: ``10 %``."""
    within: Annotated[str | float, AfterValidator(_amount)] | None = None
    """The same as an amount: ``5 kUSD``, ``30 s``; a bare number is in the figure's unit."""
    least: Annotated[int, Field(ge=2)] = 8
    """Replications that are made in any case."""
    most: Annotated[int, Field(ge=2)] = 256
    """Replications after which it ends, narrow enough or not."""
    step: Annotated[int, Field(ge=1)] = 8
    """How many replications are added at a time."""

    @model_validator(mode="after")
    def _is_a_target(self) -> Self:
        if (self.width is None) == (self.within is None):
            raise wrong("needs either 'width', a share of the mean such as 10 %, or 'within', an amount such as 5 kUSD")
        if self.most < self.least:
            raise wrong(f"'most' is {self.most} and 'least' {self.least}: write them the other way round")
        return self

    def reached(self, values: Floats) -> bool:
        """Whether the figure's values in the replications so far, in the unit of results, leave an interval that is narrow enough."""
        found = interval(values)
        half = (found.high - found.low) / 2.0
        if self.width is not None:
            return half <= self.width * abs(found.mean)
        amount, measure = measured(self.within) or (0, NUMBER)
        return half <= amount / measure.size

    def misfit(self, unit: str) -> str:
        """Why ``within`` is no amount of a figure in that unit; nothing where it is one, or is a bare number."""
        _, measure = measured(self.within) or (0, NUMBER)
        if self.within is None or measure is NUMBER or measure.unit == unit:
            return ""
        return f"'{self.within}' is in {measure.unit}, and {self.figure} {f'in {unit}' if unit else 'a number'}"
