"""A fire sale with linear, permanent impact: p* = (p_s - κ m p_h) / (1 - κ m), the initial fall times 1 / (1 - κ m)."""

from collections.abc import Callable

import pytest
from validation import DisagreementError, equal, run_file

from l2sim.events import OracleUpdated, OutsideTraded, PositionLiquidated
from l2sim.log import Log
from l2sim.markets.perpetual.book import PerpetualBook
from l2sim.world.outside import LiveOutside

HIGH, SHOCKED = 100.0, 95.0
DENSITY = 1000.0  # units for every US dollar

# κ (USD a unit): price at rest, amplification.
LISTED = {0.0002: (93.75, 1.25), 0.0005: (90.0, 2.0), 0.0009: (50.0, 10.0)}


def rest(kappa: float, high: float = HIGH, shocked: float = SHOCKED, density: float = DENSITY) -> float:
    """Where the price comes to rest: p = p_s - κ Q with Q = m (p_h - p)."""
    return (shocked - kappa * density * high) / (1.0 - kappa * density)


def fire_sale(kappa: float, positions: int = 20_000, shocked: float = SHOCKED, density: float = DENSITY, spread: str = "even") -> Log:
    """Four seconds a round: the feed is told, shows, somebody liquidates, the maker sells outside."""
    share = min(kappa * density, 0.9)
    return run_file(
        "fire_sale",
        f"prices.eth.points.5s={shocked!r} USD",
        f"chains.outside.depth={0.01 * shocked**2 / kappa!r} USD",
        f"agents.longs={{size: {positions}, units: {density * HIGH / positions!r}, spread: {spread}}}",
        f"duration={round(60 / (1.0 - share))} s",
    )


def last_price(log: Log) -> float:
    """What the feed showed in the end, to which the perpetual marks."""
    return float(log.select(OracleUpdated, "value")[0][-1])


def check(log: Log, kappa: float, shocked: float = SHOCKED, density: float = DENSITY) -> list[str]:
    """The price at rest within half a percent of the fall, the amplification with it."""
    price, expected = last_price(log), rest(kappa, shocked=shocked, density=density)
    lines = [
        equal(f"8.3 fall of the price, kappa {kappa:g} (USD)", HIGH - price, HIGH - expected, 0.005),
        equal(f"8.3 amplification, kappa {kappa:g}", (HIGH - price) / (HIGH - shocked), 1.0 / (1.0 - kappa * density), 0.005),
    ]
    # What was liquidated was sold outside, all of it, and moved the price by κ a unit.
    (liquidated,) = log.select(PositionLiquidated, "size")
    (traded,) = log.select(OutsideTraded, "quantity")
    assert traded.sum() == pytest.approx(-liquidated.sum(), rel=1e-9)
    assert shocked - price == pytest.approx(kappa * liquidated.sum(), rel=1e-9)
    return lines


@pytest.mark.parametrize("kappa", LISTED)
def test_where_the_price_comes_to_rest(kappa: float, record_property: Callable[..., None]) -> None:
    assert (rest(kappa), (HIGH - rest(kappa)) / (HIGH - SHOCKED)) == pytest.approx(LISTED[kappa])
    for line in check(fire_sale(kappa), kappa):
        record_property("validation", line)


@pytest.mark.validate
@pytest.mark.parametrize("kappa", LISTED)
def test_where_the_price_comes_to_rest_with_two_hundred_thousand_positions(kappa: float, record_property: Callable[..., None]) -> None:
    for line in check(fire_sale(kappa, 200_000), kappa):
        record_property("validation", line)


@pytest.mark.parametrize(("kappa", "shocked", "density"), [(0.001, 99.0, 500.0), (0.00005, 90.0, 10_000.0), (0.0004, 97.0, 1000.0)])
def test_other_crowds_and_shocks(kappa: float, shocked: float, density: float) -> None:
    check(fire_sale(kappa, 40_000, shocked, density), kappa, shocked, density)


def test_total_collapse_from_one_over_the_density() -> None:
    """κ m >= 1: nothing holds the price but the venue's floor of 1 % of it; whoever can be liquidated is."""
    log = fire_sale(0.0011)
    assert last_price(log) == pytest.approx(0.01 * SHOCKED)
    assert len(log.select(PositionLiquidated, "size")[0]) == 20_000 * (1.0 - 0.01 * SHOCKED / HIGH)


def test_no_cascade_where_trades_do_not_move_the_price() -> None:
    log = run_file("fire_sale", "chains.outside.impact=none")
    assert last_price(log) == SHOCKED
    assert len(log.select(PositionLiquidated, "size")[0]) == 20_000 * (HIGH - SHOCKED) / HIGH


# ---- listed mistakes, injected


def test_one_round_only_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake: those whom the sales of the first wave bring down are left alone; the fall is 5 (1 + κ m) = 7.5, not 10 USD."""
    calls = PerpetualBook.calls
    first: list[int] = []

    def once(book: PerpetualBook) -> int:
        first.extend([calls(book)] if not first and calls(book) else [])
        return first[0] if first else 0

    monkeypatch.setattr(PerpetualBook, "calls", once)
    log = fire_sale(0.0005)
    assert HIGH - last_price(log) == pytest.approx(7.5, rel=1e-3)
    with pytest.raises(DisagreementError):
        check(log, 0.0005)


def test_an_oracle_that_never_reads_again_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake: what the sales do outside never comes back to the mark; the fall stays at 5 USD."""
    monkeypatch.setattr(LiveOutside, "factor", lambda venue, price: 1.0)
    log = fire_sale(0.0005)
    assert last_price(log) == SHOCKED
    with pytest.raises(DisagreementError):
        check(log, 0.0005)
