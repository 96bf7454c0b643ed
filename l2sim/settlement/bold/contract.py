"""The contract: assertions that stand on one another, the stakes behind them, and which of those that differ survives."""

from abc import abstractmethod
from functools import partial
from typing import Any, ClassVar, Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from l2sim.books import Claim
from l2sim.events.dispute_game import MoveRefused
from l2sim.events.stakes import StakeForfeited, StakePosted, StakeReturned
from l2sim.settlement import INVALIDATED, STOPPED, Settlement, Waiting
from l2sim.settlement.bold.histories import History, Machine, Truth
from l2sim.settlement.bold.players import NEVER, Move, Player
from l2sim.units import ETH
from l2sim.world.seat import Seat


class Node:
    """An assertion in the tree: what it stands on, what stands on it, and the stake behind it."""

    def __init__(self, case: Any, parent: "Node | None", stake: int) -> None:
        self.case = case
        self.parent = parent
        self.children: list[Node] = []
        self.stake = stake
        """What is staked on it now, wei; 0 once its staker has moved on to one that stands on it, or has lost it."""
        self.joined = False
        """Whether it has taken part in a challenge."""

    @property
    def number(self) -> int:
        """The assertion's number; -1 for the start of the chain."""
        return -1 if self.case is None else int(self.case.assertion.number)

    @property
    def last(self) -> int:
        """The block up to which it goes."""
        return 0 if self.case is None else int(self.case.assertion.last)

    @property
    def made(self) -> int:
        """When L1 took it up (ns)."""
        return 0 if self.case is None else int(self.case.assertion.made)

    @property
    def account(self) -> int:
        """Who has staked on it."""
        return -1 if self.case is None else int(self.case.assertion.account)

    @property
    def digest(self) -> int:
        """What it claims."""
        return int(self.case.assertion.digest)

    @property
    def lost(self) -> bool:
        """Whether it can never be final."""
        return self.case is not None and self.case.status == "rejected"

    @property
    def final(self) -> bool:
        """Whether it is."""
        return self.case is None or self.case.status == "final"

    def held_by(self, told: Any) -> bool:
        """Whether a party says the same, or has to put up with it because it is final."""
        return self.final or bool(told.digest(self.last) == self.digest)


class Contract:
    """What L1 keeps of the assertions about one rollup, where those that stand on the same one exclude each other.

    An assertion reaches as far as the first that stands on the same one; whoever stakes on one that stands on another on which it
    has staked moves its stake. One that goes further than positions can number is refused: nobody could argue about the rest.
    ``crowded`` says whether several may stake on the same claim.
    """

    crowded = False

    def __init__(self, rules: Any, me: Seat) -> None:
        self.rules = rules
        self.me = me
        self.assertions = me.duty.assertions
        self.chain = str(me.duty.name)
        self.escrow, self.treasury = me.accounts[0], me.accounts[1]
        self.machine: Machine = rules.machine()
        self.truth = Truth(self.assertions)
        self.start = Node(None, None, 0)
        self.nodes: list[Node] = [self.start]
        self._edge_stakes: dict[int, tuple[int, int]] = {}
        """Stakes on edges that are kept: number of the edge -> account, wei."""

    # ---- what it shows to those who play

    def player(self, side: Any, honest: bool) -> Player:
        """Take part as a party; ``honest`` says that it holds to what execution gives."""
        return Player(side, honest)

    def reach(self, side: Any, head: int) -> int:
        """The block up to which the next assertion of a party goes, which would like to assert ``head``.

        That is as far as others that stand on the same one go, else as far as its blocks can be numbered.
        """
        node = self._base(side, NEVER)
        return node.children[0].last if node.children else min(head, node.last + self.machine.span)

    def unanswered(self, number: int, side: Any) -> bool:
        """Whether an assertion stands on what a party holds true, is false to it, and no other that is true to it stands there."""
        node = next((node for node in self.nodes if node.number == number), None)
        if node is None or node.parent is None or node.lost or node.final or node.held_by(side):
            return False
        siblings = node.parent.children
        return node.parent.held_by(side) and not any(one.held_by(side) and not one.lost for one in siblings)

    def decided(self, number: int) -> bool:
        """Whether an assertion is final or rejected."""
        return self.assertions.cases[number].status in ("final", "rejected")

    @abstractmethod
    def moves(self, player: Player) -> list[Move]:
        """What is open to a party now."""

    @abstractmethod
    def needed(self) -> tuple[int, int]:
        """What one rival takes, wei: to be asserted, and to be argued down to a single step."""

    # ---- what time brings

    def run(self) -> Waiting:
        """Take up what is asserted, and confirm or reject what can be."""
        adopted = 0
        while True:
            cases = self.assertions.cases
            while adopted < len(cases):
                self._adopt(cases[adopted])
                adopted += 1
            due = self.advance()
            waits = [self.assertions.made.wait(), self.assertions.stirred.wait()]
            yield self.me.any(*waits, *([self.me.sleep_until(due)] if due < NEVER else []))

    @abstractmethod
    def advance(self) -> int:
        """Do what can be done now; when there is something to do next, if nobody does anything (ns)."""

    def entered(self, node: Node) -> None:
        """An assertion was taken up, and may have rivals."""

    def passes(self, number: int) -> bool:
        """Whether an assertion will be final as things stand: it has no rival, or has won against all of them."""
        node = self._node(number)
        return node is not None and not (node.final or node.lost or self.contested(node))

    def invalidate(self, number: int) -> bool:
        """Take out an assertion that is not final, and all that stands on it, whatever is true; stakes go back to who put them down."""
        node = self._node(number)
        if node is None or node.final or node.lost:
            return False
        self.reject(node, INVALIDATED, refunds=True)
        self.stirred()
        return True

    def confirm(self, node: Node) -> None:
        """Make an assertion final, and its stake free."""
        self._repay(node)
        self.happens(node, STOPPED if self.assertions.chain.frozen else "a challenge period old without a rival")
        self.assertions.confirm(node.case)

    def reject(self, node: Node, event: str, refunds: bool = False) -> None:
        """Reject an assertion and all that stands on it; their stakes are lost, unless they go back to who put them down."""
        for child in node.children:
            if not child.lost:
                self.reject(child, event if refunds else "what it stands on is rejected", refunds)
        if refunds:
            self._repay(node)
        elif node.stake:
            self._forfeit(node.number, node.account, "assertion", node.stake)
            node.stake = 0
        self.happens(node, event)
        self.assertions.reject(node.case)

    def happens(self, node: Node, event: str) -> None:
        """Let something happen to an assertion; where the table is about something else, that is all."""

    def _node(self, number: int) -> Node | None:
        """An assertion that has been taken up, by its number."""
        return next((node for node in self.nodes if node.case is not None and node.number == number), None)

    def ready(self, node: Node) -> int:
        """When an assertion that nobody disputes may be final; never, as long as what it stands on is not."""
        if node.parent is None or not node.parent.final:
            return NEVER
        return node.made + int(self.rules.challenge_period)

    def stirred(self) -> None:
        """Wake whoever waits for a change."""
        self.assertions.stirred.ring()

    def _confirmed(self) -> int:
        """Confirm what has no rivals and is old enough; when the next one is old enough."""
        due, now = NEVER, self.me.now
        for node in self.nodes:
            if not (node.final or node.lost):
                at = self.ready(node)
                if at > now:
                    due = min(due, at)
                elif not self.contested(node):
                    self.confirm(node)
        self.nodes = [node for node in self.nodes if not (node.lost or (node.final and node.children and node.children[-1].final))]
        return due

    # ---- the tree

    def rivals(self, node: Node) -> list[Node]:
        """Those that exclude an assertion and are not rejected."""
        siblings = node.parent.children if node.parent is not None else []
        return [one for one in siblings if one is not node and not one.lost and one.digest != node.digest]

    def contested(self, node: Node) -> bool:
        """Whether there are any."""
        siblings = node.parent.children if node.parent is not None else []
        return any(not one.lost and one.digest != node.digest for one in siblings)

    def history(self, told: Any, node: Node) -> History:
        """What a party says happened between what an assertion stands on and its end."""
        base = node.parent if node.parent is not None else self.start
        agreed = self.truth.digest(0) if base.case is None else base.digest
        return History(self.machine, base.last, node.last, agreed, told, self.truth)

    def _base(self, side: Any, before: int) -> Node:
        """The assertion on which a party's next one stands: the newest that it holds true, before a block."""
        fit = sorted((node for node in self.nodes if not node.lost and node.last < before), key=lambda node: -node.last)
        return next((node for node in fit if node.held_by(side)), self.start)

    def _adopt(self, case: Any) -> None:
        """Take up an assertion and its stake, or refuse it."""
        side, assertion = case.asserter, case.assertion
        parent = self._base(side, assertion.last)
        others = [one for one in parent.children if not one.lost]
        fits = parent.children[0].last == assertion.last if parent.children else assertion.last - parent.last <= self.machine.span
        twice = not self.crowded and any(one.digest == assertion.digest for one in others)
        if not fits or twice or any(one.final for one in others) or not self._staked(side, parent, assertion.number):
            self.happens(Node(case, parent, 0), "refused")
            self.assertions.reject(case)
            return
        node = Node(case, parent, int(self.rules.assertion_stake))
        parent.children.append(node)
        self.nodes.append(node)
        self.happens(node, "taken up")
        self.entered(node)
        self.stirred()

    # ---- money

    def claims(self) -> list[Claim]:
        """The stakes that it keeps, which are their owners' until they are lost."""
        staked = [(node.account, node.stake) for node in self.nodes if node.stake]
        return [Claim(account, self.me.gas_token, wei / ETH) for account, wei in [*staked, *self._edge_stakes.values()]]

    def _staked(self, side: Any, parent: Node, number: int) -> bool:
        """Move a party's stake here from what this stands on, or take a new one; whether there was one."""
        stake, below = int(self.rules.assertion_stake), parent
        while below.parent is not None:
            if below.stake and below.account == side.account:
                below.stake = 0
                return True
            below = below.parent
        return self._take(side, number, "assertion", stake)

    def _take(self, side: Any, number: int, purpose: str, wei: int) -> bool:
        if wei and not self.assertions.affords(side, wei):
            return False
        if wei:
            self.assertions.transfer(int(side.account), self.escrow, wei)
            self.me.announce(StakePosted(self.chain, number, int(side.account), purpose, wei / ETH))
        return True

    def _return(self, number: int, account: int, purpose: str, wei: int) -> None:
        self.assertions.transfer(self.escrow, account, wei)
        self.me.announce(StakeReturned(self.chain, number, account, purpose, wei / ETH))

    def _repay(self, node: Node) -> None:
        if node.stake:
            self._return(node.number, node.account, "assertion", node.stake)
            node.stake = 0

    def _forfeit(self, number: int, account: int, purpose: str, wei: int) -> None:
        """Take a stake for good: into the treasury, from which who defended what is true is paid."""
        self.assertions.transfer(self.escrow, self.treasury, wei)
        self.me.announce(StakeForfeited(self.chain, number, account, purpose, wei / ETH))

    def _once(self, node: Node, player: Player, possible: Any, act: Any) -> Any:
        """A call on L1 for an assertion: it acts if that is possible still, and wakes whoever waits; its cost is paid either way."""
        return partial(self._called, node.number, player.account, possible, act)

    def _called(self, number: int, account: int, possible: Any, act: Any, cost: float) -> bool:
        why = "" if possible() else "too late"
        if not why and not act(cost):
            why = "not granted"
        if why:
            self.me.announce(MoveRefused(self.chain, number, -1, account, why, cost))
        else:
            self.stirred()
        return not why


class _Staked(Settlement):
    """What settlements by stakes behind rival assertions have in common; a kind names its contract."""

    rivals: ClassVar[bool] = True
    contract: ClassVar[type[Contract]]

    @model_validator(mode="after")
    def _argued(self) -> Self:
        if not self.machine().height:
            message = "a position of no bits has nothing to argue about: give 'block_bits', 'transaction_bits' or 'step_bits' one at least"
            raise PydanticCustomError("bits", message)
        return self

    @abstractmethod
    def machine(self) -> Machine:
        """How positions in a history are put together."""

    def first_stake(self) -> int:
        return int(self.assertion_stake)  # type: ignore[attr-defined]

    def accounts(self) -> int:
        """Two on L1: one where stakes are kept, and the treasury where forfeited ones go."""
        return 2

    def arrive(self, me: Seat) -> None:
        me.duty.assertions.contract = self.contract(self, me)

    def passes(self, assertions: Any, case: Any) -> bool:
        return bool(assertions.contract.passes(case.assertion.number))

    def govern(self, assertions: Any, act: str, number: int) -> bool:
        return act == "invalidate" and bool(assertions.contract.invalidate(number))

    def run(self, me: Seat) -> Waiting:
        yield from me.duty.assertions.contract.run()
