"""How a crowd of leveraged traders lives: who has a stop where, who is on the way out, who is hedged outside."""

from math import inf
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from l2sim.agents.crowd_of_leveraged_traders.stops import Stops
from l2sim.transactions import NEVER, Status
from l2sim.world.seat import Seat

if TYPE_CHECKING:
    from l2sim.agents.crowd_of_leveraged_traders import CrowdOfLeveragedTraders

AGAIN = frozenset({Status.SLIPPAGE, Status.NO_LIQUIDITY, Status.DEADLINE, Status.FEE_TOO_LOW, Status.REORGANIZED})
"""Failures after which it makes sense to try again."""


class Decision(NamedTuple):
    """A decision to close the position or, without one, to open one."""

    time: int
    """When (ns)."""
    number: int
    """Which of the crowd's."""
    who: int
    """Member of the crowd, from 0."""
    long: bool
    """Direction, if it opens."""
    notional: float
    """US dollars, if it opens."""
    leverage: float
    """Notional over margin, if it opens."""


class Crowd:
    """A crowd in a run. Members are known by their accounts."""

    def __init__(self, traits: "CrowdOfLeveragedTraders", me: Seat) -> None:
        self.traits = traits
        self.me = me
        self.chain, self.price = me.chain_of(traits.market), me.underlying(traits.market)
        self.view = me.view(traits.market)
        self.codes = {action: code for code, action in enumerate(self.view.terms.actions)}
        self.tips = traits.tip.draw(me.rng("tips"), traits.size).astype(np.int64)
        self.habits: list[float | None] = [None] * traits.size
        """Where a member sets a stop, as a share of the way to liquidation."""
        if traits.stop_loss is not None:
            rng = me.rng("stops")
            users = rng.random(traits.size) < traits.stop_share
            shares = traits.stop_loss.draw(rng, traits.size)
            self.habits = [share if user else None for user, share in zip(users.tolist(), shares.tolist(), strict=True)]
        self.stops = Stops()
        self.opening: dict[int, None] = {}
        """Whose new position is on its way."""
        self.closing: dict[int, int] = {}
        """Who is on the way out, and how often that failed."""
        self.hedged: dict[int, float] = {}
        """Units held outside against a position that waits to be closed."""
        self.returning: set[int] = set()
        """Those of them who have sent the close."""
        me.failures()
        for account in me.accounts:
            self._set_stop(account)

    def look(self, decisions: list[Decision]) -> None:
        """Act on what has happened since the last look, and on what is decided before the next."""
        me, traits = self.me, self.traits
        silent = me.silence(self.chain) > traits.patience
        exits = self._failed()
        if self.hedged and not silent:
            exits += self._back()
        for account in list(self.opening):
            if self._set_stop(account):
                del self.opening[account]
        quiet = silent and traits.when_silent == "cancel"
        if not quiet:
            exits += [account for account in self.stops.reached(me.price(self.price)) if self._leave(account)]
        times = [me.now] * len(exits)
        for decision in [] if quiet else decisions:
            account = me.accounts[decision.who]
            if self.view.position(account).size:
                if self._leave(account):
                    exits.append(account)
                    times.append(decision.time)
            elif account not in self.opening and not (silent and traits.when_silent == "go_outside"):
                self._open(account, decision)
        if silent and traits.when_silent == "go_outside":
            self._go_outside(exits)
        else:
            self._close(exits, times)

    def _failed(self) -> list[int]:
        """Members whose transactions failed: those who try to close again; the others give up."""
        again = []
        for account, status, action, *_ in self.me.failures():
            if action == self.codes["open"]:
                self.opening.pop(account, None)
            elif account in self.closing:
                self.closing[account] += 1
                if status in AGAIN and self.closing[account] <= self.traits.retries:
                    again.append(account)
                else:
                    del self.closing[account]
        return again

    def _leave(self, account: int) -> bool:
        """Put a member on the way out; whether there is something to close that is not being closed already."""
        if not self.view.position(account).size:
            self.closing.pop(account, None)
            return False
        if account in self.closing:
            return False
        self.closing[account] = 0
        self.stops.disarm(account)
        return True

    def _set_stop(self, account: int) -> bool:
        """Set the stop that a member is used to setting; whether there is a position at all."""
        position = self.view.position(account)
        if not position.size:
            return False
        habit = self.habits[account - self.me.accounts.start]
        if habit is not None:
            price = position.entry + habit * (self.view.liquidation_price(account) - position.entry)
            self.stops.arm(account, price, position.size > 0)
        return True

    def _open(self, account: int, decision: Decision) -> None:
        traits = self.traits
        self.opening[account] = None
        self.closing.pop(account, None)
        self.me.submit_rows(
            traits.market,
            "open",
            submitted=np.array([decision.time]),
            accounts=np.array([account]),
            decisions=np.array([decision.number]),
            a=(1.0 if decision.long else -1.0) * decision.notional / self.me.price(self.price),
            b=decision.leverage,
            slippage=inf if traits.slippage is None else traits.slippage,
            tip=int(self.tips[decision.who]),
            deadline=NEVER if traits.deadline is None else decision.time + traits.deadline,
        )

    def _close(self, accounts: list[int], times: list[int]) -> None:
        """Send a close for each at its time, with a limit that is wider the more often it failed."""
        traits = self.traits
        submitted, senders = np.array(times, np.int64), np.array(accounts, np.int64)
        who = senders - self.me.accounts.start
        tried = np.array([self.closing.get(account, 0) for account in accounts], np.float64)
        self.me.submit_rows(
            traits.market,
            "close",
            submitted=submitted,
            accounts=senders,
            decisions=submitted * traits.size + who,  # who and when: the same in every world in which it comes to this
            a=1.0,
            slippage=inf if traits.slippage is None else traits.slippage * traits.widening**tried,
            tip=self.tips[who],
            deadline=NEVER if traits.deadline is None else submitted + traits.deadline,
        )

    def _go_outside(self, accounts: list[int]) -> None:
        """Hold the opposite of each position outside, until the chain is back and the position closed."""
        for account in accounts:
            self.returning.discard(account)
            size = self.view.position(account).size
            if account not in self.hedged and size:
                self.hedged[account] = -size
                self.me.trade(self.price, -size, account)

    def _back(self) -> list[int]:
        """The chain is back: who is hedged outside closes the position, and the hedge when the position is gone."""
        exits = []
        for account, units in list(self.hedged.items()):
            if not self.view.position(account).size:
                del self.hedged[account]
                self.returning.discard(account)
                self.me.trade(self.price, -units, account)
            elif account not in self.returning:
                self.returning.add(account)
                exits.append(account)
        return exits
