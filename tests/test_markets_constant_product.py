"""The constant-product pool: its arithmetic, its refusals, and the inlined loop against the plain one."""

from math import inf, nan, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from l2sim.markets import Market, Opening
from l2sim.markets.constant_product import (
    BUY,
    SELL,
    ConstantProduct,
    ConstantProductBook,
    Reserves,
    amount_in,
    amount_out,
    least_repayment,
    swapped,
)
from l2sim.state import PriceSource, State
from l2sim.transactions import Rows, Status

POOL, ALICE, BOB = 0, 1, 2


def source(name: str) -> PriceSource:
    assert name == "eth"
    return PriceSource(2000.0)


def pool(base: float = 1000.0, fee: str = "30 bps", wealth: float = 1e6) -> tuple[ConstantProductBook, list[float], list[float]]:
    """An open pool at 2000 USD, its eth and usd balances; everybody is given ``wealth`` of each."""
    market = Market.model_validate({"kind": "constant_product", "on": "arb", "base": "eth", "base_reserve": base, "fee": fee})
    assert isinstance(market, ConstantProduct)
    state = State(3)
    balances = {asset: state.purses[state.purse(asset)] for asset in market.assets()}
    for asset, column in balances.items():
        column[:] = [market.brings(source)[asset], wealth, wealth]
    book = market.open(Opening("pool", POOL, balances.__getitem__, source, state))
    return book, balances["eth"], balances["usd"]


def buy(book: ConstantProductBook, amount: float, slippage: float = inf, reference: float = 0.0) -> tuple[int, float, float]:
    return book.apply(BUY, ALICE, amount, 0.0, 0.0, slippage, reference)


def sell(book: ConstantProductBook, amount: float, slippage: float = inf, reference: float = 0.0) -> tuple[int, float, float]:
    return book.apply(SELL, ALICE, amount, 0.0, 0.0, slippage, reference)


# Angeris et al. 2019: the input that maximises ``p dx - dy`` is ``(sqrt(phi p x y) - y) / phi``.
@pytest.mark.parametrize(
    ("fee", "price", "paid", "got", "profit"),
    [
        ("30 bps", 2100.0, 46453.1183, 22.632775, 1075.70926),
        ("0 bps", 2100.0, 49390.1532, 24.0999271, 1219.69362),
        ("30 bps", 2003.0, 0.0, 0.0, 0.0),
    ],
)
def test_the_best_arbitrage_against_an_outside_price(fee: str, price: float, paid: float, got: float, profit: float) -> None:
    book, eth, usd = pool(fee=fee)
    phi = 1.0 - book.view().fee
    best = max((sqrt(phi * price * eth[POOL] * usd[POOL]) - usd[POOL]) / phi, 0.0)
    assert best == pytest.approx(paid, rel=2e-9)
    if not paid:
        _, dy, dx = buy(book, 1.0)  # nothing is worth buying within the fee's band
        assert price * dx - dy < 0.0
        return
    gains = [price * book.quote(BUY, best * factor, 0.0, 0.0).y - best * factor for factor in (0.999, 1.0, 1.001)]
    assert gains[1] > gains[0]
    assert gains[1] > gains[2]
    status, dy, dx = buy(book, best)
    assert (status, dy) == (Status.SUCCEEDED, best)
    assert dx == pytest.approx(got, rel=3e-9)
    assert price * dx - dy == pytest.approx(profit, rel=5e-9)


def test_a_swap_of_20000_dollars() -> None:
    book, eth, usd = pool()
    before = book.mid()
    status, paid, got = buy(book, 20_000.0)
    assert (status, paid) == (Status.SUCCEEDED, 20_000.0)
    assert got == pytest.approx(9.871580343970614, rel=1e-12)
    assert paid / got == pytest.approx(2026.018054162488, rel=1e-12)
    assert book.mid() / before - 1.0 == pytest.approx(0.0200697, abs=5e-8)
    assert book.view() == Reserves(eth[POOL], usd[POOL], 0.003) == (1000.0 - got, 2_020_000.0, 0.003, False, 0.0)
    assert (eth[ALICE], usd[ALICE]) == (1e6 + got, 980_000.0)


def test_the_pool_opens_at_the_outside_price_unless_told_otherwise() -> None:
    given = ConstantProduct.model_validate({"on": "arb", "base": "eth", "base_reserve": 10, "quote_reserve": "21 kUSD"})
    assert given.brings(source) == {"usd": 21_000.0, "eth": 10.0}
    assert pool(10.0)[0].mid() == 2000.0


@pytest.mark.parametrize("wrong", [{"base_reserve": 0}, {"base_reserve": inf}, {"fee": "100 %"}, {"fee": "-1 bps"}, {"quote_reserve": 5}])
def test_what_makes_no_pool_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ConstantProduct.model_validate({"on": "arb", "base": "eth", "base_reserve": 10} | wrong)


@pytest.mark.parametrize(
    ("action", "amount", "slippage", "reference", "status"),
    [
        (BUY, 0.0, inf, 0.0, Status.INVALID),
        (BUY, nan, inf, 0.0, Status.INVALID),
        (SELL, inf, inf, 0.0, Status.INVALID),
        (SELL, -1.0, inf, 0.0, Status.INVALID),
        (BUY, 1e6 + 1, inf, 0.0, Status.INSUFFICIENT_FUNDS),
        (SELL, 1e6 + 1, inf, 0.0, Status.INSUFFICIENT_FUNDS),
        (BUY, 20_000.0, 0.013, 2000.0, Status.SLIPPAGE),  # pays 2026.02 a unit, 1.3009 % more
        (BUY, 20_000.0, 0.01301, 2000.0, Status.SUCCEEDED),
        (SELL, 10.0, 0.0128, 2000.0, Status.SLIPPAGE),  # gets 1974.32 a unit, 1.2842 % less
        (SELL, 10.0, 0.0129, 2000.0, Status.SUCCEEDED),
        (BUY, 20_000.0, 0.0, 0.0, Status.SUCCEEDED),  # no reference, no limit
        (BUY, 20_000.0, inf, 2000.0, Status.SUCCEEDED),
    ],
)
def test_refusals_change_nothing(action: int, amount: float, slippage: float, reference: float, status: Status) -> None:
    book, eth, usd = pool()
    before = eth.copy(), usd.copy()
    outcome = book.apply(action, ALICE, amount, 0.0, 0.0, slippage, reference)
    assert outcome[0] == status
    if status:
        assert outcome == (status, 0.0, 0.0)
        assert (eth, usd) == before


def test_no_input_empties_a_reserve() -> None:
    book, eth, usd = pool(1e-3, fee="0 bps", wealth=1e30)
    assert buy(book, 1e25)[0] == Status.NO_LIQUIDITY
    assert book.quote(BUY, 1e25, 0.0, 0.0).status == Status.NO_LIQUIDITY
    assert (eth[POOL], usd[POOL]) == (1e-3, 2.0)


@given(st.lists(st.tuples(st.booleans(), st.floats(1e-6, 5e5)), min_size=1, max_size=30))
def test_the_product_never_falls_and_nothing_is_lost(trades: list[tuple[bool, float]]) -> None:
    book, eth, usd = pool()
    for buying, amount in trades:
        k, depth = eth[POOL] * usd[POOL], usd[POOL] if buying else 2000.0 * eth[POOL]
        status, _, _ = buy(book, amount) if buying else sell(book, amount / 2000.0)
        # (y + dy) x' = x y (y + dy) / (y + phi dy): the fee is what makes the product grow
        growth = 0.0 if status else 0.003 * amount / (depth + 0.997 * amount)
        assert eth[POOL] * usd[POOL] == pytest.approx(k * (1.0 + growth), rel=1e-14)
        assert eth[POOL] * usd[POOL] >= k * (1.0 - 1e-15)
    assert sum(eth) == pytest.approx(1000.0 + 2e6, rel=1e-12)
    assert sum(usd) == pytest.approx(2_000_000.0 + 2e6, rel=1e-12)


# ---- Uniswap v2 in whole units: numbers of its own tests (v2-core UniswapV2Pair.spec.ts at ee547b17, v2-periphery
# UniswapV2Router02.spec.ts at 0335e8f7)

UNIT = 10**18
GIVEN = [
    (UNIT, 5 * UNIT, 10 * UNIT, 1662497915624478906),
    (UNIT, 10 * UNIT, 5 * UNIT, 453305446940074565),
    (UNIT, 10 * UNIT, 10 * UNIT, 906610893880149131),
    (2, 100, 100, 1),
]


@pytest.mark.parametrize(("paid", "reserve_in", "reserve_out", "got"), GIVEN)
def test_whole_units_as_uniswap_gives_them(paid: int, reserve_in: int, reserve_out: int, got: int) -> None:
    assert amount_out(paid, reserve_in, reserve_out) == got
    assert amount_out(amount_in(got, reserve_in, reserve_out), reserve_in, reserve_out) >= got
    assert amount_in(got, reserve_in, reserve_out) <= paid


def test_what_a_flash_swap_pays_back() -> None:
    assert least_repayment(UNIT) == 1003009027081243732
    assert amount_in(1, 100, 100) == 2
    with pytest.raises(ValueError, match="cannot give 100"):
        amount_in(100, 100, 100)


reserves = st.integers(10**13, 2**112 - 1)


@given(st.integers(10**12, 2**112 - 1), reserves, reserves)
def test_floats_are_within_1e_9_of_whole_units(paid: int, reserve_in: int, reserve_out: int) -> None:
    exact = amount_out(paid, reserve_in, reserve_out)
    assert exact < reserve_out
    cells = [0.997, float(reserve_out), float(reserve_in), 0.0]
    found = swapped(cells, 0, BUY, float(paid), inf, 0.0)
    if found < 0.0:
        assert exact >= reserve_out - reserve_out // 10**15 - 1  # what is left is less than a float can tell
        return
    assert abs(found - exact) <= max(1e-9 * exact, 1.0)
    if exact >= 10**12:
        assert found == pytest.approx(exact, rel=1e-9)
        least = amount_in(exact, reserve_in, reserve_out)
        assert amount_out(least, reserve_in, reserve_out) >= exact
        assert least <= paid
        assert amount_out(least - 2, reserve_in, reserve_out) < exact


@given(st.floats(1e-3, 9e5))
def test_a_round_trip_loses_at_least_both_fees(amount: float) -> None:
    book, _, usd = pool()
    _, _, got = buy(book, amount)
    status, _, back = sell(book, got)
    assert status == Status.SUCCEEDED
    assert back < amount * (1.0 - 1.9 * book.fee * 2e6 / (2e6 + amount))
    assert usd[ALICE] < 1e6


amounts = st.one_of(st.floats(1e-3, 3e5), st.sampled_from([0.0, -1.0, nan, inf, 1e-320, 1e25]))
orders = st.tuples(st.integers(0, 1), st.sampled_from([ALICE, BOB]), amounts, st.sampled_from([inf, 0.0, 0.003, 0.02]), st.booleans())


@given(st.lists(orders, max_size=40), st.sampled_from(["0 bps", "30 bps"]))
def test_the_inlined_loop_gives_the_same_bits_as_apply(made: list[tuple[int, int, float, float, bool]], fee: str) -> None:
    inlined, plain = pool(fee=fee, wealth=2e5), pool(fee=fee, wealth=2e5)
    actions, senders, sizes, limits, referred = map(list, zip(*made, strict=True)) if made else ([], [], [], [], [])
    reference = [2000.0 if yes else 0.0 for yes in referred]
    rows = Rows.of(len(made), action=actions, sender=senders, a=sizes, slippage=limits, reference=reference)
    stop = len(made)
    one = inlined[0].run(rows, 0, stop // 2), inlined[0].run(rows, stop // 2, stop)
    other = super(ConstantProductBook, plain[0]).run(rows, 0, stop)
    assert tuple(map(repr, (a + b for a, b in zip(*one, strict=True)))) == tuple(map(repr, other))
    assert inlined[1:] == plain[1:]
    assert repr(rows.a) == repr(sizes)
