"""A pool that keeps the product of its reserves: Uniswap v2's rule, in floating point."""

from collections.abc import Callable, Mapping
from math import inf
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np
from pydantic import Field

from l2sim.compiled import compiled
from l2sim.markets import Book, Market, Opening, PriceSource
from l2sim.part import PriceName
from l2sim.transactions import Outcome, Rows, Status
from l2sim.units import Fraction, Positive, Usd

SLIPPAGE, INSUFFICIENT_FUNDS, NO_LIQUIDITY, INVALID = (
    int(Status.SLIPPAGE), int(Status.INSUFFICIENT_FUNDS), int(Status.NO_LIQUIDITY), int(Status.INVALID),
)  # fmt: skip
BUY, SELL = 0, 1


class ConstantProduct(Market):
    """A pool of two assets that sells either for the other such that the product of its reserves never falls.

    For ``dy`` paid in, of which a share ``1 - fee`` = φ counts, it gives ``dx = x φ dy / (y + φ dy)`` of its reserve ``x``.
    The fee stays in the pool (Uniswap v2 whitepaper, Adams, Zinsmeister, Robinson 2020, section 3.2.1). Everybody pays at
    once and is paid at once; what the pool holds is its own account's balance, so gains and losses are its providers'.
    """

    actions: ClassVar[Mapping[str, tuple[str, ...]]] = {"buy": ("quote_in",), "sell": ("base_in",)}
    """``buy`` pays US dollars for the base asset, ``sell`` pays the base asset for US dollars; x is the amount in, y the amount out."""
    gas: ClassVar[Mapping[str, int]] = {"buy": 120_000, "sell": 120_000}
    """Assumed: one swap through a router, its two token transfers included."""
    size: ClassVar[Mapping[str, int]] = {"buy": 120, "sell": 120}
    """Assumed: a router call of about 250 bytes, compressed."""

    compiles: ClassVar[bool] = True

    base: PriceName
    """The asset it trades against US dollars, by the name of its price."""
    base_reserve: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    """What it holds of the base asset at the start, in units of that asset (a plain number)."""
    quote_reserve: Annotated[Usd, Positive] | None = None
    """What it holds in US dollars at the start; by default the base reserve's worth, so that it opens at the outside price."""
    fee: Annotated[Fraction, Field(ge=0, lt=1)] = 0.003
    """Share of every input that is not swapped and stays in the pool (Uniswap v2: 30 bps)."""

    def underlying(self) -> str:
        return self.base

    def assets(self) -> tuple[str, ...]:
        return ("usd", self.base)

    def brings(self, source: Callable[[str], PriceSource]) -> Mapping[str, float]:
        quote = self.base_reserve * source(self.base).price if self.quote_reserve is None else self.quote_reserve
        return {"usd": quote, self.base: self.base_reserve}

    def open(self, opening: Opening) -> "ConstantProductBook":
        return ConstantProductBook(self, opening)


class Reserves(NamedTuple):
    """What everybody sees of a pool."""

    base: float
    """Units of the base asset that it holds."""
    quote: float
    """US dollars that it holds."""
    fee: float
    """Share of the input that it keeps."""


def swap(amount: float, reserve_in: float, reserve_out: float, fee: float) -> float:
    """What a pool gives for ``amount`` of the asset of ``reserve_in``."""
    effective = amount * (1.0 - fee)
    return reserve_out * effective / (reserve_in + effective)


def swaps(
    base: Any, usd: Any, account: int, phi: float, bounds: Any, actions: Any, senders: Any, slippages: Any, references: Any,
    status: Any, x: Any, y: Any,
) -> None:  # fmt: skip
    """Swaps of several blocks on arrays: ``x`` holds what senders offer, and then what was taken; ``y`` what they got."""
    for block in range(len(bounds) - 1):
        mid = usd[account] / base[account]
        for i in range(bounds[block], bounds[block + 1]):
            sender, a = senders[i], x[i]
            reference = references[i] if references[i] != 0.0 else mid
            buying = actions[i] == BUY
            paid, got = (usd, base) if buying else (base, usd)
            reserve_in, reserve_out = paid[account], got[account]
            effective = a * phi
            if not 0.0 < a < inf:
                status[i] = INVALID
            elif not a <= paid[sender]:
                status[i] = INSUFFICIENT_FUNDS
            else:
                out = reserve_out * effective / (reserve_in + effective)
                if not out < reserve_out:
                    status[i] = NO_LIQUIDITY
                elif (buying and a > out * (reference * (1.0 + slippages[i]))) or (
                    not buying and out < a * (reference * (1.0 - slippages[i]))
                ):
                    status[i] = SLIPPAGE
                else:
                    paid[sender] -= a
                    got[sender] += out
                    paid[account] += a
                    got[account] -= out
                    y[i] = out
            if status[i] != 0:
                x[i] = 0.0


class ConstantProductBook(Book):
    """The state of a pool, which is nothing but the balances of its account."""

    def __init__(self, market: ConstantProduct, opening: Opening) -> None:
        super().__init__()
        self.fee = market.fee
        self.account = opening.account
        self.base = opening.balances(market.base)
        self.usd = opening.balances("usd")

    def apply(self, action: int, sender: int, a: float, b: float, c: float, slippage: float, reference: float) -> Outcome:
        paid, got = (self.usd, self.base) if action == BUY else (self.base, self.usd)
        status, _, out = self.quote(action, a, b, c)
        if status == INVALID:
            return Outcome(INVALID)
        if paid[sender] < a:
            return Outcome(INSUFFICIENT_FUNDS)
        if status:
            return Outcome(status)
        if reference and (a > out * (reference * (1.0 + slippage)) if action == BUY else out < a * (reference * (1.0 - slippage))):
            return Outcome(SLIPPAGE)
        paid[sender] -= a
        got[sender] += out
        paid[self.account] += a
        got[self.account] -= out
        return Outcome(0, a, out)

    def run(self, rows: Rows, start: int, stop: int) -> tuple[list[int], list[float], list[float]]:
        """The same as ``apply`` row by row, inlined: most transactions of most runs pass here."""
        base, usd, account, phi = self.base, self.usd, self.account, 1.0 - self.fee
        x, y = base[account], usd[account]
        statuses, ins = [0] * (stop - start), rows.a[start:stop]
        outs: list[float] = []
        gave = outs.append
        actions, senders = rows.action[start:stop], rows.sender[start:stop]
        limits, references = rows.slippage[start:stop], rows.reference[start:stop]
        for action, sender, a, slippage, reference in zip(actions, senders, ins.copy(), limits, references, strict=True):
            if action == BUY:
                held = usd[sender]
                if 0.0 < a <= held:
                    effective = a * phi
                    out = x * effective / (y + effective)
                    if out < x and (slippage == inf or not reference or a <= out * (reference * (1.0 + slippage))):
                        usd[sender] = held - a
                        base[sender] += out
                        y += a
                        x -= out
                        gave(out)
                        continue
            else:
                held = base[sender]
                if 0.0 < a <= held:
                    effective = a * phi
                    out = y * effective / (x + effective)
                    if out < y and (slippage == inf or not reference or out >= a * (reference * (1.0 - slippage))):
                        base[sender] = held - a
                        usd[sender] += out
                        x += a
                        y -= out
                        gave(out)
                        continue
            # A refusal is rare: let ``apply`` say why.
            base[account], usd[account] = x, y
            i = len(outs)
            statuses[i], ins[i], _ = self.apply(action, sender, a, 0.0, 0.0, slippage, reference)
            gave(0.0)
        base[account], usd[account] = x, y
        return statuses, ins, outs

    def run_blocks(self, rows: Rows, start: int, stop: int, bounds: Any) -> tuple[Any, Any, Any]:
        status, x, y = np.zeros(stop - start, np.int8), rows.a[start:stop].copy(), np.zeros(stop - start)
        fields = rows.action[start:stop], rows.sender[start:stop], rows.slippage[start:stop], rows.reference[start:stop]
        compiled(swaps)(self.base, self.usd, self.account, 1.0 - self.fee, bounds, *fields, status, x, y)
        return status, x, y

    def quote(self, action: int, a: float, b: float, c: float) -> Outcome:
        if not 0.0 < a < inf:
            return Outcome(INVALID)
        x, y = self.base[self.account], self.usd[self.account]
        out = swap(a, y, x, self.fee) if action == BUY else swap(a, x, y, self.fee)
        # A reserve is never emptied; only rounding, at absurd sizes, could.
        return Outcome(0, a, out) if out < (x if action == BUY else y) else Outcome(NO_LIQUIDITY)

    def mid(self) -> float:
        return self.usd[self.account] / self.base[self.account]

    def view(self) -> Reserves:
        return Reserves(self.base[self.account], self.usd[self.account], self.fee)
