"""Statistics that studies rest on: common random numbers, coverage, sensitivity, values at risk."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pytest
import scipy.special
import scipy.stats
from validation import SCENARIOS, SEED, DisagreementError, Estimate, agree, equal, run

from l2sim.designs.morris import Morris
from l2sim.designs.sobol import Sobol
from l2sim.distributions.exponential import Exponential
from l2sim.events import TransactionServed
from l2sim.scenario import Scenario
from l2sim.statistics import quantiles
from l2sim.statistics.batches import batch_means
from l2sim.statistics.difference import variance_reduction
from l2sim.statistics.intervals import Interval, interval
from l2sim.statistics.proportion import wilson
from l2sim.statistics.quantiles import expected_shortfall, quantile
from l2sim.statistics.sensitivity import Indices, morris, sobol
from l2sim.streams import Streams
from l2sim.units import HOUR, SECOND

Floats = npt.NDArray[np.float64]
Record = Callable[..., None]


def covered(intervals: Sequence[Interval], truth: float, expected: float = 0.95) -> Estimate:
    """The share of intervals that hold the truth, with the standard error that the expected share has: the found one may be 1."""
    share = float(np.mean([found.low <= truth <= found.high for found in intervals]))
    return Estimate(share, float(np.sqrt(expected * (1.0 - expected) / len(intervals))), len(intervals))


# ---- 12.1, common random numbers


def latencies(mean: int, replication: int = 0, *, others: bool = False) -> Floats:
    """Of each transaction of a crowd from the second hour on, seconds; others, who draw as well, are there or not."""
    scenario = Scenario.load(SCENARIOS / "latencies.yaml", (f"agents.traders.gas_used.mean={mean} kgas",))
    log = run(scenario if others else scenario.without("agents.earlier"), replication=replication)
    sender, submitted, begins, ends = log.select(TransactionServed, "sender", "submitted", "begins", "ends")
    group = log.about["groups"]["traders"]
    theirs = (group["first"] <= sender) & (sender < group["last"]) & (submitted >= HOUR)
    order = np.argsort(submitted[theirs], kind="stable")
    return ((ends - begins)[theirs] / SECOND)[order]


def test_common_random_numbers(record_property: Record) -> None:
    """200 ms against 250 ms where others draw as well: both are 0.2 and 0.25 times the same luck, so the ratio is free of chance."""
    slow, fast, elsewhere = latencies(250, others=True), latencies(200), latencies(200, replication=1)
    n = min(len(slow), len(fast), len(elsewhere))
    paired, apart = (Estimate.of((slow[:n] - other[:n] - 0.05) ** 2) for other in (fast, elsewhere))
    for line in (
        agree("12.1 variance of differences on common luck (s²)", paired, 0.0025, {"one shared stream": 0.1025}),
        agree("12.1 variance of differences on separate luck (s²)", apart, 0.1025, {"common luck": 0.0025}),
        equal("12.1 what common luck gains", variance_reduction(slow[:n], fast[:n]), 41.0, 1e-3),
    ):
        record_property("validation", line)


def test_one_stream_shared_by_all_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake: whoever asks draws from the same stream, so that one more who draws puts everybody out of step."""

    def shared(streams: Streams, name: str, index: int = 0) -> np.random.Generator:
        return streams.__dict__.setdefault("shared", np.random.Generator(np.random.Philox(key=streams.key("everybody"))))

    monkeypatch.setattr(Streams, "generator", shared)
    slow, fast, in_step = latencies(250, others=True), latencies(200), latencies(250)
    n = min(len(slow), len(fast))
    gain = variance_reduction(slow[:n], fast[:n])
    assert gain == pytest.approx(1.0, abs=0.1)
    with pytest.raises(DisagreementError):
        equal("12.1 what common luck gains", gain, 41.0, 1e-3)
    assert variance_reduction(in_step, fast) == pytest.approx(41.0, rel=1e-3)  # so nobody notices until somebody comes along


# ---- 12.3, coverage


def students_t(n: int, record_property: Record) -> None:
    rng = Streams(SEED).generator("coverage of t")
    normal = covered([interval(sample) for sample in rng.standard_normal((n, 10))], 0.0)
    exponential = covered([interval(sample) for sample in rng.standard_exponential((n, 10))], 1.0, 0.9006)
    record_property("validation", agree("12.3 coverage of t, normal, n = 10", normal, 0.95, {"z in place of t": 0.918}))
    record_property("validation", agree("12.3 coverage of t, exponential, n = 10", exponential, 0.9006, {"as on normal data": 0.95}))


def test_coverage_of_students_t(record_property: Record) -> None:
    students_t(10_000, record_property)


@pytest.mark.validate
def test_coverage_of_students_t_in_full(record_property: Record) -> None:
    students_t(100_000, record_property)


def test_z_in_place_of_t_is_caught(monkeypatch: pytest.MonkeyPatch, record_property: Record) -> None:
    monkeypatch.setattr(scipy.special, "stdtrit", lambda degrees, p: scipy.special.ndtri(p))
    with pytest.raises(DisagreementError, match="normal"):
        students_t(10_000, record_property)


def exact_coverage(rule: Callable[[int, int], tuple[float, float]], p: float, n: int) -> float:
    ends = [rule(k, n) for k in range(n + 1)]
    return float(sum(scipy.stats.binom.pmf(k, n, p) for k, (low, high) in enumerate(ends) if low <= p <= high))


def wald(k: int, n: int) -> tuple[float, float]:
    half = 1.959964 * np.sqrt(k * (n - k) / n**3)
    return k / n - half, k / n + half


def test_rare_events(record_property: Record) -> None:
    """Wilson's interval for p = 0.01 of n = 100 covers 0.92063, Wald's only 0.63343; 3 of 100 is [0.010255, 0.084519]."""
    found = exact_coverage(lambda k, n: wilson(k, n)[1:3], 0.01, 100)
    record_property("validation", equal("12.3 exact coverage of Wilson's interval", found, 0.92063, 1e-5))
    assert exact_coverage(wald, 0.01, 100) == pytest.approx(0.63343, abs=1e-5)
    three = wilson(3, 100)
    record_property("validation", equal("12.3 Wilson's interval, 3 of 100, low", three.low, 0.010255, 5e-5))
    record_property("validation", equal("12.3 Wilson's interval, 3 of 100, high", three.high, 0.084519, 6e-6))
    with pytest.raises(DisagreementError):
        equal("Wald's", exact_coverage(wald, 0.01, 100), 0.92063, 1e-4)


def waits_of_a_long_run(runs: int, record_property: Record) -> None:
    """Waits of 5000 arrivals at a queue M/M/1 with a load of 0.8, which begins empty, as the event loop makes them."""
    scenario = Scenario.load(SCENARIOS / "queue.yaml", ("agents.traders.gas_used={kind: exponential, mean: 1 Mgas}", "duration=69 s"))
    made: dict[str, list[Interval]] = {"naive": [], "10 batches": [], "25 batches": []}
    for replication in range(runs):
        arrives, begins = run(scenario, replication=replication).select(TransactionServed, "arrives", "begins")
        waits = ((begins - arrives) / SECOND)[:5000]
        made["naive"].append(interval(waits))
        made["10 batches"].append(batch_means(waits, 10))
        made["25 batches"].append(batch_means(waits, 25))
    for name, expected in (("10 batches", 0.893), ("25 batches", 0.871)):
        line = agree(f"12.3 coverage of batch means of waits, {name}", covered(made[name], 0.04, expected), expected, {"naive": 0.18})
        record_property("validation", line)
    with pytest.raises(DisagreementError):  # the mistake: neighbours taken for independent
        agree("naive", covered(made["naive"], 0.04, 0.893), 0.893, {})


def test_batch_means(record_property: Record) -> None:
    waits_of_a_long_run(40, record_property)


@pytest.mark.validate
def test_batch_means_in_full(record_property: Record) -> None:
    waits_of_a_long_run(2000, record_property)


# ---- 12.4, sensitivity


def ishigami(u: Floats) -> Floats:
    x = (2.0 * u - 1.0) * np.pi
    return np.sin(x[..., 0]) + 7.0 * np.sin(x[..., 1]) ** 2 + 0.1 * x[..., 2] ** 4 * np.sin(x[..., 0])


def g_function(u: Floats) -> Floats:
    a = np.array([0.0, 1.0, 4.5, 9.0, 99.0, 99.0, 99.0, 99.0])
    return np.prod((np.abs(4.0 * u - 2.0) + a) / (1.0 + a), axis=-1)


KNOWN: dict[str, tuple[Callable[[Floats], Floats], int, tuple[float, ...], tuple[float, ...]]] = {
    "Ishigami": (ishigami, 3, (0.313905, 0.442411, 0.0), (0.557589, 0.442411, 0.243684)),
    "g-function": (g_function, 8, (0.716192, 0.179048, 0.023676), (0.787144, 0.242198, 0.034317)),
}
"""Function, factors, first-order and total indices of the first three."""


def unit_cube(factors: int) -> dict[str, dict[str, float]]:
    return {f"x{factor + 1}": {"from": 0.0, "to": 1.0} for factor in range(factors)}


def indices(name: str, scramble: int = 0, plus: float = 0.0, resamples: int = 99) -> Indices:
    """At the points of Saltelli's design with 4096 rows, with a constant on top."""
    function, factors, _, _ = KNOWN[name]
    design = Sobol(factors=unit_cube(factors), size=4096)
    y = function(design.coordinates(np.random.default_rng([SEED, scramble]))) + plus
    a, b, ab = design.blocks()
    return sobol(y[a], y[b], [y[rows] for rows in ab.values()], resamples=resamples)


def sensitivities(name: str) -> list[str]:
    """Within 0.02 of theory with 4096 rows, in the mean over eight scrambles, of which one may be unlucky; the same whatever is added."""
    found = [indices(name, scramble, resamples=9) for scramble in range(8)]
    shifted = indices(name, plus=1000.0, resamples=9)
    lines = []
    for order, (label, known) in enumerate(zip(("first", "total"), KNOWN[name][2:], strict=True)):
        for factor, value in enumerate(known):
            what = f"12.4 {name}, {label} order of factor {factor + 1}"
            mean = float(np.mean([each[order][factor].mean for each in found]))
            if not abs(mean - value) <= 0.02:
                raise DisagreementError(f"{what}: {mean:g}, not {value:g}")
            once, again = found[0][order][factor], shifted[order][factor]
            if not np.abs(np.subtract(once, again)).max() <= 1e-9:
                raise DisagreementError(f"{what}: {again.mean:g} after adding 1000, {once.mean:g} before")
            lines.append(f"{what:58} {value:12.6g} {mean:12.6g}")
    return lines


@pytest.mark.parametrize("name", KNOWN)
def test_sobol_indices(name: str, record_property: Record) -> None:
    for line in sensitivities(name):
        record_property("validation", line)


@pytest.mark.validate
@pytest.mark.parametrize("name", KNOWN)
def test_sobol_indices_in_full(name: str, record_property: Record) -> None:
    """Over 48 scrambles; mistaking one order for the other is far off where factors work together."""
    _, _, *known = KNOWN[name]
    found = [indices(name, scramble, 1000.0, resamples=9) for scramble in range(48)]
    for order, label in enumerate(("first", "total")):
        for factor in range(3):
            value, other = known[order][factor], known[1 - order][factor]
            means = Estimate.of([each[order][factor].mean for each in found])
            mistakes = {"the other order": other} if abs(value - other) > 0.02 else {}
            record_property("validation", agree(f"12.4 {name}, {label} order of factor {factor + 1}", means, value, mistakes))


def test_estimators_that_are_not_centred_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake: the same averages without taking the mean away first, which goes wrong where it is large."""

    class NotCentred:
        def __init__(self, func: dict[str, Floats], n: int) -> None:
            a, b, ab = func["f_A"], func["f_B"], func["f_AB"]
            variance = np.var([a, b], axis=(0, -1))
            self.first_order = ((b * (ab - a)).mean(axis=-1) / variance).T
            self.total_order = (((a - ab) ** 2).mean(axis=-1) / variance / 2).T

    monkeypatch.setattr(scipy.stats, "sobol_indices", NotCentred)
    for name in KNOWN:
        with pytest.raises(DisagreementError, match="after adding 1000"):
            sensitivities(name)


def test_elementary_effects_of_a_straight_line(record_property: Record) -> None:
    """3 x1 - 2 x2 + 0 x3: sizes 3, 2 and 0 without spread. Effects over a step of another length are not these."""
    x = Morris(factors=unit_cube(3), size=10).coordinates(Streams(SEED).generator("trajectories"))
    y = 3.0 * x[:, 0] - 2.0 * x[:, 1]
    found = morris(x, y)
    assert [effect.mean for effect in found.mu_star] == pytest.approx([3.0, 2.0, 0.0], abs=1e-12)
    assert [effect.mean for effect in found.mu] == pytest.approx([3.0, -2.0, 0.0], abs=1e-12)
    assert np.abs(found.sigma).max() <= 1e-12
    record_property("validation", equal("12.4 Morris's mu* of 3 x1", found.mu_star[0].mean, 3.0, 1e-12))
    with pytest.raises(DisagreementError):
        equal("another step", morris(x, y, levels=6).mu_star[0].mean, 3.0, 1e-12)


# ---- 12.5, values at risk


def at_risk(samples: int, record_property: Record) -> None:
    """Of 10,000 losses that are exponential with mean 1, drawn as agents draw: by inversion from a stream of their own."""
    law, streams = Exponential(mean="1"), Streams(SEED)
    losses = [law.draw(streams.generator("losses", i), 10_000) for i in range(samples)]
    risks, shortfalls = ([rule(each, 0.95) for each in losses] for rule in (quantile, expected_shortfall))
    values = np.array([found.mean for found in risks])
    squares = Estimate.of((values - values.mean()) ** 2 * samples / (samples - 1))
    whole = {"coverage of an interval that is half as wide": 0.673}
    for line in (
        agree("12.5 value at risk, q = 0.95", Estimate.of(values), 2.995732, {"q = 0.94": 2.813411}),
        agree("12.5 its squared standard error", squares, 0.04359**2, {"without the density": 0.00218**2}),
        agree("12.5 coverage of its interval", covered(risks, 2.995732), 0.95, whole),
        agree(
            "12.5 expected shortfall", Estimate.of([found.mean for found in shortfalls]), 3.995732, {"value at risk": 2.995732, "all": 1.0}
        ),
        agree("12.5 coverage of its interval of expected shortfall", covered(shortfalls, 3.995732), 0.95, whole),
    ):
        record_property("validation", line)


def test_values_at_risk(record_property: Record) -> None:
    at_risk(200, record_property)


@pytest.mark.validate
def test_values_at_risk_in_full(record_property: Record) -> None:
    at_risk(1000, record_property)  # of many more one would see the bias of an estimate from 10,000 losses, -0.0009


def test_a_shortfall_over_values_below_the_quantile_is_caught(monkeypatch: pytest.MonkeyPatch, record_property: Record) -> None:
    """The mistake: what is below the value at risk counts as well, with a minus sign."""
    monkeypatch.setattr(quantiles, "_excess", lambda values, level: values - level)
    with pytest.raises(DisagreementError, match="expected shortfall"):
        at_risk(200, record_property)
