"""Delays: what attackers paid for holding up each rollup, and what they got for it."""

from collections.abc import Iterator
from typing import Any

from l2sim.report.evidence import Evidence
from l2sim.report.figures import BLUE, ORANGE, VERMILLION, Drawing, Picture, canvas, legend
from l2sim.report.tables import Table, head_of, rows_of
from l2sim.wording import amount, phrase

DAY = 86_400.0
FIGURES = (
    "delay", "unresolved", "attackers_spent", "delay_per_ether", "attackers_lost", "attackers_rewards", "attackers_open",
    "attackers_locked", "attackers_gas", "defenders_spent", "defenders_open", "defenders_locked", "defenders_staked", "defenders_gas",
    "defenders_lost", "defenders_rewards", "resource_ratio", "opportunity_cost",
)  # fmt: skip


def pictures(evidence: Evidence) -> Iterator[Picture]:
    """The delay of each rollup, beside what each side had to put up for it."""
    for name in evidence.metrics("dispute_economics"):
        chains = evidence.subjects(name)
        if chains:
            yield _picture(evidence, name, chains)


def tables(evidence: Evidence) -> Iterator[Table]:
    """The metric's figures, rollup by rollup."""
    for name in evidence.metrics("dispute_economics"):
        for chain in evidence.subjects(name):
            rows = rows_of(evidence, f"{name}.{chain}", FIGURES)
            if rows:
                yield Table(f"What disputes cost on {chain}{evidence.which(name)}: {evidence.how}", head_of(evidence), rows)


def sentences(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """For each rollup that was held up, a topic and what was paid for it."""
    for name in evidence.metrics("dispute_economics"):
        for chain in evidence.subjects(name):
            level = {figure: evidence.level(f"{name}.{chain}.{figure}") for figure in FIGURES}
            said = {figure: phrase(found, evidence.unit(f"{name}.{chain}.{figure}")) for figure, found in level.items() if found.n}
            if level["delay"].n and level["delay"].mean:
                open_, staked = level["unresolved"].mean > 0, level["attackers_open"].mean > 0
                final = f"Its slowest assertion was final {said['delay']} later than usual."
                if open_:
                    final = f"Its slowest assertion is final {said['delay']} later than usual at the earliest; overdue and still open when"
                    final += f" the run ends: {said['unresolved']}."
                parts = [
                    final,
                    f"Attackers lost {said['attackers_lost']} of stakes and bonds, got {said['attackers_rewards']} of such as rewards, and",
                    f"paid {said['attackers_gas']} for gas: {said['attackers_spent']} in all"
                    + (f", with {said['attackers_open']} still staked;" if staked else ";"),
                    f"defenders had at most {said['defenders_locked']} locked and paid {said['defenders_gas']} for gas.",
                    f"Who waited lost {'at least ' if open_ else ''}{said['opportunity_cost']}.",
                ]
                yield f"Delay of {chain}{evidence.which(name)}", " ".join(parts)


def _picture(evidence: Evidence, name: str, chains: list[str]) -> Picture:
    import pandas as pd

    shown = ("delay", "attackers_spent", "defenders_locked")
    found = {chain: {figure: evidence.level(f"{name}.{chain}.{figure}") for figure in shown} for chain in chains}
    chains = sorted(chains, key=lambda chain: -found[chain]["delay"].mean)
    places = list(range(len(chains)))
    anchor = evidence.anchor("delays", name)
    with canvas(1.3 + 0.48 * len(chains)) as figure:
        left, right = figure.subplots(1, 2, sharey=True)
        days = [found[chain]["delay"].mean / DAY for chain in chains]
        left.barh(places, days, height=0.55, color=ORANGE)
        left.set_xlabel("delay of the slowest assertion, days")
        for place, value in zip(places, days, strict=True):
            left.annotate(amount(value), (value, place), (3, 0), textcoords="offset points", va="center", fontsize=8)
        left.set_xlim(0, max([*days, 0.1]) * 1.18)
        sides: tuple[tuple[str, str, str, Any], ...] = (
            ("attackers_spent", "spent by attackers", VERMILLION, -0.17), ("defenders_locked", "locked by defenders at most", BLUE, 0.17)
        )  # fmt: skip
        for which, label, color, shift in sides:
            values = [found[chain][which].mean for chain in chains]
            hatch = "//////" if which == "defenders_locked" else ""
            look: dict[str, Any] = {"height": 0.3, "facecolor": "white" if hatch else color, "edgecolor": color, "hatch": hatch}
            right.barh([place + shift for place in places], values, label=label, **look)
        right.set_xlabel("stakes, bonds and gas, ETH")
        for axes in (left, right):
            axes.set_yticks(places, chains)
            axes.invert_yaxis() if axes is left else None
            axes.grid(visible=True, axis="x")
            axes.grid(visible=False, axis="y")
        legend(right, columns=1)
        drawn = Drawing(figure, anchor)
    told = [f"{chain}: {amount(day)} days" for chain, day in zip(chains, days, strict=True)]
    caption = f"Delay beyond the usual time to finality, and what each side put up{evidence.which(name)}; {evidence.how}."
    rows = [(chain, *(found[chain][which].mean for which in shown)) for chain in chains]
    data = pd.DataFrame(rows, columns=["chain", "delay_seconds", "attackers_spent_eth", "defenders_locked_eth"])
    return Picture(anchor, "What attackers paid for, and what they got", caption, "; ".join(told) + ".", drawn, data)
