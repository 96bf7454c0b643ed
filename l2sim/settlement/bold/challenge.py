"""The contract of BoLD: challenges among the assertions that stand on the same one, all against all."""

from functools import partial
from typing import Any

from l2sim.events import AssertionChallenged, DisputeEnded, DisputeMoved
from l2sim.events.stakes import DefenderPaid, EdgeTurned
from l2sim.settlement.bold.contract import Contract, Node
from l2sim.settlement.bold.edges import RIVALLED, Edge, Mutual
from l2sim.settlement.bold.histories import History, middle
from l2sim.settlement.bold.players import NEVER, Move, Player
from l2sim.units import ETH

BATCH = 40
"""Edges whose time one transaction brings up to date; at 60,000 gas each, 40 take 2.4 million."""


class Challenge:
    """What is kept of a challenge: the edges, and who has won."""

    def __init__(self, base: Node, begun: int = 0) -> None:
        self.base = base
        """What the rivals stand on."""
        self.begun = begun
        """How many there were before about the same, which are void."""
        self.edges: dict[tuple[Mutual, int], Edge] = {}
        self.stretches: dict[Mutual, list[Edge]] = {}
        """Rival edges by what they share."""
        self.waiting: dict[int, Edge] = {}
        """Edges with rivals that nobody has bisected, refined or proved yet, by number."""
        self.roots: dict[int, Edge] = {}
        """The root edge of each rival assertion, by the assertion's number."""
        self.staked: dict[int, tuple[int, int]] = {}
        """Mini-stakes on first edges of a level: edge -> account, wei."""
        self.updated: dict[int, set[int]] = {}
        """Batches of edges below a root edge whose time is up to date."""
        self.moves = 0
        self.winner: Node | None = None
        self.won = NEVER
        """When the winner's root edge was confirmed (ns)."""
        self.proved: list[Edge] = []
        """The single steps that L1 executed."""


class BoldContract(Contract):
    """Assertions, challenges and edges of one rollup."""

    def __init__(self, rules: Any, me: Any) -> None:
        super().__init__(rules, me)
        self.challenges: dict[int, Challenge] = {}
        """By the number of the assertion that the rivals stand on."""
        self._made = 0
        self._histories: dict[int, History] = {}

    def needed(self) -> tuple[int, int]:
        return int(self.rules.assertion_stake), int(self.rules.assertion_stake + sum(self.rules.mini_stakes))

    # ---- moves

    def moves(self, player: Player) -> list[Move]:
        found: list[Move] = []
        for challenge in self.challenges.values():
            if challenge.winner is None:
                node = next((one for one in challenge.base.children if not one.lost and one.held_by(player.side)), None)
                if node is not None and challenge.base.held_by(player.side):
                    found += self._in(challenge, node, player)
        return found

    def _in(self, challenge: Challenge, node: Node, player: Player) -> list[Move]:
        """What a party that stands for an assertion may do in a challenge."""
        history = player.history(challenge.base.last, node.last, partial(self.history, node=node))
        due = partial(self._due, challenge, node)
        root = challenge.roots.get(node.number)
        if root is None:
            stake = self.rules.mini_stakes[0]
            act = partial(self._open, challenge, node, player, history)
            opening = self._during(challenge, node, player, lambda: node.number not in challenge.roots, act)
            return [Move(("open", node.number, challenge.begun), "open", self.rules.root_gas, stake, due, opening)]
        if root.reaches(self.rules.challenge_period) <= self.me.now:
            return self._settling(challenge, node, root, player)
        found = []
        for edge in challenge.waiting.values():
            held = history.root(edge.low) == edge.start and history.root(edge.high) == edge.end
            if held and (player.honest or self._true(challenge, edge.high) != edge.end):  # what is true, others defend
                move = self._upon(challenge, node, edge, player, history, due)
                found += [] if move is None else [move]
        return found

    def _upon(self, challenge: Challenge, node: Node, edge: Edge, player: Player, history: History, due: Any) -> Move | None:
        """What is to be done with an edge that has a rival."""
        rules = self.rules
        if edge.high - edge.low > rules.stride(edge.level):
            act = self._during(
                challenge, node, player, partial(edge.allows, "bisect"), partial(self._bisect, challenge, node, edge, player, history)
            )
            return Move(("bisect", edge.number), "bisect", rules.bisection_gas, 0, due, act)
        if edge.level + 1 < len(rules.heights):
            stake = rules.mini_stakes[edge.level + 1]
            act = self._during(
                challenge, node, player, lambda: edge.state == RIVALLED, partial(self._refine, challenge, node, edge, player, history)
            )
            return Move(("refine", edge.number), "refine", rules.root_gas, stake, due, act)
        if not player.honest:
            return None  # L1 would find that it is false
        act = self._during(challenge, node, player, partial(edge.allows, "prove"), partial(self._prove, challenge, node, edge, player))
        return Move(("prove", edge.number), "prove", rules.proof_gas, 0, due, act)

    def _settling(self, challenge: Challenge, node: Node, root: Edge, player: Player) -> list[Move]:
        """Bring the time of all edges that matter up to date, so that the root edge can be confirmed."""
        edges = {edge.number for edge in root.below()}
        batches = -(-len(edges) // BATCH)
        done = challenge.updated.setdefault(root.number, set())
        found = []
        for batch in range(batches):
            if batch not in done:
                size = min(BATCH, len(edges) - batch * BATCH)
                act = partial(self._update, challenge, node, root, player, batch, batches)
                call = self._during(challenge, node, player, lambda: challenge.winner is None, act)
                found.append(Move(("update", root.number, batch), "update", size * self.rules.update_gas, 0, lambda: 0, call))
        return found

    def _due(self, challenge: Challenge, node: Node) -> int:
        """When the first rival of an assertion wins, as things stand."""
        times = [self._wins(challenge, rival) for rival in self.rivals(node)]
        return min(times, default=NEVER)

    def _wins(self, challenge: Challenge, node: Node) -> int:
        """When an assertion's root edge has the time that it needs, as things stand; one without a root edge never has."""
        root = challenge.roots.get(node.number)
        return NEVER if root is None else root.reaches(self.rules.challenge_period)

    # ---- what moves do on L1

    def _open(self, challenge: Challenge, node: Node, player: Player, history: History, cost: float) -> bool:
        """Make the root edge of an assertion."""
        high = 1 << self.machine.height
        mutual: Mutual = (0, challenge.base.number, 0, history.root(0), high)
        if not self._take(player.side, node.number, "edge", self.rules.mini_stakes[0]):
            return False
        edge = self._edge(challenge, mutual, 0, 0, 0, high, history.root(high), player)
        first, *later = challenge.base.children
        if node is first:
            edge.head_start = later[0].made - node.made
        challenge.roots[node.number] = edge
        self._moved(challenge, node, edge, player, cost)
        return self._stake(challenge, edge, player, self.rules.mini_stakes[0])

    def _bisect(self, challenge: Challenge, node: Node, edge: Edge, player: Player, history: History, cost: float) -> bool:
        """Cut an edge in two."""
        stride = self.rules.stride(edge.level)
        cut = edge.origin + stride * middle((edge.low - edge.origin) // stride, (edge.high - edge.origin) // stride)
        said, level, about = history.root(cut), edge.level, edge.mutual[1]
        lower = self._edge(challenge, (level, about, edge.low, edge.start, cut), level, edge.origin, edge.low, cut, said, player)
        upper = self._edge(challenge, (level, about, cut, said, edge.high), level, edge.origin, cut, edge.high, edge.end, player)
        edge.halves = lower, upper
        self._turn(challenge, edge, "bisect", player.account)
        self._moved(challenge, node, edge, player, cost)
        return True

    def _refine(self, challenge: Challenge, node: Node, edge: Edge, player: Player, history: History, cost: float) -> bool:
        """Make the first edge of the next level for a single step."""
        stake = self.rules.mini_stakes[edge.level + 1]
        if not self._take(player.side, node.number, "edge", stake):
            return False
        mutual: Mutual = (edge.level + 1, edge.mutual, edge.low, edge.start, edge.high)
        end = history.root(edge.high)
        below = self._edge(challenge, mutual, edge.level + 1, edge.low, edge.low, edge.high, end, player)
        below.parent = edge
        edge.refinements.append(below)
        self._turn(challenge, edge, "refine", player.account)
        self._moved(challenge, node, below, player, cost)
        return self._stake(challenge, below, player, stake)

    def _prove(self, challenge: Challenge, node: Node, edge: Edge, player: Player, cost: float) -> bool:
        """Execute a single step; whether the edge says what comes of it."""
        if self._true(challenge, edge.high) != edge.end:
            return False
        edge.proved = True
        challenge.proved.append(edge)
        self._turn(challenge, edge, "prove", player.account)
        self._moved(challenge, node, edge, player, cost)
        return True

    def _update(
        self, challenge: Challenge, node: Node, root: Edge, player: Player, batch: int, batches: int, cost: float
    ) -> bool:  # fmt: skip
        """Bring the time of some edges up to date; with the last of them the root edge is confirmed."""
        done = challenge.updated[root.number]
        done.add(batch)
        self._moved(challenge, node, root, player, cost)
        if len(done) >= batches and root.gathered(self.me.now) >= self.rules.challenge_period:
            challenge.winner, challenge.won = node, self.me.now
            for edge in {edge.number: edge for edge in root.below()}.values():
                if edge.allows("expire"):
                    self._turn(challenge, edge, "expire", player.account)
        return True

    # ---- what a guardian may do

    def passes(self, number: int) -> bool:
        won = any(one.winner is not None and one.winner.number == number for one in self.challenges.values())
        return won or super().passes(number)

    def reject(self, node: Node, event: str, refunds: bool = False) -> None:
        super().reject(node, event, refunds)
        base = node.parent if node.parent is not None else self.start
        if refunds and base.number in self.challenges:
            self._void(base)

    def _void(self, base: Node) -> None:
        """One of the rivals was taken out: the challenge is void, and begins anew among those that are left."""
        void = self.challenges.pop(base.number)
        for number, (account, wei) in void.staked.items():
            del self._edge_stakes[number]
            self._return(base.number, account, "edge", wei)
        left = [one for one in base.children if not one.lost]
        if any(one.digest != left[0].digest for one in left):
            self.challenges[base.number] = Challenge(base, void.begun + 1)

    def _during(self, challenge: Challenge, node: Node, player: Player, possible: Any, act: Any) -> Any:
        """A call on L1 that does nothing once a challenge is void or over."""
        return self._once(node, player, lambda: self.challenges.get(challenge.base.number) is challenge and possible(), act)

    # ---- edges

    def _edge(
        self, challenge: Challenge, mutual: Mutual, level: int, origin: int, low: int, high: int, end: int, player: Player
    ) -> Edge:  # fmt: skip
        """The edge that says so: one that is there, or a new one, which is a rival to those that say something else."""
        if (mutual, end) in challenge.edges:
            return challenge.edges[mutual, end]
        edge = challenge.edges[mutual, end] = Edge(self._made, mutual, level, origin, low, high, end, self.me.now)
        self._made += 1
        others = challenge.stretches.setdefault(mutual, [])
        others.append(edge)
        self._tell(challenge, edge, player.account)
        if len(others) > 1:
            for one in others[-2:] if len(others) == 2 else [edge]:
                one.rivalled = self.me.now
                self._turn(challenge, one, "rival", -1)
        return edge

    def _turn(self, challenge: Challenge, edge: Edge, happening: str, account: int) -> None:
        before = edge.state
        edge.turn(happening)
        if edge.state == RIVALLED:
            challenge.waiting[edge.number] = edge
        else:
            challenge.waiting.pop(edge.number, None)
        if edge.state != before:
            self._tell(challenge, edge, account)

    def _tell(self, challenge: Challenge, edge: Edge, account: int) -> None:
        shift = self.rules.stride(edge.level).bit_length() - 1
        low, high = (edge.low - edge.origin) >> shift, (edge.high - edge.origin) >> shift
        self.me.announce(EdgeTurned(self.chain, challenge.base.number, edge.number, edge.level, low, high, edge.state, account))

    def _stake(self, challenge: Challenge, edge: Edge, player: Player, wei: int) -> bool:
        if wei:
            challenge.staked[edge.number] = self._edge_stakes[edge.number] = player.account, wei
        return True

    def _moved(self, challenge: Challenge, node: Node, edge: Edge, player: Player, cost: float) -> None:
        """Note a move and what it cost; it is about its party's own assertion, or against the first rival of another's."""
        challenge.moves += 1
        edge.paid.append((player.account, cost))
        rivals = [one for one in node.parent.children if one.digest != node.digest] if node.parent else []
        about = node if node.account == player.account or not rivals else rivals[0]
        shift = self.rules.stride(edge.level).bit_length() - 1
        low, high = (edge.low - edge.origin) >> shift, (edge.high - edge.origin) >> shift
        self.me.announce(DisputeMoved(self.chain, about.number, player.account, str(self.rules.names[edge.level]), low, high, cost))

    def _truth(self, challenge: Challenge) -> History:
        number = challenge.base.number
        if number not in self._histories:
            self._histories[number] = self.history(self.truth, challenge.base.children[0])
        return self._histories[number]

    def _true(self, challenge: Challenge, position: int) -> int:
        return self._truth(challenge).root(position)

    # ---- what time brings

    def entered(self, node: Node) -> None:
        """A second assertion that stands on the same one begins a challenge."""
        base = node.parent if node.parent is not None else self.start
        rivals = self.rivals(node)
        if rivals and base.number not in self.challenges:
            self.challenges[base.number] = Challenge(base)
        if rivals:
            about = rivals[0] if node.case.valid else node
            who = node if node.case.valid else rivals[0]
            if not about.joined:
                about.joined = True
                about.case.status = "challenged"
                self.me.announce(AssertionChallenged(self.chain, about.number, who.account, 0.0, 0.0, 1))
                about.case.turned.ring()

    def advance(self) -> int:
        due = self._confirmed()
        while ended := [number for number, challenge in self.challenges.items() if self._final_at(challenge) <= self.me.now]:
            challenge = self.challenges.pop(ended[0])
            self._decide(challenge)
            due = self._confirmed()
        for challenge in self.challenges.values():
            times = [self._final_at(challenge)]
            if challenge.winner is None:
                times += [self._wins(challenge, node) for node in challenge.base.children if not node.lost]
            due = min([due, *(time for time in times if time > self.me.now)])
        if [challenge for challenge in self.challenges.values() if self._ripe(challenge)]:
            self.stirred()
        return due

    def _final_at(self, challenge: Challenge) -> int:
        """When the winner of a challenge may be final; never, as long as there is none or what it stands on is not final."""
        return NEVER if challenge.winner is None else max(challenge.won + int(self.rules.grace), self.ready(challenge.winner))

    def _ripe(self, challenge: Challenge) -> bool:
        """Whether somebody may have a root edge confirmed and was not told yet."""
        if challenge.winner is not None:
            return False
        ripe = [root for root in challenge.roots.values() if root.reaches(self.rules.challenge_period) <= self.me.now]
        news = [root for root in ripe if root.number not in challenge.updated]
        for root in news:
            challenge.updated[root.number] = set()
        return bool(news)

    def _decide(self, challenge: Challenge) -> None:
        """Confirm the winner, reject its rivals, and deal out the stakes."""
        winner = challenge.winner
        if winner is None:
            return
        root = challenge.roots[winner.number]
        safe = {edge.number: edge for edge in root.below()}
        lost = 0
        for number, (account, wei) in challenge.staked.items():
            del self._edge_stakes[number]
            if number in safe:
                self._return(winner.number, account, "edge", wei)
            else:
                self._forfeit(winner.number, account, "edge", wei)
                lost += wei
        losers = [one for one in challenge.base.children if one is not winner and not one.lost]
        for loser in losers:
            lost += loser.stake
            self.reject(loser, "lost")
        self.confirm(winner)
        self._reward(winner, safe, lost)
        for loser in losers:
            if loser.joined:
                where = self._wrong(challenge, loser)
                self.me.announce(DisputeEnded(self.chain, loser.number, winner.account, loser.account, *where, challenge.moves))

    def _wrong(self, challenge: Challenge, loser: Node) -> tuple[int, int]:
        """The block and transaction at which L1 found an assertion wrong; -1 where it executed no step on which it depends."""
        said = self.history(loser.case.asserter, loser) if challenge.proved else None
        for edge in challenge.proved:
            if said is not None and said.root(edge.low) == edge.start and said.root(edge.high) != edge.end:
                return self._truth(challenge).wrong(edge.low)
        return -1, -1

    def _reward(self, winner: Node, edges: dict[int, Edge], lost: int) -> None:
        """Pay those who moved the winner's edges their gas, and a share of what was forfeited in proportion to it."""
        gas: dict[int, float] = {}
        for edge in edges.values():
            for account, cost in edge.paid:
                gas[account] = gas.get(account, 0.0) + cost
        spent, share = sum(gas.values()), lost * self.rules.bounty
        for account, cost in gas.items():
            refund = min(int(cost * ETH), lost)
            reward = int(share * cost / spent) if spent else 0
            lost -= refund
            reward = min(reward, lost)
            lost -= reward
            self.assertions.transfer(self.treasury, account, refund + reward)
            self.me.announce(DefenderPaid(self.chain, winner.number, account, refund / ETH, reward / ETH))
