"""A lending pool by Aave's rules: its parameters; its state is in ``book``, what it computes in ``kernel`` and the files beside it."""

from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from l2sim.markets import Market, Opening
from l2sim.markets.lending_pool.book import LendingPoolBook
from l2sim.part import Part, Refers
from l2sim.state import PriceSource
from l2sim.units import MINUTE, Duration, Fraction, NotNegative, Positive, Quantity, Share, Usd, Yearly

OF_USD: Mapping[str, Any] = {
    "loan_to_value": 0.75, "liquidation_threshold": 0.78, "liquidation_bonus": 0.045, "protocol_fee": 0.2, "slope_1": 0.04,
    "slope_2": 0.10, "reserve_factor": 0.1,
}  # fmt: skip
"""Defaults of the reserve ``usd``: those of USDC on Aave v3 Ethereum (aave-helpers, reports/default_after.json, March 2026)."""


def _amount(value: Quantity) -> Quantity:
    if value.dimension not in ("fraction", "usd") or not value >= 0.0:
        raise PydanticCustomError("amount", "{value} is no liquidity: write units of the asset, or '50 MUSD'", {"value": str(value)})
    return value


class Reserve(Part):
    """One asset of a lending pool. Defaults are those of WETH on Aave v3 Ethereum; of ``usd``, those of USDC.

    Source: aave-helpers, reports/default_after.json, March 2026.
    """

    price: Annotated[str, Refers("prices|markets")] | None = None
    """What the pool takes for its price: an outside price, or a feed on the same chain; by default the asset's own. Dollars have none."""
    loan_to_value: Annotated[Fraction, Field(ge=0, lt=1)] = 0.805
    """Most debt per value of this collateral when somebody borrows (USDC 75 %)."""
    liquidation_threshold: Annotated[Fraction, Share] = 0.83
    """Debt per value of this collateral above which an account may be liquidated; with 0 it is no collateral (USDC 78 %)."""
    liquidation_bonus: Annotated[Fraction, NotNegative] = 0.05
    """What a liquidator seizes of this collateral beyond the value of what it repays (USDC 4.5 %)."""
    protocol_fee: Annotated[Fraction, Share] = 0.1
    """Share of the bonus that goes to the protocol (USDC 20 %)."""
    liquidity: Annotated[Quantity, AfterValidator(_amount)] = Quantity(0.0)
    """What lenders have put in at the start and nobody has borrowed: units (a plain number), or their worth in US dollars."""
    optimal_utilization: Annotated[Fraction, Field(gt=0, lt=1)] = 0.92
    """Share of the supply that is lent out beyond which interest rises steeply (USDC the same)."""
    base_rate: Annotated[Yearly, NotNegative] = 0.0
    """Interest on debt when nothing is lent out, a year (USDC the same)."""
    slope_1: Annotated[Yearly, NotNegative] = 0.0235
    """Interest that is added up to the optimal utilisation, a year (USDC 4 %)."""
    slope_2: Annotated[Yearly, NotNegative] = 0.06
    """Interest that is added from there to full utilisation, a year (USDC 10 %)."""
    reserve_factor: Annotated[Fraction, Share] = 0.15
    """Share of the interest that goes to the protocol (USDC 10 %)."""

    @model_validator(mode="after")
    def _borrows_less_than_it_may_owe(self) -> Self:
        if self.loan_to_value * (1.0 + 1e-9) >= self.liquidation_threshold and self.loan_to_value > 0.0:
            raise PydanticCustomError("threshold", "loan_to_value must be less than liquidation_threshold, or loans are born liquidatable")
        return self

    def rules(self) -> tuple[float, ...]:
        """Its numbers in the order of the pool's cells (``layout``)."""
        return (
            self.loan_to_value, self.liquidation_threshold, self.liquidation_bonus, self.protocol_fee, self.optimal_utilization,
            self.base_rate, self.slope_1 / self.optimal_utilization, self.slope_2 / (1.0 - self.optimal_utilization), self.reserve_factor,
        )  # fmt: skip


class LendingPool(Market):
    """Lends what some supply to others, against what these have supplied, by the rules of Aave v3.3.

    **Health.** The health factor of an account is its collateral, each at its liquidation threshold, over its debt. Below 1 anybody
    may liquidate it. It borrows up to its collateral at the loan-to-value ratios. All that is supplied is collateral, except where the
    liquidation threshold is 0.

    **Interest.** Debt costs ``base_rate + slope_1 x utilisation / optimal`` a year, and beyond the optimum ``slope_2`` in proportion.
    That, less the protocol's share, is what supply earns. It accrues with every block, at the rates that the last action left. Each
    asset has one index for all debt, which compounds, and one for all supply.

    **Liquidation.** A liquidator repays debt and seizes collateral worth as much and the bonus, part of which is the protocol's. Where
    the health factor is above ``close_factor_health``, and the collateral and the debt of the pair are worth ``close_factor_minimum`` or
    more, it may repay up to ``close_factor`` of the account's total debt; otherwise all of one debt. What it leaves of both must be
    worth ``minimum_leftover`` or more, unless one of them is gone. Debt that is left when all collateral is gone is bad debt: it is
    written off, and the lenders bear it.

    **Grace.** A block more than ``outage_after`` after the one before tells that the chain has been down, and with it everybody who would
    have looked after a loan. For a ``grace_period`` from that block on nobody may borrow, and only accounts with a health factor below
    ``grace_threshold`` may be liquidated; the others become liquidatable when it is over.

    **Flash loans.** Within a transaction of several steps anybody may borrow all that the pool holds, for a fee that goes to the lenders.

    The lenders of the start, and the protocol, are the pool's own account. Outside prices are those at the start of a block, feeds on the
    same chain are as they were last told; who becomes liquidatable is noticed when a block begins. No action has a price of its own, so
    slippage limits mean nothing here. (Source: aave-v3-origin at fd1fbd91, LiquidationLogic.sol and GenericLogic.sol.)
    """

    model_config = ConfigDict(json_schema_extra={"examples": [{"on": "arb", "reserves": {"eth": {}, "usd": {"liquidity": "50 MUSD"}}}]})

    actions: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "supply": ("asset", "amount"),
        "withdraw": ("asset", "amount"),
        "borrow": ("asset", "amount"),
        "repay": ("asset", "amount"),
        "liquidate": ("account", "pair", "repay"),
        "flash_loan": ("asset", "amount"),
        "flash_repay": ("asset", "amount"),
    }
    """What each does, and its outcome. An asset is its position in ``reserves``; amounts are units of it; ``inf`` stands for all that
    can be withdrawn or is owed.

    - ``supply``, ``withdraw``: x is the amount, y the own supply after.
    - ``borrow``, ``repay``: x is the amount, y the own debt after. Paying more than is owed pays what is owed.
    - ``liquidate``: repay units of an account's debt; ``pair`` is ``position of the collateral x number of reserves + position of the
      debt``; more than is allowed repays what is allowed. x is what is repaid, y the collateral that the liquidator gets.
    - ``flash_loan``, ``flash_repay``: x is what is paid out, or in with the fee; y is the fee.
    """
    gas: ClassVar[Mapping[str, int]] = {
        "supply": 168_000, "withdraw": 261_000, "borrow": 271_000, "repay": 211_000, "liquidate": 405_000, "flash_loan": 85_000,
        "flash_repay": 85_000,
    }  # fmt: skip
    """Aave's own measurements (aave-v3-origin, snapshots/Pool.Operations.json, v3.3) and 21,000 for a transaction of its own; a flash
    loan's 170,603 in two halves."""
    size: ClassVar[Mapping[str, int]] = {
        "supply": 107, "withdraw": 106, "borrow": 108, "repay": 107, "liquidate": 107, "flash_loan": 60, "flash_repay": 20,
    }  # fmt: skip
    """Measured on generated transactions, signed and compressed 2,000 together by brotli 6 (``benchmarks/compression.py``); of the steps
    of a flash loan, which have no signature of their own, calldata alone (assumed)."""

    compiles: ClassVar[bool] = True
    within: ClassVar[Collection[str]] = ("flash_loan", "flash_repay")

    reserves: Annotated[dict[Annotated[str, Refers("prices", also=("usd",))], Reserve], Field(min_length=1)]
    """Its assets, by the names of their prices; ``usd`` are US dollars. The order counts them for the fields of actions."""
    close_factor: Annotated[Fraction, Field(gt=0, le=1)] = 0.5
    """Share of an account's total debt that one liquidation may repay, as long as it is not far gone (Aave v3.3: 50 %)."""
    close_factor_health: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.95
    """Health factor down to which the close factor holds; from there on all may be repaid (Aave v3.3; a plain number)."""
    close_factor_minimum: Annotated[Usd, NotNegative] = 2_000.0
    """Worth of the collateral and of the debt from which the close factor holds (Aave v3.3)."""
    minimum_leftover: Annotated[Usd, NotNegative] = 1_000.0
    """Least worth of the collateral and of the debt that a liquidation may leave, where it leaves both (Aave v3.3)."""
    flash_loan_fee: Annotated[Fraction, Field(ge=0, lt=1)] = 0.0005
    """Fee of a flash loan, as a share of it (Aave v3 Ethereum: 5 bps)."""
    grace_period: Duration = 0
    """How long after an outage of its chain accounts that are not far gone cannot be liquidated, and nobody can borrow; 0 for no such
    rule. (Aave v3 had it on rollups, as PriceOracleSentinel, up to v3.6; Chainlink's example for its uptime feed has 1 h.)"""
    outage_after: Annotated[Duration, Positive] = 2 * MINUTE
    """Longest time between two blocks that is no outage; it must be more than the chain usually takes. (After 2 min without a block
    Chainlink's adapter takes a sequencer for down.)"""
    grace_threshold: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 0.95
    """Health factor below which an account may be liquidated even then (Aave v3: 0.95; a plain number)."""

    @field_validator("reserves", mode="before")
    @classmethod
    def _dollars(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("usd"), dict):
            return {**value, "usd": {**OF_USD, **value["usd"]}}
        return value

    @model_validator(mode="after")
    def _has_prices(self) -> Self:
        dollars = self.reserves.get("usd")
        if dollars is not None and dollars.price is not None:
            raise PydanticCustomError("price", "US dollars are worth 1 US dollar: leave out 'price' in reserves.usd")
        if dollars is not None and dollars.liquidity and dollars.liquidity.dimension != "usd":
            raise PydanticCustomError("unit", "liquidity of US dollars needs a unit: write '50 MUSD' in reserves.usd")
        if not set(self.reserves) - {"usd"}:
            raise PydanticCustomError(
                "reserves", "a pool needs a reserve with a price beside US dollars: add one to reserves, such as 'eth: {}'"
            )
        return self

    def underlying(self) -> str:
        """The first reserve that is not US dollars."""
        return next(name for name in self.reserves if name != "usd")

    def assets(self) -> tuple[str, ...]:
        return tuple(self.reserves)

    def brings(self, source: Callable[[str], PriceSource]) -> Mapping[str, float]:
        liquidity = {name: reserve.liquidity for name, reserve in self.reserves.items()}
        return {
            name: amount / source(name).price if amount.dimension == "usd" and name != "usd" else float(amount)
            for name, amount in liquidity.items()
        }  # fmt: skip

    def open(self, opening: Opening) -> LendingPoolBook:
        return LendingPoolBook(self, opening)
