"""Fast withdrawals: what providers ask, who sells, and that their profit is their fees less what they lose."""

from itertools import pairwise
from math import sqrt
from typing import Any

import numpy as np
import pytest
from validation import SCENARIOS, DisagreementError, Estimate, agree, run_file

from l2sim.log import Log
from l2sim.scenario import Scenario, ScenarioError
from l2sim.world.fast_withdrawals import FastWithdrawals

HOUR = 3.6e12
"""ns."""
YEAR = 365 * 24.0
"""Hours."""
AMOUNT = 10_000.0
COST = AMOUNT * 10.0 * 8.0 / YEAR
"""What ``fast_withdrawals.yaml`` says that the money costs: 1000 % a year for 8 h."""
SECOND = "agents.second={kind: fast_withdrawal_provider, market: bridge, capital: 5 MUSD, rate: %s, expected_delay: 8h}"


def profit(log: Log, group: str, asset: str = "usd") -> float:
    closed = log.frame("AccountClosed")
    return float(closed[(closed["group"] == group) & (closed["asset"] == asset)]["value"].sum())


def fees(log: Log) -> Any:
    """Fees but for the gas in them, which is below 5 USD here."""
    return log.frame("WithdrawalAdvanced")["fee"].to_numpy()


def test_a_provider_charges_for_time_and_gas() -> None:
    log = run_file("fast_withdrawals")
    found = fees(log)
    assert len(found) > 500
    # 470,000 gas at the base fee, which falls from 1 gwei on an empty L1, and a tip of 2 gwei, at 3000 USD.
    gas = found - COST
    assert (gas > 470_000 * 2e-9 * 3000.0).all()
    assert (gas <= 470_000 * 3e-9 * 3000.0 + 1e-9).all()
    risky = fees(run_file("fast_withdrawals", "agents.first.risk=0.2 %"))
    assert risky.mean() == pytest.approx(found.mean() + 0.002 * AMOUNT, abs=1.0)


def sold(log: Log) -> Estimate:
    initiated, advanced = (log.frame(fact)["number"].to_numpy() for fact in ("WithdrawalInitiated", "WithdrawalAdvanced"))
    return Estimate.of(np.isin(initiated, advanced).astype(float))


def test_those_sell_for_whom_waiting_is_worth_more_than_the_fee(record_property: Any) -> None:
    """Urgency is uniform between 0 and 4000 % a year: it beats a fee f of the amount with probability 1 - f / (8 h at 4000 %)."""
    log = run_file("fast_withdrawals", "agents.leavers.rate=200 /h", "agents.first.capital=50 MUSD")
    fee = fees(log).mean() / AMOUNT
    wrong = {"all sell": 1.0, "urgency for a day": 1.0 - fee * YEAR / (24 * 40.0)}
    record_property("validation", agree("share of withdrawals sold", sold(log), 1.0 - fee * YEAR / (8 * 40.0), wrong))


def test_its_profit_is_its_fees() -> None:
    log = run_file("fast_withdrawals")
    assert profit(log, "first") == pytest.approx(fees(log).sum(), rel=1e-9)
    assert profit(log, "leavers") == pytest.approx(-fees(log).sum(), rel=1e-9)
    assert profit(log, "bridge") == pytest.approx(0.0, abs=1e-3)
    assert len(log.frame("WithdrawalFinalized")) == len(log.frame("WithdrawalInitiated"))
    # What is on its way when the run ends is the provider's too.
    early = run_file("fast_withdrawals", "duration=12h")
    assert len(early.frame("WithdrawalFinalized")) < len(early.frame("WithdrawalInitiated"))
    assert profit(early, "first") == pytest.approx(fees(early).sum(), rel=1e-9)


def out(log: Log) -> tuple[Any, Any, Any]:
    """Times and steps of what a provider is out of, and when each advance came back (ns)."""
    advanced = log.frame("WithdrawalAdvanced")
    paid = log.frame("WithdrawalFinalized").set_index("number")["time"].reindex(advanced["number"]).to_numpy()
    assert not np.isnan(paid).any()
    return advanced["time"].to_numpy(), paid, (advanced["amount"] - advanced["fee"]).to_numpy()


def test_capital_on_its_way_is_rate_times_amount_times_delay(record_property: Any) -> None:
    """Little's law, with the rate and the delay that theory gives: all sell; 7 h from the proposal, half an interval, and messages."""
    log = run_file("fast_withdrawals", "agents.leavers.urgency=40", "agents.leavers.rate=200 /h", "agents.first.capital=100 MUSD")
    begins, ends, amounts = out(log)
    edges = np.linspace(10, 20, 41) * HOUR
    held = []
    for since, until in pairwise(edges):
        within = np.clip(np.minimum(ends, until) - np.maximum(begins, since), 0.0, None)
        held.append((within * amounts).sum() / (until - since))
    # A withdrawal waits a minute for its block and 12 s for the advance; then for the proposal, three messages less one and 7 h.
    delay = 7.5 - 12 / 3600 + 3 * 12 / 3600 - 1 / 60
    mean = float(np.mean(held))
    # Poisson: the number on the way has a variance of its mean; over ten hours there are about 10 / 7.5 independent ones.
    error = mean / sqrt(200 * delay) / sqrt(10.0 / 7.5)
    wrong = {"as if paid after the window alone": 0.0, "twice the delay": 2 * 200 * AMOUNT * delay}
    expected = 200 * amounts.mean() * delay
    record_property("validation", agree("capital on its way (USD)", Estimate(mean, error, 40), expected, wrong))


def test_it_runs_out_of_capital_and_refuses() -> None:
    log = run_file("fast_withdrawals", "agents.leavers.urgency=40", "agents.first.capital=500 kUSD")
    begins, ends, amounts = out(log)
    times = np.concatenate([begins, ends])
    order = np.lexsort((np.repeat([1, 0], [len(begins), len(ends)]), times))
    most = np.cumsum(np.concatenate([amounts, -amounts])[order]).max()
    assert 480_000 < most <= 500_000 + fees(log).sum()
    assert 0.1 < sold(log).mean < 0.5
    assert profit(log, "first") == pytest.approx(fees(log).sum(), rel=1e-9)
    small = run_file("fast_withdrawals", "agents.first.largest=9999 USD")
    assert not len(small.frame("WithdrawalAdvanced"))


def test_what_is_out_makes_the_next_one_dearer() -> None:
    log = run_file("fast_withdrawals", "agents.first.inventory=1 %", "agents.first.attention=12s")
    begins, ends, amounts = out(log)
    charged = fees(log) - COST
    owed = np.array([amounts[(begins < time - 12e9) & (ends > time)].sum() for time in begins])
    expected = AMOUNT * 0.01 * (owed + AMOUNT) / 5e6
    # Gas, and what others took in the slot before.
    assert np.abs(charged - expected).max() < 5.0
    assert np.corrcoef(charged, expected)[0, 1] > 0.99


# ---- competition


def test_a_second_provider_brings_the_fee_down_to_its_cost(record_property: Any) -> None:
    dear = ("agents.first.markup=100 %", "agents.leavers.urgency=80")
    alone = fees(run_file("fast_withdrawals", *dear)).mean()
    log = run_file("fast_withdrawals", *dear, SECOND % 15)
    both = log.frame("WithdrawalAdvanced").query(f"time > {HOUR}")
    assert alone == pytest.approx(2 * COST, abs=5.0)
    # The second cannot go below 1.5 times the first one's cost; the first stays just under it and has all the trade.
    assert both["fee"].mean() == pytest.approx(1.5 * COST, abs=5.0)
    assert both["provider"].nunique() == 1
    again = run_file("fast_withdrawals", *dear, (SECOND % 10)[:-1] + ", markup: 100 %}").frame("WithdrawalAdvanced")
    late = again[again["time"] > 15 * HOUR]
    assert COST < late["fee"].mean() < again["fee"].iloc[0] - 15 * 6 * 1e-6 * AMOUNT


def test_undercutting_goes_on_to_the_cost() -> None:
    rival = (SECOND % 10)[:-1] + ", markup: 100 %, undercut: 1 bps}"
    log = run_file("fast_withdrawals", "agents.first.markup=100 %", "agents.first.undercut=1 bps", "agents.leavers.urgency=80", rival)
    late = log.frame("WithdrawalAdvanced").query(f"time > {18 * HOUR}")
    assert late["fee"].mean() == pytest.approx(COST, abs=5.0)
    assert late["provider"].nunique() == 2


# ---- bad states

FRAUD = "attacks.fraud={kind: invalid_assertion, bridge: bridge, begins: 3h, lasts: 1h, amount: 100000, pieces: 10, sells: true}"
WATCHED = "agents.watch={kind: validator, on: op, time_per_block: 0 s}"
CLOCK = "chains.op.settlement.clock=1h"


def test_who_verifies_takes_on_nothing_that_is_not_there() -> None:
    log = run_file("fast_withdrawals", FRAUD, WATCHED, CLOCK)
    assert set(log.frame("WithdrawalAdvanced")["valid"]) == {1}
    assert len(log.frame("AssertionRejected")) == 1
    assert profit(log, "first") == pytest.approx(fees(log).sum(), rel=1e-9)
    assert profit(log, "fraud") == 0.0


@pytest.mark.parametrize("maturity", ["7h", "0 s"])
def test_who_does_not_loses_what_it_advanced(maturity: str) -> None:
    log = run_file("fast_withdrawals", FRAUD, WATCHED, CLOCK, "agents.first.verifies=false", f"markets.bridge.proof_maturity={maturity}")
    advanced, lost = log.frame("WithdrawalAdvanced"), log.frame("WithdrawalLost")
    bad = advanced[advanced["valid"] == 0]
    given = (bad["amount"] - bad["fee"]).sum()
    assert len(bad) == len(lost) == 10
    assert lost["amount"].sum() == pytest.approx(given)
    good = advanced[advanced["valid"] == 1]["fee"].sum()
    assert profit(log, "first") == pytest.approx(good - given, rel=1e-9)
    assert profit(log, "fraud") == pytest.approx(given, rel=1e-9)
    assert set(log.frame("WithdrawalFinalized")["valid"]) == {1}


def test_where_nobody_watches_the_bridge_pays_for_it() -> None:
    log = run_file("fast_withdrawals", FRAUD, "agents.first.verifies=false")
    assert profit(log, "first") == pytest.approx(fees(log).sum(), rel=1e-9)
    assert profit(log, "bridge") == pytest.approx(-100_000.0, rel=1e-6)
    assert not len(log.frame("WithdrawalLost"))


# ---- mistakes


def test_an_advance_that_l1_undoes_is_made_again() -> None:
    """Without a proposer, L1 may undo the blocks in which withdrawals were bought; each is paid for once in the end."""
    settings = "duration=2h", "chains.op.proposer=null", "agents.leavers.rate=400 /h", "agents.first.capital=50 MUSD"
    log = run_file("fast_withdrawals", *settings, "attacks.deep={kind: l1_reorg, on: l1, begins: 1h, lasts: 1s, depth: 20}")
    advanced = log.frame("WithdrawalAdvanced")
    assert advanced["number"].duplicated().sum() > 5  # the log keeps what L1 said before, too
    once = advanced.drop_duplicates("number", keep="last")
    closed = log.frame("AccountClosed").query("group == 'first' and asset == 'usd' and place == 'l1'")
    assert closed["value"].sum() == pytest.approx(-(once["amount"] - once["fee"]).sum())


def test_paying_the_first_owner_again_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    class Forgetful(dict):  # type: ignore[type-arg]
        """Forgets who owns a withdrawal when it is paid."""

        def get(self, key: Any, default: Any = None) -> Any:
            return default

    before = FastWithdrawals.__init__

    def init(self: FastWithdrawals, bridge: Any) -> None:
        before(self, bridge)
        self.holders = Forgetful()

    monkeypatch.setattr(FastWithdrawals, "__init__", init)
    with pytest.raises(AssertionError):
        test_its_profit_is_its_fees()


def test_a_fee_for_another_delay_is_caught() -> None:
    log = run_file("fast_withdrawals", "agents.leavers.expected_delay=6h")
    with pytest.raises(DisagreementError):
        agree("share sold", sold(log), 1.0 - fees(log).mean() / AMOUNT * YEAR / (8 * 40.0), {})


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("rate=-1 %", "0 or more"),
        ("risk=101 %", "between 0 and 1"),
        ("inventory=-1 bps", "0 or more"),
        ("markup=-1 %", "0 or more"),
        ("undercut=-1 bps", "0 or more"),
        ("capital=0 USD", "more than 0"),
        ("expected_delay=0 s", "more than 0"),
        ("market=nowhere", "nowhere"),
    ],
)
def test_nonsense_is_refused(setting: str, message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        Scenario.load(SCENARIOS / "fast_withdrawals.yaml", [f"agents.first.{setting}"])


def test_an_urgency_below_zero_is_refused() -> None:
    with pytest.raises(ScenarioError, match="must not give negative numbers"):
        Scenario.load(SCENARIOS / "fast_withdrawals.yaml", ["agents.leavers.urgency=-1"])
