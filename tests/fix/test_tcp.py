"""The shell over real sockets: links, order of bytes, timers, reconnecting, slow consumers, clean close."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from fix.endpoint import Link, Output
from fix.tcp import Address, Carrier, SteadyClock, serve
from fix.tls import Certificate, ConnectorTls, ListenerTls, connector_context

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


class Quiet(Echo):
    """Says nothing of its own accord: two that answer each other would never end."""

    def connected(self, link: Link, port: str, now_ns: int) -> Output:
        self._note("connected", link, port, now_ns)
        return Output()

    def receive(self, link: Link, data: bytes, now_ns: int) -> Output:
        self._note("received", link, data.decode(), now_ns)
        return Output()


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


def test_a_clock_that_is_set_back_goes_on_at_half_speed_until_it_is_true_again() -> None:
    wall, elapsed = [10_000], [0]
    clock = SteadyClock(lambda: wall[0], lambda: elapsed[0])
    assert clock() == 10_000
    for at, set_to, expected in (
        (100, 10_100, 10_100),
        (200, 9_400, 10_150),  # set back by 800: ahead by 750
        (1_000, 10_200, 10_550),
        (1_698, 10_898, 10_899),
        (1_900, 11_100, 11_100),  # caught up
        (2_000, 61_200, 61_200),  # set forward
    ):
        wall[0], elapsed[0] = set_to, at
        assert clock() == expected


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


# --- TLS, addresses, who is let in ---


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, and certificates of its own for two servers and a client: NAME.pem and NAME.key."""
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *new_key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=authority")
    for name in ("fix.example", "other.example", "client.example"):
        (folder / "ext").write_text(f"subjectAltName=DNS:{name}")
        openssl("req", "-new", *new_key, "-keyout", f"{name}.key", "-out", "request", "-subj", f"/CN={name}")
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "ext")
        openssl("x509", "-req", "-in", "request", *signed, "-out", f"{name}.pem")
    return folder


def files(folder: Path, name: str) -> dict[str, str]:
    return {"certificate": str(folder / f"{name}.pem"), "key": str(folder / f"{name}.key")}


def listener_tls(folder: Path, name: str = "fix.example", **more: Any) -> ListenerTls:
    return ListenerTls(**{**files(folder, name), "authorities": str(folder / "ca.pem"), **more})


def connector_tls(folder: Path, client: str, server_name: str = "", authorities: bool = True) -> ConnectorTls:
    own = files(folder, client) if client else {}
    return ConnectorTls(**own, authorities=str(folder / "ca.pem") if authorities else "", server_name=server_name)


async def test_mutual_tls(certificates: Path) -> None:
    acceptor, initiator = Quiet(), Quiet()
    async with carried(acceptor, listener_tls={"ems": listener_tls(certificates)}) as carrier:
        config = connector_tls(certificates, "client.example", "fix.example")
        async with carried(
            initiator, {"venue": carrier.addresses["ems"]}, connector_tls={"venue": config}
        ) as connector:
            await initiator.until("connected")
            connector.perform(Output([(1, b"over TLS")]))
            await acceptor.until("received")
    assert ("received", 1, "over TLS") in acceptor.seen


@pytest.mark.parametrize(
    ("client", "server_name", "authorities"),
    [("", "fix.example", True), ("client.example", "else.example", True), ("client.example", "fix.example", False)],
    ids=["no certificate of the client's", "another server", "an authority that nobody knows"],
)
async def test_tls_that_comes_to_nothing(certificates: Path, client: str, server_name: str, authorities: bool) -> None:
    acceptor, initiator = Quiet(), Quiet()
    async with carried(acceptor, listener_tls={"ems": listener_tls(certificates)}) as carrier:
        config = connector_tls(certificates, client, server_name, authorities)
        async with carried(initiator, {"venue": carrier.addresses["ems"]}, connector_tls={"venue": config}):
            reader, writer = await asyncio.open_connection(*carrier.addresses["ems"])
            writer.write(b"8=FIX.4.4|9=5|35=A|")  # and a peer without TLS
            with suppress(ConnectionResetError):
                await reader.read()
            writer.close()
            assert "received" not in [what for what, _, _ in acceptor.seen + initiator.seen]


async def test_a_listener_has_a_certificate_for_each_name(certificates: Path) -> None:
    names = ("fix.example", "other.example")
    config = listener_tls(certificates, names[0], names={"Other.Example": Certificate(**files(certificates, names[1]))})
    carrier = await serve(Echo(), {"ems": LOOPBACK}, {}, listener_tls={"ems": config})
    for name in names:
        assert await shown(carrier, certificates, name) == name
    with pytest.raises((OSError, asyncio.IncompleteReadError)):
        await shown(carrier, certificates, names[1], client="")  # it wants one of a client under each of its names
    await carrier.close()


async def shown(carrier: Carrier, certificates: Path, name: str, client: str = "client.example") -> str:
    """The name in the certificate that the listener shows."""
    context = connector_context(connector_tls(certificates, client))
    context.check_hostname = False
    address = carrier.addresses["ems"]
    reader, writer = await asyncio.open_connection(*address, ssl=context, server_hostname=name)
    assert await reader.readexactly(6) == b"hello "
    alternative_names = writer.get_extra_info("peercert")["subjectAltName"]
    writer.close()
    return alternative_names[0][1]


async def test_certificates_and_the_list_change_while_a_port_listens(certificates: Path) -> None:
    first = listener_tls(certificates, "fix.example")
    carrier = await serve(Echo(), {"ems": LOOPBACK}, {}, listener_tls={"ems": first})
    assert await shown(carrier, certificates, "fix.example") == "fix.example"
    carrier.relist("ems", listener_tls(certificates, "other.example"), [])
    assert await shown(carrier, certificates, "fix.example") == "other.example"
    with pytest.raises(OSError):
        carrier.relist("ems", listener_tls(certificates, "nobody.example"), [])
    assert await shown(carrier, certificates, "fix.example") == "other.example"
    carrier.relist("ems", first, ["10.0.0.0/8"])
    with pytest.raises((OSError, asyncio.IncompleteReadError)):
        await shown(carrier, certificates, "fix.example")
    await carrier.close()


async def test_a_connection_that_is_not_wanted_now() -> None:
    acceptor, initiator = Quiet(), Quiet()
    wanted = False
    async with carried(acceptor) as carrier, carried(initiator, {"other": LOOPBACK}) as connector:
        connector.connect("venue", carrier.addresses["ems"], wanted=lambda: wanted)
        _, writer = await asyncio.open_connection(*carrier.addresses["ems"])
        await acceptor.until("connected")
        assert initiator.seen == []
        wanted = True
        await initiator.until("connected")
        writer.close()


async def test_addresses_are_tried_in_turn() -> None:
    first, second, initiator = Quiet(), Quiet(), Quiet()
    async with carried(first) as nowhere:
        address = nowhere.addresses["ems"]
    async with carried(second) as carrier, carried(initiator, {"venue": [address, carrier.addresses["ems"]]}):
        await second.until("connected")
    assert first.seen == []


@pytest.mark.parametrize(("allow", "let_in"), [(["127.0.0.0/8"], True), (["10.0.0.0/8", "::1"], False), ([], True)])
async def test_only_who_is_on_the_list_is_let_in(allow: list[str], let_in: bool) -> None:
    endpoint = Echo()
    async with carried(endpoint, allow={"ems": allow}) as carrier, asyncio.timeout(TIMEOUT_S):
        reader, writer = await asyncio.open_connection(*carrier.addresses["ems"])
        try:
            assert await reader.read(6) == (b"hello " if let_in else b"")
        except ConnectionResetError:
            assert not let_in
        writer.close()
    assert bool(endpoint.seen) is let_in


async def test_a_port_can_be_closed_while_its_links_go_on() -> None:
    endpoint = Echo()
    async with carried(endpoint) as carrier, asyncio.timeout(TIMEOUT_S):
        address = carrier.addresses["ems"]
        reader, writer = await asyncio.open_connection(*address)
        assert await reader.readexactly(6) == b"hello "
        carrier.stop_listening("ems")
        with pytest.raises(OSError):
            await asyncio.open_connection(*address)
        writer.write(b"one")
        assert await reader.readexactly(5) == b"<one>"
        writer.close()
