"""How likely a price is to touch 80 % of where it was within thirty days, as an oracle sees it that reports now and then."""

from collections.abc import Callable
from math import erfc, exp, log, sqrt
from typing import Any

import numpy as np
import pytest
from joblib import Parallel, delayed
from ruamel.yaml import YAML
from validation import SCENARIOS, SEED, DisagreementError, Estimate, agree, run

from l2sim.events import OracleUpdated, PositionClosed, PositionLiquidated, PositionOpened
from l2sim.prices import geometric_brownian
from l2sim.scenario import Scenario
from l2sim.units import DAY

VOLATILITY, BARRIER, DAYS = 0.8, 0.8, 30
MARKETS = 20  # in one run, each with a price of its own
STAGGERED = 4  # positions in a market at once, each begun a quarter of a window after the last
REFERENCES = {"of", "index", "market", "feed"}  # keys under which a member of a scenario names another

# Hours between reports: the probability, as listed; and what continuous monitoring and a look at expiry alone give.
LISTED = {1: 0.357426, 8: 0.338438, 24: 0.318504}
CONTINUOUS, EXPIRY = 0.368359, 0.195377


# ---- what theory says


def normal(x: float) -> float:
    return 0.5 * erfc(-x / sqrt(2.0))


def continuous(volatility: float = VOLATILITY, barrier: float = BARRIER, days: float = DAYS) -> float:
    """The reflection principle with drift: Φ((b - νT) / σ√T) + exp(2νb / σ²) Φ((b + νT) / σ√T), ν = -σ²/2."""
    b, nu, years = log(barrier), -(volatility**2) / 2.0, days / 365.0
    scale = volatility * sqrt(years)
    return normal((b - nu * years) / scale) + exp(2.0 * nu * b / volatility**2) * normal((b + nu * years) / scale)


def at_expiry(volatility: float = VOLATILITY, barrier: float = BARRIER, days: float = DAYS) -> float:
    scale = volatility * sqrt(days / 365.0)
    return normal((log(barrier) + scale**2 / 2.0) / scale)


def at_reports(hours: float, volatility: float = VOLATILITY, barrier: float = BARRIER, days: float = DAYS) -> float:
    """The exact recursion: the density above the barrier, one report after the other, by Gauss-Legendre quadrature."""
    step, b = volatility * sqrt(hours / 24.0 / 365.0), log(barrier)
    top = 7.0 * volatility * sqrt(days / 365.0)
    panels = int((top - b) / (2.0 * step)) + 1
    points, weights = np.polynomial.legendre.leggauss(12)
    width = (top - b) / panels
    x = (b + width * (np.arange(panels)[:, None] + (points + 1.0) / 2.0)).ravel()
    w = np.tile(weights * width / 2.0, panels)

    def density(move: Any) -> Any:
        return np.exp(-(((move + step**2 / 2.0) / step) ** 2) / 2.0) / (step * sqrt(2.0 * np.pi))

    alive = density(x)
    kernel = density(x[:, None] - x[None, :]) * w
    for _ in range(round(days * 24 / hours) - 1):
        alive = kernel @ alive
    return 1.0 - float(w @ alive)


@pytest.mark.parametrize("hours", [8, 24])
def test_theory_is_as_listed(hours: int) -> None:
    assert at_reports(hours) == pytest.approx(LISTED[hours], abs=1e-6)
    assert (continuous(), at_expiry()) == pytest.approx((CONTINUOUS, EXPIRY), abs=1e-6)
    assert at_reports(24 * DAYS) == pytest.approx(EXPIRY, abs=1e-6)


# ---- what the simulator says


def windows(n: int, hours: float, reports: int) -> dict[str, Any]:
    """Steps of a trader: in each account, one position after the other.

    A position is opened at the price of a report and closed after the block in which the last of its reports would have had it
    liquidated: an eighth and three quarters of the time between reports later than these.
    """
    steps = {}
    for account in range(STAGGERED):
        for number in range(n):
            first = 1 + account * reports // STAGGERED + number * (reports + 1)
            acts = {"open": (first + 0.125, {"size": 1, "leverage": 5}), "close": (first + reports + 0.75, {"fraction": 1})}
            for act, (at, fields) in acts.items():
                step = {"at": f"{at * hours * 3600:.0f} s", "market": "perp", "action": act, "account": account, "fields": fields}
                steps[f"{act}_{account}_{number}"] = step
    return steps


def renamed(value: Any, number: int, key: str = "") -> Any:
    """A member of the file's scenario with the names that it refers to numbered."""
    if isinstance(value, dict):
        return {inner: renamed(one, number, inner) for inner, one in value.items()}
    return f"{value}_{number}" if key in REFERENCES else value


def markets(hours: float, n: int, volatility: float = VOLATILITY, days: int = DAYS) -> Scenario:
    """The file's scenario with many markets instead of one, and ``n`` windows of that many days in each trader's account."""
    plan = YAML(typ="safe").load(SCENARIOS / "touching.yaml")
    reports = round(days * 24 / hours)
    last = 1 + (STAGGERED - 1) * reports // STAGGERED + n * (reports + 1)
    plan["duration"] = f"{last * hours * 3600:.0f} s"
    plan["prices"]["eth"]["volatility"] = volatility
    plan["chains"]["arb"]["sequencer"]["block_time"] = f"{hours * 1800:.0f} s"
    plan["agents"]["reporter"]["heartbeat"] = f"{hours * 3600:.0f} s"
    plan["agents"]["trader"]["steps"] = windows(n, hours, reports)
    for section in ("prices", "markets", "agents"):
        members = plan[section].items()
        plan[section] = {f"{name}_{number}": renamed(member, number) for number in range(MARKETS) for name, member in members}
    return Scenario.of(plan, "touching")


def shares(scenario: Scenario, seed: int, replication: int) -> list[float]:
    """In each market, the share of positions that were liquidated; markets are independent, positions in one are not."""
    history = run(scenario, seed, replication)
    found = []
    for number in range(MARKETS):
        opened, touched, closed = (
            len(history.select(fact, "time", market=f"perp_{number}")[0]) for fact in (PositionOpened, PositionLiquidated, PositionClosed)
        )
        assert opened == touched + closed
        assert opened == len(scenario.agents[f"trader_{number}"].steps) // 2  # type: ignore[attr-defined]
        found.append(touched / opened)
    return found


def estimate(hours: float, n: int, replications: int, volatility: float = VOLATILITY, days: int = DAYS, jobs: int = 1) -> Estimate:
    scenario = markets(hours, n, volatility, days)
    if jobs == 1:
        parts = [shares(scenario, SEED, replication) for replication in range(replications)]
    else:
        parts = Parallel(n_jobs=jobs)(delayed(shares)(scenario, SEED, replication) for replication in range(replications))
    return Estimate.of(np.concatenate(parts))


def check(hours: float, n: int, replications: int, jobs: int = 1, volatility: float = VOLATILITY, days: int = DAYS) -> str:
    wrong = {
        "continuous monitoring": continuous(volatility, days=days),
        "a look at expiry alone": at_expiry(volatility, days=days),
        "a year of 252 days": at_reports(hours, volatility * sqrt(365.0 / 252.0), days=days),
    }
    found = estimate(hours, n, replications, volatility, days, jobs)
    return agree(
        f"8.8 P(touch), a report every {hours} h, {days} d, {volatility:.0%}", found, at_reports(hours, volatility, days=days), wrong
    )


def test_a_report_a_day(record_property: Callable[..., None]) -> None:
    record_property("validation", check(24, 30, 8))


@pytest.mark.validate
@pytest.mark.parametrize(("hours", "volatility", "days"), [(24, 0.8, 30), (8, 0.8, 30), (12, 1.2, 10)])
def test_reports_now_and_then_in_full(hours: int, volatility: float, days: int, record_property: Callable[..., None]) -> None:
    record_property("validation", check(hours, 20, 40, volatility=volatility, days=days))


@pytest.mark.validate
def test_a_report_an_hour_in_full(record_property: Callable[..., None]) -> None:
    """As many windows as it takes to tell the hourly oracle from a continuous one: about 96,000 of prices, 384,000 positions."""
    assert at_reports(1) == pytest.approx(LISTED[1], abs=1e-6)
    record_property("validation", check(1, 10, 480, jobs=2))


# ---- the mechanism, and a listed mistake injected


def test_reports_come_at_heartbeats_and_nothing_between() -> None:
    history = run(markets(24, 1))
    times, values = history.select(OracleUpdated, "time", "value", market="feed_3")
    assert (times % DAY == DAY // 2).all()
    assert (np.diff(times) == DAY).all()
    assert len(set(values.tolist())) == len(values)
    entries, levels = history.select(PositionOpened, "entry", "liquidation_price", market="perp_3")
    assert levels == pytest.approx(BARRIER * entries, rel=1e-12)
    assert set(entries.tolist()) <= set(values.tolist())


def test_a_year_of_trading_days_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake: volatility a year spread over 252 days, while days pass like those of 365."""
    monkeypatch.setattr(geometric_brownian, "YEAR", 252 * DAY)
    with pytest.raises(DisagreementError):
        check(24, 30, 3)
