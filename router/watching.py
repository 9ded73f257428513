"""The orders that look at the market all the time: stops that wait for their price, pegs that follow theirs.

An order that did not get all that it wanted because some venue is not believed looks too, at what that venue shows.

Which they are follows from the state, so a restart finds them again. What a peg last looked at is remembered only to
let it alone while nothing moved and to keep its pace: `peg_interval_ms` of the policy between two changes of price.
That has to be longer than a venue's market data needs to show what we did: until then an order of ours that has moved
is still seen where it was, one that was sent is counted and not seen, and a peg would follow its own shadow.
"""

from collections.abc import Iterable, Iterator

from domain.facts import AnyFact, ChildReplaceRequested
from domain.fields import OrdType, VenueKind
from domain.market import MarketUpdate, MarketView, TradePrinted
from domain.orders import ChildOrder, ParentOrder
from risk.checks import check_reprice
from router import display, pegs, terms
from router.doubts import Place
from router.routing import Routing
from router.state import State
from router.terms import Terms


class Watching:
    def __init__(self, state: State, market: MarketView, routing: Routing) -> None:
        self._state, self._market, self._routing = state, market, routing
        self._by_symbol: dict[str, dict[str, None]] = {}  # parent_ids, in the order in which they came
        self._looked_px: dict[str, int] = {}  # parent_id -> the peg's price when it last looked
        self._moved_ns: dict[str, int] = {}  # parent_id -> when it last sent or moved an order
        self._hopes: dict[str, frozenset[Place]] = {}  # parent_id -> where nothing was believed at its last decision
        self._has_dark = any(venue.kind is VenueKind.DARK for venue in routing.venues.values())

    def __contains__(self, symbol: str) -> bool:
        return symbol in self._by_symbol

    def add(self, parent: ParentOrder) -> None:
        if self._looks(parent):
            self._by_symbol.setdefault(parent.accepted.symbol, {})[parent.parent_id] = None

    def parents(self, symbol: str) -> list[ParentOrder]:
        """Those of the symbol that are still open and still have to look."""
        watched = self._by_symbol.get(symbol, {})
        found = []
        for parent_id in list(watched):
            parent = self._state.open_parents.get(parent_id)
            if parent is not None and self._looks(parent):
                found.append(parent)
            else:
                del watched[parent_id]
                self._looked_px.pop(parent_id, None)
                self._moved_ns.pop(parent_id, None)
                self._hopes.pop(parent_id, None)
        if not watched:
            self._by_symbol.pop(symbol, None)
        return found

    def may_trigger(self, parent: ParentOrder, now_ns: int) -> bool:
        """Whether its market is open: what is traded or quoted at night triggers nothing."""
        instrument = self._routing.instruments.get(parent.accepted.symbol)
        return instrument is not None and instrument.hours.is_open(now_ns)

    def hope(self, parent: ParentOrder, places: Iterable[Place]) -> None:
        """The order waits for these venues to show something else."""
        self._hopes[parent.parent_id] = frozenset(places)
        self.add(parent)

    def _looks(self, parent: ParentOrder) -> bool:
        return parent.awaits_trigger or parent.ord_type is OrdType.PEGGED or parent.parent_id in self._hopes

    def due_ns(self, parent: ParentOrder, update: MarketUpdate, now_ns: int) -> int | None:
        """When an order may look at a market that moved, None while what it looks at is what it was."""
        if isinstance(update, TradePrinted):
            return None
        dues_ns = []
        if parent.ord_type is OrdType.PEGGED and self.peg_px(parent) != self._looked_px.get(parent.parent_id):
            dues_ns.append(max(self.paced_ns(parent), now_ns))
        hopes = [place for place in self._hopes.get(parent.parent_id, ()) if place[0] == update.venue]
        if hopes:
            doubts = self._state.doubts.places(self._market.symbol(update.symbol), parent.accepted.side, now_ns)
            dues_ns += [doubts.get(place, now_ns) for place in hopes]
            if now_ns in dues_ns:
                del self._hopes[parent.parent_id]  # until the next decision says what is still not believed
        return min(dues_ns, default=None)

    def paced_ns(self, parent: ParentOrder) -> int:
        """The earliest time at which a peg may move its orders again."""
        return self._moved_ns.get(parent.parent_id, 0) + self._routing.policy.peg_interval_ms * 1_000_000

    def moved(self, parent: ParentOrder, now_ns: int) -> None:
        """A peg has sent or moved an order."""
        self._moved_ns[parent.parent_id] = now_ns

    def peg_px(self, parent: ParentOrder) -> int:
        """The pegged price now, 0 where there is nothing to follow or the order is no peg."""
        order = parent.accepted
        if parent.ord_type is not OrdType.PEGGED:
            return 0
        ours = (
            child
            for other in self._state.open_parents.values()
            if other.accepted.symbol == order.symbol and other.accepted.side.sign == order.side.sign
            for child in self._state.open_children[other.parent_id].values()
        )
        tick_px = self._routing.instruments[order.symbol].tick_px
        return pegs.peg_px(parent, self._market.symbol(order.symbol), pegs.displayed(ours), tick_px)

    def terms(self, parent: ParentOrder) -> Terms | None:
        """What the instructions leave to a decision now."""
        px = self.peg_px(parent)
        if parent.ord_type is OrdType.PEGGED:
            self._looked_px[parent.parent_id] = px
        shown = display.show_qty(parent, self._state.open_children[parent.parent_id].values())
        return terms.terms(parent, self._routing.policy.actions, px, shown, has_dark=self._has_dark)

    def repriced(self, parent: ParentOrder, px: int, now_ns: int) -> Iterator[AnyFact | ChildOrder]:
        """A replace for each child that rests off the peg's price, or the child itself where it has to be cancelled.

        With nothing to follow but our own orders it stays where it is.
        """
        if not px:
            return
        state, routing, order = self._state, self._routing, parent.accepted
        view = self._market.symbol(order.symbol)
        for child in pegs.off_price(parent, list(state.open_children[parent.parent_id].values()), px):
            venue = child.submitted.venue
            book = view.books.get(venue)
            crosses = book is None or book.takeable(order.side, px) > 0
            reject = check_reprice(
                child,
                px,
                instrument=routing.instruments.get(order.symbol),
                reference_mid2_px=view.reference_mid2_px(now_ns),
                limits=routing.limits,
                rate=state.rate,
                now_ns=now_ns,
            )
            if crosses or reject is not None or not routing.venues[venue].can_replace:
                yield child
            else:
                replace_id = f"{state.epoch}-R{state.replace_count + 1}"
                yield ChildReplaceRequested(
                    at_ns=now_ns,
                    child_id=child.child_id,
                    replace_id=replace_id,
                    order_qty=child.order_qty,
                    px=px,
                    reason="peg",
                )
