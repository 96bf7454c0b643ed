"""Settlement cost: what users pay for data, and what it costs them to wait until nothing can be undone."""

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import erf

from l2sim.events import TransactionIncluded, WithdrawalFinalized, WithdrawalProven, WithdrawalRefused
from l2sim.metrics import Metric
from l2sim.metrics.fee_components import apart
from l2sim.metrics.time_to_finality import NOT_YET, reached
from l2sim.units import SECOND, YEAR, Duration, NotNegative, Positive, Usd, Volatility, Yearly

if TYPE_CHECKING:
    import pandas as pd

    from l2sim.log import Log

Floats = npt.NDArray[np.float64]


class SettlementCost(Metric):
    """Explicit and implicit cost of settlement, by rollup, of a mean transaction, and by bridge, of all withdrawals.

    Explicit: the data fee, without what the operator takes besides; of a withdrawal also the gas on L1 of proving it, as often as it was
    proved, and of asking for it, in vain too.

    Implicit, the premium for latency, of a value V that is unsettled for a time t: the return that it could have earned, V x rate x t,
    and the price risk that its owner bears meanwhile, which is worth what insurance against a fall costs: an at-the-money put on V,
    V x (2 N(sigma sqrt(t) / 2) - 1), about 0.4 V sigma sqrt(t) (Black and Scholes 1973 at a rate of zero; Brenner and Subrahmanyam
    1988). Dollars that are withdrawn bear no price risk.

    A transaction is unsettled from its submission until the chain's head reaches its block, a withdrawal until L1 has paid it. What was
    not settled when the run ended counts as far as the run went, which is too little, and is told in ``unsettled``.
    """

    subjects: ClassVar[tuple[str, ...]] = ("chains", "markets")
    units: ClassVar[dict[str, str]] = {"usd": "USD", "mean": "s", "bps": "bps", "hours": "USD h"}
    key: ClassVar[tuple[str, ...]] = ("explicit_usd", "capital_usd", "risk_usd", "total_usd", "unsettled")

    head: Literal["safe", "finalized"] = "finalized"
    """The head of the chain at which a transaction counts as settled."""
    value: Annotated[Usd, Positive] = 1000.0
    """What a transaction moves, in the mean (assumed)."""
    rate: Annotated[Yearly, NotNegative] = 0.05
    """Yearly return on capital that is not tied up (assumed)."""
    volatility: Volatility = 0.7
    """Yearly volatility of what is moved (assumed; near ether's)."""
    price: str = "eth"
    """Name of ether's price among the scenario's prices; its last value counts."""
    ether: Annotated[Usd, Positive] = 3000.0
    """US dollars an ether where the scenario has no such price."""
    cool_down: Duration = 0
    """Leave out what was submitted in this last part of the run, which would not have settled in it."""

    def measure(self, log: "Log") -> "pd.DataFrame":
        import pandas as pd

        rollups = [name for name, about in sorted(log.about.get("chains", {}).items()) if about.get("settles_on")]
        rows = {name: self._of_transactions(name, log) for name in rollups}
        bridges = [name for name, about in sorted(log.about.get("markets", {}).items()) if about.get("kind") == "bridge"]
        rows |= {name: self._of_withdrawals(name, log) for name in bridges}
        return pd.DataFrame.from_dict(rows, orient="index", columns=list(self._of_transactions("", log)), dtype=float)

    def premium(self, seconds: Floats, volatility: float) -> tuple[Floats, Floats]:
        """What tying up a dollar for these times costs, and what the risk of its price is worth."""
        years = seconds * (SECOND / YEAR)
        return self.rate * years, erf(volatility * np.sqrt(years) / (2.0 * np.sqrt(2.0)))

    def _of_transactions(self, chain: str, log: "Log") -> dict[str, float]:
        columns = "time", "gas", "data_fee", "submitted", "block"
        times, gas, data, submitted, block = log.select(TransactionIncluded, *columns, chain=chain)
        data, _ = apart(log, chain, times, gas, data)
        counted = submitted <= log.about.get("duration", 0) - self.cool_down
        submitted, block, data = submitted[counted], block[counted], data[counted]
        until = reached(chain, self.head, block, log)
        ether = log.about.get("prices", {}).get(self.price, self.ether)
        return self._named(submitted, until, np.full(len(submitted), self.value), data * ether, self.volatility, log, total=False)

    def _of_withdrawals(self, bridge: str, log: "Log") -> dict[str, float]:
        columns = "time", "gas", "data_fee", "submitted", "x", "status", "y", "sender"
        times, gas, data, submitted, number, status, amount, sender = log.select(
            TransactionIncluded, *columns, market=bridge, action="withdraw"
        )
        data, _ = apart(log, log.about["markets"][bridge]["on"], times, gas, data)
        counted = (status == 0) & (submitted <= log.about.get("duration", 0) - self.cool_down)
        submitted, amount, data = submitted[counted], amount[counted], data[counted]
        which = list(zip(number[counted].astype(np.int64).tolist(), sender[counted].tolist(), strict=True))
        times, paid, valid = log.select(WithdrawalFinalized, "time", "number", "valid", market=bridge)
        settled = {one: time for one, time, true in zip(paid.tolist(), times.tolist(), valid, strict=True) if true}
        until = np.array([settled.get(one, NOT_YET) for one, _ in which], np.int64)
        spent = self._spent_on_l1(bridge, log)
        fees = data + np.array([spent.get(one, 0.0) for one in which])
        asset = log.about["markets"][bridge]["base"] or "usd"
        prices = log.about.get("prices", {})
        worth = 1.0 if asset == "usd" else prices.get(asset, self.ether)
        ether = prices.get(self.price, self.ether)
        risk = 0.0 if asset == "usd" else self.volatility
        return self._named(submitted, until, amount * worth, fees * ether, risk, log, total=True)

    @staticmethod
    def _spent_on_l1(bridge: str, log: "Log") -> dict[tuple[int, int], float]:
        """Gas on L1 (ETH) for each withdrawal, by its number and its owner: another's invented one may have the same number."""
        spent: dict[tuple[int, int], float] = {}
        for fact in (WithdrawalProven, WithdrawalRefused, WithdrawalFinalized):
            for *which, cost in zip(*map(np.ndarray.tolist, log.select(fact, "number", "account", "cost", market=bridge)), strict=True):
                key = which[0], which[1]
                spent[key] = spent.get(key, 0.0) + cost
        return spent

    def _named(
        self, since: npt.NDArray[np.int64], until: npt.NDArray[np.int64], values: Floats, fees: Floats, volatility: float, log: "Log",
        *, total: bool,
    ) -> dict[str, float]:  # fmt: skip
        """The figures, of all or of a mean one."""
        waits = np.where(until == NOT_YET, log.about.get("duration", 0), until) - since
        seconds = waits / SECOND
        capital, risk = (values * part for part in self.premium(seconds, volatility))
        n = max(len(since), 1)
        share = 1.0 if total else 1.0 / n
        explicit, held, borne = (float(part.sum()) * share if len(since) else np.nan for part in (fees, capital, risk))
        whole = explicit + held + borne
        return {
            "count": float(len(since)),
            "unsettled": float(np.count_nonzero(until == NOT_YET)),
            "wait_mean": float(seconds.mean()) if len(since) else np.nan,
            "locked_hours": float((values * seconds).sum()) / 3600.0 * share if len(since) else np.nan,
            "explicit_usd": explicit,
            "capital_usd": held,
            "risk_usd": borne,
            "total_usd": whole,
            "total_bps": whole / (float(values.sum()) * share) * 1e4 if len(since) else np.nan,
        }
