"""A price feed: a contract that shows the last price it was told."""

from collections.abc import Collection, Mapping
from math import inf
from typing import ClassVar, NamedTuple

from l2sim.events import OracleUpdated
from l2sim.markets import Book, Market, Opening
from l2sim.part import PriceName
from l2sim.state import PriceSource
from l2sim.transactions import Outcome, Status


class PriceFeed(Market):
    """An oracle's contract on a chain. It shows what its reporters last told it, however old that is.

    A report is a transaction like any other: it is delayed, outbid and shut out like any other. Only accounts that were
    admitted before the clock started may report. Until the first report the feed shows the outside price at the start.
    """

    actions: ClassVar[Mapping[str, tuple[str, ...]]] = {"report": ("price",)}
    """``report`` sets the price in US dollars; x is the new price, y the one before."""
    gas: ClassVar[Mapping[str, int]] = {"report": 60_000}
    """Assumed: verification of a signed report and two storage writes."""
    size: ClassVar[Mapping[str, int]] = {"report": 187}
    """Measured on generated reports with three signatures, which do not compress, in signed transactions compressed 2,000 together by
    brotli 6 (``benchmarks/compression.py``)."""

    of: PriceName
    """The outside price that it is to follow."""

    def assets(self) -> tuple[str, ...]:
        return ()

    def underlying(self) -> str:
        return self.of

    def open(self, opening: Opening) -> "PriceFeedBook":
        return PriceFeedBook(self, opening)


class Reading(NamedTuple):
    """What everybody sees of a feed."""

    price: float
    """The last price reported, in US dollars."""
    time: int
    """Time of the block that it was reported in (ns)."""


class PriceFeedBook(Book):
    """The last report, and who may make the next."""

    def __init__(self, market: PriceFeed, opening: Opening) -> None:
        super().__init__(opening.state)
        self.name = opening.name
        self.reporters: set[int] = set()
        """No state: nobody is admitted once the clock has started."""
        self.codes = self.state.ints(f"{self.name}/codes", 1)
        """Time of the last report (ns)."""
        self.source = PriceSource(opening.source(market.of).price, column=self.state.prices, slot=self.state.slot())
        """The price as other markets on the chain read it."""

    def restored(self, touched: Collection[tuple[str, int]] | None) -> None:
        """The price is in its slot; its source shows the time of its report."""
        self.source.time = self.codes[0]

    def reopened(self, other: Book) -> None:
        super().reopened(other)
        self.reporters = set(other.reporters)  # type: ignore[attr-defined]

    def admit(self, account: int) -> None:
        """Let an account report."""
        self.reporters.add(account)

    def apply(self, action: int, sender: int, a: float, b: float, c: float, slippage: float, reference: float) -> Outcome:
        if sender not in self.reporters:
            return Outcome(Status.INVALID)
        outcome = self.quote(action, a, b, c)
        if not outcome.status:
            self.source.price = a
            self.source.time = self.codes[0] = self.now
            self.facts.append(OracleUpdated(self.name, a))
        return outcome

    def quote(self, action: int, a: float, b: float, c: float) -> Outcome:
        return Outcome(0, a, self.source.price) if 0.0 < a < inf else Outcome(Status.INVALID)

    def mid(self) -> float:
        return self.source.price

    def view(self) -> Reading:
        return Reading(self.source.price, self.source.time)
