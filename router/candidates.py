"""What could be done with a slice right now: every venue that is up, with each order type that makes sense there.

Nothing here judges; scoring does. But nothing here is impossible either: every candidate keeps the parent's limit, lies
on the tick, takes no more than what is displayed or quoted, and obeys the execution policy. Without a bid and an offer
there is no price to judge by, and so no candidate.
"""

from collections.abc import Mapping

import msgspec

from domain.fields import Action, Side, VenueKind
from domain.instruments import Instrument, VenueTerms
from domain.market import DealerQuoted, SymbolView, VenueBook
from router.policy import ExecutionPolicy
from router.strategies import Slice
from router.terms import Terms

# Bound once: reading a member from its class costs 70 ns, and a decision does it a hundred times.
POST, IMPROVE, TAKE, MID_PEG, TAKE_QUOTE, AUCTION = Action
LIT, DARK, DEALER = VenueKind
IMMEDIATE = (TAKE, TAKE_QUOTE)
NO_QUOTES: Mapping[str, DealerQuoted] = {}
NO_DOUBTS: Mapping[tuple[str, Action], str] = {}


class Candidate(msgspec.Struct, frozen=True, gc=False):
    venue: str
    kind: VenueKind
    action: Action
    px: int  # the limit of the child; for a midpoint peg the limit of the peg
    max_qty: int  # displayed or quoted for a take, the whole slice for what rests
    min_qty: int = 0  # MinQty(110)
    quote_id: str = ""
    horizon_ns: int = 0  # how long it may rest; 0: immediate-or-cancel
    queue_ahead_qty: int = 0  # displayed at the same or a better price at the venue
    doubt: str = ""  # why nothing may be sent there now


def candidates(
    side: Side,
    limit_px: int,
    wanted: Slice,
    view: SymbolView,
    venues: Mapping[str, VenueTerms],
    instrument: Instrument,
    policy: ExecutionPolicy,
    now_ns: int,
    terms: Terms | None = None,
    requested: Mapping[str, DealerQuoted] = NO_QUOTES,
    doubts: Mapping[tuple[str, Action], str] = NO_DOUBTS,
) -> list[Candidate]:
    """Candidates at `venues` (those that are up) for a slice of an order with `limit_px` (0: none), in venue order.

    `terms`: what the client's instructions narrow it to; their limit stands in for the order's. `requested`: quotes
    that dealers made for this order alone, by venue; one of them stands in for what the dealer streams. `doubts`: what
    is not believed of a venue now; it stays a candidate, for the record, and gets nothing.
    """
    if not view.mid2_px:
        return []
    scan = _Scan(side, limit_px if terms is None else terms.limit_px, wanted, view, instrument, policy, terms)
    scan.requested = requested
    # What a dealer answers to a request is new, whatever became of its streamed quotes.
    scan.doubts = {place: why for place, why in doubts.items() if place[0] not in requested} if doubts else doubts
    if TAKE in policy.actions:
        scan.find_take_limit(venues, now_ns)
    for name, venue in venues.items():
        if name in policy.excluded_venues:
            continue
        if venue.kind is LIT:
            book = view.books.get(name)
            if book is not None:
                scan.lit(name, book, venue)
        elif venue.kind is DARK:
            scan.dark(name, venue)
        else:
            scan.dealer(name, now_ns)
    if not scan.doubts:
        return scan.found
    return [msgspec.structs.replace(one, doubt=scan.doubts.get((one.venue, one.action), "")) for one in scan.found]


class _Scan:
    """One look over the venues. Prices compare as `sign * px`: for either side a lower one is better for us."""

    __slots__ = (
        "actions",
        "dark_rest_ns",
        "doubts",
        "far_px",
        "found",
        "instrument",
        "is_buy",
        "least_qty",
        "limit_px",
        "near_px",
        "policy",
        "requested",
        "rest_ns",
        "side",
        "sign",
        "take_px",
        "terms",
        "view",
        "wanted",
        "worst_px",
    )

    def __init__(
        self,
        side: Side,
        limit_px: int,
        wanted: Slice,
        view: SymbolView,
        instrument: Instrument,
        policy: ExecutionPolicy,
        terms: Terms | None,
    ) -> None:
        self.found: list[Candidate] = []
        self.requested = NO_QUOTES
        self.doubts = NO_DOUBTS
        self.side, self.sign = side, side.sign
        self.is_buy = self.sign > 0
        self.limit_px = limit_px
        self.wanted, self.view, self.instrument, self.policy = wanted, view, instrument, policy
        self.terms = terms
        # The smallest fill that is asked for; one of all or nothing has none of its own.
        self.least_qty = 0 if terms is None or terms.whole else terms.min_qty
        allowed = policy.actions if terms is None else terms.actions
        self.actions = allowed if wanted.passive else tuple(a for a in allowed if a in IMMEDIATE)
        self.near_px, self.far_px = (view.bid_px, view.ask_px) if self.is_buy else (view.ask_px, view.bid_px)
        self.rest_ns = policy.rest_ns(wanted.urgency)
        self.dark_rest_ns = policy.rest_ns(wanted.urgency, dark=True)
        # The worst price at which anything may be taken.
        self.worst_px = self._capped(self.far_px + self.sign * policy.take_limit_ticks * instrument.tick_px)
        self.take_px = 0

    def find_take_limit(self, venues: Mapping[str, VenueTerms], now_ns: int) -> None:
        """The price to which an urgent slice has to sweep lit books and dealers' quotes; 0 for one that can wait."""
        if self.wanted.urgency < 1.0:
            return
        sign, worst = self.sign, self.sign * self.worst_px
        levels: list[tuple[int, int]] = []
        dealer_qty = int(self.policy.max_dealer_share * self.wanted.qty)
        for name, terms in venues.items():
            if name in self.policy.excluded_venues:
                continue
            book = self.view.books.get(name)
            if (name, TAKE) in self.doubts or (name, TAKE_QUOTE) in self.doubts:
                continue
            if terms.kind is LIT and book is not None:
                far = book.asks if self.is_buy else book.bids
                levels += [(sign * px, qty) for px, qty in far.items() if sign * px <= worst]
            elif terms.kind is DEALER and (offer := self._offer(name, now_ns)) is not None:
                px, qty, _ = offer
                levels.append((sign * px, min(qty, dealer_qty)))
                dealer_qty -= levels[-1][1]
        levels.sort()
        covered_qty = 0
        for signed_px, qty in levels:
            self.take_px = sign * signed_px
            covered_qty += qty
            if covered_qty >= self.wanted.qty:
                return

    def lit(self, name: str, book: VenueBook, venue: VenueTerms) -> None:
        near_px, far_px = (book.best_bid_px, book.best_ask_px) if self.is_buy else (book.best_ask_px, book.best_bid_px)
        sign, tick_px, terms = self.sign, self.instrument.tick_px, self.terms
        rest_qty = self.wanted.qty
        if terms is not None and terms.show_qty is not None and not venue.has_icebergs:
            rest_qty = min(rest_qty, terms.show_qty)
        if POST in self.actions:
            # Where a venue shows nothing on our side, the best price elsewhere is joined.
            px = self._capped(near_px or self.near_px) if not terms or not terms.rest_px else terms.rest_px
            if not far_px or sign * px < sign * far_px:  # an order that rests must not cross its own venue
                self._add(name, POST, px, rest_qty, self._queue_ahead(book, px))
        if IMPROVE in self.actions:
            px = self.near_px + sign * tick_px
            if sign * px < sign * self.far_px and px == self._capped(px):
                self._add(name, IMPROVE, px, rest_qty)
        if TAKE in self.actions and far_px:
            whole = terms is not None and terms.whole
            px = self._whole_px(book) if whole else self._on_tick(self.take_px or far_px)
            qty = book.takeable(self.side, px) if px and sign * px <= sign * self.worst_px else 0
            # An immediate order may find less than was shown: only a venue that knows MinQty(110) then fills nothing.
            can_insist = not self.least_qty or venue.has_min_qty
            if qty and qty >= self.least_qty and can_insist:
                self.found.append(Candidate(name, LIT, TAKE, px, qty, self.least_qty))

    def dark(self, venue: str, terms: VenueTerms) -> None:
        limit_px = self.limit_px
        crosses_mid = not limit_px or 2 * self.sign * limit_px >= self.sign * self.view.mid2_px
        qty = self.wanted.qty
        if MID_PEG in self.actions and crosses_mid and qty >= terms.min_qty:
            min_qty = max(terms.min_qty, self.least_qty, min(self.policy.dark_min_qty, qty))
            px = self._capped(self.far_px)
            self.found.append(Candidate(venue, DARK, MID_PEG, px, qty, min_qty, "", self.dark_rest_ns))

    def dealer(self, venue: str, now_ns: int) -> None:
        offer = self._offer(venue, now_ns)
        if offer is not None:
            px, qty, quote_id = offer
            if qty >= self.least_qty:
                self.found.append(Candidate(venue, DEALER, TAKE_QUOTE, px, qty, self.least_qty, quote_id))

    def _offer(self, venue: str, now_ns: int) -> tuple[int, int, str] | None:
        """Price, quantity and id of a dealer's quote on the other side, where it lives long enough to be taken."""
        quote = self.requested.get(venue) or self.view.quotes.get(venue)
        if quote is None or TAKE_QUOTE not in self.actions:
            return None
        px, qty = quote.offered(self.side)
        lives = quote.valid_until_ns > now_ns + self.policy.quote_margin_ms * 1_000_000
        # A quote is taken at its own price or not at all.
        if lives and qty > 0 and px == self._on_tick(px) and self.sign * px <= self.sign * self.worst_px:
            return px, qty, quote.quote_id
        return None

    def _add(self, venue: str, action: Action, px: int, qty: int, queue_ahead_qty: int = 0) -> None:
        self.found.append(Candidate(venue, LIT, action, px, qty, 0, "", self.rest_ns, queue_ahead_qty))

    def _whole_px(self, book: VenueBook) -> int:
        """The best price at which this book alone has the whole slice, 0 if it doesn't."""
        qty = 0
        for px, level_qty in sorted((book.asks if self.is_buy else book.bids).items(), key=lambda i: self.sign * i[0]):
            qty += level_qty
            if qty >= self.wanted.qty:
                return px
        return 0

    def _queue_ahead(self, book: VenueBook, px: int) -> int:
        near, sign = (book.bids if self.is_buy else book.asks), self.sign
        best_px = book.best_bid_px if self.is_buy else book.best_ask_px
        if px == best_px:
            return near[px]
        return sum(qty for level_px, qty in near.items() if sign * level_px >= sign * px)

    def _capped(self, px: int) -> int:
        """The price, no worse than the parent's limit, on the tick."""
        if self.limit_px and self.sign * px > self.sign * self.limit_px:
            px = self.limit_px
        return self._on_tick(px)

    def _on_tick(self, px: int) -> int:
        """Down for a buy, up for a sell: the nearest price on the tick that is not worse for us."""
        return px - px % self.instrument.tick_px if self.is_buy else px + -px % self.instrument.tick_px
