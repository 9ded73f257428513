"""What sessions cost: memory of an idle one, memory and time over a million messages, decoding with validation.

Memory is that of a process of its own, before and after. A decoded message is an ExecutionReport(8) as bytes of a
socket; the C++ engine, where it is installed, parses and checks the same ones, from Python as well.
"""

import gc
import importlib.util
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter_ns

from bench.codec import MESSAGES, START_NS, VERSION, _report_frame
from fix.config import SessionConfig
from fix.dictionary import dictionary
from fix.engine import Application, FixEngine
from fix.framing import Composer, Framer
from fix.message import parse
from fix.store import FileStore, MemoryStore
from fix.validation import FULL, LENIENT, Validation, Validator

SESSIONS, MILLION, ROUNDS = 2000, 1_000_000, 9
Figure = dict[str, str | float]


def figures() -> list[Figure]:
    idle, file, memory = (_apart(what) for what in ("idle", "file", "memory"))
    return [
        {"name": "fix_idle_session_kb", "value": round(idle / SESSIONS / 1000, 2), "unit": "kB"},
        {"name": "fix_file_store_mb_per_million", "value": round(file / 1e6, 1), "unit": "MB"},
        {"name": "fix_memory_store_mb_per_million", "value": round(memory / 1e6, 1), "unit": "MB"},
        *_decoding(),
    ]


# --- memory ---


def _apart(what: str) -> float:
    command = [sys.executable, "-m", "bench.fix_session", what]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _growth(work: Callable[[], object]) -> int:
    before = _resident()
    kept = work()
    after = _resident()
    del kept
    return after - before


def _resident() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _logged_on(count: int) -> FixEngine:
    """Clients of an acceptor, each with its connection and its Logon(A) behind it."""
    named = {"begin_string": VERSION, "sender_comp_id": "EXCHANGE", "role": "acceptor"}
    configs = [SessionConfig(**named, target_comp_id=f"DESK{number}") for number in range(count)]  # type: ignore[arg-type]
    engine = FixEngine(Application(), configs)
    for number in range(count):
        engine.connected(number, "desks", START_NS)
        logon = Composer(VERSION, f"DESK{number}", "EXCHANGE").compose("A", 1, START_NS, b"98=0\x01108=30\x01")
        engine.receive(number, logon, START_NS)
    assert all(session.is_logged_on for session in engine.sessions.values())
    return engine


def _million(store: FileStore | MemoryStore) -> FileStore | MemoryStore:
    raw = _report_frame(1)
    for number in range(1, MILLION + 1):
        store.append(number, "8", bytes(bytearray(raw)))
        store.next_out = number + 1
        if number % 10 == 0:
            store.flush()
    return store


# --- decoding ---


def _decoding() -> list[Figure]:
    frames = [_report_frame(number) for number in range(MESSAGES)]
    theirs = _quickfix(frames)
    found = {name: _ours(frames, rules) for name, rules in (("lenient", LENIENT), ("full", FULL))}
    names = {"lenient": False, "full": True}
    times: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for name, checks in names.items():
            times.setdefault(name, []).append(_micros(found[name]))
            if theirs is not None:
                times.setdefault(f"quickfix {name}", []).append(_micros(lambda checks=checks: theirs(checks)))
    figures: list[Figure] = []
    for name in names:
        ours = median(times[name])
        figure: Figure = {"name": f"fix_decode_{name}_us", "value": round(ours, 2), "unit": "us"}
        if vs := times.get(f"quickfix {name}"):
            figure |= {"vs": round(median(vs), 2), "ratio": round(median(vs) / ours, 2)}
        figures.append(figure)
    return figures


def _ours(frames: list[bytes], rules: Validation) -> Callable[[], None]:
    known, framer = dictionary(VERSION, VERSION), Framer()
    validator = Validator(rules, known)

    def decode() -> None:
        for frame in frames:
            framer.feed(frame)
            whole = framer.next_frame()
            assert whole is not None
            assert validator.fault(parse(whole, known)) is None

    return decode


def _quickfix(frames: list[bytes]) -> Callable[[bool], None] | None:
    if importlib.util.find_spec("quickfix") is None:
        return None
    import quickfix

    known = quickfix.DataDictionary(str(Path(sys.prefix) / "share" / "quickfix" / "FIX44.xml"))
    texts = [frame.decode("latin-1") for frame in frames]

    def decode(checks: bool) -> None:
        for text in texts:
            message = quickfix.Message(text, known, True)
            if checks:
                known.validate(message)

    try:
        decode(True)
    except AttributeError:  # a binding without DataDictionary.validate: Message's own checks are all there is
        return lambda checks: decode(False)
    return decode


def _micros(work: Callable[[], None]) -> float:
    began = perf_counter_ns()
    work()
    return (perf_counter_ns() - began) / 1000 / MESSAGES


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        match sys.argv[1]:
            case "idle":
                _logged_on(10)  # what all of them share
                print(_growth(lambda: _logged_on(SESSIONS)))
            case "file":
                print(_growth(lambda: _million(FileStore(Path(directory) / "store"))))
            case "memory":
                print(_growth(lambda: _million(MemoryStore())))
