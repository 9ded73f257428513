"""Do the books of all sides agree to the share? The EMS, the router's journal and the venues' ledgers, side by side.

Three witnesses that share no code: the EMS recomputes its orders from the fills that it was told, the journal has the
facts that the router acted on, and a venue's ledger has what its market executed. Nothing is netted: a share too many
here does not make up for one too few there. A bust or correction changes the execution that it names, on either side.

One exception: where a venue never reported some executions and the router took its word for their sum, that child is
compared as a whole: the shares exactly, the money to what rounding one price can hide.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from domain.facts import (
    AnyFact,
    ChildFillBusted,
    ChildFillCorrected,
    ChildFilled,
    ChildSubmitted,
    OrdersRetired,
    ParentRejected,
)
from domain.fields import OrdStatus
from domain.orders import ParentOrder
from domain.prices import px_to_text
from router.state import State
from simulators.client_orders import EmsOrder
from simulators.ledger import LedgerEntry


@dataclass(slots=True)
class Reconciliation:
    """`unmatched_shares`: shares that one side has and another doesn't. `differences`: each in words."""

    unmatched_shares: int = 0
    differences: list[str] = field(default_factory=list)

    @property
    def reconciled(self) -> bool:
        return not self.unmatched_shares and not self.differences

    def differ(self, shares: int, text: str) -> None:
        self.unmatched_shares += shares
        self.differences.append(text)


def reconcile(
    facts: Iterable[AnyFact], ems: Mapping[str, Iterable[EmsOrder]], ledger: Iterable[LedgerEntry]
) -> Reconciliation:
    """`ems`: the orders of each client by the client's name. Every order must be in a final state by now."""
    result = Reconciliation()
    state, fills, children, rejected = State(), [], {}, set()
    for fact in facts:
        if not isinstance(fact, OrdersRetired):  # they left the router's memory, not its books
            state.apply(fact)
        if isinstance(fact, ChildFilled | ChildFillBusted | ChildFillCorrected):
            fills.append(fact)
        elif isinstance(fact, ChildSubmitted):
            children[fact.child_id] = fact
        elif isinstance(fact, ParentRejected):
            rejected.add((fact.client, fact.cl_ord_id))
    compare_venues(fills, children, ledger, result)
    parents = {(p.accepted.client, p.accepted.cl_ord_id): p for p in state.parents.values()}
    _compare_parents(fills, children, state, result)
    seen = set()
    for client, orders in ems.items():
        for order in orders:
            key = (client, order.cl_ord_id)
            seen.add(key)
            _compare_order(key, order, parents.get(key), key in rejected, result)
    for key in parents.keys() - seen:
        result.differ(parents[key].cum_qty, f"{key[0]} {key[1]}: the journal has it and the EMS does not")
    for parent in state.open_parents.values():
        if parent.is_open:
            result.differ(0, f"{parent.accepted.client} {parent.accepted.cl_ord_id}: still open in the journal")
    return result


Fills = list[ChildFilled | ChildFillBusted | ChildFillCorrected]


def compare_venues(
    fills: Fills,
    children: Mapping[str, ChildSubmitted],
    ledger: Iterable[LedgerEntry],
    result: Reconciliation,
) -> None:
    ours: dict[tuple[str, str], tuple] = {}
    firsts: dict[tuple[str, str], tuple[str, str]] = {}  # of a bust or correction -> of the fill
    for fill in fills:
        key, child = (fill.venue, fill.exec_id), children[fill.child_id]
        if key in firsts:
            result.differ(fill.last_qty, f"{fill.venue} {fill.exec_id}: counted twice in the journal")
        if isinstance(fill, ChildFilled):
            firsts[key] = key
        else:
            ref = (fill.venue, fill.exec_ref_id)
            firsts[key] = firsts.get(ref, ref)
        qty = 0 if isinstance(fill, ChildFillBusted) else fill.last_qty
        ours[firsts[key]] = (fill.child_id, child.symbol, child.side, qty, fill.last_px if qty else 0)
    theirs: dict[tuple[str, str], tuple] = {}
    told: set[tuple[str, str]] = set()
    for entry in ledger:
        key = (entry.venue, entry.exec_id)
        if key in told:
            result.differ(entry.qty, f"{entry.venue} {entry.exec_id}: twice in the venue's ledger")
        told.add(key)
        first = (entry.venue, entry.exec_ref_id or entry.exec_id)
        theirs[first] = (entry.cl_ord_id, entry.symbol, entry.side, entry.qty, entry.px)
    for child_id in {fill.child_id for fill in fills if isinstance(fill, ChildFilled) and fill.taken_over}:
        _compare_whole(child_id, ours, theirs, result)
    for key in sorted(ours.keys() | theirs.keys()):
        here, there = ours.get(key), theirs.get(key)
        if here == there or not any(side is not None and side[3] for side in (here, there)):
            continue  # also a fill that one side busted and the other never heard of
        name = f"{key[0]} {key[1]}"
        if here is None or there is None:
            present, where, absent = (
                (here, "the journal", "the venue") if there is None else (there, "the venue", "the journal")
            )
            result.differ(present[3], f"{name}: {where} has {_fill(present)}, {absent} has nothing")
        else:
            shares = abs(here[3] - there[3]) or here[3]
            result.differ(shares, f"{name}: the journal has {_fill(here)}, the venue has {_fill(there)}")


def _compare_whole(
    child_id: str, ours: dict[tuple[str, str], tuple], theirs: dict[tuple[str, str], tuple], result: Reconciliation
) -> None:
    """Takes the child's executions out of both and compares their sums."""
    sums = []
    for side in (ours, theirs):
        executions = [side.pop(key) for key in [key for key, value in side.items() if value[0] == child_id]]
        sums.append((sum(qty for *_, qty, _ in executions), sum(qty * px for *_, qty, px in executions)))
    (qty, notional_px), (venue_qty, venue_notional_px) = sums
    if qty != venue_qty:
        result.differ(abs(qty - venue_qty), f"{child_id}: {qty} shares in the journal, {venue_qty} at the venue")
    elif abs(notional_px - venue_notional_px) > qty:
        text = f"{child_id}: {notional_px} paid in the journal, {venue_notional_px} at the venue (Px * shares)"
        result.differ(0, text)


def _compare_parents(
    fills: Fills, children: Mapping[str, ChildSubmitted], state: State, result: Reconciliation
) -> None:
    filled: Counter[str] = Counter()
    for fill in fills:
        if isinstance(fill, ChildFillBusted):
            change = -fill.last_qty
        else:
            change = fill.last_qty - (fill.was_qty if isinstance(fill, ChildFillCorrected) else 0)
        filled[children[fill.child_id].parent_id] += change
    for parent_id, parent in state.parents.items():
        counted_qty = parent.cum_qty + parent.excess_qty
        if filled[parent_id] != counted_qty:
            shares = abs(filled[parent_id] - counted_qty)
            result.differ(shares, f"{parent_id}: CumQty {counted_qty}, its children filled {filled[parent_id]}")
        if parent.excess_qty:
            result.differ(parent.excess_qty, f"{parent_id}: {counted_qty} filled of {parent.order_qty}")


def _compare_order(
    key: tuple[str, str], order: EmsOrder, parent: ParentOrder | None, was_rejected: bool, result: Reconciliation
) -> None:
    name = f"{key[0]} {key[1]}"
    if parent is None:
        if order.cum_qty:
            result.differ(order.cum_qty, f"{name}: the EMS has {order.cum_qty} shares, the journal has no such order")
        elif not was_rejected or order.settled_status is not OrdStatus.REJECTED:
            result.differ(0, f"{name}: {order.settled_status.name} at the EMS, the journal has no such order")
        return
    if order.cum_qty != parent.cum_qty:
        shares = abs(order.cum_qty - parent.cum_qty)
        result.differ(shares, f"{name}: the EMS has {order.cum_qty} shares, the journal has {parent.cum_qty}")
    if order.notional_px != parent.notional_px:
        result.differ(
            0, f"{name}: the EMS paid {order.notional_px}, the journal says {parent.notional_px} (Px * shares)"
        )
    if not order.is_final or order.settled_status is not parent.status:
        result.differ(0, f"{name}: {order.settled_status.name} at the EMS, {parent.status.name} in the journal")


def _fill(fill: tuple) -> str:
    cl_ord_id, symbol, side, qty, px = fill
    return f"{side.name} {qty} {symbol} @ {px_to_text(px)} for {cl_ord_id}"
