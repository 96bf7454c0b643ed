"""The fault dispute game of the OP Stack."""

from collections.abc import Mapping
from itertools import count
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from l2sim.part import Refers
from l2sim.settlement import STOPPED, Settlement, Waiting
from l2sim.settlement.dispute_game.bonds import required_bond
from l2sim.settlement.dispute_game.game import TRANSITIONS, Game
from l2sim.settlement.dispute_game.player import Player
from l2sim.units import DAY, DURATION, GWEI, HOUR, MINUTE, SECOND, Duration, Gas, Positive, Wei
from l2sim.world.seat import Seat

Type = Literal["permissionless", "permissioned"]
"""Who may assert and play."""


class Registry:
    """What L1 keeps for all games: which type of game is respected."""

    def __init__(self, assertions: Any, respected: Type) -> None:
        self.assertions = assertions
        self.respected = respected

    def claims(self) -> list[Any]:
        """Whose the bonds in all games are."""
        return [self.assertions.claim(*bond) for case in self.assertions.cases for bond in case.contest.bonds()]


class DisputeGame(Settlement):
    """Each assertion is the root of a game of claims, each with a bond and a clock; it is final an airgap after its game is won.

    A claim is answered by an attack, which claims another digest half way before it, or by a defence, which agrees and claims one
    half way after it. Down to the split depth claims are about blocks, below it about the instructions of one block, until L1
    executes a single one at the greatest depth. A side's clock runs while a claim of the other stands unanswered; who moves with less
    than an extension left has so much again. When all clocks are out a claim is countered by its leftmost answer that stands, and
    who made that gets its bond. New games begin at the newest final assertion, the anchor, and are about a later block. Digests are
    real for blocks and transactions; instructions of a transaction are positions with clocks and bonds whose digests follow from the
    state before it.

    Whoever asserts, challenges or joins has all claims answered that contradict it, in its own manner and at its own expense.
    Resolving costs no gas and happens at once. Numbers: OP Mainnet [optimism deploy-config/mainnet.json, OP specs: configurability].
    """

    transitions: ClassVar[Mapping[tuple[str, str], str]] = TRANSITIONS
    respected: ClassVar[Type] = "permissionless"
    """The type of game that is respected at the start."""
    powers: ClassVar[tuple[str, ...]] = ("invalidate", "fall back", "restore")

    max_depth: Annotated[int, Field(ge=4, le=125)] = 73
    """Depth at which L1 executes one instruction."""
    split_depth: Annotated[int, Field(ge=2)] = 30
    """Depth at which claims are about single blocks."""
    clock: Annotated[Duration, Positive] = 302_400 * SECOND
    """Time that each side has."""
    extension: Duration = 3 * HOUR
    """What is left at least after a move; twice as much after one to just above the split depth."""
    preimage_challenge: Duration = DAY
    """What is left besides after a move to just above the greatest depth, for large preimages; 0 in games before version 1.3 (assumed)."""
    airgap: Duration = 302_400 * SECOND
    """Time between the end of a game and finality, in which the guardian may act."""
    bond_delay: Duration = 7 * DAY
    """Time after the airgap until bonds are paid out (DelayedWETH)."""
    bond_fee: Wei = 200 * GWEI
    """Base fee assumed in bonds, wei per gas."""
    lowest_gas: Gas = 400_000
    """Gas in the bond at depth 0."""
    highest_gas: Gas = 300_000_000
    """Gas in the bond at the greatest depth; in between it grows geometrically, in whole ratios as in the contract."""
    move_gas: Gas = 250_000
    """Gas of a move, the first one included (assumed)."""
    step_gas: Gas = 2_000_000
    """Gas of executing one instruction on L1 (assumed)."""
    response: Duration = 1 * MINUTE
    """Time that a party needs for a move, besides what L1 takes to include it, unless its own manner says otherwise (assumed)."""
    challenger: Annotated[str, Refers("agents")] | None = None
    """Who plays besides the chain's proposer while the permissioned game is respected."""
    guardian: Annotated[str, Refers("agents")] | None = None
    """Who may pause payments, invalidate games and choose between the permissionless and the permissioned game; without one, nobody."""

    @model_validator(mode="after")
    def _playable(self) -> "DisputeGame":
        if self.split_depth + 1 >= self.max_depth:
            raise PydanticCustomError(
                "split_depth",
                "the split depth {split} leaves no depth below it for instructions: it must be at most the greatest depth ({most}) less 2",
                {"split": self.split_depth, "most": self.max_depth},
            )
        extension = max(2 * self.extension, self.extension + self.preimage_challenge)
        if self.clock < extension:
            raise PydanticCustomError(
                "clock",
                "a clock of {clock} is shorter than an extension of it, {extension}: make it longer, or 'extension' or "
                "'preimage_challenge' shorter",
                {"clock": DURATION.write(self.clock), "extension": DURATION.write(extension)},
            )
        if self.response >= self.clock:
            raise PydanticCustomError(
                "response",
                "a party that needs {response} for a move never makes one on a clock of {clock}: make 'response' shorter or 'clock' longer",
                {"response": DURATION.write(self.response), "clock": DURATION.write(self.clock)},
            )
        if self.bond_fee * self.lowest_gas == 0:
            raise PydanticCustomError(
                "bond",
                "a bond of zero where one is due: claims that cost nothing could be made without end; give 'bond_fee' and 'lowest_gas'",
            )
        if self.highest_gas < self.lowest_gas:
            raise PydanticCustomError("bond", "bonds cannot fall with depth: 'highest_gas' must be at least 'lowest_gas'")
        return self

    def bond(self, depth: int) -> int:
        """What a claim at a depth takes (wei)."""
        return required_bond(depth, self.max_depth, self.bond_fee, self.lowest_gas, self.highest_gas)

    def extension_at(self, depth: int) -> int:
        """What is left of a clock at least after a move to a depth (ns)."""
        if depth == self.max_depth - 1:
            return self.extension + self.preimage_challenge
        return 2 * self.extension if depth == self.split_depth - 1 else self.extension

    def stake(self) -> int:
        return self.bond(0)

    def calls(self) -> Mapping[str, int]:
        return {"assertion_gas": self.assertion_gas, "move_gas": self.move_gas, "step_gas": self.step_gas}  # bonds count other gas

    def cost_of_challenge(self) -> int:
        return self.move_gas

    def passes(self, assertions: Any, case: Any) -> bool:
        return bool(case.contest.state == "defender wins")

    def usual(self) -> int:
        return self.clock + self.airgap

    # ---- on L1

    def deploy(self, assertions: Any) -> Registry:
        return Registry(assertions, self.respected)

    def appointed(self, assertions: Any, account: int) -> bool:
        """Whether somebody plays where only those play who were appointed."""
        groups = assertions.world.ledger.groups
        names = [f"{assertions.chain.name}.proposer"] + ([self.challenger] if self.challenger else [])
        return any(account in groups[name].accounts for name in names if name in groups)

    def admits(self, assertions: Any, side: Any, last: int, digest: int) -> bool:
        permissioned = assertions.contract.respected == "permissioned"
        if permissioned and not self._proposes(assertions, side.account):
            return False
        if not 0 < last - assertions.final <= 1 << self.split_depth:  # it is past the anchor, by no more blocks than there are leaves
            return False
        open_ = (case for case in assertions.cases if case.status != "rejected")
        return all((case.assertion.last, case.assertion.digest) != (last, digest) for case in open_)

    def _proposes(self, assertions: Any, account: int) -> bool:
        group = assertions.world.ledger.groups.get(f"{assertions.chain.name}.proposer")
        return group is not None and account in group.accounts

    def open(self, assertions: Any, case: Any) -> Game:
        return Game(self, assertions, case, assertions.contract.respected == "permissioned")

    def govern(self, assertions: Any, act: str, number: int) -> bool:
        """``invalidate`` one game; ``fall back`` to the permissioned game or ``restore`` the other, which ends all older games."""
        if act == "invalidate":
            return bool(assertions.cases[number].contest.invalidate())
        wanted: dict[str, Type] = {"fall back": "permissioned", "restore": "permissionless"}
        if act not in wanted or assertions.contract.respected == wanted[act]:
            return False
        assertions.contract.respected = wanted[act]
        for case in assertions.cases:
            case.contest.invalidate()
        return True

    # ---- what happens by itself

    def run(self, me: Seat) -> Waiting:
        assertions = me.duty.assertions
        for number in count():
            while len(assertions.cases) <= number:
                yield assertions.made.wait()
            me.start(self._settle(me, assertions.cases[number].contest))

    def _settle(self, me: Seat, game: Game) -> Waiting:
        """Let those play who joined, resolve the game when all clocks are out, and see it through to the last bond."""
        assertions, playing = me.duty.assertions, 0
        while game.state == "in progress" and me.now < game.ends:
            for side in game.joined[playing:]:
                me.start(Player(self, me, game, side).play())
            playing = len(game.joined)
            yield me.any(game.changed.wait(), me.sleep_until(game.ends))
        if game.state == "in progress":
            game.resolve()
        closes = me.now + self.airgap
        while game.state in ("defender wins", "challenger wins") and me.now < closes:
            yield me.any(game.changed.wait(), me.sleep_until(closes))
        if game.state != "invalid":
            stopped = assertions.chain.frozen and game.state == "defender wins"
            game.happens(STOPPED if stopped else "airgap over")
            if stopped or game.state == "final":
                assertions.confirm(game.case)
        yield me.sleep_until(me.now + self.bond_delay)
        while assertions.paused:
            yield assertions.resumed.wait()
        game.pay()
