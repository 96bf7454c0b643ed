"""Charging: what a rollup's users pay besides execution, block by block, and the state of the rule that says so."""

from typing import TYPE_CHECKING, Any

import numpy as np

from l2sim.data_fees import NO_CHARGE, BatchReport, Charge, DataFee, DataFeeState
from l2sim.events.fees import DataPriceUpdated, OperatorFeeSet
from l2sim.units import ETH

if TYPE_CHECKING:
    from l2sim.world.rollup import LiveRollup


class Charging:
    """The data fee of a rollup in a run."""

    def __init__(self, chain: "LiveRollup", rule: DataFee) -> None:
        self.chain = chain
        self.rule = rule
        self._state: DataFeeState | None = None
        self.next_sample = rule.every
        """When (ns) the rule looks at L1's fees next."""
        self._met: tuple[Any, DataFeeState] | None = None
        """L1's slot and the state for which the charge was worked out last."""
        self._charge = NO_CHARGE
        self._operator = 0.0, 0.0
        self._told = NO_CHARGE
        self._brought: dict[int, tuple[DataFeeState, DataFeeState]] = {}
        """The state before and after each block that can still be undone."""

    @property
    def state(self) -> DataFeeState:
        """The state of the rule after the last block."""
        if self._state is None:
            fees = 0, 0
            if self.chain.l1 is not None:
                rules, began = self.chain.l1.rules, self.chain.l1.market.began
                fees = rules.base_fee.price(rules.base_fee.genesis()), rules.blob_fee.price(rules.blob_fee.genesis(began), began)
            self._state = self.rule.genesis(*fees)
        return self._state

    def now(self) -> Charge:
        """What transactions of the next block pay, as far as one can tell now."""
        l1 = self.chain.l1
        if l1 is None:
            return self._at(0, 0, None)
        l1.catch_up()
        after = l1.after
        if self._met is not None and self._met[0] is after and self._met[1] is self._state:
            return self._charge
        return self._at(l1.base_fee(), after.blob_price, after)

    def _at(self, base_fee: int, blob_fee: int, slot: Any) -> Charge:
        state = self.state
        if slot is not None or self._met is None or self._met[1] is not state:
            self._charge = self.rule.charge(state, base_fee, blob_fee, self.chain.second(self.chain.world.clock.now))
            self._met = slot, state
        return self._charge

    def due(self, now: int) -> Charge:
        """What transactions of the block pay that is made now (ns)."""
        if self.rule.every and now >= self.next_sample:
            l1 = self.chain.l1
            self._look(now, *((l1.base_fee(), l1.blob_base_fee()) if l1 is not None else (0, 0)))
        charge = self.now()
        if charge is not self._told:
            self._tell(now, charge)
        return charge

    def entered(self, now: int, fees: tuple[int, int], charge: Charge) -> None:
        """Blocks are made at that price from now on (ns), with L1's fees as they are then."""
        if self.rule.every:
            self._look(now, *fees)
        self._tell(now, charge)

    def _look(self, now: int, base_fee: int, blob_fee: int) -> None:
        while self.next_sample <= now:
            self._state = self.rule.sample(self.state, base_fee, blob_fee)
            self.next_sample += self.rule.every

    def _tell(self, now: int, charge: Charge) -> None:
        self._told = charge
        operator = charge.per_gas, charge.per_transaction
        if operator != self._operator:
            self._operator = operator
            self.chain.world.record_at(now, OperatorFeeSet(self.chain.name, *operator))

    # ---- several blocks at once

    def several(self, times: Any) -> "Several":
        """What transactions of several blocks pay, whose times (ns) increase, before the last of which nothing happens on L1."""
        return Several(self, times)

    # ---- blocks come and go

    def sealed(self, height: int, size: int, *, undoable: bool) -> None:
        """A block was made whose transactions take so many bytes."""
        if self.rule.learns:
            before = self.state
            self._state = self.rule.used(before, size)
            if undoable:
                self._brought[height] = before, self._state

    def undone(self, height: int) -> None:
        """A block was undone: what it brought in is taken out; what reports have changed since stays."""
        if height in self._brought:
            before, after = self._brought.pop(height)
            self._state = tuple(here - (late - early) for here, early, late in zip(self.state, before, after, strict=True))

    def settled(self, last: int) -> None:
        """Blocks up to this one will never be undone."""
        for height in [height for height in self._brought if height <= last]:
            del self._brought[height]

    def posted(self, slot: int, cost: float) -> None:
        """A batch is in L1's block of that slot, for which its poster paid (ETH)."""
        if self.rule.learns and self.chain.l1 is not None:
            self.chain.l1.on_final(slot, lambda: self._report(slot, cost))

    def _report(self, slot: int, cost: float) -> None:
        chain, l1 = self.chain, self.chain.l1
        assert l1 is not None  # noqa: S101
        posted, now = chain.second(slot * l1.rules.slot), chain.second(chain.world.clock.now)
        report = BatchReport(posted, now, round(cost * ETH), l1.base_fee())
        self._state = self.rule.next(self.state, report)
        charge = self.rule.charge(self._state, report.l1_base_fee, l1.after.blob_price, report.now)
        told = self.rule.accounts(self._state)
        chain.world.record(DataPriceUpdated(chain.name, charge.per_byte, cost, *told))


class Several:
    """The charges of several blocks: a row of per byte, floor, per gas and per transaction for each."""

    def __init__(self, charging: Charging, times: Any) -> None:
        self.charging, self.times = charging, times
        self.found: list[Charge]
        rule, chain, n = charging.rule, charging.chain, len(times)
        fees, which = chain.l1.fees(times) if chain.l1 is not None else ([(0, 0)], np.zeros(n, np.int64))
        state, sample = charging.state, charging.next_sample
        first, last = int(which[0]), int(which[-1])
        if first == last and not rule.every:  # as for most stretches, which are shorter than L1's slots
            self.starts, self.fees = [0], [fees[first]]
            self.found = [rule.charge(state, *fees[first], chain.second(int(times[0])))]
            self.rows = np.empty((n, 4))
            self.rows[:] = self.found[0][:4]
            self.footprint = self.found[0].footprint
            return
        changes = (np.flatnonzero(which[1:] != which[:-1]) + 1).tolist()
        if rule.every:
            moments = np.arange(sample, int(times[-1]) + 1, rule.every)
            changes = sorted({*changes, *np.searchsorted(times, moments).tolist()})
        self.starts = [0, *(change for change in changes if 0 < change < n)]
        self.fees = [fees[which[start]] for start in self.starts]
        self.found = []
        for start, pair in zip(self.starts, self.fees, strict=True):
            while rule.every and sample <= times[start]:
                state = rule.sample(state, *pair)
                sample += rule.every
            self.found.append(rule.charge(state, pair[0], pair[1], chain.second(int(times[start]))))
        self.rows = np.repeat(np.array([charge[:4] for charge in self.found], np.float64), np.diff([*self.starts, n]), axis=0)
        self.footprint = self.found[0].footprint

    def made(self, number: int) -> None:
        """So many of the blocks were made."""
        for start, pair, charge in zip(self.starts, self.fees, self.found, strict=True):
            if start < number:
                self.charging.entered(int(self.times[start]), pair, charge)
