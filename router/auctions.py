"""Orders for the opening or the closing auction: one child, at the first venue that holds it, until that has answered.

Which venue is the config's choice: the first one that lists the auction and trades the symbol, as the official price
of a share is made by one venue. The router neither splits such an order nor works what the auction left of it.
"""

from collections.abc import Mapping

from domain.facts import CandidateRecord, ChildSubmitted, DecisionMade
from domain.fields import Action, OrdType, TimeInForce
from domain.instruments import VenueTerms
from domain.market import SymbolView
from domain.orders import ParentOrder
from router.terms import passed_on

RESTS_NS = 24 * 3600 * 1_000_000_000  # the venue ends it, not we
ON_CLOSE = (OrdType.MARKET_ON_CLOSE, OrdType.LIMIT_ON_CLOSE)
NAMES = {TimeInForce.AT_THE_OPENING: "opening", TimeInForce.AT_THE_CLOSE: "closing"}


def auction(ord_type: OrdType, time_in_force: TimeInForce) -> TimeInForce | None:
    """AT_THE_OPENING or AT_THE_CLOSE, None for an order that is for no auction."""
    if ord_type in ON_CLOSE:
        return TimeInForce.AT_THE_CLOSE
    return time_in_force if time_in_force in NAMES else None


def venue_of(kind: TimeInForce, symbol: str, venues: Mapping[str, VenueTerms]) -> str:
    """The venue that holds this auction for the symbol, "" if none does."""
    holding = (
        name
        for name, terms in venues.items()
        if kind in terms.auctions and (not terms.symbols or symbol in terms.symbols)
    )
    return next(holding, "")


def decision(
    parent: ParentOrder, kind: TimeInForce, venue: str, decision_id: int, view: SymbolView, now_ns: int
) -> DecisionMade:
    """The record that it went where its instruction sends it: one candidate and no model."""
    record = CandidateRecord(
        venue, Action.AUCTION, parent.limit_px, parent.leaves_qty, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, parent.leaves_qty,
        f"the {NAMES[kind]} auction, as the client asked",
    )  # fmt: skip
    return DecisionMade(
        at_ns=now_ns,
        decision_id=decision_id,
        parent_id=parent.parent_id,
        symbol=parent.accepted.symbol,
        slice_qty=parent.leaves_qty,
        urgency=0.0,
        horizon_ns=RESTS_NS,
        bid_px=view.bid_px,
        ask_px=view.ask_px,
        model_id="",
        schema_hash="",
        features=b"",
        candidates=[record],
        elapsed_ns=0,
    )


def child(
    parent: ParentOrder, kind: TimeInForce, child_id: str, decision: DecisionMade, reference_px: int
) -> ChildSubmitted:
    """`reference_px` is what a market order is valued at until its auction has set a price."""
    venue = decision.candidates[0].venue
    order = parent.accepted
    return ChildSubmitted(
        at_ns=decision.at_ns,
        child_id=child_id,
        parent_id=parent.parent_id,
        decision_id=decision.decision_id,
        candidate=0,
        venue=venue,
        account=order.account,
        symbol=order.symbol,
        side=order.side,
        order_qty=parent.leaves_qty,
        action=Action.AUCTION,
        px=parent.limit_px or reference_px,
        min_qty=0,
        quote_id="",
        horizon_ns=RESTS_NS,
        time_in_force=kind,
        ord_type=OrdType.LIMIT if parent.limit_px else OrdType.MARKET,
        instructions=passed_on(parent),
    )
