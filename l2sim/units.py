"""Units: quantities are written with their unit in files and kept in base units in memory.

==========  ==========================  =========================================================
type        kept as                     written as
==========  ==========================  =========================================================
Duration    int, nanoseconds            ``250ms``, ``12s``, ``1h30min``, ``6.4d``, ``2 weeks``
Gas         int, gas                    ``32 Mgas``, ``21000 gas``
Wei         int, wei                    ``30 gwei``, ``1.5 ETH``, ``7 wei``
Usd         float, US dollars           ``3000 USD``, ``40 MUSD``, ``2.5 kUSD``, ``1 bnUSD``
Bytes       int, bytes                  ``120 B``, ``130.044 kB``
Fraction    float, dimensionless        ``5 bps``, ``0.05 %``, ``0.0005``
Volatility  float, per sqrt(365 days)   ``90 %`` (a year's), ``5 %/sqrt(day)``, ``0.9``
Yearly      float, per 365 days         ``-20 %`` (a year's), ``1 %/day``
Frequency   float, per second           ``10 /s``, ``3 /min``, ``0.5 /h``, ``2 /d``
Quantity    float with its dimension    any of the above: for distributions, whose owner names the dimension
==========  ==========================  =========================================================

A bare number where a unit is due is refused; 0 needs none.
"""

import math
import re
from collections.abc import Callable, Mapping
from fractions import Fraction as Rational
from typing import Annotated, Any

from pydantic import AfterValidator, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

NS = 1
US = 1_000
MS = 1_000_000
SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
WEEK = 7 * DAY
YEAR = 365 * DAY

GWEI = 10**9
ETH = 10**18

SECONDS_A_YEAR = 365 * 86400.0

_DURATION: Mapping[str, int] = {
    "ns": NS, "us": US, "µs": US, "ms": MS, "s": SECOND, "sec": SECOND, "second": SECOND, "seconds": SECOND,
    "min": MINUTE, "minute": MINUTE, "minutes": MINUTE, "h": HOUR, "hour": HOUR, "hours": HOUR,
    "d": DAY, "day": DAY, "days": DAY, "w": WEEK, "week": WEEK, "weeks": WEEK,
}  # fmt: skip
_GAS: Mapping[str, int] = {"gas": 1, "kgas": 10**3, "Mgas": 10**6, "Ggas": 10**9}
_WEI: Mapping[str, int] = {"wei": 1, "kwei": 10**3, "Mwei": 10**6, "gwei": GWEI, "ETH": ETH}
_USD: Mapping[str, int] = {"USD": 1, "kUSD": 10**3, "MUSD": 10**6, "bnUSD": 10**9}
_BYTES: Mapping[str, int] = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20}
_FRACTION: Mapping[str, Rational] = {"": Rational(1), "%": Rational(1, 100), "bps": Rational(1, 10_000), "bp": Rational(1, 10_000)}
_FREQUENCY: Mapping[str, Rational] = {
    "/s": Rational(1), "/min": Rational(1, 60), "/h": Rational(1, 3600), "/d": Rational(1, 86400), "/day": Rational(1, 86400),
}  # fmt: skip

_NUMBER = r"[+-]?(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
_TERM = re.compile(rf"\s*({_NUMBER})\s*([^\d\s+.-][^\d\s]*(?:\([a-z]+\))?|)\s*")


class Dimension:
    """One kind of unit: how its text is read into the base unit and written back."""

    def __init__(
        self,
        name: str,
        units: Mapping[str, int | Rational],
        *,
        whole: bool,
        example: str,
        compound: bool = False,
        preferred: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.units = units
        self.whole = whole
        self.example = example
        self.compound = compound
        self.preferred = preferred

    def read(self, value: Any) -> int | float:
        """The base-unit number for text such as ``250ms``; a clear error for anything else."""
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise self.error(value)
        if isinstance(value, int | float):
            if value != 0 and "" not in self.units:
                raise self.error(value)
            if not math.isfinite(value):
                raise self.error(value)
            return int(value) if self.whole else float(value)
        total, position, terms = Rational(0), 0, 0
        while position < len(value):
            match = _TERM.match(value, position)
            if match is None or (terms and not self.compound) or (match[2] not in self.units and Rational(match[1]) != 0):
                raise self.error(value)
            total += Rational(match[1].replace("_", "")) * self.units.get(match[2], 1)
            position, terms = match.end(), terms + 1
        if not terms:
            raise self.error(value)
        if self.whole:
            if total.denominator != 1:
                raise PydanticCustomError(
                    "not_whole", "'{value}' is not a whole number of {name}", {"value": value, "name": next(iter(self.units))}
                )
            return int(total)
        return float(total)

    def error(self, value: Any) -> PydanticCustomError:
        known = ", ".join(unit for unit in self.units if unit)
        return PydanticCustomError(
            "unit",
            "{value} is not {article} {name}: write a number with a unit, such as '{example}' (units: {known})",
            {
                "value": repr(value),
                "article": "an" if self.name[0] in "aeiou" else "a",
                "name": self.name,
                "example": self.example,
                "known": known,
            },
        )

    def write(self, value: int | float) -> str:
        """Text that reads back as exactly this value."""
        if value == 0:
            return "0" if "" in self.units else f"0 {self.preferred[-1]}"
        for unit in self.preferred:
            scale = Rational(self.units[unit])
            if self.whole:
                if int(value) % scale == 0 or unit == self.preferred[-1]:
                    return f"{_plain(Rational(int(value)) / scale)} {unit}"
            elif abs(value) >= scale or unit == self.preferred[-1]:
                text = f"{_shortest(value, scale)} {unit}".strip()
                if self.read(text) == value:
                    return text
        return f"{value!r} {self.preferred[-1]}".strip()


def _plain(number: Rational) -> str:
    return str(number.numerator) if number.denominator == 1 else repr(float(number))


def _shortest(value: float, scale: Rational) -> str:
    text = repr(float(Rational(repr(value)) / scale))
    return text.removesuffix(".0")


DURATION = Dimension(
    "duration", _DURATION, whole=True, example="250ms", compound=True, preferred=("w", "d", "h", "min", "s", "ms", "us", "ns")
)
GAS = Dimension("amount of gas", _GAS, whole=True, example="32 Mgas", preferred=("Ggas", "Mgas", "kgas", "gas"))
WEI = Dimension("amount of ether", _WEI, whole=True, example="30 gwei", preferred=("ETH", "gwei", "wei"))
USD = Dimension("amount of money", _USD, whole=False, example="3000 USD", preferred=("MUSD", "USD"))
BYTES = Dimension("size in bytes", _BYTES, whole=True, example="120 kB", preferred=("MB", "kB", "B"))
FRACTION = Dimension("fraction", _FRACTION, whole=False, example="5 bps", preferred=("",))
FREQUENCY = Dimension("frequency", _FREQUENCY, whole=False, example="10 /s", preferred=("/s",))
VOLATILITY = Dimension(
    "volatility",
    {**_FRACTION, "%/sqrt(year)": Rational(1, 100), "%/sqrt(day)": Rational(repr(math.sqrt(365.0))) / 100},
    whole=False,
    example="90 %",
    preferred=("",),
)
YEARLY = Dimension(
    "yearly rate",
    {**_FRACTION, "%/year": Rational(1, 100), "%/day": Rational(365, 100), "bps/h": Rational(365 * 24, 10_000)},
    whole=False,
    example="10 %",
    preferred=("",),
)

DIMENSIONS: Mapping[str, Dimension] = {
    "duration": DURATION, "gas": GAS, "wei": WEI, "usd": USD, "bytes": BYTES, "fraction": FRACTION, "frequency": FREQUENCY,
}  # fmt: skip


class _In:
    """Pydantic annotation: read text with the units of a dimension, write it back the same way."""

    def __init__(self, dimension: Dimension) -> None:
        self.dimension = dimension

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.dimension.read,
            serialization=core_schema.plain_serializer_function_ser_schema(self.dimension.write, return_schema=core_schema.str_schema()),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": ["string", "number"], "examples": [self.dimension.example]}


class Quantity(float):
    """A number in base units that remembers its dimension: ``Quantity.read('3 kUSD')`` is 3000.0 in 'usd'."""

    dimension: str

    def __new__(cls, value: float, dimension: str = "fraction") -> "Quantity":
        quantity = super().__new__(cls, value)
        quantity.dimension = dimension
        return quantity

    def __reduce__(self) -> tuple[Any, ...]:
        return Quantity, (float(self), self.dimension)

    @classmethod
    def read(cls, value: Any) -> "Quantity":
        """The quantity in a text of any dimension; a bare number is dimensionless."""
        if isinstance(value, Quantity):
            return value
        for name in ("fraction", "duration", "gas", "wei", "usd", "bytes", "frequency"):
            try:
                return cls(DIMENSIONS[name].read(value), name)
            except PydanticCustomError:
                continue
        raise PydanticCustomError("unit", "{value} is no quantity: write '2 s', '3000 USD', '5 bps' or a number", {"value": repr(value)})

    def written(self) -> str | float:
        """Text, or the number itself where it has no dimension."""
        if self.dimension == "fraction":
            return float(self)
        dimension = DIMENSIONS[self.dimension]
        return dimension.write(int(self) if dimension.whole else float(self))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.read, serialization=core_schema.plain_serializer_function_ser_schema(cls.written)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": ["string", "number"], "examples": ["3000 USD", "2 s", 8]}


def _check(test: Callable[[float], bool], words: str) -> AfterValidator:
    def check(value: Any) -> Any:
        if not test(value):
            raise PydanticCustomError("range", "must be {words}, but is {value}", {"words": words, "value": str(value)})
        return value

    return AfterValidator(check)


NotNegative = _check(lambda value: value >= 0, "0 or more")
Positive = _check(lambda value: value > 0, "more than 0")
Share = _check(lambda value: 0 <= value <= 1, "between 0 and 1")

Duration = Annotated[int, _In(DURATION), NotNegative]
Gas = Annotated[int, _In(GAS), NotNegative]
Wei = Annotated[int, _In(WEI), NotNegative]
Usd = Annotated[float, _In(USD)]
Bytes = Annotated[int, _In(BYTES), NotNegative]
Fraction = Annotated[float, _In(FRACTION)]
Volatility = Annotated[float, _In(VOLATILITY), NotNegative]
Yearly = Annotated[float, _In(YEARLY)]
Frequency = Annotated[float, _In(FREQUENCY), NotNegative]
