"""A quiet day with a pool: l2sim against one SimPy process per transaction."""

import gc
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import simpy

from l2sim.fees import Used
from l2sim.scenario import Scenario
from l2sim.streams import Streams
from l2sim.units import ETH, HOUR, SECOND
from l2sim.world.world import World

FILE = Path(__file__).with_name("quiet_day.yaml")
ROUNDS = 3


def columnar(scenario: Scenario) -> tuple[float, tuple[float, float], int]:
    """The day in l2sim: CPU seconds, reserves at the end, transactions in the log."""
    world = World(scenario, Streams(1), {})
    gc.collect()
    began = process_time()
    log = world.run()
    spent = process_time() - began
    pool = world.chains["op"].books[0].view()
    return spent, (pool.base, pool.quote), len(log.tables["TransactionIncluded"])


class Naive:
    """The same day in the obvious way: an object for the chain, a process for each transaction, a dict for each row.

    The draws are those of the scenario's crowd, an hour at a time, so that both sides end in the same reserves.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.env = simpy.Environment()
        self.scenario = scenario
        rollup, market, crowd = scenario.chains["op"], scenario.markets["pool"], scenario.agents["traders"]
        self.rollup, self.market, self.crowd, self.l1 = rollup, market, crowd, scenario.chains["l1"]
        price = scenario.prices["eth"].start
        self.base, self.quote = market.base_reserve, market.base_reserve * price
        self.usd = [crowd.wealth] * crowd.size
        self.eth = [crowd.wealth / price] * crowd.size
        self.gas = [crowd.gas / ETH] * crowd.size
        self.mempool: list[Any] = []
        self.log: list[dict[str, Any]] = []
        self.blocks: list[dict[str, Any]] = []
        self.slots: list[dict[str, Any]] = []
        self.fee = rollup.fee.genesis()
        self.l1_fee, self.blob_fee = self.l1.base_fee.genesis(), self.l1.blob_fee.genesis(self.l1.began())
        self.timestamp = 1_780_272_000
        self.latency = 2_000_000

    def run(self) -> tuple[float, tuple[float, float], int]:
        gc.collect()
        began = process_time()
        env = self.env
        env.process(self.sequencer())
        env.process(self.slot_clock())
        env.process(self.arrivals())
        env.run(until=self.scenario.duration + 1)
        return process_time() - began, (self.base, self.quote), len(self.log)

    def arrivals(self) -> Iterator[Any]:
        env, crowd = self.env, self.crowd
        streams = Streams(1)

        class Me:
            ends = self.scenario.duration

            @staticmethod
            def rng(purpose: str, index: int = 0) -> Any:
                return streams.generator(f"agents/traders/0/{purpose}", index)

        for chunk, trades in enumerate(crowd._chunks(Me)):
            if env.now < chunk * HOUR:
                yield env.timeout(chunk * HOUR - env.now)
            mid = self.quote / self.base
            amounts = [n if buys else n / mid for n, buys in zip(trades.notional.tolist(), trades.buys.tolist(), strict=True)]
            for time, who, buys, amount in zip(trades.time.tolist(), trades.who.tolist(), trades.buys.tolist(), amounts, strict=True):
                if time > env.now:
                    yield env.timeout(time - env.now)
                env.process(self.transaction(who, buys, amount))

    def transaction(self, who: int, buys: bool, amount: float) -> Iterator[Any]:
        env = self.env
        submitted = env.now
        yield env.timeout(self.latency)
        included = env.event()
        self.mempool.append((env.now, who, buys, amount, self.quote / self.base, included))
        number, status, paid, got, fee, data = yield included
        self.log.append(
            {
                "time": env.now, "chain": "op", "block": number, "submitted": submitted, "sender": who, "market": "pool",
                "action": "buy" if buys else "sell", "status": status, "gas": 120_000, "execution_fee": fee, "data_fee": data,
                "x": paid, "y": got,
            }
        )  # fmt: skip

    def sequencer(self) -> Iterator[Any]:
        env, rollup, market = self.env, self.rollup, self.market
        phi, slippage = 1.0 - market.fee, self.crowd.slippage
        number = 0
        while True:
            yield env.timeout(rollup.sequencer.block_time)
            number += 1
            price = rollup.fee.price(self.fee)
            blob = self.l1.blob_fee.price(self.blob_fee, self.timestamp)
            data_fee = market.size["buy"] * blob * 131_072 / 130_044 / ETH * rollup.data_fee_scalar
            block, self.mempool = self.mempool, []
            gas = 0
            for _, who, buys, amount, reference, included in block:
                fee = 120_000 * price / ETH
                self.gas[who] -= fee + data_fee
                gas += 120_000
                status, got = 0, 0.0
                effective = amount * phi
                if buys:
                    out = self.base * effective / (self.quote + effective)
                    if amount > self.usd[who]:
                        status = 2
                    elif amount > out * (reference * (1.0 + slippage)):
                        status = 1
                    else:
                        self.usd[who] -= amount
                        self.eth[who] += out
                        self.quote += amount
                        self.base -= out
                        got = out
                else:
                    out = self.quote * effective / (self.base + effective)
                    if amount > self.eth[who]:
                        status = 2
                    elif out < amount * (reference * (1.0 - slippage)):
                        status = 1
                    else:
                        self.eth[who] -= amount
                        self.usd[who] += out
                        self.base += amount
                        self.quote -= out
                        got = out
                included.succeed((number, status, 0.0 if status else amount, got, fee, data_fee))
            self.fee = rollup.fee.next(self.fee, Used(gas=gas, gas_limit=rollup.block_gas_limit))
            self.blocks.append(
                {"time": env.now, "chain": "op", "number": number, "transactions": len(block), "gas": gas, "base_fee": price}
            )

    def slot_clock(self) -> Iterator[Any]:
        env, l1 = self.env, self.l1
        slots = self.scenario.duration // l1.slot + 2
        streams = Streams(1)
        gas_luck = l1.gas_demand.draw(streams.generator("chains/l1/gas_demand"), slots)
        blob_luck = l1.blob_demand.draw(streams.generator("chains/l1/blob_demand"), slots)
        missed = streams.generator("chains/l1/missed").random(slots)
        slot = 0
        while True:
            yield env.timeout(l1.slot)
            slot += 1
            self.timestamp += l1.slot // SECOND
            if missed[slot] < l1.missed:
                continue
            fee = l1.base_fee.price(self.l1_fee)
            blob = l1.blob_fee.price(self.blob_fee, self.timestamp)
            target, most = l1.blob_fee.target_and_max(self.timestamp)
            gas = l1.gas_demand.amount(float(gas_luck[slot]), fee, l1.gas_limit // l1.base_fee.elasticity, l1.gas_limit)
            blobs = l1.blob_demand.amount(float(blob_luck[slot]), blob, target, most)
            used = Used(gas, l1.gas_limit, blobs, fee, self.timestamp + l1.slot // SECOND)
            self.l1_fee, self.blob_fee = l1.base_fee.next(self.l1_fee, used), l1.blob_fee.next(self.blob_fee, used)
            self.slots.append(
                {"time": env.now, "chain": "l1", "number": slot, "gas": gas, "base_fee": fee, "blob_base_fee": blob, "blobs": blobs}
            )


def main() -> None:
    scenario = Scenario.load(FILE)
    World(scenario.vary(duration="10min"), Streams(1), {}, "arrays").run()  # loads compiled code: start-up
    rows = []
    for _ in range(ROUNDS):
        ours, theirs = columnar(scenario), Naive(scenario).run()
        if ours[1:] != theirs[1:]:
            raise SystemExit(f"the two days differ: {ours[1:]} and {theirs[1:]}")
        rows.append((ours[0], theirs[0]))
        print(f"l2sim {ours[0]:.2f} s, a process per transaction {theirs[0]:.2f} s, ratio {theirs[0] / ours[0]:.2f}")
    print(f"median ratio {median(theirs / ours for ours, theirs in rows):.2f}; same reserves, {ours[2]} transactions each")
