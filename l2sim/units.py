"""Units: quantities are written with their unit in files and kept in base units in memory.

==========  ==========================  =========================================================
type        kept as                     written as
==========  ==========================  =========================================================
Duration    int, nanoseconds            ``250ms``, ``12s``, ``1h30min``, ``6.4d``, ``2 weeks``
Gas         int, gas                    ``32 Mgas``, ``21000 gas``
GasRate     int, gas per second         ``100 Mgas/s``
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

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidatorFunctionWrapHandler, WrapValidator
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
    "ns": NS, "us": US, "µs": US, "μs": US, "ms": MS, "s": SECOND, "sec": SECOND, "second": SECOND, "seconds": SECOND,
    "min": MINUTE, "minute": MINUTE, "minutes": MINUTE, "h": HOUR, "hour": HOUR, "hours": HOUR,
    "d": DAY, "day": DAY, "days": DAY, "w": WEEK, "week": WEEK, "weeks": WEEK,
}  # fmt: skip
_GAS: Mapping[str, int] = {"gas": 1, "kgas": 10**3, "Mgas": 10**6, "Ggas": 10**9}
_GAS_RATE: Mapping[str, int] = {f"{unit}/s": gas for unit, gas in _GAS.items()}
_WEI: Mapping[str, int] = {"wei": 1, "kwei": 10**3, "Mwei": 10**6, "gwei": GWEI, "ETH": ETH}
_USD: Mapping[str, int] = {"USD": 1, "kUSD": 10**3, "MUSD": 10**6, "bnUSD": 10**9}
_BYTES: Mapping[str, int] = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20}
_FRACTION: Mapping[str, Rational] = {"": Rational(1), "%": Rational(1, 100), "bps": Rational(1, 10_000), "bp": Rational(1, 10_000)}
_FREQUENCY: Mapping[str, Rational] = {
    "/s": Rational(1), "/min": Rational(1, 60), "/h": Rational(1, 3600), "/d": Rational(1, 86400), "/day": Rational(1, 86400),
    "/week": Rational(1, 7 * 86400), "/year": Rational(1, 365 * 86400),
}  # fmt: skip

_NUMBER = r"[+-]?(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3}(?!\d))?"
_TERM = re.compile(rf"\s*({_NUMBER})\s*([^\d\s+.-][^\d\s]*|)\s*")


class Dimension:
    """One kind of unit: how its text is read into the base unit and written back.

    ``written`` are the units of output, which are also those that a message names. ``compound`` allows ``1h30min``;
    ``most`` is the largest number, in base units, that is accepted; ``zero`` the unit that 0 is written with.
    """

    def __init__(
        self,
        name: str,
        units: Mapping[str, int | Rational],
        *,
        whole: bool,
        example: str,
        written: tuple[str, ...],
        compound: bool = False,
        most: int | None = None,
        zero: str | None = None,
    ) -> None:
        self.name = name
        self.units = units
        self.whole = whole
        self.example = example
        self.written = written
        self.compound = compound
        self.most = most
        self.zero = zero if zero is not None else "" if "" in units else written[-1]

    def read(self, value: Any) -> int | float:
        """The base-unit number for text such as ``250ms``; a clear error for anything else."""
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise self.error(value, "cannot be read")
        if isinstance(value, int | float):
            if not math.isfinite(value):
                raise self.error(value, "cannot be read")
            if value != 0 and "" not in self.units:
                raise self.error(value, "has no unit")
            return int(value) if self.whole else float(value)
        total, position, terms = Rational(0), 0, 0
        while position < len(value):
            match = _TERM.match(value, position)
            if match is None or (terms and (not self.compound or match[1][0] in "+-")):
                raise self.error(value, "cannot be read")
            number, unit = Rational(match[1].replace("_", "")), match[2]
            if unit not in self.units and (unit or number != 0):
                raise self.error(value, "has an unknown unit" if unit else "has no unit")
            total += number * self.units.get(unit, 1)
            position, terms = match.end(), terms + 1
        if not terms:
            raise self.error(value, "cannot be read")
        if abs(total) > (_LARGEST if self.most is None else self.most):
            raise self.error(value, "is too large" + (f" (at most {self.write(self.most)})" if self.most else ""))
        if not self.whole:
            return float(total)
        if total.denominator != 1:
            raise PydanticCustomError(
                "not_whole", "{value} is not a whole number of {unit}", {"value": repr(value), "unit": next(iter(self.units))}
            )
        return int(total)

    def error(self, value: Any, what: str) -> PydanticCustomError:
        """The error about a value: what is wrong with it, and what would be right."""
        return PydanticCustomError(
            "unit",
            "{value} {what}: write {article} {name} like '{example}' (units: {units})",
            {
                "value": repr(value),
                "what": what,
                "article": "an" if self.name[0] in "aeiou" else "a",
                "name": self.name,
                "example": self.example,
                "units": ", ".join(unit for unit in self.written if unit),
            },
        )

    def write(self, value: int | float) -> str:
        """Text that reads back as exactly this value, in the unit that takes the shortest number and rather not one below 1."""
        if value == 0:
            return f"0 {self.zero}".strip()
        exact = Rational(int(value)) if self.whole else Rational(repr(float(value)))
        texts = []
        for rank, unit in enumerate(self.written):
            number = exact / Rational(self.units[unit])
            digits = _decimal(number) if self.whole else _number(float(number))
            text = f"{digits} {unit}".strip()
            if digits and self.read(text) == value:
                texts.append((len(digits) + 2 * (abs(number) < 1), rank, text))
        return min(texts)[-1]


_LARGEST = 10**300


def _decimal(number: Rational) -> str:
    """All digits of a number, or nothing where they never end."""
    for places in range(19):
        shifted = number * 10**places
        if shifted.denominator == 1:
            digits = f"{abs(shifted.numerator):0{places + 1}d}"
            whole, part = digits[: len(digits) - places], digits[len(digits) - places :]
            return ("-" if number < 0 else "") + whole + (f".{part}" if part else "")
    return ""


def _number(value: float) -> str:
    return repr(value).removesuffix(".0")


DURATION = Dimension(
    "duration",
    _DURATION,
    whole=True,
    example="250ms",
    written=("d", "h", "min", "s", "ms", "us", "ns"),
    compound=True,
    most=100 * YEAR,
    zero="s",
)
GAS = Dimension("amount of gas", _GAS, whole=True, example="32 Mgas", written=("Ggas", "Mgas", "gas"))
GAS_RATE = Dimension("speed of execution", _GAS_RATE, whole=True, example="100 Mgas/s", written=("Ggas/s", "Mgas/s", "gas/s"))
WEI = Dimension("amount of ether", _WEI, whole=True, example="30 gwei", written=("ETH", "gwei", "wei"))
USD = Dimension("amount of money", _USD, whole=False, example="3000 USD", written=("bnUSD", "MUSD", "USD"))
BYTES = Dimension("size in bytes", _BYTES, whole=True, example="120 kB", written=("MB", "kB", "B"))
FRACTION = Dimension("fraction", _FRACTION, whole=False, example="5 bps", written=("", "%", "bps"))
FREQUENCY = Dimension("frequency", _FREQUENCY, whole=False, example="10 /s", written=("/s", "/min", "/h", "/d", "/year"), zero="/s")
VOLATILITY = Dimension(
    "volatility",
    {**_FRACTION, "%/sqrt(year)": Rational(1, 100), "%/sqrt(day)": Rational(repr(math.sqrt(365.0))) / 100},
    whole=False,
    example="90 %",
    written=("%", "%/sqrt(day)", ""),
)
YEARLY = Dimension(
    "yearly rate",
    {**_FRACTION, "%/year": Rational(1, 100), "%/day": Rational(365, 100), "bps/h": Rational(365 * 24, 10_000)},
    whole=False,
    example="10 %",
    written=("%", "%/day", ""),
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


def _check(test: Callable[[float], bool], words: str) -> WrapValidator:
    def check(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        read = handler(value)
        if not test(read):
            raise PydanticCustomError("range", "must be {words}, but is {value}", {"words": words, "value": str(value)})
        return read

    return WrapValidator(check)


NotNegative = _check(lambda value: value >= 0, "0 or more")
Positive = _check(lambda value: value > 0, "more than 0")
Share = _check(lambda value: 0 <= value <= 1, "between 0 and 1")
Rhythm = _check(lambda value: value >= MS, "1 ms or more, as a shorter rhythm is no chain's and takes more memory than there is")
Bounded = _check(lambda value: value <= 10**15, "a million Ggas at most, beyond which sums of gas do not fit into 63 bits")
Multiplier = _check(lambda value: abs(value) <= 10**6, "a million at most, beyond which books of prices in dollars do not close")
NotTotalLoss = _check(lambda value: value > -1, "more than -100 %")

Duration = Annotated[int, _In(DURATION), NotNegative]
Gas = Annotated[int, _In(GAS), NotNegative, Bounded]
GasRate = Annotated[int, _In(GAS_RATE), NotNegative, Bounded]
Wei = Annotated[int, _In(WEI), NotNegative]
Usd = Annotated[float, _In(USD)]
Bytes = Annotated[int, _In(BYTES), NotNegative]
Fraction = Annotated[float, _In(FRACTION)]
Volatility = Annotated[float, _In(VOLATILITY), NotNegative]
Yearly = Annotated[float, _In(YEARLY)]
Frequency = Annotated[float, _In(FREQUENCY), NotNegative]
