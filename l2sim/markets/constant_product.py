"""A pool that keeps the product of its reserves: Uniswap v2's rule, in floating point."""

from collections.abc import Callable, Mapping
from math import inf
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import Field

from l2sim.markets import Book, Market, Opening
from l2sim.part import PriceName
from l2sim.state import PriceSource
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
    size: ClassVar[Mapping[str, int]] = {"buy": 122, "sell": 122}
    """Measured on generated calls of a router, signed and compressed 2,000 together by brotli 6 (``benchmarks/compression.py``)."""

    compiles: ClassVar[bool] = True

    base: PriceName
    """The asset it trades against US dollars, by the name of its price."""
    base_reserve: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    """What it holds of the base asset at the start, in units of that asset (a plain number)."""
    quote_reserve: Annotated[Usd, Positive] | None = None
    """What it holds in US dollars at the start; by default the base reserve's worth, so that it opens at the outside price."""
    fee: Annotated[Fraction, Field(ge=0, lt=1)] = 0.003
    """Share of every trade that the providers of the pool earn (Uniswap v2: 30 bps)."""
    fees: Literal["kept", "paid_out"] = "kept"
    """Whether fees stay in the pool, as a share of each input (Uniswap v2), or are paid out to its providers at once, in US dollars
    of what a buyer pays or a seller gets (the case that theory treats: Milionis, Moallemi, Roughgarden 2023)."""

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
    """Share of a trade that is its fee."""
    paid_out: bool = False
    """Whether the fee leaves the pool, in US dollars both ways."""
    fees: float = 0.0
    """Fees paid out so far, US dollars."""


def amount_out(amount_in: int, reserve_in: int, reserve_out: int, numerator: int = 997, denominator: int = 1000) -> int:
    """What Uniswap v2 gives for an input, all in the smallest units of the tokens; ``getAmountOut`` of UniswapV2Library.sol (2020).

    Args:
        amount_in: input, at least 1.
        reserve_in: reserve of what goes in.
        reserve_out: reserve of what comes out.
        numerator: the share of the input that counts, over
        denominator: this.
    """
    counted = amount_in * numerator
    return counted * reserve_out // (reserve_in * denominator + counted)


def amount_in(amount_out: int, reserve_in: int, reserve_out: int, numerator: int = 997, denominator: int = 1000) -> int:
    """The least input for which Uniswap v2 gives an output, up to one unit; ``getAmountIn`` of UniswapV2Library.sol (2020).

    Raises:
        ValueError: the pool does not hold that much.
    """
    if amount_out >= reserve_out:
        raise ValueError(f"a pool that holds {reserve_out} cannot give {amount_out}")
    return reserve_in * amount_out * denominator // ((reserve_out - amount_out) * numerator) + 1


def least_repayment(borrowed: int, numerator: int = 997, denominator: int = 1000) -> int:
    """What a flash swap of Uniswap v2 has to bring back of the token that it took: the least r with r numerator >= borrowed denominator."""
    return -(-borrowed * denominator // numerator)


def swap(amount: float, reserve_in: float, reserve_out: float, fee: float) -> float:
    """What a pool gives for ``amount`` of the asset of ``reserve_in``."""
    effective = amount * (1.0 - fee)
    return reserve_out * effective / (reserve_in + effective)


PHI, BASE_RESERVE, QUOTE_RESERVE, FEES = range(4)
"""Cells: the share of an input that is swapped, the reserves, and fees paid out to the providers (US dollars)."""
ACCOUNT, BASE_PURSE, QUOTE_PURSE, PAID_OUT = range(4)
"""Codes: the pool's account, the codes of its assets, and whether fees leave the pool."""


def swapped(cells: Any, paid_out: int, action: int, a: float, slippage: float, reference: float) -> float:
    """What comes out for ``a`` > 0, and the reserves in ``cells`` moved accordingly; or minus the status of a refusal, which moves nothing.

    The whole law of the pool but for balances, so that others can try trades on a copy of its cells.
    """
    buying = action == BUY
    phi = cells[PHI]
    into, out_of = (QUOTE_RESERVE, BASE_RESERVE) if buying else (BASE_RESERVE, QUOTE_RESERVE)
    stays, fee = a, 0.0
    if paid_out == 0:
        effective = a * phi
        gross = cells[out_of] * effective / (cells[into] + effective)
        net = gross
    elif buying:
        stays = a * phi
        fee = a - stays
        gross = cells[out_of] * stays / (cells[into] + stays)
        net = gross
    else:
        gross = cells[out_of] * a / (cells[into] + a)
        net = gross * phi
        fee = gross - net
    # A reserve is never emptied; only rounding, at absurd sizes, could.
    if not gross < cells[out_of]:
        return -float(NO_LIQUIDITY)
    if reference != 0.0 and slippage != inf:
        if buying and a > net * (reference * (1.0 + slippage)):
            return -float(SLIPPAGE)
        if not buying and net < a * (reference * (1.0 - slippage)):
            return -float(SLIPPAGE)
    cells[into] += stays
    cells[out_of] -= gross
    cells[FEES] += fee
    return net  # type: ignore[no-any-return]


def execute(
    cells: Any, codes: Any, purses: Any, prices: Any, action: int, sender: int, a: float, b: float, c: float, slippage: float,
    reference: float, out: Any,
) -> int:  # fmt: skip
    """One swap."""
    if not 0.0 < a < inf:
        return INVALID
    account = codes[ACCOUNT]
    paid, got = (codes[QUOTE_PURSE], codes[BASE_PURSE]) if action == BUY else (codes[BASE_PURSE], codes[QUOTE_PURSE])
    if purses[paid][sender] < a:
        return INSUFFICIENT_FUNDS
    net = swapped(cells, codes[PAID_OUT], action, a, slippage, reference)
    if net < 0.0:
        return int(-net)
    purses[paid][sender] -= a
    purses[got][sender] += net
    purses[paid][account] += a
    purses[got][account] -= net
    out[0] = a
    out[1] = net
    return 0


def middle(cells: Any, codes: Any, purses: Any, prices: Any) -> float:
    """The pool's price without fee."""
    return cells[QUOTE_RESERVE] / cells[BASE_RESERVE]  # type: ignore[no-any-return]


class ConstantProductBook(Book):
    """The state of a pool: its reserves, which its account holds, and fees."""

    kernel = staticmethod(execute)
    mid_kernel = staticmethod(middle)

    def __init__(self, market: ConstantProduct, opening: Opening) -> None:
        super().__init__(opening.state)
        base, usd = opening.balances(market.base), opening.balances("usd")
        self.fee = market.fee
        self.account = opening.account
        self.base = base
        self.usd = usd
        self.cells = opening.state.floats(f"{opening.name}/cells", 4)
        self.codes = opening.state.ints(f"{opening.name}/codes", 4)
        self._fast = tuple(map(opening.state.fast, (base, usd, self.cells)))
        for cell, number in ((PHI, 1.0 - market.fee), (BASE_RESERVE, base[self.account]), (QUOTE_RESERVE, usd[self.account])):
            self.cells[cell] = number
        purses = opening.state.purse(market.base), opening.state.purse("usd")
        for code, whole in enumerate((self.account, *purses, int(market.fees == "paid_out"))):
            self.codes[code] = whole

    def run(self, rows: Rows, start: int, stop: int) -> tuple[list[int], list[float], list[float]]:
        """The same as ``apply`` row by row, inlined for fees that stay in the pool: most transactions of most runs pass here."""
        (base, usd, cells), account = self._fast, self.account
        phi, x, y = cells[PHI], cells[BASE_RESERVE], cells[QUOTE_RESERVE]
        if self.codes[PAID_OUT] or x != base[account] or y != usd[account]:  # else both stay the same to the last bit
            return super().run(rows, start, stop)
        statuses, ins = [0] * (stop - start), rows.a[start:stop]
        outs: list[float] = []
        gave = outs.append
        actions, senders = rows.action[start:stop], rows.sender[start:stop]
        limits, references = rows.slippage[start:stop], rows.reference[start:stop]
        for action, sender, a, slippage, reference in zip(actions, senders, ins, limits, references, strict=True):
            if action == BUY:
                held = usd[sender]
                if 0.0 < a <= held:
                    effective = a * phi
                    out = x * effective / (y + effective)
                    if out < x and (a <= out * (reference * (1.0 + slippage)) or slippage == inf or not reference):
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
                    if out < y and (out >= a * (reference * (1.0 - slippage)) or slippage == inf or not reference):
                        base[sender] = held - a
                        usd[sender] += out
                        x += a
                        y -= out
                        gave(out)
                        continue
            # A refusal is rare: let the kernel say why.
            base[account], usd[account], cells[BASE_RESERVE], cells[QUOTE_RESERVE] = x, y, x, y
            i = len(outs)
            statuses[i], ins[i], _ = self.apply(action, sender, a, 0.0, 0.0, slippage, reference)
            gave(0.0)
        base[account], usd[account], cells[BASE_RESERVE], cells[QUOTE_RESERVE] = x, y, x, y
        return statuses, ins, outs

    def quote(self, action: int, a: float, b: float, c: float) -> Outcome:
        """What anybody would get who owns the input."""
        if not 0.0 < a < inf:
            return Outcome(INVALID)
        x, y = self.cells[BASE_RESERVE], self.cells[QUOTE_RESERVE]
        into, out_of = (y, x) if action == BUY else (x, y)
        if not self.codes[PAID_OUT] or action == BUY:
            gross = net = swap(a, into, out_of, self.fee)
        else:
            gross = swap(a, into, out_of, 0.0)
            net = gross * self.cells[PHI]
        return Outcome(0, a, net) if gross < out_of else Outcome(NO_LIQUIDITY)

    def mid(self) -> float:
        return float(middle(self.cells, self.codes, None, None))

    def audit(self) -> float:
        """Whether the account holds the reserves and the fees."""
        gaps = (
            (self.base[self.account], self.cells[BASE_RESERVE]),
            (self.usd[self.account], self.cells[QUOTE_RESERVE] + self.cells[FEES]),
        )
        return float(max(abs(held - owed) / max(held, owed) for held, owed in gaps))

    def view(self) -> Reserves:
        return Reserves(self.cells[BASE_RESERVE], self.cells[QUOTE_RESERVE], self.fee, bool(self.codes[PAID_OUT]), self.cells[FEES])
