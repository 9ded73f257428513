"""The whole market as one pure machine: time goes in, what happened at which venue comes out, in order.

Everything that moves by itself is a process with a time of its next step. They stand in one heap, ordered by time and
then by their fixed number, so the sequence of events depends on the seed and on the clients' orders and on nothing
else: not on how time is cut into steps, and not on whether the clock is real.
"""

from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush, heapreplace
from random import Random
from typing import Any, Protocol

from domain.fields import VenueKind
from domain.market import MarketUpdate
from simulators.book import Book, Reference
from simulators.dark import DarkPool, DarkVenue
from simulators.dealer import DealerDesk, DealerVenue
from simulators.flow import NEVER, Latent, LitFlow, Scene
from simulators.lit import LitVenue
from simulators.market_config import DarkConfig, DealerConfig, LitConfig, MarketConfig, SymbolConfig, VenueConfig
from simulators.orders import Order, Publisher, TimedEvent


class Process(Protocol):
    """Something that moves by itself. `next_ns` is when; `step` moves it and sets a later `next_ns`, or NEVER."""

    next_ns: int

    def step(self, at_ns: int) -> None: ...


class Venue(Protocol):
    """Where orders go. What comes of them is published, in order."""

    def submit(self, order: Order, at_ns: int) -> None: ...

    def cancel(self, order_id: str, at_ns: int) -> None: ...

    def snapshot(self, symbol: str) -> list[MarketUpdate]: ...


class Market:
    """All venues of a config around one latent market. The same seed and calls give the same events to the byte."""

    def __init__(self, config: MarketConfig, seed: int, start_ns: int) -> None:
        self.config = config
        self.venues: dict[str, Venue] = {}
        self.references = {symbol.symbol: Reference() for symbol in config.symbols}
        self.steps = 0  # of all processes since the start
        self._ticks = {symbol.symbol: symbol.tick_px for symbol in config.symbols}
        self._seed = seed
        self._start_ns = start_ns
        self.latents = {symbol.symbol: self._latent(symbol) for symbol in config.symbols}
        self._events: list[TimedEvent] = []
        self._processes: list[Process] = []
        self._sleepers: dict[str, int] = {}  # the process of a venue that an order may wake
        self._build()
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
        self.venues[venue].submit(order, now_ns)
        self._wake(venue)
        return self._take_events()

    def cancel(self, venue: str, order_id: str, now_ns: int) -> list[TimedEvent]:
        """A cancel arrives at `now_ns`: Canceled or CancelRejected comes out. KeyError for an unknown venue."""
        self._run(now_ns)
        self.venues[venue].cancel(order_id, now_ns)
        return self._take_events()

    def snapshot(self, venue: str, symbol: str) -> list[MarketUpdate]:
        """What a new subscriber has to know: the book, the standing quote, or nothing in the dark. Else KeyError."""
        return self.venues[venue].snapshot(symbol)

    def _run(self, now_ns: int) -> None:
        heap, processes = self._heap, self._processes
        while heap[0][0] <= now_ns:
            at_ns, number = heap[0]
            process = processes[number]
            if process.next_ns != at_ns:  # an entry that a later one has replaced
                heappop(heap)
                continue
            process.step(at_ns)
            self.steps += 1
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

    def _build(self) -> None:
        self._processes += self.latents.values()
        build: dict[type, Callable[[Any, Publisher], Venue]] = {
            LitConfig: self._lit,
            DarkConfig: self._dark,
            DealerConfig: self._dealer,
        }
        # First the books, because all the others go by their prices.
        lit_first = sorted(self.config.venues, key=lambda venue: venue.kind is not VenueKind.LIT)
        built = {
            venue.name: build[type(venue)](venue, Publisher(venue.name, self._events, self._start_ns))
            for venue in lit_first
        }
        self.venues.update({venue.name: built[venue.name] for venue in self.config.venues})

    def _latent(self, symbol: SymbolConfig) -> Latent:
        return Latent(symbol, Random(f"{self._seed}/{symbol.symbol}"), self._start_ns)

    def _lit_flow(self, scene: Scene, venue: LitConfig, book: Book) -> Process:
        return LitFlow(scene, venue, book)

    def _lit(self, config: LitConfig, publisher: Publisher) -> Venue:
        books: dict[str, Book] = {}
        for name, scene in self._scenes(config):
            books[name] = Book(name, publisher)
            scene.reference.books.append(books[name])
            self._processes.append(self._lit_flow(scene, config, books[name]))
        return LitVenue(books, self._ticks, self.references, publisher)

    def _dark(self, config: DarkConfig, publisher: Publisher) -> Venue:
        pools = {name: DarkPool(scene, config, publisher) for name, scene in self._scenes(config)}
        self._processes += pools.values()
        return DarkVenue(pools, self._ticks, publisher)

    def _dealer(self, config: DealerConfig, publisher: Publisher) -> Venue:
        desks = {name: DealerDesk(scene, config, publisher) for name, scene in self._scenes(config)}
        venue = DealerVenue(config, desks, publisher)
        self._processes += desks.values()
        self._sleepers[config.name] = len(self._processes)
        self._processes.append(venue.last_look)
        return venue

    def _scenes(self, venue: VenueConfig) -> Iterator[tuple[str, Scene]]:
        """What a venue's background works with, by symbol; each has a random stream that nobody else draws from."""
        for symbol in self.config.symbols:
            name = symbol.symbol
            random = Random(f"{self._seed}/{name}/{venue.name}")
            yield name, Scene(symbol, self.references[name], self.latents[name], random, self._start_ns)
