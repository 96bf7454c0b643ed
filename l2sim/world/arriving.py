"""Arriving: what an agent brings into the world before the clock starts."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from l2sim.events.positions import PositionBrought
from l2sim.world.calling import Caller


class Arrival(Caller):
    """The part of a seat that brings capital, positions and loans."""

    def endow(self, place: str, asset: str, amount: "float | npt.NDArray[np.float64]") -> None:
        """Bring an amount for each of its accounts (one number, or one per account) from outside the modelled world."""
        amounts = np.broadcast_to(np.asarray(amount, np.float64), (len(self.accounts),)).tolist()
        for account, one in zip(self.accounts, amounts, strict=True):
            self._world.ledger.mint(place, asset, account, one)

    def carry(self, price: str, units: float) -> None:
        """Hold units outside already, bought at today's price on credit: what they gain and lose from now on is its own."""
        self._world.carried.append((price, units, self._own(None)))

    def establish(
        self, market: str, size: npt.NDArray[np.float64], entry: npt.NDArray[np.float64], margin: npt.NDArray[np.float64]
    ) -> None:
        """Hold positions already: signed size, entry price and margin, one per account; the margin is brought from outside."""
        chain = self._world.home[market]
        code = chain.codes[market]
        vault = self._world.ledger.groups[market].accounts.start
        self._world.ledger.mint(chain.name, "usd", vault, float(margin.sum()))
        accounts = np.arange(self.accounts.start, self.accounts.stop)
        chain.books[code].establish(accounts, size, entry, margin)
        if PositionBrought.__name__ in self._world.needs:
            log, columns = self._world.log, [column.tolist() for column in (accounts, size, entry, margin)]
            log.table(PositionBrought).extend(len(accounts), self.now, log.names.code(market), *columns)

    def establish_loans(
        self, market: str, collateral: Mapping[str, npt.NDArray[np.float64]], debt: Mapping[str, npt.NDArray[np.float64]]
    ) -> None:  # fmt: skip
        """Hold loans already: units supplied and owed by asset, one per account, the first accounts first.

        The collateral is brought from outside; what was borrowed was spent before the start.
        """
        chain = self._world.home[market]
        vault = self._world.ledger.groups[market].accounts.start
        for asset, units in collateral.items():
            self._world.ledger.mint(chain.name, asset, vault, float(units.sum()))
        n = max(len(units) for units in (*collateral.values(), *debt.values()))
        book: Any = chain.books[chain.codes[market]]
        book.establish_loans(np.arange(self.accounts.start, self.accounts.start + n), collateral, debt)

    def table(self, data: str) -> Mapping[str, npt.NDArray[np.float64]]:
        """The columns of a recording whose rows are not in time.

        Raises:
            ValueError: there is no such recording, or it is a series, which would tell the future.
        """
        recording = self._world.recordings.get(data)
        if recording is None or len(recording.times):
            raise ValueError(f"'{data}' is no table: leave out 'time' in data.{data}")
        return recording.columns

    def admit(self, feed: str) -> None:
        """Become a reporter of a feed."""
        chain = self._world.home[feed]
        chain.books[chain.codes[feed]].admit(self._own(None))

    def adopt(self, market: str) -> float:
        """As a market maker, take over what the market itself holds against the positions brought; signed units taken over."""
        chain = self._world.home[market]
        return float(chain.books[chain.codes[market]].adopt(self._own(None)))
