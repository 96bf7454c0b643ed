"""Bytes by transaction: what is compressed is what Ethereum's encoding gives, and the sizes in use are those that are measured."""

import random
import zlib

import pytest

from benchmarks.compression import CALLS, Call, Writer, compressors, measured, rlp
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


@pytest.mark.parametrize(("market", "action"), CALLS)
def test_the_size_of_an_action_is_what_is_measured(market: str, action: str) -> None:
    """To a byte by brotli at level 6, where it is installed; zlib takes up to 8 % more than that."""
    used = room("markets").find(market).size[action]  # type: ignore[attr-defined]
    found = measured(market, action, using={name: shrink for name, shrink in compressors().items() if name in ("zlib 9", "brotli 6")})
    assert found.get("brotli 6", used) == pytest.approx(used, abs=1.0)
    assert 1.0 < found["zlib 9"] / used < 1.08


def test_a_swap_is_a_call_of_eight_words() -> None:
    assert 300 < measured("constant_product", "buy", using=ZLIB)["raw"] < 420


def test_a_signature_does_not_compress() -> None:
    luck = random.Random(1)
    writer = Writer(luck)
    sent = writer.transaction(b"abcd", Call(()))
    assert sent[0] == 2
    assert min(found["zlib 9"] for found in (measured(market, action, using=ZLIB) for market, action in list(CALLS)[:4])) > 65
