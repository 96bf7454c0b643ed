"""Searchers as the limit has them: the pool's law, what an arbitrageur and a sandwich searcher want, and the list of wishes."""

from math import inf, sqrt
from typing import Any

import numpy as np

from l2sim.world.block_kernel import mixed

BUY, SELL, LIQUIDATE = range(3)
SLIPPAGE, NO_LIQUIDITY = 1, 3
X, Y = 0, 1
"""The pool's reserves of ether and of US dollars."""
ACTION, AMOUNT, LIMIT, PRIORITY, WHO, ACCOUNT, FIELDS = range(7)
"""Of a wish: action, amount, worst price, priority fee, who wants it, and whose loan."""
ROUNDING, LEFT_OVER, HALVINGS = 1e-12, 1e-9, 60


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


def wish(
    wants: Any, ties: Any, wanted: int, action: int, amount: float, limit: float, priority: float, who: int, tie: Any, account: int = 0
) -> int:
    """Note a wish: the highest priority fee first, equal ones in the order of tie keys; how many there are."""
    place = wanted
    while place > 0 and (wants[place - 1, PRIORITY] < priority or (wants[place - 1, PRIORITY] == priority and ties[place - 1] > tie)):
        for field in range(FIELDS):
            wants[place, field] = wants[place - 1, field]
        ties[place] = ties[place - 1]
        place -= 1
    want = wants[place]
    want[ACTION], want[AMOUNT], want[LIMIT], want[PRIORITY], want[WHO], want[ACCOUNT] = action, amount, limit, priority, who, account
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


def whole(
    rules: Any, pool: Any, trial: Any, size: float, victim: int, start: int, stop: int, action: Any, a: Any, buy: float, sell: float
) -> float:  # fmt: skip
    """What a sandwich earns with all that waits in between; -inf where its victim reverts."""
    trial[X], trial[Y] = pool[X], pool[Y]
    got = swap(trial, rules.phi, action[victim], size, inf if action[victim] == BUY else 0.0)
    for i in range(start, stop):
        if swap(trial, rules.phi, action[i], a[i], buy if action[i] == BUY else sell) < 0.0 and i == victim:
            return -inf
    return closed(trial, rules.phi, action[victim], size, got)


def tempting(pool: Any, phi: float, start: int, stop: int, action: Any, a: Any) -> bool:
    """Whether any trade that waits is large enough to be worth a sandwich at all: both own trades pay the fee."""
    bought = sold = most_bought = most_sold = 0.0
    for i in range(start, stop):
        if action[i] == BUY:
            bought += a[i]
            most_bought = max(most_bought, a[i])
        else:
            sold += a[i]
            most_sold = max(most_sold, a[i])
    x, y, much = pool[X], pool[Y], 1.0 / (phi * (1.0 + ROUNDING))
    return 1.0 + most_bought * (x + sold) / (y * x) > much or 1.0 + most_sold * (y + bought) / (x * y) > much


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
    if not tempting(pool, phi, start, stop, action, a):
        return wanted
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
