"""The C++ engine against our TLS in both roles, each side with a certificate.

Its Python binding is built without SSL, so a proxy of a few lines stands beside it, as stunnel does in the field.
"""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from fix import tcp
from fix.tls import ConnectorTls, ListenerTls
from service.echo import Echo
from tests.interop.test_quickfix import Initiator, engine, free_port, order, orders, session, wait

COUNT = 100
VERSION = "FIX.4.4"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """NAME.pem and NAME.key of both sides, signed by ca.pem."""
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    new_key = ("-newkey", "rsa:2048", "-nodes")
    openssl("req", "-x509", *new_key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=authority")
    (folder / "ext").write_text("subjectAltName=IP:127.0.0.1")
    for name in ("ours", "theirs"):
        openssl("req", "-new", *new_key, "-keyout", f"{name}.key", "-out", "request", "-subj", f"/CN={name}")
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "ext")
        openssl("x509", "-req", "-in", "request", *signed, "-out", f"{name}.pem")
    return folder


@asynccontextmanager
async def proxy(to: int, near: ssl.SSLContext | None, far: ssl.SSLContext | None) -> AsyncIterator[int]:
    """Carries bytes from a port of its own to another; TLS on the one side or the other."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                writer.write(data)
        writer.close()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", to, ssl=far)
        except OSError:
            writer.close()
            return
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))

    server = await asyncio.start_server(carry, "127.0.0.1", 0, ssl=near)
    async with server:
        yield server.sockets[0].getsockname()[1]


def context(folder: Path, purpose: ssl.Purpose) -> ssl.SSLContext:
    """Of the proxy, which shows the engine's certificate and asks for ours."""
    made = ssl.create_default_context(purpose, cafile=str(folder / "ca.pem"))
    made.load_cert_chain(folder / "theirs.pem", folder / "theirs.key")
    made.verify_mode = ssl.CERT_REQUIRED
    return made


async def test_the_engine_as_initiator(certificates: Path, tmp_path: Path) -> None:
    echo = Echo([session(VERSION, "acceptor")], 0, lambda event, text: None)
    tls = ListenerTls(**ours(certificates), authorities=str(certificates / "ca.pem"))
    carrier = await tcp.serve(echo, {"peer": ("127.0.0.1", 0)}, {}, listener_tls={"peer": tls})
    host, port = carrier.addresses["peer"]
    try:
        async with (
            proxy(port, None, context(certificates, ssl.Purpose.SERVER_AUTH)) as plain,
            engine(VERSION, "initiator", plain, tmp_path, ("THEM", "US")) as peer,
        ):
            await wait(peer, "logon", lambda peer: peer.is_logged_on)
            for number in range(COUNT):
                peer.send("D", order(VERSION, number))
            await orders(peer, COUNT)
            peer.session.logout("enough")
            await wait(peer, "logout", lambda peer: not peer.is_logged_on and peer.heard_of("5"))
            assert peer.refusals() == []
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(b"8=FIX.4.4\x01")  # without TLS nobody is listened to
            assert b"8=FIX" not in await reader.read()
            writer.close()
    finally:
        await carrier.close()


async def test_the_engine_as_acceptor(certificates: Path, tmp_path: Path) -> None:
    port = free_port()
    initiator = Initiator(session(VERSION, "initiator"))
    tls = ConnectorTls(**ours(certificates), authorities=str(certificates / "ca.pem"))
    async with (
        engine(VERSION, "acceptor", port, tmp_path, ("THEM", "US")) as peer,
        proxy(port, context(certificates, ssl.Purpose.CLIENT_AUTH), None) as secure,
    ):
        carrier = await tcp.serve(initiator, {}, {"peer": ("127.0.0.1", secure)}, connector_tls={"peer": tls})
        try:
            await initiator.until(lambda: initiator.session.is_logged_on)
            for number in range(COUNT):
                initiator.send(carrier, number)
            await initiator.until(lambda: len(initiator.received) == COUNT)
            initiator.session.logout("enough", carrier.now_ns())
            carrier.perform(initiator.work(carrier.now_ns()))
            await wait(peer, "logout", lambda peer: not peer.is_logged_on and peer.said_of("5"))
            assert peer.refusals() == []
        finally:
            await carrier.close()


def ours(folder: Path) -> dict[str, str]:
    return {"certificate": str(folder / "ours.pem"), "key": str(folder / "ours.key")}
