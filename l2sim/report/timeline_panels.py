"""Panels of the timeline: what each shows of one replication, as written and without the attacks."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from l2sim.report import series
from l2sim.report.evidence import Evidence
from l2sim.report.figures import CALM, FAINT, GREEN, INK, MARKERS, ORANGE, PURPLE, SKY, WRITTEN
from l2sim.report.series import Series

if TYPE_CHECKING:
    from l2sim.log import Log

_PATH: Mapping[str, Any] = {"color": INK, "linestyle": (0, (1, 1.5)), "linewidth": 1.1}
_TONES = (GREEN, ORANGE, SKY, PURPLE, FAINT)
_DASHES: tuple[Any, ...] = ((0, (6, 1.5, 1, 1.5)), (0, (3, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (2, 1)))
_MARKED = 0.14
"""Between two markers of a line, of the figure's axis, from one line to the next a little further on."""
_HEADS: Mapping[str, tuple[str, float]] = {"unsafe": (INK, 1.0), "safe": (GREEN, 1.2), "finalized": (ORANGE, 1.4)}
SPARSE = 12
"""Points of a line up to which each has its marker."""
_THIN_CALM = (0, (2.5, 1.5))


class Line(NamedTuple):
    """A line of a panel."""

    name: str
    world: str
    points: Series
    style: Mapping[str, Any]
    legend: str | None = None
    """What the legend calls it; nothing where another line speaks for it."""


class Panel(NamedTuple):
    """One axis of the stack."""

    title: str
    unit: str
    lines: list[Line]
    form: str = "linear"
    """``linear``, ``log``, ``duration`` (logarithmic, in seconds) or ``mirrored`` (bars up and down)."""
    height: float = 1.0
    chain: str = ""
    """Whose it is; of prices and of all chains together nobody's."""


class Worlds(NamedTuple):
    """The logs of the replication: as written, and without the attacks."""

    written: "Log"
    calm: "Log | None"

    def each(self) -> "Iterator[tuple[str, Log, Mapping[str, Any]]]":
        yield "written", self.written, {**WRITTEN, "zorder": 2.2}
        if self.calm is not None:
            yield "without", self.calm, {**CALM, "zorder": 2.1}


def feeds(evidence: Evidence) -> dict[str, str]:
    """The price that each feed shows."""
    return {name: str(getattr(market, "of", "")) for name, market in evidence.scenario.markets.items() if market.kind == "price_feed"}


def panels(worlds: Worlds, feeds: Mapping[str, str]) -> Iterator[Panel]:
    """All there could be, from prices down to the fees of L1; some have nothing to show."""
    about = worlds.written.about
    markets: dict[str, dict[str, Any]] = about.get("markets", {})
    chains = sorted(about.get("chains", {}).items(), key=lambda chain: (chain[1]["kind"] != "rollup", chain[0]))
    for price in sorted(about.get("prices", {})):
        near = {name for name, market in markets.items() if (feeds.get(name) or market.get("base")) in (price, None)}
        yield _price(worlds, price, markets, near if len(about["prices"]) > 1 else set(markets))
    for price in sorted(about.get("prices", {})):
        yield _impact(worlds, price)
    yield _liquidations(worlds)
    busy = [name for name, _ in chains if series.executed(worlds.written, name).there]
    for name in busy:
        yield _simple(f"Transactions executed on {name}", "per second", worlds, name, series.executed)
        yield _simple(f"Transactions waiting for a block of {name}", "number", worlds, name, series.waiting)
    behind = [name for name, chain in chains if chain["kind"] != "l1"] or [name for name, _ in chains]
    for name in behind:
        yield _heads(worlds, name)
    for name, chain in chains:
        if chain["kind"] == "l1":
            for field in ("base_fee", "blob_base_fee"):
                title = f"{field.replace('_', ' ').capitalize()} on {name}"
                yield _simple(title, "gwei per gas", worlds, name, partial(series.fees, field=field), "log")


def _simple(title: str, unit: str, worlds: Worlds, chain: str, take: "Callable[[Log, str], Series]", form: str = "linear") -> Panel:
    lines = [Line(title, world, take(log, chain), style, _world(world, worlds)) for world, log, style in worlds.each()]
    return Panel(title, unit, lines, form, 0.8, chain)


def _world(world: str, worlds: Worlds) -> str | None:
    """What a legend calls a world, where there are two."""
    return None if worlds.calm is None else "as written" if world == "written" else "without"


def _price(worlds: Worlds, price: str, markets: Mapping[str, Mapping[str, Any]], near: set[str]) -> Panel:
    path, _ = series.outside(worlds.written, price)
    lines = [Line("outside path", "both", path, _PATH, "outside path")]
    for world, log, style in worlds.each():
        name = "index" if world == "written" else "index, without"
        lines.append(Line("index", world, series.outside(log, price)[1], style, name))
    shown = []
    for market in sorted(near):
        feeds = markets[market]["kind"] == "price_feed"
        points = series.feed(worlds.written, market) if feeds else series.traded(worlds.written, market)
        if points.there:
            shown.append((market if feeds else f"trades in {market}", points, feeds))
    for place, (name, points, feeds) in enumerate(shown):
        lines.append(Line(name, "written", points, look(place, len(shown), feeds=feeds, points=len(points.times)), name))
    return Panel(f"Price of {price}", "USD", [line for line in lines if line.points.there], height=1.7)


def look(place: int, of: int, *, feeds: bool, points: int) -> Mapping[str, Any]:
    """How a feed or a market is drawn beside others: no two have the same colour and marker; feeds are solid, trades dashed.

    Of few points each is marked: one alone makes no line.
    """
    style: dict[str, Any] = {"color": _TONES[place % len(_TONES)], "linewidth": 0.9, "zorder": 2.3}
    style |= {"linestyle": "-"} if feeds else {"linestyle": _DASHES[place % len(_DASHES)], "drawstyle": "steps-post"}
    if of > 1 or points <= SPARSE:
        every = None if points <= SPARSE else (_MARKED * (place + 0.5) / of, _MARKED)
        style |= {"marker": MARKERS[place % len(MARKERS)], "markersize": 3.6, "markeredgewidth": 0.0, "markevery": every}
    return style


def _impact(worlds: Worlds, price: str) -> Panel:
    lines = []
    for world, log, style in worlds.each():
        path, index = series.outside(log, price)
        moved = Series(path.times, index.values / path.values - 1.0)
        if np.abs(moved.values).max(initial=0.0) > 1e-9:
            lines.append(Line("impact", world, moved, style, _world(world, worlds)))
    return Panel(f"Impact of the run's own trades on {price}, index over path", "%", lines, height=0.75)


def _liquidations(worlds: Worlds) -> Panel:
    lines = []
    for world, log, style in worlds.each():
        points = series.liquidated(log)
        name = "as written, upwards" if world == "written" else "without, downwards"
        if points.values.any():
            lines.append(Line("liquidated", world, points, style, name if worlds.calm is not None else None))
    return Panel("Notional liquidated", "USD", lines, form="mirrored", height=1.1)


def _heads(worlds: Worlds, chain: str) -> Panel:
    lines = []
    for head, (colour, width) in _HEADS.items():
        for world, log, _ in worlds.each():
            points = series.lag(log, chain, head)
            written = world == "written"
            style = {"color": colour, "linewidth": width if written else 0.8, "linestyle": "-" if written else _THIN_CALM}
            if points.there:
                lines.append(Line(head, world, points, style, head if written else None))
    if all(line.name == "unsafe" and np.ptp(line.points.values) == 0.0 for line in lines):
        lines = []  # a block after every block time, and nobody to settle with: there is nothing to see
    return Panel(f"How far the heads of {chain} are behind", "", lines, "duration", 1.35, chain)
