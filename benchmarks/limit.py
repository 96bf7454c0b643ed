"""The limit: the day of ``day.yaml`` as one compiled loop over its blocks, written by hand for this day and no other.

There is no clock, no agent and no market to plug in: slots, batches, wishes, charges and trades follow each other as they do in l2sim,
with the same draws and the same order of arithmetic, and every fact that l2sim logs is written into arrays made beforehand.
"""

from math import inf, sqrt
from typing import Any, NamedTuple

import numpy as np

from benchmarks import drawn
from benchmarks.final import Final
from benchmarks.limit_l1 import (
    BATCHES, BEHIND, BLOB, BLOB_FEE, FILLS, HEADS, LOOK, LOOKING, PHASE, ROWS, SEALED, SLOT, SLOTS, UNSENT,
    Batches, Heads, L1Rules, Sealed, blob_price, look, make_slot, post,
)  # fmt: skip
from l2sim.compiled import compiled
from l2sim.fees.eip1559 import after
from l2sim.scenario import Scenario
from l2sim.units import ETH, HOUR
from l2sim.world.block_kernel import mixed

BUY, SELL = 0, 1
BLOB_BYTES = 130_044
"""Usable bytes of a blob."""
SLIPPAGE, INSUFFICIENT_FUNDS, NO_LIQUIDITY = 1, 2, 3
X, Y = 0, 1
"""The pool's reserves of ether and of US dollars."""
ACTION, AMOUNT, LIMIT, PRIORITY, WHO, FIELDS = range(6)
"""Of a wish: action, amount, worst price, priority fee, account."""
ROUNDING, LEFT_OVER, HALVINGS = 1e-12, 1e-9, 60


class Rules(NamedTuple):
    """What the scenario says of the rollup and of those who trade on it."""

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


def given(into: float, out_of: float, a: float, phi: float) -> float:
    """What a pool gives for ``a``."""
    effective = a * phi
    return out_of * effective / (into + effective)


def swap(pool: Any, phi: float, action: int, a: float, limit: float) -> float:
    """A trade with the pool: what comes out, or minus the status of a refusal."""
    into, out_of = (Y, X) if action == BUY else (X, Y)
    out = given(pool[into], pool[out_of], a, phi)
    if not out < pool[out_of]:
        return -float(NO_LIQUIDITY)
    if (a > out * limit) if action == BUY else (out < a * limit):
        return -float(SLIPPAGE)
    pool[into] += a
    pool[out_of] -= out
    return out


def wish(wants: Any, ties: Any, wanted: int, action: int, amount: float, limit: float, priority: float, who: int, tie: Any) -> int:
    """Note a wish: the highest priority fee first, equal ones in the order of tie keys; how many there are."""
    place = wanted
    while place > 0 and (wants[place - 1, PRIORITY] < priority or (wants[place - 1, PRIORITY] == priority and ties[place - 1] > tie)):
        for field in range(FIELDS):
            wants[place, field] = wants[place - 1, field]
        ties[place] = ties[place - 1]
        place -= 1
    want = wants[place]
    want[ACTION], want[AMOUNT], want[LIMIT], want[PRIORITY], want[WHO] = action, amount, limit, priority, who
    ties[place] = tie
    return wanted + 1


def arbitrage(rules: Any, pool: Any, purses: Any, price: float, charge: float, now: int, wants: Any, ties: Any, wanted: int) -> int:
    """The trade that earns most at the price outside."""
    phi = 1.0 - (1.0 - rules.phi)
    paid = min(max(0.0, (sqrt(phi * price * pool[X] * pool[Y]) - pool[Y]) / phi), max(purses.usd[rules.keen], 0.0))
    if paid > 0.0:
        action, got = BUY, pool[X] * phi * paid / (pool[Y] + phi * paid)
        profit, limit = got * price - paid, paid / got * (1.0 + ROUNDING)
    else:
        paid = min(max(0.0, (sqrt(phi * (1.0 / price) * pool[Y] * pool[X]) - pool[X]) / phi), max(purses.eth[rules.keen], 0.0))
        if paid == 0.0:
            return wanted
        action, got = SELL, pool[Y] * phi * paid / (pool[X] + phi * paid)
        profit, limit = got - paid * price, got / paid * (1.0 - ROUNDING)
    if profit <= rules.keen_minimum + charge:
        return wanted
    tie = mixed(rules.keen_tie, mixed(np.uint64(now), np.uint64(0)))
    return wish(wants, ties, wanted, action, paid, limit, 0.0, rules.keen, tie)


def front_run(x: float, y: float, phi: float, action: int, a: float, limit: float) -> float:
    """The largest trade before a trade that leaves it executable."""
    paid, got = (y, x) if action == BUY else (x, y)
    least = a / limit if action == BUY else a * limit
    behind = paid + phi * a
    short = paid * behind - got * paid * phi * a / least
    if short >= 0.0:
        return 0.0
    linear = phi * behind + paid
    return -2.0 * short / (linear + sqrt(linear * linear - 4.0 * phi * short))


def closed(trial: Any, phi: float, action: int, size: float, got: float) -> float:
    """What a front-run earns when it is traded back."""
    if action == BUY:
        return given(trial[X], trial[Y], got, phi) - size
    return got - (trial[Y] * size / ((trial[X] - size) * phi) if size < trial[X] else inf)


def whole(rules: Any, pool: Any, trial: Any, size: float, victim: int, start: int, stop: int, action: Any, a: Any, buy: float, sell: float) -> float:
    """What a sandwich earns with all that waits in between; -inf where its victim reverts."""
    trial[X], trial[Y] = pool[X], pool[Y]
    got = swap(trial, rules.phi, action[victim], size, inf if action[victim] == BUY else 0.0)
    for i in range(start, stop):
        if swap(trial, rules.phi, action[i], a[i], buy if action[i] == BUY else sell) < 0.0 and i == victim:
            return -inf
    return closed(trial, rules.phi, action[victim], size, got)


def sandwich(
    rules: Any, pool: Any, trial: Any, purses: Any, charge: float, now: int, start: int, stop: int, action: Any, a: Any,
    buy: float, sell: float, wants: Any, ties: Any, wanted: int,
) -> int:  # fmt: skip
    """The sandwich that earns most around a trade that waits; or, first of all, what one that went wrong has left."""
    phi, who = rules.phi, rules.sandwicher
    one = mixed(rules.sandwicher_tie, mixed(np.uint64(now), np.uint64(0)))
    over = purses.eth[who] - rules.sandwicher_held
    if abs(over) > LEFT_OVER * pool[X]:
        dues = over
        if over < 0.0:
            dues = min(pool[Y] * -over / ((pool[X] + over) * phi) if -over < pool[X] else inf, purses.usd[who])
        if dues > 0.0:
            return wish(wants, ties, wanted, SELL if over > 0.0 else BUY, dues, 0.0 if over > 0.0 else inf, 0.0, who, one)
    best, victim, size = rules.sandwicher_minimum, -1, 0.0
    x, y = pool[X], pool[Y]
    for i in range(start, stop):
        limit, any_price = (buy, inf) if action[i] == BUY else (sell, 0.0)
        d = min(front_run(x, y, phi, action[i], a[i], limit), purses.usd[who] if action[i] == BUY else purses.eth[who])
        if d > 0.0:
            trial[X], trial[Y] = x, y
            got = swap(trial, phi, action[i], d, any_price)
            swap(trial, phi, action[i], a[i], any_price)
            profit = closed(trial, phi, action[i], d, got) - charge
            if profit > best:
                best, victim, size = profit, i, d
        trial[X], trial[Y] = x, y
        swap(trial, phi, action[i], a[i], limit)
        x, y = trial[X], trial[Y]
    if victim < 0:
        return wanted
    buying = action[victim] == BUY
    profit = whole(rules, pool, trial, size, victim, start, stop, action, a, buy, sell)
    if profit == -inf:
        high, size = size, 0.0
        for _ in range(HALVINGS):
            middle = (size + high) / 2.0
            result = whole(rules, pool, trial, middle, victim, start, stop, action, a, buy, sell)
            if result > -inf:
                size, profit = middle, result
            else:
                high = middle
    if profit - charge <= rules.sandwicher_minimum:
        return wanted
    two = mixed(rules.sandwicher_tie, mixed(np.uint64(now), np.uint64(1)))
    got = given(pool[Y], pool[X], size, phi) if buying else given(pool[X], pool[Y], size, phi)
    if buying:
        wanted = wish(wants, ties, wanted, BUY, size, size / got * (1.0 + ROUNDING), rules.outbid, who, one)
        return wish(wants, ties, wanted, SELL, got, (size + profit) / got * (1.0 - ROUNDING), 0.0, who, two)
    wanted = wish(wants, ties, wanted, SELL, size, got / size * (1.0 - ROUNDING), rules.outbid, who, one)
    return wish(wants, ties, wanted, BUY, got - profit, (got - profit) / size * (1.0 + ROUNDING), 0.0, who, two)


def wishes(rules: Any, pool: Any, trial: Any, purses: Any, price: float, fee: int, per_byte: float, now: int, start: int, stop: int,
           action: Any, a: Any, buy: float, sell: float, wants: Any, ties: Any) -> int:
    """What searchers want of this block, each on the same state, in the order of execution among themselves; how many."""
    charge = (rules.swap_gas * (fee / ETH) + rules.swap_size * per_byte) * price
    wanted = arbitrage(rules, pool, purses, price, charge, now, wants, ties, 0)
    tips = rules.swap_gas * rules.outbid / ETH
    charge = (2.0 * rules.swap_gas * (fee / ETH) + tips + 2.0 * rules.swap_size * per_byte) * price
    return sandwich(rules, pool, trial, purses, charge, now, start, stop, action, a, buy, sell, wants, ties, wanted)


def row(rows: Any, at: int, now: int, block: int, submitted: int, who: int, market: int, action: int, status: int, gas: int, fee: float,
        data: float, x: float, y: float) -> None:
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


def hedge(purses: Any, fills: Any, n: Any, now: int, who: int, quantity: float, price: float) -> None:
    """Trade outside."""
    at = n[FILLS]
    fills.time[at], fills.sender[at], fills.quantity[at], fills.cost[at] = now, who, quantity, quantity * price
    n[FILLS] += 1
    purses.eth_outside[who] += quantity
    purses.usd_outside[who] -= quantity * price


def day(rules: Any, posting: Any, times: Any, prices: Any, luck: Any, trades: Any, purses: Any, pool: Any, l1: Any, poster: Any, base_fee: int,
        n: Any, rows: Any, sealed: Any, slots: Any, batches: Any, heads: Any, fills: Any, trial: Any, wants: Any, ties: Any, sizes: Any, mids: Any) -> float:
    """The whole day; what the rollup was paid (ETH)."""
    collected, fee, start, stop, hour = 0.0, base_fee, 0, 0, 0
    for k in range(len(times)):
        now, price = times[k], prices[k]
        post(posting, poster, times, sizes, now, k)
        while (l1[SLOT] + 1) * posting.slot <= now:
            make_slot(posting, l1, luck, poster, n, slots, batches, heads)
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
        wanted = wishes(
            rules, pool, trial, purses, price, fee, per_byte, now, start, stop, trades.action, trades.amount, buy, sell, wants, ties
        )  # fmt: skip

        # Whoever pays a priority fee goes first, the highest of all before the others; then what has arrived; then other wishes.
        at, gas, data, arrivals, eager = n[ROWS], rules.swap_gas, rules.swap_size * per_byte, stop - start, 0
        while eager < wanted and wants[eager, PRIORITY] > 0.0:
            eager += 1
        execution_paid = data_paid = 0.0
        count = arrivals + wanted
        for j in range(count):
            if eager <= j < eager + arrivals:
                i = start + j - eager
                who, action, amount, submitted, priority = trades.who[i], trades.action[i], trades.amount[i], trades.submitted[i], 0
                worst = buy if action == BUY else sell
            else:
                want = wants[j if j < eager else j - arrivals]
                who, action, amount, submitted, priority = int(want[WHO]), int(want[ACTION]), want[AMOUNT], now, int(want[PRIORITY])
                worst = want[LIMIT]
            paid = gas * ((fee + priority) / ETH)
            purses.gas[who] -= paid + data
            execution_paid += paid
            data_paid += data
            out = trade(rules, pool, purses, who, action, amount, worst)
            status, x, y = (0, amount, out) if out >= 0.0 else (int(-out), 0.0, 0.0)
            row(rows, at + j, now, k + 1, submitted, who, 0, action, status, gas, paid, data, x, y)
            if who == rules.keen and status == 0:
                hedge(purses, fills, n, now, who, x if action == SELL else -y, price)
        n[ROWS] += count
        collected += execution_paid + data_paid
        if count:
            s = n[SEALED]
            sealed.time[s], sealed.number[s], sealed.transactions[s], sealed.gas[s] = now, k + 1, count, gas * count
            sealed.base_fee[s], sealed.blob_base_fee[s], sealed.blobs[s] = fee, 0, 0
            n[SEALED] += 1
        fee = after(fee, gas * count, rules.gas_limit, rules.terms)
        sizes[k] = rules.swap_size * count + rules.overhead
        poster[UNSENT] += sizes[k]
        if poster[PHASE] == LOOKING and poster[LOOK] == now and poster[BEHIND]:
            look(posting, poster, times, sizes, now, k + 1)
        start = stop
    return collected


def posting(scenario: Scenario, began: int) -> L1Rules:
    """The rules of L1 and of the batch poster, as numbers."""
    l1, poster = scenario.chains["l1"], scenario.chains["op"].batch_poster
    fork = l1.blob_fee.fork(began)
    assert fork == l1.blob_fee.fork(began + scenario.duration) and fork.reserve and l1.justification == 1.0
    assert poster.tip >= l1.background_tip
    gas, blobs = l1.gas_demand, l1.blob_demand
    return L1Rules(
        l1.slot, l1.slots_per_epoch, l1.gas_limit, l1.base_fee.terms(), fork.target, fork.maximum, fork.update_fraction, l1.blob_fee.minimum,
        gas.mean, gas.reference, gas.elasticity, blobs.calm, blobs.burst, blobs.reference, blobs.elasticity,
        int(poster.blobs * BLOB_BYTES * poster.fill), poster.max_delay, poster.poll, int(BLOB_BYTES * poster.fill), poster.gas, poster.tip,
        poster.bump, poster.target_fee, poster.target_blob_fee, poster.urgency, drawn.delay(scenario),
    )  # fmt: skip


def columns(kind: Any, n: int, **types: Any) -> Any:
    """Empty columns for so many facts."""
    return kind(*[np.empty(n, types.get(name, np.int64)) for name in kind._fields])


def lived(scenario: Scenario) -> tuple[Final, Rows]:
    """The day, from drawing to the last fact: what it came to, and its transactions."""
    chain, pool_rules, crowd = scenario.chains["op"], scenario.markets["pool"], scenario.agents["traders"]
    keen, sandwicher = scenario.agents["keen"], scenario.agents["sandwicher"]
    times, path, luck = drawn.instants(scenario), drawn.path(scenario), drawn.slots(scenario)
    hours, delay = list(drawn.trades(scenario)), drawn.delay(scenario)
    submitted, who, buys, notional = (
        np.concatenate([getattr(hour, name) for hour in hours]) for name in ("time", "who", "buys", "notional")
    )  # fmt: skip
    trades = Trades(submitted + delay, submitted, who, np.where(buys, BUY, SELL), notional)
    start, n = path.prices[0], crowd.size
    wealth = np.array([crowd.wealth] * n + [keen.capital, sandwicher.capital])
    gas = np.array([crowd.gas / ETH] * n + [keen.gas / ETH, sandwicher.gas / ETH])
    purses = Purses(wealth.copy(), wealth / start, gas.copy(), np.zeros(n + 2), np.zeros(n + 2))
    before = [column.copy() for column in purses]
    rules = Rules(
        1.0 - pool_rules.fee, crowd.slippage, pool_rules.gas["buy"], pool_rules.size["buy"], chain.block_gas_limit, chain.fee.terms(),
        chain.data_fee_scalar * BLOB / BLOB_BYTES / ETH, chain.block_overhead, n, np.uint64(drawn.tie("keen")), keen.minimum_profit,
        n + 1, np.uint64(drawn.tie("sandwicher")), sandwicher.minimum_profit, float(purses.eth[n + 1]), sandwicher.outbid,
    )  # fmt: skip
    l1_rules = posting(scenario, luck.began)
    pool = np.array([pool_rules.base_reserve, pool_rules.base_reserve * start])
    excess, poster, written = scenario.chains["l1"].blob_fee.initial_excess, np.zeros(16, np.int64), np.zeros(8, np.int64)
    l1 = np.array([0, scenario.chains["l1"].base_fee.initial, excess, blob_price(l1_rules, excess)])
    blocks, slots = len(times), len(luck.gas)
    narrow = {"block": np.int32, "sender": np.int32, "market": np.int16, "action": np.int16, "status": np.int8, "gas": np.int32}
    floats = {"execution_fee": np.float64, "data_fee": np.float32, "x": np.float64, "y": np.float64}
    rows = columns(Rows, len(submitted) + 8 * blocks, **narrow, **floats)
    fills = columns(Fills, blocks, quantity=np.float64, cost=np.float64)
    heads, batches = columns(Heads, 4 * slots), columns(Batches, slots, cost=np.float64)
    collected = compiled(day)(
        rules, l1_rules, times, path.at(times), luck, trades, purses, pool, l1, poster, chain.fee.genesis()[0], written, rows,
        columns(Sealed, blocks), columns(Sealed, slots), batches, heads, fills,
        np.empty(2), np.empty((64, FIELDS)), np.empty(64, np.uint64), np.zeros(blocks, np.int64), np.empty(len(hours) + 2),
    )  # fmt: skip
    rows = Rows(*[column[: written[ROWS]] for column in rows])
    samples = np.arange(0, scenario.duration + 1, max(1, scenario.duration // 1000))
    moves = samples, path.at(samples), path.at(samples)
    last = path.prices[-1]
    worth = (1.0, last, last, 1.0, last)
    gains = [sum((now[i] - then[i]) * price for now, then, price in zip(purses, before, worth, strict=True)) for i in (n, n + 1)]
    final = Final(
        float(pool[X]), float(pool[Y]), collected, float(batches.cost[: written[BATCHES]].sum()), dict(zip(("keen", "sandwicher"), map(float, gains), strict=True)),
        np.bincount(rows.status).tolist(),
        {
            "BatchPosted": int(written[BATCHES]), "BlockSealed": int(written[SEALED] + written[SLOTS]), "HeadAdvanced": int(written[HEADS]),
            "OutsideTraded": int(written[FILLS]), "PriceMoved": len(moves[0]), "TransactionIncluded": int(written[ROWS]),
        },
    )  # fmt: skip
    return final, rows
