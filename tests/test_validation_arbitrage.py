"""A swap and the best arbitrage with a pool against an outside price (Angeris et al. 2019), to 1e-9."""

from collections.abc import Callable
from math import sqrt

import pytest
from validation import DisagreementError, equal, run_file

from l2sim.agents import arbitrageur
from l2sim.events import OutsideTraded, TransactionIncluded
from l2sim.log import Log

BASE, QUOTE = 1000.0, 2_000_000.0

# Fee, outside price; what the literature's example comes to, to the digits it is printed with: input, output, profit (USD).
LISTED = [
    (0.003, 2100.0, (46453.1183, 22.632775, 1075.70926)),
    (0.0, 2100.0, (49390.1532, 24.0999271, 1219.69362)),
    (0.003, 2003.0, (0.0, 0.0, 0.0)),
]
# The other side, a break-even price, other pools.
OTHERS = [(0.003, 1900.0), (0.0005, 2030.0), (0.0005, 1980.0), (0.01, 1500.0), (0.003, 2000.0), (0.01, 1985.0)]


def swapped(paid: float, paid_reserve: float, got_reserve: float, fee: float) -> float:
    """dx = x φ dy / (y + φ dy)."""
    return got_reserve * (1.0 - fee) * paid / (paid_reserve + (1.0 - fee) * paid)


def best(base: float, quote: float, fee: float, price: float) -> tuple[float, float, float]:
    """Input, output and profit of max p dx - dy, in US dollars for a purchase; a sale is the same with both assets exchanged."""
    phi = 1.0 - fee
    paid = (sqrt(phi * price * base * quote) - quote) / phi
    if paid > 0:
        got = swapped(paid, quote, base, fee)
        return paid, got, price * got - paid
    paid = (sqrt(phi * base * quote / price) - base) / phi
    if paid > 0:
        got = swapped(paid, base, quote, fee)
        return paid, got, got - price * paid
    return 0.0, 0.0, 0.0


def arbitrage(fee: float, price: float, base: float = BASE, quote: float = QUOTE) -> Log:
    pool = f"{{fee: {fee!r}, base_reserve: {base!r}, quote_reserve: {quote!r} USD}}"
    return run_file(
        "arbitrage", f"markets.pool={pool}", f"prices.eth.points={{0: {price!r} USD}}", f"agents.arbitrageur.capital={quote!r} USD"
    )


def profit(log: Log) -> float:
    """What the arbitrageur has gained on the chain and outside, hedge included, in US dollars."""
    closed = log.frame("AccountClosed")
    mine = closed[closed.group == "arbitrageur"]
    return float(((mine.closing - mine.opening) * mine.price).sum())


def check(log: Log, expected: tuple[float, float, float]) -> list[str]:
    """One swap of that size, hedged at once by the same amount; or nothing at all."""
    paid, got = log.select(TransactionIncluded, "x", "y")
    assert len(paid) == (expected[0] > 0)
    (hedged,) = log.select(OutsideTraded, "quantity")
    assert len(hedged) == len(paid)
    if not len(paid):
        return [equal("4.1 profit where nothing pays", profit(log), 0.0)]
    found = float(paid[0]), float(got[0]), profit(log)
    assert abs(hedged[0]) in found[:2]
    return [equal(f"4.1 {what}", *pair) for what, *pair in zip(("input", "output", "profit"), found, expected, strict=True)]


@pytest.mark.parametrize(("fee", "price", "printed"), LISTED)
def test_listed_arbitrage(fee: float, price: float, printed: tuple[float, float, float], record_property: Callable[..., None]) -> None:
    expected = best(BASE, QUOTE, fee, price)
    assert expected == pytest.approx(printed, rel=1e-8)
    for line in check(arbitrage(fee, price), expected):
        record_property("validation", line)


@pytest.mark.parametrize(("fee", "price"), OTHERS)
@pytest.mark.parametrize("size", [1.0, 37.0])
def test_other_arbitrages(fee: float, price: float, size: float) -> None:
    expected = best(BASE * size, QUOTE * size, fee, price)
    band = 1.0 - fee <= price * BASE / QUOTE <= 1.0 / (1.0 - fee)
    assert (expected[0] == 0.0) == band
    check(arbitrage(fee, price, BASE * size, QUOTE * size), expected)


@pytest.mark.parametrize(("paid", "fee"), [(20_000.0, 0.003), (20_000.0, 0.0), (150.0, 0.01)])
def test_a_swap_and_its_impact(paid: float, fee: float, record_property: Callable[..., None]) -> None:
    log = run_file("swap", f"markets.pool.fee={fee!r}", f"agents.buyer.steps.swap.fields.quote_in={paid!r}")
    got = swapped(paid, QUOTE, BASE, fee)
    (found,) = log.select(TransactionIncluded, "y")
    closed = log.frame("AccountClosed").query("group == 'pool'").set_index("asset").closing
    spot = closed["usd"] / closed["eth"]
    impact = (QUOTE + paid) / (BASE - got) / (QUOTE / BASE) - 1.0
    record_property("validation", equal("4.1 swap: ETH out", found[0], got))
    record_property("validation", equal("4.1 swap: effective price", paid / found[0], paid / got))
    record_property("validation", equal("4.1 swap: impact on the spot price", spot / (QUOTE / BASE) - 1.0, impact))
    if (paid, fee) == (20_000.0, 0.003):
        assert (got, paid / got, impact) == pytest.approx((9.871580344, 2026.01805, 0.0200697), rel=1e-6)


def test_pushing_the_pool_to_the_price_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake: an arbitrageur that ignores the fee in its size earns 1071.51 USD instead of 1075.71."""

    def to_the_price(price: float, paid_reserve: float, got_reserve: float, fee: float) -> float:
        return max(0.0, sqrt(price * got_reserve * paid_reserve) - paid_reserve)

    monkeypatch.setattr(arbitrageur, "best_input", to_the_price)
    log = arbitrage(0.003, 2100.0)
    assert profit(log) == pytest.approx(1071.5124, rel=1e-7)
    with pytest.raises(DisagreementError, match="input"):
        check(log, best(BASE, QUOTE, 0.003, 2100.0))
    check(arbitrage(0.0, 2100.0), best(BASE, QUOTE, 0.0, 2100.0))  # without a fee it is no mistake
