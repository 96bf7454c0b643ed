"""How figures and tables are laid out: axes have names, and what many chains have fits a printed page."""

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from report_runs import DURATION, log_of, make_run, reorganized
from test_report_panels import CHANGES, settled

from l2sim.report import figures, timeline
from l2sim.report.evidence import Evidence
from l2sim.report.page import document
from l2sim.report.series import Series
from l2sim.report.side_by_side import ABREAST, _abreast
from l2sim.report.timeline_panels import Line, Panel, Worlds
from l2sim.results import Run

NUMBER = re.compile(r"[\d.,\s\u2212\u202f-]*\d$")


def numbered(axis: Axis) -> bool:
    """Whether a reader sees numbers at an axis, which mean nothing without its name."""
    texts = [label.get_text() for label in axis.get_ticklabels() if label.get_visible()]
    return axis.get_visible() and axis.axes.axison and any(map(NUMBER.fullmatch, texts))


def nameless(figure: Figure) -> list[str]:
    """Axes with numbers and no name, neither their own nor one for all."""
    found = []
    for axes in figure.axes:
        if numbered(axes.xaxis) and not (axes.get_xlabel() or figure.get_supxlabel()):
            found.append(f"x of {axes.get_title('left')}")
        if numbered(axes.yaxis) and not (axes.get_ylabel() or figure.get_supylabel()):
            found.append(f"y of {axes.get_title('left')}")
    return found


@pytest.fixture(scope="module", params=["panels", "outage"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    made = {"panels": (CHANGES, settled), "outage": ({}, log_of)}[request.param]
    return make_run(tmp_path_factory.mktemp(request.param), 3, made[0], logs=made[1])


def test_every_axis_with_numbers_has_a_name(run: Run) -> None:
    pictures = [picture for section in document(run).sections for picture in section.pictures]
    assert len(pictures) > 4
    assert {picture.name: found for picture in pictures if (found := nameless(picture.drawing._figure))} == {}


# ---- many chains


@pytest.mark.parametrize("number", [1, 3, 4, 5, 12, 13])
def test_axes_of_the_same_kind_fit_a_page(number: int) -> None:
    with figures.canvas(0.5 + figures.room(number, 2.4)) as figure:
        every = figures.grid(figure, number, same_y=True)
        figures.name_axes(every, "hours", "share")
        for axes in every:
            axes.plot([0, 1], [0, 1], label="line")
        figures.key(figure)
        drawn = figures.Drawing(figure, "many")
    assert len(every) == number
    assert figure.get_size_inches()[1] <= 10.5
    assert nameless(figure) == []
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["line"]
    lefts = {round(axes.get_position().x0, 3) for axes in every}
    assert len(lefts) == (1 if number <= figures.COLUMN else 2)
    assert drawn.svg.startswith("<svg")


def panels(chains: int) -> list[Panel]:
    line = Line("line", "written", Series(np.array([0.0, 1.0]), np.array([1.0, 1.0])), {})
    shown = [Panel("Price of eth", "USD", [line], height=1.7)]
    return [*shown, *(Panel(f"{what} of {chain}", "", [line], height=1.0, chain=f"c{chain}") for what in "ABC" for chain in range(chains))]


@pytest.mark.parametrize("chains", [0, 1, 2, 3, 5, 13])
def test_a_timeline_of_many_chains_is_in_parts(chains: int) -> None:
    every = panels(chains)
    sheets = timeline._sheets(every)
    assert sorted(panel.title for sheet in sheets for panel in sheet) == sorted(panel.title for panel in every)
    if sum(panel.height for panel in every) <= timeline.WHOLE:
        assert sheets == [every]
    else:
        assert len(sheets) > 1
        assert max(sum(panel.height for panel in sheet) for sheet in sheets) <= timeline.PAGE
    for chain in range(chains):  # whole, on one sheet
        assert sum(any(panel.chain == f"c{chain}" for panel in sheet) for sheet in sheets) == 1
    assert timeline._sheets([]) == []


def test_parts_of_a_timeline_say_only_what_they_show(tmp_path: Path) -> None:
    evidence = Evidence(make_run(tmp_path, 1, logs=reorganized))
    worlds = Worlds(evidence.written.log(0), None)
    line = Line("line", "written", Series(np.array([0.0, float(DURATION)]), np.array([1.0, 1.0])), {"color": figures.INK})
    prices = [Panel("Price of eth", "USD", [line]), Panel("Notional liquidated", "USD", [line], form="mirrored")]
    rollup = [Panel("Transactions executed on arb", "per second", [line], chain="arb")]
    first, second, third = (
        timeline._picture(evidence, worlds, shown, "timeline", "").caption
        for shown in (prices, rollup, [Panel("Base fee on l1", "gwei per gas", [line], chain="l1")])
    )
    assert "Liquidations are taken over 240" in first
    assert "Executed transactions are taken over 240" in second
    assert "taken over" not in third
    assert ["Hatched" in caption for caption in (first, second, third)] == [True, True, False]  # L1 lost no block
    assert ["Shaded: stop" in caption for caption in (first, second, third)] == [True, True, False]


@pytest.mark.parametrize(("number", "sizes"), [(2, [2]), (5, [5]), (6, [3, 3]), (12, [4, 4, 4]), (13, [5, 5, 3])])
def test_a_table_of_many_chains_is_in_parts(number: int, sizes: list[int]) -> None:
    chains = [f"c{place}" for place in range(number)]
    rows = [["cost", *chains], ["of whom, by role"], ["wait", *(chain.upper() for chain in chains)]]
    made = _abreast("Side by side", "n = 6", chains, chains, rows, "said once")
    assert [len(table.head) - 1 for table in made] == sizes
    assert max(sizes) <= ABREAST
    assert [name for table in made for name in table.rows[0][1:]] == chains
    assert all(table.rows[1] == ["of whom, by role"] for table in made)
    assert [table.note for table in made] == ["said once", *[""] * (len(sizes) - 1)]
    assert len({table.caption for table in made}) == len(made)


@pytest.mark.parametrize("width", [1.0, 0.45, 0.3])
def test_ticks_of_durations_do_not_run_into_each_other(width: float) -> None:
    with figures.canvas(3.0, laid_out=False) as figure:
        axes = figure.add_axes((0.1, 0.2, 0.88 * width, 0.7))
        axes.set(xscale="log", xlim=(0.005, 2e5))
        figures.duration_axis(axes.xaxis, 0.005, 2e5, width=width)
        figure.draw_without_rendering()
        boxes = sorted((label.get_window_extent() for label in axes.get_xticklabels()), key=lambda box: float(box.x0))
    assert len(boxes) >= figures.ENOUGH
    assert all(before.x1 < after.x0 for before, after in pairwise(boxes))
