"""Which of a parent's open children agree with what the client wants now, and what has to change where they don't.

A replace leaves alone what still fits: it rests, keeps its place in the queue, and may fill. What no longer may be is
shrunk where the venue can do that, which keeps its place too, and cancelled elsewhere. What can't be told now
(immediate orders, a venue that is away) is waited for. The replace is answered when all that is left fits.
"""

from collections.abc import Iterable

from domain.facts import ParentReplaceRequested
from domain.fields import Action
from domain.orders import ChildOrder, ParentOrder


def _can_not_stay(child: ChildOrder, limit_px: int) -> bool:
    """Whether the child may trade at a price worse than the limit (0: none), or is the one order for an auction."""
    sign = child.submitted.side.sign
    return child.submitted.action is Action.AUCTION or (bool(limit_px) and sign * child.px > sign * limit_px)


def fits(parent: ParentOrder, children: Iterable[ChildOrder], request: ParentReplaceRequested) -> bool:
    """Whether the parent could be as the request wants it now, whatever its open children may still fill."""
    changes_kind = _changes_kind(parent, request)
    open_qty = 0
    for child in children:
        if changes_kind or _can_not_stay(child, request.limit_px):
            return False
        open_qty += child.leaves_qty
    return open_qty == 0 or parent.cum_qty + open_qty <= request.order_qty


def surplus(
    parent: ParentOrder, children: Iterable[ChildOrder], request: ParentReplaceRequested
) -> list[tuple[ChildOrder, int]]:
    """Children that have to go or to shrink, each with the shares that it may keep at most (0: none).

    Those that were sent last go first: they have the worst place in their queues. What is being cancelled already is
    not counted; if it fills all the same, the next look finds it.
    """
    resting = [child for child in children if not child.pending_cancel_id]
    if _changes_kind(parent, request):
        return [(child, 0) for child in resting]
    leaving = [child for child in resting if _can_not_stay(child, request.limit_px)]
    changes = [(child, 0) for child in leaving]
    kept = [child for child in resting if child not in leaving]
    surplus_qty = parent.cum_qty + sum(_expected_qty(child) for child in kept) - request.order_qty
    for child in reversed(kept):
        if surplus_qty <= 0:
            break
        if child.submitted.horizon_ns:
            expected_qty = _expected_qty(child)
            keep_qty = max(expected_qty - surplus_qty, 0)
            changes.append((child, keep_qty))
            surplus_qty -= expected_qty - keep_qty
    return changes


def _changes_kind(parent: ParentOrder, request: ParentReplaceRequested) -> bool:
    """Whether the order becomes one that is worked in another way, so that nothing of it may rest as it does."""
    ord_type = request.ord_type or parent.ord_type
    return (ord_type, request.instructions) != (parent.ord_type, parent.instructions)


def _expected_qty(child: ChildOrder) -> int:
    """What the child will have left if the venue does what it was asked."""
    pending = child.pending_replace
    return child.leaves_qty if pending is None else max(min(child.order_qty, pending.order_qty) - child.cum_qty, 0)
