"""The shell over real sockets: links, order of bytes, timers, reconnecting, slow consumers, clean close."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from fix.endpoint import Link, Output
from fix.tcp import Address, Carrier, serve

TIMEOUT_S = 5
LOOPBACK = ("127.0.0.1", 0)


class Echo:
    """Answers with what it got; "bye" closes the link, "N bytes" is answered with that many. Notes what it sees."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, Link, str]] = []
        self.changed = asyncio.Event()
        self.timer_ns: int | None = None
        self.timers = 0
        self.times: list[int] = []

    def _note(self, what: str, link: Link, text: str, now_ns: int) -> None:
        self.seen.append((what, link, text))
        self.times.append(now_ns)
        self.changed.set()

    def connected(self, link: Link, port: str, now_ns: int) -> Output:
        self._note("connected", link, port, now_ns)
        return Output([(link, b"hello ")])

    def receive(self, link: Link, data: bytes, now_ns: int) -> Output:
        text = data.decode()
        if text.endswith(" bytes"):
            return Output([(link, b"x" * int(text.split()[0]))])
        self._note("received", link, text, now_ns)
        return Output([(link, b"<"), (99, b"nobody"), (link, data), (link, b">")], [link] if text == "bye" else [])

    def disconnected(self, link: Link, now_ns: int) -> Output:
        self._note("disconnected", link, "", now_ns)
        return Output()

    def timer(self, now_ns: int) -> Output:
        assert self.timer_ns is not None
        assert now_ns >= self.timer_ns
        self.timer_ns = None
        self._note("timer", 0, "", now_ns)
        return Output()

    def next_timer_ns(self) -> int | None:
        return self.timer_ns

    async def until(self, what: str, count: int = 1) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while [event for event, _, _ in self.seen].count(what) < count:
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def carried(endpoint: Echo, connectors: dict[str, Address] | None = None, **more) -> AsyncIterator[Carrier]:
    listeners = {} if connectors else {"ems": LOOPBACK}
    carrier = await serve(endpoint, listeners, connectors or {}, **more)
    try:
        yield carrier
    finally:
        await carrier.close()


async def test_bytes_go_out_in_order_and_then_the_link_closes() -> None:
    endpoint = Echo()
    async with carried(endpoint) as carrier, asyncio.timeout(TIMEOUT_S):
        reader, writer = await asyncio.open_connection(*carrier.addresses["ems"])
        assert await reader.readexactly(6) == b"hello "
        writer.write(b"one")
        assert await reader.readexactly(5) == b"<one>"
        writer.write(b"bye")
        assert await reader.read() == b"<bye>"  # to the end
        writer.close()
        await endpoint.until("disconnected")
    assert endpoint.seen == [
        ("connected", 1, "ems"),
        ("received", 1, "one"),
        ("received", 1, "bye"),
        ("disconnected", 1, ""),
    ]


async def test_links_are_never_used_again() -> None:
    endpoint = Echo()
    async with carried(endpoint) as carrier, asyncio.timeout(TIMEOUT_S):
        for count in (1, 2):
            _, writer = await asyncio.open_connection(*carrier.addresses["ems"])
            writer.close()
            await endpoint.until("disconnected", count)
    assert [link for event, link, _ in endpoint.seen if event == "connected"] == [1, 2]


async def test_timer_and_a_clock_that_goes_back() -> None:
    endpoint = Echo()
    clock_ns = iter([10**9, 5, *range(10**9, 2 * 10**9, 20_000_000)])
    endpoint.timer_ns = 1_050_000_000
    async with carried(endpoint, clock=lambda: next(clock_ns)):
        await endpoint.until("timer")
    assert endpoint.times == sorted(endpoint.times)


async def test_connector_comes_back() -> None:
    """The peer isn't there at first, then drops the link twice."""
    acceptor = Echo()
    initiator = Echo()
    async with carried(acceptor) as first:
        address = first.addresses["ems"]
    async with carried(initiator, {"venue": address}):
        server = await asyncio.start_server(lambda _, writer: writer.close(), *address)
        async with server:
            await initiator.until("disconnected", 2)
    assert initiator.seen[0] == ("connected", 1, "venue")
    assert [link for event, link, _ in initiator.seen if event == "connected"][:2] == [1, 2]


async def test_slow_consumer_is_disconnected() -> None:
    endpoint = Echo()
    async with carried(endpoint, max_write_buffer=1_000_000) as carrier:
        _, writer = await asyncio.open_connection(*carrier.addresses["ems"], limit=1024)
        await endpoint.until("connected")
        for _ in range(20):
            # The bytes are never read; the pieces arrive one by one or a few together.
            carrier.perform(endpoint.receive(1, b"4000000 bytes", 0))
        await endpoint.until("disconnected")
        writer.close()


async def test_one_large_batch_is_no_slow_consumer() -> None:
    """A replay larger than the write buffer's bound goes through to a peer that reads."""
    endpoint = Echo()
    async with carried(endpoint, max_write_buffer=100_000) as carrier, asyncio.timeout(TIMEOUT_S):
        reader, writer = await asyncio.open_connection(*carrier.addresses["ems"])
        writer.write(b"20000000 bytes")
        assert len(await reader.readexactly(6 + 20_000_000)) == 6 + 20_000_000
        writer.close()


async def test_close_tells_every_link_and_frees_the_port() -> None:
    endpoint = Echo()
    async with carried(endpoint) as carrier:
        address = carrier.addresses["ems"]
        reader, writer = await asyncio.open_connection(*address)
        await endpoint.until("connected")
    assert endpoint.seen[-1] == ("disconnected", 1, "")
    assert await reader.read() == b"hello "
    writer.close()
    with pytest.raises(OSError):
        await asyncio.open_connection(*address)


async def test_a_port_that_is_taken() -> None:
    async with carried(Echo()) as carrier:
        with pytest.raises(OSError):
            await serve(Echo(), {"first": LOOPBACK, "second": carrier.addresses["ems"]}, {})


async def test_listens_only_where_it_was_told() -> None:
    async with carried(Echo()) as carrier:
        assert carrier.addresses["ems"][0] == "127.0.0.1"
