"""What has to hold, whatever comes in: for the framer, the decoder, the lobby. A session has a page of its own.

A case is one run with a random generator of its own, so that each can be run again alone. It feeds about as many bytes
as it is told to and returns how many; AssertionError, or any exception that is no part of the interface, is a finding.
"""

import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from fix.dictionary import SUPPORTED
from fix.directory import SessionDirectory
from fix.errors import FieldError, UnsupportedMessageType
from fix.framing import Framer
from fix.lobby import Admitted, Lobby, Refused
from fix.message import Message, masked, parse
from fix.messages import decode
from fix.session import Session, SessionConfig
from fix.store import MemoryStore
from fix.validation import FULL, LENIENT, Validation, Validator
from tests.fix.fuzz.corpus import Fields, addressed, administrative, begin_string_of, dialogues, known_as, messages
from tests.fix.fuzz.mutation import mutated, noise, pieces
from tests.fix.scripting import START_NS

TIME = "20240102-14:30:00"
HEADER_MAX, TRAILER_MAX = 30, 7


class Engine(NamedTuple):
    """What is put to the test; a test of the tests puts something broken in its place."""

    framer: Callable[..., Framer] = Framer
    parse: Callable[..., Message] = parse
    session: type[Session] = Session


def spoiled(version: str, rng: random.Random, number: int = 7, time: str = TIME) -> bytes:
    """A message that was right at first, or some noise."""
    if rng.random() < 0.1:
        return noise(rng)
    return mutated(version, right(version, rng, number, time), rng)


def right(version: str, rng: random.Random, number: int, time: str) -> Fields:
    """A message of the dictionary, or one out of a script with its number made to fit."""
    way = rng.random()
    if way < 0.5:
        kind = administrative(version) if way < 0.3 else messages(version)[:: rng.choice((1, 2, 2, 2))]
        return addressed(rng.choice(kind), number, time, [])
    raw = rng.choice(rng.choice(dialogues(version)))
    message = parse(raw) if raw.count(b"=") > 3 else None
    if message is None or len(message.tags) < 4:
        return [("35", "1"), ("112", "X")]
    fields = list(zip(message.tags, message.values, strict=True))[2:-1]
    if rng.random() < 0.8:
        now = {"34": str(number), "52": time}
        fields = [(tag, now.get(tag, value)) for tag, value in fields]
    return fields


def rules(rng: random.Random) -> Validation:
    """Each rule on or off."""
    way = rng.random()
    if way < 0.6:
        return LENIENT if way < 0.3 else FULL
    return msgspec.convert({name: rng.random() < 0.5 for name in Validation.__struct_fields__}, Validation)


# --- framer ---


def framer_case(engine: Engine, rng: random.Random, size: int) -> int:
    """Bounded, the same however it is cut, and a whole message behind any garbage is found."""
    version = rng.choice(SUPPORTED)
    limit = rng.choice((256, 4096, 65536))
    options = {name: rng.random() < 0.7 for name in ("check_sum", "body_length", "skip_whole")}
    data = b"".join(_until(size, lambda: spoiled(version, rng)))
    whole, cut = engine.framer(limit, **options), engine.framer(limit, **options)
    expected = list(_frames(whole, data))
    found: list[bytes] = []
    most = 2 * limit + HEADER_MAX + TRAILER_MAX
    begin = 0
    while begin < len(data):
        end = begin + rng.choice((100, 2000, 20_000))
        for piece in pieces(data[begin:end], rng):
            found += _frames(cut, piece)
            assert cut.buffered <= most, f"{cut.buffered} bytes held with a limit of {limit}, {options}"
        begin = end
    assert found == expected, f"frames depend on how the bytes are cut: limit {limit}, {options}"
    assert (cut.garbled, cut.buffered) == (whole.garbled, whole.buffered), (
        f"what is garbled depends on how the bytes are cut: limit {limit}, {options}"
    )
    for raw in found:
        assert raw.startswith(b"8=FIX") and raw[-7:-4] == b"10=" and len(raw) <= most, raw
    # Whatever is still held is at most two messages of the largest size.
    after = b"8=FIX.4.4\x019=5\x0135=0\x0110=163\x01"
    assert after in list(_frames(cut, after * (1 + most // len(after)))), f"no way out: limit {limit}, {options}"
    return 2 * len(data)


def _until(size: int, make: Callable[[], bytes]) -> Iterator[bytes]:
    while size > 0:
        data = make()
        size -= len(data) or 1
        yield data


def _frames(framer: Framer, data: bytes) -> Iterator[bytes]:
    framer.feed(data)
    while (raw := framer.next_frame()) is not None:
        yield raw


# --- decoder ---


def decoder_case(engine: Engine, rng: random.Random, size: int) -> int:
    """Generic and typed, with every set of rules: a message, or one of the exceptions that say what is wrong."""
    version = rng.choice(SUPPORTED)
    known = known_as(version)
    validator = Validator(rules(rng), known)
    fed = 0
    while fed < size:
        data = spoiled(version, rng)
        fed += len(data)
        for raw in _frames(Framer(check_sum=False, body_length=rng.random() < 0.8), data):
            message = engine.parse(raw, rng.choice((known, known, None)))
            assert len(message.tags) == len(message.values)
            assert message.raw == raw
            masked(raw)
            fault = validator.fault(message) if message.dictionary is known else message.defect
            if fault is not None:
                assert fault.text and fault.reason in type(fault.reason)
            _decode(message)
    return fed


def _decode(message: Message) -> None:
    layout = message.dictionary.messages.get(message.msg_type)
    for count_tag in layout.groups if layout is not None else ():
        try:
            assert all(message.entries(int(count_tag)))
        except FieldError as error:
            assert error.text
    try:
        decode(message)
    except (FieldError, UnsupportedMessageType) as error:
        assert error.text


# --- lobby ---


def lobby_case(engine: Engine, rng: random.Random, size: int) -> int:
    """Strangers cost a bounded number of bytes for a bounded time, and whoever is let in has a session."""
    version = rng.choice(SUPPORTED)
    config = SessionConfig(
        begin_string=begin_string_of(version), sender_comp_id="US", target_comp_id="THEM", role="acceptor"
    )
    session = engine.session(config, MemoryStore(), START_NS)
    lobby = Lobby(SessionDirectory([session]), max_bytes=1024, max_links=5)
    now_ns, fed, link = START_NS, 0, 0
    waiting: set[int] = set()
    logon: Fields = [("35", "A"), ("98", "0"), ("108", "30"), ("1137", "9")]
    while fed < size:
        now_ns += rng.choice((0, 10**6, 10**9))
        waiting.difference_update(lobby.expired(now_ns))
        link += 1
        if lobby.connected(link, now_ns) is None:
            waiting.add(link)
        assert len(waiting) <= 5
        assert {link for link in range(link + 1) if link in lobby} == waiting
        speaker = rng.choice(sorted(waiting))
        data = mutated(version, addressed(logon, 1, TIME, []), rng) if rng.random() < 0.5 else spoiled(version, rng)
        fed += len(data)
        for piece in pieces(data, rng):
            if speaker not in waiting:
                break
            answer = lobby.receive(speaker, piece, now_ns)
            if answer is not None:
                waiting.discard(speaker)
            if isinstance(answer, Refused):
                assert answer.text
            elif isinstance(answer, Admitted):
                assert answer.session is session
                session.connected(now_ns)
                session.receive(answer.data, now_ns)
                while session.next_event(now_ns) is not None:
                    pass
                session.disconnected(now_ns)
        held = sum(len(data) for _, data in lobby._waiting.values())
        assert held <= 5 * (1024 + HEADER_MAX + TRAILER_MAX), f"{held} bytes of strangers"
        if waiting and rng.random() < 0.1:
            gone = rng.choice(sorted(waiting))
            lobby.disconnected(gone)
            waiting.discard(gone)
    assert set(lobby.expired(now_ns + 60 * 10**9)) == waiting
    assert lobby.next_timer_ns() is None
    return fed
