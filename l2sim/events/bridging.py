"""Facts about money that goes through bridges, besides the ordinary withdrawal: deposits, and withdrawals that somebody advances."""

from typing import NamedTuple


class DepositMade(NamedTuple):
    """L1 took an amount into the escrow of a bridge, for the same account on the rollup; the gas, in ETH."""

    market: str
    account: int
    number: int
    amount: float
    l1_block: int
    cost: float


class DepositRefused(NamedTuple):
    """A deposit came to nothing but gas (ETH): the account on L1 holds too little."""

    market: str
    account: int
    amount: float
    held: float
    cost: float


class DepositCredited(NamedTuple):
    """A rollup handed out a deposit, as an input of its ``block``."""

    market: str
    account: int
    number: int
    amount: float
    block: int


class DepositUndone(NamedTuple):
    """L1 undid the block with a deposit, which is on its way into another; ``credited`` is 1 where it stays handed out on the rollup."""

    market: str
    account: int
    number: int
    amount: float
    credited: int


class WithdrawalAdvanced(NamedTuple):
    """A provider paid a withdrawal on L1 out of its own money, but for a fee, and owns it from then on.

    ``valid`` is 0 where the withdrawal exists in no true state. Amount and fee in units of the bridge's asset, gas in ETH.
    """

    market: str
    account: int
    number: int
    provider: int
    amount: float
    fee: float
    valid: int
    cost: float


class WithdrawalLost(NamedTuple):
    """A withdrawal that a provider had advanced fell with the assertion that it was in: ``amount`` is what the provider is out of."""

    market: str
    provider: int
    number: int
    amount: float


class FundsCarried(NamedTuple):
    """Somebody moved units of an asset between the venue outside and its account on an L1: positive towards L1."""

    place: str
    account: int
    asset: str
    amount: float
