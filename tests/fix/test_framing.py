"""Frames come out of bytes the same however these are cut, and nothing garbled blocks what follows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fix.framing import Composer, Framer, checksum, frame
from fix.values import NS_PER_S

HEARTBEAT = frame("FIX.4.4", b"35=0\x0134=2\x01")
LONG = frame("FIX.4.2", b"35=B\x0134=3\x0158=" + b"x" * 1000 + b"\x01")
BAD_SUM = HEARTBEAT[:-4] + b"999\x01"
NESTED = frame("FIX.4.4", b"35=n\x0134=4\x01212=%d\x01213=%b\x01" % (len(HEARTBEAT), HEARTBEAT))

# name, bytes, frames that come out, garbled stretches
CASES = [
    ("one frame", HEARTBEAT, [HEARTBEAT], 0),
    ("several frames", HEARTBEAT + LONG + HEARTBEAT, [HEARTBEAT, LONG, HEARTBEAT], 0),
    ("a frame inside a data field", NESTED + HEARTBEAT, [NESTED, HEARTBEAT], 0),
    ("wrong CheckSum", BAD_SUM + HEARTBEAT, [HEARTBEAT], 1),
    ("two garbled in a row", BAD_SUM + BAD_SUM + HEARTBEAT, [HEARTBEAT], 2),
    ("garbage before", b"hello\x01" + HEARTBEAT, [HEARTBEAT], 1),
    ("garbage between", HEARTBEAT + b"\x00\xff8=F" + HEARTBEAT, [HEARTBEAT, HEARTBEAT], 1),
    ("BodyLength too short", HEARTBEAT.replace(b"9=10\x01", b"9=9\x01") + HEARTBEAT, [HEARTBEAT], 1),
    ("BodyLength too long", HEARTBEAT.replace(b"9=10\x01", b"9=12\x01") + HEARTBEAT, [HEARTBEAT], 1),
    ("BodyLength not a number", HEARTBEAT.replace(b"9=10\x01", b"9=1o\x01") + LONG, [LONG], 1),
    ("BodyLength negative", HEARTBEAT.replace(b"9=10\x01", b"9=-1\x01") + LONG, [LONG], 1),
    ("BodyLength above the limit", HEARTBEAT.replace(b"9=10\x01", b"9=4097\x01") + HEARTBEAT, [HEARTBEAT], 1),
    ("BodyLength missing", b"8=FIX.4.4\x0135=0\x0134=2\x0110=000\x01" + HEARTBEAT, [HEARTBEAT], 1),
    ("MsgType not third", frame("FIX.4.4", b"34=2\x0135=0\x01") + HEARTBEAT, [HEARTBEAT], 1),
    ("last field not ended by SOH", frame("FIX.4.4", b"35=0\x0158=x") + HEARTBEAT, [HEARTBEAT], 1),
    ("CheckSum of two digits", HEARTBEAT[:-5] + b"=09\x01" + HEARTBEAT, [HEARTBEAT], 1),
    ("unfinished", HEARTBEAT[:-1], [], 0),
    ("unfinished header", HEARTBEAT + b"8=FI", [HEARTBEAT], 0),
    ("later version", frame("FIXT.1.1", b"35=0\x01"), [frame("FIXT.1.1", b"35=0\x01")], 0),
]


def frames(framer: Framer, pieces: list[bytes]) -> list[bytes]:
    found = []
    for piece in pieces:
        framer.feed(piece)
        while (whole := framer.next_frame()) is not None:
            found.append(whole)
    return found


@pytest.mark.parametrize(("data", "expected", "garbled"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_frames(data: bytes, expected: list[bytes], garbled: int) -> None:
    for pieces in ([data], [data[index : index + 1] for index in range(len(data))]):
        framer = Framer(4096)
        assert frames(framer, pieces) == expected
        assert framer.garbled == garbled
        # Trailing data: whatever is left over does not swallow a message that follows, unless it claims to be longer.
        if expected and expected[-1] == data[-len(expected[-1]) :]:
            assert frames(framer, [LONG]) == [LONG]


ENDLESS = b"8=FIX.4.4\x019=5\x0135=0\x01" + b"58=x\x01" * 100


@pytest.mark.parametrize(
    ("options", "data"),
    [
        ({"body_length": False}, ENDLESS + b"10=000\x01"),
        ({"body_length": False, "check_sum": False}, ENDLESS + b"10=000\x01"),
        ({"skip_whole": True}, ENDLESS + b"10=000\x01"),
        ({"skip_whole": True}, BAD_SUM[:-1] + b"7" * 300 + b"\x01"),
    ],
)
def test_an_end_that_comes_too_late_is_none_however_it_is_cut(options: dict[str, bool], data: bytes) -> None:
    data += HEARTBEAT * 2
    for size in (1, 50, len(data)):
        framer = Framer(256, **options)
        assert frames(framer, [data[at : at + size] for at in range(0, len(data), size)]) == [HEARTBEAT] * 2
        assert framer.garbled == 1


@pytest.mark.parametrize(
    ("garbled", "text"),
    [
        (BAD_SUM, f"CheckSum(10)=999 should be {HEARTBEAT[-4:-1].decode()}"),
        (HEARTBEAT.replace(b"9=10\x01", b"9=11\x01"), "BodyLength(9)=11 does not lead to CheckSum(10)"),
        (HEARTBEAT.replace(b"9=10\x01", b"9=99999\x01"), "BodyLength(9)=99999 is above the limit of 4096"),
        (b"GET / HTTP/1.1\r\n", "no 8=FIX at the start"),
        (b"8=FIX.4.4\x01" * 5, "the header is not BeginString, BodyLength, MsgType"),
    ],
)
def test_says_what_is_wrong(garbled: bytes, text: str) -> None:
    framer = Framer(4096)
    frames(framer, [garbled, HEARTBEAT])
    assert framer.garbled_text == text


@given(st.lists(st.sampled_from([HEARTBEAT, LONG, BAD_SUM, NESTED, b"8=FIX", b"8=", b"\x01", b"junk"])), st.data())
def test_cuts_do_not_matter(parts: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=20)))
    pieces = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    at_once, piecewise = Framer(), Framer()
    assert frames(at_once, [whole]) == frames(piecewise, pieces)
    assert at_once.garbled == piecewise.garbled
    assert at_once.buffered == piecewise.buffered


@given(st.binary(max_size=2000))
def test_checksum_is_the_sum_of_all_bytes(data: bytes) -> None:
    assert checksum(data) == sum(data) % 256


def test_checksum_of_the_largest_bytes() -> None:
    """256 times 255 is the largest sum that stays exact in adler32."""
    for size in (255, 256, 257, 512, 70_000):
        assert checksum(b"\xff" * size) == size * 255 % 256


def test_an_endless_message_is_not_kept() -> None:
    framer = Framer(1000)
    for _ in range(100):
        assert frames(framer, [b"8=FIX.4.4\x019=900\x0135=D\x0158=" + b"x" * 500]) == []
        assert framer.buffered <= 1000 + 100


def test_garbage_is_not_kept() -> None:
    framer = Framer(1000)
    frames(framer, [b"x" * 100_000 + b"8=F"])
    assert framer.buffered == 3
    assert framer.garbled == 1


def test_composer_writes_what_frame_writes() -> None:
    fields = b"58=caf\xe9\x01"
    header = b"35=B\x0134=7\x0149=US\x0156=THEM\x0152=20240102-14:30:00.123\x01"
    composed = Composer("FIX.4.4", "US", "THEM").compose("B", 7, 1_704_205_800 * NS_PER_S + 123_999_999, fields)
    assert composed == frame("FIX.4.4", header + fields)
