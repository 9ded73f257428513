"""What venues report of our orders: each report once, with what is wrong about it, then what follows for the parent."""

from collections.abc import Generator, Iterator

import msgspec

from domain.facts import (
    AnyFact,
    ChildAcknowledged,
    ChildCanceled,
    ChildCancelRejected,
    ChildExpired,
    ChildFillBusted,
    ChildFillCorrected,
    ChildFilled,
    ChildRejected,
    ChildReplaced,
    ChildReplaceRejected,
    ChildStatus,
    ChildUncertain,
    ExecutionUnknown,
)
from domain.fields import ExecRestatementReason, OrdStatus
from domain.orders import CHILD_TRANSITIONS, FINAL, ChildOrder
from router.answers import done
from router.requests import Requests
from router.settlement import answered, falls_short, is_counted

ChildReport = (
    ChildAcknowledged
    | ChildRejected
    | ChildFilled
    | ChildFillBusted
    | ChildFillCorrected
    | ChildCanceled
    | ChildExpired
    | ChildCancelRejected
    | ChildReplaced
    | ChildReplaceRejected
    | ChildStatus
    | ExecutionUnknown
)


class Reports(Requests):
    def child_report(self, report: ChildReport, now_ns: int) -> Iterator[AnyFact]:
        """The report itself as a fact (once), then what follows from it for the parent."""
        state = self.state
        if isinstance(report, ExecutionUnknown):
            yield report
            return
        child = state.children.get(state.child_by_request_id.get(report.child_id, report.child_id))
        if child is None:
            yield disputed(report, "", f"unknown order {report.child_id!r}", now_ns)
            return
        if report.child_id != child.child_id:  # a venue may report under the ClOrdID(11) of our request
            report = msgspec.structs.replace(report, child_id=child.child_id)
        was_uncertain, goes_on = child.uncertain, True
        match report:
            case ChildFilled():
                goes_on = yield from self._filled(child, report, now_ns)
            case ChildFillBusted() | ChildFillCorrected():
                goes_on = yield from self._fill_changed(child, report, now_ns)
            case ChildStatus():
                yield from self._settle_status(child, report, now_ns)
            case ChildReplaceRejected():
                yield report
            case ChildCancelRejected():
                yield report
                if child.is_open and not child.uncertain:
                    if report.ord_status in FINAL:  # its end has not reached us, and perhaps never will
                        yield ChildUncertain(at_ns=now_ns, child_id=child.child_id)
                    else:
                        self.working.cancel_later(child, now_ns)
            case ChildCanceled() | ChildExpired() | ChildRejected() if child.is_open and report.cum_qty > child.cum_qty:
                yield from falls_short(child, report.cum_qty, now_ns)
                return
            case _:
                goes_on = yield from self._moved_on(child, report, now_ns)
        if not goes_on:
            return
        is_back = was_uncertain and child.is_open and not child.uncertain
        if is_back and child.cancel_reason and not child.pending_cancel_id:  # and was not to be any more
            yield self.working.cancel_request(child, child.cancel_reason, now_ns)
        yield from self.working.settle(state.parents[child.submitted.parent_id], now_ns)
        if self.working.reconcile_until_ns and not self.uncertain():
            self.working.reconcile_until_ns = 0
            for parent in list(state.open_parents.values()):
                yield from self.working.settle(parent, now_ns)

    def _filled(self, child: ChildOrder, report: ChildFilled, now_ns: int) -> Generator[AnyFact, None, bool]:
        """Whether anything follows from the fill: not from one that is no news, or another venue's."""
        venue, state = child.submitted.venue, self.state
        if report.venue != venue:
            yield disputed(report, report.venue, f"{report.child_id} was sent to {venue}", now_ns)
            return False
        if (venue, report.exec_id) in state.executions:
            return False  # told twice: a resend, counted the first time
        if is_counted(child, report):
            yield disputed(report, venue, "told late: counted before as the venue's status had it", now_ns)
            return False
        yield msgspec.structs.replace(report, mid2_px=self.market.symbol(child.submitted.symbol).mid2_px)
        parent = state.parents[child.submitted.parent_id]
        excess_qty = report.last_qty - parent.last_qty
        if child.cum_qty > child.order_qty:
            text = f"overfill: {child.cum_qty} of {child.order_qty} sent"
            yield disputed(report, venue, text, now_ns)
        elif excess_qty:
            text = f"overfill: {excess_qty} more than the client's order of {parent.order_qty}"
            yield disputed(report, venue, text, now_ns)
        if report.cum_qty > child.cum_qty and child.is_open:
            yield from falls_short(child, report.cum_qty, now_ns)
        elif report.cum_qty > child.cum_qty:
            text = f"venue reports CumQty {report.cum_qty} of an order that is done, counted {child.cum_qty}"
            yield disputed(report, venue, text, now_ns)
        return True

    def _fill_changed(
        self, child: ChildOrder, report: ChildFillBusted | ChildFillCorrected, now_ns: int
    ) -> Generator[AnyFact, None, bool]:
        """Whether anything follows: not from one that is no news, nor where the order has ended with it."""
        venue, state = child.submitted.venue, self.state
        if (venue, report.exec_id) in state.executions:
            return False
        execution = state.executions.get((venue, report.exec_ref_id))
        parent = state.parents[child.submitted.parent_id]
        was_done, was_excess_qty = not parent.is_open, parent.excess_qty
        if report.venue != venue or execution is None or execution.child_id != child.child_id:
            text = f"{type(report).__name__} of an execution {report.exec_ref_id!r} that is not known"
            yield disputed(report, report.venue, text, now_ns)
            return False
        if isinstance(report, ChildFillBusted):
            if not execution.qty:
                yield disputed(report, venue, f"{report.exec_ref_id!r} was busted before", now_ns)
                return False
            yield msgspec.structs.replace(report, last_qty=execution.qty, last_px=execution.px)
        else:
            yield msgspec.structs.replace(report, was_qty=execution.qty, was_px=execution.px)
            if parent.excess_qty > was_excess_qty:
                more_qty = parent.excess_qty - was_excess_qty
                text = f"corrected to {more_qty} more than the client's order of {parent.order_qty}"
                yield disputed(report, venue, text, now_ns)
        if was_done and parent.is_open and not self.routing.policy.rework_busted:
            # Nobody trades again unasked what was done and is taken back, perhaps hours later.
            text = f"{parent.leaves_qty} of {parent.order_qty} taken back after the order was filled"
            reason = ExecRestatementReason.BROKER_OPTION
            yield done(parent, self.market, OrdStatus.CANCELED, "", text, now_ns, reason)
            return False
        return True

    def _moved_on(
        self,
        child: ChildOrder,
        report: ChildAcknowledged | ChildRejected | ChildCanceled | ChildExpired | ChildReplaced,
        now_ns: int,
    ) -> Generator[AnyFact, None, bool]:
        """Whether the order's status may follow on what it was."""
        venue = child.submitted.venue
        if (child.ord_status, type(report)) not in CHILD_TRANSITIONS:
            if child.is_open:
                text = f"{type(report).__name__} while {child.ord_status.name.lower()}"
                yield disputed(report, venue, text, now_ns)
            elif isinstance(report, ChildAcknowledged) and child.venue_order_id != report.venue_order_id:
                # The venue said before that there was no such order, and now it has it after all.
                text = f"acknowledged although {child.ord_status.name.lower()}: cancelled"
                yield disputed(report, venue, text, now_ns)
                yield self.working.cancel_request(child, "reconnect", now_ns)
            return False  # the order had ended before; saying so again changes nothing
        yield report
        return True

    def _settle_status(self, child: ChildOrder, status: ChildStatus, now_ns: int) -> Iterator[AnyFact]:
        was_uncertain = child.uncertain
        yield from answered(child, status, self.market.symbol(child.submitted.symbol).mid2_px, now_ns)
        if was_uncertain and child.is_open and not child.uncertain:
            # Its horizon passed, or a cancel was lost, while nobody could be asked: it does not rest any longer.
            yield self.working.cancel_request(child, child.cancel_reason or "reconnect", now_ns)

    def uncertain(self) -> list[ChildOrder]:
        children = (child for open_ in self.state.open_children.values() for child in open_.values())
        return [child for child in children if child.uncertain]


def disputed(report: ChildReport | ChildUncertain, venue: str, text: str, now_ns: int) -> ExecutionUnknown:
    return ExecutionUnknown(
        at_ns=now_ns,
        venue=venue or getattr(report, "venue", ""),
        child_id=getattr(report, "child_id", ""),
        exec_id=getattr(report, "exec_id", ""),
        last_qty=getattr(report, "last_qty", 0),
        last_px=getattr(report, "last_px", 0),
        text=text,
    )
