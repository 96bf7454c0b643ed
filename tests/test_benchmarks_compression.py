"""Bytes by transaction: what is compressed is what Ethereum's encoding gives, and the sizes in use are near or said to be far."""

import random
import zlib

import pytest

from benchmarks.compression import CALLS, Call, Writer, measured, rlp
from l2sim.part import room

ZLIB = {"zlib 9": lambda data: zlib.compress(data, 9)}
STEPS = {"flash_loan", "flash_repay"}
"""Steps of other transactions, which have no signature of their own."""


def test_rlp_is_that_of_the_yellow_paper() -> None:
    assert rlp(b"dog") == b"\x83dog"
    assert rlp([rlp(b"cat"), rlp(b"dog")]) == b"\xc8\x83cat\x83dog"
    assert rlp(b"") == b"\x80"
    assert rlp(b"\x0f") == b"\x0f"
    assert rlp([]) == b"\xc0"
    text = b"Lorem ipsum dolor sit amet, consectetur adipisicing elit"
    assert rlp(text) == b"\xb8\x38" + text


def test_every_action_is_measured() -> None:
    for market, kind in room("markets").kinds().items():
        actions = set(kind.size) - STEPS if kind.__module__.startswith("l2sim.") else set()  # type: ignore[attr-defined]
        assert actions <= {action for of, action in CALLS if of == market}, market


def test_the_size_of_a_swap_is_what_is_measured() -> None:
    found = measured("constant_product", "buy", using=ZLIB)
    used = room("markets").find("constant_product").size["buy"]  # type: ignore[attr-defined]
    assert found["zlib 9"] == pytest.approx(used, rel=0.12)
    assert 300 < found["raw"] < 420


def test_a_signature_does_not_compress() -> None:
    luck = random.Random(1)
    writer = Writer(luck)
    sent = writer.transaction(b"abcd", Call(()))
    assert sent[0] == 2
    assert min(found["zlib 9"] for found in (measured(market, action, using=ZLIB) for market, action in list(CALLS)[:4])) > 65
