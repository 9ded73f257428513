"""`fairlead certify` against the C++ engine in both roles: all that it passes, and the one case that it does not."""

import socket
from importlib.resources import files
from pathlib import Path

from fix.session import SessionConfig
from service.certify import Case, Verdict, parse_cases, run
from service.certify_link import SystemClock, acceptor, connector
from tests.interop.quickfix_peer import running
from tests.interop.test_quickfix import free_port

CASES = [case for case in parse_cases(files("service").joinpath("certify.txt").read_text("ascii")) if not case.slow]
VERSION = "FIX.4.4"


def player(role: str) -> SessionConfig:
    return SessionConfig(begin_string=VERSION, sender_comp_id="TESTER", target_comp_id="ENGINE", role=role)  # type: ignore[arg-type]


def results(verdicts: list[Verdict]) -> dict[str, str]:
    return {f"{case.number} {case.title}": f"{result} {reason}".strip() for case, result, reason in verdicts}


def numbered(*numbers: str) -> list[Case]:
    return [case for case in CASES if case.number in numbers]


def test_the_engine_as_initiator(tmp_path: Path) -> None:
    """Few cases: it connects again after a second."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        where = (VERSION, "initiator", listener.getsockname()[1], tmp_path, ("ENGINE", "TESTER"))
        with running(*where, extra={"ResetOnLogon": "Y"}):
            played = run(
                iter(numbered("1B", "2a", "2b", "2e", "8", "20")),
                player("acceptor"),
                acceptor(listener, 10),
                SystemClock(),
                2.0,
            )
            found = results(list(played))
    assert len(found) == 7
    assert set(found.values()) == {"passed"}, found


def test_the_engine_as_acceptor(tmp_path: Path) -> None:
    port = free_port()
    with running(VERSION, "acceptor", port, tmp_path, ("ENGINE", "TESTER")):
        played = run(iter(CASES), player("initiator"), connector("127.0.0.1", port, 2), SystemClock(), 2.0)
        found = results(list(played))
    failed = {title: result for title, result in found.items() if result != "passed"}
    assert len(found) > 30
    assert failed == {
        "2m MsgSeqNum missing: Logout": "failed expected 35=5 or end, but nothing came in time (at: < 35=5 or end)"
    }
