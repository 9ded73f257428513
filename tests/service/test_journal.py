"""What was appended is read back, an unfinished write is cut, damage is never skipped, nothing half-written stays."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.facts import EpochStarted, MessageReceived, VenueUp, decode_batch, encode_batch
from service.frames import HEADER_1, HEADER_BYTES, MAGIC, MAX_PAYLOAD_BYTES, Header, frame, scan
from service.journal import (
    MB,
    Journal,
    JournalDamaged,
    JournalError,
    JournalLocked,
    JournalWriteError,
    follow,
    last_roll_ns,
    read,
    survey,
)

BATCHES = [
    [EpochStarted(at_ns=1, epoch="a", version="0.1")],
    [VenueUp(at_ns=2, venue="ARGO"), VenueUp(at_ns=2, venue="BRIG")],
    [MessageReceived(at_ns=3, session="FAIRLEAD->EMS1", raw=bytes(range(256)) * 20)],
    [VenueUp(at_ns=4, venue="CLIP")],
]
FRAMES = [frame(encode_batch(batch)) for batch in BATCHES]
HEADER = Header(began_ns=5).encode()
WHOLE = HEADER + b"".join(FRAMES)
NOON = time(12)


def segment(path: Path, number: int = 1) -> Path:
    return path / f"{number:08}.journal"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "journal"


def written(path: Path, batches: list = BATCHES) -> bytes:
    journal = Journal.open(path)
    for batch in batches:
        journal.append(batch)
    journal.close()
    return segment(path).read_bytes()


def put(path: Path, data: bytes) -> None:
    path.mkdir(parents=True, exist_ok=True)
    segment(path).write_bytes(data)


def test_batches_are_read_back_after_any_number_of_restarts(path: Path) -> None:
    for batch in BATCHES:
        written(path, [batch])
    assert list(read(path)) == BATCHES
    assert segment(path).read_bytes()[HEADER_BYTES:] == WHOLE[HEADER_BYTES:]
    assert survey(path) == (1, len(BATCHES), len(WHOLE), 0)


def test_an_empty_batch_writes_nothing(path: Path) -> None:
    assert len(written(path, [[]])) == HEADER_BYTES


def test_durability_disk_writes_the_same_file(path: Path) -> None:
    journal = Journal.open(path, "disk")
    for batch in BATCHES:
        journal.append(batch)
        journal.sync()
    journal.close()
    assert segment(path).read_bytes()[HEADER_BYTES:] == WHOLE[HEADER_BYTES:]


def test_the_file_is_readable_by_its_owner_only(path: Path) -> None:
    written(path)
    assert segment(path).stat().st_mode & 0o777 == 0o600
    assert path.stat().st_mode & 0o777 == 0o700


@given(payloads=st.lists(st.binary(max_size=40), max_size=6), cut=st.integers(0, 60))
def test_scan_finds_every_whole_frame_and_stops_before_a_torn_one(payloads: list[bytes], cut: int) -> None:
    frames = [frame(payload) for payload in payloads]
    data = b"".join(frames)
    data = data[: max(len(data) - cut, 0)]
    whole, end = [], 0
    for payload, framed in zip(payloads, frames, strict=True):
        if end + len(framed) > len(data):
            break
        whole, end = [*whole, payload], end + len(framed)
    assert scan(data) == (whole, end, "")


def test_a_file_cut_anywhere_keeps_its_whole_batches_and_goes_on(path: Path) -> None:
    ends = [len(HEADER)]
    for framed in FRAMES:
        ends.append(ends[-1] + len(framed))
    cuts = [*range(60), *(end + step for end in ends for step in (-1, 0, 1)), ends[3] - 3000]
    for cut in sorted({cut for cut in cuts if cut <= len(WHOLE)}):
        put(path, WHOLE[:cut])
        kept = sum(end <= cut for end in ends[1:])
        assert list(read(path)) == BATCHES[:kept], cut
        journal = Journal.open(path)
        assert journal.cut_bytes == (cut - ends[kept] if cut >= ends[0] else cut), cut
        journal.append(BATCHES[3])
        journal.close()
        assert list(read(path)) == [*BATCHES[:kept], BATCHES[3]], cut


def test_a_tail_of_zeros_is_an_unfinished_write(path: Path) -> None:
    """A file system may have grown the file before the power went, and not written the data."""
    put(path, WHOLE + bytes(500))
    journal = Journal.open(path)
    journal.close()
    assert journal.cut_bytes == 500
    assert segment(path).read_bytes() == WHOLE


def test_a_flipped_bit_before_other_batches_is_damage_wherever_it_is(path: Path) -> None:
    start = len(HEADER) + len(FRAMES[0])
    for at in range(start, start + len(FRAMES[1])):
        data = bytearray(WHOLE)
        data[at] ^= 0x40
        put(path, bytes(data))
        for use in (lambda: list(read(path)), lambda: Journal.open(path), lambda: survey(path)):
            with pytest.raises(JournalDamaged) as caught:
                use()
            assert caught.value.offset == start, at
            assert str(segment(path)) in str(caught.value)
        assert segment(path).read_bytes() == bytes(data)  # evidence is not touched


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"not a journal at all", "starts with"),
        (b"x", "starts with"),
        (MAGIC + b"\x07\0\0\0" + WHOLE[len(HEADER) :], "format version 7"),
        (HEADER[:20] + b"?" + WHOLE[21:], "the checksum of the segment's header"),
        (HEADER + bytes(MAX_PAYLOAD_BYTES + 100), "no frame starts here"),  # too long for an unfinished write
        (HEADER + FRAMES[0] + frame(b"\x91\x81\xa4type\xa3Foo"), "not a batch of facts"),
    ],
)
def test_what_is_no_journal_is_refused(path: Path, data: bytes, says: str) -> None:
    put(path, data)
    with pytest.raises(JournalDamaged, match=says):
        list(read(path))
    assert segment(path).read_bytes() == data


def test_a_large_file_is_read_in_pieces(path: Path) -> None:
    batch = [MessageReceived(at_ns=3, session="s", raw=b"x" * 700_000)]
    written(path, [batch] * 9)
    assert sum(read_batch == batch for read_batch in read(path)) == 9


def test_a_batch_over_the_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="over the limit"):
        frame(bytes(MAX_PAYLOAD_BYTES + 1))


def test_a_missing_file_says_so(path: Path) -> None:
    for use in (lambda: list(read(path)), lambda: survey(path)):
        with pytest.raises(JournalError, match="No such file"):
            use()


def test_a_place_that_can_not_hold_a_journal_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JournalError, match="can't be opened"):
        Journal.open(tmp_path / "file" / "journal")
    with pytest.raises(JournalDamaged, match="no journal: it starts with"):
        (tmp_path / "file").write_text("something else")
        Journal.open(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "something else"


def test_a_second_writer_is_refused_with_the_pid_of_the_first(path: Path) -> None:
    first = Journal.open(path)
    with pytest.raises(JournalLocked, match=f"{path}: is in use by process {os.getpid()}"):
        Journal.open(path)
    first.close()
    Journal.open(path).close()


def test_a_killed_writer_leaves_its_batches_and_no_lock(path: Path) -> None:
    program = (
        "import os, signal, sys; from service.journal import Journal; from domain.facts import VenueUp;"
        "Journal.open(sys.argv[1]).append([VenueUp(at_ns=1, venue='ARGO')]); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    Journal.open(path).close()
    assert list(read(path)) == [[VenueUp(at_ns=1, venue="ARGO")]]


@contextmanager
def disk_full(path: Path, more: int) -> Iterator[None]:
    """The limit on file sizes makes the kernel write a part and then refuse, exactly as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + more, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_nothing_of_the_batch_and_the_next_one_fits(path: Path) -> None:
    journal = Journal.open(path)
    journal.append(BATCHES[0])
    before = segment(path).read_bytes()
    with disk_full(segment(path), 100):
        with pytest.raises(JournalWriteError, match=f"{path}: can't be written: File too large"):
            journal.append(BATCHES[2])
        assert segment(path).read_bytes() == before
        journal.append(BATCHES[3])
    journal.append(BATCHES[2])
    journal.close()
    assert list(read(path)) == [BATCHES[0], BATCHES[3], BATCHES[2]]


# --- segments ---


def test_a_segment_ends_when_it_is_full_or_at_the_time_of_the_day(path: Path) -> None:
    journal = Journal.open(path, segment_mb=1)
    began_ns = journal.began_ns
    assert not journal.is_due(began_ns, time(tzinfo=None))
    day_ns = 86_400_000_000_000
    assert not journal.is_due(last_roll_ns(began_ns, NOON) + day_ns - 1, NOON)
    assert journal.is_due(last_roll_ns(began_ns, NOON) + day_ns, NOON)
    journal.append([MessageReceived(at_ns=1, session="s", raw=bytes(MB))])
    assert journal.is_due(began_ns, NOON)
    journal.roll(began_ns + 1)
    assert not journal.is_due(began_ns + 1, NOON)
    journal.close()


@pytest.mark.parametrize(
    ("now", "rolled"),
    [("05:59", "30 06:00"), ("06:00", "31 06:00"), ("23:00", "31 06:00")],
)
def test_the_last_roll_is_of_today_or_of_yesterday(now: str, rolled: str) -> None:
    def ns(text: str) -> int:
        return int(datetime.fromisoformat(f"2026-10-{text}:00+00:00").timestamp()) * 10**9

    assert last_roll_ns(ns(f"31 {now}") + 1, time(6)) == ns(rolled)


def rolled(path: Path, segments: int = 4) -> None:
    """One of BATCHES in each segment."""
    journal = Journal.open(path)
    for number in range(segments):
        if number:
            journal.roll(number)
        journal.append(BATCHES[number])
    journal.close()


def test_segments_are_read_as_one_and_written_on(path: Path) -> None:
    rolled(path)
    assert list(read(path)) == BATCHES
    assert list(read(path, first_segment=3)) == BATCHES[2:]
    assert list(read(segment(path, 2))) == [BATCHES[1]]
    assert survey(path) == (4, 4, len(segment(path, 4).read_bytes()), 0)
    journal = Journal.open(path)
    assert (journal.segment, journal.batches) == (4, 4)
    journal.append(BATCHES[0])
    journal.close()
    assert list(read(path)) == [*BATCHES, BATCHES[0]]


def test_a_torn_end_of_the_last_segment_is_cut_and_of_another_is_damage(path: Path) -> None:
    rolled(path)
    third, last = segment(path, 3).read_bytes(), segment(path, 4).read_bytes()
    for cut in range(1, len(last)):
        segment(path, 3).write_bytes(third)
        segment(path, 4).write_bytes(last[:-cut])
        assert list(read(path)) == BATCHES[:3], cut
        journal = Journal.open(path)
        assert journal.cut_bytes == len(last) - cut - (HEADER_BYTES if len(last) - cut >= HEADER_BYTES else 0)
        journal.append(BATCHES[3])
        journal.close()
        assert list(read(path)) == BATCHES, cut
    segment(path, 3).write_bytes(third)
    segment(path, 4).write_bytes(last)
    for number in range(1, 4):
        whole = segment(path, number).read_bytes()
        for cut in range(1, len(whole)):
            segment(path, number).write_bytes(whole[:-cut])
            with pytest.raises(JournalDamaged) as caught:
                list(read(path))
            assert caught.value.path == segment(path, number)
        segment(path, number).write_bytes(whole + b"x")
        with pytest.raises(JournalDamaged):
            list(read(path))
        segment(path, number).write_bytes(whole)


def test_a_missing_segment_is_named(path: Path) -> None:
    rolled(path)
    segment(path, 1).unlink()  # taken away as old: the others go on
    assert list(read(path)) == BATCHES[1:]
    segment(path, 3).unlink()
    with pytest.raises(JournalError, match=r"the segment before 00000004\.journal is missing"):
        list(read(path))


def test_a_segment_of_another_journal_is_no_part_of_this_one(path: Path, tmp_path: Path) -> None:
    rolled(path)
    written(tmp_path / "other")
    segment(path, 3).write_bytes(segment(tmp_path / "other").read_bytes())
    with pytest.raises(JournalDamaged):
        list(read(path))


def test_a_journal_of_the_first_format_is_read_and_becomes_the_first_segment(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(HEADER_1 + b"".join(FRAMES[:2]) + FRAMES[2][:-7])
    assert list(read(path)) == BATCHES[:2]
    assert survey(path) == (1, 2, len(HEADER_1 + b"".join(FRAMES[:2])), len(FRAMES[2]) - 7)
    journal = Journal.open(path)
    assert journal.cut_bytes == len(FRAMES[2]) - 7
    assert journal.is_due(1, NOON) is False and journal.is_due(10**18, NOON)
    journal.append(BATCHES[2])
    journal.roll(1)
    journal.append(BATCHES[3])
    journal.close()
    assert list(read(path)) == BATCHES
    assert not path.with_name("journal.version1").exists()


def test_a_kill_while_an_old_journal_is_taken_over_loses_nothing(path: Path) -> None:
    path.parent.mkdir()
    path.with_name("journal.version1").write_bytes(HEADER_1 + b"".join(FRAMES))
    Journal.open(path).close()
    assert list(read(path)) == BATCHES


# --- the reserve ---


LARGE = BATCHES[2]


def full(path: Path) -> Journal:
    """A journal on a disk that is full after two large batches, and takes one more into its reserve, but not two."""
    journal = Journal.open(path, reserve_mb=1)
    journal.append(LARGE)
    journal.append(LARGE)
    return journal


def test_when_the_disk_is_full_the_reserve_takes_what_follows(path: Path) -> None:
    journal = full(path)
    with disk_full(segment(path), -100):
        journal.append(LARGE)
        assert journal.is_short
        assert journal.segment == 2
        assert list(read(path)) == [LARGE] * 3  # the room that is left in it reads as nothing
        assert not journal.is_due(10**19, NOON)
        with pytest.raises(JournalWriteError):
            journal.append(LARGE)
        journal.append(BATCHES[0])
    journal.relieve(7)
    assert not journal.is_short
    assert journal.segment == 3
    journal.append(BATCHES[3])
    journal.close()
    assert list(read(path)) == [LARGE, LARGE, LARGE, BATCHES[0], BATCHES[3]]


def test_without_room_for_a_reserve_there_is_none(path: Path) -> None:
    Journal.open(path).close()
    with disk_full(segment(path), -20):
        journal = Journal.open(path, reserve_mb=1)
        assert not journal.restock()
    assert journal.restock()
    journal.close()


def test_a_killed_writer_in_the_reserve_goes_on_after_its_last_batch(path: Path) -> None:
    journal = full(path)
    with disk_full(segment(path), -100):
        journal.append(LARGE)
    os.close(journal._lock_fd)  # and is not heard of again
    again = Journal.open(path, reserve_mb=1)
    assert again.cut_bytes > MB // 2
    again.append(BATCHES[3])
    again.close()
    assert list(read(path)) == [LARGE, LARGE, LARGE, BATCHES[3]]


# --- following a writer ---


def test_who_follows_gets_every_batch_of_every_segment_as_it_is_written(path: Path) -> None:
    journal = Journal.open(path, reserve_mb=1)
    batches = iter(BATCHES * 3)
    over = False
    seen = []

    def write_more() -> bool:
        nonlocal over
        batch = next(batches, None)
        over = batch is None
        if batch is not None:
            if journal.batches in (4, 5, 9):
                journal.roll(journal.batches)
            journal.append(batch)
        return over

    for _, _, payload in follow(path, write_more):
        seen.append(decode_batch(payload))
    assert seen == BATCHES * 3
    assert journal.segment == 4
    journal.close()


def test_who_follows_waits_at_room_that_is_not_written_yet(path: Path) -> None:
    journal = full(path)
    with disk_full(segment(path), -100):
        journal.append(LARGE)
    waits = iter([False, False, True])

    def again() -> bool:
        over = next(waits)
        if not over:
            journal.append(BATCHES[3])
        return over

    seen = [decode_batch(payload) for _, _, payload in follow(path, again)]
    assert seen == [LARGE, LARGE, LARGE, BATCHES[3], BATCHES[3]]
    assert [decode_batch(payload) for _, _, payload in follow(path, lambda: True, from_end=True)] == []
    journal.close()
