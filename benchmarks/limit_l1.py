"""L1 as the limit has it: slots, blobs and batches, as plain functions that are compiled with the loop that calls them."""

from math import exp, log
from typing import Any, NamedTuple

from l2sim.fees.eip1559 import after
from l2sim.units import ETH

BLOB, RESERVE_GAS = 2**17, 2**13

SLOT, BASE_FEE, EXCESS, BLOB_FEE = range(4)
"""Of L1, whole numbers."""
WAITING, LOOKING, POSTED = range(3)
PHASE, LOOK, BEHIND, NEXT, UNSENT, FIRST, LAST, SIZE, BLOBS, OLDEST, SUBMITTED, ARRIVES, TIP, CAP, BLOB_CAP, FINAL = range(16)
"""Of the poster, whole numbers: what it is doing, when it looks, whether behind the block of that instant; the first block that is in no
batch, bytes of those; the batch on its way; and how many batches are final."""
ROWS, SEALED, SLOTS, BATCHES, HEADS, FILLS, TAKEN, WRITTEN = range(8)
"""How many rows have been written of each kind of fact."""


class L1Rules(NamedTuple):
    """What the chain description says of L1, and of the poster."""

    slot: int
    epoch: int
    gas_limit: int
    terms: tuple[int, int, int]
    target: int
    most: int
    fraction: int
    minimum: int
    gas_mean: float
    gas_reference: int
    gas_elasticity: float
    calm: float
    burst: float
    blob_reference: int
    blob_elasticity: float
    full: int
    age: int
    poll: int
    blob_bytes: int
    gas: int
    tip: int
    bump: int
    target_fee: int
    target_blob_fee: int
    urgency: int
    delay: int


class Sealed(NamedTuple):
    """Columns of the blocks made."""

    time: Any
    number: Any
    transactions: Any
    gas: Any
    base_fee: Any
    blob_base_fee: Any
    blobs: Any


class Batches(NamedTuple):
    """Columns of the batches that L1 included."""

    time: Any
    first: Any
    last: Any
    size: Any
    blobs: Any
    submitted: Any
    slot: Any
    cost: Any


class Heads(NamedTuple):
    """Columns of the heads that advanced: of the rollup or not, finalized or safe."""

    time: Any
    rollup: Any
    finalized: Any
    number: Any


def blob_price(rules: Any, excess: int) -> int:
    """EIP-4844's exponential. Products beyond 64 bits are taken apart: term x excess // d = (term // d) excess + (term % d) excess // d."""
    total, i, term = 0, 1, rules.minimum * rules.fraction
    while term > 0:
        total += term
        divisor = rules.fraction * i
        term = term // divisor * excess + term % divisor * excess // divisor
        i += 1
    return total // rules.fraction


def gas_wanted(rules: Any, luck: float, fee: int) -> int:
    """What everybody else wants of a block's gas."""
    level = log(rules.gas_mean * luck * (rules.gas_limit // rules.terms[0]))
    wanted = level - rules.gas_elasticity * log(max(fee, 1) / rules.gas_reference)
    return rules.gas_limit if wanted >= log(rules.gas_limit) else round(exp(wanted))


def blobs_wanted(rules: Any, luck: float, fee: int) -> int:
    """How many blobs everybody else wants to post."""
    state = 1 if luck >= 1.0 else 0
    mean = (rules.burst if state else rules.calm) * rules.target
    mean *= exp(min(-rules.blob_elasticity * log(max(fee, 1) / rules.blob_reference), 500.0))
    probability = cumulative = exp(-mean)
    count = 0
    while cumulative <= luck - state and count < rules.most:
        count += 1
        probability *= mean / count
        cumulative += probability
    return count


def head(heads: Any, n: Any, time: int, rollup: int, finalized: int, number: int) -> None:
    at = n[HEADS]
    heads.time[at], heads.rollup[at], heads.finalized[at], heads.number[at] = time, rollup, finalized, number
    n[HEADS] += 1


def make_slot(rules: Any, l1: Any, luck: Any, poster: Any, n: Any, sealed: Any, batches: Any, heads: Any) -> None:
    """L1's next slot: checkpoints, everybody else's demand, and the batch that waits."""
    l1[SLOT] += 1
    slot = l1[SLOT]
    now = slot * rules.slot
    if slot % rules.epoch == 0 and slot >= 2 * rules.epoch:
        head(heads, n, now, 0, 0, slot - rules.epoch)
        final = slot - 2 * rules.epoch
        head(heads, n, now, 0, 1, final)
        while poster[FINAL] < n[BATCHES] and batches.slot[poster[FINAL]] <= final:
            head(heads, n, now, 1, 1, batches.last[poster[FINAL]])
            poster[FINAL] += 1
    if luck.missed[slot]:
        return
    base_fee, blob_fee = l1[BASE_FEE], l1[BLOB_FEE]
    gas, blobs = gas_wanted(rules, luck.gas[slot], base_fee), blobs_wanted(rules, luck.blobs[slot], blob_fee)
    gas_left, blobs_left = rules.gas_limit, rules.most
    if poster[PHASE] == POSTED and poster[ARRIVES] < now and poster[CAP] >= base_fee and poster[BLOB_CAP] >= blob_fee:
        gas_left -= rules.gas
        blobs_left -= poster[BLOBS]
        burned = rules.gas * base_fee + poster[BLOBS] * BLOB * blob_fee
        at = n[BATCHES]
        batches.time[at], batches.slot[at], batches.submitted[at] = now, slot, poster[SUBMITTED]
        batches.first[at], batches.last[at], batches.size[at], batches.blobs[at] = poster[FIRST], poster[LAST], poster[SIZE], poster[BLOBS]
        batches.cost[at] = (burned + rules.gas * min(poster[TIP], poster[CAP] - base_fee)) / ETH
        n[BATCHES] += 1
        head(heads, n, now, 1, 0, poster[LAST])
        poster[PHASE] = WAITING
    gas = rules.gas_limit - gas_left + min(gas, gas_left)
    blobs = rules.most - blobs_left + min(blobs, blobs_left)
    at = n[SLOTS]
    sealed.time[at], sealed.number[at], sealed.transactions[at], sealed.gas[at] = now, slot, 0, 0
    sealed.base_fee[at], sealed.blob_base_fee[at], sealed.blobs[at] = base_fee, blob_fee, blobs
    n[SLOTS] += 1
    # EIP-7918: below the reserve price the target is not subtracted.
    excess, used = l1[EXCESS], blobs * BLOB
    if excess + used < rules.target * BLOB:
        l1[EXCESS] = 0
    elif RESERVE_GAS * base_fee > BLOB * blob_fee:
        l1[EXCESS] = excess + used * (rules.most - rules.target) // rules.most
    else:
        l1[EXCESS] = excess + used - rules.target * BLOB
    l1[BLOB_FEE] = blob_price(rules, l1[EXCESS])
    l1[BASE_FEE] = after(base_fee, gas, rules.gas_limit, rules.terms)


def offer(rules: Any, poster: Any, now: int) -> None:
    """Send the batch to L1."""
    patience = (1.0 + (now - poster[OLDEST]) / rules.urgency) ** 2
    poster[PHASE], poster[SUBMITTED], poster[ARRIVES] = POSTED, now, now + rules.delay
    poster[CAP], poster[BLOB_CAP] = int(rules.target_fee * patience), int(rules.target_blob_fee * patience)


def look(rules: Any, poster: Any, times: Any, sizes: Any, now: int, made: int) -> None:
    """The poster looks at the blocks made, the first ``made``, and posts a batch where that is due."""
    poster[PHASE] = WAITING
    first = poster[NEXT]
    if first == made or (poster[UNSENT] < rules.full and now - times[first] < rules.age):
        return
    last, size = first, sizes[first]
    while last + 1 < made and size + sizes[last + 1] <= rules.full:
        last += 1
        size += sizes[last]
    poster[NEXT] = last + 1
    poster[UNSENT] -= size
    poster[FIRST], poster[LAST], poster[SIZE], poster[OLDEST] = first + 1, last + 1, size, times[first]
    poster[BLOBS], poster[TIP] = max(1, -(-size // rules.blob_bytes)), rules.tip
    offer(rules, poster, now)


def post(rules: Any, poster: Any, times: Any, sizes: Any, now: int, made: int) -> None:
    """What the poster does before the block of this instant: it wakes, looks on its next poll, and raises its offer in vain."""
    if poster[PHASE] == WAITING and poster[NEXT] < made:
        due = times[poster[NEXT]] + rules.age
        full = poster[UNSENT] >= rules.full
        if full or due < now:
            earliest = times[made - 1] + 1 if full else due
            poster[PHASE], poster[LOOK] = LOOKING, -(-earliest // rules.poll) * rules.poll
            # The sequencer has set its alarm for this instant already: where both alarms ring at once, the earlier one goes first.
            poster[BEHIND] = poster[LOOK] <= now
    if poster[PHASE] == LOOKING and (poster[LOOK] < now or (poster[LOOK] == now and not poster[BEHIND])):
        look(rules, poster, times, sizes, poster[LOOK], made)
    if poster[PHASE] == POSTED and poster[SUBMITTED] + rules.bump < now:
        poster[TIP] *= 2
        offer(rules, poster, poster[SUBMITTED] + rules.bump)
