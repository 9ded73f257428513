"""A single dealer: quotes streamed around the lit midpoint, and a last look before an order on a quote is filled.

The dealer earns the half spread and loses to those who know more, so the quote leans against the inventory, is wider
for clients whose trades have cost the dealer money (`simulators.toxicity`), and during the hold time after an order has
come in the dealer looks whether the market has moved: if the midpoint went against the dealer by more than the
tolerance since the quote was made, the order is declined. A move the other way is kept.
"""

from collections import deque
from math import exp, log

import msgspec

from domain.fields import LastLiquidityInd, Side, TradingStatus
from domain.market import DealerQuoted, MarketUpdate, TradePrinted
from simulators.flow import NEVER, Scene
from simulators.market_config import DealerConfig
from simulators.orders import (
    Accepted,
    CancelRejected,
    Order,
    Publisher,
    QuoteDeclined,
    QuoteMade,
    QuoteWithdrawn,
    Rejected,
    ReplaceRejected,
)
from simulators.takers import pareto_lots
from simulators.toxicity import Clients

_LN2 = 0.693147
_CLIENT_MEAN_LOTS = 4.0
_CLIENT_SIZE_TAIL = 1.6
_UNKNOWN_SYMBOL, _CLOSED, _EXCEEDS_LIMIT = "1", "2", "3"  # QuoteRequestRejectReason(658)


class StandingQuote:
    """A quote that may still be taken: what was said, the midpoint it was made at, and what is left on each side."""

    __slots__ = ("ask_left", "bid_left", "mid2_px", "quoted")

    def __init__(self, quoted: DealerQuoted, mid2_px: int) -> None:
        self.quoted = quoted
        self.mid2_px = mid2_px
        self.bid_left = quoted.bid_qty
        self.ask_left = quoted.ask_qty


class DealerDesk:
    """One symbol at one dealer: the quotes, the inventory, and the dealer's other clients."""

    def __init__(self, scene: Scene, config: DealerConfig, publisher: Publisher) -> None:
        symbol, random, start_ns = scene.symbol, scene.random, scene.start_ns
        self.quotes: deque[StandingQuote] = deque()  # those not yet expired, the last one standing last
        self.clients = Clients(config)
        self._judged: deque[tuple[int, str, int, int, int]] = deque()  # when, owner, sign, shares, twice the midpoint
        self.requested: dict[str, StandingQuote] = {}  # quotes on request that stand, by QuoteID(117)
        self.inventory_qty = 0.0
        self.halted = False  # at this dealer alone: no quotes, and none of those that stand is filled
        self._config = config
        self._symbol = symbol
        self._reference = scene.reference
        self._signal = scene.signal
        self._busy = scene.busy
        self._random = random
        self._publisher = publisher
        self._quote_ns = start_ns + 1
        self._client_ns = start_ns + 1 + int(random.random() * 1e9 / config.clients_per_second)
        self._hedged_ns = start_ns
        self.next_ns = self._quote_ns

    @property
    def status(self) -> TradingStatus:
        return TradingStatus.HALTED if self.halted else self._reference.status

    def adopt(self, config: DealerConfig) -> None:
        """From now on the dealer's figures are these; quotes that stand stay."""
        self._config = config

    def step(self, at_ns: int) -> None:
        if at_ns >= self._quote_ns:
            self._quote(at_ns)
            self._quote_ns = at_ns + int(self._config.quote_interval_ns * (0.8 + 0.4 * self._random.random()))
        else:
            self._serve_client(at_ns)
        self.next_ns = min(self._quote_ns, self._client_ns)

    @property
    def last_quoted(self) -> DealerQuoted | None:
        return self.quotes[-1].quoted if self.quotes else None

    def adverse_bps(self, quote: StandingQuote, is_buy: bool) -> float:
        """How far the midpoint has moved against the dealer since the quote, for a client's buy or sell."""
        move_bps = (self._reference.mid2_px - quote.mid2_px) / quote.mid2_px * 1e4
        return move_bps if is_buy else -move_bps

    @property
    def has_market(self) -> bool:
        return self._reference.mid2_px > 0 and not self.halted

    def trade(self, is_buy: bool, qty: int, px: int, at_ns: int, owner: str = "") -> None:
        """The dealer's side of a trade with a client, and its print; that of an `owner` is judged later."""
        if owner:
            due_ns, mid2_px = at_ns + self._config.markout_ns, self._reference.mid2_px
            self._judged.append((due_ns, owner, 1 if is_buy else -1, qty, mid2_px))
        self.inventory_qty += -qty if is_buy else qty
        publisher = self._publisher
        publisher.publish(at_ns, TradePrinted(publisher.venue, self._symbol.symbol, px, qty))

    def standing(self, quote_id: str) -> StandingQuote | None:
        """A quote that was streamed or made on request, unless it has been forgotten."""
        if quote_id in self.requested:
            return self.requested[quote_id]
        return next((quote for quote in self.quotes if quote.quoted.quote_id == quote_id), None)

    def _judge(self, at_ns: int) -> None:
        """What clients' trades cost, of those that are old enough and can be told."""
        while self._judged and self._judged[0][0] <= at_ns:
            _, owner, sign, qty, mid2_px = self._judged.popleft()
            if mid2_px and self._reference.mid2_px:
                markout_bps = sign * (self._reference.mid2_px - mid2_px) / mid2_px * 1e4
                self.clients.learn(owner, qty / self._symbol.lot_qty, markout_bps, at_ns)

    def answer(self, quote_req_id: str, side: Side | None, qty: int, owner: str, at_ns: int) -> None:
        """Publishes QuoteMade for the asked quantity, on both sides if none is named, or QuoteDeclined."""
        config, publisher, symbol = self._config, self._publisher, self._symbol.symbol
        most_qty = config.rfq_max_lots * self._symbol.lot_qty
        if not self.has_market:
            publisher.publish(at_ns, QuoteDeclined(quote_req_id, symbol, _CLOSED, "no market to quote in"))
        elif not 0 < qty <= most_qty:
            text = f"{qty} shares asked, at most {most_qty} quoted"
            publisher.publish(at_ns, QuoteDeclined(quote_req_id, symbol, _EXCEEDS_LIMIT, text))
        else:
            self._hedge(at_ns)
            widening = self.clients.widening(at_ns, owner) if owner else 1.0
            bid_px, ask_px, _ = self._prices(widening * (1.0 + config.rfq_size_spread * qty / most_qty))
            bid_qty, ask_qty = (0 if side is Side.BUY else qty), (qty if side in (None, Side.BUY) else 0)
            quote_id, until_ns = publisher.next_id(), at_ns + config.rfq_validity_ns
            quoted = DealerQuoted(
                publisher.venue,
                symbol,
                quote_id,
                bid_px if bid_qty else 0,
                bid_qty,
                ask_px if ask_qty else 0,
                ask_qty,
                until_ns,
                quote_req_id,
            )
            self.requested[quote_id] = StandingQuote(quoted, self._reference.mid2_px)
            publisher.publish(at_ns, QuoteMade(quoted))

    def _look_after_requested(self, at_ns: int) -> None:
        """Quotes on request that have expired are forgotten, those that the market ran away from are taken back."""
        for quote_id, quote in list(self.requested.items()):
            quoted = quote.quoted
            sides = [buys for buys, left_qty in ((True, quote.ask_left), (False, quote.bid_left)) if left_qty]
            against_bps = max((self.adverse_bps(quote, buys) for buys in sides), default=0.0)
            if quoted.valid_until_ns < at_ns:
                del self.requested[quote_id]
            elif not self.has_market or against_bps > self._config.rfq_withdraw_bps:
                del self.requested[quote_id]
                withdrawn = QuoteWithdrawn(quoted.quote_req_id, quoted.symbol, quote_id)
                self._publisher.publish(at_ns, withdrawn)

    def _prices(self, widening: float) -> tuple[int, int, float]:
        """Bid and offer around the midpoint, leaning against the inventory, and how full that is, -1 to 1."""
        config, symbol = self._config, self._symbol
        tick, mid_px = symbol.tick_px, self._reference.mid2_px / 2
        half_px = (config.half_spread_ticks * tick + config.half_spread_bps * mid_px / 1e4) * widening
        fullness = max(-1.0, min(1.0, self.inventory_qty / (config.inventory_lots * symbol.lot_qty)))
        skewed_px = mid_px - round(2.0 * fullness * config.skew_ticks) / 2.0 * tick
        bid_px = round((skewed_px - half_px) / tick) * tick
        return bid_px, max(round((skewed_px + half_px) / tick) * tick, bid_px + tick), fullness

    def _quote(self, at_ns: int) -> None:
        config, symbol, publisher = self._config, self._symbol, self._publisher
        self._hedge(at_ns)
        if self._judged:
            self._judge(at_ns)
        if self.requested:
            self._look_after_requested(at_ns)
        while self.quotes and self.quotes[0].quoted.valid_until_ns < at_ns:
            self.quotes.popleft()
        mid2_px = self._reference.mid2_px
        if not self.has_market:
            if self.quotes:  # a quote without a market to hedge in is withdrawn
                self.quotes.clear()
                withdrawn = DealerQuoted(publisher.venue, symbol.symbol, publisher.next_id(), 0, 0, 0, 0, at_ns)
                publisher.publish(at_ns, withdrawn)
            return
        bid_px, ask_px, fullness = self._prices(self.clients.widening(at_ns))
        quoted = DealerQuoted(
            publisher.venue,
            symbol.symbol,
            publisher.next_id(),
            bid_px,
            round(config.max_lots * (1.0 - 0.5 * max(fullness, 0.0))) * symbol.lot_qty,
            ask_px,
            round(config.max_lots * (1.0 + 0.5 * min(fullness, 0.0))) * symbol.lot_qty,
            at_ns + config.validity_ns,
        )
        self.quotes.append(StandingQuote(quoted, mid2_px))
        publisher.publish(at_ns, quoted)

    def _serve_client(self, at_ns: int) -> None:
        """Another client takes the last quote; the dealer's inventory moves and the tape sees a print."""
        config, random = self._config, self._random.random
        u_pause, u_informed, u_side, u_size = random(), random(), random(), random()
        rate = config.clients_per_second * (self._busy.at(at_ns) if self._busy is not None else 1.0)
        self._client_ns = at_ns + 1 + int(-log(1.0 - u_pause) * 1e9 / rate)
        if not self.quotes or not self.has_market:
            return
        pressure = self._signal.pressure
        is_buy = pressure > 0 if pressure and u_informed < config.informed_share else u_side < 0.5
        quote = self.quotes[-1]
        quoted = quote.quoted
        qty = pareto_lots(u_size, _CLIENT_MEAN_LOTS, _CLIENT_SIZE_TAIL) * self._symbol.lot_qty
        qty = min(qty, quote.ask_left if is_buy else quote.bid_left)
        if qty and self.adverse_bps(quote, is_buy) <= config.tolerance_bps:
            self.trade(is_buy, qty, quoted.ask_px if is_buy else quoted.bid_px, at_ns)

    def _hedge(self, at_ns: int) -> None:
        self.inventory_qty *= exp(-_LN2 * (at_ns - self._hedged_ns) / self._config.inventory_half_life_ns)
        self._hedged_ns = at_ns


class Held(msgspec.Struct, frozen=True):
    """An order in the dealer's last look."""

    decide_ns: int
    order: Order
    quote: StandingQuote


class LastLook:
    """The orders that a dealer holds, decided in the order in which they came."""

    def __init__(self, config: DealerConfig, desks: dict[str, DealerDesk], publisher: Publisher) -> None:
        self.next_ns = NEVER
        self.held: deque[Held] = deque()
        self._config = config
        self._desks = desks
        self._publisher = publisher

    def adopt(self, config: DealerConfig) -> None:
        """For the orders that come from now on."""
        self._config = config

    def hold(self, order: Order, quote: StandingQuote, at_ns: int) -> None:
        earliest_ns = self.held[-1].decide_ns if self.held else at_ns
        self.held.append(Held(max(at_ns + self._config.hold_ns, earliest_ns), order, quote))
        self.next_ns = self.held[0].decide_ns

    def step(self, at_ns: int) -> None:
        held = self.held.popleft()
        self.next_ns = self.held[0].decide_ns if self.held else NEVER
        order, desk = held.order, self._desks[held.order.symbol]
        if text := self._refusal(desk, held.quote, order.is_buy):
            if order.is_buy:
                held.quote.ask_left += order.order_qty
            else:
                held.quote.bid_left += order.order_qty
            self._publisher.publish(at_ns, Rejected(order, text))
            return
        px = held.quote.quoted.ask_px if order.is_buy else held.quote.quoted.bid_px
        self._publisher.trade(at_ns, order, order.order_qty, px, LastLiquidityInd.REMOVED)
        desk.trade(order.is_buy, order.order_qty, px, at_ns, order.owner)

    def _refusal(self, desk: DealerDesk, quote: StandingQuote, is_buy: bool) -> str:
        if not desk.has_market:
            return "last look: no market to price against"
        adverse_bps = desk.adverse_bps(quote, is_buy)
        if adverse_bps > self._config.tolerance_bps:
            return f"last look: price moved {adverse_bps:.2f} bps, tolerance {self._config.tolerance_bps:.2f}"
        return ""


class DealerVenue:
    """Order entry of a dealer: only orders on a quote that still stands, for no more than it shows."""

    def __init__(self, config: DealerConfig, desks: dict[str, DealerDesk], publisher: Publisher) -> None:
        self.desks = desks
        self.clients = Clients(config)
        for desk in desks.values():
            desk.clients = self.clients
        self.last_look = LastLook(config, desks, publisher)
        self._publisher = publisher

    def adopt(self, config: DealerConfig) -> None:
        self.last_look.adopt(config)
        self.clients.adopt(config)
        for desk in self.desks.values():
            desk.adopt(config)

    def status(self, symbol: str) -> TradingStatus:
        return self.desks[symbol].status

    def set_status(self, symbol: str, status: TradingStatus, at_ns: int) -> None:
        self.desks[symbol].halted = status is not TradingStatus.OPEN

    def submit(self, order: Order, at_ns: int) -> None:
        """Publishes Rejected, or Accepted; the fill or the decline follows after the hold time."""
        desk = self.desks.get(order.symbol)
        quote = desk.standing(order.quote_id) if desk is not None else None
        if text := self._refusal(order, quote, at_ns):
            self._publisher.publish(at_ns, Rejected(order, text))
            return
        assert quote is not None  # no refusal
        if order.is_buy:
            quote.ask_left -= order.order_qty
        else:
            quote.bid_left -= order.order_qty
        self._publisher.publish(at_ns, Accepted(order))
        self.last_look.hold(order, quote, at_ns)

    def cancel(self, order_id: str, at_ns: int) -> None:
        """Publishes CancelRejected: an order that is held is the dealer's to decide, any other is unknown or done."""
        held = any(held.order.order_id == order_id for held in self.last_look.held)
        text = f"order {order_id} is in last look" if held else f"no open order {order_id}"
        self._publisher.publish(at_ns, CancelRejected(order_id, text))

    def request_quote(
        self, quote_req_id: str, symbol: str, side: Side | None, qty: int, owner: str, at_ns: int
    ) -> None:
        """Publishes QuoteMade or QuoteDeclined."""
        desk = self.desks.get(symbol)
        if desk is None:
            text = f"symbol {symbol!r} is not traded here"
            self._publisher.publish(at_ns, QuoteDeclined(quote_req_id, symbol, _UNKNOWN_SYMBOL, text))
        else:
            desk.answer(quote_req_id, side, qty, owner, at_ns)

    def replace(self, order_id: str, order_qty: int, px: int, at_ns: int) -> None:
        """Publishes ReplaceRejected: an order on a quote is taken or declined as it is."""
        self._publisher.publish(at_ns, ReplaceRejected(order_id, "an order on a quote can't be changed"))

    def reduce(self, order_id: str, qty: int, text: str, at_ns: int) -> None:
        """Nothing rests at a dealer."""

    def fill(self, order_id: str, qty: int, at_ns: int) -> None:
        """Nothing rests at a dealer."""

    def snapshot(self, symbol: str) -> list[MarketUpdate]:
        """The last quote, if one stands. KeyError for an unknown symbol."""
        quoted = self.desks[symbol].last_quoted
        return [quoted] if quoted is not None else []

    def _refusal(self, order: Order, quote: StandingQuote | None, at_ns: int) -> str:
        if order.symbol not in self.desks:
            return f"symbol {order.symbol!r} is not traded here"
        if order.order_qty <= 0:
            return f"quantity {order.order_qty} is not positive"
        if not order.quote_id:
            return "an order needs the id of a quote"
        if quote is None:
            return f"quote {order.quote_id} is unknown or no longer stands"
        quoted = quote.quoted
        if at_ns > quoted.valid_until_ns:
            return f"quote {order.quote_id} expired {(at_ns - quoted.valid_until_ns) / 1e6:.1f} ms ago"
        left_qty = quote.ask_left if order.is_buy else quote.bid_left
        if order.order_qty > left_qty:
            return f"quantity {order.order_qty} exceeds the quote's {left_qty}"
        px = quoted.ask_px if order.is_buy else quoted.bid_px
        if not px:
            return f"quote {order.quote_id} has no such side"
        if order.px and (order.px < px if order.is_buy else order.px > px):
            return f"price {order.px} is worse than the quote's {px}"
        return ""
