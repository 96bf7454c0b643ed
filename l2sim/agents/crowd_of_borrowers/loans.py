"""The loans of a crowd at the start: drawn from distributions, or read from a table."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from l2sim.world.seat import Seat

if TYPE_CHECKING:
    from l2sim.agents.crowd_of_borrowers import CrowdOfBorrowers

Floats = npt.NDArray[np.float64]
TRIES = 100
"""How often somebody may draw a health factor again."""
ROUNDING = 1e-14
"""Relative; collateral is rounded up by it, so that a health factor of 1 is one."""


class Loans(NamedTuple):
    """Units by asset, each of shape (accounts,)."""

    collateral: Mapping[str, Floats]
    debt: Mapping[str, Floats]


def drawn(traits: "CrowdOfBorrowers", me: Seat) -> Loans:
    """Loans from distributions, by the prices that the pool sees now."""
    view, n = me.view(traits.market), traits.accounts()
    supplied, owed = _chosen(me, "collateral", traits.collateral, n), _chosen(me, "debt", traits.debt, n)
    reserves, assets = view.terms.reserves, view.assets
    unknown = [name for name in (*traits.collateral, *traits.debt) if name not in assets]
    if unknown:
        raise ValueError(f"market '{traits.market}' has no reserve '{unknown[0]}'; it has {', '.join(assets)}")
    useless = [name for name in traits.collateral if not reserves[name].liquidation_threshold]
    if useless:
        raise ValueError(f"'{useless[0]}' is no collateral in market '{traits.market}': its liquidation threshold is 0")
    threshold = np.array([reserves[name].liquidation_threshold for name in traits.collateral])[supplied]
    borrowed = traits.borrowed.draw(me.rng("borrowed"), n)
    value = borrowed * _health(traits, me, threshold) / threshold * (1.0 + ROUNDING)
    return Loans(
        {name: np.where(supplied == k, value / view.price(name), 0.0) for k, name in enumerate(traits.collateral)},
        {name: np.where(owed == k, borrowed / view.price(name), 0.0) for k, name in enumerate(traits.debt)},
    )


def _chosen(me: Seat, purpose: str, weights: Mapping[str, float], n: int) -> npt.NDArray[np.int64]:
    """Which asset each has, as its position in ``weights``, shape (n,)."""
    shares = np.cumsum(list(weights.values()))
    return np.searchsorted(shares / shares[-1], me.rng(purpose).random(n), side="right")


def _health(traits: "CrowdOfBorrowers", me: Seat, threshold: Floats) -> Floats:
    """Health factors, none below 1: what is drawn below is drawn again, shape (n,)."""
    n = len(threshold)
    health = np.zeros(n)
    again = np.arange(n)
    for attempt in range(TRIES):
        rng = me.rng("health", attempt)
        if traits.loan_to_value is None:
            health[again] = traits.health_factor.draw(rng, n)[again]
        else:
            health[again] = threshold[again] / np.maximum(traits.loan_to_value.draw(rng, n)[again], 1e-12)
        again = np.flatnonzero(health < 1.0)
        if not len(again):
            return health
    which = "health_factor" if traits.loan_to_value is None else "loan_to_value"
    raise ValueError(f"'{which}' gives hardly any loan that is not liquidatable at once; the healthiest that is: {health[again].max():.4g}")


def listed(traits: "CrowdOfBorrowers", me: Seat) -> Loans:
    """Loans from a table, a row each."""
    assert traits.table is not None  # noqa: S101
    collateral, debt = (
        {name: me.table(where.data)[where.column] for name, where in side.items()} for side in (traits.table.collateral, traits.table.debt)
    )
    for units in (*collateral.values(), *debt.values()):
        if len(units) != traits.size:
            raise ValueError(f"the table has {len(units)} rows, one for each account: write 'size: {len(units)}', not {traits.size}")
    return Loans(collateral, debt)
