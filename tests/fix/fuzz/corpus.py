"""What mutations start from: every message of every dictionary, and what the peer says in the conformance scripts."""

import random
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from fix.dictionary import FIXT, Dictionary, Field, Group, dictionary
from fix.framing import frame
from tests.fix.scripting import SCRIPTS, Script, runs_of

Fields = list[tuple[str, str]]  # tag and value, from MsgType(35) on; without BeginString, BodyLength and CheckSum

NOT_IN_BODY = frozenset(["8", "9", "10", "34", "35", "49", "52", "56"])
MOST_FIELDS = 60  # of a level: some messages of FIX.5.0 SP2 have hundreds
_SAMPLES = {
    **dict.fromkeys(("INT", "LENGTH", "NUMINGROUP", "SEQNUM", "TAGNUM", "DAYOFMONTH"), "7"),
    **dict.fromkeys(("FLOAT", "PRICE", "QTY", "AMT", "PERCENTAGE", "PRICEOFFSET"), "12.25"),
    "CHAR": "A",
    "BOOLEAN": "Y",
    **dict.fromkeys(("UTCTIMESTAMP", "TIME"), "20240102-14:30:00"),
    "UTCTIMEONLY": "14:30:00",
    **dict.fromkeys(("UTCDATE", "UTCDATEONLY", "LOCALMKTDATE", "DATE"), "20240102"),
    "LOCALMKTTIME": "14:30:00",
    "TZTIMEONLY": "14:30Z",
    "TZTIMESTAMP": "20240102-14:30:00Z",
    "MONTHYEAR": "202401",
    "MULTIPLECHARVALUE": "A B",
}


@cache
def messages(version: str) -> tuple[Fields, ...]:
    """Of each message that the version defines, one as short and one as long as it goes; both are right."""
    known = known_as(version)
    made = (body(known, msg_type, random.Random(msg_type), full) for msg_type in known.messages for full in (0, 1))
    return tuple(made)


@cache
def administrative(version: str) -> tuple[Fields, ...]:
    """Those of them that a session answers for itself."""
    return tuple(fields for fields in messages(version) if fields[0][1] in "012345A")


@cache
def dialogues(version: str) -> tuple[tuple[bytes, ...], ...]:
    """What the peer sends in each script that the version has: some of it meant to be wrong."""
    found = []
    for script in SCRIPTS:
        for begin_string, role in runs_of(script):
            if begin_string == version:
                recorder = _Recorder(begin_string, role, byte_by_byte=False)
                recorder.run(script.read_text())
                found.append(recorder.received)
    return tuple(filter(None, found))


class _Recorder(Script):
    received: tuple[bytes, ...] = ()

    def _receive(self, data: bytes) -> None:
        self.received += (data,)
        super()._receive(data)


# --- a message out of the dictionary ---


def body(known: Dictionary, msg_type: str, rng: random.Random, full: float) -> Fields:
    """MsgType(35) and the body, all in order; `full` is the chance of a field that may be left out."""
    layout = known.messages[msg_type]
    members = [tag for tag in layout.members if tag not in NOT_IN_BODY]
    return [("35", msg_type), *_level(known, members, layout.required, layout.groups, rng, full)]


def _level(
    known: Dictionary,
    members: Sequence[str],
    required: frozenset[str],
    groups: Mapping[str, Group],
    rng: random.Random,
    full: float,
) -> Iterator[tuple[str, str]]:
    left = MOST_FIELDS
    lengths = {data: length for length, data in known.data_lengths.items() if length in members}
    for tag in members:
        if tag in lengths or not (tag in required or (left and rng.random() < full)):
            continue  # a data field comes with its length
        left -= left > 0
        group = groups.get(tag)
        if group is not None:
            entries = rng.randint(1, 2)
            yield tag, str(entries)
            for _ in range(entries):
                always = group.required | {group.delimiter}
                yield from _level(known, group.members, always, group.groups, rng, full / 2)
        elif (data_tag := known.data_lengths.get(tag)) in members:
            data = "".join(rng.choices("ab=|\x01\xe9", k=rng.randint(1, 9)))
            yield tag, str(len(data))
            yield str(data_tag), data
        else:
            yield tag, sample(known.fields[tag], rng)


def sample(field: Field, rng: random.Random) -> str:
    """A value that the field may have."""
    if field.values and field.type != "BOOLEAN":
        return rng.choice(list(field.values))
    return _SAMPLES.get(field.type) or "".join(rng.choices("ABCxyz019 =|\xe9", k=rng.randint(1, 12))).strip() or "X"


# --- as bytes ---


def known_as(version: str) -> Dictionary:
    """The dictionary that a session of this version goes by."""
    return dictionary(begin_string_of(version), version)


def begin_string_of(version: str) -> str:
    return FIXT if version.startswith("FIX.5") else version


def framed(version: str, fields: Fields) -> bytes:
    return frame(begin_string_of(version), "".join(f"{tag}={value}\x01" for tag, value in fields).encode("latin-1"))


def addressed(fields: Fields, number: int | str, time: str, more: Fields) -> Fields:
    """A message of the peer THEM for US: the header, with `more` of it, before the body."""
    header = [("34", str(number)), ("49", "THEM"), ("56", "US"), ("52", time)]
    return [fields[0], *header, *more, *fields[1:]]
