"""Our acceptor against the C++ engine's, driven from Python, with the same client: an ExecutionReport for each order.

Both run as processes of their own, take FIX.4.4 apart, build the report, and keep every message on disk before it
leaves. The client writes ready-made bytes and only counts what comes back, so that it measures the acceptors and not
itself. They take turns: neither gets the quieter machine. Without the C++ engine there is nothing to compare with.
"""

import asyncio
import importlib.util
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter_ns, time_ns

from fix import tcp
from fix.endpoint import Link, Output
from fix.framing import Composer
from fix.session import Received, Session, SessionConfig
from fix.store import FileStore

VERSION = "FIX.4.4"
ROUND_TRIPS, BURST, IN_FLIGHT = 1000, 5000, 200
ROUNDS = 5
ORDER = "11=A{number}|21=1|55=IBM|54=1|60=20240102-14:30:00.000|38=100|40=2|44=10.25|59=0|"
MARK = b"\x0135=8\x01"


def figures() -> list[dict[str, str | float]]:
    names = ["ours"] + (["quickfix"] if importlib.util.find_spec("quickfix") else [])
    rates: dict[str, list[float]] = {name: [] for name in names}
    trips: dict[str, list[float]] = {name: [] for name in names}
    with ExitStack() as running, tempfile.TemporaryDirectory() as directory:
        clients = {name: running.enter_context(_client(name, Path(directory))) for name in names}
        for client in clients.values():
            client.burst(IN_FLIGHT)  # warm
        for _ in range(ROUNDS):
            for name, client in clients.items():
                trips[name] += client.round_trips(ROUND_TRIPS)
                rates[name].append(client.burst(BURST))
    rate = {name: median(values) for name, values in rates.items()}
    trip = {name: median(values) for name, values in trips.items()}
    return [
        _figure("fix_echo_messages_per_second", "1/s", rate, more_is_better=True),
        _figure("fix_echo_round_trip_us", "us", trip, more_is_better=False),
    ]


def _figure(name: str, unit: str, found: dict[str, float], *, more_is_better: bool) -> dict[str, str | float]:
    ours, theirs = found["ours"], found.get("quickfix")
    figure: dict[str, str | float] = {"name": name, "value": round(ours, 1), "unit": unit}
    if theirs is None:
        return figure | {"vs": "quickfix is not installed"}
    return figure | {"vs": round(theirs, 1), "ratio": round(ours / theirs if more_is_better else theirs / ours, 2)}


# --- the client ---


class Client:
    """One session over a blocking socket."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._next = 1
        self._composer = Composer(VERSION, "BENCH", "ACCEPTOR")
        self._write([self._message("A", "98=0|108=60|")])
        self._read(b"\x0135=A\x01", 1)

    def round_trips(self, count: int) -> list[float]:
        """Microseconds of each order to its report, one at a time."""
        orders = [self._order() for _ in range(count)]
        found = []
        for order in orders:
            started_ns = perf_counter_ns()
            self._link.sendall(order)
            self._read(MARK, 1)
            found.append((perf_counter_ns() - started_ns) / 1000)
        return found

    def burst(self, count: int) -> float:
        """Orders a second, with at most some hundred under way."""
        orders = [self._order() for _ in range(count)]
        started_ns = perf_counter_ns()
        for begin in range(0, count, IN_FLIGHT):
            batch = orders[begin : begin + IN_FLIGHT]
            self._write(batch)
            self._read(MARK, len(batch))
        return count / (perf_counter_ns() - started_ns) * 1e9

    def _order(self) -> bytes:
        return self._message("D", ORDER.format(number=self._next))

    def _message(self, msg_type: str, fields: str) -> bytes:
        number, self._next = self._next, self._next + 1
        return self._composer.compose(msg_type, number, time_ns(), fields.replace("|", "\x01").encode())

    def _write(self, messages: list[bytes]) -> None:
        self._link.sendall(b"".join(messages))

    def _read(self, mark: bytes, count: int) -> None:
        rest = b""
        while count:
            data = self._link.recv(1 << 16)
            if not data:
                raise RuntimeError("the acceptor hung up")
            rest += data
            count -= rest.count(mark)
            rest = rest[rest.rfind(mark) + len(mark) :] if mark in rest else rest[-len(mark) + 1 :]
        # The end of the last message: its trailer follows the mark.
        while not rest.endswith(b"\x01") or b"\x0110=" not in rest[-9:]:
            rest += self._link.recv(1 << 16)


@contextmanager
def _client(name: str, directory: Path) -> Iterator[Client]:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
    command = [sys.executable, "-m", "bench.fix_echo", name, str(port), str(directory / name)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()  # it listens
            with socket.create_connection(("127.0.0.1", port), 10) as link:
                link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                yield Client(link)
        finally:
            process.kill()


# --- our acceptor ---


class Acceptor:
    """One session, which answers each message with a report."""

    def __init__(self, directory: Path) -> None:
        config = SessionConfig(begin_string=VERSION, sender_comp_id="ACCEPTOR", target_comp_id="BENCH", role="acceptor")
        self._session = Session(config, FileStore(directory / "session"), time_ns())
        self._count = 0

    def connected(self, link: Link, port: str, now_ns: int) -> Output:
        self._session.connected(now_ns)
        return Output()

    def receive(self, link: Link, data: bytes, now_ns: int) -> Output:
        session = self._session
        session.receive(data, now_ns)
        while (event := session.next_event(now_ns)) is not None:
            if isinstance(event, Received):
                self._count += 1
                fields = _report_fields(self._count, event.message.get(11) or "")
                session.send_fields("8", fields, now_ns)
        return Output([(link, outgoing.raw) for outgoing in session.take_outbox()])

    def disconnected(self, link: Link, now_ns: int) -> Output:
        self._session.disconnected(now_ns)
        return Output()

    def timer(self, now_ns: int) -> Output:
        self._session.timer(now_ns)
        return Output()

    def next_timer_ns(self) -> int | None:
        return self._session.next_timer_ns()


def _report_fields(number: int, cl_ord_id: str) -> list[tuple[str, str]]:
    return [
        ("37", f"O{number}"),
        ("11", cl_ord_id),
        ("17", f"E{number}"),
        ("150", "0"),
        ("39", "0"),
        ("55", "IBM"),
        ("54", "1"),
        ("38", "100"),
        ("44", "10.25"),
        ("151", "100"),
        ("14", "0"),
        ("6", "0"),
        ("60", "20240102-14:30:00.000"),
    ]


async def _serve_ours(port: int, directory: Path) -> None:
    await tcp.serve(Acceptor(directory), {"bench": ("127.0.0.1", port)}, {})
    print("ready", flush=True)
    await asyncio.Event().wait()


# --- theirs ---


def _serve_quickfix(port: int, directory: Path) -> None:
    import threading

    import quickfix

    class Answering(quickfix.Application):  # type: ignore[misc]
        count = 0

        def onCreate(self, session_id: object) -> None: ...  # noqa: N802

        def onLogon(self, session_id: object) -> None: ...  # noqa: N802

        def onLogout(self, session_id: object) -> None: ...  # noqa: N802

        def toAdmin(self, message: object, session_id: object) -> None: ...  # noqa: N802

        def fromAdmin(self, message: object, session_id: object) -> None: ...  # noqa: N802

        def toApp(self, message: object, session_id: object) -> None: ...  # noqa: N802

        def fromApp(self, message: "quickfix.Message", session_id: object) -> None:  # noqa: N802
            self.count += 1
            report = quickfix.Message()
            report.getHeader().setField(35, "8")
            for tag, value in _report_fields(self.count, message.getField(11)):
                report.setField(int(tag), value)
            quickfix.Session.sendToTarget(report, session_id)

    dictionary = Path(sys.prefix) / "share" / "quickfix" / "FIX44.xml"
    directory.mkdir(parents=True)
    path = directory / "quickfix.cfg"
    path.write_text(
        f"[DEFAULT]\nConnectionType=acceptor\nSocketAcceptPort={port}\nSocketReuseAddress=Y\nSocketNodelay=Y\n"
        f"StartTime=00:00:00\nEndTime=00:00:00\nFileStorePath={directory}\nUseDataDictionary=Y\n"
        f"DataDictionary={dictionary}\n"
        f"[SESSION]\nBeginString={VERSION}\nSenderCompID=ACCEPTOR\nTargetCompID=BENCH\n"
    )
    settings = quickfix.SessionSettings(str(path))
    application, store = Answering(), quickfix.FileStoreFactory(settings)
    acceptor = quickfix.SocketAcceptor(application, store, settings)
    acceptor.start()
    print("ready", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    _, which, port, place = sys.argv
    if which == "ours":
        import uvloop

        uvloop.run(_serve_ours(int(port), Path(place)))
    else:
        _serve_quickfix(int(port), Path(place))
