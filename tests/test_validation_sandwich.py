"""A sandwich around a purchase with a binding slippage limit, and where the money goes (validations 4.3 and 4.4).

Zhou et al. 2021, "High-frequency trading on decentralized on-chain exchanges" (arXiv 2009.14021): the largest front-run ``a`` that
leaves the victim ``v`` with (1 - s) of what it was quoted solves φ a² + a (y + φ (y + φ v)) + y (y + φ v) (1 - 1/(1 - s)) = 0.
"""

from collections.abc import Callable
from math import sqrt
from typing import Any, NamedTuple

import pytest
from validation import DisagreementError, equal, run_file

from l2sim.agents import sandwich_searcher
from l2sim.agents.sandwich_searcher import SandwichSearcher, attack
from l2sim.events import TransactionIncluded
from l2sim.log import Log
from l2sim.markets import constant_product
from l2sim.transactions import Status

BASE, QUOTE = 1_000.0, 2_000_000.0

# Victim's input, slippage, fee; what the literature's example comes to, to the digits it is printed with: front-run (USD),
# victim's output (ETH), the attacker's profit (USD).
LISTED = [
    (100_000.0, 0.01, 0.003, (10336.5536, 47.008144, 981.54696)),
    (100_000.0, 0.01, 0.0, (10321.393, 47.1428571, 1049.4753)),
    (400_000.0, 0.005, 0.003, (5482.86532, 165.418543, 2349.9934)),
    (5_000.0, 0.005, 0.003, (5032.63375, 2.47387138, -5.1628685)),
]
# Victim's input from which the largest front-run pays, by slippage.
BREAK_EVEN = {0.005: 6034.66, 0.01: 6042.26}


# ---- what theory says


def swapped(paid: float, paid_reserve: float, got_reserve: float, fee: float) -> float:
    return got_reserve * (1.0 - fee) * paid / (paid_reserve + (1.0 - fee) * paid)


class Sandwich(NamedTuple):
    front: float
    victim: float
    profit: float
    base: float
    """Reserve afterwards, ETH."""
    quote: float
    """Reserve afterwards, USD."""


def sandwich(v: float, slippage: float, fee: float) -> Sandwich:
    phi = 1.0 - fee
    b, c = QUOTE + phi * (QUOTE + phi * v), QUOTE * (QUOTE + phi * v) * (1.0 - 1.0 / (1.0 - slippage))
    a = -2.0 * c / (b + sqrt(b * b - 4.0 * phi * c))
    bought = swapped(a, QUOTE, BASE, fee)
    got = swapped(v, QUOTE + a, BASE - bought, fee)
    back = swapped(bought, BASE - bought - got, QUOTE + a + v, fee)
    return Sandwich(a, got, back - a, BASE - got, QUOTE + a + v - back)


# ---- what the simulator says


def attacked(v: float, slippage: float, fee: float, *settings: str) -> Log:
    """The victim insists on (1 - slippage) of what it was quoted; its limit is written relative to the pool's price."""
    limit = v / ((1.0 - slippage) * swapped(v, QUOTE, BASE, fee)) / (QUOTE / BASE) - 1.0
    step = f"agents.victim.steps.swap={{slippage: {limit!r}, fields: {{quote_in: {v!r}}}}}"
    return run_file("sandwich", step, f"markets.pool.fee={fee!r}", *settings)


def check(log: Log, expected: Sandwich, what: str) -> list[str]:
    """One sandwich of that size, or where it would not pay, none."""
    actions, status, paid, got = log.select(TransactionIncluded, "action", "status", "x", "y")
    if expected.profit <= 0.0:
        if len(paid) != 1:
            raise DisagreementError(f"{what}: it attacks, where it should not")
        return [equal(f"{what}: profit where nothing pays", profit(log), 0.0)]
    if len(paid) != 3 or status.any():
        raise DisagreementError(f"{what}: no sandwich, but {len(paid)} transactions of status {status.tolist()}")
    assert [log.names.all[code] for code in actions] == ["buy", "buy", "sell"]
    assert paid[2] == got[0]
    return [
        equal(f"{what}: front-run, USD", paid[0], expected.front, 1e-8),
        equal(f"{what}: victim's output, ETH", got[1], expected.victim, 1e-8),
        equal(f"{what}: profit, USD", profit(log), expected.profit, 1e-8),
    ]


def profit(log: Log) -> float:
    """What the searcher has gained, US dollars; it holds the same ETH as before."""
    closed = log.frame("AccountClosed").query("group == 'searcher'").set_index("asset")
    assert closed.closing["eth"] == closed.opening["eth"]
    return float(closed.closing["usd"] - closed.opening["usd"])


@pytest.mark.parametrize(("v", "slippage", "fee", "printed"), LISTED)
def test_listed_sandwiches(
    v: float, slippage: float, fee: float, printed: tuple[float, float, float], record_property: Callable[..., None]
) -> None:
    expected = sandwich(v, slippage, fee)
    assert expected[:3] == pytest.approx(printed, rel=5e-8)
    for line in check(attacked(v, slippage, fee), expected, f"4.3 {v:,.0f} USD, {slippage:.1%}, {fee:.2%}"):
        record_property("validation", line)


@pytest.mark.parametrize("slippage", BREAK_EVEN)
def test_where_a_sandwich_begins_to_pay(slippage: float) -> None:
    even = BREAK_EVEN[slippage]
    for v, pays in ((even - 0.02, False), (even + 0.02, True)):
        assert (sandwich(v, slippage, 0.003).profit > 0.0) == pays
        assert len(attacked(v, slippage, 0.003).select(TransactionIncluded, "x")[0]) == (3 if pays else 1)


@pytest.mark.parametrize(("v", "slippage", "fee"), [(30_000.0, 0.02, 0.003), (1_000.0, 0.001, 0.0), (900_000.0, 0.03, 0.01)])
def test_other_sandwiches(v: float, slippage: float, fee: float) -> None:
    check(attacked(v, slippage, fee), sandwich(v, slippage, fee), f"{v}")


def test_value_is_conserved(record_property: Callable[..., None]) -> None:
    v, slippage, fee = 100_000.0, 0.01, 0.003
    expected, log = sandwich(v, slippage, fee), attacked(v, slippage, fee)
    closed = log.frame("AccountClosed")
    pool = closed.query("group == 'pool'").set_index("asset").closing
    quoted = swapped(v, QUOTE, BASE, fee)
    (got,) = log.select(TransactionIncluded, "y", action="buy")
    growth = pool["eth"] * pool["usd"] / (BASE * QUOTE)
    printed = (952.991856, 2_099_018.453, 1.0001737, 0.47482974)
    assert (expected.base, expected.quote, expected.base * expected.quote / (BASE * QUOTE), quoted - expected.victim) == pytest.approx(
        printed, rel=6e-8
    )
    for line in (
        equal("4.4 reserve afterwards, ETH", pool["eth"], expected.base),
        equal("4.4 reserve afterwards, USD", pool["usd"], expected.quote),
        equal("4.4 growth of the product", growth, expected.base * expected.quote / (BASE * QUOTE)),
        equal("4.4 victim's loss, ETH", quoted - got[1], quoted - expected.victim),
    ):
        record_property("validation", line)
    assert pool["eth"] == pytest.approx(BASE - got[1], rel=1e-15)
    for asset in ("eth", "usd"):
        change = closed[closed.asset == asset]
        assert (change.closing - change.opening).sum() == pytest.approx(0.0, abs=1e-12 * change.closing.sum())


# ---- listed mistakes injected


def test_a_limit_that_is_not_checked_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake: the limit is checked before the front-run, so that it binds nobody."""
    largest = sandwich_searcher.largest
    monkeypatch.setattr(sandwich_searcher, "largest", lambda *trade: 3.0 * largest(*trade))
    law = constant_product.swapped
    for module in (constant_product, sandwich_searcher):
        monkeypatch.setattr(module, "swapped", lambda cells, paid_out, action, a, *limit: law(cells, paid_out, action, a, 1.0, 0.0))
    monkeypatch.setattr(constant_product.ConstantProductBook, "run", constant_product.Book.run)
    with pytest.raises(DisagreementError, match="front-run"):
        check(attacked(100_000.0, 0.01, 0.003), sandwich(100_000.0, 0.01, 0.003), "4.3")


def test_a_limit_from_the_mid_price_is_caught() -> None:
    """The mistake: slippage is counted from the pool's price, from which the victim's own trade moves it by 5 %."""
    log = run_file("sandwich", "agents.victim.steps.swap.slippage=1 %")
    with pytest.raises(DisagreementError, match="no sandwich, but 1 transactions"):
        check(log, sandwich(100_000.0, 0.01, 0.003), "4.3")
    assert log.select(TransactionIncluded, "status")[0].tolist() == [Status.SLIPPAGE]


def test_an_attacker_that_ignores_fees_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake: without the pool's fee in its sums, every victim seems to pay."""

    def carefree(settings: Any, memory: Any, cells: Any, *rest: Any) -> int:
        return attack(settings, memory, [1.0, *cells[1:]], *rest)

    monkeypatch.setattr(SandwichSearcher, "reflex", staticmethod(carefree))
    check(attacked(100_000.0, 0.01, 0.0), sandwich(100_000.0, 0.01, 0.0), "4.3 without a fee it is no mistake")
    with pytest.raises(DisagreementError, match="it attacks"):
        check(attacked(5_000.0, 0.005, 0.003), sandwich(5_000.0, 0.005, 0.003), "4.3")
