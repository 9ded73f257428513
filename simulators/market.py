"""The whole market as one pure machine: time goes in, what happened at which venue comes out, in order.

Everything that moves by itself is a process with a time of its next step. They stand in one heap, ordered by time and
then by their fixed number, so the sequence of events depends on the seed and on the clients' orders and on nothing
else: not on how time is cut into steps, and not on whether the clock is real.
"""

from collections.abc import Iterator
from functools import partial
from heapq import heapify, heappop, heappush, heapreplace
from random import Random
from typing import Protocol

from domain.fields import Side, TradingStatus
from domain.market import MarketUpdate
from simulators.auction import Auction
from simulators.book import Book, Reference
from simulators.dark import DarkPool, DarkVenue
from simulators.day import CalledAuctions, Crowd, TradingDay
from simulators.dealer import DealerDesk, DealerVenue
from simulators.flow import NEVER, LitFlow, Scene, Signal
from simulators.latent import SESSION_SECONDS, Latent
from simulators.leak import LeakFlow
from simulators.lit import LitVenue
from simulators.market_config import DarkConfig, DayConfig, LitConfig, MarketConfig, SymbolConfig, VenueConfig
from simulators.orders import Order, Publisher, Rejected, StatusChanged, TimedEvent
from simulators.regimes import Adopting, Mood, Regimes
from simulators.takers import FastFlow, TakerFlow


class Process(Protocol):
    """Something that moves by itself. `next_ns` is when; `step` moves it and sets a later `next_ns`, or NEVER."""

    next_ns: int

    def step(self, at_ns: int) -> None: ...


class Venue(Protocol):
    """Where orders go. What comes of them is published, in order."""

    def submit(self, order: Order, at_ns: int) -> None: ...

    def cancel(self, order_id: str, at_ns: int) -> None: ...

    def replace(self, order_id: str, order_qty: int, px: int, at_ns: int) -> None: ...

    def reduce(self, order_id: str, qty: int, text: str, at_ns: int) -> None: ...

    def fill(self, order_id: str, qty: int, at_ns: int) -> None: ...

    def status(self, symbol: str) -> TradingStatus: ...

    def set_status(self, symbol: str, status: TradingStatus, at_ns: int) -> None: ...

    def snapshot(self, symbol: str) -> list[MarketUpdate]: ...


class Market:
    """All venues of a config around one latent market. The same seed and calls give the same events to the byte."""

    def __init__(self, config: MarketConfig, seed: int, start_ns: int) -> None:
        self.config = config
        self.seed = seed
        self.references = {symbol.symbol: Reference() for symbol in config.symbols}
        self._start_ns = start_ns
        self._opens_ns = start_ns + config.opening_ns
        self._events: list[TimedEvent] = []
        self._processes: list[Process] = []
        self._sleepers: dict[str, int] = {}  # the process of a venue that an order may wake
        publishers = self._publishers = {
            venue.name: Publisher(venue.name, self._events, start_ns) for venue in config.venues
        }
        for symbol in config.symbols:
            self.references[symbol.symbol].books += [
                Book(symbol.symbol, publishers[venue.name]) for venue in config.venues if isinstance(venue, LitConfig)
            ]
        self._auctions = {
            name: [Auction(book, publishers[book.venue]) for book in reference.books]
            for name, reference in self.references.items()
        }
        self._called: dict[str, CalledAuctions] = {
            name: CalledAuctions(auctions, None, 0.0) for name, auctions in self._auctions.items()
        }
        self._lit_flows: dict[str, list[LitFlow]] = {}  # by venue
        self._leaks: dict[str, LeakFlow] = {}  # but of a symbol whose real traders do not react
        # The background first, because all the others go by its prices.
        self._signals = {symbol.symbol: self._background(symbol) for symbol in config.symbols}
        self.venues: dict[str, Venue] = {
            venue.name: self._venue(venue, publishers[venue.name]) for venue in config.venues
        }
        self._processes += self._called.values()
        self._moods = {venue.name: self._mood(venue) for venue in config.venues}
        self._events.clear()  # what stands in the books at the start is for `snapshot` to say
        # The last entry keeps the heap from ever being empty.
        self._heap = [(p.next_ns, n) for n, p in enumerate(self._processes) if p.next_ns < NEVER] + [(NEVER, -1)]
        heapify(self._heap)

    def next_event_ns(self) -> int:
        """When the market moves by itself next; NEVER if it does not."""
        return self._heap[0][0]

    def advance(self, now_ns: int) -> list[TimedEvent]:
        """All that happens by itself up to and including `now_ns`, in order of time."""
        self._run(now_ns)
        return self._take_events()

    def submit(self, venue: str, order: Order, now_ns: int) -> list[TimedEvent]:
        """The order arrives at `now_ns`, after everything that was due until then. KeyError for an unknown venue."""
        self._run(now_ns)
        order.received_ns = now_ns
        if text := self._moods[venue].refusal():
            self._publishers[venue].publish(now_ns, Rejected(order, text))
        else:
            self.venues[venue].submit(order, now_ns)
            self._wake(venue)
        return self._take_events()

    def cancel(self, venue: str, order_id: str, now_ns: int) -> list[TimedEvent]:
        """A cancel arrives at `now_ns`: Canceled or CancelRejected comes out. KeyError for an unknown venue."""
        self._run(now_ns)
        self.venues[venue].cancel(order_id, now_ns)
        return self._take_events()

    def replace(self, venue: str, order_id: str, order_qty: int, px: int, now_ns: int) -> list[TimedEvent]:
        """A replace arrives at `now_ns`: Replaced and what the order then meets, or ReplaceRejected."""
        self._run(now_ns)
        self.venues[venue].replace(order_id, order_qty, px, now_ns)
        return self._take_events()

    def request_quote(
        self, venue: str, quote_req_id: str, symbol: str, side: Side | None, qty: int, now_ns: int, owner: str = ""
    ) -> list[TimedEvent]:
        """A request for a quote arrives at a dealer: QuoteMade or QuoteDeclined; nothing of another kind of venue."""
        self._run(now_ns)
        dealer = self.venues[venue]
        if isinstance(dealer, DealerVenue):
            dealer.request_quote(quote_req_id, symbol, side, qty, owner, now_ns)
        return self._take_events()

    def reduce(self, venue: str, order_id: str, qty: int, text: str, now_ns: int) -> list[TimedEvent]:
        """The venue takes `qty` of what is left of a resting order away; nothing happens to one that does not rest."""
        self._run(now_ns)
        self.venues[venue].reduce(order_id, qty, text, now_ns)
        return self._take_events()

    def fill(self, venue: str, order_id: str, qty: int, now_ns: int) -> list[TimedEvent]:
        """Somebody trades with a resting order out of turn; nothing happens to one that does not rest."""
        self._run(now_ns)
        self.venues[venue].fill(order_id, qty, now_ns)
        return self._take_events()

    def snapshot(self, venue: str, symbol: str) -> list[MarketUpdate]:
        """What a new subscriber has to know: the book, the standing quote, or nothing in the dark. Else KeyError."""
        return self.venues[venue].snapshot(symbol)

    def status(self, symbol: str, venue: str = "") -> TradingStatus:
        """How a venue, or the market, trades a symbol now; each change is a StatusChanged. Else KeyError."""
        return self.venues[venue].status(symbol) if venue else self.references[symbol].status

    def set_status(
        self, symbol: str, status: TradingStatus, text: str, now_ns: int, venue: str = ""
    ) -> list[TimedEvent]:
        """From `now_ns` on the symbol trades that way: at every venue, as in a halt by the authorities, or at one."""
        self._run(now_ns)
        called = self._called[symbol]
        for auction in self._auctions[symbol]:
            if auction.book.venue == venue or not venue:
                if status is TradingStatus.AUCTION:
                    called.call(auction, now_ns)
                else:
                    called.over(auction, now_ns)
        if not venue:
            self._change_status(symbol, status, text, now_ns)
        else:
            self.venues[venue].set_status(symbol, status, now_ns)
            now_here = self.venues[venue].status(symbol)
            self._publishers[venue].publish(now_ns, StatusChanged(venue, symbol, now_here, text))
        if called.next_ns < NEVER:
            heappush(self._heap, (called.next_ns, self._processes.index(called)))
        return self._take_events()

    def _change_status(self, symbol: str, status: TradingStatus, text: str, at_ns: int) -> None:
        if not self.references[symbol].change(status):
            return
        left = self._cross(symbol, at_ns) if status in (TradingStatus.OPEN, TradingStatus.CLOSED) else []
        for name, publisher in self._publishers.items():
            publisher.publish(at_ns, StatusChanged(name, symbol, self.venues[name].status(symbol), text))
        if status is TradingStatus.AUCTION:
            closing = self.config.day is not None and at_ns >= self._opens_ns + self.config.day.session_s * 1e9
            for auction in self._auctions[symbol]:
                auction.begin(closing)
        for lit, order in left:
            lit.rest(order, at_ns)
        if status is TradingStatus.CLOSED:
            for venue in self.venues.values():
                if isinstance(venue, LitVenue):
                    venue.expire(symbol, at_ns)

    def _cross(self, symbol: str, at_ns: int) -> list[tuple[LitVenue, Order]]:
        """What was collected is crossed; what goes on afterwards, and where."""
        left = []
        for auction in self._auctions[symbol]:
            if auction.collected:
                venue = self.venues[auction.book.venue]
                assert isinstance(venue, LitVenue)
                left += [(venue, order) for order in auction.cross(at_ns)]
        return left

    def _run(self, now_ns: int) -> None:
        heap, processes = self._heap, self._processes
        while heap[0][0] <= now_ns:
            at_ns, number = heap[0]
            process = processes[number]
            if process.next_ns != at_ns:  # an entry that a later one has replaced
                heappop(heap)
                continue
            process.step(at_ns)
            if process.next_ns < NEVER:
                heapreplace(heap, (process.next_ns, number))
            else:
                heappop(heap)

    def _wake(self, venue: str) -> None:
        number = self._sleepers.get(venue)
        if number is not None and self._processes[number].next_ns < NEVER:
            heappush(self._heap, (self._processes[number].next_ns, number))

    def _take_events(self) -> list[TimedEvent]:
        events = self._events[:]
        self._events.clear()
        return events

    def _background(self, symbol: SymbolConfig) -> Signal:
        """Everybody else's orders on the lit books of a symbol, and what the informed among them know."""
        lit = [venue for venue in self.config.venues if isinstance(venue, LitConfig)]
        takers_per_second = symbol.events_per_second * symbol.taker_share * sum(venue.flow_share for venue in lit)
        day = self.config.day
        latent = Latent(
            symbol,
            takers_per_second,
            self._stream(symbol.symbol),
            self._start_ns,
            self._opens_ns,
            day.session_s if day is not None else SESSION_SECONDS,
            self._stream(symbol.symbol, "trend") if symbol.trend_bps else None,
        )
        self._processes.append(latent)
        reference = self.references[symbol.symbol]
        for venue, book in zip(lit, reference.books, strict=True):
            book.on_taken = latent.taken
            random = self._stream(symbol.symbol, venue.name)
            flow = LitFlow(symbol, venue, book, reference, latent, random, self._start_ns)
            self._processes.append(flow)
            self._lit_flows.setdefault(venue.name, []).append(flow)
        takers = self._stream(symbol.symbol, "takers")
        self._processes.append(TakerFlow(symbol, takers_per_second, reference, latent, takers, self._start_ns))
        self._processes.append(FastFlow(symbol, reference, latent, self._stream(symbol.symbol, "fast"), self._start_ns))
        leaks = self._leaks[symbol.symbol] = LeakFlow(
            symbol, reference, latent, self._stream(symbol.symbol, "leak"), self._start_ns
        )
        self._processes.append(leaks)
        crowd = Crowd(symbol, latent, self._stream(symbol.symbol, "called"))
        auctions = self._auctions[symbol.symbol]
        self._called[symbol.symbol] = CalledAuctions(auctions, crowd, takers_per_second)
        if day is not None:
            self._processes.append(self._day(day, symbol, takers_per_second, latent))
        return latent

    def _day(self, day: DayConfig, symbol: SymbolConfig, takers_per_second: float, latent: Latent) -> TradingDay:
        name = symbol.symbol
        return TradingDay(
            day,
            symbol,
            takers_per_second,
            self.references[name],
            self._auctions[name],
            Crowd(symbol, latent, self._stream(name, "day")),
            self._start_ns,
            partial(self._change_status, name),
        )

    def _venue(self, config: VenueConfig, publisher: Publisher) -> Venue:
        ticks = {symbol.symbol: symbol.tick_px for symbol in self.config.symbols}
        if isinstance(config, LitConfig):
            books = [book for reference in self.references.values() for book in reference.books]
            auctions = [auction for of_symbol in self._auctions.values() for auction in of_symbol]
            return LitVenue(
                [book for book in books if book.venue == config.name],
                [auction for auction in auctions if auction.book.venue == config.name],
                ticks,
                self.references,
                publisher,
            )
        if isinstance(config, DarkConfig):
            pools = {name: DarkPool(scene, config, publisher) for name, scene in self._scenes(config)}
            self._processes += pools.values()
            return DarkVenue(pools, ticks, publisher)
        desks = {name: DealerDesk(scene, config, publisher) for name, scene in self._scenes(config)}
        dealer = DealerVenue(config, desks, publisher)
        self._processes += desks.values()
        self._sleepers[config.name] = len(self._processes)
        self._processes.append(dealer.last_look)
        return dealer

    def _mood(self, config: VenueConfig) -> Mood:
        """How the venue treats clients, and what changes it."""
        publisher = self._publishers[config.name]
        mood = Mood(config, self._stream(config.name, "mood"), self._leaks)
        publisher.on_trade = mood.traded
        venue = self.venues[config.name]
        adopting: list[Adopting] = [mood, *self._lit_flows.get(config.name, [])]
        if isinstance(venue, DarkVenue | DealerVenue):
            adopting.append(venue)
        if config.change:
            self._processes.append(Regimes(config, adopting, self._start_ns))
        return mood

    def _scenes(self, venue: VenueConfig) -> Iterator[tuple[str, Scene]]:
        """What the background of a venue off the books works with, by symbol."""
        for symbol in self.config.symbols:
            name = symbol.symbol
            stream = self._stream(name, venue.name)
            leaks = self._leaks.get(name)
            leaked = leaks.leaked if leaks is not None else None
            signal = self._signals[name]
            busy = signal.busy if isinstance(signal, Latent) else None
            yield name, Scene(symbol, self.references[name], signal, stream, self._start_ns, leaked, busy)

    def _stream(self, *names: str) -> Random:
        """A random stream that nobody else draws from."""
        return Random("/".join((str(self.seed), *names)))
