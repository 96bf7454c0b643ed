"""Liquidations of loans: when they make a loan worse, how two steps beat one, and what a delay costs (8.1, 8.2, 8.9)."""

from collections.abc import Callable, Mapping
from math import erfc, log, sqrt
from typing import Any, NamedTuple

import numpy as np
import pytest
from joblib import Parallel, delayed
from ruamel.yaml import YAML
from validation import SCENARIOS, SEED, DisagreementError, Estimate, agree, equal, run

from l2sim.agents.loan_liquidator import desk
from l2sim.events import AccountClosed, BadDebtIncurred, LoanLiquidated, TransactionIncluded
from l2sim.log import Log
from l2sim.markets.lending_pool import kernel, rules
from l2sim.markets.lending_pool.view import LendingPoolView, Loan
from l2sim.scenario import Scenario
from l2sim.streams import Streams
from l2sim.world.world import World

# ---- 8.1: the spiral. Repaying r takes r (1 + i) of collateral C: D / C rises if it is above 1 / (1 + i), and falls if it is below.

TOXIC = {0.05: 0.95238095, 0.08: 0.92592593, 0.10: 0.90909091, 0.15: 0.86956522}
"""The threshold by the incentive."""
NEAR = 1e-6


def spiral(*settings: str) -> Scenario:
    return Scenario.load(SCENARIOS / "lending_spiral.yaml", settings)


def repaid(debt: float, *amounts: float, incentive: float = 0.08) -> tuple[Loan, Log]:
    """What is left of a loan against collateral worth 1000 USD when a stranger has repaid amounts of it, and the log."""
    scenario = spiral(
        f"markets.pool.reserves.eth.liquidation_bonus={incentive!r}", f"agents.borrowers.steps.borrow_0.fields.amount={debt!r} USD"
    )
    account = World(scenario, Streams(SEED)).ledger.groups["borrowers"].accounts.start
    act = {"market": "pool", "action": "liquidate"}
    fields = [{"account": account, "pair": 1, "repay": f"{amount!r} USD"} for amount in amounts]
    steps = {f"repay_{k}": {**act, "at": f"{12.5 + k} s", "fields": one} for k, one in enumerate(fields)}
    world = World(scenario.vary(agents__stranger__steps=steps), Streams(SEED))
    history = world.run()
    (status,) = history.select(TransactionIncluded, "status", action="liquidate")
    assert not status.any()
    view: LendingPoolView = world.chains["arb"].books[0].view()
    return view.position(account), history


def check_threshold(incentive: float) -> None:
    """A small liquidation just above the threshold raises the loan-to-value ratio, just below it lowers it."""
    for side in (1.0, -1.0):
        before = (1.0 / (1.0 + incentive)) * (1.0 + side * NEAR)
        after, _ = repaid(1000.0 * before, 1.0, incentive=incentive)
        if not (after.loan_to_value - before) * side > 0.0:
            raise DisagreementError(f"8.1 incentive {incentive:.0%}: from {before!r} to {after.loan_to_value!r}")


def check_spiral() -> list[str]:
    worse, _ = repaid(940.0, 100.0)
    better, _ = repaid(900.0, 100.0)
    gone, history = repaid(940.0, 10_000.0)
    assert not gone.debt
    assert not gone.collateral
    _, later = repaid(940.0, 100.0, 10_000.0)
    bad = [float(one.select(BadDebtIncurred, "amount")[0].sum()) for one in (history, later)]
    return [
        equal("8.1 LTV 0.94 after repaying 100 of 940, i = 8 %", worse.loan_to_value, 840.0 / 892.0),
        equal("8.1 LTV 0.90 after repaying 100 of 900, i = 8 %", better.loan_to_value, 800.0 / 892.0),
        equal("8.1 bad debt, all at once (USD)", bad[0], 940.0 - 1000.0 / 1.08),
        equal("8.1 bad debt, after a part (USD)", bad[1], 940.0 - 1000.0 / 1.08),
    ]


def check_target(limit: float, expected: float, left: float) -> list[str]:
    """What a liquidator repays who restores a health factor of 1.05, and the health factor after that; ``limit`` of the close factor."""
    scenario = spiral(
        "agents.borrowers.steps.borrow_0.fields.amount=900 USD",
        f"markets.pool.close_factor_health={limit!r}",
        "agents.keeper={kind: loan_liquidator, market: pool, repays: to_target, target: 1.05, sells: never}",
        "chains.outside={kind: outside, impact: none}",
        "duration=11500ms",
    )
    world = World(scenario, Streams(SEED))
    history = world.run()
    (amounts,) = history.select(LoanLiquidated, "repaid")
    (account,) = history.select(LoanLiquidated, "account")[0].tolist()
    health = world.chains["arb"].books[0].view().position(account).health_factor
    return [
        equal(f"8.1 repaid to a health of 1.05, half only above {limit} (USD)", float(amounts[0]), expected),
        equal(f"8.1 health factor after that, half only above {limit}", health, left),
    ]


TARGETS = [(0.95, 719.69696970, 1.05), (0.90, 450.0, 0.85 * (1000.0 - 450.0 * 1.08) / 450.0)]
"""A health factor of 0.944 is below the first, so all may be repaid; under the second half of it may be."""


@pytest.mark.parametrize("incentive", TOXIC)
def test_a_small_liquidation_on_either_side_of_the_toxic_threshold(incentive: float) -> None:
    assert 1.0 / (1.0 + incentive) == pytest.approx(TOXIC[incentive], abs=5e-9)
    check_threshold(incentive)


def test_a_spiral_and_what_it_leaves(record_property: Callable[..., None]) -> None:
    lines = [*check_spiral(), *(line for target in TARGETS for line in check_target(*target))]
    for line in lines:
        record_property("validation", line)


def test_an_incentive_that_divides_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake: a threshold of 1 - i, as if r / (1 - i) were seized."""
    monkeypatch.setattr(kernel, "seized", lambda r, balance, p, q, bonus: min(balance, r * q / p / (1.0 - bonus)))
    with pytest.raises(DisagreementError):
        check_threshold(0.08)
    with pytest.raises(DisagreementError):
        check_spiral()


def test_a_liquidation_threshold_in_place_of_the_ratio_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake: debt over what the collateral counts, which is 1 over the health factor."""
    monkeypatch.setattr(Loan, "loan_to_value", property(lambda loan: 1.0 / loan.health_factor))
    with pytest.raises(DisagreementError):
        check_spiral()
    with pytest.raises(DisagreementError):
        check_threshold(0.08)


# ---- 8.2: two steps. First r1 = (D - T C) / (1 - T (1 + i)), which leaves a health factor of 1, then the close factor of the rest.


def gain(history: Log) -> float:
    """What the liquidator has gained, US dollars."""
    return float(history.select(AccountClosed, "value", group="keeper")[0].sum())


def stepped(incentive: float, rule: str) -> Log:
    settings = f"markets.pool.reserves.eth.liquidation_bonus={incentive!r}", f"agents.keeper.repays={rule}"
    return run(Scenario.load(SCENARIOS / "lending_two_steps.yaml", settings))


def check_two_steps(incentive: float, steps: tuple[float, float], profits: tuple[float, float]) -> list[str]:
    """What is repaid in each step, and what two steps and one gain."""
    two, one = stepped(incentive, "two_steps"), stepped(incentive, "all")
    (amounts,) = two.select(LoanLiquidated, "repaid")
    name = f"C = 130k, D = 100k, i = {incentive:.0%}"
    if len(amounts) != 2:
        raise DisagreementError(f"8.2 {name}: {len(amounts)} steps")
    return [
        equal(f"8.2 first step, {name} (USD)", float(amounts[0]), steps[0]),
        equal(f"8.2 second step, {name} (USD)", float(amounts[1]), steps[1]),
        equal(f"8.2 profit in two steps, {name} (USD)", gain(two), profits[0]),
        equal(f"8.2 profit in one, {name} (USD)", gain(one), profits[1]),
        equal(f"8.2 gain, {name} (USD)", gain(two) - gain(one), profits[0] - profits[1]),
    ]


ROWS_OF_8_2 = [
    (0.10, (14285.714285714, 42857.142857143), (5714.285714286, 5000.0)),
    (0.05, (11764.705882353, 44117.647058824), (2794.117647059, 2500.0)),
]


@pytest.mark.parametrize(("incentive", "steps", "profits"), ROWS_OF_8_2)
def test_two_steps_beat_one(
    incentive: float, steps: tuple[float, float], profits: tuple[float, float], record_property: Callable[..., None]
) -> None:
    for line in check_two_steps(incentive, steps, profits):
        record_property("validation", line)


def test_a_close_factor_over_both_steps_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake: half of the debt at first caps both steps together, so the second is 35714.29 and nothing is gained."""
    honest = rules.closable

    def together(
        health: float, collateral: float, debt: float, price: float, total: float, factor: float, limit: float, minimum: float
    ) -> float:
        of_both = honest(health, collateral, debt, price, 100_000.0, factor, limit, minimum)
        return of_both - (100_000.0 - total) if total < 100_000.0 else of_both

    for module in (kernel, desk):
        monkeypatch.setattr(module, "closable", together)
    (amounts,) = stepped(0.10, "two_steps").select(LoanLiquidated, "repaid")
    assert amounts.sum() == pytest.approx(50_000.0)
    with pytest.raises(DisagreementError):
        check_two_steps(*ROWS_OF_8_2[0])


# ---- 8.9: a delay. At its trigger a loan of D has collateral D / T; after a delay it is worth D S / T, and what repaying cannot
# recover, (D - (D / T) S / (1 + i))^+, is bad debt: a put with the strike D (1 + i) on D / T, over 1 + i.


class Delay(NamedTuple):
    """A row: liquidation threshold, incentive, volatility per square root of a day, and how long nobody liquidates (s)."""

    threshold: float
    incentive: float
    volatility: float
    delay: int
    by: str = "outage"
    """What delays: the sequencer is down, or the oracle silent."""

    def expected(self, strike: float | None = None) -> float:
        """The expected bad debt of a loan of 1 MUSD, US dollars; ``strike`` over the debt where it is not 1 + incentive."""
        relative = 1.0 + self.incentive if strike is None else strike
        scale = self.volatility * sqrt(self.delay / 86400.0)
        high = (log(1.0 / self.threshold / relative) + scale**2 / 2.0) / scale
        return 1e6 * (relative * normal(scale - high) - normal(-high) / self.threshold) / relative


def normal(x: float) -> float:
    return 0.5 * erfc(-x / sqrt(2.0))


ROWS_OF_8_9 = {
    Delay(0.95, 0.0, 0.10, 3600): (40.3294, 696.6),
    Delay(0.90, 0.05, 0.10, 3600): (17.5866, 446.6),
    Delay(0.90, 0.05, 0.05, 21600): (104.933, 1279.0),
    Delay(0.90, 0.05, 0.05, 86400): (3315.03, 11353.7),
}
"""Expected bad debt (USD) and the standard deviation of one loan's."""
REFERENCES = {"of", "index", "market", "feed", "price"}  # keys under which a member of a scenario names another
MARKETS = 25  # in one run, each with a price, a loan and a liquidator of its own


def numbered(value: Any, number: int, key: str = "") -> Any:
    """A member of the file's scenario with the names of prices and markets that it refers to numbered."""
    if isinstance(value, dict):
        renamed = {"collateral", "reserves"}  # their keys are prices
        return {
            f"{inner}_{number}" if key in renamed and inner == "eth" else inner: numbered(one, number, inner)
            for inner, one in value.items()
        }
    return f"{value}_{number}" if key in REFERENCES else value


def many(row: Delay, markets: int = MARKETS) -> Scenario:
    """The file's scenario with many markets instead of one, and nobody else than the row's delay needs."""
    plan = YAML(typ="safe").load(SCENARIOS / "lending_delay.yaml")
    plan["prices"]["eth"]["volatility"] = row.volatility * sqrt(365.0)
    terms = plan["markets"]["pool"]["reserves"]["eth"]
    terms |= {"liquidation_threshold": row.threshold, "liquidation_bonus": row.incentive}
    if row.by == "outage":
        plan["duration"] = f"{row.delay + 30} s"
        plan["attacks"]["outage"]["lasts"] = f"{row.delay} s"
        del plan["markets"]["feed"], plan["agents"]["reporter"]
    else:
        # The report is sent after the delay, in the next block, and seen by the one after that.
        plan["duration"] = f"{row.delay + 4500} s"
        plan["chains"]["arb"]["sequencer"]["block_time"] = "1800 s"
        plan["agents"]["reporter"]["heartbeat"] = f"{row.delay} s"
        terms["price"] = "feed"
        del plan["attacks"]
    for section in ("prices", "markets", "agents"):
        members = plan[section].items()
        plan[section] = {f"{name}_{number}": numbered(member, number) for number in range(markets) for name, member in members}
    return Scenario.of(plan, "lending_delay")


def losses(scenario: Scenario, replication: int) -> list[float]:
    """The bad debt of each market's loan, US dollars."""
    history = run(scenario, SEED, replication)
    found = dict.fromkeys(scenario.markets, 0.0)
    markets, amounts = history.select(BadDebtIncurred, "market", "amount")
    for market, amount in zip(markets.tolist(), amounts.tolist(), strict=True):
        found[history.names.all[market]] += amount
    return [loss for name, loss in found.items() if name.startswith("pool")]


def check_delay(row: Delay, replications: int, jobs: int = 1) -> str:
    scenario = many(row)
    if jobs == 1:
        parts = [losses(scenario, replication) for replication in range(replications)]
    else:
        parts = Parallel(n_jobs=jobs)(delayed(losses)(scenario, replication) for replication in range(replications))
    mistakes = {"marked at the trigger": 0.0, "the incentive counted twice": row.expected((1.0 + row.incentive) ** 2)}
    wrong: Mapping[str, float] = mistakes if row.incentive else {"marked at the trigger": 0.0}
    what = f"8.9 {row.by} T = {row.threshold}, i = {row.incentive:.0%}, {row.volatility:.0%}/sqrt(d), {row.delay} s (USD)"
    found = Estimate.of(np.concatenate(parts))
    if not found.error:
        raise DisagreementError(f"{what}: always {found.mean:g}")
    return agree(what, found, row.expected(), wrong)


def test_theory_of_delays_is_as_listed() -> None:
    for row, (expected, _) in ROWS_OF_8_9.items():
        assert row.expected() == pytest.approx(expected, rel=2e-5)


FOUR_DAYS = Delay(0.90, 0.05, 0.05, 4 * 86400)
"""None of those listed: bad debt is so likely that few loans tell."""


@pytest.mark.parametrize("row", [FOUR_DAYS, FOUR_DAYS._replace(by="oracle")], ids=lambda row: row.by)
def test_four_days_of_delay(row: Delay, record_property: Callable[..., None]) -> None:
    record_property("validation", check_delay(row, 16))


@pytest.mark.validate
@pytest.mark.parametrize("row", ROWS_OF_8_9, ids=lambda row: f"{row.threshold}-{row.incentive}-{row.volatility}-{row.delay}")
def test_delays_in_full(row: Delay, record_property: Callable[..., None]) -> None:
    """As many loans as it takes for the nearest mistake, which gives 0, to be nine standard errors away."""
    expected, deviation = ROWS_OF_8_9[row]
    record_property("validation", check_delay(row, max(100, round((9.0 * deviation / expected) ** 2 / MARKETS)), jobs=2))


@pytest.mark.validate
@pytest.mark.parametrize("row", [Delay(0.90, 0.05, 0.05, 86400, "oracle"), Delay(0.80, 0.10, 0.08, 86400)], ids=lambda row: f"{row.by}")
def test_other_delays_in_full(row: Delay, record_property: Callable[..., None]) -> None:
    record_property("validation", check_delay(row, 240, jobs=2))


def test_an_incentive_counted_twice_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake: what all of a collateral covers is divided by 1 + i once more."""
    honest = rules.coverable
    for module in (kernel, rules):
        monkeypatch.setattr(module, "coverable", lambda balance, p, q, bonus: honest(balance, p, q, bonus) / (1.0 + bonus))
    with pytest.raises(DisagreementError):
        check_delay(FOUR_DAYS, 16)


def test_a_mark_at_the_trigger_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake: the loan is settled at the price at which it reached its trigger, whatever it is when somebody can act."""
    honest = kernel.assess

    def at_the_trigger(cells: Any, codes: Any, prices: Any, *rest: Any) -> int:
        return honest(cells, codes, [1000.0 * (1.0 - 1e-9) if price > 10.0 else price for price in prices], *rest)

    monkeypatch.setattr(kernel, "assess", at_the_trigger)
    with pytest.raises(DisagreementError):
        check_delay(FOUR_DAYS, 16)
