"""What a venue's answer to OrderStatusRequest(H) says of a child that nobody was sure of.

Fills count from their reports alone, and what was missed comes by resend before the answer. So its CumQty(14) is what
we counted, and the child ends or is cancelled as OrdStatus(39) says. If the venue has more, reports are missing: that
is alarmed, and the child held. When the venue says the same again later, no report will come any more (a venue that
starts its sequence numbers anew forgets what it had not delivered), and the difference is taken over as a fill at the
price that AvgPx(6) leaves for it. A venue that has less than we counted, or names no price, is for a person to settle.
A fill or an end that comes with more than we counted holds the child in the same way.
"""

from collections.abc import Iterator

from domain.facts import (
    AnyFact,
    ChildAcknowledged,
    ChildCanceled,
    ChildDisputed,
    ChildFilled,
    ChildRejected,
    ChildStatus,
    ChildUncertain,
    ExecutionUnknown,
)
from domain.fields import LastLiquidityInd, OrdRejReason, OrdStatus
from domain.orders import ChildOrder

TAKE_OVER_NS = 2_000_000_000  # a resend that is under way has arrived by then
_ENDED = (OrdStatus.CANCELED, OrdStatus.EXPIRED, OrdStatus.DONE_FOR_DAY, OrdStatus.FILLED)


def answered(child: ChildOrder, status: ChildStatus, mid2_px: int, now_ns: int) -> Iterator[AnyFact]:
    """The facts that the answer makes certain. A child that is certain and open then should not rest any longer."""
    missing_qty = status.cum_qty - child.cum_qty
    if missing_qty:
        is_new = child.missing_qty != missing_qty
        px = _missing_px(child, status)
        if missing_qty < 0 or not px or is_new or now_ns < child.disputed_ns + TAKE_OVER_NS:
            if is_new:
                yield ChildDisputed(at_ns=now_ns, child_id=child.child_id, missing_qty=missing_qty)
                outlook = "held; taken over if the venue says so again" if px else "held until somebody settles it"
                text = f"venue says CumQty {status.cum_qty}, counted {child.cum_qty}: {outlook}"
                yield _alarm(child, 0, 0, text, now_ns)
            return
        yield ChildFilled(
            at_ns=now_ns,
            child_id=child.child_id,
            venue=child.submitted.venue,
            exec_id=f"{child.child_id}.{status.cum_qty}",
            last_qty=missing_qty,
            last_px=px,
            liquidity=LastLiquidityInd.REMOVED,
            mid2_px=mid2_px,
            taken_over=True,
        )
        text = "no report of these shares ever came: taken over as the venue's CumQty(14) and AvgPx(6) have them"
        yield _alarm(child, missing_qty, px, text, now_ns)
    yield status
    if child.is_open:
        yield from _ended(child, status, now_ns)


def falls_short(child: ChildOrder, cum_qty: int, now_ns: int) -> Iterator[AnyFact]:
    """A fill or an end by which the venue has filled more than we heard of: held, until the venue was asked."""
    if not child.uncertain:
        yield ChildUncertain(at_ns=now_ns, child_id=child.child_id)
    missing_qty = cum_qty - child.cum_qty
    if child.missing_qty != missing_qty:
        yield ChildDisputed(at_ns=now_ns, child_id=child.child_id, missing_qty=missing_qty)
        text = f"venue reports CumQty {cum_qty}, counted {child.cum_qty}: held, the venue is asked"
        yield _alarm(child, 0, 0, text, now_ns)


def is_counted(child: ChildOrder, fill: ChildFilled) -> bool:
    """Whether a report that comes late is of shares that were taken over before."""
    return child.taken_over_qty > 0 and 0 < fill.cum_qty <= child.cum_qty


def _ended(child: ChildOrder, status: ChildStatus, now_ns: int) -> Iterator[AnyFact]:
    child_id = child.child_id
    if status.ord_status in _ENDED:
        yield ChildCanceled(at_ns=now_ns, child_id=child_id, text=f"status: {status.ord_status.name.lower()}")
    elif status.ord_status is OrdStatus.REJECTED:
        text = "status: the venue does not know the order"
        if child.ord_status is OrdStatus.PENDING_NEW:
            yield ChildRejected(at_ns=now_ns, child_id=child_id, reason=OrdRejReason.UNKNOWN_ORDER, text=text)
        else:
            yield ChildCanceled(at_ns=now_ns, child_id=child_id, text=text)
    elif child.ord_status is OrdStatus.PENDING_NEW:
        yield ChildAcknowledged(at_ns=now_ns, child_id=child_id, venue_order_id=child.venue_order_id)


def _missing_px(child: ChildOrder, status: ChildStatus) -> int:
    """Px of the shares that we have no report of, on the grid; 0 where the answer leaves no price above 0 for them."""
    missing_qty = status.cum_qty - child.cum_qty
    if missing_qty <= 0 or not status.notional_px:
        return 0
    return max(round((status.notional_px - child.notional_px) / missing_qty), 0)


def _alarm(child: ChildOrder, last_qty: int, last_px: int, text: str, now_ns: int) -> ExecutionUnknown:
    return ExecutionUnknown(
        at_ns=now_ns,
        venue=child.submitted.venue,
        child_id=child.child_id,
        exec_id="",
        last_qty=last_qty,
        last_px=last_px,
        text=text,
    )
