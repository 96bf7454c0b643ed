"""Which engine executes a chain's blocks: plain lists, or arrays and compiled code. Both give the same bits."""

from collections.abc import Collection, Mapping
from typing import Any, Literal, Protocol

Engine = Literal["auto", "lists", "arrays"]

WORTH_COMPILING = 250_000
"""Transactions of crowds from which arrays pay for loading compiled code (some 0.5 s, and seconds more the first time)."""


class _Description(Protocol):
    @property
    def duration(self) -> int: ...
    @property
    def chains(self) -> Mapping[str, Any]: ...
    @property
    def markets(self) -> Mapping[str, Any]: ...
    @property
    def agents(self) -> Mapping[str, Any]: ...


def engines(description: _Description, wanted: Engine, reversible: Collection[str] = ()) -> dict[str, Literal["lists", "arrays"]]:
    """The engine of each chain.

    Arrays need a rollup with a market whose kind ships a kernel; ``auto`` takes them where all of its markets do, execution takes no
    time, and crowds send enough.
    """
    chosen: dict[str, Literal["lists", "arrays"]] = dict.fromkeys(description.chains, "lists")
    for name, chain in description.chains.items():
        here = [market for market, rules in description.markets.items() if rules.on == name]
        if (
            wanted == "lists"
            or name in reversible
            or chain.kind != "rollup"
            or not any(description.markets[market].compiles for market in here)
        ):
            continue
        crowds = [agent for agent in description.agents.values() if getattr(agent, "market", None) in here]
        expected = sum(getattr(agent, "rate", 0.0) * agent.count for agent in crowds) * description.duration / 1e9
        compiles = all(description.markets[market].compiles for market in here) and getattr(chain, "execution_speed", None) is None
        if wanted == "arrays" or (compiles and expected >= WORTH_COMPILING):
            chosen[name] = "arrays"
    return chosen
