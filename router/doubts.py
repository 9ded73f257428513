"""Which venues are not believed for now: what they showed was asked for, and came to nothing.

A venue may show what is not there: its feed is late, it cancels every immediate order, a dealer declines each time, or
it refuses all that we send. The order that failed is not simply sent again while the same is shown, or the venue would
get one for each of its answers. That side of the symbol is believed again there, for that kind of order, when something
else is shown, or after a pause that doubles with each failure in a row. From the third in a row on a change frees
nothing at once either, since a venue may flicker: its pause is two steps behind. A fill ends the doubt. Other venues,
other kinds of order and the other side are free meanwhile.

What failed is a sum of facts, as all of the state; whether it is still shown is a look at the market.
"""

import msgspec

from domain.facts import ChildSubmitted
from domain.fields import Action, Side
from domain.market import SymbolView
from domain.orders import ChildOrder

FIRST_PAUSE_NS = 50_000_000
DOUBLINGS = 6  # to 3.2 s
IN_A_ROW_NS = 30_000_000_000  # a failure so long after the one before is a first again

NOT_BELIEVED = "not believed"  # how the note of such a candidate begins

Place = tuple[str, Action]  # a venue and a kind of order, for one side of one symbol


class Doubt(msgspec.Struct, frozen=True):
    order: ChildSubmitted  # the last that failed
    at_ns: int
    count: int  # failed in a row

    def ends_ns(self, view: SymbolView) -> int:
        """When the venue is believed again, as it looks now."""
        steps = self.count - (3 if self._is_changed(view) else 1)
        return self.at_ns + (FIRST_PAUSE_NS << min(steps, DOUBLINGS) if steps >= 0 else 0)

    def _is_changed(self, view: SymbolView) -> bool:
        """Whether the venue shows something else than what failed; what rests asked for nothing that was shown."""
        order = self.order
        if order.action is Action.TAKE:
            book = view.books.get(order.venue)
            return book is None or book.takeable(order.side, order.px) != order.shown_qty
        if order.action is Action.TAKE_QUOTE:
            quote = view.quotes.get(order.venue)
            return quote is None or quote.offered(order.side) != (order.px, order.shown_qty)
        return False


class Doubts:
    def __init__(self) -> None:
        self._sides: dict[tuple[str, int], dict[Place, Doubt]] = {}  # by symbol, and 1 for a buy, -1 for a sell

    def apply_ended(self, child: ChildOrder, at_ns: int) -> None:
        """A child ended: it failed if nothing of it was filled, and we had not asked for its end."""
        order = child.submitted
        if child.cum_qty or child.cancel_reason or order.action is Action.AUCTION:
            return
        places = self._sides.setdefault((order.symbol, order.side.sign), {})
        last = places.get((order.venue, order.action))
        count = 1
        if last is not None and at_ns - last.at_ns < IN_A_ROW_NS:
            count = last.count + (order.at_ns >= last.at_ns)  # those that were under way together failed once
        places[order.venue, order.action] = Doubt(order, at_ns, count)

    def apply_filled(self, order: ChildSubmitted) -> None:
        self._sides.get((order.symbol, order.side.sign), {}).pop((order.venue, order.action), None)

    def places(self, view: SymbolView, side: Side, now_ns: int) -> dict[Place, int]:
        """Where nothing is believed now, and until when, should nothing change before."""
        doubts = self._sides.get((view.symbol, side.sign))
        if not doubts:
            return {}
        ends = ((place, doubt.ends_ns(view)) for place, doubt in doubts.items())
        return {place: ends_ns for place, ends_ns in ends if ends_ns > now_ns}

    def notes(self, view: SymbolView, side: Side, now_ns: int) -> dict[Place, str]:
        """The same, and why, for the record of a decision."""
        doubts = self._sides.get((view.symbol, side.sign), {})
        return {
            place: f"{NOT_BELIEVED} for {-(-(ends_ns - now_ns) // 1_000_000)} ms: "
            f"{doubts[place].count} in a row unfilled"
            for place, ends_ns in self.places(view, side, now_ns).items()
        }
