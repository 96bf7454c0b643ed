"""The perpetual: prices of liquidation, trades, makers, funding and liquidation, by worked example."""

from math import inf, isnan, nan

import numpy as np
import pytest
from pydantic import ValidationError

from l2sim.events import BadDebtIncurred, FundingSettled, PositionClosed, PositionLiquidated, PositionOpened, QuotesChanged
from l2sim.markets import Opening
from l2sim.markets.perpetual import Perpetual
from l2sim.markets.perpetual.book import CLOSE, DEPOSIT, LIQUIDATE, OPEN, QUOTE, WITHDRAW
from l2sim.markets.perpetual.positions import NO_POSITION
from l2sim.state import PriceSource, State
from l2sim.transactions import Status
from l2sim.units import HOUR

VAULT, ANN, BEN, KEEPER, MAKER, RIVAL = range(6)
PLAIN = {"initial_margin": 0.05, "maintenance_margin": 0.025, "taker_fee": 0, "interest": 0, "liquidation_penalty": 0}


class Venue:
    """A perpetual at an index of 100, MAKER quoting 1,000 units without a spread, everybody with a million."""

    def __init__(self, quoting: bool = True, **rules: object) -> None:
        self.index = PriceSource(100.0)
        self.usd = [0.0] + [1e6] * 5
        terms = Perpetual.model_validate({"on": "arb", "index": "eth", "insurance_fund": "1000 USD", **PLAIN, **rules})
        self.usd[VAULT] += terms.brings(lambda name: self.index)["usd"]
        self.book = terms.open(Opening("perp", VAULT, lambda asset: {"usd": self.usd}[asset], lambda name: self.index, State(6)))
        self.view = self.book.view()
        if quoting:
            self.do(DEPOSIT, MAKER, 1e5)
            self.do(QUOTE, MAKER, 0.0, 1000.0)
            self.book.facts.clear()

    def do(self, action: int, sender: int, a: float, b: float = 0.0, c: float = 0.0, slippage: float = inf, reference: float = 0.0):
        outcome = self.book.apply(action, sender, a, b, c, slippage, reference)
        assert self.book.audit() < 1e-12
        assert sum(self.usd) == pytest.approx(5e6 + self.book.terms.insurance_fund, rel=1e-12)
        return outcome

    def done(self, action: int, sender: int, a: float, b: float = 0.0, c: float = 0.0) -> tuple[float, float]:
        status, x, y = self.do(action, sender, a, b, c)
        assert status == Status.SUCCEEDED, Status(status).name
        return x, y


# ---- liquidation and bankruptcy prices


@pytest.mark.parametrize(
    ("size", "leverage", "maintenance", "liquidation", "bankruptcy"),
    [
        (1.0, 20.0, "2.5 %", 97.435897435897436, 95.0),  # 97.5 would be maintenance on the notional at entry
        (-1.0, 20.0, "2.5 %", 102.43902439024390, 105.0),
        (1.0, 5.0, "5 %", 84.210526315789474, 80.0),
        (-7.0, 5.0, "5 %", 114.28571428571429, 120.0),
    ],
)
def test_liquidation_and_bankruptcy_price(size: float, leverage: float, maintenance: str, liquidation: float, bankruptcy: float) -> None:
    venue = Venue(initial_margin="10 %" if maintenance == "5 %" else "5 %", maintenance_margin=maintenance)
    assert venue.done(OPEN, ANN, size, leverage) == (100.0, pytest.approx(abs(size) * 100.0 / leverage, rel=1e-15))
    (fact,) = venue.book.facts
    assert isinstance(fact, PositionOpened)
    assert (fact.market, fact.account, fact.size, fact.entry) == ("perp", ANN, size, 100.0)
    assert fact.liquidation_price == pytest.approx(liquidation, rel=1e-14)
    assert fact.bankruptcy_price == pytest.approx(bankruptcy, rel=1e-14)
    assert venue.view.liquidation_price(ANN) == fact.liquidation_price
    toward = -1.0 if size > 0 else 1.0
    venue.index.price = liquidation * (1.0 - toward * 1e-12)
    assert not venue.book.calls()
    assert venue.do(LIQUIDATE, KEEPER, ANN)[0] == Status.NOT_LIQUIDATABLE
    venue.index.price = liquidation * (1.0 + toward * 1e-12)
    assert venue.book.calls()
    assert [row.account for row in venue.view.liquidatable()] == [ANN]
    venue.index.price = bankruptcy
    assert venue.view.equity(ANN) == pytest.approx(0.0, abs=1e-11)
    assert venue.do(LIQUIDATE, KEEPER, ANN)[0] == Status.SUCCEEDED
    assert venue.do(LIQUIDATE, KEEPER, ANN)[0] == Status.NO_POSITION


# ---- opening and closing


def test_a_long_and_a_short_mirror_each_other() -> None:
    up, down = Venue(taker_fee="10 bps"), Venue(taker_fee="10 bps")
    for venue, sign in ((up, 1.0), (down, -1.0)):
        venue.done(OPEN, ANN, sign * 10.0, 10.0)
        venue.index.price = 100.0 + sign * 4.0
        venue.done(OPEN, ANN, sign * 10.0, 10.0)
        venue.index.price = 100.0 + sign * 7.0
    price, profit = up.done(CLOSE, ANN, 1.0)
    assert (price, profit) == (107.0, pytest.approx(10 * 7 + 10 * 3 - 0.001 * 20 * 107))
    assert up.usd[ANN] == pytest.approx(1e6 + 100.0 - 0.001 * (1000 + 1040 + 2140))
    price, profit = down.done(CLOSE, ANN, 1.0)
    assert (price, profit) == (93.0, pytest.approx(10 * 7 + 10 * 3 - 0.001 * 20 * 93))
    assert down.usd[ANN] == pytest.approx(1e6 + 100.0 - 0.001 * (1000 + 960 + 1860))
    for venue in (up, down):
        assert venue.view.position(ANN) == NO_POSITION
        assert venue.view.open_interest == (0.0, 0.0)


def test_increasing_averages_and_partial_closes_realise_pro_rata() -> None:
    venue = Venue(initial_margin="4 %", maintenance_margin="1 %")
    venue.done(OPEN, ANN, 10.0, 10.0)
    venue.index.price = 106.0
    venue.done(OPEN, ANN, 5.0, 5.0)
    assert venue.view.position(ANN) == (15.0, pytest.approx(102.0), 100.0 + 106.0, 0.0)
    venue.index.price = 105.0
    assert venue.done(CLOSE, ANN, 0.4) == (105.0, pytest.approx(6 * 3.0))
    assert venue.view.position(ANN) == (pytest.approx(9.0), pytest.approx(102.0), pytest.approx(0.6 * 206.0), 0.0)
    assert venue.usd[ANN] == pytest.approx(1e6 - 206.0 + 0.4 * 206.0 + 18.0)
    closed = venue.book.facts[-1]
    assert closed == PositionClosed("perp", ANN, pytest.approx(6.0), 105.0, pytest.approx(18.0))
    venue.done(OPEN, ANN, -12.0, 6.0)  # closes nine, opens three short
    assert venue.view.position(ANN) == (pytest.approx(-3.0), 105.0, pytest.approx(3 * 105.0 / 6), 0.0)
    assert venue.usd[ANN] == pytest.approx(1e6 + 15 * 3.0 - 52.5)
    assert venue.view.open_interest == (pytest.approx(0.0, abs=1e-12), pytest.approx(3.0))
    assert venue.view.inventory(MAKER).size == pytest.approx(3.0)


def test_an_owner_cannot_walk_away_from_a_loss_beyond_the_margin() -> None:
    venue = Venue()
    venue.done(OPEN, ANN, 10.0, 20.0)
    venue.index.price = 94.0
    assert venue.do(CLOSE, ANN, 1.0)[0] == Status.UNHEALTHY
    venue.index.price = 96.0
    assert venue.done(CLOSE, ANN, 0.5) == (96.0, pytest.approx(-20.0))


def test_margin_can_be_added_and_taken_out_down_to_the_initial_margin() -> None:
    venue = Venue()
    venue.done(OPEN, ANN, 10.0, 20.0)
    assert venue.done(DEPOSIT, ANN, 30.0) == (30.0, 80.0)
    assert venue.view.liquidation_price(ANN) == pytest.approx(92.0 / 0.975)
    venue.index.price = 102.0
    assert venue.do(WITHDRAW, ANN, 100.0 - 0.05 * 1020 + 1e-6)[0] == Status.UNHEALTHY
    assert venue.done(WITHDRAW, ANN, 100.0 - 0.05 * 1020 - 1e-6)[1] == pytest.approx(31.0)
    assert venue.do(WITHDRAW, BEN, 1.0)[0] == Status.NO_POSITION


# ---- makers


def test_the_best_price_is_filled_first_and_equal_prices_pro_rata() -> None:
    venue = Venue(quoting=False)
    for maker, half_spread, size, offset in ((MAKER, 0.01, 30.0, 0.0), (RIVAL, 0.01, 10.0, 0.0), (BEN, 0.0, 6.0, 0.005)):
        venue.done(DEPOSIT, maker, 1e5)
        bid, ask = venue.done(QUOTE, maker, half_spread, size, offset)
        assert (bid, ask) == (100.0 * (1 + offset) * (1 - half_spread), 100.0 * (1 + offset) * (1 + half_spread))
    assert venue.book.mid() == pytest.approx(100.5)
    price, _ = venue.done(OPEN, ANN, 26.0, 5.0)
    assert price == pytest.approx((6 * 100.5 + 20 * 101) / 26)
    assert [venue.view.inventory(maker).size for maker in (BEN, MAKER, RIVAL)] == pytest.approx([-6.0, -15.0, -5.0])
    assert [quote.ask_size for quote in venue.view.quotes] == pytest.approx([0.0, 15.0, 5.0])
    assert [quote.bid_size for quote in venue.view.quotes] == [6.0, 30.0, 10.0]
    assert venue.do(OPEN, ANN, 20.001, 5.0)[0] == Status.NO_LIQUIDITY  # all or nothing
    price, _ = venue.done(OPEN, KEEPER, -8.0, 5.0)
    assert price == pytest.approx((6 * 100.5 + 2 * 99) / 8)
    venue.book.facts.clear()
    venue.done(QUOTE, MAKER, 0.01, 30.0)
    assert venue.book.facts == []  # the same terms again: the size is there again, and nothing is new
    venue.done(QUOTE, MAKER, 0.0, 0.0)
    assert venue.book.facts == [QuotesChanged("perp", MAKER, 0.0, 0.0)]
    assert [quote.account for quote in venue.view.quotes] == [RIVAL]  # BEN is used up on both sides


def test_a_quote_stands_as_far_as_the_makers_margin_carries_it() -> None:
    venue = Venue(quoting=False, initial_margin="10 %")
    venue.done(QUOTE, MAKER, 0.0, 1000.0)
    assert venue.do(OPEN, ANN, 1.0, 5.0)[0] == Status.NO_LIQUIDITY
    venue.done(DEPOSIT, MAKER, 500.0)  # initial margin for 50 units at 100
    assert venue.do(OPEN, ANN, 51.0, 5.0)[0] == Status.NO_LIQUIDITY
    venue.done(OPEN, ANN, 50.0, 5.0)
    assert venue.do(OPEN, BEN, 1.0, 5.0)[0] == Status.NO_LIQUIDITY
    assert venue.do(WITHDRAW, MAKER, 1.0)[0] == Status.UNHEALTHY
    assert venue.do(OPEN, BEN, -101.0, 5.0)[0] == Status.NO_LIQUIDITY
    venue.done(OPEN, BEN, -100.0, 5.0)  # from 50 short to 50 long
    venue.index.price = 109.0  # and with nothing left of its margin it may still reduce
    venue.done(CLOSE, BEN, 1.0)


def test_a_maker_adopts_what_the_market_faces() -> None:
    venue = Venue(quoting=False)
    size, entry = np.array([10.0, -4.0]), np.array([90.0, 110.0])
    margin = np.array([300.0, 100.0])
    venue.book.establish(np.array([ANN, BEN]), size, entry, margin)
    venue.usd[VAULT] += margin.sum()
    assert venue.book.audit() == 0.0
    assert venue.view.open_interest == (10.0, 4.0)
    assert not venue.book.facts
    assert venue.book.adopt(MAKER) == -6.0
    assert venue.view.inventory(MAKER) == (-6.0, 460.0, 0.0, -140.0)
    assert venue.book.adopt(RIVAL) == 0.0
    assert venue.book.audit() == 0.0
    assert {claim.account: claim.amount for claim in venue.book.claims()} == {ANN: 400.0, BEN: 140.0, MAKER: -140.0, RIVAL: 0.0}


def test_makers_may_share_what_they_adopt_with_its_funding() -> None:
    venue = Venue(quoting=False, interest="1 bps")
    one = np.ones(1)
    venue.book.establish(np.array([ANN]), 8.0 * one, 100.0 * one, 100.0 * one)
    venue.usd[VAULT] += 100.0
    assert venue.book.adopt(MAKER, 0.25) == -2.0
    venue.book.begin(8 * HOUR)
    assert venue.book.adopt(MAKER, 0.5) == -3.0
    assert venue.view.inventory(MAKER) == (-5.0, pytest.approx(500.0 + 5 * 0.01), 0.0, pytest.approx(0.05))
    assert venue.book.audit() < 1e-15


# ---- mark and funding


def test_the_mark_follows_the_skew_of_open_interest() -> None:
    venue = Venue(premium_scale="10 kUSD", premium_limit="2 %")
    assert venue.view.mark == 100.0
    venue.done(OPEN, ANN, 50.0, 5.0)
    assert venue.view.mark == pytest.approx(100.5)  # 5,000 USD net long: half a per cent
    venue.done(OPEN, ANN, 250.0, 5.0)
    assert venue.view.mark == pytest.approx(102.0)
    venue.done(CLOSE, ANN, 1.0)
    assert venue.view.mark == pytest.approx(100.0)
    venue.done(OPEN, ANN, -50.0, 5.0)
    assert venue.view.mark == pytest.approx(99.5)


def test_longs_pay_shorts_at_whole_intervals() -> None:
    venue = Venue(interest="1 bps", funding_cap="1 %")
    venue.done(OPEN, ANN, 10.0, 10.0)
    venue.done(OPEN, BEN, -4.0, 10.0)
    venue.book.facts.clear()
    venue.book.begin(8 * HOUR - 1)
    assert venue.book.facts == []
    venue.book.begin(8 * HOUR)
    assert venue.book.facts == [FundingSettled("perp", pytest.approx(1e-4), pytest.approx(0.01))]
    venue.index.price = 200.0
    venue.book.begin(25 * HOUR)  # a block after two settlements without one pays for both
    assert venue.view.funding == pytest.approx(0.01 + 2 * 0.02)
    assert venue.view.equity(ANN) == pytest.approx(100.0 + 10 * (100.0 - 0.05))
    venue.index.price = 100.0
    assert venue.done(CLOSE, ANN, 0.5)[1] == pytest.approx(-5 * 0.05)
    assert venue.done(CLOSE, BEN, 1.0)[1] == pytest.approx(4 * 0.05)
    assert venue.view.inventory(MAKER).cash + 100.0 * venue.view.inventory(MAKER).size == pytest.approx(6 * 0.05)


@pytest.mark.parametrize(
    ("size", "interest", "cap", "rate"),
    [
        (20.0, "1 bps", "1 %", 0.002 - 0.0005),  # premium 20 bps; interest pulls by at most 5
        (3.0, "1 bps", "1 %", 0.0001),  # premium 3 bps: near enough to interest
        (-20.0, "1 bps", "1 %", -0.002 + 0.0005),
        (200.0, "1 bps", "1 %", 0.01),
    ],
)
def test_the_funding_rate_follows_the_average_premium(size: float, interest: str, cap: str, rate: float) -> None:
    venue = Venue(premium_scale="10 kUSD", interest=interest, funding_cap=cap)
    venue.done(OPEN, ANN, 2.0 * size, 5.0)
    venue.book.begin(4 * HOUR)
    venue.done(CLOSE, ANN, 1.0)  # twice the premium for half the time
    venue.book.begin(8 * HOUR)
    fact = venue.book.facts[-1]
    assert isinstance(fact, FundingSettled)
    assert fact.rate == pytest.approx(rate, rel=1e-9)


# ---- liquidation


RISKY = {"liquidation_discount": "1 %", "liquidation_penalty": "0.5 %"}


def test_what_is_left_goes_to_the_owner_after_a_penalty() -> None:
    venue = Venue(**RISKY)
    venue.done(OPEN, ANN, 10.0, 20.0)
    venue.index.price = 97.0
    price = 97.0 * 0.99
    left, penalty = 50.0 + 10.0 * (price - 100.0), 0.005 * 10.0 * price
    assert venue.view.liquidatable() == [(ANN, 10.0, pytest.approx(9.7), 0.0)]
    assert venue.book.quote(LIQUIDATE, ANN, 0.0, 0.0) == (0, 97.0, pytest.approx(9.7))
    assert venue.done(LIQUIDATE, KEEPER, ANN) == (97.0, pytest.approx(9.7))
    fact = venue.book.facts[-1]
    money = (pytest.approx(9.7), pytest.approx(penalty), pytest.approx(left - penalty), 0.0)
    assert fact == PositionLiquidated("perp", ANN, KEEPER, 10.0, 97.0, pytest.approx(price), *money)
    assert venue.usd[ANN] == pytest.approx(1e6 - 50.0 + left - penalty)
    assert venue.usd[KEEPER] == pytest.approx(1e6 + 9.7)
    assert venue.view.insurance_fund == pytest.approx(1000.0 + penalty)


@pytest.mark.parametrize(("fund", "unpaid"), [("1000 USD", 0.0), ("20 USD", 9.2), ("0 USD", 29.2)])
def test_a_shortfall_falls_to_the_insurance_fund_and_then_to_nobody(fund: str, unpaid: float) -> None:
    venue = Venue(**RISKY | {"insurance_fund": fund})
    venue.done(OPEN, ANN, -10.0, 20.0)
    venue.index.price = 106.851485148514851  # taken over at 107.92: 79.2 lost on a margin of 50
    venue.done(LIQUIDATE, KEEPER, ANN)
    fact = next(fact for fact in venue.book.facts if isinstance(fact, PositionLiquidated))
    assert (fact.penalty, fact.returned, fact.shortfall) == (0.0, 0.0, pytest.approx(29.2))
    assert venue.view.bad_debt == pytest.approx(unpaid)
    assert venue.view.insurance_fund == pytest.approx(max(venue.book.terms.insurance_fund - 29.2, 0.0))
    debts = [fact for fact in venue.book.facts if isinstance(fact, BadDebtIncurred)]
    assert debts == ([BadDebtIncurred("perp", ANN, pytest.approx(unpaid))] if unpaid else [])


def test_a_liquidator_keeps_what_makers_do_not_take() -> None:
    venue = Venue(**RISKY)
    venue.done(OPEN, ANN, 10.0, 20.0)
    venue.done(OPEN, KEEPER, -2.0, 10.0)
    venue.index.price = 97.0
    venue.done(QUOTE, MAKER, 0.02, 4.0)
    (row,) = venue.view.liquidatable()
    assert (row.reward, row.kept) == (pytest.approx(4 * 97.0 * -0.01), pytest.approx(6.0))
    before, price = venue.usd[KEEPER], 97.0 * 0.99
    assert venue.do(LIQUIDATE, KEEPER, ANN, slippage=0.01, reference=97.0)[0] == Status.SLIPPAGE
    assert venue.done(LIQUIDATE, KEEPER, ANN) == (97.0, pytest.approx(-3.88))
    # two units close its short of 100, four are its own now with initial margin
    assert venue.view.position(KEEPER) == (pytest.approx(4.0), pytest.approx(price), pytest.approx(0.05 * 4 * price), 0.0)
    assert venue.usd[KEEPER] == pytest.approx(before - 3.88 + 20.0 + 2 * (100.0 - price) - 0.05 * 4 * price)
    kinds = [type(fact) for fact in venue.book.facts[-3:]]
    assert kinds == [PositionLiquidated, PositionClosed, PositionOpened]


def test_a_liquidator_without_money_changes_nothing() -> None:
    venue = Venue(**RISKY)
    venue.done(OPEN, ANN, 10.0, 20.0)
    venue.index.price = 97.0
    venue.done(QUOTE, MAKER, 0.0, 0.0)
    venue.usd[KEEPER], venue.usd[BEN] = 0.05 * 10 * 97.0 * 0.99 - 1e-6, 2e6 - (0.05 * 10 * 97.0 * 0.99 - 1e-6)
    before = venue.usd.copy(), dict(venue.book.positions), len(venue.book.facts)
    assert venue.do(LIQUIDATE, KEEPER, ANN) == (Status.INSUFFICIENT_FUNDS, 0.0, 0.0)
    assert (venue.usd, venue.book.positions, len(venue.book.facts)) == before
    assert venue.do(LIQUIDATE, ANN, ANN)[0] == venue.do(LIQUIDATE, BEN, nan)[0] == venue.do(LIQUIDATE, BEN, 0.5)[0] == Status.INVALID


def test_the_market_never_pays_what_it_does_not_hold() -> None:
    venue = Venue(insurance_fund=0)
    venue.done(WITHDRAW, MAKER, 99_000.0)
    venue.done(OPEN, ANN, 100.0, 20.0)
    venue.index.price = 200.0  # ANN is owed 10,500; the vault holds its 500 and the maker's 1,000
    venue.done(DEPOSIT, BEN, 100.0)
    assert venue.do(CLOSE, ANN, 1.0) == (Status.NO_LIQUIDITY, 0.0, 0.0)
    assert venue.usd[VAULT] == 1600.0
    assert venue.done(CLOSE, ANN, 0.1)[1] == pytest.approx(1000.0)


def test_a_liquidation_that_the_market_cannot_pay_out_waits() -> None:
    venue = Venue(**RISKY)
    venue.done(OPEN, ANN, 10.0, 20.0)
    venue.index.price = 97.0  # the owner is owed 5.5, the liquidator 9.7
    held, venue.usd[VAULT] = venue.usd[VAULT], 15.0
    assert venue.book.apply(LIQUIDATE, KEEPER, ANN, 0.0, 0.0, inf, 0.0) == (Status.NO_LIQUIDITY, 0.0, 0.0)
    venue.usd[VAULT] = held
    venue.done(LIQUIDATE, KEEPER, ANN)


def test_a_liquidator_cannot_net_away_its_own_bankruptcy() -> None:
    venue = Venue(**RISKY)
    venue.done(OPEN, KEEPER, -2.0, 20.0)
    venue.index.price = 120.0
    venue.done(OPEN, ANN, 10.0, 20.0)
    venue.index.price = 116.5
    venue.done(QUOTE, MAKER, 0.0, 0.0)
    assert venue.do(LIQUIDATE, KEEPER, ANN) == (Status.UNHEALTHY, 0.0, 0.0)
    venue.done(LIQUIDATE, BEN, ANN)
    assert venue.view.position(BEN).size == 10.0


# ---- limits, rules and the view


def test_slippage_limits_bind_on_both_sides() -> None:
    venue = Venue()
    venue.done(QUOTE, MAKER, 0.01, 1000.0)
    assert venue.do(OPEN, ANN, 1.0, 5.0, slippage=0.0099, reference=100.0)[0] == Status.SLIPPAGE
    assert venue.do(OPEN, ANN, 1.0, 5.0, slippage=0.0101, reference=100.0)[0] == Status.SUCCEEDED
    assert venue.do(CLOSE, ANN, 1.0, slippage=0.0099, reference=100.0)[0] == Status.SLIPPAGE
    assert venue.do(CLOSE, ANN, 1.0, slippage=0.0099, reference=0.0)[0] == Status.SUCCEEDED


def test_what_makes_no_perpetual_is_refused() -> None:
    with pytest.raises(ValidationError, match="maintenance_margin must be less"):
        Perpetual.model_validate({"on": "arb", "index": "eth", "maintenance_margin": "5 %", "initial_margin": "5 %"})


def test_the_view_shows_and_cannot_change() -> None:
    venue = Venue()
    assert (venue.view.index, venue.view.index_time, venue.view.terms) == (100.0, 0, venue.book.terms)
    assert venue.view.liquidatable() == []
    assert isnan(venue.view.liquidation_price(ANN))
    assert venue.view.equity(ANN) == 0.0
    assert venue.book.quote(OPEN, 5.0, 10.0, 0.0) == (0, 100.0, 50.0)
    assert venue.book.quote(OPEN, 5.0, 21.0, 0.0)[0] == Status.UNHEALTHY
    assert venue.book.quote(CLOSE, 1.0, 0.0, 0.0)[0] == Status.INVALID
    public = {name for name in dir(venue.view) if not name.startswith("_")}
    assert public == {
        *("terms", "mark", "index", "index_time", "funding", "open_interest", "insurance_fund", "bad_debt", "quotes"),
        *("position", "equity", "liquidation_price", "inventory", "liquidatable", "come_up", "offers"),
    }
    with pytest.raises(AttributeError):
        venue.view.mark = 1.0
