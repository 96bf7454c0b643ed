"""Bytes that a transaction takes in a batch: generated transactions of each action, encoded as on Ethereum and compressed together.

A transaction of type 2 (EIP-1559) in RLP: chain, nonce, fees, gas limit, the market's address, calldata of a selector and words of 32
bytes, and a signature, 65 bytes that do not compress. Senders and amounts are drawn; addresses, selectors and deadlines repeat. A batch
is 2,000 transactions of one kind in random order of senders. zlib is Python's; brotli, which rollups use, where it is installed.
"""

import random
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from l2sim.part import room

TRANSACTIONS = 2000
SENDERS = 5000
NOW = 1_790_000_000
WORD = 32


class Call(NamedTuple):
    """The words of a call: "amount" (18 decimals), "account" and "price" drawn, "token" of few, "small", "time" near now."""

    words: Sequence[str]


CALLS: dict[tuple[str, str], Call] = {
    ("constant_product", "buy"): Call(("amount", "amount", "small", "account", "time", "small", "token", "token")),
    ("constant_product", "sell"): Call(("amount", "amount", "small", "account", "time", "small", "token", "token")),
    ("perpetual", "open"): Call(("token", "amount", "small", "price", "time")),
    ("perpetual", "close"): Call(("token", "amount", "price", "time")),
    ("perpetual", "liquidate"): Call(("token", "account")),
    ("perpetual", "deposit"): Call(("token", "amount")),
    ("perpetual", "withdraw"): Call(("token", "amount")),
    ("perpetual", "quote"): Call(("token", "price", "amount", "price", "amount")),
    ("lending_pool", "supply"): Call(("token", "amount", "account", "small")),
    ("lending_pool", "withdraw"): Call(("token", "amount", "account")),
    ("lending_pool", "borrow"): Call(("token", "amount", "small", "small", "account")),
    ("lending_pool", "repay"): Call(("token", "amount", "small", "account")),
    ("lending_pool", "liquidate"): Call(("token", "token", "account", "amount", "small")),
    ("price_feed", "report"): Call(("small", "small", "price", "time", "signature", "signature", "signature")),
    ("bridge", "withdraw"): Call(("token", "amount", "account", "small")),
}
"""The calls that the actions stand for, as routers, exchanges, Aave v3 and standard bridges take them; steps have no transaction."""


def rlp(item: bytes | list[bytes]) -> bytes:
    """Recursive length prefix of a string or of a list of encoded items (yellow paper, appendix B)."""
    if isinstance(item, bytes):
        if len(item) == 1 and item[0] < 0x80:
            return item
        return _length(len(item), 0x80) + item
    body = b"".join(item)
    return _length(len(body), 0xC0) + body


def _length(n: int, offset: int) -> bytes:
    if n < 56:
        return bytes([offset + n])
    digits = n.to_bytes((n.bit_length() + 7) // 8, "big")
    return bytes([offset + 55 + len(digits)]) + digits


def whole(number: int) -> bytes:
    """A number without leading zeros, as RLP has it."""
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


class Writer:
    """Writes transactions of one market."""

    def __init__(self, luck: random.Random) -> None:
        self.luck = luck
        self.accounts = [luck.randbytes(20) for _ in range(SENDERS)]
        self.tokens = [luck.randbytes(20) for _ in range(4)]
        self.market = luck.randbytes(20)

    def word(self, what: str) -> bytes:
        luck = self.luck
        words: dict[str, Callable[[], bytes]] = {
            "amount": lambda: whole(int(luck.lognormvariate(7.0, 1.5) * 10**18)),
            "price": lambda: whole(int(3000 * luck.lognormvariate(0.0, 0.01) * 10**8)),
            "account": lambda: luck.choice(self.accounts),
            "token": lambda: luck.choice(self.tokens),
            "small": lambda: whole(luck.choice((0, 1, 2, 64, 160))),
            "time": lambda: whole(NOW + luck.randrange(1200)),
            "signature": lambda: luck.randbytes(WORD),
        }
        return words[what]().rjust(WORD, b"\0")

    def transaction(self, selector: bytes, call: Call) -> bytes:
        """A signed transaction."""
        luck = self.luck
        data = selector + b"".join(self.word(what) for what in call.words)
        fields = [
            whole(10), whole(int(luck.lognormvariate(4.0, 1.5))), whole(luck.choice((0, 10**6, 10**8))),
            whole(int(luck.lognormvariate(0.0, 0.2) * 10**7)), whole(luck.randrange(120_000, 600_000)), self.market, b"", data,
        ]  # fmt: skip
        signature = [whole(luck.randrange(2)), luck.randbytes(32), luck.randbytes(32)]
        return b"\x02" + rlp([*(rlp(field) for field in fields), rlp([]), *(rlp(part) for part in signature)])


def compressors() -> dict[str, Callable[[bytes], bytes]]:
    """What is at hand, by name."""
    found: dict[str, Callable[[bytes], bytes]] = {"zlib 9": lambda data: zlib.compress(data, 9)}
    try:
        import brotli
    except ImportError:
        return found
    for level in (4, 6, 11):
        found[f"brotli {level}"] = lambda data, level=level: brotli.compress(data, quality=level, lgwin=22)  # type: ignore[misc]
    return found


def measured(market: str, action: str, seed: int = 1, using: Mapping[str, Callable[[bytes], bytes]] | None = None) -> dict[str, float]:
    """Bytes of a transaction of an action: as signed, and in a batch by each compressor, all at hand unless some are given."""
    luck = random.Random(f"{seed}/{market}/{action}")
    writer, selector = Writer(luck), luck.randbytes(4)
    sent = [writer.transaction(selector, CALLS[market, action]) for _ in range(TRANSACTIONS)]
    batch = b"".join(sent)
    return {"raw": len(batch) / TRANSACTIONS} | {
        name: len(shrink(batch)) / TRANSACTIONS for name, shrink in (using or compressors()).items()
    }


def main() -> None:
    """Print bytes by action, beside what the markets use."""
    names = ["raw", *compressors()]
    print(f"{'market':18}{'action':12}" + "".join(f"{name:>11}" for name in names) + f"{'used':>8}")
    for market, action in CALLS:
        found = measured(market, action)
        used = room("markets").find(market).size[action]  # type: ignore[attr-defined]
        print(f"{market:18}{action:12}" + "".join(f"{found[name]:11.0f}" for name in names) + f"{used:8}")
