"""Facts into the rows of the archive: decisions as served, children, what became of them, fills with their markouts.

A row belongs to the UTC day and the symbol of its decision, child or parent, whatever happens to it later. A day is
settled when nothing that is still to come can change one of its rows; until then its rows say what is known so far, as
labels do: a child that is still open is censored. What comes later all the same (a venue that takes a fill back) is
said in `late`.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np

from domain.facts import (
    AnyFact,
    ChildCanceled,
    ChildExpired,
    ChildFillBusted,
    ChildFillCorrected,
    ChildFilled,
    ChildRejected,
    ChildSubmitted,
    DecisionMade,
    ParentAccepted,
    ParentDone,
    ParentReplaced,
)
from learning.labels import ChildLife, ChildLives
from router.markouts import AFTER_NS

DAY_NS = 86_400_000_000_000
_EPOCH_DAY = date(1970, 1, 1)
_SETTLING_NS = AFTER_NS[-1] + 60_000_000_000  # after the last fill of a day its markouts are known or never will be
_LOST_NS = 2 * DAY_NS

# table -> column -> type: of pyarrow, where "features" is a list of float32 and "numbers" one of float64. Beside them
# each table has day and symbol.
COLUMNS: dict[str, dict[str, str]] = {
    "decisions": {
        "epoch": "string",
        "decision_id": "int64",
        "at_ns": "int64",
        "parent_id": "string",
        "slice_qty": "int64",
        "urgency": "float64",
        "horizon_ns": "int64",
        "bid_px": "int64",
        "ask_px": "int64",
        "model_id": "string",
        "schema_hash": "string",
        "elapsed_ns": "int64",
        "exploration": "float64",
        "room_qty": "int64",
        "room_bps": "float64",
        "explored_qty": "int64",
        "explored_bps": "float64",
    },
    "candidates": {
        "epoch": "string",
        "decision_id": "int64",
        "candidate": "int32",
        "at_ns": "int64",
        "venue": "string",
        "action": "string",
        "px": "int64",
        "max_qty": "int64",
        "fill_probability": "float64",
        "filled_fraction": "float64",
        "price_bps": "float64",
        "fee_bps": "float64",
        "markout_bps": "float64",
        "no_fill_bps": "float64",
        "cost_bps": "float64",
        "propensity": "float64",
        "chosen_qty": "int64",
        "note": "string",
        "min_qty": "int64",
        "horizon_ns": "int64",
        "fill_factor": "float64",
        "markout_shift_bps": "float64",
        "dark_tails": "numbers",
        "schema_hash": "string",
        "features": "features",
    },
    "children": {
        "epoch": "string",
        "sequence": "int64",
        "child_id": "string",
        "parent_id": "string",
        "decision_id": "int64",
        "candidate": "int32",
        "at_ns": "int64",
        "venue": "string",
        "account": "string",
        "side": "string",
        "order_qty": "int64",
        "action": "string",
        "px": "int64",
        "min_qty": "int64",
        "horizon_ns": "int64",
        "fill_probability": "float64",
        "cost_bps": "float64",
        "propensity": "float64",
        "schema_hash": "string",
        "features": "features",
    },
    "outcomes": {
        "epoch": "string",
        "sequence": "int64",
        "child_id": "string",
        "venue": "string",
        "action": "string",
        "time_ns": "int64",
        "filled": "bool",
        "known": "bool",
        "settled_ns": "int64",
        "filled_qty": "int64",
        "filled_fraction": "float64",
        "ended": "string",
        "text": "string",
        "markout_1s_bps": "float64",
        "markout_10s_bps": "float64",
        "markout_60s_bps": "float64",
    },
    "fills": {
        "child_id": "string",
        "parent_id": "string",
        "exec_id": "string",
        "at_ns": "int64",
        "venue": "string",
        "action": "string",
        "side": "string",
        "last_qty": "int64",
        "last_px": "int64",
        "liquidity": "string",
        "mid2_px": "int64",
        "fee_bps": "float64",
        "busted": "bool",
        "markout_1s_bps": "float64",
        "markout_10s_bps": "float64",
        "markout_60s_bps": "float64",
    },
    "parents": {
        "epoch": "string",
        "parent_id": "string",
        "at_ns": "int64",
        "client": "string",
        "cl_ord_id": "string",
        "account": "string",
        "side": "string",
        "order_qty": "int64",
        "limit_px": "int64",
        "strategy": "string",
        "arrival_mid2_px": "int64",
        "status": "string",
        "done_ns": "int64",
        "filled_qty": "int64",
        "avg_px": "float64",
        "fee_bps": "float64",
        "arrival_cost_bps": "float64",
        "vwap_cost_bps": "float64",
    },
}
_MARKOUTS = dict(zip(AFTER_NS, ("markout_1s_bps", "markout_10s_bps", "markout_60s_bps"), strict=True))

Row = dict[str, Any]
Partition = tuple[int, str]  # day since 1970, symbol


@dataclass
class _Parent:
    accepted: ParentAccepted
    order_qty: int
    done: ParentDone | None = None


class ArchiveRows:
    """The rows of one journal from its start, or from any batch where a day starts: what began earlier is left out."""

    def __init__(self, epoch: str) -> None:
        self.epoch = epoch
        self.last_ns = 0
        self.late: set[str] = set()  # children of forgotten or earlier days that something was said of
        self._lives = ChildLives()
        self._decisions: dict[Partition, list[DecisionMade]] = defaultdict(list)
        self._children: dict[Partition, list[tuple[int, ChildLife]]] = defaultdict(list)
        self._parents: dict[str, _Parent] = {}
        self._children_of: dict[str, list[ChildLife]] = defaultdict(list)
        self._count: dict[int, int] = defaultdict(int)  # children of each day so far

    def apply(self, fact: AnyFact) -> None:
        self._lives.apply(fact)
        self.last_ns = max(self.last_ns, fact.at_ns)
        match fact:
            case ChildFilled() | ChildFillBusted() | ChildFillCorrected() if self._lives.of(fact.child_id) is None:
                self.late.add(fact.child_id)
            case DecisionMade():
                self._decisions[fact.at_ns // DAY_NS, fact.symbol].append(fact)
            case ChildSubmitted():
                life = self._lives.of(fact.child_id)
                day = fact.at_ns // DAY_NS
                self._children[day, fact.symbol].append((self._count[day], life))
                self._count[day] += 1
                self._children_of[fact.parent_id].append(life)
            case ParentAccepted():
                self._parents[fact.parent_id] = _Parent(fact, fact.order_qty)
            case ParentReplaced() if fact.parent_id in self._parents:
                self._parents[fact.parent_id].order_qty = fact.order_qty
            case ParentDone() if fact.parent_id in self._parents:
                self._parents[fact.parent_id].done = fact

    def days(self) -> list[int]:
        """The days with rows, ascending."""
        parents = {parent.accepted.at_ns // DAY_NS for parent in self._parents.values()}
        return sorted({day for day, _ in self._decisions.keys() | self._children.keys()} | parents)

    def is_settled(self, day: int) -> bool:
        """Whether the rows of a day can't change any more, and all earlier days were settled."""
        end_ns = (day + 1) * DAY_NS
        if self.last_ns < end_ns + _SETTLING_NS:
            return False
        if any(p.done is None and p.accepted.at_ns < end_ns for p in self._parents.values()):
            return False
        lives = [life for (of, _), children in self._children.items() if of <= day for _, life in children]
        # What nobody has heard of for so long, nobody will.
        lost = self.last_ns > end_ns + _LOST_NS
        ended_ns = [life.ended_ns for life in lives if life.ended_ns or not lost]
        return all(ended_ns) and self.last_ns > max(ended_ns, default=0) + _SETTLING_NS

    def forget(self, day: int) -> None:
        """A settled day, once its rows are written."""
        for partition in [partition for partition in self._decisions if partition[0] == day]:
            del self._decisions[partition]
        for partition in [partition for partition in self._children if partition[0] == day]:
            for _, life in self._children.pop(partition):
                self._lives.forget(life.submitted.child_id)
        for parent_id in [p for p, parent in self._parents.items() if parent.accepted.at_ns // DAY_NS == day]:
            del self._parents[parent_id]
            self._children_of.pop(parent_id, None)

    def rows(self, day: int) -> Iterator[tuple[str, str, list[Row]]]:
        """(table, symbol, rows) of a day, in the order of the journal."""
        yield from self._by_symbol("decisions", day, self._decisions, self._decision_rows)
        yield from self._by_symbol("candidates", day, self._decisions, self._candidate_rows)
        for table, make in (
            ("children", self._child_row),
            ("outcomes", self._outcome_row),
        ):
            yield from self._by_symbol(table, day, self._children, lambda items, make=make: [make(*i) for i in items])
        yield from self._by_symbol("fills", day, self._children, self._fill_rows)
        parents = defaultdict(list)
        for parent in self._parents.values():
            if parent.accepted.at_ns // DAY_NS == day:
                parents[day, parent.accepted.symbol].append(parent)
        yield from self._by_symbol("parents", day, parents, lambda found: [self._parent_row(p) for p in found])

    @staticmethod
    def _by_symbol(
        table: str, day: int, partitions: dict[Partition, Any], make: Any
    ) -> Iterator[tuple[str, str, list[Row]]]:
        for of, symbol in sorted(partitions):
            if of == day and (rows := make(partitions[of, symbol])):
                yield table, symbol, rows

    def _decision_rows(self, decisions: list[DecisionMade]) -> list[Row]:
        names = COLUMNS["decisions"].keys() - {"epoch"}
        return [{"epoch": self.epoch, **{name: getattr(d, name) for name in names}} for d in decisions]

    def _candidate_rows(self, decisions: list[DecisionMade]) -> list[Row]:
        rows = []
        for decision in decisions:
            matrix = np.frombuffer(decision.features, dtype="<f4").reshape(len(decision.candidates), -1)
            for index, (candidate, features) in enumerate(zip(decision.candidates, matrix, strict=True)):
                row = {name: getattr(candidate, name) for name in candidate.__struct_fields__}
                row |= {"epoch": self.epoch, "decision_id": decision.decision_id, "candidate": index}
                row |= {"at_ns": decision.at_ns, "schema_hash": decision.schema_hash, "features": features}
                rows.append(row | {"action": candidate.action.value})
        return rows

    def _child_row(self, sequence: int, life: ChildLife) -> Row:
        child, chosen = life.submitted, life.candidate
        names = COLUMNS["children"].keys() & set(child.__struct_fields__)
        row = {name: getattr(child, name) for name in names}
        row |= {"epoch": self.epoch, "sequence": sequence, "schema_hash": life.schema_hash}
        row |= {"side": child.side.name.lower(), "action": child.action.value}
        row["features"] = np.frombuffer(life.features, dtype="<f4")
        for name in ("fill_probability", "cost_bps", "propensity"):
            row[name] = getattr(chosen, name) if chosen is not None else None
        return row

    def _outcome_row(self, sequence: int, life: ChildLife) -> Row:
        label = life.label(self.last_ns)
        child = life.submitted
        row = {
            "epoch": self.epoch,
            "sequence": sequence,
            "child_id": child.child_id,
            "venue": child.venue,
            "action": child.action.value,
            "time_ns": label.time_ns,
            "filled": label.filled,
            "known": label.known,
            "settled_ns": label.settled_ns,
            "filled_qty": life.counted_qty,
            "filled_fraction": life.counted_qty / child.order_qty,
            "ended": _ENDS.get(type(life.ended), "filled" if life.filled_qty >= child.order_qty else "open"),
            "text": life.ended.text if life.ended is not None else "",
        }
        markouts = {name: life.markout_bps(after_ns) for after_ns, name in _MARKOUTS.items()}
        return row | {name: None if bps != bps else bps for name, bps in markouts.items()}

    def _fill_rows(self, children: list[tuple[int, ChildLife]]) -> list[Row]:
        rows = []
        for _, life in children:
            child = life.submitted
            for fill in life.fills:
                row = {name: fill.markouts_bps.get(after_ns) for after_ns, name in _MARKOUTS.items()}
                row |= {name: getattr(fill.fact, name) for name in ("child_id", "exec_id", "at_ns", "venue", "mid2_px")}
                row |= {"parent_id": child.parent_id, "action": child.action.value, "side": child.side.name.lower()}
                row |= {"last_qty": fill.qty, "last_px": fill.px, "busted": not fill.qty}
                row["liquidity"] = fill.fact.liquidity.name.lower()
                row["fee_bps"] = life.candidate.fee_bps if life.candidate is not None else None
                rows.append(row)
        return rows

    def _parent_row(self, parent: _Parent) -> Row:
        accepted, done = parent.accepted, parent.done
        names = COLUMNS["parents"].keys() & set(accepted.__struct_fields__)
        row = {name: getattr(accepted, name) for name in names}
        row |= {"epoch": self.epoch, "side": accepted.side.name.lower(), "order_qty": parent.order_qty}
        row["status"] = done.ord_status.name.lower() if done is not None else "open"
        row["done_ns"] = done.at_ns if done is not None else None
        fills = [(life, fill) for life in self._children_of.get(accepted.parent_id, ()) for fill in life.fills]
        row["filled_qty"] = qty = sum(fill.qty for _, fill in fills)
        if not qty:
            return row
        row["avg_px"] = avg_px = sum(fill.qty * fill.px for _, fill in fills) / qty
        fees = [fill.qty * life.candidate.fee_bps for life, fill in fills if life.candidate is not None]
        row["fee_bps"] = sum(fees) / qty
        sign = accepted.side.sign
        if accepted.arrival_mid2_px:
            arrival_px = accepted.arrival_mid2_px / 2
            row["arrival_cost_bps"] = sign * (avg_px - arrival_px) / arrival_px * 1e4
        if done is not None and done.tape_qty > accepted.tape_qty:
            vwap_px = (done.tape_notional_px - accepted.tape_notional_px) / (done.tape_qty - accepted.tape_qty)
            row["vwap_cost_bps"] = sign * (avg_px - vwap_px) / vwap_px * 1e4
        return row


_ENDS = {ChildRejected: "rejected", ChildCanceled: "canceled", ChildExpired: "expired"}


def day_text(day: int) -> str:
    """Days since 1970 as a partition names them."""
    return (_EPOCH_DAY + timedelta(days=day)).isoformat()


def day_number(text: str) -> int:
    return (date.fromisoformat(text) - _EPOCH_DAY).days
