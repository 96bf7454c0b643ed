"""The length of FastLZ-compressed data, which the OP Stack estimates the size of a transaction in a batch from since Fjord.

Source: OP specifications, protocol/fjord (FastLZ implementation), and op-geth core/types/rollup_cost.go, 2024-10-23. Only the length is
computed: literals come in runs of up to 32 after a byte that counts them, a match takes two bytes, or three where it is long.
"""

TABLE = 2**13
"""Entries of the hash table, and the distance from which on a match is too far back."""
RUN = 32
"""Most literals in a run."""
LONGEST = 262
"""Most bytes that one match can stand for, less one."""
TAIL = 13
"""Bytes at the end in which no match begins."""


def fastlz_size(data: bytes) -> int:
    """Bytes that FastLZ (level 1) makes of the data."""
    table = [0] * TABLE
    end = max(len(data) - TAIL, 0)
    size, literal, at = 0, 0, 2
    while at < end:
        found = -1
        while at < end:
            word = _three(data, at)
            slot = _slot(word)
            before, table[slot] = table[slot], at
            if at - before < TABLE and word == _three(data, before):
                found = before
                break
            at += 1
        if found < 0 or at + 1 >= end:  # the reference looks one position ahead before it accepts a match
            break
        size += _literals(at - literal)
        length = _common(data, found + 3, at + 3, end + 9)
        size += _match(length)
        at += length
        for _ in range(2):
            table[_slot(_three(data, at))] = at
            at += 1
        literal = at
    return size + _literals(len(data) - literal)


def _three(data: bytes, at: int) -> int:
    return data[at] | data[at + 1] << 8 | data[at + 2] << 16


def _slot(word: int) -> int:
    return (2_654_435_769 * word & 0xFFFF_FFFF) >> 19 & TABLE - 1


def _common(data: bytes, one: int, other: int, end: int) -> int:
    """One more than the bytes that agree, or all of them up to the end."""
    for length in range(end - other):
        if data[one + length] != data[other + length]:
            return length + 1
    return max(end - other, 0)


def _literals(number: int) -> int:
    runs, rest = divmod(number, RUN)
    return (RUN + 1) * runs + (rest + 1 if rest else 0)


def _match(length: int) -> int:
    whole, rest = divmod(length - 1, LONGEST)
    return 3 * whole + (3 if rest >= 6 else 2)
