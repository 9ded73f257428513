"""Ways to spoil a message: its fields, its frame, its bytes, and how they are cut."""

import random
from collections.abc import Callable, Iterator
from functools import cache

from fix.framing import checksum, frame
from tests.fix.fuzz.corpus import Fields, begin_string_of, known_as

# What breaks readers: nothing, signs, blanks, sizes beyond every type, other digits, other separators, our own marks.
_VALUES = (
    *("", "0", "-1", "00", "+1", " ", "1 ", "1.", ".", "-", "--1", "1e9", "1_000", "0x10", "NaN", "Infinity", "²", "½"),
    *(
        "9" * 10,
        "9" * 15,
        "9" * 16,
        "9" * 18,
        "9" * 19,
        "9" * 400,
        "2147483648",
        "-9223372036854775808",
        "0." + "0" * 40,
    ),
    *(
        "Y",
        "N",
        "y",
        "=",
        "==",
        "8=FIX",
        "8=FIX.4.4|9=5|",
        "10=000",
        "\x00",
        "\xff" * 5,
        "a" * 3000,
        "%s%n{}{0}",
        "../..",
    ),
    *("20240102-14:30:00", "20240230-14:30:00", "99991231-23:59:60.999999999999", "00000000-00:00:00", "20240102"),
)
_TAGS = (
    "0",
    "-1",
    "",
    "x",
    "00035",
    "8",
    "9",
    "10",
    "34",
    "35",
    "36",
    "43",
    "52",
    "122",
    "123",
    "7",
    "16",
    "45",
    "141",
)
_MORE_TAGS = (
    "90",
    "95",
    "96",
    "78",
    "146",
    "268",
    "384",
    "453",
    "554",
    "627",
    "1128",
    "1137",
    "4999",
    "5000",
    "9" * 40,
)
_BITS = tuple(1 << bit for bit in range(8))


def mutated(version: str, fields: Fields, rng: random.Random) -> bytes:
    """A message with some of its fields spoiled, in a frame that mostly still holds."""
    fields = list(fields)
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3, 8))):
        if fields:
            rng.choice(_FIELD_WAYS)(fields, rng, version)
    whole = _frame(version, "".join([f"{tag}={value}\x01" for tag, value in fields]).encode("latin-1"), rng)
    return rng.choice(_BYTE_WAYS)(whole, rng) if rng.random() < 0.15 else whole


def noise(rng: random.Random) -> bytes:
    """Bytes that are hardly a message, some of them made of what messages are made of."""
    if rng.random() < 0.3:
        return rng.randbytes(rng.choice((1, 7, 60, 900)))
    pieces = (
        b"8=FIX",
        b"8=FIX.4.4\x019=",
        b"8=FIXT.1.1\x01",
        b"9=5\x01",
        b"35=0\x01",
        b"\x0110=",
        b"000\x01",
        b"\x01",
        b"=",
    )
    return b"".join(rng.choices((*pieces, b"34=2", b"1234567"), k=rng.randint(1, 12)))


def pieces(data: bytes, rng: random.Random) -> Iterator[bytes]:
    """The bytes whole, cut at some places, or one by one."""
    way = rng.random()
    if way < 0.5:
        yield data
        return
    if way < 0.56 and len(data) < 3000:
        cuts = list(range(1, len(data)))
    else:
        cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randint(1, 5)))
    for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        yield data[begin:end]


# --- fields ---


def _drop(fields: Fields, rng: random.Random, version: str) -> None:
    del fields[rng.randrange(len(fields))]


def _duplicate(fields: Fields, rng: random.Random, version: str) -> None:
    fields.insert(rng.randrange(len(fields) + 1), rng.choice(fields))


def _swap(fields: Fields, rng: random.Random, version: str) -> None:
    one, two = rng.randrange(len(fields)), rng.randrange(len(fields))
    fields[one], fields[two] = fields[two], fields[one]


def _change_value(fields: Fields, rng: random.Random, version: str) -> None:
    at = rng.randrange(len(fields))
    fields[at] = (fields[at][0], rng.choice(_VALUES))


def _change_number(fields: Fields, rng: random.Random, version: str) -> None:
    """One of the numbers among the fields, to one near it or at an end."""
    numbers = [at for at, (tag, value) in enumerate(fields) if value.isdecimal() and len(value) < 16]
    if numbers:
        at = rng.choice(numbers)
        number = int(fields[at][1])
        fields[at] = (
            fields[at][0],
            str(rng.choice((0, 0, 1, number - 1, number + 1, -number, 10 * number, 10**15 - 1))),
        )


def _bend_value(fields: Fields, rng: random.Random, version: str) -> None:
    at = rng.randrange(len(fields))
    tag, value = fields[at]
    cut = rng.randrange(len(value) + 1)
    fields[at] = (
        tag,
        value[:cut] + rng.choice(("", "\x01", "=", "0", "-", ".", "\xe9", value)) + value[cut + rng.randrange(2) :],
    )


def _change_tag(fields: Fields, rng: random.Random, version: str) -> None:
    at = rng.randrange(len(fields))
    fields[at] = (rng.choice((*_TAGS, *_MORE_TAGS)), fields[at][1])


def _insert(fields: Fields, rng: random.Random, version: str) -> None:
    tag = rng.choice(rng.choice((_TAGS, _MORE_TAGS, _tags(version))))
    fields.insert(rng.randrange(1, len(fields) + 1), (tag, rng.choice((*_VALUES, "1", "2", "3"))))


@cache
def _tags(version: str) -> tuple[str, ...]:
    return tuple(known_as(version).fields)


def _groups(fields: Fields, rng: random.Random, version: str) -> None:
    """Counts without entries, entries without counts, and thousands of either."""
    layouts = known_as(version).messages
    layout = layouts[rng.choice(list(layouts))]
    if not layout.groups:
        return
    count_tag = rng.choice(list(layout.groups))
    group = layout.groups[count_tag]
    entries: Fields = []
    for _ in range(rng.choice((0, 1, 2, 2, 5, 300))):
        entries += [(group.delimiter, "1"), *((tag, "1") for tag in group.members[: rng.randrange(4)])]
        for nested_tag, nested in list(group.groups.items())[:1]:
            entries += [(nested_tag, rng.choice(("1", "2", "x"))), (nested.delimiter, "1")]
    count = rng.choice((len(entries), 0, 1, 2, 5, 300, -1, 10**9))
    at = rng.randrange(1, len(fields) + 1)
    fields[at:at] = [(count_tag, str(count)), *entries]


def _data(fields: Fields, rng: random.Random, version: str) -> None:
    """A data field whose length field lies."""
    length_tag, data_tag = rng.choice(list(known_as(version).data_lengths.items()) or [("95", "96")])
    value = rng.choice(("a\x01b", "8=FIX.4.4\x019=5\x01", "\x01", "", "x" * 50))
    length = rng.choice((len(value), len(value) + 1, len(value) - 1, 0, -5, 10**6, 10**30))
    at = rng.randrange(1, len(fields) + 1)
    fields[at:at] = [(length_tag, str(length)), (data_tag, value)]


_FIELD_WAYS: tuple[Callable[[Fields, random.Random, str], None], ...] = (
    *(
        _drop,
        _duplicate,
        _swap,
        _change_value,
        _change_number,
        _change_number,
        _bend_value,
        _change_tag,
        _insert,
        _groups,
        _data,
    ),
)

# --- frames ---


def _frame(version: str, body: bytes, rng: random.Random) -> bytes:
    begin_string = begin_string_of(version)
    way = rng.random()
    if way < 0.8:
        return frame(begin_string, body)
    if way < 0.85:
        begin_string = rng.choice(("FIX.4.4", "FIX.4.0", "FIXT.1.1", "FIX.9.9", "FIX.5.0SP2", "FIX.4", ""))
        return frame(begin_string, body)
    if way < 0.9:
        raw = frame(begin_string, body)
        return raw[:-4] + b"%03d\x01" % rng.randrange(1000)
    length = rng.choice(
        (len(body) - 1, len(body) + 1, len(body) + 9, 0, 1, len(body) * 2, 4000, 65536, 10**7 - 1, 10**12)
    )
    data = b"8=%b\x019=%d\x01%b" % (begin_string.encode(), max(length, 0), body)
    return data + b"10=%03d\x01" % checksum(data)


# --- bytes ---


def _flip(data: bytes, rng: random.Random) -> bytes:
    spoiled = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        spoiled[rng.randrange(len(spoiled))] ^= rng.choice(_BITS)
    return bytes(spoiled)


def _cut_off(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def _cut_out(data: bytes, rng: random.Random) -> bytes:
    begin = rng.randrange(len(data))
    return data[:begin] + data[begin + rng.randint(1, 20) :]


def _into_itself(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + data + data[at:]


def _noisy(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + noise(rng) + data[at:]


_BYTE_WAYS: tuple[Callable[[bytes, random.Random], bytes], ...] = (_flip, _cut_off, _cut_out, _into_itself, _noisy)
