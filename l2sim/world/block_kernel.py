"""The block kernel: blocks of a rollup one after the other, in compiled code, with the same bits as ``LiveChain.make_block``.

For each block: prices are set and books begin; reflexes say what they want; everything is put in order, charged and executed by the
kernel of its market; the base fee moves. It stops before a block that needs more than that.
"""

from typing import Any

import numpy as np

from l2sim.kernels import OUT
from l2sim.units import ETH

BY_TIP, TIPS, VISIBLE, GAS_LIMIT, FEE_GAS_LIMIT, TOKEN, ACCOUNT, OVERHEAD, BACKLOG_LIMIT, STOP_AFTER_REFLEX, RIPE, FOOTPRINT, DATA_LIMIT = (
    range(13)
)
"""Rules, whole numbers: how it orders, whether any arrival offers a tip, whether pending rows are seen, gas that fits into a block and
gas limit of the fee's rule, the asset of fees and who gets them, bytes of an empty block, bytes at which it would be throttled, whether
to stop after a block with a reflex's transaction, bytes after which to stop because a batch is full, gas that a byte counts for, and bytes
of data that fit into a block, by that and besides."""
RULES = 13
BASE_FEE, HEIGHT, UNPOSTED, ROWS, NOTES = range(5)
"""Progress, whole numbers: base fee (wei per gas), height, unposted bytes, and how many rows and notes have been written."""
PROGRESS = 5
NOTE = 5 + OUT
"""Numbers of a note: block, market, position in the block, action, sender, and what the kernel left."""


def nothing(cells: Any, codes: Any, prices: Any, now: int) -> None:
    """The beginning of a block in a market where nothing accrues."""


def no_price(cells: Any, codes: Any, purses: Any, prices: Any) -> float:
    """The mid price where there is none."""
    return 0.0


def mixed(key: Any, index: Any) -> Any:
    """``streams.mix`` on unsigned 64-bit numbers; only for compiled code, where they wrap around."""
    z = key + (index + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def arrange(order: Any, arrivals: int, wanted: int, tip: Any, start: int, wants: Any, by_tip: int, tips: int) -> None:
    """The order of execution: positions of arrivals from 0, of what reflexes want from ``arrivals``; by arrival among equals."""
    n = arrivals + wanted
    if by_tip and tips:
        keys = np.empty(n, np.int64)
        for i in range(arrivals):
            keys[i] = -tip[start + i]
        for k in range(wanted):
            keys[arrivals + k] = -np.int64(wants[k, 6])
        order[:n] = np.argsort(keys, kind="mergesort")
        return
    place = 0
    if by_tip:
        # No arrival tips: who does goes first, the highest first; then arrivals, then wishes without a tip.
        for k in range(wanted):
            if wants[k, 6] > 0.0:
                j = place
                while j > 0 and wants[order[j - 1] - arrivals, 6] < wants[k, 6]:
                    order[j] = order[j - 1]
                    j -= 1
                order[j] = arrivals + k
                place += 1
    for i in range(arrivals):
        order[place] = i
        place += 1
    for k in range(wanted):
        if not by_tip or wants[k, 6] <= 0.0:
            order[place] = arrivals + k
            place += 1


def make_blocks(
    kernels: Any, begins: Any, mids: Any, cells: Any, codes: Any, calls: Any, answered: Any, purses: Any, prices: Any,
    market: Any, action: Any, sender: Any, a: Any, b: Any, c: Any, slippage: Any, reference: Any, tip: Any, gas: Any, size: Any,
    bounds: Any, times: Any, slots: Any, seen: Any, charges: Any, seconds: Any, ether: Any, state: Any, after: Any, terms: Any, rules: Any,
    progress: Any,
    decides: Any, settings: Any, memory: Any, owns: Any, homes: Any, luck: Any, gas_of: Any, size_of: Any,
    intents: Any, facts: Any, wants: Any, want_from: Any, want_tie: Any, kept: Any, order: Any, before: Any, out: Any,
    row_block: Any, row_from: Any, row_market: Any, row_action: Any, row_sender: Any, row_status: Any, row_gas: Any, row_fee: Any,
    row_data: Any, row_x: Any, row_y: Any, notes: Any, block_rows: Any, block_gas: Any, block_size: Any, block_fee: Any,
) -> int:  # fmt: skip
    """Make blocks while they are plain; how many were made.

    ``row_from`` tells where an executed row came from: its position among the arrivals, or -1 - k for the k-th reflex. Columns of the
    arrivals are shared with the inbox; only references are written, those of rows that are executed.
    """
    markets, reflexes = len(kernels), len(decides)
    purse, account = rules[TOKEN], rules[ACCOUNT]
    for block in range(len(times)):
        start, stop, now, fee = bounds[block], bounds[block + 1], times[block], progress[BASE_FEE]
        arrivals = stop - start
        at, note = progress[ROWS], progress[NOTES]
        per_byte, floor, per_gas, per_transaction = charges[block, 0], np.int64(charges[block, 1]), charges[block, 2], charges[block, 3]
        if fee > (1 << 62) // max(rules[FEE_GAS_LIMIT], 1) or progress[UNPOSTED] > rules[BACKLOG_LIMIT]:
            return block
        for m in range(markets):
            middle = mids[m](cells[m], codes[m], purses, prices)
            for i in range(start, stop):
                if market[i] == m:
                    reference[i] = middle
        for k in range(len(slots)):
            prices[slots[k]] = seen[block, k]
        for m in range(markets):
            begins[m](cells[m], codes[m], prices, now)

        # What reflexes want, each on the same state; simultaneous wishes in the order of their tie keys.
        wanted = 0
        if reflexes:
            facts[0], facts[1], facts[2] = fee / ETH + per_gas, per_byte, ether[block]
            facts[3], facts[4] = now / 1e9, float(progress[HEIGHT] + 1)
            facts[5], facts[6] = charges[block, 1], per_transaction
            kept[:, :] = memory
        for r in range(reflexes):
            home = homes[r]
            first, last = (start, stop) if rules[VISIBLE] else (0, 0)
            n = decides[r](
                settings[r], memory[r], cells[home], codes[home], purses, prices, owns[r], facts, home, first, last,
                market, action, a, slippage, reference, tip, intents,
            )  # fmt: skip
            for k in range(n):
                if wanted == len(wants):
                    memory[:, :] = kept
                    return block
                tie = mixed(luck[r], mixed(np.uint64(now), np.uint64(k)))
                place = wanted
                while place > 0 and want_tie[place - 1] > tie:
                    wants[place] = wants[place - 1]
                    want_from[place] = want_from[place - 1]
                    want_tie[place] = want_tie[place - 1]
                    place -= 1
                wants[place] = intents[k]
                if intents[k, 5] == 0.0:
                    wants[place, 5] = mids[home](cells[home], codes[home], purses, prices)
                want_from[place] = r
                want_tie[place] = tie
                wanted += 1
        n = arrivals + wanted
        if at + n > len(row_block) or note + n > len(notes) or n > len(order):
            memory[:, :] = kept
            return block
        arrange(order, arrivals, wanted, tip, start, wants, rules[BY_TIP], rules[TIPS])

        # Charge; where somebody cannot pay, or not everything fits, nothing of this block has happened.
        used = bytes_used = weight = 0
        execution = data = 0.0
        charged, plain = 0, True
        for j in range(n):
            row = at + j
            if order[j] < arrivals:
                i = start + order[j]
                row_from[row], row_market[row], row_action[row], row_sender[row] = i, market[i], action[i], sender[i]
                one_gas, one_size, one_tip = gas[i], size[i], tip[i]
            else:
                k = order[j] - arrivals
                r = want_from[k]
                home, act = homes[r], np.int64(wants[k, 0])
                row_from[row], row_market[row], row_action[row], row_sender[row] = -1 - r, home, act, owns[r]
                one_gas, one_size, one_tip = gas_of[home, act], size_of[home, act], np.int64(wants[k, 6])
            row_block[row], row_gas[row] = block, one_gas
            row_fee[row] = one_gas * ((fee + one_tip) / ETH)
            counted = max(one_size, floor)
            row_data[row] = counted * per_byte + one_gas * per_gas + per_transaction
            used += one_gas
            bytes_used += one_size
            weight += counted
            execution += row_fee[row]
            data += row_data[row]
            payer = row_sender[row]
            before[j] = purses[purse, payer]
            purses[purse, payer] = before[j] - (row_fee[row] + row_data[row])
            charged += 1
            if purses[purse, payer] < 0.0 or used > rules[GAS_LIMIT] or weight > rules[DATA_LIMIT]:
                plain = False
                break
        if not plain:
            for j in range(charged - 1, -1, -1):
                purses[purse, row_sender[at + j]] = before[j]
            memory[:, :] = kept
            return block
        if n:
            purses[purse, account] += execution + data

        m = 0
        execute, floats, wholes = kernels[0], cells[0], codes[0]
        for j in range(n):
            row = at + j
            if row_market[row] != m:
                m = row_market[row]
                execute, floats, wholes = kernels[m], cells[m], codes[m]
            out[0] = out[1] = out[2] = 0.0
            if row_from[row] >= 0:
                i = row_from[row]
                status = execute(
                    floats, wholes, purses, prices, action[i], sender[i], a[i], b[i], c[i], slippage[i], reference[i], out
                )  # fmt: skip
            else:
                k = order[j] - arrivals
                status = execute(
                    floats, wholes, purses, prices, row_action[row], row_sender[row], wants[k, 1], wants[k, 2], wants[k, 3],
                    wants[k, 4], wants[k, 5], out,
                )  # fmt: skip
            row_status[row] = status
            row_x[row], row_y[row] = (0.0, 0.0) if status else (out[0], out[1])
            if status == 0 and out[2] > 0.0:
                where = notes[progress[NOTES]]
                where[0], where[1], where[2], where[3], where[4] = block, m, j, row_action[row], row_sender[row]
                where[5:] = out
                progress[NOTES] += 1

        progress[ROWS] += n
        progress[HEIGHT] += 1
        progress[UNPOSTED] += bytes_used + rules[OVERHEAD]
        second, following = seconds[block], seconds[min(block + 1, len(times) - 1)]
        progress[BASE_FEE] = after[0](state, max(used, weight * rules[FOOTPRINT]), rules[FEE_GAS_LIMIT], second, following, terms)
        block_rows[block], block_gas[block], block_size[block], block_fee[block] = n, used, bytes_used, fee
        rules[RIPE] -= bytes_used + rules[OVERHEAD]
        news = rules[RIPE] <= 0 or progress[BASE_FEE] < 0 or (wanted > 0 and rules[STOP_AFTER_REFLEX] != 0)
        for m in range(markets):
            if calls[m] >= 0 and codes[m][calls[m]] > answered[m]:
                news = True
        if news:
            return block + 1
    return len(times)
