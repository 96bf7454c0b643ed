import math
import pickle
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from l2sim.units import (
    BYTES,
    DAY,
    DIMENSIONS,
    DURATION,
    ETH,
    FRACTION,
    FREQUENCY,
    GAS,
    GWEI,
    HOUR,
    MINUTE,
    MS,
    SECOND,
    USD,
    VOLATILITY,
    WEEK,
    WEI,
    YEARLY,
    Duration,
    Fraction,
    Gas,
    NotTotalLoss,
    Positive,
    Quantity,
    Share,
    Usd,
    Wei,
)

FLOATING = [USD, FRACTION, FREQUENCY, VOLATILITY, YEARLY]


@pytest.mark.parametrize(
    ("dimension", "text", "value"),
    [
        (DURATION, "250ms", 250 * MS), (DURATION, " 12 s ", 12 * SECOND), (DURATION, "1h30min", 90 * MINUTE),
        (DURATION, "1 h 30 min", 90 * MINUTE), (DURATION, "6.4d", 9216 * MINUTE), (DURATION, "1.5 days", 36 * HOUR),
        (DURATION, "2 weeks", 2 * WEEK), (DURATION, "1e3 ns", 1000), (DURATION, "10_000 s", 10_000 * SECOND), (DURATION, ".5s", 500 * MS),
        (DURATION, "3 µs", 3000), (DURATION, "3 μs", 3000), (DURATION, 0, 0), (DURATION, "0", 0), (DURATION, 0.0, 0),
        (GAS, "32 Mgas", 32_000_000), (GAS, "21000 gas", 21_000),
        (WEI, "30 gwei", 30 * GWEI), (WEI, "1.5 ETH", 15 * 10**17), (WEI, "0.1 ETH", 10**17), (WEI, "7 wei", 7),
        (USD, "3000 USD", 3000.0), (USD, "40 MUSD", 4e7), (USD, "-2.5 kUSD", -2500.0), (USD, "1 bnUSD", 1e9),
        (BYTES, "120 B", 120), (BYTES, "130.044 kB", 130_044), (BYTES, "128 KiB", 131_072),
        (FRACTION, "5 bps", 0.0005), (FRACTION, "0.05 %", 0.0005), (FRACTION, 0.0005, 0.0005), (FRACTION, "-12 %", -0.12),
        (FRACTION, 3, 3.0),
        (VOLATILITY, "90 %", 0.9), (VOLATILITY, "5 %/sqrt(day)", 0.05 * math.sqrt(365)),
        (YEARLY, "-20 %", -0.2), (YEARLY, "1 %/day", 3.65),
        (FREQUENCY, "10 /s", 10.0), (FREQUENCY, "3/min", 0.05), (FREQUENCY, "0.5 /h", 0.5 / 3600), (FREQUENCY, "2 /d", 2 / 86400),
    ],
)  # fmt: skip
def test_reads(dimension, text, value):
    found = dimension.read(text)
    assert found == pytest.approx(value, rel=1e-15)
    assert type(found) is (int if dimension.whole else float)


@pytest.mark.parametrize(
    ("dimension", "value", "text"),
    [
        (DURATION, 9216 * MINUTE, "6.4 d"), (DURATION, 90 * SECOND, "90 s"), (DURATION, 250 * MS, "250 ms"),
        (DURATION, 12 * SECOND, "12 s"), (DURATION, 7 * DAY, "7 d"), (DURATION, 30 * MINUTE, "30 min"),
        (DURATION, 500 * MS, "500 ms"), (DURATION, 0, "0 s"),
        (DURATION, 123_456_789, "123456789 ns"), (DURATION, 2500 * MS, "2.5 s"), (DURATION, 100 * SECOND, "100 s"),
        (WEI, 3 * ETH // 2, "1.5 ETH"), (WEI, ETH // 100, "0.01 ETH"), (WEI, 30 * GWEI, "30 gwei"), (WEI, 7, "7 wei"),
        (WEI, ETH + 1, f"{ETH + 1} wei"),
        (GAS, 32_000_000, "32 Mgas"), (GAS, 21_000, "21000 gas"),
        (BYTES, 130_044, "130044 B"), (BYTES, 120_000, "120 kB"),
        (USD, 3000.0, "3000 USD"), (USD, 4e7, "40 MUSD"), (USD, 0.07, "0.07 USD"), (USD, -2500.0, "-2500 USD"),
        (USD, 20_000.0, "20000 USD"),
        (FRACTION, 0.0005, "5 bps"), (FRACTION, -0.12, "-12 %"), (FRACTION, 1.0, "1"), (FRACTION, 0.0, "0"), (FRACTION, 0.3, "30 %"),
        (VOLATILITY, 0.9, "90 %"), (VOLATILITY, VOLATILITY.read("5 %/sqrt(day)"), "5 %/sqrt(day)"), (YEARLY, 3.65, "1 %/day"),
        (FREQUENCY, 0.05, "3 /min"), (FREQUENCY, 2 / 86400, "2 /d"), (FREQUENCY, 10.0, "10 /s"), (FREQUENCY, 0.0, "0 /s"),
    ],
)  # fmt: skip
def test_writes_compactly(dimension, value, text):
    assert dimension.write(value) == text
    assert dimension.read(text) == value


@given(st.sampled_from([DURATION, GAS, WEI, BYTES]), st.integers(0, 10**18), st.integers(0, 18))
def test_whole_numbers_come_back(dimension, value, zeros):
    value = value // 10**zeros * 10**zeros
    assert dimension.read(dimension.write(value)) == value


@given(st.integers(0, 10**30))
def test_wei_beyond_64_bits_comes_back(value):
    assert WEI.read(WEI.write(value)) == value


@given(st.sampled_from(FLOATING), st.floats(-1e250, 1e250) | st.floats(-1e6, 1e6) | st.decimals(0, 10_000, places=3).map(float))
def test_floating_numbers_come_back(dimension, value):
    assert dimension.read(dimension.write(value)) == value


@given(st.sampled_from(sorted(DIMENSIONS)), st.integers(1, 10**9))
def test_quantities_come_back(name, value):
    quantity = Quantity(value, name)
    again = Quantity.read(quantity.written())
    assert (again, again.dimension) == (quantity, name)


def test_a_quantity_knows_its_dimension():
    assert [Quantity.read(text).dimension for text in ("2 s", "3 kUSD", "5 bps", 8, "1 gwei", "2 Mgas", "1 kB", "3 /min", "0 s")] == [
        "duration", "usd", "fraction", "fraction", "wei", "gas", "bytes", "frequency", "duration",
    ]  # fmt: skip
    copied = pickle.loads(pickle.dumps(Quantity.read("2 s")))
    assert (copied, copied.dimension) == (2e9, "duration")


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        (Duration, 250, r"250 has no unit: write a duration like '250ms' \(units: d, h, min, s, ms, us, ns\)"),
        (Duration, "250", "'250' has no unit"),
        (Duration, 1.5, "1.5 has no unit"),
        (Duration, "12 sx", "'12 sx' has an unknown unit: write a duration"),
        (Duration, "3 USD", "'3 USD' has an unknown unit: write a duration"),
        (Duration, "0 USD", "unknown unit"),
        (Duration, "soon", "'soon' cannot be read: write a duration"),
        (Duration, "", "'' cannot be read"),
        (Duration, True, "True cannot be read"),
        (Duration, None, "None cannot be read"),
        (Duration, [1], "cannot be read"),
        (Duration, float("nan"), "nan cannot be read"),
        (Duration, "1h-30min", "unknown unit"),
        (Duration, "1h +30min", "cannot be read"),
        (Duration, "0.1 ns", "'0.1 ns' is not a whole number of ns"),
        (Duration, "1e30 s", "'1e30 s' is too large"),
        (Duration, "1e999999999 s", "unknown unit"),
        (Duration, "-1s", "must be 0 or more, but is -1s"),
        (Annotated[Duration, Positive], "-250 ms", "must be 0 or more, but is -250 ms"),
        (Annotated[Duration, Positive], "0s", "must be more than 0, but is 0s"),
        (Wei, "1.5 wei", "not a whole number of wei"),
        (Wei, "-1 gwei", "must be 0 or more, but is -1 gwei"),
        (Gas, 21000, "write an amount of gas like '32 Mgas'"),
        (Usd, 3000, "write an amount of money like '3000 USD'"),
        (Usd, "3 s", "unknown unit"),
        (Annotated[Usd, Positive], "-3 USD", "must be more than 0, but is -3 USD"),
        (Annotated[float, Share], 1.5, "must be between 0 and 1, but is 1.5"),
        (Annotated[Fraction, NotTotalLoss], "-100 %", "must be more than -100 %, but is -100 %"),
        (Fraction, "five", "write a fraction like '5 bps'"),
        (Fraction, "1 % 2 %", "cannot be read"),
        (Quantity, "three", "'three' is no quantity: write '2 s', '3000 USD', '5 bps' or a number"),
        (Annotated[Quantity, Positive], "-2 s", "must be more than 0, but is -2 s"),
    ],
)
def test_refuses(kind, value, words):
    with pytest.raises(ValidationError, match=words) as caught:
        TypeAdapter(kind).validate_python(value)
    assert len(caught.value.errors()) == 1


class Page(BaseModel):
    wait: Annotated[Duration, Positive] | None = None
    price: Annotated[Usd, Positive] = 1.0
    waits: dict[Duration, Usd] = {}


def test_a_page_goes_through_json_and_comes_back():
    page = Page.model_validate({"wait": "6.4d", "price": "3 kUSD", "waits": {0: "1 USD", "90s": 0}})
    assert page.model_dump(mode="json") == {"wait": "6.4 d", "price": "3000 USD", "waits": {"0 s": "1 USD", "90 s": "0 USD"}}
    assert Page.model_validate_json(page.model_dump_json()) == page
    assert Page.model_json_schema()["properties"]["price"]["examples"] == ["3000 USD"]
