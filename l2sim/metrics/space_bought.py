"""Space bought: what somebody who fills blocks of an L1 on purpose pays for it."""

from typing import TYPE_CHECKING, ClassVar

from l2sim.events.l1_market import SpaceBought as Bought
from l2sim.metrics import Metric

if TYPE_CHECKING:
    import pandas as pd

    from l2sim.log import Log


class SpaceBought(Metric):
    """Ether, gas, blobs and blocks of those who bought room in blocks of an L1 on purpose: all together, and by L1 where there are several.

    Sums over nothing are zero: nobody bought.
    """

    subjects: ClassVar[tuple[str, ...]] = ("chains",)
    units: ClassVar[dict[str, str]] = {"spent": "ETH"}
    key: ClassVar[tuple[str, ...]] = ("spent", "blocks")
    needs: ClassVar[tuple[str, ...]] = ("SpaceBought",)

    def measure(self, log: "Log") -> "pd.Series[float]":
        import pandas as pd

        chains = log.present(Bought, "chain")
        figures = _of(None, log)
        for chain in sorted(chains) if len(chains) > 1 else ():
            figures |= {f"{chain}.{name}": value for name, value in _of(chain, log).items()}
        return pd.Series(figures, dtype=float)


def _of(chain: str | None, log: "Log") -> dict[str, float]:
    spent, gas, blobs = log.select(Bought, "spent", "gas", "blobs", chain=chain)
    return {"spent": float(spent.sum()), "gas": float(gas.sum()), "blobs": float(blobs.sum()), "blocks": float(len(spent))}
