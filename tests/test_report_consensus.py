"""The picture of an L1's heads, votes and stake: there where validators are in groups, with the numbers of the log."""

from pathlib import Path

import pytest
from validation import SCENARIOS

from l2sim import Scenario
from l2sim.report import consensus
from l2sim.report.evidence import Evidence
from l2sim.simulation import experiment

SETTINGS = [
    "duration=6h",
    "chains.l1.consensus.groups={some: {stake: 14400000 ETH}, late: {stake: 7200000 ETH, late: 0.3}, others: {stake: 14400000 ETH}}",
    "attacks.gone={kind: validators_offline, on: l1, group: some, begins: 2h, lasts: 1h}",
    "metrics.loss={kind: loss_of_finality}",
]


def evidence(path: Path, *settings: str) -> Evidence:
    return Evidence(experiment(Scenario.load(SCENARIOS / "consensus_of_l1.yaml", settings), seed=1, replications=1, jobs=1, out=path))


def test_the_picture_shows_what_happened(tmp_path: Path) -> None:
    seen = evidence(tmp_path, *SETTINGS)
    (picture,) = consensus.pictures(seen)
    data = picture.data
    assert set(data["panel"]) == {"heads", "votes", "stake lost"}
    log = seen.written.log(0)
    summary = seen.written.summary.iloc[0]
    # The longest lag is the wait for the next final block and what that is behind anyway.
    final = data.query("panel == 'heads' and line == 'final' and world == 'written'")["value"]
    waited = summary["loss.l1.longest_without_finality"]
    assert waited + 2 * 384 <= final.max() <= waited + 3 * 384
    assert data.query("world == 'without' and line == 'final'")["value"].max() <= 3 * 384
    counted = data.query("line == 'an epoch later'")["value"]
    assert counted.min() == pytest.approx(0.6)
    assert counted.max() == 1.0
    lost = data.query("panel == 'stake lost'")
    assert set(lost["line"]) == {"some"}
    assert lost["value"].max() == pytest.approx(summary["loss.l1.stake_lost"])
    undone = len(log.frame("ChainReorganized"))
    assert f"blocks were undone, {undone} times" in picture.caption
    assert f"the inactivity leak, {summary['loss.l1.epochs_in_leak']:.0f} epochs" in picture.caption
    (table,) = consensus.tables(seen)
    assert {row[0] for row in table.rows} >= {
        "slots without a block",
        "slots undone",
        "longest wait for a finalized epoch",
        "epochs in the inactivity leak",
    }


def test_there_is_none_without_groups(tmp_path: Path) -> None:
    seen = evidence(tmp_path, "chains.l1.consensus=null", "duration=2h")
    assert not list(consensus.pictures(seen))
