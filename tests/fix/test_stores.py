"""Both stores keep the same things; the file keeps them across a restart, even one in the middle of a write."""

import resource
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fix.framing import frame
from fix.message import parse
from fix.sequence import GapFill, InboundGap, replay
from fix.store import FileStore, MemoryStore, Store

MESSAGES = [(2, "8", b"two\nlines"), (3, "8", b""), (5, "9", b"\x00\xff 5 3 S\n")]


def fill(store: Store) -> None:
    for number, msg_type, raw in MESSAGES:
        store.append(number, msg_type, raw)
    store.next_out = 6
    store.next_in = 4


@pytest.mark.parametrize(
    "make", [lambda path: MemoryStore(), lambda path: FileStore(path / "store")], ids=["memory", "file"]
)
def test_store(make: Callable[[Path], Store], tmp_path: Path) -> None:
    store = make(tmp_path)
    assert (store.next_in, store.next_out, list(store.sent(1, 9))) == (1, 1, [])
    fill(store)
    assert (store.next_in, store.next_out) == (4, 6)
    assert list(store.sent(1, 1_000_000)) == MESSAGES
    assert list(store.sent(3, 5)) == MESSAGES[1:]
    assert list(store.sent(4, 4)) == []
    store.reset()
    assert (store.next_in, store.next_out, list(store.sent(1, 9))) == (1, 1, [])


def test_memory_is_bounded() -> None:
    store = MemoryStore(max_messages=2)
    fill(store)
    assert list(store.sent(1, 9)) == MESSAGES[1:]


def test_file_survives(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "store"
    store = FileStore(path)
    fill(store)
    store.close()
    again = FileStore(path)
    assert (again.next_in, again.next_out, list(again.sent(1, 9))) == (4, 6, MESSAGES)
    again.reset()
    again.close()
    assert FileStore(path).next_in == 1


def test_any_cut_leaves_what_was_whole(tmp_path: Path) -> None:
    path = tmp_path / "store"
    store = FileStore(path)
    fill(store)
    store.close()
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        cut = FileStore(path)
        kept = list(cut.sent(1, 9))
        assert kept == MESSAGES[: len(kept)]
        assert cut.next_in in (1, 4)
        cut.append(7, "8", b"after")
        cut.close()
        again = FileStore(path)
        assert list(again.sent(1, 9)) == [*kept, (7, "8", b"after")]
        again.close()


def test_only_its_owner_may_read_the_file(tmp_path: Path) -> None:
    FileStore(tmp_path / "store").close()
    assert (tmp_path / "store").stat().st_mode & 0o777 == 0o600


@given(st.sets(st.integers(1, 30)), st.integers(1, 30), st.integers(1, 30))
def test_a_replay_covers_each_number_once(kept: set[int], begin: int, size: int) -> None:
    end = begin + size - 1
    sent = [(number, "8", b"") for number in sorted(kept) if begin <= number <= end]
    covered: list[int] = []
    for item in replay(sent, begin, end):
        covered += range(item.begin, item.new_seq_no) if isinstance(item, GapFill) else [item[0]]
    assert covered == list(range(begin, end + 1))


def test_one_request_until_it_had_its_chance() -> None:
    gap = InboundGap(10)
    retry_ns = 30_000_000_000
    assert gap.request(5, False, 2, 0) == (2, 0)
    assert gap.request(6, False, 2, 1) is None
    assert gap.request(7, False, 2, retry_ns) == (2, 0)  # never answered
    assert gap.request(4, True, 2, retry_ns + 1) is None  # a replay that began behind the gap...
    assert gap.request(8, False, 2, retry_ns + 2) == (2, 0)  # ...and ended without filling it
    assert gap.advance(9, retry_ns + 2) is None
    assert gap.request(11, False, 9, retry_ns + 3) == (9, 0)  # another gap


def test_a_gap_is_asked_for_in_chunks() -> None:
    gap = InboundGap(10, chunk=3)
    assert gap.request(10, False, 2, 0) == (2, 4)
    assert [gap.advance(next_in, 1) for next_in in range(3, 12)] == [
        *(None, None, (5, 7)),  # the first chunk is through when 5 is next
        *(None, None, (8, 9)),  # up to what is known to be missing
        *(None, None, None),
    ]


def test_a_chunk_that_is_held_already_is_not_asked_for() -> None:
    gap = InboundGap(10, chunk=3)
    assert gap.request(6, False, 2, 0) == (2, 4)
    gap.hold(5, None)
    gap.hold(6, None)
    assert gap.advance(5, 1) is None


def test_what_is_held_is_bounded_in_bytes_too() -> None:
    gap, large = InboundGap(1000), parse(frame("FIX.4.4", b"35=B\x0134=9\x0158=%b\x01" % (b"x" * 60_000)))
    for number in range(5, 200):
        gap.hold(number, large)
    held = [number for number in range(5, 200) if gap.has(number)]
    assert held == list(range(5, 5 + 4 * 1024 * 1024 // len(large.raw)))
    assert gap.take(5) is large
    gap.hold(200, large)
    gap.hold(201, large)
    assert (gap.has(200), gap.has(201)) == (True, False)
    gap.advance(200, 0)
    gap.hold(201, large)
    assert gap.has(201)


# --- the file ---


def test_one_write_for_an_input(tmp_path: Path) -> None:
    path = tmp_path / "store"
    store = FileStore(path)
    fill(store)
    assert path.read_bytes() == b""
    store.flush()
    assert path.read_bytes().endswith(b"I 4 0 -\n\nO 6 0 -\n\n")
    store.close()


def test_messages_stay_on_disk(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "store")
    count = 5_000
    for number in range(1, count + 1):
        store.append(number, "8", b"%d " % number * (40_000 if number == 2_000 else 5))
    assert sum(map(len, (store._numbers, store._places))) < count / 20  # what memory holds of them
    for begin, end in ((1, 1), (63, 66), (1_990, 2_010), (4_999, 9_999), (count, count), (count + 1, count + 9)):
        found = list(store.sent(begin, end))
        assert [number for number, _, _ in found] == [*range(begin, min(end, count) + 1)]
        assert all(raw.startswith(b"%d " % number) for number, _, raw in found)


def test_a_replay_in_bursts_goes_on_while_the_file_grows_and_ends_with_a_reset(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "store")
    fill(store)
    going = iter(store.sent(1, 5))
    assert next(going) == MESSAGES[0]
    store.append(9, "8", b"later")
    store.flush()
    assert [*going] == MESSAGES[1:]
    going = iter(store.sent(1, 9))
    assert next(going) == MESSAGES[0]
    store.reset()
    store.append(3, "8", b"of the new numbering")
    assert [*going] == []


def test_numbers_that_an_operator_set_back_are_used_again(tmp_path: Path) -> None:
    path = tmp_path / "store"
    store = FileStore(path)
    fill(store)
    store.next_out = 3
    store.append(3, "8", b"anew")
    assert list(store.sent(1, 9)) == [MESSAGES[0], (3, "8", b"anew")]
    store.close()
    again = FileStore(path)
    assert (again.next_in, again.next_out, list(again.sent(1, 9))) == (4, 3, [MESSAGES[0], (3, "8", b"anew")])


@pytest.mark.parametrize("damage", [b"S 7 99999999999 8\nxx", b"S 7 -3 8\n\n", b"\0" * 300, b"x" * 200_000])
def test_a_damaged_tail_is_dropped(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "store"
    store = FileStore(path)
    fill(store)
    store.close()
    whole = path.read_bytes()
    path.write_bytes(whole + damage)
    again = FileStore(path)
    assert (again.next_in, again.next_out, list(again.sent(1, 9))) == (4, 6, MESSAGES)
    assert path.read_bytes() == whole


def test_a_full_disk_leaves_no_half_record(tmp_path: Path) -> None:
    path = tmp_path / "store"
    store = FileStore(path)
    fill(store)
    store.flush()
    whole = path.read_bytes()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 20, before[1]))
    try:
        store.append(9, "8", b"too long for what is left")
        with pytest.raises(OSError, match="File too large"):
            store.flush()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_bytes() == whole
    store.flush()
    assert list(FileStore(path).sent(6, 9)) == [(9, "8", b"too long for what is left")]


def test_what_memory_keeps_is_bounded_in_bytes_too() -> None:
    store = MemoryStore(max_messages=100, max_bytes=1000)
    for number in range(1, 31):
        store.append(number, "8", b"x" * 100)
    assert [number for number, _, _ in store.sent(1, 99)] == [*range(21, 31)]
    store.append(30, "8", b"x" * 600)
    assert [number for number, _, _ in store.sent(1, 99)] == [*range(26, 31)]
    store.reset()
    store.append(1, "8", b"x" * 1000)
    assert [number for number, _, _ in store.sent(1, 99)] == [1]
