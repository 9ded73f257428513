"""docs/fix.md: its programs run as they stand there, and its tables say what the code does."""

import inspect
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import fix.tcp
from fix.config import SessionConfig, SessionOptions
from fix.dictionary import dictionary
from fix.engine import FixEngine
from fix.lobby import Lobby
from fix.sequence import _MAX_HELD_BYTES
from fix.session import Event
from fix.store import MemoryStore
from fix.validation import FULL, LENIENT, Validation

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "fix.md").read_text("utf-8")
PROGRAMS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
ROWS = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in PAGE.splitlines() if line.startswith("| `")]


def test_acceptor_and_initiator(tmp_path: Path) -> None:
    acceptor, initiator, _ = PROGRAMS
    lines = [sum(bool(line.strip()) for line in program.splitlines()) for program in (acceptor, initiator)]
    assert max(lines) <= 30
    options = {"cwd": tmp_path, "env": {"PYTHONPATH": str(ROOT)}, "text": True, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", acceptor, "0"], **options) as process:  # type: ignore[call-overload]
        try:
            port = process.stdout.readline().split()[-1]
            for _ in range(2):
                done = subprocess.run([sys.executable, "-c", initiator, port], check=True, timeout=30, **options)  # type: ignore[call-overload]
                assert done.stdout == "8 A1 0\n"
        finally:
            process.kill()
    assert b"\x0135=8\x01" in (tmp_path / "exchange.fix").read_bytes()


def test_a_session_with_another_transport() -> None:
    exec(PROGRAMS[2], {})


def test_modules_are_there() -> None:
    for names in re.findall(r"^\| (`fix\.\w+`(?:, `fix\.\w+`)*) \|", PAGE, re.MULTILINE):
        for name in re.findall(r"fix\.\w+", names):
            assert import_module(name).__doc__


def test_every_event_is_told() -> None:
    told = set(re.findall(r"`([A-Z][A-Za-z]+)(?:\([a-z_, ]+\))?`", "\n".join(row[0] for row in ROWS)))
    assert {event.__name__ for event in Event.__args__} <= told


def test_every_rule_and_its_defaults() -> None:
    told = {name: row[2:4] for row in ROWS if len(row) == 4 for name in re.findall(r"`(\w+)`", row[0])}
    assert told.keys() == set(Validation.__struct_fields__)
    for name, found in told.items():
        assert found == ["on" if getattr(rules, name) else "off" for rules in (LENIENT, FULL)], name


def test_every_option_and_its_default() -> None:
    told = {row[0].strip("`"): row[1] for row in ROWS if len(row) == 3 and row[0].strip("`") in dir(SessionConfig)}
    defaults = dict(zip(SessionOptions.__struct_fields__, SessionOptions.__struct_defaults__, strict=True))
    assert told.keys() == defaults.keys()
    for name, default in defaults.items():
        assert told[name] == ("`LENIENT`" if default is LENIENT else str(default)), name


LOBBY = {name: parameter.default for name, parameter in inspect.signature(Lobby).parameters.items()}


@pytest.mark.parametrize(
    ("text", "stated", "found"),
    [
        ("| 256, for 10 s, with", (256, 10), (LOBBY["max_links"], LOBBY["timeout_s"])),
        ("with 4,096 bytes each |", 4096, LOBBY["max_bytes"]),
        ("made from a template | 100 |", 100, inspect.signature(FixEngine).parameters["max_from_template"].default),
        ("before it is disconnected | 4 MiB |", 4 << 20, fix.tcp.MAX_WRITE_BUFFER),
        ("and 4 MiB of them", 4 << 20, _MAX_HELD_BYTES),
        ("0.1 s, doubling to 5 s", (0.1, 5), (fix.tcp._FIRST_RETRY_S, fix.tcp._LAST_RETRY_S)),
        ("| 5 s each |", (5, 5), (fix.tcp._CONNECT_TIMEOUT_S, fix.tcp._HANDSHAKE_TIMEOUT_S)),
        ("last 100,000, in", 100_000, inspect.signature(MemoryStore).parameters["max_messages"].default),
        ("in 256 MiB;", 256 << 20, inspect.signature(MemoryStore).parameters["max_bytes"].default),
    ],
)
def test_other_limits(text: str, stated: object, found: object) -> None:
    assert text in PAGE
    assert stated == found


def test_names_have_their_tags() -> None:
    known = dictionary("FIXT.1.1")
    used = set(re.findall(r"\b([A-Z][A-Za-z]+)\((\d+|[A-Za-z])\)", PAGE))
    assert len(used) > 20
    for name, tag in used:
        field, message = known.fields.get(tag), known.messages.get(tag)
        assert name in (field and field.name, message and message.name), f"{name}({tag})"
