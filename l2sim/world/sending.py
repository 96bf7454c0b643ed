"""Sending: how an agent's transactions leave its seat and travel to a chain."""

from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from l2sim.streams import mix
from l2sim.transactions import ANY_FEE, NEVER, STEPS, Output, Rows, Step
from l2sim.world.chain import LiveChain
from l2sim.world.inbox import Traits

if TYPE_CHECKING:
    from l2sim.world.world import World

Ints = npt.NDArray[np.int64]
MOST_GAS = 2**31 - 1
"""More does not fit into the log's column."""
WITHIN = "'{}' on '{}' must be undone in the same transaction: send it with me.submit_steps"


class Do(NamedTuple):
    """A step of a transaction: an action of a market, with its fields."""

    market: str
    action: str
    fields: tuple[float | Output, ...] = ()
    slippage: float = inf
    """Worst relative move from ``reference`` that is accepted."""
    reference: float = 0.0
    """0 stands for the mid price when the transaction is executed."""

    def filled(self) -> tuple[float | Output, float | Output, float | Output]:
        """Three fields, 0 where left out."""
        a, b, c = (*self.fields, 0.0, 0.0, 0.0)[:3]
        return a, b, c


class Sender:
    """The part of a seat that sends transactions."""

    def __init__(self, world: "World", name: str, part: Any, accounts: range) -> None:
        self.name = name
        """Its stream name, such as ``keepers/0``."""
        self.accounts = accounts
        """The ledger accounts that it owns."""
        self._world = world
        self._region = getattr(part, "region", "us_east")
        self._reaction = getattr(part, "reaction", 0)
        self._key = world.streams.key(f"seats/{name}")
        self._sent = 0
        self._last_sent = -1
        self._burst = 0

    @property
    def now(self) -> int:
        """Nanoseconds since the start."""
        return int(self._world.clock.now)

    def submit(
        self, market: str, action: str, *fields: float, slippage: float = float("inf"), reference: float = 0.0,
        tip: int = 0, cap: int = ANY_FEE, deadline: int = NEVER, account: int | None = None, wait: bool = False,
    ) -> int:  # fmt: skip
        """Send a transaction over the network, after its reaction time.

        ``slippage`` is the worst relative move from ``reference`` that it accepts; a reference of 0 stands for the mid price
        when it arrives. Returns a ticket for ``receipt`` where it waits for one, else 0.
        """
        chain = self._world.home[market]
        code = chain.codes[market]
        rules = chain.markets[code]
        what = self._action(market, action)
        if action in rules.within:
            raise ValueError(WITHIN.format(action, market))
        a, b, c = (*map(float, fields), 0.0, 0.0, 0.0)[:3]
        cost = rules.gas[action], rules.size[action]
        return self._send(chain, code, what, (a, b, c), slippage, reference, *cost, tip, cap, deadline, account, wait)

    def submit_steps(self, *steps: "Do", tip: int = 0, deadline: int = NEVER, account: int | None = None, wait: bool = False) -> int:
        """Send a transaction of several steps on one chain, all of which are executed or none; else like ``submit``.

        A field of a step may be ``Output(i)``: what step i gave. It uses the gas and bytes of all its steps.

        Raises:
            ValueError: the steps are on different chains, or there are none; one needs what has not been given yet; no block has room.
        """
        chains = {self._world.home[step.market].name for step in steps}
        if len(chains) != 1:
            raise ValueError(f"the steps of a transaction must be on one chain, not on {', '.join(sorted(chains)) or 'none'}")
        chain = self._world.home[steps[0].market]
        number = len(chain.execution.bundles)
        gas = size = 0
        codes = []
        for place, step in enumerate(steps):
            code = chain.codes[step.market]
            rules = chain.markets[code]
            codes.append(Step(code, self._action(step.market, step.action), step.filled(), step.slippage, step.reference))
            for field in step.fields:
                if isinstance(field, Output) and not (0 <= field.step < place and field.which in (0, 1)):
                    raise ValueError(f"step {place}, '{step.action}' on '{step.market}', takes {field}: there is no such step before it")
            gas += rules.gas[step.action]
            size += rules.size[step.action]
        if gas > chain.most_gas():
            raise ValueError(f"the steps use {gas} gas together; a block of '{chain.name}' has room for {chain.most_gas()}")
        chain.execution.bundles[number] = tuple(codes)
        return self._send(chain, STEPS, 0, (float(number), 0.0, 0.0), inf, 0.0, gas, size, tip, ANY_FEE, deadline, account, wait)

    def _send(
        self, chain: LiveChain, market: int, action: int, fields: tuple[float, float, float], slippage: float, reference: float,
        gas: int, size: int, tip: int, cap: int, deadline: int, account: int | None, wait: bool,
    ) -> int:  # fmt: skip
        submitted, luck = self._letter()
        arrives = submitted + self._world.network.delay(self._key, self._region, chain.region, luck, self._world.regime(chain))
        ticket = (self._key % 2**32 << 24) + self._sent if wait else 0
        chain.inbox.send(
            (
                arrives, mix(self._key ^ 0xFA1, luck), submitted, self._own(account), market, action, *fields, slippage, reference,
                gas, size, tip, cap, deadline, ticket,
            )
        )  # fmt: skip
        return ticket

    def _letter(self) -> tuple[int, int]:
        """When it lets go of a message that it decides on now (ns), and the message's luck."""
        submitted = self.now + self._reaction
        self._sent += 1
        # The n-th message of an instant has the same luck in every world, whatever was sent before.
        self._burst = self._burst + 1 if self._last_sent == submitted else 0
        self._last_sent = submitted
        return submitted, mix(submitted, self._burst)

    def submit_rows(
        self, market: str, action: Any, *, submitted: Ints, accounts: Ints, decisions: Ints, a: Any = 0.0, b: Any = 0.0,
        c: Any = 0.0, slippage: Any = float("inf"), reference: Any = 0.0, tip: Any = 0, cap: Any = ANY_FEE, deadline: Any = NEVER,
        gas: "npt.NDArray[np.float64] | None" = None,
    ) -> None:  # fmt: skip
        """Send many at once, each at its own time, now or later.

        Args:
            action: the action's name, or codes (positions in ``Market.actions``), shape (n,).
            submitted: when each is let go of (ns), shape (n,); the reaction time is added.
            accounts: ledger accounts of the senders, shape (n,).
            decisions: numbers of the decisions: delays and tie keys depend on them alone, shape (n,).
            gas: what each uses, at most what a block takes, shape (n,); without it, what the market says of its actions.
        """
        n = len(submitted)
        if n == 0:
            return
        chain = self._world.home[market]
        code = chain.codes[market]
        rules = chain.markets[code]
        actions = np.full(n, self._action(market, action)) if isinstance(action, str) else np.asarray(action)
        for which, one in enumerate(rules.actions):
            if one in rules.within and (actions == which).any():
                raise ValueError(WITHIN.format(one, market))
        size, used = (_costs([costs[name] for name in rules.actions], actions) for costs in (rules.size, rules.gas))
        if gas is not None:
            used = np.minimum(np.ceil(gas), min(chain.most_gas(), MOST_GAS)).astype(np.int64)
        sent = submitted + self._reaction
        arrives = sent + self._world.network.delays(self._key, self._region, chain.region, decisions, self._world.regime(chain))
        ties = self._world.streams.ties(self.name, decisions)
        columns: dict[str, Any] = {
            "arrives": arrives, "tie": ties, "submitted": sent, "sender": accounts, "action": actions, "gas": used, "size": size,
            "a": a, "b": b, "c": c, "slippage": slippage, "reference": reference, "tip": tip, "cap": cap, "deadline": deadline,
            "market": code,
        }  # fmt: skip
        if not (arrives[1:] > arrives[:-1]).all():
            order = np.lexsort((ties, arrives))
            columns = {name: column[order] if isinstance(column, np.ndarray) else column for name, column in columns.items()}
        chain.inbox.add(Rows.of(n, chain.inbox.arrays, **columns), Traits.of(Rows.given(**columns)))

    def _own(self, account: int | None) -> int:
        if account is None:
            return self.accounts.start
        if account not in self.accounts:
            raise ValueError(f"account {account} is not one of '{self.name}'")
        return account

    def _action(self, market: str, action: str) -> int:
        chain = self._world.home[market]
        actions = list(chain.markets[chain.codes[market]].actions)
        if action not in actions:
            raise ValueError(f"market '{market}' has no action '{action}'; it has {', '.join(actions)}")
        return actions.index(action)


def _costs(costs: list[int], actions: Ints) -> Any:
    """What each of some actions costs, by their codes; one number where all actions of a market cost the same."""
    return costs[0] if len(set(costs)) == 1 else np.array(costs)[actions]
