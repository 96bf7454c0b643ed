"""A crowd that trades with a pool."""

from collections.abc import Iterator
from math import exp, inf
from typing import Annotated, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from l2sim.agents import Agent, Waiting
from l2sim.distributions import Distribution, In
from l2sim.distributions.constant import Constant
from l2sim.distributions.lognormal import Lognormal
from l2sim.part import Refers
from l2sim.streams import arrivals, mix_many
from l2sim.transactions import ANY_FEE, NEVER, Status
from l2sim.units import (
    ETH,
    HOUR,
    MINUTE,
    SECOND,
    Duration,
    Fraction,
    Frequency,
    NotNegative,
    Positive,
    Quantity,
    Share,
    Usd,
    Volatility,
    Wei,
)  # fmt: skip
from l2sim.world.seat import Seat

CHUNK = HOUR
"""Candidates are drawn for this long at a time."""
AGAIN = frozenset({Status.SLIPPAGE, Status.NO_LIQUIDITY, Status.DEADLINE, Status.FEE_TOO_LOW, Status.REORGANIZED})
"""Failures after which it makes sense to try again."""


class Candidates(NamedTuple):
    """Trades that may come about, as columns in the order of time."""

    number: npt.NDArray[np.int64]
    """Since the start of the run."""
    time: npt.NDArray[np.int64]
    """When (ns)."""
    luck: npt.NDArray[np.float64]
    """Uniform numbers that decide which come about."""
    who: npt.NDArray[np.int64]
    """Member of the crowd, from 0."""
    buys: npt.NDArray[np.bool_]
    """Whether it buys the base asset, or else sells it."""
    notional: npt.NDArray[np.float64]
    """US dollars."""
    tip: npt.NDArray[np.int64]
    """Wei per gas."""
    gas: npt.NDArray[np.float64] | None
    """Gas used; without it, what the market says."""

    def at(self, rows: "slice | npt.NDArray[np.int64] | list[int]") -> "Candidates":
        """Some of them."""
        number, time, luck, who, buys, notional, tip, gas = self
        return Candidates(
            number[rows], time[rows], luck[rows], who[rows], buys[rows], notional[rows], tip[rows], None if gas is None else gas[rows]
        )


class Excitement:
    """What a crowd's own trades add to its intensity, in units of the candidates' intensity; it decays exponentially."""

    def __init__(self, jump: float, memory: int) -> None:
        self.jump = jump
        self.memory = memory
        self.level = 0.0
        self.since = 0

    def thin(self, candidates: Candidates, base: float) -> list[int]:
        """Keep a candidate with probability ``base`` + excitement (Ogata 1981, on points drawn beforehand); rows kept."""
        kept = []
        for i, (time, luck) in enumerate(zip(candidates.time.tolist(), candidates.luck.tolist(), strict=True)):
            self.level *= exp((self.since - time) / self.memory)
            self.since = time
            if luck < base + self.level:
                kept.append(i)
                self.level += self.jump
        return kept


class CrowdOfTraders(Agent):
    """Many small accounts that buy from a pool and sell to it, at random times.

    Times are candidates of a Poisson process at the highest intensity, drawn beforehand; each comes about or not as volatility,
    fees and earlier trades will have it. So one candidate has the same luck in every world.
    """

    size: Annotated[int, Field(ge=1)] = 1000
    """Accounts."""
    market: Annotated[str, Refers("markets", offers=("buy", "sell"))]
    """The pool."""
    rate: Annotated[Frequency, Positive]
    """Trades of the whole crowd in usual times."""
    notional: Annotated[Distribution, In("usd")] = Lognormal(median=Quantity(500.0, "usd"), sigma=1.5)
    """Worth of a trade in US dollars (assumed); what is sold is converted at the pool's price when the crowd last looked."""
    buys: Annotated[Fraction, Share] = 0.5
    """Share of trades that buy the base asset."""
    slippage: Annotated[Fraction, NotNegative] | None = 0.01
    """Worst move from the pool's price when a transaction arrives that is accepted; 'null' accepts any."""
    deadline: Duration | None = None
    """How long a transaction may wait for a block; without one, for as long as it takes."""
    tip: Annotated[Distribution, In("wei")] = Constant(value=Quantity(0.0, "wei"))
    """Priority fee of a transaction, wei per gas."""
    gas_used: Annotated[Distribution, In("gas")] | None = None
    """Gas that a transaction uses, at most what a block takes; without one, what the market's action uses."""
    fee_cap: Annotated[float, Positive] | None = None
    """Most that is paid per gas, as a multiple of the base fee when the crowd last looked, tip on top; without one, any fee."""
    volatility_response: float = 0.0
    """Power of (volatility / usual volatility) in the intensity; 0 trades as much in every weather."""
    usual_volatility: Annotated[Volatility, Positive] = 0.6
    """Volatility at which the intensity is ``rate``."""
    fee_response: Annotated[float, NotNegative] = 0.0
    """Elasticity: power of (usual fee / fee) in the intensity; 0 trades at any fee."""
    usual_fee: Annotated[Usd, Positive] = 0.05
    """Fee of a trade at which the intensity is ``rate``."""
    ceiling: Annotated[float, Field(ge=1)] = 5.0
    """Highest intensity, as a multiple of ``rate``; responses beyond it are cut off."""
    excitation: Annotated[Fraction, Field(ge=0, lt=1)] = 0.0
    """Share of trades that are set off by earlier ones (branching ratio of a Hawkes process whose mean intensity is ``rate``)."""
    memory: Annotated[Duration, Positive] = 1 * MINUTE
    """Time in which the effect of a trade on the intensity falls to 1/e."""
    retries: Annotated[int, Field(ge=0)] = 0
    """How often a trade that reverted or was dropped is sent again, with limits, fee cap and deadline of that time, gas and tip drawn
    anew; not where the account owns too little."""
    widening: Annotated[float, Field(ge=1)] = 2.0
    """What the slippage limit is multiplied with at each retry."""
    attention: Annotated[Duration, Positive] = 1 * MINUTE
    """How often the crowd looks at price, volatility, fees and failures; each hour where none of these concerns it."""
    wealth: Annotated[Usd, NotNegative] = 1e6
    """US dollars that each account brings to the chain, and again the base asset for as much."""
    gas: Wei = ETH // 20
    """Ether that each account brings for fees."""

    def accounts(self) -> int:
        return self.size

    def arrive(self, me: Seat) -> None:
        chain, base = me.chain_of(self.market), me.underlying(self.market)
        me.endow(chain, "usd", self.wealth)
        me.endow(chain, base, self.wealth / me.price(base))
        me.endow(chain, me.gas_token, self.gas / ETH)

    def run(self, me: Seat) -> Waiting:
        if self.retries:
            me.failures()
        concerned = self.volatility_response or self.fee_response or self.excitation or self.retries or self.fee_cap is not None
        step = min(self.attention, CHUNK) if concerned else CHUNK
        excitement = Excitement(self.excitation / (self.memory / SECOND * self.rate * self._most()), self.memory)
        attempts: dict[tuple[int, int], int] = {}
        for candidates in self._chunks(me):
            start = me.now
            # Whoever hears of a failure after an hour starts anew.
            attempts = {attempt: tried for attempt, tried in attempts.items() if attempt[1] > start - CHUNK}
            while me.now < start + CHUNK:
                stop = min(me.now + step, start + CHUNK)
                first, last = np.searchsorted(candidates.time, (me.now, stop))
                window = candidates.at(slice(first, last))
                if excitement.jump:
                    window = window.at(excitement.thin(window, (1.0 - self.excitation) * self._intensity(me) / self._most()))
                elif self._most() > 1.0:
                    window = window.at(np.flatnonzero(window.luck < self._intensity(me) / self._most()))
                self._send(me, window)
                if self.retries:
                    self._retry(me, attempts)
                yield me.sleep_until(stop)

    def _most(self) -> float:
        """The intensity of candidates as a multiple of ``rate``."""
        return self.ceiling if self.volatility_response or self.fee_response or self.excitation else 1.0

    def _intensity(self, me: Seat) -> float:
        """The intensity now without excitation, as a multiple of ``rate``."""
        factor = 1.0
        if self.volatility_response:
            factor *= (me.volatility(me.underlying(self.market)) / self.usual_volatility) ** self.volatility_response
        if self.fee_response:
            gas = None if self.gas_used is None else self.gas_used.expectation()
            factor *= (self.usual_fee / max(me.fee(self.market, "buy", gas=gas), 1e-12)) ** self.fee_response
        return min(factor, self._most())

    def _chunks(self, me: Seat) -> Iterator[Candidates]:
        """The candidates of one hour after the other, up to the end of the run."""
        drawn = 0
        for chunk in range(-(-me.ends // CHUNK)):
            rng = me.rng("arrivals", chunk)
            time = arrivals(rng, self.rate * self._most(), chunk * CHUNK, CHUNK)
            n = len(time)
            luck = rng.random(n)
            who = (rng.random(n) * self.size).astype(np.int64)
            buys = rng.random(n) < self.buys
            notional, tip = self.notional.draw(rng, n), self.tip.draw(rng, n).astype(np.int64)
            gas = None if self.gas_used is None else self.gas_used.draw(rng, n)
            candidates = Candidates(np.arange(drawn, drawn + n), time, luck, who, buys, notional, tip, gas)
            drawn += n
            yield candidates.at(slice(0, int(np.searchsorted(time, me.ends))))

    def _send(self, me: Seat, trades: Candidates) -> None:
        amount = np.where(trades.buys, trades.notional, trades.notional / me.mid(self.market))
        self._submit(me, trades, amount, inf if self.slippage is None else self.slippage)

    def _retry(self, me: Seat, attempts: dict[tuple[int, int], int]) -> None:
        """Send what failed again, with wider limits, unless it was tried too often.

        ``attempts`` counts them, by account and time of submission. Numbers are made of who and when: the same in every world in
        which it comes to this. Several trades of one account follow each other a nanosecond apart.
        """
        again = []
        last: dict[int, int] = {}
        for account, status, action, amount, submitted in me.failures():
            tried = attempts.pop((account, submitted), 0) + 1
            if status in AGAIN and tried <= self.retries:
                now = last[account] = last.get(account, me.now - 1) + 1
                attempts[account, now + self.reaction] = tried
                again.append((now, account - me.accounts.start, action == self._codes(me)[0], amount, tried))
        if again:
            time, who, buys, amounts, times_tried = (np.array(column) for column in zip(*again, strict=True))
            numbers, nothing = time * self.size + who, np.zeros(len(who))
            tip = self.tip.quantile(_luck(me, "tips of retries", numbers)).astype(np.int64)
            gas = None if self.gas_used is None else self.gas_used.quantile(_luck(me, "gas of retries", numbers))
            trades = Candidates(numbers, time, nothing, who, buys, nothing, tip, gas)
            self._submit(me, trades, amounts, (inf if self.slippage is None else self.slippage) * self.widening**times_tried)

    def _submit(self, me: Seat, trades: Candidates, amount: npt.NDArray[np.float64], slippage: "float | npt.NDArray[np.float64]") -> None:
        offered = np.maximum(trades.tip, me.bid(self.market))
        me.submit_rows(
            self.market,
            np.where(trades.buys, *self._codes(me)),
            submitted=trades.time,
            accounts=me.accounts.start + trades.who,
            decisions=trades.number,
            a=amount,
            slippage=slippage,
            tip=trades.tip,
            gas=trades.gas,
            cap=ANY_FEE if self.fee_cap is None else int(self.fee_cap * me.base_fee(me.chain_of(self.market))) + offered,
            deadline=NEVER if self.deadline is None else trades.time + self.deadline,
        )

    def _codes(self, me: Seat) -> tuple[int, int]:
        actions = list(me.rules(self.market).actions)
        return actions.index("buy"), actions.index("sell")


def _luck(me: Seat, purpose: str, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Uniform numbers in (0, 1) for a purpose, each made of the number of its decision."""
    key = int(me.rng(purpose).integers(2**63))
    return ((mix_many(key, numbers) >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
