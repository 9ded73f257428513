"""The cases play against our own engine in both roles, and an engine that does something wrong hears what."""

import asyncio
import socket
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import pytest

from fix import tcp
from fix.dictionary import BEGIN_STRINGS
from fix.endpoint import Endpoint, Link, Output
from fix.framing import Framer, frame
from fix.message import parse
from fix.session import Session, SessionConfig
from fix.store import MemoryStore
from fix.tls import ListenerTls
from fix.validation import FULL
from fix.values import NS_PER_S, write_timestamp
from service.certify import Case, Verdict, parse_cases, run
from service.certify_link import SystemClock, acceptor, connector
from service.cli import main
from service.echo import Echo, session_config

CASES = tuple(parse_cases(files("service").joinpath("certify.txt").read_text("ascii")))
QUICK = tuple(case for case in CASES if not case.slow)
NOW_NS = 1_704_205_800 * NS_PER_S
VERSIONS = ("FIX.4.0", "FIX.4.2", "FIX.4.4", "FIXT.1.1")


def failures(verdicts: Iterator[Verdict]) -> dict[str, str]:
    found = list(verdicts)
    assert found
    return {
        f"{verdict.case.number} {verdict.case.title}": verdict.reason for verdict in found if verdict.result == "failed"
    }


@contextmanager
def in_background(endpoint: Endpoint, connect_to: int = 0, tls: ListenerTls | None = None) -> Iterator[int]:
    """Serves from a thread of its own: the player's sockets block. Gives the port."""
    loop, stop, started = asyncio.new_event_loop(), asyncio.Event(), threading.Event()
    ports: list[int] = []

    async def serve() -> None:
        host = "127.0.0.1"
        connectors = {"peer": (host, connect_to)} if connect_to else {}
        listener_tls = {"peer": tls} if tls is not None else {}
        listeners = {} if connect_to else {"peer": (host, 0)}
        carrier = await tcp.serve(endpoint, listeners, connectors, listener_tls=listener_tls)
        ports.append(carrier.addresses["peer"][1] if not connect_to else 0)
        if isinstance(endpoint, Initiator):
            endpoint.again = lambda: stop.is_set() or loop.call_soon(carrier.connect, "peer", (host, connect_to))
        started.set()
        await stop.wait()
        await carrier.close()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        assert started.wait(10)
        yield ports[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


@pytest.mark.parametrize("begin_string", VERSIONS)
def test_our_acceptor(begin_string: str) -> None:
    echo = Echo([session_config(f"{begin_string}:ECHO:TESTER", validation=FULL)], 0, lambda event, text: None)
    with in_background(echo) as port:
        config = session_config(f"{begin_string}:TESTER:ECHO", role="initiator")
        found = failures(run(iter(QUICK), config, connector("127.0.0.1", port, 2), SystemClock(), 1.0))
    assert found == {}


class Initiator:
    """One session of ours that connects again and again, at once."""

    again: Callable[[], object] = staticmethod(lambda: None)

    def __init__(self, config: SessionConfig) -> None:
        self.session, self.link = Session(config, MemoryStore(), 0), 0

    def connected(self, link: Link, port: str, now_ns: int) -> Output:
        self.link = link
        self.session.connected(now_ns)
        return self._work(now_ns)

    def receive(self, link: Link, data: bytes, now_ns: int) -> Output:
        self.session.receive(data, now_ns)
        return self._work(now_ns)

    def disconnected(self, link: Link, now_ns: int) -> Output:
        self.session.disconnected(now_ns)
        self.again()
        return Output()

    def timer(self, now_ns: int) -> Output:
        self.session.timer(now_ns)
        return self._work(now_ns)

    def next_timer_ns(self) -> int | None:
        return self.session.next_timer_ns()

    def _work(self, now_ns: int) -> Output:
        events = []
        while (event := self.session.next_event(now_ns)) is not None:
            events.append(type(event).__name__)
        writes = [(self.link, outgoing.raw) for outgoing in self.session.take_outbox()]
        return Output(writes, [self.link] if "Disconnect" in events else [])


def certified(config: SessionConfig, cases: Iterable[Case], timeout_s: float = 1.0) -> dict[str, str]:
    """What our initiator fails when the player listens."""
    tester = SessionConfig(
        begin_string=config.begin_string,
        sender_comp_id="TESTER",
        target_comp_id="ENGINE",
        role="acceptor",
        default_appl_ver_id=config.default_appl_ver_id,
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with in_background(Initiator(config), port):
            return failures(run(iter(cases), tester, acceptor(listener, 10), SystemClock(), timeout_s))


@pytest.mark.parametrize("begin_string", BEGIN_STRINGS)
def test_our_initiator(begin_string: str) -> None:
    config = session_config(
        f"{begin_string}:ENGINE:TESTER", role="initiator", reset_on_logon=True, heart_bt_int=30, validation=FULL
    )
    assert certified(config, QUICK) == {}


def test_our_initiator_whose_numbers_go_on() -> None:
    config = session_config("FIX.4.4:ENGINE:TESTER", role="initiator", heart_bt_int=30)
    assert certified(config, [case for case in QUICK if case.number in ("2a", "2b", "2k")]) == {}


def test_an_initiator_with_short_heartbeats_is_waited_for() -> None:
    config = session_config("FIX.4.4:ENGINE:TESTER", role="initiator", reset_on_logon=True, heart_bt_int=1)
    assert certified(config, [case for case in CASES if case.slow]) == {}


def test_heartbeat_cases_are_skipped_where_they_would_take_minutes() -> None:
    config = session_config("FIX.4.4:ENGINE:TESTER", role="initiator", heart_bt_int=30)
    slow = [case for case in CASES if case.slow][:1]
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        in_background(Initiator(config), listener.getsockname()[1]),
    ):
        (verdict,) = run(
            iter(slow), session_config("FIX.4.4:TESTER:ENGINE"), acceptor(listener, 10), SystemClock(), 1.0
        )
    assert (verdict.result, verdict.reason) == ("skipped", "its HeartBtInt(108) is 30 s, and only 5 s are waited for")


# --- engines that do something wrong, on a link and a clock of paper ---


@dataclass
class Paper:
    """An engine that answers each MsgType(35) as the table says; nothing else, and never by itself."""

    answers: dict[str, list[str]]
    elapsed: float = 0.0
    inbox: list[bytes] = field(default_factory=list)
    number: int = 0

    def now_ns(self) -> int:
        return NOW_NS

    def elapsed_s(self) -> float:
        return self.elapsed

    def send(self, data: bytes) -> None:
        framer = Framer()
        framer.feed(data)
        raw = framer.next_frame()
        for answer in self.answers.get(parse(raw).msg_type if raw else "garbled", []):
            if answer == "end":
                self.inbox.append(b"")
                continue
            self.number += 1
            text = answer.format(id=parse(raw).get(112) if raw else "", time=write_timestamp(NOW_NS))
            head, _, body = text.partition("|")
            number = "" if "34=" in text else f"34={self.number}|"
            fields = f"{head}|{number}49=ENGINE|52={write_timestamp(NOW_NS)}|56=TESTER|{body}|".replace("||", "|")
            self.inbox.append(frame("FIX.4.4", fields.replace("|", "\x01").encode()))

    def receive(self, seconds: float) -> bytes | None:
        if self.inbox:
            return self.inbox.pop(0)
        self.elapsed += seconds
        return None

    def close(self) -> None:
        self.inbox.clear()
        self.number = 0


LOGON = {"A": ["35=A|98=0|108=30|141=Y"], "5": ["35=5"]}
ECHOES = LOGON | {"1": ["35=0|112={id}"]}


def play(number: str, answers: dict[str, list[str]]) -> str:
    """The reason why this engine fails the case, "" if it passes."""
    paper = Paper(answers)
    case = next(case for case in CASES if case.number == number)
    config = session_config("FIX.4.4:TESTER:ENGINE", role="initiator")
    (verdict,) = run(iter([case]), config, lambda: paper, paper, 5.0)
    return verdict.reason


@pytest.mark.parametrize(
    ("number", "answers", "says"),
    [
        ("2a", ECHOES, ""),
        ("2a", LOGON, "expected 35=0|112=ONE, but nothing came in time (at: < 35=0|112=ONE)"),
        ("2a", {}, "expected 35=A|108=30|34=1, but nothing came in time (at: logon)"),
        ("2a", {"A": ["end"]}, "expected 35=A|108=30|34=1, but it closed the connection (at: logon)"),
        ("2a", {"A": ["35=5|58=no"]}, "got 35=5|34=1|58=no: another message (at: logon)"),
        ("2a", {"A": ["35=A|98=0|108=60"]}, "got 35=A|34=1|98=0|108=60: 108 is 60, expected 30"),
        ("2a", ECHOES | {"1": ["35=0", "35=8|37=1", "35=1|112=YOU", "35=0|112={id}"]}, ""),
        ("2b", ECHOES, "expected 35=2|7={gap}, got 35=0|34=2|112=LATER: another message"),
        ("2b", LOGON | {"1": ["35=2|7=1|16=0"]}, "got 35=2|34=2|7=1|16=0: 7 is 1, expected 2"),
        ("2c", ECHOES | {"1": ["35=0|112={id}", "35=5"]}, "expected that it closes the connection, got"),
        ("2d", ECHOES | {"garbled": ["35=3|45=2"]}, "expected nothing, got 35=3|34=2|45=2 (at: silence 0.3)"),
        ("2d", ECHOES | {"garbled": ["end"]}, "expected nothing, got the end (at: silence 0.3)"),
        ("2q", ECHOES | {"zz": ["35=3|45=2|372=zz|373=11"]}, ""),
        ("2q", ECHOES | {"zz": ["35=j|45=2|372=zz|380=3"]}, ""),
        ("2q", ECHOES | {"zz": ["35=3|45=3|372=zz|373=11"]}, "45 is 3, expected 2"),
        ("8", ECHOES | {"2": ["35=4|34=1|43=Y|122={time}|123=Y|36=4"]}, ""),
        ("8", ECHOES | {"2": ["35=4|34=1|43=Y|122={time}|123=Y|36=3", "35=8|34=3|43=Y|122={time}|37=1"]}, ""),
        ("8", ECHOES | {"2": ["35=4|34=1|43=Y|122={time}|123=Y|36=3"]}, "expected 3 to 3 again, got nothing"),
        ("8", ECHOES | {"2": ["35=4|34=1|123=Y|36=4"]}, "expected 1 again, with PossDupFlag(43)=Y, got 35=4"),
        ("8", ECHOES | {"2": ["35=A|34=1|43=Y|122={time}"]}, "administrative messages are never sent again"),
    ],
)
def test_what_an_engine_does_wrong_is_said(number: str, answers: dict[str, list[str]], says: str) -> None:
    reason = play(number, answers)
    assert bool(reason) == bool(says), reason
    assert says in reason


@pytest.mark.parametrize("line", ["jump 3", ">> 35=1", "<35=1"])
def test_a_line_that_is_none(line: str) -> None:
    with pytest.raises(ValueError, match="case '2a Title': there is no step"):
        list(parse_cases(f"== 2a Title\nlogon\n{line}\n"))


def test_what_the_text_says_of_a_case() -> None:
    text = "# heading\n== 9z Some title\nroles initiator\nfrom FIX.4.3\nslow\n# why\nlogon\n<end\n"
    assert list(parse_cases(text)) == [Case("9z", "Some title", ("logon", "<end"), ("initiator",), True, "FIX.4.3")]


def test_over_tls(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    new_key = ("-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    name = ("-subj", "/CN=fix.example", "-addext", "subjectAltName=DNS:fix.example")
    pem = tmp_path / "fix.pem"
    subprocess.run(["openssl", "req", *new_key, *name, "-keyout", pem, "-out", tmp_path / "own"], check=True)
    pem.write_text(pem.read_text() + (tmp_path / "own").read_text())
    echo = Echo([session_config("FIX.4.4:ECHO:TESTER")], 0, lambda event, text: None)
    with in_background(echo, tls=ListenerTls(certificate=str(pem))) as port:
        words = ["certify", "--session", "FIX.4.4:TESTER:ECHO", "--connect", f"127.0.0.1:{port}", "--timeout", "1"]
        words += ["--only", "2a", "--tls"]
        assert main([*words, "--authorities", str(pem), "--server-name", "fix.example"]) == 0
        assert "1 passed, 0 failed" in capfd.readouterr().out
        assert main([*words, "--authorities", str(pem), "--server-name", "other.example"]) == 2
        assert "certificate is not valid for 'other.example'" in capfd.readouterr().err
    assert main(["certify", "--session", "FIX.4.4:A:B", "--listen", "0", "--tls"]) == 2


def test_from_the_command_line(capfd: pytest.CaptureFixture[str]) -> None:
    def certify(*words: str) -> tuple[int, str]:
        status = main(["certify", "--session", "FIX.4.4:TESTER:ECHO", "--timeout", "1", *words])
        said = capfd.readouterr()
        return status, said.out + said.err

    with socket.create_server(("127.0.0.1", 0)) as nobody:
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
    assert certify("--connect", address) == (2, "fairlead: [Errno 111] Connection refused\n")
    assert certify("--connect", "9878")[0] == 2
    echo = Echo([session_config("FIX.4.4:ECHO:TESTER")], 0, lambda event, text: None)
    with in_background(echo) as port:
        status, table = certify("--connect", f"127.0.0.1:{port}", "--only", "msgseqnum too high")
        assert status == 0
        assert table.splitlines()[-1] == "FIX.4.4: 2 passed, 0 failed, 0 skipped"
        assert certify("--connect", f"127.0.0.1:{port}", "--only", "no such case")[0] == 1
    assert certify("--listen", "0", "--connect-timeout", "0.1")[1].endswith("the engine did not connect within 0.1 s\n")
