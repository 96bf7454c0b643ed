"""The limit: the day of ``day.yaml`` as one compiled loop over its blocks, written by hand for this day and no other.
No clock, no agents, no plug-ins: the same draws, the same order of arithmetic, and every fact of l2sim in arrays made beforehand.
"""

from typing import Any, NamedTuple

import numpy as np

from benchmarks import drawn
from benchmarks.final import Final
from benchmarks.limit_l1 import (
    BATCHES,
    BEHIND,
    BLOB,
    BLOB_FEE,
    FILLS,
    HEADS,
    LOOK,
    LOOKING,
    PHASE,
    ROWS,
    SEALED,
    SLOT,
    SLOTS,
    TAKEN,
    UNSENT,
    Batches,
    Heads,
    L1Rules,
    Sealed,
    blob_price,
    look,
    make_slot,
    post,
)  # fmt: skip
from benchmarks.limit_loans import BORROWED, OWED, SHARE, SUPPLIED, Liquidated, begin, liquidate, opened, plan
from benchmarks.limit_searchers import (
    ACCOUNT,
    ACTION,
    AMOUNT,
    BUY,
    FIELDS,
    LIMIT,
    LIQUIDATE,
    PRIORITY,
    SELL,
    WHO,
    X,
    Y,
    arbitrage,
    sandwich,
    swap,
    wish,
)  # fmt: skip
from l2sim.compiled import compiled
from l2sim.fees.eip1559 import after
from l2sim.scenario import Scenario
from l2sim.units import ETH, HOUR
from l2sim.world.block_kernel import mixed

BLOB_BYTES = 130_044
"""Usable bytes of a blob."""
INSUFFICIENT_FUNDS = 2
MOST_WISHES = 256


class Rules(NamedTuple):
    """What the scenario says of the rollup and of those who trade on it. Accounts: the crowd's, and then one for each searcher."""

    phi: float
    slippage: float
    swap_gas: int
    swap_size: int
    gas_limit: int
    terms: tuple[int, int, int]
    data_scalar: float
    overhead: int
    keen: int
    keen_tie: Any
    keen_minimum: float
    sandwicher: int
    sandwicher_tie: Any
    sandwicher_minimum: float
    sandwicher_held: float
    outbid: int
    keeper: int
    keeper_ties: Any


class Trades(NamedTuple):
    """Columns of the crowd's transactions, in the order of arrival; amounts of sales in US dollars until they arrive."""

    arrives: Any
    submitted: Any
    who: Any
    action: Any
    amount: Any


class Purses(NamedTuple):
    """Balances by account: on the rollup, and outside."""

    usd: Any
    eth: Any
    gas: Any
    usd_outside: Any
    eth_outside: Any


class Rows(NamedTuple):
    """Columns of the transactions included."""

    time: Any
    block: Any
    submitted: Any
    sender: Any
    market: Any
    action: Any
    status: Any
    gas: Any
    execution_fee: Any
    data_fee: Any
    x: Any
    y: Any


class Fills(NamedTuple):
    """Columns of the trades outside."""

    time: Any
    sender: Any
    quantity: Any
    cost: Any


class Facts(NamedTuple):
    """Everything that is written down, and how much of each has been."""

    rows: Rows
    sealed: Sealed
    slots: Sealed
    batches: Batches
    heads: Heads
    fills: Fills
    liquidated: Liquidated
    n: Any


class Scratch(NamedTuple):
    """Room to work in: a pool to try trades on, wishes and their ties, drafts and memory of keepers, what a liquidation gives, bytes of
    the blocks, and the pool's price at each full hour."""

    trial: Any
    wants: Any
    ties: Any
    drafts: Any
    memory: Any
    out: Any
    sizes: Any
    mids: Any


def wishes(
    rules: Any, loan_rules: Any, pool: Any, loans: Any, bank: Any, marks: Any, purses: Any, price: float, fee: int, per_byte: float,
    now: int, start: int, stop: int, trades: Any, buy: float, sell: float, scratch: Any,
) -> int:  # fmt: skip
    """What searchers want of this block, each on the same state, in the order of execution among themselves; how many."""
    wants, ties = scratch.wants, scratch.ties
    charge = (rules.swap_gas * (fee / ETH) + rules.swap_size * per_byte) * price
    wanted = arbitrage(rules, pool, purses, price, charge, now, wants, ties, 0)
    charge = (loan_rules.gas * (fee / ETH) + loan_rules.size * per_byte) * price
    for keeper in range(len(rules.keeper_ties)):
        who = rules.keeper + keeper
        n = plan(
            loan_rules, loans, bank, marks, scratch.memory[keeper], price, purses.usd[who], charge, now / 1e9, scratch.drafts
        )  # fmt: skip
        for k in range(n):
            tie = mixed(rules.keeper_ties[keeper], mixed(np.uint64(now), np.uint64(k)))
            account, repaid = scratch.drafts[k, 0], scratch.drafts[k, 1]
            wanted = wish(wants, ties, wanted, LIQUIDATE, repaid, 0.0, 0.0, who, tie, account)
    tips = rules.swap_gas * rules.outbid / ETH
    charge = (2.0 * rules.swap_gas * (fee / ETH) + tips + 2.0 * rules.swap_size * per_byte) * price
    return sandwich(
        rules, pool, scratch.trial, purses, charge, now, start, stop, trades.action, trades.amount, buy, sell, wants, ties, wanted
    )  # fmt: skip


def row(
    rows: Any, at: int, now: int, block: int, submitted: int, who: int, market: int, action: int, status: int, gas: int, fee: float,
    data: float, x: float, y: float,
) -> None:  # fmt: skip
    """Write a transaction down."""
    rows.time[at], rows.block[at], rows.submitted[at], rows.sender[at] = now, block, submitted, who
    rows.market[at], rows.action[at], rows.status[at], rows.gas[at] = market, action, status, gas
    rows.execution_fee[at], rows.data_fee[at], rows.x[at], rows.y[at] = fee, data, x, y


def trade(rules: Any, pool: Any, purses: Any, who: int, action: int, a: float, limit: float) -> float:
    """A swap and its payments: what comes out, or minus the status of a refusal."""
    if (purses.usd[who] if action == BUY else purses.eth[who]) < a:
        return -float(INSUFFICIENT_FUNDS)
    out = swap(pool, rules.phi, action, a, limit)
    if out >= 0.0:
        if action == BUY:
            purses.usd[who] -= a
            purses.eth[who] += out
        else:
            purses.eth[who] -= a
            purses.usd[who] += out
    return out


def hedge(purses: Any, facts: Any, now: int, who: int, quantity: float, price: float) -> None:
    """Trade outside."""
    fills, at = facts.fills, facts.n[FILLS]
    fills.time[at], fills.sender[at], fills.quantity[at], fills.cost[at] = now, who, quantity, quantity * price
    facts.n[FILLS] += 1
    purses.eth_outside[who] += quantity
    purses.usd_outside[who] -= quantity * price


def close(
    loan_rules: Any, loans: Any, bank: Any, marks: Any, purses: Any, facts: Any, price: float, now: int, who: int, account: int,
    repaid: float, out: Any,
) -> int:  # fmt: skip
    """A liquidation, its payments, its fact and the sale of what it gave."""
    status = liquidate(loan_rules, loans, bank, marks, price, purses.usd[who], account, repaid, out)
    if status == 0:
        purses.usd[who] -= out[0]
        purses.eth[who] += out[1]
        taken, at = facts.liquidated, facts.n[TAKEN]
        taken.time[at], taken.account[at], taken.liquidator[at] = now, account, who
        taken.repaid[at], taken.seized[at], taken.repaid_value[at], taken.seized_value[at] = out[0], out[2], out[0], out[2] * price
        taken.protocol_fee[at], taken.health_factor[at] = out[3] * price, out[4]
        facts.n[TAKEN] += 1
        hedge(purses, facts, now, who, -out[1], price)
    return status


def day(
    rules: Any, l1_rules: Any, loan_rules: Any, times: Any, prices: Any, luck: Any, trades: Any, loans: Any, purses: Any, pool: Any,
    bank: Any, marks: Any, l1: Any, poster: Any, base_fee: int, facts: Any, scratch: Any,
) -> float:  # fmt: skip
    """The whole day; what the rollup was paid (ETH), or -1 where a block would have overflown."""
    collected, fee, start, stop, hour = 0.0, base_fee, 0, 0, 0
    sizes, mids, wants, out, n = scratch.sizes, scratch.mids, scratch.wants, scratch.out, facts.n
    for k in range(len(times)):
        now, price = times[k], prices[k]
        post(l1_rules, poster, times, sizes, now, k)
        while (l1[SLOT] + 1) * l1_rules.slot <= now:
            make_slot(l1_rules, l1, luck, poster, n, facts.slots, facts.batches, facts.heads)
        mid = pool[Y] / pool[X]
        while hour * HOUR < now:
            mids[hour] = mid
            hour += 1
        while stop < len(trades.arrives) and trades.arrives[stop] < now:
            if trades.action[stop] == SELL:
                trades.amount[stop] /= mids[trades.submitted[stop] // HOUR]
            stop += 1
        per_byte = l1[BLOB_FEE] * rules.data_scalar
        buy, sell = mid * (1.0 + rules.slippage), mid * (1.0 - rules.slippage)
        begin(loan_rules, loans, bank, marks, price, now)
        wanted = wishes(
            rules, loan_rules, pool, loans, bank, marks, purses, price, fee, per_byte, now, start, stop, trades, buy, sell, scratch
        )  # fmt: skip

        # Whoever pays a priority fee goes first, the highest of all before the others; then what has arrived; then other wishes.
        at, arrivals, count, eager = n[ROWS], stop - start, stop - start + wanted, 0
        while eager < wanted and wants[eager, PRIORITY] > 0.0:
            eager += 1
        execution_paid = data_paid = 0.0
        gas_used = bytes_used = 0
        for j in range(count):
            if eager <= j < eager + arrivals:
                i = start + j - eager
                who, action, amount, submitted = trades.who[i], trades.action[i], trades.amount[i], trades.submitted[i]
                priority = account = 0
                worst = buy if action == BUY else sell
            else:
                want = wants[j if j < eager else j - arrivals]
                who, action, amount, worst, submitted = int(want[WHO]), int(want[ACTION]), want[AMOUNT], want[LIMIT], now
                priority, account = int(want[PRIORITY]), int(want[ACCOUNT])
            gas, size = (loan_rules.gas, loan_rules.size) if action == LIQUIDATE else (rules.swap_gas, rules.swap_size)
            paid, data = gas * ((fee + priority) / ETH), size * per_byte
            gas_used += gas
            bytes_used += size
            purses.gas[who] -= paid + data
            execution_paid += paid
            data_paid += data
            x = y = 0.0
            if action == LIQUIDATE:
                status = close(loan_rules, loans, bank, marks, purses, facts, price, now, who, account, amount, out)
                if status == 0:
                    x, y = out[0], out[1]
            else:
                got = trade(rules, pool, purses, who, action, amount, worst)
                status = 0 if got >= 0.0 else int(-got)
                if status == 0:
                    x, y = amount, got
                    if who == rules.keen:
                        hedge(purses, facts, now, who, x if action == SELL else -y, price)
            row(facts.rows, at + j, now, k + 1, submitted, who, action // LIQUIDATE, action, status, gas, paid, data, x, y)
        if gas_used > rules.gas_limit:
            return -1.0
        n[ROWS] += count
        collected += execution_paid + data_paid
        if count:
            sealed, s = facts.sealed, n[SEALED]
            sealed.time[s], sealed.number[s], sealed.transactions[s], sealed.gas[s] = now, k + 1, count, gas_used
            sealed.base_fee[s], sealed.blob_base_fee[s], sealed.blobs[s] = fee, 0, 0
            n[SEALED] += 1
        fee = after(fee, gas_used, rules.gas_limit, rules.terms)
        sizes[k] = bytes_used + rules.overhead
        poster[UNSENT] += sizes[k]
        if poster[PHASE] == LOOKING and poster[LOOK] == now and poster[BEHIND]:
            look(l1_rules, poster, times, sizes, now, k + 1)
        start = stop
    return collected


def posting(scenario: Scenario, began: int) -> L1Rules:
    """The rules of L1 and of the batch poster, as numbers."""
    l1, poster = scenario.chains["l1"], scenario.chains["op"].batch_poster
    fork = l1.blob_fee.fork(began)
    assert (fork, fork.reserve, l1.justification) == (l1.blob_fee.fork(began + scenario.duration), True, 1.0)
    assert poster.tip >= l1.background_tip
    gas, blobs = l1.gas_demand, l1.blob_demand
    return L1Rules(
        l1.slot, l1.slots_per_epoch, l1.gas_limit, l1.base_fee.terms(),
        fork.target, fork.maximum, fork.update_fraction, l1.blob_fee.minimum,
        gas.mean, gas.reference, gas.elasticity, blobs.calm, blobs.burst, blobs.reference, blobs.elasticity,
        int(poster.blobs * BLOB_BYTES * poster.fill), poster.max_delay, poster.poll, int(BLOB_BYTES * poster.fill), poster.gas, poster.tip,
        poster.bump, poster.target_fee, poster.target_blob_fee, poster.urgency, drawn.delay(scenario),
    )  # fmt: skip


def room(kind: Any, n: int, **types: Any) -> Any:
    """Empty columns for so many facts."""
    return kind(*[np.empty(n, types.get(name, np.int64)) for name in kind._fields])


def lived(scenario: Scenario) -> tuple[Final, Facts]:
    """The day, from drawing to the last fact: what it came to, and everything that was written down."""
    chain, pool_rules, crowd = scenario.chains["op"], scenario.markets["pool"], scenario.agents["traders"]
    keen, sandwicher, keepers = (scenario.agents[name] for name in ("keen", "sandwicher", "keepers"))
    times, path, luck = drawn.instants(scenario), drawn.path(scenario), drawn.slots(scenario)
    hours, price = list(drawn.trades(scenario)), float(path.prices[0])
    columns = zip(*[(hour.time, hour.who, hour.buys, hour.notional) for hour in hours], strict=True)
    submitted, who, buys, notional = (np.concatenate(column) for column in columns)
    trades = Trades(submitted + drawn.delay(scenario), submitted, who, np.where(buys, BUY, SELL), notional)
    loan_rules, loans, bank, marks = opened(scenario, price)

    n, k, ether = crowd.size, keepers.count, np.array([crowd.wealth, keen.capital, sandwicher.capital]) / price
    repeats = [n, 1, 1, k]
    gas = np.repeat([agent.gas / ETH for agent in (crowd, keen, sandwicher, keepers)], repeats)
    usd = np.repeat([crowd.wealth, keen.capital, sandwicher.capital, keepers.capital["usd"]], repeats)
    purses = Purses(usd, np.repeat([*ether, 0.0], repeats), gas, np.zeros(n + 2 + k), np.zeros(n + 2 + k))
    before = [column[n:].copy() for column in purses]
    rules = Rules(
        1.0 - pool_rules.fee, crowd.slippage, pool_rules.gas["buy"], pool_rules.size["buy"], chain.block_gas_limit, chain.fee.terms(),
        chain.data_fee_scalar * BLOB / BLOB_BYTES / ETH, chain.block_overhead,
        n, np.uint64(drawn.tie("keen/0")), keen.minimum_profit,
        n + 1, np.uint64(drawn.tie("sandwicher/0")), sandwicher.minimum_profit, float(ether[2]), sandwicher.outbid,
        n + 2, np.array([drawn.tie(f"keepers/{i}") for i in range(k)], np.uint64),
    )  # fmt: skip
    l1_rules, l1_chain, blocks, slots = posting(scenario, luck.began), scenario.chains["l1"], len(times), len(luck.gas)
    pool, excess = np.array([pool_rules.base_reserve, pool_rules.base_reserve * price]), l1_chain.blob_fee.genesis(l1_chain.began())[0]
    l1 = np.array([0, l1_chain.base_fee.initial, excess, blob_price(l1_rules, excess)])
    whole = dict.fromkeys(("quantity", "cost", "repaid", "seized", "repaid_value", "seized_value", "protocol_fee", "health_factor"), float)
    narrow = {"block": np.int32, "sender": np.int32, "market": np.int16, "action": np.int16, "status": np.int8, "gas": np.int32}
    narrow |= {"execution_fee": np.float64, "data_fee": np.float32, "x": np.float64, "y": np.float64}
    facts = Facts(
        room(Rows, len(submitted) + 8 * blocks, **narrow), room(Sealed, blocks), room(Sealed, slots), room(Batches, slots, **whole),
        room(Heads, 4 * slots), room(Fills, 8 * blocks, **whole), room(Liquidated, 8 * blocks, **whole), np.zeros(8, np.int64),
    )  # fmt: skip
    scratch = Scratch(
        np.empty(2), np.empty((MOST_WISHES, FIELDS)), np.empty(MOST_WISHES, np.uint64), np.empty((MOST_WISHES, 3)), np.zeros((k, 2)),
        np.empty(5), np.zeros(blocks, np.int64), np.empty(len(hours) + 2),
    )  # fmt: skip
    collected = compiled(day)(
        rules, l1_rules, loan_rules, times, path.at(times), luck, trades, loans, purses, pool, bank, marks, l1, np.zeros(16, np.int64),
        chain.fee.genesis()[0], facts, scratch,
    )  # fmt: skip
    assert collected >= 0.0
    samples = np.arange(0, scenario.duration + 1, max(1, scenario.duration // 1000))
    moves = samples, path.at(samples), path.at(samples)
    written, last = facts.n.tolist(), float(path.prices[-1])
    worth = (1.0, last, last, 1.0, last)
    gains = sum((now[n:] - then) * price for now, then, price in zip(purses, before, worth, strict=True)).tolist()
    rows = {
        "BatchPosted": written[BATCHES], "BlockSealed": written[SEALED] + written[SLOTS], "HeadAdvanced": written[HEADS],
        "LoanLiquidated": written[TAKEN], "OutsideTraded": written[FILLS], "PriceMoved": len(moves[0]),
        "TransactionIncluded": written[ROWS],
    }  # fmt: skip
    final = Final(
        float(pool[X]), float(pool[Y]), float(bank[BORROWED] * bank[OWED]), float(bank[SUPPLIED] + bank[SHARE]), collected,
        float(facts.batches.cost[: written[BATCHES]].sum()), {"keen": gains[0], "keepers": sum(gains[2:]), "sandwicher": gains[1]},
        np.bincount(facts.rows.status[: written[ROWS]]).tolist(), rows,
    )  # fmt: skip
    return final, facts
