from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2sim.ordering import Ordering, Pending
from l2sim.ordering.first_come_first_served import FirstComeFirstServed
from l2sim.ordering.priority_fee import PriorityFee
from l2sim.ordering.random import Random

KINDS = [FirstComeFirstServed(), PriorityFee(), Random()]
ROWS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2**64 - 1), st.integers(0, 3)), max_size=30, unique_by=lambda row: row[1])


def pending(rows: list[tuple[int, int, int]]) -> Pending:
    """Rows of (arrives, tie, tip)."""
    arrives, tie, tip = zip(*rows, strict=True) if rows else ((), (), ())
    gas = np.full(len(rows), 21_000, np.int64)
    return Pending(np.array(arrives, np.int64), np.array(tie, np.uint64), np.array(tip, np.int64), gas)


def ordered(ordering: Ordering, rows: list[tuple[int, int, int]], seed: int = 0) -> list[tuple[int, int, int]]:
    return [rows[i] for i in ordering.order(pending(rows), np.random.default_rng(seed)).tolist()]


@pytest.mark.parametrize("ordering", KINDS, ids=lambda ordering: ordering.kind)
@given(rows=ROWS, seed=st.integers(0, 99), shuffle=st.randoms(use_true_random=False))
def test_every_row_comes_once_and_its_number_does_not_matter(ordering, rows, seed, shuffle):
    shuffled = list(rows)
    shuffle.shuffle(shuffled)
    found = ordered(ordering, rows, seed)
    assert sorted(found) == sorted(rows)
    assert found == ordered(ordering, shuffled, seed)


@given(ROWS)
def test_first_come_first_served(rows):
    assert ordered(FirstComeFirstServed(), rows) == sorted(rows)
    assert FirstComeFirstServed.by_arrival


@given(ROWS)
def test_priority_fee(rows):
    assert ordered(PriorityFee(), rows) == sorted(rows, key=lambda row: (-row[2], row[0], row[1]))
    assert not PriorityFee.by_arrival


def test_simultaneous_rows_go_by_their_keys():
    rows = [(5, 9, 1), (5, 2, 1), (5, 2**64 - 1, 1), (5, 4, 1)]
    for ordering in (FirstComeFirstServed(), PriorityFee()):
        assert [tie for _, tie, _ in ordered(ordering, rows)] == [2, 4, 9, 2**64 - 1]


def test_random_is_a_fair_shuffle_blind_to_fees():
    rows, n = [(1, 11, 0), (2, 12, 900), (3, 13, 5)], 6000
    rng = np.random.default_rng(8)
    counts = dict.fromkeys(permutations(range(3)), 0)
    for _ in range(n):
        counts[tuple(Random().order(pending(rows), rng).tolist())] += 1
    assert sum((count - n / 6) ** 2 / (n / 6) for count in counts.values()) < 25.7  # chi-squared, 5 degrees of freedom, 1e-4


def test_who_sees_what_waits():
    for ordering in KINDS:
        assert ordering.visible("public", "pending") is (ordering.kind == "priority_fee")
        assert ordering.visible("sequencer", "pending")
        assert ordering.visible("public", "sealed")
