"""The day of ``day.yaml`` in the obvious way: SimPy, a process for each transaction, a dict for each fact, loans in numpy arrays whose
health is looked at in every block.

The draws are l2sim's, an hour at a time, and so is the order in which things happen, so that everybody ends with the same numbers.
"""

from collections.abc import Iterator
from math import inf, sqrt
from typing import Any, NamedTuple

import numpy as np
import simpy

from benchmarks import drawn
from benchmarks.final import Final
from benchmarks.naive_books import INSUFFICIENT_FUNDS, ROUNDING, Account, Bank, Pool
from l2sim.fees import Used
from l2sim.scenario import Scenario
from l2sim.streams import mix
from l2sim.units import ETH, HOUR, SECOND

BLOB, BLOB_BYTES = 2**17, 130_044
LEFT_OVER, HALVINGS, MOST = 1e-9, 60, 63


class Transaction(NamedTuple):
    """Something that waits for a block; ``worst`` is the worst price that is accepted, ``loan`` whose loan is liquidated."""

    tip: int
    arrived: int
    tie: int
    sender: Account
    action: str
    amount: float
    worst: float
    loan: int
    included: simpy.Event


class Naive:
    """The day and everybody in it."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario, self.env = scenario, simpy.Environment()
        self.rollup, self.l1, self.crowd = scenario.chains["op"], scenario.chains["l1"], scenario.agents["traders"]
        self.path, self.latency = drawn.path(scenario), drawn.delay(scenario)
        self.prices = dict(zip(self.path.times.tolist(), self.path.prices.tolist(), strict=True))
        price = self.prices[0]
        market = scenario.markets["pool"]
        self.gas, self.size = market.gas["buy"], market.size["buy"]
        self.pool = Pool(market.base_reserve, market.base_reserve * price, 1.0 - market.fee)
        self.bank = Bank(scenario, price)
        members = self.crowd.size
        self.traders = [Account("traders", self.crowd.wealth, self.crowd.wealth / price, self.crowd.gas / ETH) for _ in range(members)]
        keen, sandwicher, keepers = (scenario.agents[name] for name in ("keen", "sandwicher", "keepers"))
        self.keen = Account("keen", keen.capital, keen.capital / price, keen.gas / ETH)
        self.sandwicher = Account("sandwicher", sandwicher.capital, sandwicher.capital / price, sandwicher.gas / ETH)
        self.held = self.sandwicher.eth
        self.keepers = [Account("keepers", keepers.capital["usd"], 0.0, keepers.gas / ETH) for _ in range(keepers.count)]
        self.ties = {id(self.keen): drawn.tie("keen/0"), id(self.sandwicher): drawn.tie("sandwicher/0")}
        self.ties |= {id(keeper): drawn.tie(f"keepers/{i}") for i, keeper in enumerate(self.keepers)}
        self.mempool: list[Transaction] = []
        self.log: dict[str, list[dict[str, Any]]] = {}
        self.fee = self.rollup.fee.genesis()
        self.slots = drawn.slots(scenario)
        self.l1_fee, self.blob_fee = self.l1.base_fee.genesis(), self.l1.blob_fee.genesis(self.l1.began())
        self.timestamp = self.slots.began
        self.batches: list[Any] = []
        self.finality: list[tuple[int, int]] = []
        self.unposted: list[tuple[int, int, int]] = []
        self.first_block = simpy.Event(self.env)
        self.collected = 0.0

    def record(self, fact: str, **fields: Any) -> None:
        self.log.setdefault(fact, []).append({"time": self.env.now, **fields})

    def lived(self) -> Final:
        env, end = self.env, self.scenario.duration
        searchers = {"keen": [self.keen], "keepers": self.keepers, "sandwicher": [self.sandwicher]}
        worth = {name: [vars(account).copy() for account in accounts] for name, accounts in searchers.items()}
        for process in (self.slot_clock(), self.sequencer(), self.poster(), self.arrivals(), self.samples()):
            env.process(process)
        env.run(until=end + 1)
        last = self.prices[end]
        values = {"usd": 1.0, "eth": last, "gas": last, "usd_outside": 1.0, "eth_outside": last}
        profits = {
            name: sum(
                (getattr(now, asset) - then[asset]) * value
                for now, then in zip(accounts, worth[name], strict=True)
                for asset, value in values.items()
            )
            for name, accounts in searchers.items()
        }  # fmt: skip
        bank, rows = self.bank, self.log["TransactionIncluded"]
        return Final(
            self.pool.base, self.pool.quote, bank.borrowed * bank.index, bank.supplied + bank.share, self.collected,
            sum(row["cost"] for row in self.log["BatchPosted"]), profits, np.bincount([row["status"] for row in rows]).tolist(),
            {name: len(rows) for name, rows in sorted(self.log.items())},
        )  # fmt: skip

    def samples(self) -> Iterator[Any]:
        while True:
            price = float(self.path.at(self.env.now))
            self.record("PriceMoved", price="eth", path=price, index=price)
            yield self.env.timeout(max(1, self.scenario.duration // 1000))

    # ---- transactions

    def arrivals(self) -> Iterator[Any]:
        env = self.env
        for hour, trades in enumerate(drawn.trades(self.scenario)):
            yield env.timeout(max(0, hour * HOUR - env.now))
            yield env.timeout(0)  # a block of this very instant goes first
            mid = self.pool.mid()
            columns = (column.tolist() for column in (trades.time, trades.who, trades.buys, trades.notional))
            for time, who, buys, notional in zip(*columns, strict=True):
                yield env.timeout(time - env.now)
                env.process(self.transaction(self.traders[who], "buy" if buys else "sell", notional if buys else notional / mid))

    def transaction(self, sender: Account, action: str, amount: float) -> Iterator[Any]:
        """One of the crowd's: it travels, finds a price, waits for a block and learns what became of it."""
        env, submitted = self.env, self.env.now
        yield env.timeout(self.latency)
        limit = 1.0 + self.crowd.slippage if action == "buy" else 1.0 - self.crowd.slippage
        included = env.event()
        self.mempool.append(Transaction(0, env.now, 0, sender, action, amount, self.pool.mid() * limit, 0, included))
        yield from self.receipt(included, submitted, sender, action)

    def wish(self, sender: Account, number: int, action: str, amount: float, worst: float, tip: int = 0, loan: int = 0) -> Transaction:
        """One of a searcher's, into the block that is being made."""
        included, tie = self.env.event(), mix(self.ties[id(sender)], mix(self.env.now, number))
        self.env.process(self.receipt(included, self.env.now, sender, action))
        return Transaction(tip, self.env.now, tie, sender, action, amount, worst, loan, included)

    def receipt(self, included: simpy.Event, submitted: int, sender: Account, action: str) -> Iterator[Any]:
        number, status, x, y, gas, fee, data = yield included
        self.record(
            "TransactionIncluded", chain="op", block=number, submitted=submitted, sender=sender.name, action=action, status=status, gas=gas,
            execution_fee=fee, data_fee=data, x=x, y=y,
        )  # fmt: skip

    # ---- the rollup

    def sequencer(self) -> Iterator[Any]:
        env, rollup = self.env, self.rollup
        liquidation = self.bank.terms.gas["liquidate"], self.bank.terms.size["liquidate"]
        number = 0
        while True:
            yield env.timeout(rollup.sequencer.block_time)
            number += 1
            price, base_fee = self.prices[env.now], rollup.fee.price(self.fee)
            blob = self.l1.blob_fee.price(self.blob_fee, self.timestamp)
            per_byte = blob * (rollup.data_fee_scalar * BLOB / BLOB_BYTES / ETH)
            self.bank.begin(env.now, price)
            pending, self.mempool = self.mempool, []
            wanted = self.arbitrage(price, base_fee, per_byte) + self.sandwich(pending, price, base_fee, per_byte)
            for keeper in self.keepers:
                wanted += self.liquidations(keeper, price, base_fee, per_byte)
            block = sorted(pending + wanted, key=lambda one: (-one.tip, one.arrived, one.tie))
            gas_used, bytes_used, paid, paid_data = 0, rollup.block_overhead, 0.0, 0.0
            for one in block:
                gas, size = liquidation if one.action == "liquidate" else (self.gas, self.size)
                fee, data = gas * ((base_fee + one.tip) / ETH), size * per_byte
                one.sender.gas -= fee + data
                paid += fee
                paid_data += data
                gas_used += gas
                bytes_used += size
                one.included.succeed((number, *self.execute(one, price), gas, fee, data))
            self.collected += paid + paid_data
            self.fee = rollup.fee.next(self.fee, Used(gas=gas_used, gas_limit=rollup.block_gas_limit))
            if block:
                self.record("BlockSealed", chain="op", number=number, transactions=len(block), gas=gas_used, base_fee=base_fee)
            self.unposted.append((number, env.now, bytes_used))
            if number == 1:
                self.first_block.succeed()

    def execute(self, one: Transaction, price: float) -> tuple[int, float, float]:
        """Status, x and y."""
        who = one.sender
        if one.action == "liquidate":
            status, taken = self.bank.liquidate(who, one.loan, one.amount, price)
            if status:
                return status, 0.0, 0.0
            self.record("LoanLiquidated", account=one.loan, liquidator=who.name, **taken)
            self.trade_outside(who, -taken["got"], price)
            return 0, taken["repaid"], taken["got"]
        if (who.usd if one.action == "buy" else who.eth) < one.amount:
            return INSUFFICIENT_FUNDS, 0.0, 0.0
        out = self.pool.swap(one.action, one.amount, one.worst)
        if out < 0.0:
            return -int(out), 0.0, 0.0
        if one.action == "buy":
            who.usd -= one.amount
            who.eth += out
        else:
            who.eth -= one.amount
            who.usd += out
        if who is self.keen:
            self.trade_outside(who, -out if one.action == "buy" else one.amount, price)
        return 0, one.amount, out

    def trade_outside(self, who: Account, quantity: float, price: float) -> None:
        who.eth_outside += quantity
        who.usd_outside -= quantity * price
        self.record("OutsideTraded", sender=who.name, quantity=quantity, cost=quantity * price)

    def poster(self) -> Iterator[Any]:
        """Posts what is five minutes old. At ten transactions a second a batch is old long before it is full."""
        env, rules = self.env, self.rollup.batch_poster
        full, blob_bytes = int(rules.blobs * BLOB_BYTES * rules.fill), int(BLOB_BYTES * rules.fill)
        yield self.first_block
        while True:
            due = self.unposted[0][1] + rules.max_delay
            yield env.timeout(due - env.now)
            yield env.timeout(0)  # a block of this very instant goes first
            yield env.timeout(-(-due // rules.poll) * rules.poll - env.now)
            size, taken = 0, 0
            while taken < len(self.unposted) and size + self.unposted[taken][2] <= full:
                size += self.unposted[taken][2]
                taken += 1
            batch, self.unposted = self.unposted[:taken], self.unposted[taken:]
            posted, included = env.now, env.event()
            yield env.timeout(self.latency)
            self.batches.append((max(1, -(-size // blob_bytes)), included))
            slot, blobs, cost = yield included
            last = batch[-1][0]
            self.record("BatchPosted", first=batch[0][0], last=last, size=size, blobs=blobs, submitted=posted, l1_block=slot, cost=cost)
            self.record("HeadAdvanced", chain="op", head="safe", number=last)
            self.finality.append((slot, last))

    # ---- L1

    def slot_clock(self) -> Iterator[Any]:
        env, l1, poster = self.env, self.l1, self.rollup.batch_poster
        slot = 0
        while True:
            yield env.timeout(l1.slot)
            slot += 1
            self.timestamp += l1.slot // SECOND
            if slot % l1.slots_per_epoch == 0 and slot >= 2 * l1.slots_per_epoch:
                self.finalize(slot)
            if self.slots.missed[slot]:
                continue
            base_fee, blob_fee = l1.base_fee.price(self.l1_fee), l1.blob_fee.price(self.blob_fee, self.timestamp)
            target, most = l1.blob_fee.target_and_max(self.timestamp)
            gas = l1.gas_demand.amount(float(self.slots.gas[slot]), base_fee, l1.gas_limit // l1.base_fee.elasticity, l1.gas_limit)
            blobs = l1.blob_demand.amount(float(self.slots.blobs[slot]), blob_fee, target, most)
            batches, self.batches = self.batches, []
            gas_used, blobs_used = poster.gas * len(batches), sum(number for number, _ in batches)
            for number, included in batches:
                cost = (poster.gas * base_fee + number * BLOB * blob_fee + poster.gas * poster.tip) / ETH
                included.succeed((slot, number, cost))
            gas, blobs = gas_used + min(gas, l1.gas_limit - gas_used), blobs_used + min(blobs, most - blobs_used)
            used = Used(gas, l1.gas_limit, blobs, base_fee, self.timestamp + l1.slot // SECOND)
            self.l1_fee, self.blob_fee = l1.base_fee.next(self.l1_fee, used), l1.blob_fee.next(self.blob_fee, used)
            self.record("BlockSealed", chain="l1", number=slot, gas=gas, base_fee=base_fee, blob_base_fee=blob_fee, blobs=blobs)

    def finalize(self, slot: int) -> None:
        """The checkpoints of L1 advance."""
        epoch = self.l1.slots_per_epoch
        self.record("HeadAdvanced", chain="l1", head="safe", number=slot - epoch)
        self.record("HeadAdvanced", chain="l1", head="finalized", number=slot - 2 * epoch)
        while self.finality and self.finality[0][0] <= slot - 2 * epoch:
            self.record("HeadAdvanced", chain="op", head="finalized", number=self.finality.pop(0)[1])

    # ---- searchers

    def arbitrage(self, price: float, base_fee: int, per_byte: float) -> list[Transaction]:
        """The trade that earns most at the price outside."""
        pool, keen, phi = self.pool, self.keen, self.pool.phi
        action, paid = "buy", min(max(0.0, (sqrt(phi * price * pool.base * pool.quote) - pool.quote) / phi), keen.usd)
        if not paid > 0.0:
            action, paid = "sell", min(max(0.0, (sqrt(phi * (1.0 / price) * pool.quote * pool.base) - pool.base) / phi), keen.eth)
        if not paid > 0.0:
            return []
        into, out_of = (pool.quote, pool.base) if action == "buy" else (pool.base, pool.quote)
        got = out_of * phi * paid / (into + phi * paid)
        profit = got * price - paid if action == "buy" else got - paid * price
        if profit <= self.scenario.agents["keen"].minimum_profit + (self.gas * (base_fee / ETH) + self.size * per_byte) * price:
            return []
        worst = paid / got * (1.0 + ROUNDING) if action == "buy" else got / paid * (1.0 - ROUNDING)
        return [self.wish(keen, 0, action, paid, worst)]

    def liquidations(self, keeper: Account, price: float, base_fee: int, per_byte: float) -> list[Transaction]:
        """The most profitable liquidations that a keeper can pay; without news it looks now and then."""
        bank, now, traits = self.bank, self.env.now / 1e9, self.scenario.agents["keepers"]
        if bank.calls == keeper.seen and now < keeper.again:
            return []
        keeper.seen = bank.calls
        charge = (bank.terms.gas["liquidate"] * (base_fee / ETH) + bank.terms.size["liquidate"] * per_byte) * price
        drafts = []
        for account in bank.overdue:
            repaid, got = bank.best(account, price, keeper.usd)
            if repaid > 0.0 and got * price - repaid - charge >= traits.minimum_profit:
                drafts.append((-(got * price - repaid - charge), account, repaid))
        keeper.again = now if drafts else now + traits.attention / SECOND
        wanted: list[Transaction] = []
        left = keeper.usd
        for _, account, repaid in sorted(drafts)[:MOST]:
            if repaid <= left:
                left -= repaid
                wanted.append(self.wish(keeper, len(wanted), "liquidate", repaid, 0.0, loan=account))
        return wanted

    def front_run(self, pool: Pool, victim: Transaction) -> float:
        """The largest trade before a trade that leaves it executable."""
        a, phi = victim.amount, pool.phi
        paid, got = (pool.quote, pool.base) if victim.action == "buy" else (pool.base, pool.quote)
        least = a / victim.worst if victim.action == "buy" else a * victim.worst
        behind = paid + phi * a
        short = paid * behind - got * paid * phi * a / least
        if short >= 0.0:
            return 0.0
        linear = phi * behind + paid
        size = -2.0 * short / (linear + sqrt(linear * linear - 4.0 * phi * short))
        return min(size, self.sandwicher.usd if victim.action == "buy" else self.sandwicher.eth)

    def sandwiched(self, size: float, victim: Transaction, between: list[Transaction], pool: Pool) -> float:
        """What a sandwich earns; -inf where its victim reverts."""
        any_price = inf if victim.action == "buy" else 0.0
        got = pool.swap(victim.action, size, any_price)
        for one in between:
            worst = any_price if one is victim and len(between) == 1 else one.worst
            if pool.swap(one.action, one.amount, worst) < 0.0 and one is victim:
                return -inf
        if victim.action == "buy":
            return pool.gives("sell", got) - size
        return got - (pool.quote * size / ((pool.base - size) * pool.phi) if size < pool.base else inf)

    def sandwich(self, pending: list[Transaction], price: float, base_fee: int, per_byte: float) -> list[Transaction]:
        """The sandwich that earns most around a trade that waits; or, first of all, what one that went wrong has left."""
        pool, me, traits = self.pool, self.sandwicher, self.scenario.agents["sandwicher"]
        over = me.eth - self.held
        if abs(over) > LEFT_OVER * pool.base:
            if over > 0.0:
                return [self.wish(me, 0, "sell", over, 0.0)]
            dues = pool.quote * -over / ((pool.base + over) * pool.phi) if -over < pool.base else inf
            return [self.wish(me, 0, "buy", min(dues, me.usd), inf)]
        charge = (2.0 * self.gas * (base_fee / ETH) + self.gas * traits.outbid / ETH + 2.0 * self.size * per_byte) * price
        best, victim, size, moved = traits.minimum_profit, None, 0.0, pool.copy()
        for one in pending:
            d = self.front_run(moved, one)
            if d > 0.0:
                profit = self.sandwiched(d, one, [one], moved.copy()) - charge
                if profit > best:
                    best, victim, size = profit, one, d
            moved.swap(one.action, one.amount, one.worst)
        if victim is None:
            return []
        profit = self.sandwiched(size, victim, pending, pool.copy())
        if profit == -inf:
            high, size = size, 0.0
            for _ in range(HALVINGS):
                middle = (size + high) / 2.0
                result = self.sandwiched(middle, victim, pending, pool.copy())
                if result > -inf:
                    size, profit = middle, result
                else:
                    high = middle
        if profit - charge <= traits.minimum_profit:
            return []
        got = pool.gives(victim.action, size)
        if victim.action == "buy":
            first = self.wish(me, 0, "buy", size, size / got * (1.0 + ROUNDING), traits.outbid)
            return [first, self.wish(me, 1, "sell", got, (size + profit) / got * (1.0 - ROUNDING))]
        first = self.wish(me, 0, "sell", size, got / size * (1.0 - ROUNDING), traits.outbid)
        return [first, self.wish(me, 1, "buy", got - profit, (got - profit) / size * (1.0 + ROUNDING))]
