"""Sensitivity: which factors move a figure. Sobol's shares of its variance, and Morris's elementary effects."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from l2sim.statistics.bootstrap import generator
from l2sim.statistics.intervals import CONFIDENCE, Floats, Interval

RESAMPLES = 999
BATCH = 1 << 20
"""Numbers that are drawn at a time for each factor, so that memory stays flat."""


class Indices(NamedTuple):
    """Shares of a figure's variance, one for each factor; estimates may lie a little outside 0 and 1."""

    first: list[Interval]
    """By that factor alone."""
    total: list[Interval]
    """By it and by what it does together with others; what is more than ``first`` are interactions."""


class Effects(NamedTuple):
    """Changes of a figure when one factor moves, in the figure's unit per whole range of the factor; one for each factor."""

    mu_star: list[Interval]
    """The mean of their sizes: how much the factor matters."""
    mu: list[Interval]
    """Their mean: in which direction."""
    sigma: list[float]
    """Their standard deviation: not a straight line, or interactions, where it is not small against ``mu_star``."""


def sobol(a: Floats, b: Floats, ab: Floats | Sequence[Floats], confidence: float = CONFIDENCE, resamples: int = RESAMPLES) -> Indices:
    """First-order and total indices from a figure at the points of Saltelli's design, with bootstrap intervals.

    The estimators are those of Saltelli et al. 2010, Computer Physics Communications 181, table 2 (b) and (f), of centred values, by
    scipy.stats.sobol_indices; intervals are quantiles over rows drawn again. Points of low discrepancy know more than independent
    ones, so these intervals are rather too wide.

    Args:
        a: the figure at the rows of the first matrix, shape (n,).
        b: the same of the second, shape (n,).
        ab: for each factor, at the rows of the first matrix with that factor's column from the second; shape (factors, n).
        confidence: of the intervals.
        resamples: how often rows are drawn.

    Returns:
        ``n`` of an interval is the number of rows used. Rows with a value missing are left out; of those that remain, the first so
        many as the largest power of two are used. NaN where fewer than two remain, or the figure is the same everywhere.

    Raises:
        ValueError: shapes do not fit.
    """
    from scipy import stats

    ab = np.asarray(ab, np.float64)
    if a.ndim != 1 or a.shape != b.shape or ab.ndim != 2 or ab.shape[1:] != a.shape:
        raise ValueError(f"a Sobol analysis needs shapes (n,), (n,) and (factors, n), not {a.shape}, {b.shape} and {ab.shape}")
    whole = np.flatnonzero(np.isfinite(a) & np.isfinite(b) & np.isfinite(ab).all(axis=0))
    n = 1 << (len(whole).bit_length() - 1) if len(whole) else 0
    a, b, ab = a[whole[:n]], b[whole[:n]], ab[:, whole[:n]]
    if n < 2 or np.ptp(np.concatenate([a, b])) == 0.0:
        nothing = [Interval(np.nan, np.nan, np.nan, n)] * len(ab)
        return Indices(nothing, nothing)
    rows = np.arange(n)
    again = stats.bootstrap(
        (rows,),
        lambda rows, axis: _indices(a[rows], b[rows], ab[:, rows]),
        vectorized=True,
        n_resamples=resamples,
        batch=max(1, BATCH // n),
        confidence_level=confidence,
        method="percentile",
        rng=generator("sobol"),
    )
    ends = np.stack([_indices(a, b, ab), *again.confidence_interval], axis=-1)
    first, total = ([Interval(mean, low, high, n) for mean, low, high in order] for order in ends.tolist())
    return Indices(first, total)


def _indices(a: Floats, b: Floats, ab: Floats) -> Floats:
    """First-order and total indices; (n,), (n,), (d, n) give (2, d), and (s, n), (s, n), (d, s, n) give (2, d, s)."""
    from scipy.stats import sobol_indices

    d, samples = len(ab), a.shape[:-1]
    # Axes of length one are dropped over there, so a factor is added that is of no interest.
    values = {"f_A": np.atleast_2d(a), "f_B": np.atleast_2d(b), "f_AB": np.concatenate([ab, ab[:1]]).reshape(d + 1, -1, a.shape[-1])}
    found = sobol_indices(func=values, n=a.shape[-1])
    both = np.stack([found.first_order, found.total_order]).reshape(2, -1, d + 1)
    indices: Floats = both[:, :, :d].swapaxes(1, 2).reshape(2, d, *samples)
    return indices


def morris(x: Floats, y: Floats, levels: int = 4, confidence: float = CONFIDENCE) -> Effects:
    """Elementary effects from a figure along Morris's trajectories, by SALib (Morris 1991, Technometrics 33; Campolongo et al. 2007).

    Trajectories are independent, so means of effects have intervals of Student's t.

    Args:
        x: factors between 0 and 1, shape (trajectories x (factors + 1), factors): in each trajectory one factor moves at a time.
        y: the figure at these points; a trajectory with a value missing is left out.
        levels: of the grid on which factors move, as the design had it: an even number; a step is levels / (2 (levels - 1)).
        confidence: of the intervals.

    Returns:
        ``n`` of an interval is the number of trajectories; no ends and no sigma where there are fewer than two.

    Raises:
        ModuleNotFoundError: SALib is not installed.
        ValueError: shapes do not fit.
    """
    length = x.shape[1] + 1
    if len(x) != len(y) or len(x) % length:
        raise ValueError(f"{x.shape[1]} factors need trajectories of {length} points; there are {len(x)} points and {len(y)} values")
    whole = np.repeat(np.isfinite(y.reshape(-1, length)).all(axis=1), length)
    x, y = x[whole], y[whole]
    n = len(y) // length
    if n == 0:
        nothing = [Interval(np.nan, np.nan, np.nan, 0)] * x.shape[1]
        return Effects(nothing, nothing, [np.nan] * x.shape[1])
    if n == 1:  # twice the same has the same means
        x, y = np.tile(x, (2, 1)), np.tile(y, 2)
    found = _analysis()(
        {"num_vars": x.shape[1], "names": [str(i) for i in range(x.shape[1])], "bounds": [[0.0, 1.0]] * x.shape[1]},
        x.astype(np.float64),
        y.astype(np.float64),
        num_resamples=2,
        num_levels=levels,
        seed=0,  # of intervals that are not used
    )
    mu, mu_star, sigma = (np.asarray(found[name], np.float64) for name in ("mu", "mu_star", "sigma"))
    # The mean square is the same with and without signs; from it follows the variance of the sizes.
    squares = mu**2 + sigma**2 * (n - 1) / n
    sizes = np.sqrt(np.maximum(squares - mu_star**2, 0.0) * n / max(n - 1, 1))
    return Effects(_means(mu_star, sizes, n, confidence), _means(mu, sigma, n, confidence), sigma.tolist() if n > 1 else [np.nan] * len(mu))


def _means(means: Floats, deviations: Floats, n: int, confidence: float) -> list[Interval]:
    from scipy.special import stdtrit

    halves = stdtrit(n - 1, (1.0 + confidence) / 2.0) * deviations / np.sqrt(n) if n > 1 else np.full(len(means), np.nan)
    return [Interval(mean, mean - half, mean + half, n) for mean, half in zip(means.tolist(), halves.tolist(), strict=True)]


def _analysis() -> Callable[..., Mapping[str, Any]]:
    try:
        from SALib.analyze import morris as method
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "Morris's method needs the package SALib: install the extra 'search', pip install 'l2sim[search]'"
        ) from error
    analyze: Callable[..., Mapping[str, Any]] = method.analyze
    return analyze
