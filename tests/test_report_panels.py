"""Panels about disputes, withdrawals, loans, extraction and undone blocks: each where its facts occur, with the numbers of the log."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from report_runs import ABOUT, DURATION, browse, make_run, reorganized

from l2sim.events import (
    AccountClosed,
    AssertionChallenged,
    AssertionConfirmed,
    AssertionMade,
    AssertionRejected,
    BadDebtIncurred,
    BatchPosted,
    BlockSealed,
    ChainReorganized,
    DisputeEnded,
    DisputeMoved,
    HeadAdvanced,
    LoanLiquidated,
    TradeAttributed,
    TransactionIncluded,
    TransactionServed,
    ValueExtracted,
    WithdrawalFinalized,
    WithdrawalInitiated,
    WithdrawalProven,
)
from l2sim.events.consensus import ProposerDrawn, StakeChanged, VotesCounted
from l2sim.events.inclusion import TransactionCensored
from l2sim.events.l1_market import SpaceBought
from l2sim.events.proofs import ProofMade, ProofRequested, ProofsVerified, ProverOpened
from l2sim.log import Log
from l2sim.report import reorganizations, series, write_report
from l2sim.report.asserted import Pass, passes
from l2sim.report.evidence import Evidence
from l2sim.report.tables import key_figures
from l2sim.results import Run
from l2sim.units import MINUTE, SECOND

MORE_METRICS = {
    "disputes": {"kind": "disputes"},
    "withdrawals": {"kind": "withdrawal_delay"},
    "loan_losses": {"kind": "loan_liquidations"},
    "extraction": {"kind": "extraction"},
    "queue": {"kind": "queueing"},
    "cascade": {"kind": "liquidation_cascade"},
    "efficiency": {"kind": "capital_efficiency"},
    "locked": {"kind": "capital_locked"},
    "censored": {"kind": "censorship_delay"},
    "row": {"kind": "consecutive_slots", "length": 2},
    "economics": {"kind": "dispute_economics"},
    "components": {"kind": "fee_components"},
    "loss": {"kind": "loss_of_finality"},
    "posting": {"kind": "posting_cost"},
    "proofs": {"kind": "proving"},
    "filled": {"kind": "saturation", "rollup": "op"},
    "margin": {"kind": "sequencer_margin"},
    "price": {"kind": "settlement_cost"},
    "space": {"kind": "space_bought"},
    "risk": {"kind": "value_at_risk_before_finality"},
}
CHANGES: dict[str, Any] = {
    "chains": {
        "l1": {"preset": "ethereum"},
        "op": {
            "preset": "op_mainnet",
            "proposer": {"kind": "proposer", "interval": "1min"},
            "settlement": {"kind": "optimistic", "window": "10min", "bond": "1 ETH"},
        },
    },
    "markets": {
        "bridge": {"kind": "bridge", "on": "op", "escrow": 1e6},
        "loans": {"kind": "lending_pool", "on": "op", "reserves": {"eth": {}, "usd": {"liquidity": "1 MUSD"}}},
    },
    "agents": {"watchers": {"kind": "validator", "on": "op", "count": 2, "failure": "50 %", "common_failure": "10 %"}},
    "attacks": {"fraud": {"kind": "invalid_assertion", "bridge": "bridge", "begins": "1min", "lasts": "5min"}},
    "metrics": MORE_METRICS,
}
CHAINS = {
    "l1": {"kind": "l1", "settles_on": None, "block_time": 12 * SECOND, "blocks": 100},
    "op": {"kind": "rollup", "settles_on": "l1", "block_time": 10 * SECOND, "blocks": 120},
}
ABOUT_THESE: dict[str, Any] = ABOUT | {
    "chains": CHAINS,
    "markets": {"bridge": {"kind": "bridge", "on": "op", "base": None}, "loans": {"kind": "lending_pool", "on": "op", "base": "eth"}},
}
PANELS: dict[str, set[type]] = {
    "assertions_op": {AssertionMade, AssertionChallenged, AssertionConfirmed, AssertionRejected, DisputeMoved, DisputeEnded},
    "withdrawals": {WithdrawalInitiated, WithdrawalProven, WithdrawalFinalized},
    "loans": {LoanLiquidated, BadDebtIncurred},
    "extraction": {TradeAttributed, ValueExtracted},
    "censorship": {TransactionCensored},
    "consensus": {VotesCounted, StakeChanged},
    "saturation": {SpaceBought},
    "proofs": {ProverOpened, ProofRequested, ProofMade, ProofsVerified},
}
"""The first figure of a section, and the facts that it is about."""


def settled(world: str, luck: int, *, without: frozenset[type] = frozenset()) -> Log:
    """Assertions, withdrawals, loans and trades of twenty minutes, known by heart; without some facts."""
    log = Log()
    log.about = ABOUT_THESE

    def say(time: int, fact: tuple[Any, ...]) -> None:
        if type(fact) not in without:
            log.record(time, fact)

    for number, made, valid in ((0, 1, 1), (1, 2, 0), (2, 3, 0), (3, 15, 1)):
        if valid or world != "without_attacks":
            say(made * MINUTE, AssertionMade("op", number, 0, 10 * number, 7, 1, valid, 1.0, 0.01))
    say(11 * MINUTE, AssertionConfirmed("op", 0, 0, 1))
    if world != "without_attacks":
        say(3 * MINUTE, AssertionChallenged("op", 1, 5, 1.0, 0.01, 1))
        for minute in (4, 5):
            say(minute * MINUTE, DisputeMoved("op", 1, 5, "block", 0, 8, 0.01))
        say(6 * MINUTE, DisputeEnded("op", 1, 5, 7, 3, 0, 2))
        say(6 * MINUTE, AssertionRejected("op", 1, 10, 0))
        # Nobody stops the second in the first replication.
        say(13 * MINUTE, AssertionConfirmed("op", 2, 20, 0)) if luck == 0 else say(5 * MINUTE, AssertionRejected("op", 2, 20, 0))
    for number in (0, 1):
        since = (1 + number) * MINUTE
        block = 1 + number
        log.record(since + SECOND, BlockSealed("op", block, 1, 10**5, 10**9, 0, 0, 0))
        log.record(
            since + SECOND, TransactionIncluded("op", block, since, 5, "bridge", "withdraw", 0, 10**5, 0.001, 0.0, float(number), 10.0)
        )
        say(since + SECOND, WithdrawalInitiated("bridge", 5, number, 10.0))
        say(since + 2 * MINUTE, WithdrawalProven("bridge", 5, number, 0, 0.001))
        say(since + (11 + luck) * MINUTE, WithdrawalFinalized("bridge", 5, number, 10.0, 1, 0.001))
    say(14 * MINUTE, WithdrawalFinalized("bridge", 7, 9, 1000.0, 0, 0.001))
    say(9 * MINUTE, LoanLiquidated("loans", 5, 6, "eth", "usd", 100.0, 0.04, 100.0, 105.0 + luck, 1.0, 0.98))
    say(10 * MINUTE, LoanLiquidated("loans", 4, 6, "eth", "usd", 50.0, 0.02, 50.0, 50.0, 0.0, 0.90))
    say(10 * MINUTE, BadDebtIncurred("loans", 4, 40.0))
    say(8 * MINUTE, TradeAttributed("op", 48, "pool", 2, "buy", 0, 3000.0, 10.0 + luck, -5.0, 3.0, 2.0, 10.0 + luck))  # type: ignore[call-arg]
    say(8 * MINUTE, ValueExtracted("op", 48, "pool", 2, 6, 10.0 + luck))  # type: ignore[call-arg]
    chains_lived(say)
    return log


def chains_lived(say: Callable[[int, tuple[Any, ...]], None]) -> None:
    """Two batches, a transaction served and one left out, a loan, two epochs and some proposers, blobs bought on purpose, and a proof."""
    for number in (1, 2):
        say((3 + number) * MINUTE, BatchPosted("op", number, number, 10**4, 1, (2 + number) * MINUTE, 20 + 5 * number, 0.002))
        say((3 + number) * MINUTE, HeadAdvanced("op", "safe", number))
    say(MINUTE + SECOND, TransactionServed("op", MINUTE, 5, MINUTE, MINUTE, MINUTE + SECOND))  # type: ignore[call-arg]
    for group, dollars in (("longs", -500.0), ("makers", 800.0)):
        say(DURATION, AccountClosed(group, "borrower", "loans", "usd", dollars, dollars, 1.0, 0.0))
    say(2 * MINUTE, TransactionCensored("op", 100 * SECOND, 5, "bridge", "withdraw"))
    for slot, group in enumerate(("some", "others", "some", "some")):
        say(slot * 12 * SECOND, ProposerDrawn("l1", slot, group, 1))  # type: ignore[call-arg]
    for epoch in (0, 1):
        say((epoch + 1) * 384 * SECOND, VotesCounted("l1", epoch, 60.0, 62.0 + epoch, 100.0, epoch, 0, 0))
        say((epoch + 1) * 384 * SECOND, StakeChanged("l1", "some", epoch, 32.0 - epoch, float(epoch), 32.0, 4 * epoch, 1))
    for slot in range(100):
        say(slot * 12 * SECOND, BlockSealed("l1", slot, 0, 15_000_000, 10**9, 10**6 + slot, 3, 0))
    say(7 * MINUTE, SpaceBought("l1", 35, 7, 0, 6, 0.25))  # type: ignore[call-arg]
    say(0, ProverOpened("op", 5, 1))
    say(MINUTE, ProofRequested("op", 0, 0, 0, 1e9))
    say(4 * MINUTE, ProofMade("op", 0, 0, 0, 5, MINUTE, 2 * MINUTE, 1, 0.03, 0.02))
    say(11 * MINUTE, ProofsVerified("op", 0, 1, 400_000, 0.01, 5))


def without(facts: set[type]) -> Callable[[str, int], Log]:
    return lambda world, luck: settled(world, luck, without=frozenset(facts))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    made = make_run(tmp_path_factory.mktemp("panels"), 3, CHANGES, logs=settled)
    write_report(made)
    return made


def data(run: Run, name: str) -> pd.DataFrame:
    return pd.read_csv(run.path / "figures" / f"{name}.csv")


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_is_there_where_its_facts_are_and_only_there(panel: str, run: Run, tmp_path: Path) -> None:
    there = (run.path / "report.html").read_text("utf-8")
    bare = write_report(make_run(tmp_path, 1, CHANGES, logs=without(PANELS[panel]))).read_text("utf-8")
    for figure in PANELS:
        assert f'<figure id="{figure}">' in there
        assert (f'<figure id="{figure}">' in bare) is (figure != panel)
    assert "undone on" not in there


def test_every_metric_has_its_key_figures_in_the_report(run: Run) -> None:
    table = key_figures(Evidence(run))
    assert table is not None
    assert set(MORE_METRICS) == {row[0].partition(":")[0] for row in table.rows if len(row) == 1}
    assert '<figure id="fee_components">' in (run.path / "report.html").read_text("utf-8")


def test_a_run_without_such_things_says_nothing_of_them(tmp_path: Path) -> None:
    page = write_report(make_run(tmp_path, 1)).read_text("utf-8")
    for section in ("disputes", "withdrawals", "loans", "extraction"):
        assert f'<section id="{section}-section">' not in page
    assert "undone on" not in page
    assert "where they were undone" not in page


def test_assertions_are_bars_from_making_to_end(run: Run) -> None:
    rows = data(run, "assertions_op")
    bars = rows[rows["what"] == "asserted"].set_index("assertion")
    ends = {
        0: (60, 660, "true, confirmed"),
        1: (120, 360, "false, rejected"),
        2: (180, 780, "false, confirmed"),
        3: (900, 1200, "open at the end"),
    }
    assert {number: (row.seconds, row.until_seconds, row.outcome) for number, row in bars.iterrows()} == ends
    assert rows[rows["what"] == "moved"]["seconds"].tolist() == [240, 300]
    assert rows[rows["what"] == "challenged"]["seconds"].tolist() == [180]


def test_what_passed_is_counted_over_all_attempts(run: Run) -> None:
    (found,) = passes(Evidence(run))
    assert found == Pass("op", 2, ((2, 1), (2, 0), (2, 0)))
    # Shares 1/2, 0 and 0 of three runs: Student's t, cut at 0.
    assert found.share[:3] == pytest.approx((1 / 6, 0.0, 1 / 6 + 4.3027 / 6), abs=1e-4)
    page = (run.path / "report.html").read_text("utf-8").replace("\u202f", " ")
    assert "With 2 validators watching, 20 % [0, 90] of 6 false assertions decided in 3 runs became final (1 of them" in page
    assert Pass("op", 0, ((1, 1),) * 5).share.high == 1.0
    assert Pass("op", 0, ((1, 0),) * 18).share.low == 0.0  # rounding must not put an end beyond the share itself


def test_withdrawals_are_from_submission_to_payment(run: Run) -> None:
    rows = data(run, "withdrawals")
    paid = rows[(rows["stage"] == "paid") & (rows["world"] == "written")]
    assert paid[paid["lowest"] > 0]["seconds"].min() == pytest.approx(13 * 60, rel=0.01)
    assert paid[paid["highest"] > 0]["seconds"].min() == pytest.approx(11 * 60, rel=0.01)
    proven = rows[(rows["stage"] == "proven") & (rows["world"] == "written")]
    assert proven[proven["share"] == 1]["seconds"].min() == pytest.approx(2 * 60, rel=0.05)
    assert "6 of 6 withdrawals were paid" in (run.path / "report.html").read_text("utf-8")


def test_loans_add_up_to_what_the_log_says(run: Run) -> None:
    rows = data(run, "loans")
    assert rows.groupby("line")["value"].sum()[["repaid", "seized", "bad_debt"]].tolist() == [150.0, 155.0, 40.0]
    bars = rows[(rows["line"] == "bad_debt") & (rows["value"] > 0)]
    assert bars["seconds"].tolist() == [605.0]  # the interval from 600 s to 610 s
    sides = data(run, "loans_sides")
    written = sides[sides["world"] == "written"].set_index("party")
    assert written["mean_usd"].to_dict() == pytest.approx({"borrowers": -6.0, "liquidators": 5.0, "protocol": 1.0, "lenders": -40.0})
    # 4, 5 and 6 USD: 5 with a half width of 4.303 / sqrt(3).
    assert written["high_usd"].to_dict()["liquidators"] == pytest.approx(5 + 4.303 / np.sqrt(3), abs=1e-3)


def test_loans_count_among_cascades(run: Run) -> None:
    rows = data(run, "cascades")
    assert rows[rows["world"] == "as_written"].groupby("replication")["notional_usd"].sum().tolist() == [155.0, 156.0, 157.0]
    assert series.liquidated(settled("as_written", 0)).values.sum() == 155.0


def test_the_parts_of_a_loss_add_up(run: Run) -> None:
    rows = data(run, "extraction")
    means = {subject: here.set_index("part")["mean_usd"].to_dict() for subject, here in rows.groupby("subject")}
    parts = [means["longs"][part] for part in ("movement", "fees", "impact", "extraction")]
    assert parts == pytest.approx([-5.0, 3.0, 2.0, 11.0])
    assert sum(parts) == pytest.approx(means["longs"]["loss"])
    assert means["makers"]["taken"] == pytest.approx(11.0)
    page = (run.path / "report.html").read_text("utf-8").replace("\u202f", " ")
    assert "Of 11.0 USD [8.5, 13.5] that trades of longs lost against the price when they were sent, 11.0 USD [8.5, 13.5] went to" in page


def test_a_browser_has_no_complaint(run: Run) -> None:
    shown, complaints = browse(run.path / "report.html")
    assert complaints == []
    assert shown.count("<svg") == len(list((run.path / "figures").glob("*.csv")))


# ---- undone blocks


def undoing() -> Log:
    """A chain with a block every 10 s: at 300 s it takes back those of 260 s to 300 s; L1 takes back a batch at 600 s."""
    log = Log()
    log.about = {"duration": DURATION, "chains": CHAINS}

    def block(time: int, number: int) -> None:
        log.record(time * SECOND, BlockSealed("op", number, 1, 10**5, 1, 0, 0, 0))

    for number in range(1, 26):
        block(10 * number, number)
    before = log.lengths()
    for number in range(26, 31):
        block(10 * number, number)
    log.revert(before, log.lengths())
    log.record(300 * SECOND, ChainReorganized("op", 26, 30, 5, 2))
    for time in range(310, 1200, 10):
        block(time, time // 10 - 5)
    log.record(200 * SECOND, HeadAdvanced("op", "safe", 10))
    before = log.lengths()
    log.record(550 * SECOND, HeadAdvanced("op", "safe", 40))
    log.revert(before, log.lengths())
    log.record(600 * SECOND, ChainReorganized("l1", 45, 49, 0, 0))
    log.record(700 * SECOND, HeadAdvanced("op", "safe", 50))
    return log


def test_undone_blocks_are_those_from_the_first_to_the_reorganisation() -> None:
    op, l1 = reorganizations.undone(undoing())
    assert op == ("op", 5, 5, 2, 260.0 * SECOND, 300.0 * SECOND)
    assert l1 == ("l1", 5, 0, 0, 540.0 * SECOND, 600.0 * SECOND)  # nothing of it is in the log: five block times


def test_heads_are_where_they_were_seen_and_go_back() -> None:
    log = undoing()
    times, numbers = reorganizations.seen(log, HeadAdvanced, "op", head="safe")
    assert (times // SECOND).tolist() == [200, 550, 600, 700]
    assert numbers.tolist() == [10, 40, 10, 50]
    lag = series.lag(log, "op", "unsafe")
    at = {int(time / SECOND): value for time, value in zip(lag.times, lag.values, strict=True)}
    assert at[277] == pytest.approx(10.0)  # nobody knew yet
    assert max(value for time, value in at.items() if 290 < time < 310) == pytest.approx(50.0)
    assert at[352] <= 10.0


def test_the_timeline_marks_what_was_undone(tmp_path: Path) -> None:
    page = write_report(make_run(tmp_path, 1, logs=reorganized)).read_text("utf-8").replace("\u202f", " ")
    assert ">undone on arb</text>" in page
    assert "Hatched, up to a line where they were undone: 1 block of arb with 4 transactions, 1 of them lost." in page


def test_blocks_that_outlive_one_reorganisation_may_be_undone_by_the_next() -> None:
    log = Log()
    log.about = {"duration": DURATION, "chains": CHAINS}
    before = {}
    for number in range(1, 7):
        before[number] = log.lengths()
        log.record(10 * number * SECOND, BlockSealed("op", number, 1, 10**5, 1, 0, 0, 0))
    log.revert(before[6], log.lengths())
    log.record(65 * SECOND, ChainReorganized("op", 6, 6, 1, 0))
    log.revert(before[4], before[6])
    log.record(70 * SECOND, ChainReorganized("op", 4, 5, 2, 0))
    first, second = reorganizations.undone(log)
    assert (first.begins, second.begins) == (60.0 * SECOND, 40.0 * SECOND)
    times, numbers = reorganizations.seen(log, BlockSealed, "op")
    assert list(zip((times // SECOND).tolist(), numbers.tolist(), strict=True))[-4:] == [(50, 5), (60, 6), (65, 5), (70, 3)]
