"""The network: regions, who sits in them, and how long messages take between them."""

from collections.abc import Iterator
from itertools import combinations
from math import inf
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from l2sim.part import Part
from l2sim.report.evidence import Evidence
from l2sim.report.figures import BLUE, INK, WIDTH, Drawing, Picture, canvas
from l2sim.wording import listed, span

if TYPE_CHECKING:
    import networkx
    import pandas as pd
    from matplotlib.axes import Axes

    from l2sim.latency import Latency
    from l2sim.scenario import Scenario

MOST = 16
"""Members of a region that are named."""
LINE, LETTER, MARGIN = 0.165, 0.073, 0.12
"""Of the boxes: height of a line, width of a letter, room around the text (inches)."""
BETWEEN, ACROSS = 0.55, 1.35
"""Room for links between boxes, above and beside each other (inches)."""
SOMEWHERE = "us_east"
"""Where a chain counts as sitting that says nothing of it."""


class Box(NamedTuple):
    """A region on the picture, in inches."""

    x: float
    y: float
    width: float
    height: float
    lines: list[str]

    def reach(self, dx: float, dy: float) -> float:
        """Along a direction from the centre, the distance in units of it at which the box ends."""
        return min((self.width / 2 / abs(dx)) if dx else inf, (self.height / 2 / abs(dy)) if dy else inf)


def picture(evidence: Evidence) -> Picture | None:
    """Regions as boxes, links as lines with their delays; nothing where nobody has a place."""
    scenario = evidence.scenario
    members = dict(_members(scenario))
    if not members:
        return None
    graph = _graph(scenario, members)
    boxes = _placed(graph, members)
    height = max(box.y + box.height / 2 for box in boxes.values()) - min(box.y - box.height / 2 for box in boxes.values()) + 0.1
    with canvas(height, laid_out=False) as figure:
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.set_axis_off()
        middle = (max(box.y + box.height / 2 for box in boxes.values()) + min(box.y - box.height / 2 for box in boxes.values())) / 2
        axes.set_xlim(-WIDTH / 2, WIDTH / 2)
        axes.set_ylim(middle - height / 2, middle + height / 2)
        for one, other, link in sorted(graph.edges(data=True)):
            _line(axes, boxes[one], boxes[other], link["text"], crossing=len(boxes) > 3)
        for region, box in boxes.items():
            _box(axes, region, box)
        drawn = Drawing(figure, "network")
    within = _delay(scenario.network.within)
    caption = (
        f"Regions with the chains and agents that sit in them, and the one-way delay of a message on each link in calm times: "
        f"the median, and in brackets the 95th percentile where delays vary. Within a region: {within}. "
        "Between regions without a link a message takes the quickest route."
    )
    alt = "; ".join(f"{region}: {listed(names) or 'nobody'}" for region, names in sorted(members.items()))
    return Picture("network", "Who sits where, and how long messages take", caption, alt, drawn, _data(graph, members))


def _members(scenario: "Scenario") -> Iterator[tuple[str, list[str]]]:
    found: dict[str, list[str]] = {}
    for name, chain in sorted(scenario.chains.items()):
        words = {"l1": "L1", "outside": "venue"}.get(chain.kind, chain.kind)
        found.setdefault(getattr(chain, "region", SOMEWHERE), []).append(f"{name} ({words})")
        for field in type(chain).model_fields:
            part = getattr(chain, field)
            if isinstance(part, Part) and part.room is not None and part.room.name == "agents":
                found.setdefault(part.region, []).append(f"{name}'s {field.replace('_', ' ')}")  # type: ignore[attr-defined]
    for name, agent in sorted(scenario.agents.items()):
        found.setdefault(agent.region, []).append(name if agent.count == 1 else f"{name} × {agent.count}")
    yield from sorted(found.items())


def _graph(scenario: "Scenario", members: dict[str, list[str]]) -> "networkx.Graph[str]":
    import networkx

    graph: networkx.Graph[str] = networkx.Graph()
    graph.add_nodes_from(sorted(members))
    for one, others in sorted(scenario.network.links.items()):
        for other, latency in sorted(others.items()):
            graph.add_edge(one, other, text=_delay(latency))
    return graph


def _delay(latency: "Latency") -> str:
    median, late = latency.quantile(np.array([0.5, 0.95])).tolist()
    text = span(round(median))
    return text if late <= median * 1.001 else f"{text} ({span(round(late))})"


def _placed(graph: "networkx.Graph[str]", members: dict[str, list[str]]) -> dict[str, Box]:
    """Boxes on an ellipse, the fullest first and on top, as high as it takes that none touches another."""
    import networkx

    texts = {region: _lines(members.get(region, [])) for region in graph}
    regions = sorted(graph, key=lambda region: (-len(texts[region]), region))
    sizes = {
        region: (
            2 * MARGIN + LETTER * max(map(len, [f"{region}  ", *texts[region]])),
            2 * MARGIN + LINE * (1 + len(texts[region])) + 0.04,
        )
        for region in regions
    }
    if len(regions) == 1:
        return {region: Box(0.0, 0.0, *sizes[region], texts[region]) for region in regions}
    turn = np.pi / 4 if len(regions) == 4 else 0.0 if len(regions) == 2 else np.pi / 2
    around = networkx.circular_layout(networkx.path_graph(regions))
    angles = {region: np.arctan2(place[1], place[0]) + turn for region, place in around.items()}
    wide = (WIDTH - max(width for width, _ in sizes.values())) / 2 - 0.05
    wide = min(wide, 2.6)
    high = 0.3
    while True:
        boxes = {region: Box(wide * np.cos(angle), high * np.sin(angle), *sizes[region], texts[region]) for region, angle in angles.items()}
        if high > 20 or not any(_close(one, other) for one, other in combinations(boxes.values(), 2)):
            return boxes
        high += 0.1


def _close(one: Box, other: Box) -> bool:
    beside = abs(one.x - other.x) >= (one.width + other.width) / 2 + ACROSS
    above = abs(one.y - other.y) >= (one.height + other.height) / 2 + BETWEEN
    return not (beside or above)


def _lines(names: list[str]) -> list[str]:
    if not names:
        return ["nobody"]
    return names if len(names) <= MOST else [*names[: MOST - 1], f"and {len(names) - MOST + 1} more"]


def _line(axes: "Axes", one: Box, other: Box, text: str, *, crossing: bool) -> None:
    dx, dy = other.x - one.x, other.y - one.y
    start, end = one.reach(dx, dy), 1.0 - other.reach(dx, dy)
    axes.plot([one.x, other.x], [one.y, other.y], color=BLUE, linewidth=1.2, zorder=1)
    # Where lines may cross in the middle, labels stand off it.
    at = start + (end - start) * (0.36 if crossing else 0.5)
    patch = {"facecolor": "white", "edgecolor": "none", "pad": 2.0}
    axes.text(one.x + at * dx, one.y + at * dy, text, ha="center", va="center", fontsize=8.5, color=INK, bbox=patch, zorder=2)


def _box(axes: "Axes", region: str, box: Box) -> None:
    from matplotlib.patches import FancyBboxPatch

    left, bottom, top = box.x - box.width / 2, box.y - box.height / 2, box.y + box.height / 2
    shape = "round,pad=0,rounding_size=0.06"
    axes.add_patch(
        FancyBboxPatch((left, bottom), box.width, box.height, shape, facecolor="#f3f6f9", edgecolor=BLUE, linewidth=1.0, zorder=3)
    )
    axes.text(left + MARGIN, top - MARGIN, region, ha="left", va="top", fontsize=9, fontweight="bold", zorder=4)
    for i, line in enumerate(box.lines, 1):
        axes.text(left + MARGIN, top - MARGIN - LINE * i - 0.03, line, ha="left", va="top", fontsize=8.5, zorder=4)


def _data(graph: "networkx.Graph[str]", members: dict[str, list[str]]) -> "pd.DataFrame":
    import pandas as pd

    rows = [("member", region, name) for region, names in sorted(members.items()) for name in names]
    rows += [("link", f"{one} – {other}", link["text"]) for one, other, link in sorted(graph.edges(data=True))]
    return pd.DataFrame(rows, columns=["what", "where", "value"])
