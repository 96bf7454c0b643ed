"""Books: the state that the rules of a market keep. A book executes actions, and can be undone and executed again.

A book is pure: it knows no clock and no log. It is told the time at the start of each block, changes balances through the columns
it was given, and appends facts to ``facts``, which the chain writes into the log.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from l2sim.kernels import OUT, Begin, Kernel, Mid
from l2sim.state import Overlay, PriceSource, State
from l2sim.transactions import Outcome, Rows


class Opening(NamedTuple):
    """What a market is given when it opens on its chain."""

    name: str
    """Its name in the scenario."""
    account: int
    """Its own ledger account, where it keeps what it holds."""
    balances: Callable[[str], list[float]]
    """The balances of an asset on this chain, indexed by ledger account; the book may write them."""
    source: Callable[[str], PriceSource]
    """The price under a name: of a feed on this chain, or of an outside price as it stands at the start of each block."""
    state: State = State(0)
    """Where the book keeps whatever its actions can change, in columns named after the market."""


class Claim(NamedTuple):
    """What a book owes its accounts beyond balances: margins and unrealised profits; the market itself owes it."""

    account: int
    asset: str
    amount: float


class Owed(NamedTuple):
    """Claims in one asset, as columns."""

    asset: str
    accounts: npt.NDArray[np.int64]
    amounts: npt.NDArray[np.float64]

    @classmethod
    def of(cls, claims: Sequence[Claim]) -> "list[Owed]":
        """Claims by asset, in their order."""
        assets = sorted({claim.asset for claim in claims})
        mine = {asset: [claim for claim in claims if claim.asset == asset] for asset in assets}
        return [cls(asset, np.array([c.account for c in some]), np.array([c.amount for c in some])) for asset, some in mine.items()]


class Book(ABC):
    """The state of one market.

    A book with a kernel keeps all its state in ``cells`` and ``codes`` and in balances, and the kernel executes its actions; any
    other keeps it in columns and entries of ``Opening.state`` and executes them in ``apply``. Either way it can be undone.
    """

    kernel: ClassVar[Kernel | None] = None
    """Executes one action, see ``l2sim.kernels``."""
    begin_kernel: ClassVar[Begin | None] = None
    """Starts a block, where there is anything to do."""
    mid_kernel: ClassVar[Mid | None] = None
    """What ``mid`` returns."""

    calls_code: ClassVar[int] = -1
    """Which of a kernel's whole numbers is what ``calls`` returns, where one is."""

    def __init__(self, state: State | None = None) -> None:
        self.now = 0
        self.undoings = 0
        """How often blocks were undone: what somebody had seen of them may not be so any more."""
        self.facts: list[tuple[object, ...]] = []
        """Facts since the chain last wrote them down."""
        self.state = State(0) if state is None else state
        self.cells: Any = ()
        """A kernel's floats."""
        self.codes: Any = ()
        """A kernel's whole numbers."""

    def begin(self, now: int) -> None:
        """Start a block at ``now`` (ns): accrue what accrues."""
        self.now = now
        begins: Any = type(self).begin_kernel
        if begins is not None:
            begins(self.cells, self.codes, self.state.prices, now)

    def apply(
        self, action: int, sender: int, a: float, b: float, c: float, slippage: float, reference: float
    ) -> Outcome | tuple[int, float, float]:
        """Execute one action of ``sender``. A refusal changes nothing.

        ``action`` is the position of the action in ``Market.actions``; a price worse than
        ``reference * (1 ± slippage)`` reverts with ``Status.SLIPPAGE``.
        """
        return self._execute(self.cells, self.codes, self.state.purses, action, sender, a, b, c, slippage, reference, self.facts)

    def _execute(self, cells: Any, codes: Any, purses: Any, action: int, sender: int, *rest: Any) -> tuple[int, float, float]:
        *row, facts = rest
        out = [0.0] * OUT
        kernel: Any = type(self).kernel
        status = int(kernel(cells, codes, purses, self.state.prices, action, sender, *row, out))
        if status:
            return status, 0.0, 0.0
        if out[2]:
            facts += self.told(action, sender, out[3 : 3 + int(out[2])])
        return 0, out[0], out[1]

    def told(self, action: int, sender: int, values: Sequence[float]) -> Sequence[tuple[object, ...]]:
        """The facts that a kernel told of in the numbers it left behind its results."""
        return ()

    def owing(self, account: int) -> bool:
        """Whether an account has borrowed what it must pay back before its transaction ends."""
        return False

    def restored(self, touched: Collection[tuple[str, int]] | None) -> None:
        """Columns were given earlier values, at these names and keys (None: anywhere): make what is derived from them agree."""
        return  # most books keep nothing that is derived

    def reopened(self, other: "Book") -> None:
        """Take over what was settled before the clock started and is not in columns, such as who may report."""
        self.now = other.now

    def run(self, rows: Rows, start: int, stop: int) -> tuple[list[int], list[float], list[float]]:
        """Execute rows start..stop in order; statuses, x and y. A kind may inline its arithmetic here for speed."""
        columns: Any = (rows.action, rows.sender, rows.a, rows.b, rows.c, rows.slippage, rows.reference)
        outcomes = [self.apply(*[column[i] for column in columns]) for i in range(start, stop)]
        return [status for status, _, _ in outcomes], [x for _, x, _ in outcomes], [y for _, _, y in outcomes]

    def tried(self, action: int, sender: int, a: float, b: float, c: float) -> Outcome:
        """What an action of ``sender`` would give now, at any price, changing nothing; for books with a kernel."""
        columns = Overlay(self.cells), Overlay(self.codes), [Overlay(purse) for purse in self.state.purses]
        return Outcome(*self._execute(*columns, action, sender, a, b, c, float("inf"), 0.0, []))

    @abstractmethod
    def quote(self, action: int, a: float, b: float, c: float) -> Outcome:
        """What the action would give now, changing nothing."""

    @abstractmethod
    def mid(self) -> float:
        """The price that slippage limits refer to; 0 where there is none."""

    def calls(self) -> int:
        """How many matters for strangers have come up so far (positions that became liquidatable); growth wakes who waits."""
        return 0

    def claims(self) -> Sequence[Claim]:
        """What the market owes its accounts; their sum is what its own account must hold for others."""
        return ()

    def owed(self) -> list[Owed]:
        """The same as columns; a kind with very many accounts may make them without making claims."""
        return Owed.of(self.claims())

    def audit(self) -> float:
        """How far what the book holds is from what it owes, relative to the sums involved; rounding keeps it below 1e-9."""
        return 0.0

    def view(self) -> Any:
        """What everybody may see of the state, read-only; each kind says what it shows."""
        return None

    def admit(self, account: int) -> None:
        """Before the clock starts: let an account do what only admitted ones may, such as reporting to a feed."""
        raise ValueError("this kind of market admits nobody: everybody may use it")

    def adopt(self, account: int, share: float = 1.0) -> float:
        """Before the clock starts: make an account the other side of a share of the positions brought; signed units it took."""
        raise ValueError("this kind of market has no positions to take the other side of")

    def establish(
        self,
        accounts: npt.NDArray[np.int64],
        size: npt.NDArray[np.float64],
        entry: npt.NDArray[np.float64],
        margin: npt.NDArray[np.float64],
    ) -> None:
        """Before the clock starts: hold positions already, one an account; the market's account was given their margins."""
        raise ValueError("this kind of market keeps no positions")
