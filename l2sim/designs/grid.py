"""Grid: every combination of levels; and how the levels of a factor are read."""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction as Rational
from itertools import combinations, product
from typing import Any, NamedTuple, TypeVar

import numpy as np
from pydantic import ConfigDict, ValidationError, field_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from l2sim.designs import Design, Point
from l2sim.units import BYTES, DURATION, ETH, FRACTION, FREQUENCY, GAS, GAS_RATE, SECOND, USD, VOLATILITY, WEI, YEARLY, Dimension

F = TypeVar("F")


class Measure(NamedTuple):
    """How a quantity is read from a file, and in which unit results speak of it."""

    dimension: Dimension
    unit: str
    size: int = 1
    """How many of the dimension's base units one such unit is."""


NUMBER = Measure(Dimension("number", {"": Rational(1)}, whole=False, example="3", written=("",)), "")
MEASURES = (
    NUMBER,
    Measure(FRACTION, "%"),
    Measure(DURATION, "s", SECOND),
    Measure(USD, "USD"),
    Measure(WEI, "ETH", ETH),
    Measure(GAS, "gas"),
    Measure(GAS_RATE, "gas/s"),
    Measure(BYTES, "B"),
    Measure(FREQUENCY, "1/s"),
    Measure(VOLATILITY, "%"),
    Measure(YEARLY, "%"),
)


class Level(NamedTuple):
    """One of the values of a factor."""

    value: float | str
    """A number in the factor's unit, or a name."""
    settings: Mapping[str, Any]
    """What it lays over the scenario."""


class Factor(NamedTuple):
    """Something that varies."""

    levels: Sequence[Level]
    unit: str | None
    """The unit of levels that are numbers; None where they are names."""

    @property
    def paths(self) -> set[str]:
        """What it sets."""
        return {path for level in self.levels for path in level.settings}


def wrong(text: str) -> PydanticCustomError:
    """A mistake in a design."""
    return PydanticCustomError("design", "{text}", {"text": text})


def measured(written: Any) -> tuple[int | float, Measure] | None:
    """A quantity in base units and how it was read; None for what is no quantity."""
    for measure in MEASURES:
        try:
            return measure.dimension.read(written), measure
        except PydanticCustomError:
            continue
    return None


def common(found: Sequence[tuple[int | float, Measure]]) -> Measure | None:
    """The measure of several quantities; None where their units differ. 0 needs no unit, and shares may be written as numbers."""
    measures = [measure for value, measure in found if value != 0 or measure is not NUMBER] or [NUMBER]
    with_unit = [measure for measure in measures if measure is not NUMBER] or [NUMBER]
    units = {measure.unit for measure in measures}
    return with_unit[0] if len(units) == 1 or units == {"", "%"} else None


def listed_levels(path: str, values: Sequence[Any]) -> Factor:
    """Values of one path in order, equal ones too: numbers where all of them are quantities, else names.

    Raises:
        PydanticCustomError: units differ, or a value has no name.
    """
    read = [measured(value) for value in values]
    numbers = [one for one in read if one is not None]
    if len(numbers) < len(values):
        return Factor([Level(_named(value), {path: value}) for value in values], None)
    measure = common(numbers)
    if measure is None:
        raise wrong(f"the levels {', '.join(map(str, values))} have different units")
    return Factor(
        [Level(number / measure.size, {path: value}) for (number, _), value in zip(numbers, values, strict=True)],
        measure.unit,
    )


def _named(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "none" if value is None else str(value).lower()
    if isinstance(value, Mapping) and ("kind" in value or "preset" in value):
        return str(value.get("kind", value.get("preset")))
    if isinstance(value, Mapping | list):
        raise wrong("a level that is a mapping or a list needs a name: write 'name: value' for each level instead of a list")
    return str(value)


def factor(name: str, written: Any) -> Factor:
    """The factor of that name.

    Raises:
        PydanticCustomError: it is none; the message says what to write.
    """
    if not isinstance(written, list | Mapping):
        raise wrong("must be a list of values, such as [1, 2, 4], or a mapping of names to values; in sampled designs also a range")
    if not written:
        raise wrong("has no levels: give it at least one value")
    if isinstance(written, list):
        made = listed_levels(name, written)
    elif {"from", "to"} <= written.keys():
        raise wrong("is a range, which has no levels: write a list, or draw from it with 'kind: latin_hypercube', sobol or random")
    elif "." in name:
        made = Factor([Level(str(level), {name: value}) for level, value in written.items()], None)
    else:
        for level, settings in written.items():
            if not isinstance(settings, Mapping):
                raise wrong(
                    f"level '{level}' must be a mapping of paths to values, such as {{prices.eth.volatility: 60 %}}, because '{name}' "
                    f"is no dotted path; for values of '{name}' itself write a list"
                )
        made = Factor([Level(str(level), dict(settings)) for level, settings in written.items()], None)
    shown = written if isinstance(written, list) else list(written)
    for (i, one), (j, other) in combinations(enumerate(made.levels), 2):
        if one.value == other.value or one.settings == other.settings:
            raise wrong(f"has two equal levels, {shown[i]} and {shown[j]}")
    return made


def factors(written: Mapping[str, Any], read: Callable[[str, Any], F]) -> dict[str, F]:
    """Every factor, read one by one.

    Raises:
        PydanticCustomError: there is none.
        ValidationError: with what is wrong with each.
    """
    if not written:
        raise wrong("there is nothing to vary: name a factor and its levels, such as 'agents.keepers.count: [1, 2, 4]'")
    made: dict[str, F] = {}
    errors: list[InitErrorDetails] = []
    setters: dict[str, str] = {}
    for name, value in written.items():
        try:
            if not all(name.split(".")):
                raise wrong("a path has no empty steps: write it like agents.keepers.count")
            made[name] = read(name, value)
            for path in sorted(getattr(made[name], "paths", {name})):
                if setters.setdefault(path, name) != name:
                    raise wrong(f"sets '{path}', which factor '{setters[path]}' sets too")
        except PydanticCustomError as error:
            errors.append(InitErrorDetails(type=error, loc=(name,), input=value))
    if errors:
        raise ValidationError.from_exception_data("factors", errors)
    return made


def joined(levels: Mapping[str, Level]) -> Point:
    """The point where factors have these levels."""
    settings = {path: value for level in levels.values() for path, value in level.settings.items()}
    return Point({name: level.value for name, level in levels.items()}, dict(sorted(settings.items())))


class Grid(Design):
    """Every combination of the factors' levels: a full factorial design. The last factor by name changes fastest."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"factors": {"agents.keepers.count": [1, 2, 4]}}]})

    factors: dict[str, Any]
    """What varies. A dotted path has a list of values or a mapping of names to values; another name has a mapping of names to settings,
    several values by path that are set together: ``{calm: {prices.eth.volatility: 60 %, duration: 1h}, wild: {…}}``."""

    @field_validator("factors")
    @classmethod
    def _have_levels(cls, written: dict[str, Any]) -> dict[str, Any]:
        factors(written, factor)
        return written

    def points(self, rng: np.random.Generator) -> list[Point]:
        made = factors(self.factors, factor)
        return [joined(dict(zip(made, levels, strict=True))) for levels in product(*(one.levels for one in made.values()))]

    def units(self) -> Mapping[str, str]:
        return {name: one.unit for name, one in factors(self.factors, factor).items() if one.unit is not None}
