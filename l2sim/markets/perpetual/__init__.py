"""A perpetual future with isolated margin, faced by market makers; its state is in ``accounts``, its actions are in ``book``."""

from collections.abc import Callable, Mapping
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from l2sim.markets import Market, Opening
from l2sim.markets.perpetual.book import PerpetualBook
from l2sim.part import Refers
from l2sim.state import PriceSource
from l2sim.units import HOUR, Duration, Fraction, NotNegative, Positive, Usd


class Perpetual(Market):
    """A perpetual future, margined and settled in US dollars, one net position an account, each with its own margin.

    **Mark.** ``mark = index x (1 + premium)``; the premium is 1 % for every ``premium_scale`` of open interest by which longs
    exceed shorts, within ``premium_limit``.

    **Other side.** Takers trade with the quotes of market makers, at the makers' prices, all or nothing: the best price
    first, pro rata between equal ones. A quote stands as far as its maker's equity is initial margin for its inventory, so a
    maker deposits before it quotes; below that it can only reduce. Positions that exist before the clock starts are faced by
    the market itself until a maker adopts them.

    **Margin.** Opening costs ``size x price / leverage`` and the taker fee. Equity is margin + size x (mark - entry) -
    funding. A position may be liquidated once equity <= maintenance margin x |size| x mark: with entry P0 and leverage L at
    the mark ``P0 (1 ∓ 1/L) / (1 ∓ maintenance_margin)``, its liquidation price; at ``P0 (1 ∓ 1/L)``, its bankruptcy price,
    nothing is left (upper signs long, before funding).

    **Liquidation.** Anybody may take a liquidatable position over, whole, at ``mark x (1 ∓ liquidation_discount)``. What is
    left to the owner at that price, less a penalty that goes to the insurance fund, is paid out to the owner. If less than
    nothing is left, the insurance fund pays the shortfall; what it cannot pay is bad debt. In the same transaction the
    liquidator sells on to the makers' quotes, and keeps what they do not take, with initial margin from its own balance.

    **Funding.** At every whole ``funding_interval`` longs pay shorts ``rate x mark`` a unit, where ``rate = clamp(premium +
    clamp(interest - premium, ±0.05 %), ±funding_cap)`` with the premium's average since the last settlement. A block that
    comes after several such instants pays for each. (Formula of Hyperliquid and Binance documentation, 2026.)

    The market never pays what it does not hold: a payout beyond its balance is refused for lack of liquidity.
    """

    actions: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "open": ("size", "leverage"),
        "close": ("fraction",),
        "liquidate": ("account",),
        "deposit": ("amount",),
        "withdraw": ("amount",),
        "quote": ("half_spread", "size", "offset"),
    }
    """What each does, and its outcome:

    - ``open``: trade a signed size, in units, with margin notional / leverage for what it adds; against an own position it
      closes first. x is the price, y the margin posted.
    - ``close``: a fraction, in (0, 1], of the own position. x is the price, y the profit realised after funding and fee.
    - ``liquidate``: take over the position of an account. x is the mark, y the gain from selling on. A slippage limit, where
      one is set, applies to the price at which it is sold on.
    - ``deposit``, ``withdraw``: US dollars to and from the margin: a maker's, or that of the own position. y is the margin after.
    - ``quote``: buy and sell up to ``size`` units each at ``mark x (1 + offset) x (1 ∓ half_spread)``, until replaced; size 0
      quotes nothing. x is the bid, y the ask.
    """
    gas: ClassVar[Mapping[str, int]] = {
        "open": 400_000, "close": 350_000, "liquidate": 500_000, "deposit": 120_000, "withdraw": 150_000, "quote": 80_000,
    }  # fmt: skip
    """Assumed: of the order of a perpetual exchange's contracts on a rollup."""
    size: ClassVar[Mapping[str, int]] = {
        "open": 97, "close": 95, "liquidate": 96, "deposit": 87, "withdraw": 87, "quote": 107,
    }  # fmt: skip
    """Measured on generated transactions, signed and compressed 2,000 together by brotli 6 (``benchmarks/compression.py``)."""

    index: Annotated[str, Refers("prices|markets")]
    """What it is marked to: an outside price, as it stands when a block starts, or a price feed on the same chain."""
    initial_margin: Annotated[Fraction, Field(gt=0, le=1)] = 0.04
    """Least margin for what is opened, as a share of its notional: 1 over the highest leverage (Hyperliquid ETH, 2026: 25x)."""
    maintenance_margin: Annotated[Fraction, Field(ge=0, lt=1)] = 0.02
    """Share of the notional at the mark at or below which equity may be liquidated (Hyperliquid, 2026: half the initial margin)."""
    taker_fee: Annotated[Fraction, Field(ge=0, lt=1)] = 0.00045
    """Share of the notional that a taker pays to the market when opening and closing (Hyperliquid base tier, 2026: 4.5 bps)."""
    liquidation_discount: Annotated[Fraction, Field(ge=0, lt=1)] = 0.005
    """How much better than the mark a liquidator gets a position (assumed)."""
    liquidation_penalty: Annotated[Fraction, Field(ge=0, lt=1)] = 0.005
    """Share of the notional that a liquidated owner pays to the insurance fund, at most what is left (assumed)."""
    insurance_fund: Annotated[Usd, NotNegative] = 1_000_000.0
    """What the insurance fund holds at the start (assumed)."""
    funding_interval: Annotated[Duration, Positive] = 8 * HOUR
    """Time between settlements of funding."""
    funding_cap: Annotated[Fraction, NotNegative] = 0.04
    """Most that funding takes at one settlement, as a share of the notional (assumed)."""
    interest: Fraction = 0.0001
    """Interest part of funding at one settlement (Hyperliquid and Binance, 2026: 0.01 % every eight hours)."""
    premium_scale: Annotated[Usd, Positive] | None = None
    """Excess of longs over shorts, in US dollars at the index, that lifts the mark 1 % above it; without it, mark is index."""
    premium_limit: Annotated[Fraction, Field(ge=0, lt=1)] = 0.05
    """Furthest that the mark departs from the index, either way."""

    @model_validator(mode="after")
    def _margins_in_order(self) -> Self:
        if self.maintenance_margin >= self.initial_margin:
            raise PydanticCustomError("margins", "maintenance_margin must be less than initial_margin, or positions are born liquidatable")
        return self

    def underlying(self) -> str:
        return self.index

    def brings(self, source: Callable[[str], PriceSource]) -> Mapping[str, float]:
        return {"usd": self.insurance_fund}

    def open(self, opening: Opening) -> PerpetualBook:
        return PerpetualBook(self, opening)
