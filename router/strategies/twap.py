"""TWAP: equal slices over a time, so that the average price follows the market's average over that time.

A slice may wait for a good price as long as the order keeps up with the straight line from start to end. Urgency is how
many slices the fills lag behind that line; a whole slice behind, or in the last tenth of the time, it crosses the
spread. Open children do not count as progress: only fills do.
"""

from collections.abc import Mapping

from domain.fields import OrdType, TimeInForce
from domain.orders import ParentOrder
from router.strategies.schema import Parameter, Slice

SECOND_NS = 1_000_000_000
DEFAULT_SLICE_S = 10
MAX_SLICES = 1_000
GRACE_NS = 5 * SECOND_NS  # after the end, for the last takes to be answered and repeated

PARAMETERS = (
    Parameter("duration_s", True, 1, 86_400, "seconds from acceptance to the end of the schedule"),
    Parameter("slices", False, 1, MAX_SLICES, "equal parts that are due one after the other", "one every 10 seconds"),
)
ORD_TYPES = (OrdType.MARKET, OrdType.LIMIT)
TIMES_IN_FORCE = (TimeInForce.DAY, TimeInForce.GOOD_TILL_CANCEL, TimeInForce.GOOD_TILL_DATE)


def parse(params: Mapping[str, int], now_ns: int) -> dict[str, int | float]:
    duration_s = params["duration_s"]
    slices = params.get("slices") or min(max(duration_s // DEFAULT_SLICE_S, 1), MAX_SLICES)
    return {
        "duration_s": duration_s,
        "slices": slices,
        "start_ns": now_ns,
        "end_ns": now_ns + duration_s * SECOND_NS,
    }


def next_slice(parent: ParentOrder, open_qty: int, now_ns: int, lot_qty: int) -> Slice | None:
    duration_ns, elapsed_ns, slices = _schedule(parent, now_ns)
    number = min(elapsed_ns * slices // duration_ns + 1, slices)
    qty = parent.order_qty * number // slices - parent.cum_qty - open_qty
    if number < slices:
        qty -= qty % lot_qty  # the odd rest goes with the last slice
    if qty <= 0:
        return None
    behind = (parent.order_qty * elapsed_ns / duration_ns - parent.cum_qty) * slices / parent.order_qty
    if is_late(parent, now_ns):
        return Slice(qty, 1.0, True)
    patience_ns = min(int((1.0 - behind) * duration_ns / slices), duration_ns * 9 // 10 - elapsed_ns)
    return Slice(qty, min(max(behind, 0.0), 1.0), True, max(patience_ns, 0))


def next_wake_ns(parent: ParentOrder, now_ns: int) -> int | None:
    duration_ns, elapsed_ns, slices = _schedule(parent, now_ns)
    start_ns = int(parent.params["start_ns"])
    number = min(elapsed_ns * slices // duration_ns + 1, slices)
    boundary_ns = start_ns - (-number * duration_ns // slices)  # rounded up: the slice is due then, not before
    late_ns = start_ns - (-9 * duration_ns // 10)
    over_ns = start_ns + duration_ns + GRACE_NS
    return min((at_ns for at_ns in (boundary_ns, late_ns, over_ns) if at_ns > now_ns), default=None)


def is_late(parent: ParentOrder, now_ns: int) -> bool:
    duration_ns, elapsed_ns, _ = _schedule(parent, now_ns)
    return elapsed_ns * 10 >= duration_ns * 9


def is_over(parent: ParentOrder, now_ns: int) -> bool:
    return now_ns >= parent.params["end_ns"] + GRACE_NS


def _schedule(parent: ParentOrder, now_ns: int) -> tuple[int, int, int]:
    """Duration, time since the start (beyond the duration once it is over) and number of slices."""
    start_ns, end_ns = int(parent.params["start_ns"]), int(parent.params["end_ns"])
    return end_ns - start_ns, now_ns - start_ns, int(parent.params["slices"])
