"""Seat: all that an agent may touch; its local name is ``me``. What it shows, its owner could have seen at that time."""

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from l2sim.transactions import ANY_FEE, NEVER, Receipt, Status

if TYPE_CHECKING:
    from simpy import Event

    from l2sim.world.world import World

Waiting = Generator[Any, Any, None]


class Fill(NamedTuple):
    """What a trade outside gave."""

    quantity: float
    """Units bought (negative: sold)."""
    cost: float
    """US dollars paid (negative: received)."""


class Seat:
    """One agent's place in the world.

    Attributes:
        name: its stream name, such as ``keepers/0``.
        accounts: the ledger accounts it owns.
    """

    # ---- time
    @property
    def now(self) -> int:
        """Nanoseconds since the start."""

    @property
    def ends(self) -> int:
        """When the run ends (ns)."""

    def sleep(self, duration: int) -> "Event":
        """Wait that long: ``yield me.sleep(250 * MS)``."""

    def sleep_until(self, time: int) -> "Event":
        """Wait until that time; at once where it has passed."""

    def rng(self, purpose: str, index: int = 0) -> np.random.Generator:
        """Its own luck for a purpose and an index (chunk, decision): same pair, same luck, whenever it is asked."""

    # ---- what it sees
    def price(self, name: str) -> float:
        """The outside index now, impact included (USD)."""

    def volatility(self, name: str) -> float:
        """Volatility of the outside price as seen lately, per sqrt(year)."""

    def height(self, chain: str) -> int:
        """Number of the chain's last block."""

    def silence(self, chain: str) -> int:
        """Time since the chain's last block (ns)."""

    def block_interval(self, chain: str) -> int:
        """The chain's usual time between blocks (ns)."""

    def base_fee(self, chain: str) -> int:
        """Execution base fee of the chain's next block (wei per gas)."""

    def blob_base_fee(self, chain: str) -> int:
        """Blob base fee of an L1's next block (wei per blob gas)."""

    def fee(self, market: str, action: str, tip: int = 0) -> float:
        """What an action would cost now in US dollars: execution and data, at the gas token's price."""

    def mid(self, market: str) -> float:
        """The market's mid price after the last block."""

    def quote(self, market: str, action: str, *fields: float) -> tuple[int, float, float]:
        """What an action would give on the state after the last block: status, x, y."""

    def view(self, market: str) -> Any:
        """The market's public state after the last block, read-only: the kind of market says what it shows."""

    def balance(self, place: str, asset: str, account: int | None = None) -> float:
        """What one of its accounts (by default the first) holds of an asset on a chain or an outside venue."""

    def chain_of(self, market: str) -> str:
        """The chain that a market is on."""

    def venue(self) -> str:
        """The name of the (first) outside venue."""

    # ---- what it waits for
    def block(self, chain: str) -> "Event":
        """The chain's next block."""

    def news(self, market: str) -> "Event":
        """The next block after which strangers may want to act on the market (positions to liquidate)."""

    def receipt(self, ticket: int) -> "Event":
        """The Receipt of a transaction it sent with ``submit``."""

    def any(self, *events: "Event") -> "Event":
        """Whichever of these comes first."""

    # ---- what it does
    def submit(
        self,
        market: str,
        action: str,
        *fields: float,
        slippage: float = float("inf"),
        reference: float = 0.0,
        tip: int = 0,
        cap: int = ANY_FEE,
        deadline: int = NEVER,
        account: int | None = None,
        wait: bool = False,
    ) -> int:
        """Send a transaction over the network (after its reaction time); a ticket for ``receipt`` where it waits for one."""

    def submit_rows(
        self,
        market: str,
        action: "Sequence[int] | npt.NDArray[Any] | int",
        *,
        submitted: npt.NDArray[np.int64],
        accounts: npt.NDArray[np.int64],
        decisions: npt.NDArray[np.int64],
        a: Any = 0.0,
        b: Any = 0.0,
        c: Any = 0.0,
        slippage: Any = float("inf"),
        tip: Any = 0,
        cap: Any = ANY_FEE,
        deadline: Any = NEVER,
    ) -> None:
        """Send many at once, each at its own time now or later (``submitted``, ns).

        ``decisions`` number the decisions of this crowd: latencies and tie keys depend on them alone.
        """

    def trade(self, price: str, quantity: float, account: int | None = None) -> Fill:
        """Buy (or sell, quantity < 0) outside at once, moving the price."""

    # ---- before the clock starts
    def endow(self, place: str, asset: str, amount: "float | npt.NDArray[np.float64]") -> None:
        """Bring an amount (each account, or one number per account) from outside the modelled world."""

    def establish(
        self, market: str, size: npt.NDArray[np.float64], entry: npt.NDArray[np.float64], margin: npt.NDArray[np.float64]
    ) -> None:
        """Hold positions already: signed size, entry price and margin, one per account; the margin is brought from outside."""
