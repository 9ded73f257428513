"""A virtual clock and network: several endpoints in one process, no sockets, no waiting, one seed one run.

An endpoint can't tell it from `fix.tcp`. Bytes arrive after the latency of their connection, in the order in which they
were written; a timer is called at the very nanosecond that it asked for. What happens at the same instant happens in a
fixed order: arrivals as they were sent, then timers in the order in which the endpoints were added.

The network can be as bad as a real one: a `Network` delays and cuts up what is written, a connection can be lost by
both ends or by one, fall silent without anybody being told, and an endpoint's clock can be set.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any, Protocol

_NEVER = 1 << 62
_STUCK = 10_000  # timer calls at one instant with nothing written before the endpoint counts as stuck


class Network(Protocol):
    """What becomes of bytes on their way, beside the latency of their connection."""

    def pieces(self, link: int, data: bytes) -> Iterable[tuple[int, bytes]]:
        """(further delay in ns, bytes) of each piece of what was written; pieces of a link never overtake others."""


@dataclass(slots=True)
class _End:
    """One end of a connection: who sits there and where its bytes go."""

    endpoint: int
    port: str
    peer: int
    latency_ns: int
    is_open: bool = False
    is_silent: bool = False  # nothing arrives here any more, not even the end of the connection
    arrives_ns: int = 0  # when the last bytes on their way to here do


class World:
    """Endpoints are those of `fix.endpoint`, or anything with the same methods and an output of the same shape."""

    def __init__(self, start_ns: int, network: Network | None = None) -> None:
        self.now_ns = start_ns
        self.event_count = 0
        self._network = network
        self._names: dict[str, int] = {}
        self._endpoints: list[Any] = []
        self._timers: list[int] = []
        # By endpoint: how far its clock is set from ours, our time when it was set, and what it showed then.
        self._clocks: list[tuple[int, int, int]] = []
        self._is_set = False  # any clock, ever
        self._ends: list[_End] = []  # by link number
        # (at_ns, tie-breaker, link, data): data True opens the link, None closes it, False is this end's own closing.
        self._heap: list[tuple[int, int, int, bytes | bool | None]] = []
        self._pushed = 0
        self._idle_timers = 0

    def add(self, name: str, endpoint: Any) -> None:
        """Endpoints must be added before they are connected; `name` is only for `connect`."""
        self._names[name] = len(self._endpoints)
        self._endpoints.append(endpoint)
        self._timers.append(0)
        self._clocks.append((0, 0, 0))
        self._read_timer(len(self._endpoints) - 1)

    def connect(self, client: str, client_port: str, server: str, server_port: str, latency_ns: int = 0) -> int:
        """A connection that stands `latency_ns` from now, each way as slow; returns the client's link number."""
        link = len(self._ends)
        self._ends.append(_End(self._names[client], client_port, link + 1, latency_ns))
        self._ends.append(_End(self._names[server], server_port, link, latency_ns))
        self._push(self.now_ns + latency_ns, link + 1, True)
        self._push(self.now_ns + latency_ns, link, True)
        return link

    def cut(self, link: int) -> None:
        """Both ends of the connection lose it now, and with it all that is under way."""
        for end in (link, self._ends[link].peer):
            self._lose(end)

    def drop(self, link: int) -> None:
        """This end loses the connection now; the other one is not told and goes on talking to nobody."""
        self._ends[self._ends[link].peer].is_silent = True
        self._lose(link)

    def silence(self, link: int) -> None:
        """From now on nothing arrives at either end, and neither of them is told."""
        for end in (link, self._ends[link].peer):
            self._ends[end].is_silent = True

    def stall(self, link: int, until_ns: int) -> None:
        """What is written from now on, either way, arrives no earlier than `until_ns`."""
        for end in (link, self._ends[link].peer):
            self._ends[end].arrives_ns = max(self._ends[end].arrives_ns, until_ns)

    def set_clock(self, name: str, by_ns: int) -> None:
        """Sets an endpoint's clock; set back, it goes at half speed until it is true again, as in `fix.tcp`."""
        which = self._names[name]
        self._is_set = True
        self._clocks[which] = (self._clocks[which][0] + by_ns, self.now_ns, self._time(which))
        self._read_timer(which)

    def time_of(self, name: str) -> int:
        """What an endpoint's clock shows."""
        return self._time(self._names[name])

    def is_open(self, link: int) -> bool:
        return self._ends[link].is_open

    def run_until(self, until_ns: int) -> None:
        """Everything due up to and including `until_ns`, which then is the time."""
        while self._step(until_ns):
            pass
        self.now_ns = max(self.now_ns, until_ns)

    def run_while(self, predicate: Callable[[], bool], until_ns: int) -> bool:
        """Runs while `predicate()` holds, `until_ns` at the longest; whether it ended because it no longer holds."""
        while predicate():
            if not self._step(until_ns):
                self.now_ns = max(self.now_ns, until_ns)
                return False
        return True

    def wake(self, name: str) -> None:
        """Reads an endpoint's timer again, for one that was changed from outside and not by an input."""
        self._read_timer(self._names[name])

    def perform(self, output: Any) -> None:
        """Writes and closes what a call to an endpoint from outside gave back."""
        writes: list[tuple[int, bytes]] = output.writes
        if writes:
            self._idle_timers = 0
            for link, data in writes:
                if self._ends[link].is_open:
                    self._write(link, data)
        closes: list[int] = output.closes
        for link in closes:
            end = self._ends[link]
            if end.is_open:
                self._push(max(self._ends[end.peer].arrives_ns, self.now_ns + end.latency_ns), end.peer, None)
                self._push(self.now_ns, link, False)

    def _write(self, link: int, data: bytes) -> None:
        end = self._ends[link]
        peer = self._ends[end.peer]
        if self._network is None:
            peer.arrives_ns = max(peer.arrives_ns, self.now_ns + end.latency_ns)
            self._push(peer.arrives_ns, end.peer, data)
            return
        for delay_ns, piece in self._network.pieces(link, data):
            peer.arrives_ns = max(peer.arrives_ns, self.now_ns + end.latency_ns + delay_ns)
            self._push(peer.arrives_ns, end.peer, piece)

    def _step(self, until_ns: int) -> bool:
        heap, timers = self._heap, self._timers
        timer_ns = min(timers)
        if heap and heap[0][0] <= max(timer_ns, self.now_ns):
            if heap[0][0] > until_ns:
                return False
            self.now_ns, _, link, data = heappop(heap)
            self.event_count += 1
            self._deliver(link, data)
            return True
        if timer_ns > until_ns or timer_ns == _NEVER:
            return False
        which = timers.index(timer_ns)
        if timer_ns > self.now_ns:
            self.now_ns = timer_ns
            self._idle_timers = 0
        self._idle_timers += 1
        if self._idle_timers > _STUCK:
            raise RuntimeError(f"{self._endpoints[which]!r} asks for its timer at {timer_ns} over and over")
        self.event_count += 1
        self.perform(self._endpoints[which].timer(self._time(which)))
        self._read_timer(which)
        return True

    def _deliver(self, link: int, data: bytes | bool | None) -> None:
        end = self._ends[link]
        endpoint = self._endpoints[end.endpoint]
        if data is False or (data is None and not end.is_silent):
            self._lose(link)
            return
        if data is True:
            end.is_open = True
            self.perform(endpoint.connected(link, end.port, self._time(end.endpoint)))
        elif data and end.is_open and not end.is_silent:
            self.perform(endpoint.receive(link, data, self._time(end.endpoint)))
        self._read_timer(end.endpoint)

    def _lose(self, link: int) -> None:
        end = self._ends[link]
        if end.is_open:
            end.is_open = False
            self.perform(self._endpoints[end.endpoint].disconnected(link, self._time(end.endpoint)))
            self._read_timer(end.endpoint)

    def _time(self, which: int) -> int:
        if not self._is_set:
            return self.now_ns
        offset_ns, set_ns, shown_ns = self._clocks[which]
        return max(self.now_ns + offset_ns, shown_ns + (self.now_ns - set_ns) // 2) if set_ns else self.now_ns

    def _read_timer(self, which: int) -> None:
        at_ns: int | None = self._endpoints[which].next_timer_ns()
        if at_ns is None:
            self._timers[which] = _NEVER
        elif not self._is_set:
            self._timers[which] = at_ns
        else:
            offset_ns, set_ns, shown_ns = self._clocks[which]
            self._timers[which] = min(at_ns - offset_ns, set_ns + 2 * max(at_ns - shown_ns, 0))

    def _push(self, at_ns: int, link: int, data: bytes | bool | None) -> None:
        self._pushed += 1
        heappush(self._heap, (at_ns, self._pushed, link, data))
