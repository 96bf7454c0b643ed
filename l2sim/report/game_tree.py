"""The game tree of a dispute: who claimed what against whom, what was countered, what it locked up and how long it took."""

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from l2sim.events.dispute_game import ClaimMade, ClaimResolved, ClaimStepped
from l2sim.report.evidence import Evidence
from l2sim.report.figures import BLUE, FAINT, GREEN, INK, ORANGE, PURPLE, SKY, VERMILLION, Drawing, Picture, canvas, plain_axis
from l2sim.report.series import time_unit
from l2sim.wording import amount, listed

if TYPE_CHECKING:
    import networkx
    import pandas as pd
    from matplotlib.axes import Axes

    from l2sim.log import Log

MOST = 2
"""Games that are drawn for each rollup: those with the most claims."""
COLOURS = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY)
"""Of players, in the order in which they moved first."""
APART = 5.0
"""Between answers to the same claim that go the same way, in steps to the side."""


class Claim(NamedTuple):
    """A claim of a game."""

    number: int
    parent: int
    depth: int
    attack: bool
    player: str
    made: int
    """When (ns)."""
    bond: float
    """ETH."""
    fate: str
    """``stands``, ``countered`` or ``open``."""
    stepped: bool
    """Whether L1 executed the instruction below it and found it wrong."""


def pictures(evidence: Evidence, log: "Log", chain: str, first: int) -> Iterator[Picture]:
    """The games about a rollup with the most claims, as far as anybody answered."""
    numbers, counts = np.unique(log.select(ClaimMade, "number", chain=chain)[0], return_counts=True)
    contested = [(-count, number) for number, count in zip(numbers.tolist(), counts.tolist(), strict=True) if count > 1]
    for _, number in sorted(contested)[:MOST]:
        yield _picture(evidence, claims(log, chain, number), log, chain, number, first)


def claims(log: "Log", chain: str, number: int) -> list[Claim]:
    """The claims of the game over an assertion, in order."""
    about, resolved, countered = log.select(ClaimResolved, "number", "claim", "countered", chain=chain)
    fates = dict(zip(resolved[about == number].tolist(), countered[about == number].tolist(), strict=True))
    about, below = log.select(ClaimStepped, "number", "claim", chain=chain)
    stepped = set(below[about == number].tolist())
    columns = log.select(ClaimMade, "time", "number", "claim", "parent", "depth", "attack", "account", "bond", chain=chain)
    found = []
    for made, about_, claim, parent, depth, attack, account, bond in zip(*map(np.ndarray.tolist, columns), strict=True):
        if about_ == number:
            fate = {0: "stands", 1: "countered", None: "open"}[fates.get(claim)]
            found.append(Claim(claim, parent, depth, bool(attack), player(log, account), made, bond, fate, claim in stepped))
    return found


def player(log: "Log", account: int) -> str:
    """Whose an account is: the name of its group, with a number where it has several members."""
    for name, group in log.about["groups"].items():
        if group["first"] <= account < group["last"]:
            return name if group["last"] - group["first"] == 1 else f"{name}/{account - group['first']}"
    return str(account)


def graph(found: list[Claim]) -> "networkx.DiGraph[int]":
    """Claims and the claims that they answer, each with its place: as many steps to the left or right as it went, and its depth down."""
    import networkx

    tree: networkx.DiGraph[int] = networkx.DiGraph()
    beside: dict[tuple[int, bool], int] = {}
    for claim in found:
        if claim.parent < 0:
            place = 0.0
        else:
            earlier = beside[claim.parent, claim.attack] = beside.get((claim.parent, claim.attack), -1) + 1
            place = tree.nodes[claim.parent]["place"] + (-1.0 - APART * earlier if claim.attack else 1.0 + APART * earlier)
            tree.add_edge(claim.parent, claim.number)
        tree.add_node(claim.number, claim=claim, place=place)
    return tree


def winning(tree: "networkx.DiGraph[int]") -> list[int]:
    """The way down on which the game was decided, from the root: from what is countered to the leftmost answer that stands, from what
    stands to the answer that was fought over the longest."""
    import networkx

    path = [0]
    while answers := sorted(tree.successors(path[-1])):
        fates = {answer: tree.nodes[answer]["claim"] for answer in answers}
        if fates[answers[0]].fate == "open":
            break
        standing = [answer for answer in answers if fates[answer].fate == "stands"]
        if standing:
            path.append(min(standing, key=lambda answer: (not fates[answer].attack, answer)))
        else:
            path.append(max(answers, key=lambda answer: (len(networkx.descendants(tree, answer)), -answer)))
    return path


def _picture(evidence: Evidence, found: list[Claim], log: "Log", chain: str, number: int, first: int) -> Picture:
    tree = graph(found)
    players = list(dict.fromkeys(claim.player for claim in found))
    colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(players)}
    deepest = max(claim.depth for claim in found)
    anchor = f"game_{chain}_{number}"
    with canvas(1.6 + min(6.2, max(1.4, 0.1 * deepest))) as figure:
        axes, money, clock = figure.subplots(1, 3, sharey=True, width_ratios=[2.3, 1.0, 1.3])
        path = winning(tree)
        _tree(axes, tree, path, colours)
        _bonds(money, found, colours)
        unit = _times(clock, found, colours, log)
        axes.set_ylim(deepest + 0.8, -0.8)
        axes.set_title(f"game over assertion {number} about {chain}")
        axes.set_ylabel("depth of the claim")
        axes.set_xlabel("attacks to the left, defences to the right")
        money.set_xlabel("bond, ETH (logarithmic)")
        clock.set_xlabel(f"since the assertion, {unit}")
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=4, borderaxespad=0.8)
        drawn = Drawing(figure, anchor)
    title = f"The game over assertion {number} about {chain}"
    return Picture(anchor, title, _caption(evidence, found, path, players, number, first), _alt(found, chain), drawn, _data(found, path))


def _tree(axes: "Axes", tree: "networkx.DiGraph[int]", path: list[int], colours: dict[str, str]) -> None:
    import networkx
    from matplotlib.ticker import MaxNLocator

    where = {node: (data["place"], data["claim"].depth) for node, data in tree.nodes(data=True)}
    decided = set(pairwise(path))
    edges = list(tree.edges)
    size = float(np.clip(1400 / len(tree), 9, 60))
    drawn = networkx.draw_networkx_edges(
        tree, where, edgelist=edges, ax=axes, arrows=False,
        width=[2.4 if edge in decided else 0.7 for edge in edges], edge_color=[INK if edge in decided else FAINT for edge in edges],
    )  # fmt: skip
    if drawn is not None and not isinstance(drawn, list):
        drawn.set_zorder(1)
    for name, colour in colours.items():
        own = [(node, data["claim"]) for node, data in tree.nodes(data=True) if data["claim"].player == name]
        _dots(axes, [(where[node], claim) for node, claim in own], colour, size, name)
    stepped = [where[node] for node, data in tree.nodes(data=True) if data["claim"].stepped]
    if stepped:
        x, y = zip(*stepped, strict=True)
        axes.scatter(x, y, marker="*", s=120, color=INK, zorder=5, label="step on L1")
    axes.plot([], [], color=INK, linewidth=2.4, label="how it was decided")
    axes.scatter([], [], s=30, facecolor=INK, edgecolor=INK, label="stands")
    axes.scatter([], [], s=30, facecolor="white", edgecolor=INK, label="countered")
    axes.tick_params(left=True, bottom=True, labelleft=True, labelbottom=True)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=9))
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _dots(axes: "Axes", own: list[tuple[tuple[float, float], Claim]], colour: str, size: float, label: str = "") -> None:
    """Claims of one player: filled where they stand, hollow where they were countered, grey inside where that is open."""
    look: dict[str, dict[str, Any]] = {
        "stands": {"facecolor": colour},
        "countered": {"facecolor": "white"},
        "open": {"facecolor": "#cccccc"},
    }
    if label:
        axes.scatter([], [], s=34, marker="s", color=colour, label=label)
    for fate, face in look.items():
        points = [place for place, claim in own if claim.fate == fate]
        if points:
            x, y = zip(*points, strict=True)
            axes.scatter(x, y, s=size, edgecolor=colour, linewidth=1.1, zorder=3, **face)


def _bonds(axes: "Axes", found: list[Claim], colours: dict[str, str]) -> None:
    for name, colour in colours.items():
        own = [((claim.bond, float(claim.depth)), claim) for claim in found if claim.player == name]
        _dots(axes, own, colour, 12)
    axes.set_xscale("log")
    plain_axis(axes.xaxis, 1e3)
    axes.grid(visible=True, axis="x")
    axes.grid(visible=False, axis="y")


def _times(axes: "Axes", found: list[Claim], colours: dict[str, str], log: "Log") -> str:
    began = found[0].made
    per, name = time_unit(max(1, max(claim.made for claim in found) - began))
    for claim in found[1:]:
        answered = found[claim.parent]
        axes.plot(
            [(one.made - began) / per for one in (answered, claim)], [answered.depth, claim.depth], color=FAINT, linewidth=0.7, zorder=1
        )
    for who, colour in colours.items():
        own = [(((claim.made - began) / per, float(claim.depth)), claim) for claim in found if claim.player == who]
        _dots(axes, own, colour, 12)
    axes.grid(visible=True, axis="x")
    axes.grid(visible=False, axis="y")
    return name


def _caption(evidence: Evidence, found: list[Claim], path: list[int], players: list[str], number: int, first: int) -> str:
    root = found[0].fate
    said = {"stands": "it stands", "countered": "it is countered", "open": "it was still open when the run ended"}[root]
    locked = listed([f"{amount(sum(c.bond for c in found if c.player == name), 'ETH')} by {name}" for name in players])
    several = f" of n = {evidence.replications}" if evidence.replications > 1 else ""
    parts = [
        f"Replication {first}{several}. Assertion {number} at the top: {said}.",
        "Each mark is a claim below the one that it answers; the thick line leads to what decided the game.",
        f"Bonds put down: {locked}.",
    ]
    if any(claim.stepped for claim in found):
        parts.append("The star is the instruction that L1 executed.")
    return " ".join(parts)


def _alt(found: list[Claim], chain: str) -> str:
    return f"A tree of {len(found)} claims about {chain}, down to depth {max(claim.depth for claim in found)}, with their bonds and times."


def _data(found: list[Claim], path: list[int]) -> "pd.DataFrame":
    import pandas as pd

    frame = pd.DataFrame(found)
    frame["seconds"] = (frame.pop("made") - found[0].made) / 1e9
    return frame.assign(decided=[claim.number in path for claim in found])
