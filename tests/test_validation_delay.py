"""How long a true assertion can be delayed, and at what cost: BoLD against the protocols before it, at the bounds of its paper.

Validations 6.6 (last row), 6.8, 6.9 and 6.11. The sources are the BoLD paper (arXiv 2404.10491) and "Economics of Disputes in
Arbitrum BoLD". Times are those of the production event loop, in challenge periods or L1 blocks of 12 s; a move takes a block.
"""

from collections.abc import Callable
from math import ceil, log2
from typing import Any

import pytest
from validation import SCENARIOS, DisagreementError, equal, run

from l2sim.log import Log
from l2sim.metrics.dispute_economics import DisputeEconomics, opportunity_cost
from l2sim.scenario import Scenario
from l2sim.settlement.bold.challenge import BoldContract
from l2sim.settlement.bold.edges import Edge
from l2sim.settlement.bold.players import NEVER
from l2sim.settlement.bold.stakes import PAPER, least_period, level_stakes, longest_confirmation, single_level_stake

SLOT = 12 * 10**9
DAY = 86_400 * 10**9
FULL, SHORT = 45_818, 1_800
"""Blocks of a challenge period: Arbitrum One's, and one of six hours."""
STEPS = "heights: [43], mini_stakes: [0 ETH], block_bits: 20, transaction_bits: 10, step_bits: 13"
"""A challenge of one level and 43 bisections, the paper's example."""


def fought(settlement: str, *settings: str, days: int) -> tuple[Scenario, Log]:
    """A challenge of the first assertion, made after a day; nothing else is asserted."""
    kept = f"duration={days}d", f"attacks.rivals.lasts={days - 1}d", f"chains.arb.proposer.interval={days}d"
    scenario = Scenario.load(SCENARIOS / "delay.yaml", (f"chains.arb.settlement={settlement}", *kept, *settings))
    return scenario, run(scenario)


def taken(log: Log) -> int:
    """From the first assertion to the confirmation of the true one, in blocks of L1."""
    made, confirmed = log.frame("AssertionMade"), log.frame("AssertionConfirmed")
    assert set(confirmed["valid"]) == {1}
    return round((int(confirmed["time"].iloc[0]) - int(made["time"].iloc[0])) / SLOT)


def bold(period: int, *extra: str) -> str:
    return f"{{kind: bold, challenge_period: {period * 12} s, grace: 0, {', '.join(extra) or STEPS}}}"


def bracket(kind: str, period: int, **fields: str) -> str:
    return "{" + f"kind: {kind}, challenge_period: {period * 12} s" + "".join(f", {name}: {value}" for name, value in fields.items()) + "}"


def rounds(blocks: int, period: int) -> int:
    """Whole challenge periods, what moves take left out (less than a fifth of a period, and a fiftieth of each period)."""
    whole = round(blocks / period)
    assert abs(blocks / period - whole) < max(0.2, whole / 50), f"{blocks / period:.2f} periods"
    return whole


CENSORED = "chains.arb.proposer.censored_from=1d"
"""Its assertion is on L1 by then; its moves are not."""


def censored(blocks: int, every: int | None = None) -> tuple[str, ...]:
    spell = CENSORED, f"chains.arb.proposer.censored_for={blocks * 12} s"
    return spell if every is None else (*spell, f"chains.arb.proposer.censored_every={every * 12} s")


# ---- 6.6, the last row, and 6.8


def check_bold(period: int, rivals: int) -> str:
    """All against all: one period without censorship, however many rivals there are; two where defenders are kept from L1 for one."""
    days = ceil(3 * period * SLOT / DAY) + 2
    settings = f"attacks.rivals.rivals={rivals}", "attacks.rivals.margin=2min"
    plain = taken(fought(bold(period), *settings, days=days)[1])
    assert rounds(plain, period) == 1
    held = taken(fought(bold(period), *settings, *censored(period * 9 // 10), days=days)[1])
    assert rounds(held, period) == 2
    assert held <= 2 * period
    return equal(f"6.8 BoLD, N_A = {rivals}: periods with censorship", rounds(held, period), 2)


def check_last_second(period: int) -> str:
    """A rival at the last second meets an assertion that has its time already; the two bounds are 2 x 45,818 blocks: 12.7272 days."""
    days = ceil(3 * period * SLOT / DAY) + 2
    late = f"attacks.rivals.wait={(period - 2) * 12} s", "attacks.rivals.margin=2min"
    found = taken(fought(bold(period), *late, days=days)[1])
    assert period < found <= 2 * period
    early = "attacks.rivals.early=true", "attacks.rivals.margin=null", "attacks.rivals.begins=1d", "chains.arb.proposer.phase=1d1s"
    worst = taken(fought(bold(period), *early, *censored(period * 19 // 20 - 100), days=days)[1])
    assert 1.9 * period < worst <= 2 * period
    return equal("6.6 challenged under BoLD: at most (d)", 2 * FULL * SLOT / DAY, 12.7272, 1e-5)


def check_bound(period: int, censorship: int, inclusion: int) -> str:
    """The paper's worst case: N* blocks, where every move of defenders takes ``inclusion`` blocks and they are censored besides."""
    bisections = 43
    assert period == least_period(censorship, inclusion, bisections)
    bound = longest_confirmation(period, censorship, inclusion, bisections)
    days = ceil(bound * SLOT / DAY) + 2
    early = "attacks.rivals.early=true", "attacks.rivals.margin=null", "attacks.rivals.begins=1d", "chains.arb.proposer.phase=1d1s"
    slow = f"chains.arb.proposer.response={(inclusion - 1) * 12 + 1} s"
    found = taken(fought(bold(period), *early, slow, *censored(censorship), days=days)[1])
    assert period + censorship + 0.9 * (inclusion + 1) * (bisections + 2) - inclusion < found <= bound + inclusion + 1
    return f"6.8 BoLD, T = {period}, Cmax = {censorship}: blocks{'':20} {bound:12} {found:12}"


def check_tournament(period: int, rivals: int, doubled: bool) -> str:
    """Rounds of one against one: ceil(log2(1 + N)), and one more where one clock can be run down by censorship; twice as many if all.

    A clock that is kept must have something left for the moves of later rounds, so the defender is censored for 0.8 of it.
    """
    expected = ceil(log2(1 + rivals))
    kind = bracket("tournament", period, keeps_clocks="false" if doubled else "true")
    most = f"attacks.rivals.rivals={rivals}", "attacks.rivals.margin=5min"
    days = ceil((2 * expected + 2) * period * SLOT / DAY) + 2
    if doubled:
        held = period * 9 // 10
        found = taken(fought(kind, *most, *_spells(period, held), days=days)[1])
        assert abs(found / period - 1.9 * expected) < 0.2
        return f"6.8 tournament, N_A = {rivals}, clocks renewed: periods{'':12} {2 * expected:12} {found / period:12.3f}"
    assert rounds(taken(fought(kind, *most, days=days)[1]), period) == expected
    found = taken(fought(kind, *most, *_spells(period, period * 8 // 10, once=True), days=days)[1])
    return equal(f"6.8 tournament, N_A = {rivals}: periods with censorship", rounds(found, period), 1 + expected)


def _spells(period: int, held: int, once: bool = False) -> tuple[str, ...]:
    """Keep the defender from L1 whenever its turn has just come: the attacker moves a period after a match begins."""
    begins = f"chains.arb.proposer.censored_from={86_400 + (period - 20) * 12} s"
    spell = begins, f"chains.arb.proposer.censored_for={(held + 60) * 12} s"
    return spell if once else (*spell, f"chains.arb.proposer.censored_every={(period + held) * 12} s")


def check_partial(period: int, rivals: int) -> str:
    """One honest staker meets N malicious ones one after the other: N periods, and 2 N where its clock is run down each time."""
    kind = bracket("partial_concurrency", period)
    most = f"attacks.rivals.rivals={rivals}", "attacks.rivals.margin=5min"
    days = ceil((2 * rivals + 2) * period * SLOT / DAY) + 2
    plain = taken(fought(kind, *most, days=days)[1])
    assert rounds(plain, period) == rivals
    found = taken(fought(kind, *most, *_spells(period, period * 9 // 10), days=days)[1])
    assert abs(found / period - 1.9 * rivals) < 0.2
    return f"6.8 one against one, N_A = {rivals}: periods with censorship{'':6} {2 * rivals:12} {found / period:12.3f}"


@pytest.mark.parametrize("rivals", [1, 8])
def test_bold_takes_two_periods_at_most_whatever_the_number_of_rivals(rivals: int, record_property: Callable[..., None]) -> None:
    record_property("validation", check_bold(SHORT, rivals))


def test_a_rival_at_the_last_second(record_property: Callable[..., None]) -> None:
    record_property("validation", check_last_second(SHORT))


def test_the_papers_bound(record_property: Callable[..., None]) -> None:
    assert least_period(45_818, 100, 43) == 50_364
    assert longest_confirmation(50_364, 45_818, 100, 43) == 100_727
    record_property("validation", check_bound(1_496, 1_000, 10))


@pytest.mark.parametrize(("rivals", "doubled"), [(1, False), (8, False), (8, True)])
def test_tournaments_take_a_period_a_round(rivals: int, doubled: bool, record_property: Callable[..., None]) -> None:
    record_property("validation", check_tournament(SHORT, rivals, doubled))


@pytest.mark.parametrize("rivals", [1, 4])
def test_one_against_one_takes_periods_for_each_rival(rivals: int, record_property: Callable[..., None]) -> None:
    record_property("validation", check_partial(SHORT, rivals))


@pytest.mark.validate
@pytest.mark.parametrize(
    ("check", "arguments"),
    [
        (check_bold, (FULL, 8)), (check_last_second, (FULL,)), (check_bound, (50_364, 45_818, 100)),
        (check_tournament, (SHORT, 100, False)), (check_tournament, (SHORT, 1000, False)), (check_partial, (SHORT, 20)),
    ],
)  # fmt: skip
def test_delays_in_full(check: Callable[..., str], arguments: tuple[Any, ...], record_property: Callable[..., None]) -> None:
    record_property("validation", check(*arguments))


# ---- 6.9 and 6.11


def test_how_large_stakes_have_to_be() -> None:
    assert single_level_stake(10, 43) == 188_550_000
    assert level_stakes(10, 3, 14) == [79_450_000, 861_450_000, 8_684_950_000]
    assert level_stakes(1, 3, 14) == [2_500_000, 3_750_000, 5_350_000]
    growth = level_stakes(10, 6, 14)
    assert growth[-2] / growth[-3] == pytest.approx(10, rel=0.01)  # geometric


def resources(rivals: int, stake: str) -> dict[str, float]:
    """A challenge in which rivals answer every move down to a single step, and what each side spends."""
    kind = bold(SHORT, STEPS, f"assertion_stake: {stake}")
    settings = f"attacks.rivals.rivals={rivals}", "attacks.rivals.margin=null", "chains.arb.proposer.interval=3d"
    _, log = fought(kind, *settings, "chains.l1.base_fee.denominator=1000000", days=3)
    assert len(log.frame("AssertionRejected")) == rivals
    moves = log.frame("DisputeMoved")
    attacker = log.about["groups"]["rivals"]["first"]
    assert (moves["account"] == attacker).sum() == rivals * 44  # its root edge and 43 bisections
    table: Any = DisputeEconomics.model_validate({"usual": f"{SHORT * 12} s"}).measure(log)
    return dict(table.loc["arb"])


def test_an_attacker_with_twenty_rivals_spends_ten_times_as_much(record_property: Callable[..., None]) -> None:
    """The base fee hardly moves from 1 gwei, so with a tip of 2 gwei a gas is 3 gwei; the stake is the formula's for a ratio of 10."""
    found = resources(20, f"{188_550_000 * 3} gwei")
    assert found["resource_ratio"] >= 10
    assert found["attackers_lost"] == pytest.approx(20 * 188.55e6 * 3e-9)
    only_gas = found["attackers_gas"] / found["defenders_gas"]
    assert only_gas < 1.1  # the mistake of counting gas alone
    with_root = (found["attackers_gas"] + found["attackers_lost"]) / (found["defenders_gas"] + found["defenders_locked"])
    assert with_root < found["resource_ratio"]  # the mistake of counting the stake that comes back
    record_property("validation", f"{'6.9 resource ratio, N_A = 20':58} {'>= 10':>12} {found['resource_ratio']:12.4f}")


def test_a_single_rival_costs_defenders_more_than_the_formula_counts(record_property: Callable[..., None]) -> None:
    """The contract takes the time of a bisected edge from what it keeps of both halves, so both are brought up to date, not a path alone.

    Nor does the formula count the true assertion's own root edge, but one bisection more.
    """
    gas, k = PAPER, 43
    stake = single_level_stake(10, k)
    found = resources(1, f"{stake * 3} gwei")
    formula = gas.proof + (k + 1) * gas.update + (k + 1) * gas.bisection
    defended = formula + k * gas.update + gas.root - gas.bisection
    assert found["defenders_gas"] / 3e-9 == pytest.approx(defended, rel=0.002)
    attacked = stake + gas.root + k * gas.bisection
    assert attacked / formula == pytest.approx(10)
    record_property("validation", equal("6.9 resource ratio, N_A = 1", found["resource_ratio"], attacked / defended, 0.005))


def test_what_a_week_costs_who_waits(record_property: Callable[..., None]) -> None:
    found = opportunity_cost(5.4e9, 0.05, 7 * 86_400.0)
    record_property("validation", equal("6.11 a week's delay (USD)", found, 5_178_082.2, 1e-8))
    assert abs(found - 5.4e9 * 0.05 / 52) > 10_000  # the mistake of 52 weeks a year
    assert abs(found - 5.4e9 * (1.05 ** (7 / 365) - 1)) > 10_000  # and that of compounding
    _, log = fought(bold(SHORT), "attacks.rivals.margin=2min", *censored(SHORT // 2), days=4)
    table: Any = DisputeEconomics.model_validate({"usual": f"{SHORT * 12} s"}).measure(log)
    delay = table.loc["arb", "delay"]
    assert delay == (taken(log) - SHORT) * 12
    assert table.loc["arb", "opportunity_cost"] == pytest.approx(5.4e9 * 0.05 * delay / (365 * 86_400))


# ---- listed mistakes, injected


def test_timers_that_belong_to_parties_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistake: a party's clock starts anew with every rival that it meets, so the delay grows with their number."""

    def since_last_rival(edge: Edge, need: int) -> int:
        if edge.proved or need <= 0:
            return 0
        if edge.rivalled == NEVER:
            return max(edge.made, since_last_rival.last) + need  # type: ignore[attr-defined]
        if edge.halves is not None:
            return max(since_last_rival(half, need) for half in edge.halves)
        return min((since_last_rival(below, need) for below in edge.refinements), default=NEVER)

    since_last_rival.last = 0  # type: ignore[attr-defined]
    entered = BoldContract.entered

    def noted(contract: BoldContract, node: Any) -> None:
        since_last_rival.last = contract.me.now  # type: ignore[attr-defined]
        entered(contract, node)

    settings = "attacks.rivals.rivals=4", f"attacks.rivals.apart={SHORT * 12 * 9 // 10} s", "attacks.rivals.margin=2min"
    right = taken(fought(bold(SHORT), *settings, days=5)[1])
    monkeypatch.setattr(Edge, "reaches", since_last_rival)
    monkeypatch.setattr(Edge, "gathered", lambda edge, now: NEVER)
    monkeypatch.setattr(BoldContract, "entered", noted)
    log = fought(bold(SHORT), *settings, days=5)[1]
    ends = log.frame("AssertionConfirmed")["time"].min() if log.arrays("AssertionConfirmed") else log.about["duration"]
    wrong = (int(ends) - int(log.frame("AssertionMade")["time"].min())) // SLOT
    assert rounds(right, SHORT) == 1
    assert wrong > 3 * SHORT
    with pytest.raises(DisagreementError):
        equal("periods", wrong / SHORT, 1, 0.2)


def test_a_period_without_a_budget_for_censorship_is_caught() -> None:
    """The mistake: defenders are never censored, so nothing takes longer than a period."""
    found = taken(fought(bold(SHORT), "attacks.rivals.margin=2min", days=4)[1])
    assert found < 1.2 * SHORT
    with pytest.raises(DisagreementError):
        equal("periods", found / SHORT, 2, 0.1)
