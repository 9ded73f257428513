"""What venues are asked to do with our orders there, under ids of our own, and when their answers are due."""

from collections.abc import Iterable, Iterator

from domain.facts import AnyFact, ChildCancelRequested, ChildReplaceRequested
from domain.market import MarketView
from domain.orders import ChildOrder, ParentOrder
from router.routing import Routing
from router.state import State
from router.timers import Timers

CANCEL_RETRY_NS = 1_000_000_000  # a venue that refused to cancel is not asked again before


class Asking:
    def __init__(self, state: State, market: MarketView, routing: Routing) -> None:
        self.state = state
        self.market = market
        self.routing = routing
        self.timers = Timers()

    def open_children(self, parent: ParentOrder) -> list[ChildOrder]:
        return list(self.state.open_children[parent.parent_id].values())

    def cancel_children(self, children: Iterable[ChildOrder], reason: str, now_ns: int) -> Iterator[AnyFact]:
        """Immediate orders answer by themselves; uncertain ones can't be told now and are settled on reconnect."""
        for child in children:
            asked = child.pending_cancel_id or now_ns < child.cancel_rejected_ns + CANCEL_RETRY_NS
            if child.submitted.horizon_ns and not asked and not child.uncertain:
                yield self.cancel_request(child, reason, now_ns)

    def cancel_later(self, child: ChildOrder, now_ns: int) -> None:
        """The venue refused to cancel an order that lives on: it is looked at again, but not at once."""
        if child.submitted.horizon_ns:
            self.timers.rest_until(now_ns + CANCEL_RETRY_NS, child)

    def cancel_request(self, child: ChildOrder, reason: str, now_ns: int) -> ChildCancelRequested:
        cancel_id = f"{self.state.epoch}-X{self.state.cancel_count + 1}"
        self.timers.await_answer(child, cancel_id, now_ns)
        return ChildCancelRequested(at_ns=now_ns, child_id=child.child_id, cancel_id=cancel_id, reason=reason)

    def replace_request(self, child: ChildOrder, order_qty: int, reason: str, now_ns: int) -> ChildReplaceRequested:
        replace_id = f"{self.state.epoch}-R{self.state.replace_count + 1}"
        self.timers.await_answer(child, replace_id, now_ns)
        return ChildReplaceRequested(
            at_ns=now_ns,
            child_id=child.child_id,
            replace_id=replace_id,
            order_qty=order_qty,
            px=child.px,
            reason=reason,
        )
