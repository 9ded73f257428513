"""The asyncio shell: carries one endpoint over real sockets. It moves bytes and calls timers; it decides nothing.

Runs under uvloop or plain asyncio. Everything happens in one thread: an input goes to the endpoint, and what comes back
is written before the next input is looked at.
"""

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import cycle
from typing import cast

from fix.addresses import Networks, is_within, networks
from fix.endpoint import Endpoint, Link, Output
from fix.tls import ConnectorTls, ListenerContext, ListenerTls, connector_context

Address = tuple[str, int]

MAX_WRITE_BUFFER = 4 * 1024 * 1024  # bytes that a peer may leave unread before it is disconnected
_FIRST_RETRY_S, _LAST_RETRY_S = 0.1, 5.0
_CONNECT_TIMEOUT_S = 5.0
_CLOSE_TIMEOUT_S = 1.0
_HANDSHAKE_TIMEOUT_S = 5.0
_UNWANTED_S = 0.5  # between two looks whether a connection is wanted again


class SteadyClock:
    """UTC ns that never go back and never stand.

    A wall clock that is set back, by a second or an hour, must not stop heartbeats and timers for as long: until it has
    caught up time goes on at half its speed. One that is set forward is believed.
    """

    def __init__(
        self, wall: Callable[[], int] = time.time_ns, monotonic: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._last_ns = 0
        self._last_monotonic_ns = monotonic()

    def __call__(self) -> int:
        monotonic_ns = self._monotonic()
        self._last_ns += max(self._wall() - self._last_ns, (monotonic_ns - self._last_monotonic_ns) // 2)
        self._last_monotonic_ns = monotonic_ns
        return self._last_ns


class Carrier:
    """What `serve` returns. `addresses`: (host, port) of each listener, as bound."""

    def __init__(self, endpoint: Endpoint, clock: Callable[[], int], max_write_buffer: int) -> None:
        self.addresses: dict[str, Address] = {}
        self._endpoint = endpoint
        self._clock = clock
        self._max_write_buffer = max_write_buffer
        self._loop = asyncio.get_running_loop()
        self._links: dict[Link, _Connection] = {}
        self._last_link = 0
        self._last_ns = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ns = 0
        self._servers: dict[str, asyncio.Server] = {}
        self._gates: dict[str, _Gate] = {}
        self._connectors: dict[str, asyncio.Task[None]] = {}

    def now_ns(self) -> int:
        """The clock, except that it never goes back."""
        self._last_ns = max(self._last_ns, self._clock())
        return self._last_ns

    def perform(self, output: Output) -> None:
        """Write and close what an input led to, then look at the timer. Also for inputs that no socket brought."""
        writes = output.writes
        if len(writes) > 1:
            # One write per link: a batch leaves in one packet where it fits.
            batches: dict[Link, list[bytes]] = {}
            for link, data in writes:
                batches.setdefault(link, []).append(data)
            writes = [(link, b"".join(chunks)) for link, chunks in batches.items()]
        for link, data in writes:
            if (connection := self._links.get(link)) is not None:
                connection.write(data, self._max_write_buffer)
        for link in output.closes:
            if (connection := self._links.get(link)) is not None:
                connection.transport.close()
        self._arm()

    async def close(self) -> None:
        """Stop listening and connecting, flush and close every link; what doesn't close in a second is aborted."""
        for server in self._servers.values():
            server.close()
        connectors = list(self._connectors.values())
        for task in connectors:
            task.cancel()
        await asyncio.gather(*connectors, return_exceptions=True)
        open_links = list(self._links.values())
        for connection in open_links:
            connection.transport.close()
        if open_links:
            _, late = await asyncio.wait([connection.lost for connection in open_links], timeout=_CLOSE_TIMEOUT_S)
            for connection in open_links:
                if connection.lost in late:
                    connection.transport.abort()
                    await connection.lost
        if self._timer is not None:
            self._timer.cancel()

    async def listen(
        self, port: str, address: Address, tls: ListenerTls | None = None, allow: Sequence[str] = ()
    ) -> None:
        """`allow`: addresses and networks, such as "10.0.0.0/8"; from anywhere else nobody is let in. (): from all."""
        gate = _Gate(networks(allow), ListenerContext(tls) if tls else None)
        server = await self._loop.create_server(
            lambda: _Connection(self, port, gate),
            *address,
            ssl=gate.tls.context if gate.tls else None,
            ssl_handshake_timeout=_HANDSHAKE_TIMEOUT_S if tls else None,
        )
        self._servers[port], self._gates[port] = server, gate
        bound = server.sockets[0].getsockname()
        self.addresses[port] = (bound[0], bound[1])

    def relist(self, port: str, tls: ListenerTls | None, allow: Sequence[str]) -> None:
        """Other certificates and another list for who connects from now on.

        A listener has TLS for as long as it listens, or never.
        """
        gate = self._gates[port]
        if tls is not None and gate.tls is not None:
            gate.tls.replace(tls)
        gate.allow = networks(allow)

    def peer_address(self, link: Link) -> str:
        """The IP address at the other end; "" where it is gone."""
        connection = self._links.get(link)
        return connection.peer_address if connection else ""

    def connect(
        self,
        port: str,
        address: Address | Sequence[Address],
        tls: ConnectorTls | None = None,
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        """Connect, now and whenever the connection is lost; what waits for its next try tries at once.

        Of several addresses the next one is tried when one fails or is lost. While it is not `wanted`, no connection
        is made. OSError where a file of `tls` can't be used.
        """
        context = connector_context(tls) if tls else None
        self.stop_connecting(port)
        addresses = [cast(Address, address)] if isinstance(address[0], str) else [cast(Address, a) for a in address]
        target = _Target(addresses, context, tls.server_name if tls else "", wanted)
        self._connectors[port] = self._loop.create_task(self._keep_connected(port, target))

    def stop_connecting(self, port: str) -> None:
        """Make no further connections; one that is there stays."""
        if (task := self._connectors.pop(port, None)) is not None:
            task.cancel()

    def stop_listening(self, port: str) -> None:
        """Let nobody else in; who is there stays."""
        if (server := self._servers.pop(port, None)) is not None:
            server.close()
            del self.addresses[port]

    async def _keep_connected(self, port: str, target: "_Target") -> None:
        delay_s = _FIRST_RETRY_S
        for connection in [connection for connection in self._links.values() if connection.port == port]:
            await asyncio.shield(connection.lost)  # an earlier connector's
        for number, address in enumerate(cycle(target.addresses), 1):
            while not target.wanted():
                await asyncio.sleep(_UNWANTED_S)
            started_s = self._loop.time()
            with suppress(OSError):  # refused, unreachable, timed out, no TLS: all the same, try again later
                connection = await self._open(_Connection(self, port), address, target)
                started_s = self._loop.time()
                await asyncio.shield(connection.lost)
                if self._loop.time() - started_s > _LAST_RETRY_S:
                    # It lived: a peer that accepts and hangs up at once goes on backing off.
                    delay_s = _FIRST_RETRY_S
            await asyncio.sleep(delay_s)
            if number % len(target.addresses) == 0:
                delay_s = min(delay_s * 2, _LAST_RETRY_S)

    async def _open(self, connection: "_Connection", address: Address, target: "_Target") -> "_Connection":
        server_name = (target.server_name or address[0]) if target.context else None
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                await self._loop.create_connection(
                    lambda: connection, *address, ssl=target.context, server_hostname=server_name
                )
        except BaseException:
            # Given up between the connection and its first step, uvloop closes the socket and tells nobody.
            connection.connection_lost(None)
            raise
        return connection

    # --- inputs ---

    def opened(self, connection: "_Connection") -> Link:
        self._last_link += 1
        self._links[self._last_link] = connection
        self.perform(self._endpoint.connected(self._last_link, connection.port, self.now_ns()))
        return self._last_link

    def received(self, link: Link, data: bytes) -> None:
        self.perform(self._endpoint.receive(link, data, self.now_ns()))

    def lost(self, link: Link) -> None:
        del self._links[link]
        self.perform(self._endpoint.disconnected(link, self.now_ns()))

    def _arm(self) -> None:
        """A timer that became later is left alone and set again when it fires: most of them move at each input."""
        due_ns = self._endpoint.next_timer_ns()
        if due_ns is None or (self._timer is not None and self._timer_ns <= due_ns):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_ns = due_ns
        # Event loops count in milliseconds; rounding up keeps a timer from firing too early again and again.
        delay_ms = -(-max(due_ns - self.now_ns(), 0) // 1_000_000)
        self._timer = self._loop.call_at(self._loop.time() + delay_ms / 1000, self._fire)

    def _fire(self) -> None:
        self._timer = None
        now_ns = self.now_ns()
        due_ns = self._endpoint.next_timer_ns()
        if due_ns is not None and due_ns <= now_ns:
            self.perform(self._endpoint.timer(now_ns))
        else:
            self._arm()


@dataclass(slots=True)
class _Gate:
    """Of a listener: from where connections are let in ([]: from anywhere), and with which certificates."""

    allow: Networks
    tls: ListenerContext | None

    def admits(self, address: str) -> bool:
        return not self.allow or is_within(address, self.allow)


@dataclass(frozen=True, slots=True)
class _Target:
    """Of a connector."""

    addresses: list[Address]
    context: ssl.SSLContext | None
    server_name: str
    wanted: Callable[[], bool]


class _Connection(asyncio.Protocol):
    """`gate`: of the listener that it came through, None for a connector's."""

    def __init__(self, carrier: Carrier, port: str, gate: _Gate | None = None) -> None:
        self.port = port
        self.peer_address = ""
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._carrier = carrier
        self._gate = gate
        self._link = 0  # the endpoint hears nothing of a connection from where nobody is let in

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it
        self.peer_address = (transport.get_extra_info("peername") or ("",))[0]
        if self._gate is not None and not self._gate.admits(self.peer_address):
            self.transport.abort()
        else:
            self._link = self._carrier.opened(self)

    def data_received(self, data: bytes) -> None:
        if self._link:
            self._carrier.received(self._link, data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.lost.done():
            return
        self.lost.set_result(None)
        if self._link:
            self._carrier.lost(self._link)

    def write(self, data: bytes, max_write_buffer: int) -> None:
        # Asked before this write: one batch of any size may go out, but not on top of what the peer leaves unread.
        if self.transport.get_write_buffer_size() > max_write_buffer:
            self.transport.abort()
        else:
            self.transport.write(data)


async def serve(
    endpoint: Endpoint,
    listeners: Mapping[str, Address],
    connectors: Mapping[str, Address | Sequence[Address]],
    clock: Callable[[], int] | None = None,
    max_write_buffer: int = MAX_WRITE_BUFFER,
    *,
    listener_tls: Mapping[str, ListenerTls] | None = None,
    connector_tls: Mapping[str, ConnectorTls] | None = None,
    allow: Mapping[str, Sequence[str]] | None = None,
) -> Carrier:
    """Carry `endpoint` until `Carrier.close`. Port 0 listens on any free port; OSError if a listener can't bind.

    What is TLS and who is allowed is by port, for those that have any.
    """
    carrier = Carrier(endpoint, clock or SteadyClock(), max_write_buffer)
    try:
        for port, address in listeners.items():
            await carrier.listen(port, address, (listener_tls or {}).get(port), (allow or {}).get(port, ()))
        for port, addresses in connectors.items():
            carrier.connect(port, addresses, (connector_tls or {}).get(port))
    except OSError:
        await carrier.close()
        raise
    carrier.perform(Output())
    return carrier
