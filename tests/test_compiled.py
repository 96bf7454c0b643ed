"""Functions in a scalar subset of Python, translated: the same bits, with what they call, and never from stale machine code."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from l2sim.compiled import compiled, pointer
from l2sim.fees.eip1559 import after
from l2sim.markets.constant_product import execute, swap

CALLER = "from inner import third\n\ndef outer(a):\n    return third(a[0]) + 1.0\n"
INNER = "def third(x):\n    return x / {divisor}\n"
ASK = "import numpy as np; from outer import outer; from l2sim.compiled import compiled; print(compiled(outer)(np.ones(1)))"


def test_a_function_is_made_anew_when_one_that_it_calls_has_changed(tmp_path: Path) -> None:
    (tmp_path / "outer.py").write_text(CALLER)
    said = []
    for divisor in ("3.0", "3.0", "40.0"):
        (tmp_path / "inner.py").write_text(INNER.format(divisor=divisor))
        done = subprocess.run([sys.executable, "-c", ASK], cwd=tmp_path, capture_output=True, text=True, check=True)
        said.append(float(done.stdout))
    assert said == [1.0 + 1.0 / 3.0, 1.0 + 1.0 / 3.0, 1.025]


@pytest.mark.parametrize("seed", range(3))
def test_translated_functions_give_the_same_bits(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for amount, into, out_of, fee in (rng.random((200, 4)) * (1e6, 1e9, 1e5, 0.1)).tolist():
        assert compiled(swap)(amount, into, out_of, fee) == swap(amount, into, out_of, fee)
    for fee, gas in zip(rng.integers(1, 2**62 // 30_000_000, 200).tolist(), rng.integers(0, 30_000_000, 200).tolist(), strict=True):
        terms = np.array([6, 250, 100_000, 0])
        assert compiled(after)(fee, gas, 30_000_000, terms) == after(fee, gas, 30_000_000, (6, 250, 100_000))


def test_a_kernel_can_be_handed_over_and_kept() -> None:
    from numba import types
    from numba.typed import List

    floats, wholes = types.float64[::1], types.int64[::1]
    number, whole = types.float64, types.int64
    signature = whole(floats, wholes, types.float64[:, ::1], floats, whole, whole, *[number] * 5, floats)
    kernels = List.empty_list(types.FunctionType(signature))
    kernels.append(pointer(execute, signature))
    assert len(kernels) == 1
    assert pointer(execute, signature) is pointer(execute, signature)
