"""Quotes on request: when a part of an order is worth asking dealers for, and how long it waits for their answers.

Asking tells a dealer what is wanted, so it is policy: only from `rfq_min_qty` on, only dealers that answer requests
(`rfq` in their config), and only after a pause. A slice that was asked for waits until every dealer has answered or the
time is over. The answers are market data; the quotes of the parent's own requests then stand beside the streamed ones
in the next decision, which uses them up.
"""

from collections.abc import Iterator, Mapping

from domain.facts import AnyFact, QuoteRefused, QuoteRequested
from domain.fields import Action, TradingStatus, VenueKind
from domain.instruments import VenueTerms
from domain.market import DealerQuoted, SymbolView
from domain.orders import ParentOrder
from router.policy import ExecutionPolicy
from router.state import State
from router.strategies import Slice

MS = 1_000_000


def ask(
    parent: ParentOrder,
    slice_: Slice,
    view: SymbolView,
    state: State,
    venues: Mapping[str, VenueTerms],
    policy: ExecutionPolicy,
    lot_qty: int,
    now_ns: int,
) -> Iterator[AnyFact]:
    """QuoteRequested for each dealer worth asking; QuoteRefused for each that let the time of an earlier one pass."""
    parent_id = parent.parent_id
    for request in list(state.quote_requests.get(parent_id, {}).values()):
        if request.expires_ns <= now_ns and request.quote_req_id not in view.requested:
            text = f"no answer within {policy.rfq_timeout_ms} ms"
            yield QuoteRefused(at_ns=now_ns, quote_req_id=request.quote_req_id, venue=request.venue, text=text)
    qty = int(policy.max_dealer_share * slice_.qty) // lot_qty * lot_qty
    if (
        not policy.rfq_min_qty
        or qty < policy.rfq_min_qty
        or Action.TAKE_QUOTE not in policy.actions
        or state.quote_requests.get(parent_id)
        or now_ns < state.quotes_asked_ns.get(parent_id, -(1 << 62)) + policy.rfq_pause_ms * MS
    ):
        return
    symbol = parent.accepted.symbol
    for name, terms in venues.items():
        may_ask = terms.kind is VenueKind.DEALER and terms.rfq and name not in policy.excluded_venues
        trades = name in state.venues_up and (not terms.symbols or symbol in terms.symbols)
        if may_ask and trades and state.trading_status(name, symbol) is TradingStatus.OPEN:
            if state.kill_switch.blocks(venue=name) is not None:
                continue
            yield QuoteRequested(
                at_ns=now_ns,
                quote_req_id=f"{state.epoch}-Q{state.quote_request_count + 1}",
                parent_id=parent_id,
                venue=name,
                symbol=symbol,
                side=parent.accepted.side,
                order_qty=qty,
                expires_ns=now_ns + policy.rfq_timeout_ms * MS,
            )


def waits_until_ns(parent_id: str, view: SymbolView, state: State) -> int:
    """Until when the parent waits for answers that are still to come; 0 if it waits for none."""
    requests = state.quote_requests.get(parent_id, {}).values()
    return max((r.expires_ns for r in requests if r.quote_req_id not in view.requested), default=0)


def offers(parent_id: str, view: SymbolView, state: State) -> dict[str, DealerQuoted]:
    """The quotes that dealers made for this parent, by venue."""
    requests = state.quote_requests.get(parent_id, {}).values()
    return {r.venue: view.requested[r.quote_req_id] for r in requests if r.quote_req_id in view.requested}
