"""What figures show on paper: extents, places, looks and legends, against the numbers beside them."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from report_runs import make_run
from test_report_panels import ABOUT_THESE, CHAINS, CHANGES, settled

from l2sim.events import (
    AssertionChallenged,
    AssertionConfirmed,
    AssertionMade,
    AssertionRejected,
    AttackBegan,
    AttackEnded,
    BlockSealed,
    HeadAdvanced,
    TransactionIncluded,
)
from l2sim.events.bridging import WithdrawalAdvanced
from l2sim.log import Log
from l2sim.report import dispute_heads, disputes, fee_components, reach, series, share_passed, timeline, timeline_panels, withdrawal_delays
from l2sim.report.asserted import Pass, passes, sentence
from l2sim.report.evidence import Evidence
from l2sim.report.figures import Picture
from l2sim.report.series import Series
from l2sim.statistics.proportion import clustered
from l2sim.units import MINUTE, SECOND


def figure_of(picture: Picture | None) -> Figure:
    assert picture is not None
    return picture.drawing._figure


def covered(axes: Axes, x: float, y: float) -> bool:
    """Whether anything filled covers a point, in the units of the axes."""
    paths = [patch.get_path() for patch in axes.patches] + [path for one in axes.collections for path in one.get_paths()]
    return any(path.contains_point((x, y)) for path in paths)


def words(axes: Axes) -> list[str]:
    return axes.get_legend_handles_labels()[1]


# ---- fee components


def sparse(world: str, luck: int) -> Log:
    """Transactions in the first three parts of 25 s, in one part alone, and in the last one."""
    log = Log()
    log.about = ABOUT_THESE
    for number, second in enumerate((10, 40, 60, 610, 1190), 1):
        log.record(second * SECOND, TransactionIncluded("op", number, second * SECOND, 5, "pool", "buy", 0, 10**5, 2e-4, 1e-4, 1.0, 1.0))
        log.record(second * SECOND, BlockSealed("op", number, 1, 10**5, 10**9, 0, 0, 0))
    return log


def test_components_are_drawn_over_the_whole_width_of_each_part(tmp_path: Path) -> None:
    changes = CHANGES | {"metrics": {"components": {"kind": "fee_components"}}, "attacks": {}}
    picture = fee_components.picture(Evidence(make_run(tmp_path, 1, changes, logs=sparse)), "components")
    (axes,) = figure_of(picture).axes
    assert picture is not None
    shown = [f"{one}_gwei" for one in fee_components.COMPONENTS]
    assert picture.data[shown[0]].notna().sum() == 5
    for _, row in picture.data.iterrows():
        total, width = sum(row[one] for one in shown), row["to_s"] - row["from_s"]
        height = 0.5 * total if np.isfinite(total) else 1e4
        for share in (0.02, 0.5, 0.98):
            assert covered(axes, row["from_s"] + share * width, height) == np.isfinite(total), (row["from_s"], share)


def test_one_part_that_costs_far_more_hides_no_other(tmp_path: Path) -> None:
    """Its height is written beside it; a part that costs four times as much is drawn as it is."""

    def spiked(times: float) -> Log:
        log = Log()
        log.about = ABOUT_THESE
        for number in range(1, 41):
            fee, second = 1e-4 * (times if number == 30 else 1.0), 29 * number
            log.record(second * SECOND, TransactionIncluded("op", number, second * SECOND, 5, "pool", "buy", 0, 10**5, fee, 0.0, 1.0, 1.0))
            log.record(second * SECOND, BlockSealed("op", number, 1, 10**5, 10**9, 0, 0, 0))
        return log

    changes = CHANGES | {"metrics": {"components": {"kind": "fee_components"}}, "attacks": {}}
    for times, limit, text in ((500.0, 1.6e5, "up to 50\u202f000\u202f000"), (4.0, 4.32e5, "")):
        run = make_run(tmp_path / str(times), 1, changes, logs=lambda world, luck, times=times: spiked(times))
        picture = fee_components.picture(Evidence(run), "components")
        (axes,) = figure_of(picture).axes
        assert picture is not None
        assert axes.get_ylim() == pytest.approx((0.0, limit))
        assert axes.get_title("right") == text
        assert ("On op parts" in picture.caption) == bool(text)


# ---- disputes


def test_a_share_of_one_attempt_a_run_is_wilsons_and_of_several_that_of_the_spread() -> None:
    alone = Pass("op", 2, ((1, 1), *[(1, 0)] * 9))
    assert alone.share[:3] == pytest.approx((0.1, 0.0179, 0.4042), abs=5e-5)
    assert "one attempt a run" in sentence(alone)
    # Shares 1/2, 0, 0: mean 1/6, standard deviation 1/sqrt(12), Student's t 4.303, cut at 0.
    rivals = Pass("op", 2, ((2, 1), (2, 0), (2, 0)))
    assert rivals.share[:3] == pytest.approx((1 / 6, 0.0, 1 / 6 + 4.3027 / 6), abs=1e-4)
    assert "spread over runs" in sentence(rivals)
    # Three runs of ten rivals each tell no more than three runs.
    assert Pass("op", 2, ((3, 1),)).how == "one run, no interval"
    none = Pass("op", 1, ((10, 0),) * 3)
    assert np.isnan(none.share.high)
    assert sentence(none) == "With 1 validator watching, none of 30 false assertions decided in 3 runs became final."
    assert np.isnan(clustered([4], [1]).low)
    assert np.isnan(clustered([], []).mean)
    # Runs of other sizes: the share of all trials, not the mean of shares.
    assert clustered([9, 1], [0, 1]).mean == pytest.approx(0.1)


def quiet(world: str, luck: int) -> Log:
    """Two false assertions, both rejected."""
    log = Log()
    log.about = ABOUT_THESE
    for number in (0, 1):
        log.record(MINUTE, AssertionMade("op", number, 0, 10, 7, 1, 0, 1.0, 0.01))
        log.record(5 * MINUTE, AssertionRejected("op", number, 10, 0))
    return log


def test_where_nothing_passed_there_are_words_and_no_picture(tmp_path: Path) -> None:
    evidence = Evidence(make_run(tmp_path / "quiet", 2, CHANGES, logs=quiet))
    assert "undetected" not in [picture.name for picture in disputes.pictures(evidence)]
    assert sentence(passes(evidence)[0]) == "With 2 validators watching, none of 4 false assertions decided in 2 runs became final."
    evidence = Evidence(make_run(tmp_path / "passed", 2, CHANGES, logs=settled))
    assert "undetected" in [picture.name for picture in disputes.pictures(evidence)]


def test_chains_with_as_many_validators_stand_beside_each_other(tmp_path: Path) -> None:
    evidence = Evidence(make_run(tmp_path, 1, CHANGES, logs=settled))
    found = [Pass("a", 1, ((4, 0), (4, 1))), Pass("b", 1, ((4, 0), (4, 0))), Pass("c", 2, ((1, 0), (1, 1)))]
    places = share_passed.places(found)
    assert places[2] == 2
    assert places[0] == pytest.approx(0.85)
    assert places[1] == pytest.approx(1.15)
    (axes,) = figure_of(share_passed.picture(evidence, found)).axes
    assert [one for one in words(axes) if len(one) == 1] == ["a", "b", "c"]
    looks = {(str(one.get_children()[0].get_color()), one.get_children()[0].get_marker()) for one in axes.containers}
    assert len(looks) == 3
    assert axes.get_ylim()[0] <= 0.0  # a share of zero has a place
    assert all(np.isfinite(axes.transData.transform((place, one.share.mean))).all() for place, one in zip(places, found, strict=True))


def contested(world: str, luck: int) -> Log:
    """Forty assertions, each challenged for five minutes, one every ten seconds."""
    log = Log()
    log.about = ABOUT_THESE
    for number in range(40):
        begins = (60 + 10 * number) * SECOND
        log.record(begins, AssertionMade("op", number, 0, 2 * number, 7, 1, 1, 1.0, 0.01))
        log.record(begins + SECOND, AssertionChallenged("op", number, 5, 1.0, 0.01, 1))
        log.record(begins + 5 * MINUTE, AssertionConfirmed("op", number, 2 * number, 1))
    return log


def test_disputes_that_overlap_are_shaded_once(tmp_path: Path) -> None:
    evidence = Evidence(make_run(tmp_path, 1, CHANGES, logs=contested))
    (axes,) = figure_of(dispute_heads.picture(evidence, evidence.written.log(0), "op", 0)).axes
    (shade,) = axes.patches
    assert shade.get_path().get_extents(shade.get_patch_transform()).width == pytest.approx((39 * 10 + 299) / 60)  # in minutes
    assert "confirmed" in words(axes)
    assert "rejected" not in words(axes)
    lines = [line for line in axes.lines if line.get_linewidth() < 2.6 and line.get_zorder() == 4]
    assert len(lines) == 40
    apart = axes.transData.transform((0, 2))[1] - axes.transData.transform((0, 0))[1]
    assert lines[0].get_linewidth() * axes.figure.dpi / 72 < apart  # in pixels: lines leave room between them
    assert dispute_heads.union([(5, 7), (1, 3), (2, 4), (7, 8)]) == [(1, 4), (5, 8)]


def test_attacks_shade_the_chains_that_they_act_on(tmp_path: Path) -> None:
    attacks = {
        "mine": {"kind": "sequencer_outage", "on": "op", "begins": "1min", "lasts": "1min"},
        "theirs": {"kind": "sequencer_outage", "on": "arb", "begins": "3min", "lasts": "1min"},
        "below": {"kind": "l1_fee_spike", "on": "l1", "begins": "5min", "lasts": "1min", "gas": "10 Mgas"},
        "fraud": {"kind": "invalid_assertion", "bridge": "bridge", "begins": "7min", "lasts": "1min"},
    }

    def attacked(world: str, luck: int) -> Log:
        log = settled(world, luck)
        log.about = ABOUT_THESE | {"chains": CHAINS | {"arb": CHAINS["op"]}}
        for k, name in enumerate(attacks):
            log.record((1 + 2 * k) * MINUTE, AttackBegan(name))
            log.record((2 + 2 * k) * MINUTE, AttackEnded(name))
        return log

    changes = CHANGES | {"chains": CHANGES["chains"] | {"arb": {"preset": "minimal"}}, "attacks": attacks}
    evidence = Evidence(make_run(tmp_path, 1, changes, logs=attacked))
    log = evidence.written.log(0)
    assert [window.name for window in reach.windows_on(evidence, log, "op")] == ["mine", "below", "fraud"]
    assert "theirs" in [window.name for window in reach.windows_on(evidence, log, "arb")]
    picture = next(one for one in disputes.pictures(evidence) if one.name == "assertions_op")
    assert "Shaded: mine, below and fraud." in picture.caption
    assert "theirs" not in picture.caption


def test_what_is_false_settles_no_block() -> None:
    log = Log()
    log.about = {"duration": 20 * MINUTE, "chains": {"op": {"kind": "rollup", "block_time": MINUTE, "blocks": 20}}}
    for number, time, last, valid in ((0, 5, 2, 1), (1, 8, 9, 0), (2, 12, 6, 1)):
        log.record(time * MINUTE, AssertionConfirmed("op", number, last, valid))
    times, blocks = dispute_heads._lines(log, "op")["settled"]
    assert (times // MINUTE).tolist() == [0, 5, 12]
    assert blocks.tolist() == [0, 2, 6]


# ---- the timeline


def test_no_two_prices_look_alike() -> None:
    looks = [timeline_panels.look(place, 16, feeds=place % 3 == 0, points=100) for place in range(16)]
    assert len({(one["color"], one["marker"]) for one in looks}) == 16
    assert len({one["markevery"] for one in looks}) == 16
    assert all((one["linestyle"] == "-") == (place % 3 == 0) for place, one in enumerate(looks))
    assert timeline_panels.look(0, 16, feeds=False, points=1)["markevery"] is None  # one trade alone is seen


def test_a_saw_of_many_teeth_is_a_band_between_its_extremes() -> None:
    log = Log()
    log.about = {"duration": 2400 * SECOND, "chains": {"arb": {"kind": "rollup", "block_time": SECOND, "blocks": 2400}}}
    for second in range(1, 2400):
        log.record(second * SECOND, BlockSealed("arb", second, 1, 1, 1, 0, 0, 0))
    for second in range(3, 2400, 3):
        log.record(second * SECOND, HeadAdvanced("arb", "safe", second - 2))
    lag = series.lag(log, "arb", "safe")
    assert len(lag.times) == 2 * series.BINS
    assert (np.diff(lag.times) >= 0).all()
    # At each advance the head is 2 s behind, before the next one 5 s; a sample every 5 s would show neither throughout.
    inner = lag.values[2:-2].reshape(-1, 2)
    assert inner[:, 0] == pytest.approx(2.0)
    assert inner[:, 1] == pytest.approx(5.0)
    assert series.teeth(lag) > timeline.CLOSE
    ends, low, high = series.envelope(lag, float(log.about["duration"]), 80)
    assert (len(ends), set(low[1:].round(6)), set(high[1:-1].round(6))) == (81, {2.0}, {5.0})
    _, low, _ = series.envelope(Series(np.array([0.0, 9.0]), np.array([1.0, 2.0])), 9.0, 3)
    assert low.tolist()[::2] == [1.0, 2.0]
    assert np.isnan(low[1])


# ---- ways out


def test_delays_of_ways_out_say_which_world_and_what_is_left_out(tmp_path: Path) -> None:
    def advanced(world: str, luck: int) -> Log:
        log = settled(world, luck)
        log.record(5 * MINUTE, WithdrawalAdvanced("bridge", 5, 0, 9, 10.0, 0.1, 1, 0.001))
        return log

    changes = CHANGES | {"metrics": {"withdrawals": {"kind": "withdrawal_delay", "cool_down": "1min"}}}
    evidence = Evidence(make_run(tmp_path, 1, changes, logs=advanced))
    (picture,) = withdrawal_delays.pictures(evidence)
    caption = picture.caption.replace("\u202f", " ")
    assert "as written, with the attack." in caption
    assert "Left out: what was submitted in the last 1 min." in caption
    assert "0 s" not in caption
