"""What becomes of an order while its market is not open: in an auction, a halt, over night, when its time is over."""

from collections.abc import Iterator

from domain.facts import AnyFact, ParentDoneForDay, ParentSuspended
from domain.fields import ExecInst, ExecRestatementReason, OrdStatus, TimeInForce, TradingStatus
from domain.instruments import Instrument
from domain.orders import ParentOrder
from router import auctions, strategies
from router.answers import done, unfilled
from router.asking import Asking
from router.terms import IMMEDIATE
from router.timers import ACK

# What could not be sent is tried again after this long, in a decision twice as long each time, at most RETRY_MAX_NS.
RETRY_NS = 250_000_000
RETRY_MAX_NS = 8_000_000_000
GOOD_TILL = (TimeInForce.GOOD_TILL_CANCEL, TimeInForce.GOOD_TILL_DATE)


class Phases(Asking):
    def ended_by_itself(self, parent: ParentOrder, instrument: Instrument | None, now_ns: int) -> OrdStatus | None:
        """How the order ends now by itself, None while it goes on."""
        order, expire_ns = parent.accepted, parent.instructions.expire_ns
        if order.time_in_force in IMMEDIATE and self.state.decisions_of.get(parent.parent_id):
            return OrdStatus.CANCELED  # FIX: what is killed is canceled, not expired
        # No instrument: an order from before the symbol was taken out of the config.
        if instrument is None or strategies.is_over(parent, now_ns) or (expire_ns and expire_ns <= now_ns):
            return OrdStatus.EXPIRED
        if order.time_in_force not in GOOD_TILL and not instrument.hours.is_open(now_ns):
            return OrdStatus.CANCELED if order.time_in_force in IMMEDIATE else OrdStatus.DONE_FOR_DAY
        return None

    def work_auction(self, parent: ParentOrder, kind: TimeInForce, now_ns: int) -> Iterator[AnyFact]:
        """One child at the venue that holds the auction; what the venue says of it is the end of the order."""
        state, order, parent_id = self.state, parent.accepted, parent.parent_id
        if state.open_children[parent_id]:
            return
        hours = self.routing.instruments[order.symbol].hours
        is_past = hours.opens != hours.closes and hours.is_open(now_ns) is (kind is TimeInForce.AT_THE_OPENING)
        if (ended := state.auctioned.get(parent_id)) is not None or is_past:
            yield done(parent, self.market, ended or OrdStatus.EXPIRED, "", unfilled(parent), now_ns)
            return
        venue = auctions.venue_of(kind, order.symbol, self.routing.venues)
        if venue not in state.venues_up or state.trading_status(venue, order.symbol) is TradingStatus.HALTED:
            self.timers.wake(now_ns + RETRY_MAX_NS, parent_id)
            return
        if state.blocks(order, venue):
            return
        view = self.market.symbol(order.symbol)
        decision = auctions.decision(parent, kind, venue, state.decision_count + 1, view, now_ns)
        yield decision
        child_id = f"{state.epoch}-{state.child_count + 1}"
        tick_px = self.routing.instruments[order.symbol].tick_px
        valued_px = -(-view.reference_mid2_px(now_ns) // (2 * tick_px)) * tick_px
        sent = self.routing.gate(
            state, parent, auctions.child(parent, kind, child_id, decision, valued_px), view, now_ns
        )
        yield sent
        if child_id in state.children:
            self.timers.await_answer(state.children[child_id], ACK, now_ns)
            self.timers.rest_until(now_ns + auctions.RESTS_NS, state.children[child_id])
        else:
            self.timers.wake(now_ns + RETRY_MAX_NS, parent_id)

    def rest_in_a_halt(self, parent: ParentOrder, now_ns: int) -> Iterator[AnyFact]:
        """What rests at venues is theirs to keep or cancel, unless the client wants the order canceled."""
        if parent.instructions.has(ExecInst.CANCEL_ON_TRADING_HALT):
            children = self.open_children(parent)
            yield from self.cancel_children(children, "halt", now_ns)
            if not children:
                reason = ExecRestatementReason.TRADING_HALT
                yield done(parent, self.market, OrdStatus.CANCELED, "", "canceled: trading halt", now_ns, reason)
        elif not parent.suspended:
            yield ParentSuspended(at_ns=now_ns, parent_id=parent.parent_id, text="trading halt")

    def rest_overnight(self, parent: ParentOrder, instrument: Instrument, now_ns: int) -> Iterator[AnyFact]:
        """The day is over and the order is not: nothing of it rests anywhere until the market opens again."""
        children = self.open_children(parent)
        if children:
            yield from self.cancel_children(children, "close", now_ns)
        elif not parent.done_for_day:
            yield ParentDoneForDay(at_ns=now_ns, parent_id=parent.parent_id)
        for at_ns in (instrument.hours.next_open_ns(now_ns), parent.instructions.expire_ns):
            if at_ns:
                self.timers.wake(at_ns, parent.parent_id)
