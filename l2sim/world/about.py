"""What metrics need to know of a run besides its facts: names, kinds, and what belongs to what."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from l2sim.world.world import World


def _usual(chain: Any) -> int | None:
    """Time from an assertion about a chain to finality where nobody disputes it; None where there are no assertions."""
    settlement = getattr(chain, "settlement", None)
    return None if settlement is None else int(settlement.usual())


def about(world: "World") -> dict[str, Any]:
    """Plain data about a world that was lived to its end; durations in ns. A group's market is its agent's ``market``."""
    chains, agents, markets = world.description.chains, world.description.agents, world.description.markets
    return {
        "duration": world.duration,
        "events": next(world.clock._eid),
        "groups": {
            name: {
                "kind": group.kind,
                "section": group.section,
                "first": group.accounts.start,
                "last": group.accounts.stop,
                "market": getattr(agents.get(name), "market", None),
            }
            for name, group in world.ledger.groups.items()
        },
        "prices": {name: world.prices.index(name) for name in world.prices.parts},
        "chains": {
            name: {
                "kind": chain.kind,
                **{field: getattr(chains[name], field, None) for field in ("settles_on", "final_after")},
                "usual": _usual(chains[name]),
                "availability": getattr(getattr(chains[name], "availability", None), "kind", None),
                "block_time": chain.block_interval() or None,
                "blocks": chain.height,
            }
            for name, chain in world.chains.items()
        },
        "markets": {
            name: {"kind": market.kind, "on": market.on, "base": next((a for a in market.assets() if a != "usd"), None)}
            for name, market in sorted(markets.items())
        },
    }
