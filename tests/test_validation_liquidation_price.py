"""Liquidation and bankruptcy prices, P0 (1 ∓ 1/L) / (1 ∓ μ) and P0 (1 ∓ 1/L), and the block in which they come true."""

from collections.abc import Callable
from math import ceil, copysign
from typing import NamedTuple

import pytest
from validation import SCENARIOS, DisagreementError, equal, run

from l2sim.events import PositionLiquidated, PositionOpened, TransactionIncluded
from l2sim.log import Log
from l2sim.markets.perpetual import book
from l2sim.markets.perpetual.positions import Position
from l2sim.scenario import Scenario
from l2sim.transactions import Status
from l2sim.units import SECOND

ENTRY, SIZE = 100.0, 7.0
SLOPE, BEGINS = 0.05, 10  # the price moves by so many USD a second from then on (s)


class Case(NamedTuple):
    """A position: its side, leverage and maintenance margin."""

    side: float
    leverage: float
    maintenance: float

    @property
    def liquidation(self) -> float:
        return self.bankruptcy / (1.0 - self.side * self.maintenance)

    @property
    def bankruptcy(self) -> float:
        return ENTRY * (1.0 - self.side / self.leverage)

    @property
    def block(self) -> int:
        """The first block whose mark is at the liquidation price or beyond; blocks are a second apart."""
        return BEGINS + ceil(abs(ENTRY - self.liquidation) / SLOPE)


LISTED = {
    Case(1.0, 20.0, 0.025): (97.435897, 95.0),
    Case(-1.0, 20.0, 0.025): (102.43902, 105.0),
    Case(1.0, 5.0, 0.05): (84.210526, 80.0),
}
OTHERS = [Case(-1.0, 5.0, 0.05), Case(1.0, 50.0, 0.005), Case(-1.0, 3.0, 0.1), Case(1.0, 2.5, 0.01), Case(1.0, 10.0, 0.0)]


def plan(case: Case) -> Scenario:
    return Scenario.load(
        SCENARIOS / "liquidation_price.yaml",
        (
            f"duration={case.block + 10} s",
            f"prices.eth.points.1010s={ENTRY - copysign(50.0, case.side)!r} USD",
            f"markets.perp={{initial_margin: {1.0 / case.leverage!r}, maintenance_margin: {case.maintenance!r}}}",
            f"agents.trader.steps.open.fields={{size: {case.side * SIZE!r}, leverage: {case.leverage!r}}}",
        ),
    )


def tried_before_every_block(scenario: Scenario) -> Log:
    """A stranger tries to liquidate the position before each block; a first run tells which account is the trader's."""
    (account,) = run(scenario).select(PositionOpened, "account")[0].tolist()
    steps = {
        f"try_{k:04}": {"at": f"{k - 0.5} s", "market": "perp", "action": "liquidate", "fields": {"account": account}}
        for k in range(5, scenario.duration // SECOND + 1)
    }
    return run(scenario.vary(agents__stranger__steps=steps))


def check_prices(log: Log, case: Case) -> list[str]:
    """What the position was announced with."""
    entry, liquidation, bankruptcy = (float(one) for (one,) in log.select(PositionOpened, "entry", "liquidation_price", "bankruptcy_price"))
    name = f"{'long' if case.side > 0 else 'short'}, {case.leverage:g}x, {case.maintenance:.1%}"
    return [
        equal("8.5 entry (USD)", entry, ENTRY),
        equal(f"8.5 liquidation price, {name} (USD)", liquidation, case.liquidation),
        equal(f"8.5 bankruptcy price, {name} (USD)", bankruptcy, case.bankruptcy),
    ]


def check_block(log: Log, case: Case) -> None:
    """Refused before every block before, granted in that one; what was left is measured from the bankruptcy price."""
    statuses = log.select(TransactionIncluded, "status", action="liquidate")[0].tolist()
    blocks = log.select(TransactionIncluded, "block", action="liquidate")[0].tolist()
    granted = [number for number, status in zip(blocks, statuses, strict=True) if status == Status.SUCCEEDED]
    if granted != [case.block]:
        raise DisagreementError(f"liquidated in blocks {granted} instead of {case.block}")
    assert statuses[: blocks.index(case.block)] == [Status.NOT_LIQUIDATABLE] * (case.block - 5)
    (mark,), (returned,) = log.select(PositionLiquidated, "mark", "returned")
    assert (ENTRY - mark) * case.side == pytest.approx((case.block - BEGINS) * SLOPE)
    assert returned == pytest.approx(max(0.0, SIZE * case.side * (mark - case.bankruptcy)), abs=1e-9)


@pytest.mark.parametrize("case", [*LISTED, *OTHERS])
def test_prices_and_the_block_in_which_they_come_true(case: Case, record_property: Callable[..., None]) -> None:
    if case in LISTED:
        assert (case.liquidation, case.bankruptcy) == pytest.approx(LISTED[case], rel=1e-7)
    log = tried_before_every_block(plan(case))
    for line in check_prices(log, case)[1:]:
        record_property("validation", line)
    check_block(log, case)


@pytest.mark.parametrize("case", LISTED)
def test_a_liquidator_is_one_block_behind_the_mark(case: Case) -> None:
    """It sees the block in which the mark crosses, and its transaction is in the next."""
    keeper = {"kind": "liquidator", "market": "perp", "capital": "0 USD"}
    log = run(plan(case).vary(agents__keeper=keeper, markets__perp__liquidation_discount="0.01 bps"))
    times, marks = log.select(PositionLiquidated, "time", "mark")
    assert times.tolist() == [(case.block + 1) * SECOND]
    assert abs(marks[0] - ENTRY) == pytest.approx((case.block + 1 - BEGINS) * SLOPE)
    (statuses,) = log.select(TransactionIncluded, "status", action="liquidate")
    assert statuses.tolist() == [Status.SUCCEEDED]


def test_maintenance_on_the_entry_notional_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake: 97.5 instead of 97.4359 for a long of twenty times, two blocks too early."""

    def price(position: Position, funding: float, maintenance: float) -> float:
        return position.bankruptcy_price(funding) + copysign(maintenance, position.size) * position.entry

    def triggered(position: Position, mark: float, funding: float, maintenance: float) -> bool:
        return position.equity(mark, funding) <= maintenance * abs(position.size) * position.entry

    monkeypatch.setattr(Position, "liquidation_price", price)
    monkeypatch.setattr(book, "triggered", triggered)
    case = next(iter(LISTED))
    log = tried_before_every_block(plan(case))
    assert log.select(PositionOpened, "liquidation_price")[0][0] == pytest.approx(97.5)
    with pytest.raises(DisagreementError, match="liquidation price"):
        check_prices(log, case)
    with pytest.raises(DisagreementError, match="instead of 62"):
        check_block(log, case)
