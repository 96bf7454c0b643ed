"""A liquidator of a lending pool; what it plans is in ``desk``, how much to repay in ``amounts``, what it does colocated in ``reflex``."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from l2sim.agents import Agent, Waiting, hold
from l2sim.agents.loan_liquidator.amounts import ALL, TO_TARGET
from l2sim.agents.loan_liquidator.desk import Desk
from l2sim.agents.loan_liquidator.reflex import react
from l2sim.agents.rebalancer import Rebalancer
from l2sim.kernels import Reflex
from l2sim.part import Refers
from l2sim.transactions import Receipt, Status
from l2sim.units import ETH, SECOND, Duration, NotNegative, Positive, Usd, Wei
from l2sim.world.seat import Seat

Asset = Annotated[str, Refers("prices", also=("usd",))]


class LoanLiquidator(Agent):
    """Repays loans that have become liquidatable in a lending pool, for their collateral and a bonus, wherever that pays.

    It sleeps until the pool calls. Of an account with several collaterals or debts it takes the pair that earns most. Several liquidators
    race: one wins, the others' transactions revert and cost gas, or find less to do.
    """

    reflex: ClassVar[Reflex | None] = staticmethod(react)

    market: Annotated[str, Refers("markets", offers=("liquidate", "flash_loan"))]
    """The lending pool."""
    funding: Literal["capital", "flash_loan"] = "capital"
    """Whether it repays with money of its own, or with what it borrows from the pool within the same transaction."""
    capital: dict[Asset, Annotated[Usd, Positive]] = {"usd": 2e6}
    """What it brings to the chain of each asset that it can repay, worth in US dollars; nothing where it borrows."""
    sells: Literal["outside", "pool", "never"] = "outside"
    """What it does with seized collateral: trade it outside once it has it, sell it to ``pool`` within the transaction, or keep it.
    What it trades outside stays on the chain, as what it repaid with is gone from there, until it is carried across (``rebalance``)."""
    pool: Annotated[str, Refers("markets", offers=("buy", "sell"))] | None = None
    """The pool that it sells to, which takes one asset against US dollars: it liquidates such pairs only, and no more of a loan than
    sells best there."""
    repays: Literal["all", "to_target", "two_steps"] = "all"
    """How much: all that is allowed; what restores the health factor ``target``; or, where a close factor holds, first the largest amount
    that leaves the account just liquidatable, then all that is allowed of the rest, in one transaction."""
    target: Annotated[float, Field(gt=1, allow_inf_nan=False)] = 1.05
    """Health factor that 'to_target' restores (a plain number)."""
    minimum_profit: Annotated[Usd, NotNegative] = 0.0
    """Least profit, fees of the chain and of a flash loan deducted, for which it acts; reached is enough."""
    collateral: Asset | None = None
    """The one collateral that it seizes; without one, any."""
    debt: Asset | None = None
    """The one debt that it repays; without one, any."""
    colocated: bool = False
    """Whether it decides at the sequencer's side, at the instant at which a block is made, without reaction time and network."""
    in_flight: Annotated[int, Field(ge=1)] = 100
    """Most liquidations that it has on the way at once; colocated, that it sends into one block, at most 63."""
    patience: Annotated[Duration, Positive] = 10 * SECOND
    """How long a transaction may wait for a block before it is dropped; two usual blocks of the chain at least."""
    attention: Annotated[Duration, Positive] = 10 * SECOND
    """How often it looks again at loans that did not pay."""
    tip: Wei = 0
    """Priority fee, wei per gas."""
    gas: Wei = 10 * ETH
    """Ether that it brings for fees."""
    rebalance: dict[str, Rebalancer] = {}
    """How it carries what it seized to the venue outside, and what it sold that for back; without it, each stays where it is."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if (self.sells == "pool") != (self.pool is not None):
            raise PydanticCustomError("pool", "'pool' names where it sells with 'sells: pool': give both or neither")
        if self.funding == "flash_loan" and self.sells != "pool":
            raise PydanticCustomError(
                "funding", "a flash loan is paid back at once: sell what is seized in the same transaction, with 'sells: pool'"
            )
        if self.colocated and self.rebalance:
            raise PydanticCustomError("colocated", "colocated, it does nothing between blocks: no 'rebalance', or 'colocated: false'")
        if self.colocated and (self.sells == "pool" or self.repays == "two_steps"):
            raise PydanticCustomError(
                "colocated",
                "at the instant of a block it sends single actions: no sale to a pool and no second step, or 'colocated: false'",
            )
        return self

    @property
    def atomic(self) -> bool:
        return self.funding == "flash_loan" or self.sells == "pool" or self.repays == "two_steps"

    def arrive(self, me: Seat) -> None:
        if self.colocated and self.sells == "outside" and self.pair(me) is None:
            raise ValueError("colocated, it must know what to trade outside: name its 'collateral' and its 'debt', or write 'sells: never'")
        chain = me.chain_of(self.market)
        me.endow(chain, me.gas_token, self.gas / ETH)
        for asset, worth in self.capital.items() if self.funding == "capital" else ():
            me.endow(chain, asset, worth / (1.0 if asset == "usd" else me.price(asset)))
        for _, one in sorted(self.rebalance.items()):
            one.equip(me)

    def run(self, me: Seat) -> Waiting:
        if self.colocated:
            return
        chain, desk = me.chain_of(self.market), Desk(self, me)
        brought = {asset: me.balance(chain, asset) for asset in desk.view.assets if asset != "usd"}
        away: dict[str, float] = {}
        for _, one in sorted(self.rebalance.items()):
            me.start(one.move(me, away, tuple(brought)))
        news = me.news(self.market)
        while True:
            if desk.fresh or desk.pending:
                yield me.any(news, me.block(chain))
            else:
                yield me.any(news, me.sleep(self.attention)) if desk.dull else news
            if news.triggered:
                news = me.news(self.market)
            desk.look()
            for asset, units in brought.items() if self.sells == "outside" else ():
                hold(me, asset, units - me.balance(chain, asset) - away.get(asset, 0.0))

    # ---- colocated

    def pair(self, me: Seat) -> tuple[str, str] | None:
        """The one pair that it deals in, if it is one."""
        reserves = me.rules(self.market).reserves
        seizes = [self.collateral] if self.collateral else [name for name, rules in reserves.items() if rules.liquidation_threshold]
        debts = [self.debt] if self.debt else list(reserves)
        pairs = [(seized, owed) for seized in seizes for owed in debts if seized != owed and owed in self.capital]
        return pairs[0] if len(pairs) == 1 else None

    def settings(self, me: Seat) -> Sequence[float] | None:
        if not self.colocated:
            return None
        rules = me.rules(self.market)
        assets, chosen = list(rules.reserves), self.pair(me)
        pair = chosen or (self.collateral, self.debt)
        one = [float(assets.index(name)) if name else -1.0 for name in pair]
        slots = [float(me.slot(self.market, asset)) for asset in assets]
        uses = rules.gas["liquidate"], rules.size["liquidate"], self.attention / SECOND, self.in_flight
        rule = TO_TARGET if self.repays == "to_target" else ALL
        return [rule, self.target, self.minimum_profit, me.bid(self.market, self.tip), *uses, *one, *slots]

    def answered(self, me: Seat, action: str, receipt: Receipt) -> None:
        """Trade what it seized, and what it repaid, back outside."""
        pair = self.pair(me) if self.sells == "outside" and receipt.status == Status.SUCCEEDED else None
        for asset, units in zip(pair or (), (-receipt.y, receipt.x), strict=False):
            if asset != "usd":
                me.trade(asset, units)
