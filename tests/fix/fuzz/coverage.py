"""`python -m tests.fix.fuzz.coverage [CORPUS_DIRECTORY] [-max_total_time=60]`: the engine under atheris, on libFuzzer.

Coverage leads the mutations, starting from what the peer says in the conformance scripts. Options are libFuzzer's own.
It needs the extra `fuzz`.
"""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["fix"]):
    from fix.dictionary import dictionary
    from fix.framing import Framer
    from fix.message import parse
    from fix.session import Session, SessionConfig
    from fix.store import MemoryStore
    from fix.validation import FULL, LENIENT, Validator

from tests.fix.fuzz.corpus import dialogues
from tests.fix.scripting import START_NS

VERSION = "FIX.4.4"
RULES = [Validator(rules, dictionary(VERSION, VERSION)) for rules in (FULL, LENIENT)]
COMP_IDS = {"sender_comp_id": "US", "target_comp_id": "THEM"}
COMP_IDS = {"sender_comp_id": "US", "target_comp_id": "THEM"}
CONFIGS = [
    SessionConfig(begin_string=VERSION, **COMP_IDS, role=role, validation=rules, max_held_messages=9)
    for role in ("acceptor", "initiator")
    for rules in (FULL, LENIENT)
]


def one_input(data: bytes) -> None:
    """The first byte says which session and where the rest is cut."""
    how, data = (data[0], data[1:]) if data else (0, b"")
    framer = Framer(4096, skip_whole=bool(how & 4))
    framer.feed(data)
    while (raw := framer.next_frame()) is not None:
        message = parse(raw, RULES[0].dictionary)
        for rules in RULES:
            rules.fault(message)
    session = Session(CONFIGS[how & 3], MemoryStore(20), START_NS)
    session.connected(START_NS)
    cut = (how >> 3) * len(data) // 32
    for piece in (data[:cut], data[cut:]):
        session.receive(piece, START_NS)
        while session.next_event(START_NS) is not None:
            pass
        session.take_outbox()
    if session.next_timer_ns() is not None:
        session.timer(START_NS + 10**12)
    session.disconnected(START_NS)


def main() -> None:
    options = [word for word in sys.argv[1:] if word.startswith("-")]
    folders = [word for word in sys.argv[1:] if not word.startswith("-")]
    with tempfile.TemporaryDirectory() as directory:
        for number, said in enumerate(dialogues(VERSION)):
            (Path(directory) / str(number)).write_bytes(bytes([number % 256]) + b"".join(said))
        atheris.Setup([sys.argv[0], *options, *folders, directory], one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
