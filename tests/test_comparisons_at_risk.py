"""Value at risk where the smallest values are the bad ones."""

import numpy as np
import pytest
from test_comparisons_kinds import grid, read, sampled, wait


def test_the_smallest_values_may_be_the_bad_ones() -> None:
    sample = sampled(grid(grace=[0.0]), {"loss.wait": wait}, replications=400)
    values = sample.values("as_written", "loss.wait", [0])
    found = read(sample, kind="at_risk", figure="loss.wait", over="grace", worst="smallest", share=0.9)
    value, shortfall = found.table["mean"]
    assert value == pytest.approx(np.quantile(values, 0.1))
    assert shortfall == pytest.approx(np.sort(values)[:40].mean())
    low, high = found.table[["low", "high"]].to_numpy()[0]
    assert 28 <= np.count_nonzero(values < low) < np.count_nonzero(values < high) <= 52
    assert "is at most" in found.findings[0]
    assert "in the worst 10 % of runs" in found.findings[0]
    few = read(sampled(grid(grace=[0.0]), {"loss.wait": wait}), kind="at_risk", figure="loss.wait", over="grace", worst="smallest")
    assert "20 runs are too few to bound the quantile, the smallest of them is" in few.findings[0]
