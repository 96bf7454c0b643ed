"""Facts about what rollups charge."""

from typing import NamedTuple


class OperatorFeeSet(NamedTuple):
    """From this block on a transaction on a rollup pays the operator this much, which is a part of its data fee; ETH."""

    chain: str
    per_gas: float
    per_transaction: float


class DataPriceUpdated(NamedTuple):
    """A rollup's price of data moved after the report of a batch; price and money in ETH.

    ``per_byte`` is the price of a compressed byte, ``spent`` what the batch cost, ``funds`` what users paid in that nobody has been
    paid yet, ``surplus`` that less what is owed.
    """

    chain: str
    per_byte: float
    spent: float
    funds: float
    surplus: float
