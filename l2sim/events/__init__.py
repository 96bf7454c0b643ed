"""Events: facts in the past tense, flat fields, stamped with the time when they are recorded.

A fact is a ``NamedTuple`` of int, float and str fields. Law returns facts, the world writes them into the log, metrics ask
for them by the name of their class. Another package's facts need no registration. Sizes are in units of the base asset,
prices and money in US dollars, fees in ETH, times in nanoseconds since the start, unless a field says otherwise.

A fact that says ``optional = True`` is written only where a metric of the scenario ``needs`` it. It is no part of what happened
that a digest identifies: asking another question does not change the answer to the first.
"""

from typing import NamedTuple


class TransactionIncluded(NamedTuple):
    """A transaction was executed in a block (it may have reverted). Written in bulk; ``time`` is the block's."""

    chain: str
    block: int
    submitted: int
    sender: int
    market: str
    action: str
    status: int
    gas: int
    execution_fee: float
    data_fee: float
    x: float
    y: float


class TransactionServed(NamedTuple):
    """A sequencer with a speed executed a transaction: when it arrived, when execution began and when it ended; ``time`` is its block's."""

    optional = True  # type: ignore[misc]  # of the class, not a field

    chain: str
    submitted: int
    sender: int
    arrives: int
    begins: int
    ends: int


class TradeAttributed(NamedTuple):
    """What a trade with a pool lost against the pool's mid ``price`` when it was sent, and to what; US dollars, a gain is negative.

    ``loss`` is the sum of the others: the price had moved by the trades of others, fees of the pool and of the chain, its own
    impact on the price, and what others took from it by trading around it. ``time`` is its block's.
    """

    chain: str
    block: int
    market: str
    sender: int
    action: str
    submitted: int
    price: float
    loss: float
    movement: float
    fees: float
    impact: float
    extraction: float

    optional = True  # type: ignore[misc]  # of the class, not a field, which type checkers take it for


class ValueExtracted(NamedTuple):
    """Somebody, the ``taker``, took from a trade by trading before and behind it in its block; US dollars."""

    chain: str
    block: int
    market: str
    sender: int
    taker: int
    amount: float

    optional = True  # type: ignore[misc]  # of the class, not a field, which type checkers take it for


class TransactionDropped(NamedTuple):
    """A transaction left the mempool without ever being in a block."""

    chain: str
    submitted: int
    sender: int
    market: str
    action: str
    status: int


class BlockSealed(NamedTuple):
    """A chain made a block; fees in wei per gas. ``transactions`` are those of the run; ``gas`` is all that the block used, on L1 also
    by batches, by what was bought on purpose and by everybody else."""

    chain: str
    number: int
    transactions: int
    gas: int
    base_fee: int
    blob_base_fee: int
    blobs: int
    pending: int


class ChainReorganized(NamedTuple):
    """A chain undid its latest blocks, from ``first`` to ``last``; the transactions in them are pending again, but for ``lost`` ones."""

    chain: str
    first: int
    last: int
    transactions: int
    lost: int


class HeadAdvanced(NamedTuple):
    """A chain's safe or finalized head moved up to a block of that chain (the unsafe head is the block itself)."""

    chain: str
    head: str
    number: int


class BatchPosted(NamedTuple):
    """A batch of blocks of a rollup was included in L1; ``submitted`` when its poster first sent it, cost in ETH."""

    chain: str
    first: int
    last: int
    size: int
    blobs: int
    submitted: int
    l1_block: int
    cost: float


class PriceMoved(NamedTuple):
    """The outside price at a sample instant: before (``path``) and after (``index``) the impact of trades in the run."""

    price: str
    path: float
    index: float  # type: ignore[assignment]  # hides tuple.index


class OutsideTraded(NamedTuple):
    """Somebody traded outside: quantity > 0 bought; ``cost`` in US dollars, negative when sold; impact after the trade."""

    venue: str
    price: str
    sender: int
    quantity: float
    cost: float
    impact: float


class OracleUpdated(NamedTuple):
    """A feed on a chain was given a new price."""

    market: str
    value: float


class PositionOpened(NamedTuple):
    """A position was opened: signed size, entry price, margin, and the marks at which it is liquidated and bankrupt."""

    market: str
    account: int
    size: float
    entry: float
    margin: float
    liquidation_price: float
    bankruptcy_price: float


class PositionClosed(NamedTuple):
    """A position was closed by its owner at a price; ``profit`` is realised profit and loss after funding and fees."""

    market: str
    account: int
    size: float
    price: float
    profit: float


class PositionLiquidated(NamedTuple):
    """A position was taken from its owner: at which mark, at which price, what was left, what was missing, who earned."""

    market: str
    account: int
    liquidator: int
    size: float
    mark: float
    price: float
    reward: float
    penalty: float
    returned: float
    shortfall: float


class BadDebtIncurred(NamedTuple):
    """A shortfall that no insurance fund could cover, or debt that was left without collateral; the amount that nobody paid."""

    market: str
    account: int
    amount: float


class FundingSettled(NamedTuple):
    """The funding index moved: rate for this settlement and US dollars a unit of long pays since the start."""

    market: str
    rate: float
    index: float  # type: ignore[assignment]  # hides tuple.index


class QuotesChanged(NamedTuple):
    """A market maker changed its quotes; half spread as a fraction, size in units on each side."""

    market: str
    account: int
    half_spread: float
    size: float


class AttackBegan(NamedTuple):
    """An attack struck."""

    attack: str


class AttackEnded(NamedTuple):
    """An attack relented."""

    attack: str


class AccountClosed(NamedTuple):
    """What a group of accounts held of an asset at a place when the run began and ended; ``value`` of the change in US dollars."""

    group: str
    kind: str
    place: str
    asset: str
    opening: float
    closing: float
    price: float
    value: float


class LoanLiquidated(NamedTuple):
    """A liquidator repaid units of an account's debt and seized units of its collateral, of which the protocol kept a part.

    Values and the protocol's fee in US dollars; the health factor is that before.
    """

    market: str
    account: int
    liquidator: int
    collateral: str
    debt: str
    repaid: float
    seized: float
    repaid_value: float
    seized_value: float
    protocol_fee: float
    health_factor: float


class AssertionMade(NamedTuple):
    """Somebody asserted on L1 the state of a rollup after block ``last``, all since block ``first`` being open to dispute.

    ``state`` is a part of its digest, ``valid`` whether it is the true one, which nobody told L1; bond and cost (gas) in ETH.
    """

    chain: str
    number: int
    first: int
    last: int
    account: int
    state: int
    valid: int
    bond: float
    cost: float


class AssertionChallenged(NamedTuple):
    """Somebody wanted to stake a bond against an assertion; bond and cost (gas) in ETH.

    ``taken`` is 0 where that came to nothing but gas, because somebody else was first or the bond was not there.
    """

    chain: str
    number: int
    account: int
    bond: float
    cost: float
    taken: int


class DisputeMoved(NamedTuple):
    """A party to a dispute stated a digest half way, or proved one step: the disputed blocks or transactions before, and the gas in ETH."""

    chain: str
    number: int
    account: int
    level: str
    low: int
    high: int
    cost: float


class DisputeEnded(NamedTuple):
    """A dispute was decided: at which transaction of which block (-1: its beginning, or none was needed), after how many moves."""

    chain: str
    number: int
    winner: int
    loser: int
    block: int
    transaction: int
    moves: int


class BondSlashed(NamedTuple):
    """The loser of a dispute lost its bond; what the winner got and what was burned, in ETH."""

    chain: str
    number: int
    account: int
    winner: int
    reward: float
    burned: float


class AssertionConfirmed(NamedTuple):
    """An assertion became final: withdrawals that it covers may leave."""

    chain: str
    number: int
    last: int
    valid: int


class AssertionRejected(NamedTuple):
    """An assertion lost a dispute and will never be final."""

    chain: str
    number: int
    last: int
    valid: int


class WithdrawalInitiated(NamedTuple):
    """Somebody gave up an amount on the rollup, to get it on L1; its number counts the bridge's withdrawals."""

    market: str
    account: int
    number: int
    amount: float


class WithdrawalProven(NamedTuple):
    """A withdrawal was shown to be in the state that an assertion claims; gas in ETH."""

    market: str
    account: int
    number: int
    assertion: int
    cost: float


class WithdrawalFinalized(NamedTuple):
    """A bridge paid a withdrawal out of its escrow on L1; ``valid`` is 0 where it only exists in a state that never was. Gas in ETH."""

    market: str
    account: int
    number: int
    amount: float
    valid: int
    cost: float


class WithdrawalRefused(NamedTuple):
    """A bridge could not pay a withdrawal that is due: its escrow holds too little. Gas in ETH."""

    market: str
    account: int
    number: int
    amount: float
    held: float
    cost: float
