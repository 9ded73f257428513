"""What the venues themselves can say of a scenario's expectations, when whoever traded with them was no part of it."""

from collections.abc import Iterator

from simulators.floor import Floor
from simulators.scenario import Expectation

_SECOND_NS = 1_000_000_000


def failures(floor: Floor, expect: Expectation, start_ns: int) -> Iterator[str]:
    """What is not as expected, in words; times count from `start_ns`. What clients were told is for others to judge."""
    for venue, desk in floor.desks.items():
        yield from (
            f"order {order.cl_ord_id} at {venue} is open with {order.leaves_qty} shares" for order in desk.open_orders()
        )
        for order in desk.orders():
            at_s = (order.received_ns - start_ns) / _SECOND_NS
            for stretch in expect.quiet:
                here = stretch.venue in ("", venue) and stretch.symbol in ("", order.symbol)
                if here and stretch.from_s <= at_s < stretch.until_s:
                    yield f"order {order.cl_ord_id} came to {venue} at {at_s:.3f} s, which was to be quiet"
    yield from (f"nothing was filled at {venue}" for venue in expect.filled_at if not floor.executions(venue))
    if len(floor.disputed) != expect.disputed:
        yield f"{len(floor.disputed)} fills were disputed, expected {expect.disputed}"
