import numpy as np
import pytest
from pydantic import ValidationError
from scipy import stats

from l2sim.latency import Latency
from l2sim.latency.constant import Constant
from l2sim.latency.lognormal import Lognormal
from l2sim.units import MS


def test_constant():
    delays = Latency.model_validate("30ms").draw(np.random.default_rng(0), 3)
    assert delays.tolist() == [30 * MS] * 3
    assert delays.dtype == np.int64


def test_lognormal():
    delays = Lognormal(median="80ms", sigma=0.5).draw(np.random.default_rng(1), 20_000)
    assert delays.dtype == np.int64
    assert delays.min() > 0
    assert stats.kstest(delays, stats.lognorm(0.5, scale=80 * MS).cdf).pvalue > 1e-4
    assert Lognormal(median="80ms", sigma=0).draw(np.random.default_rng(1), 2).tolist() == [80 * MS] * 2


@pytest.mark.parametrize("law", [Constant(delay="30ms", stress=0.5), Lognormal(median="30ms", stress=0.5)], ids=lambda law: law.kind)
def test_stress_stretches_the_same_luck(law):
    calm, stressed = (law.draw(np.random.default_rng(2), 100, regime) for regime in (0.0, 4.0))
    np.testing.assert_allclose(stressed, calm * 3.0, atol=2)


@pytest.mark.parametrize("fields", [{"kind": "constant", "delay": "-1ms"}, {"kind": "constant", "delay": "1ms", "stress": -1}])
def test_refuses(fields):
    with pytest.raises(ValidationError, match="must be 0 or more, but is -1"):
        Latency.model_validate(fields)
