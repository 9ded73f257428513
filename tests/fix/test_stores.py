"""Both stores keep the same things; the file keeps them across a restart, even one in the middle of a write."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
