"""`fairlead certify`: the sockets to the engine under test, and the table of how it did."""

import socket
import time
from collections.abc import Callable
from importlib.resources import files

from rich.console import Console
from rich.table import Table

from fix.session import SessionConfig
from fix.tls import ConnectorTls, ListenerContext, ListenerTls, connector_context
from service.certify import Link, Verdict, parse_cases, run

STYLES = {"passed": "green", "failed": "red", "skipped": "yellow"}
NARROWEST = 150  # columns of the table in a file or a pipe


class SocketLink:
    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data: bytes) -> None:
        self._socket.settimeout(5.0)
        self._socket.sendall(data)

    def receive(self, seconds: float) -> bytes | None:
        self._socket.settimeout(max(seconds, 0.001))
        try:
            return self._socket.recv(1 << 16)
        except TimeoutError:
            return None
        except OSError:  # reset, or an end that TLS finds too sudden
            return b""

    def close(self) -> None:
        self._socket.close()


class SystemClock:
    now_ns = staticmethod(time.time_ns)
    elapsed_s = staticmethod(time.monotonic)


def connector(host: str, port: int, timeout_s: float, tls: ConnectorTls | None = None) -> Callable[[], Link]:
    context = connector_context(tls) if tls is not None else None

    def connect() -> Link:
        connection = socket.create_connection((host, port), timeout_s)
        if context is None or tls is None:
            return SocketLink(connection)
        return SocketLink(context.wrap_socket(connection, server_hostname=tls.server_name or host))

    return connect


def listener(host: str, port: int) -> socket.socket:
    return socket.create_server((host, port))


def acceptor(listener: socket.socket, timeout_s: float, tls: ListenerTls | None = None) -> Callable[[], Link]:
    """The engine's next connection; TimeoutError if it doesn't come."""
    context = ListenerContext(tls).context if tls is not None else None

    def accept() -> Link:
        listener.settimeout(timeout_s)
        try:
            connection = listener.accept()[0]
            connection.settimeout(timeout_s)
            return SocketLink(connection if context is None else context.wrap_socket(connection, server_side=True))
        except TimeoutError:
            raise TimeoutError(f"the engine did not connect within {timeout_s:g} s") from None

    return accept


def certify(config: SessionConfig, open_link: Callable[[], Link], timeout_s: float, only: str, console: Console) -> int:
    """Plays the cases and prints how each of them went; 0 if none failed."""
    cases = list(parse_cases(files("service").joinpath("certify.txt").read_text("ascii")))
    chosen = (case for case in cases if only.lower() in f"{case.number} {case.title}".lower())
    verdicts = []
    for verdict in run(chosen, config, open_link, SystemClock(), timeout_s):
        verdicts.append(verdict)
        if console.is_terminal:
            style = STYLES[verdict.result]
            console.print(f"[{style}]{verdict.result:>8}[/{style}] {verdict.case.number} {verdict.case.title}")
    console.print(_table(verdicts))
    counts = [f"{sum(verdict.result == result for verdict in verdicts)} {result}" for result in STYLES]
    console.print(f"{config.begin_string}: {', '.join(counts)}", highlight=False)
    return 1 if not verdicts or any(verdict.result == "failed" for verdict in verdicts) else 0


def _table(verdicts: list[Verdict]) -> Table:
    table = Table(box=None)
    for name in ("case", "", "result", "reason"):
        table.add_column(name, overflow="fold")
    for case, result, reason in verdicts:
        table.add_row(case.number, case.title, f"[{STYLES[result]}]{result}", reason.replace("[", r"\["))
    return table
