"""The network: regions, and how long messages between them take."""

from itertools import pairwise

import numpy as np
from pydantic import Field

from l2sim.latency import Latency
from l2sim.part import Part
from l2sim.streams import Streams, mix, mix_many
from l2sim.units import Volatility


def _assumed_links() -> dict[str, dict[str, Latency]]:
    """Half of usual round-trip times between large data centres."""
    delays = {"us_east": {"europe": "40 ms", "asia": "85 ms"}, "europe": {"asia": "100 ms"}}
    return {one: {other: Latency.model_validate(delay) for other, delay in ends.items()} for one, ends in delays.items()}


class Network(Part):
    """Regions joined by links, each with its law of delays; a message between regions without a link takes the quickest route."""

    within: Latency = Field(default_factory=lambda: Latency.model_validate("2 ms"))
    """Delay between two places in one region."""
    links: dict[str, dict[str, Latency]] = Field(default_factory=_assumed_links)
    """One-way delays between regions, region -> region -> latency; a link serves both directions."""
    reference_volatility: Volatility = 0.6
    """Volatility at which delays are those of calm times; the regime grows with the excess over it."""


class LiveNetwork:
    """Delays drawn for messages: a message's luck depends on its sender and its number, never on who else is on the line."""

    def __init__(self, network: Network, streams: Streams) -> None:
        import networkx

        self.streams = streams
        self.graph: networkx.Graph[str] = networkx.Graph()
        for one, others in sorted(network.links.items()):
            for other, latency in sorted(others.items()):
                typical = float(latency.quantile(np.array([0.5]))[0])
                self.graph.add_edge(one, other, latency=latency, typical=typical)
        self._within = network.within
        self._routes: dict[tuple[str, str], list[Latency]] = {}

    def route(self, start: str, end: str) -> list[Latency]:
        """The links that a message takes, by least typical delay.

        Raises:
            ValueError: there is no way from one region to the other.
        """
        import networkx

        key = (start, end)
        if key not in self._routes:
            if start == end:
                self._routes[key] = [self._within]
            else:
                try:
                    path = networkx.shortest_path(self.graph, start, end, weight="typical")
                except (networkx.NodeNotFound, networkx.NetworkXNoPath):
                    known = ", ".join(sorted(self.graph))
                    raise ValueError(
                        f"no link leads from region '{start}' to '{end}': add one under network.links (regions: {known})"
                    ) from None
                self._routes[key] = [self.graph.edges[one, other]["latency"] for one, other in pairwise(path)]
        return self._routes[key]

    def delay(self, sender: int, start: str, end: str, number: int, regime: float) -> int:
        """Delay (ns) of one message; ``sender`` is the key of the sender's stream, ``number`` the message's own."""
        total = 0
        for hop, latency in enumerate(self.route(start, end)):
            u = (mix(mix(sender, hop), number) + 0.5) / 2.0**64
            total += int(latency.at(np.array([u]), regime)[0])
        return total

    def delays(
        self, sender: int, start: str, end: str, numbers: "np.ndarray[tuple[int], np.dtype[np.int64]]", regime: float
    ) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
        """Delays (ns) of many messages by their numbers, the same as ``delay`` gives one by one."""
        total = np.zeros(len(numbers), np.int64)
        for hop, latency in enumerate(self.route(start, end)):
            numbered = numbers if latency.varies else numbers[:1]
            u = (mix_many(mix(sender, hop), numbered).astype(np.float64) + 0.5) / 2.0**64
            total += latency.at(u, regime)
        return total
