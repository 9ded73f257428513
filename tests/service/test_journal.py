"""What was appended is read back, an unfinished write is cut, damage is never skipped, nothing half-written stays."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.facts import EpochStarted, MessageReceived, VenueUp, encode_batch
from service.journal import (
    HEADER,
    MAX_PAYLOAD_BYTES,
    Journal,
    JournalDamaged,
    JournalError,
    JournalLocked,
    JournalWriteError,
    frame,
    read,
    scan,
    survey,
)

BATCHES = [
    [EpochStarted(at_ns=1, epoch="a", version="0.1")],
    [VenueUp(at_ns=2, venue="ARGO"), VenueUp(at_ns=2, venue="BRIG")],
    [MessageReceived(at_ns=3, session="FAIRLEAD->EMS1", raw=bytes(range(256)) * 20)],
    [VenueUp(at_ns=4, venue="CLIP")],
]
FRAMES = [frame(encode_batch(batch)) for batch in BATCHES]
WHOLE = HEADER + b"".join(FRAMES)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "journal"


def written(path: Path, batches: list = BATCHES) -> bytes:
    journal = Journal.open(path)
    for batch in batches:
        journal.append(batch)
    journal.close()
    return path.read_bytes()


def put(path: Path, data: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)


def test_batches_are_read_back_after_any_number_of_restarts(path: Path) -> None:
    for batch in BATCHES:
        written(path, [batch])
    assert list(read(path)) == BATCHES
    assert path.read_bytes() == WHOLE
    assert survey(path) == (len(BATCHES), len(WHOLE), 0)


def test_an_empty_batch_writes_nothing(path: Path) -> None:
    assert written(path, [[]]) == HEADER


def test_durability_disk_writes_the_same_file(path: Path) -> None:
    journal = Journal.open(path, "disk")
    for batch in BATCHES:
        journal.append(batch)
    journal.close()
    assert path.read_bytes() == WHOLE


def test_the_file_is_readable_by_its_owner_only(path: Path) -> None:
    written(path)
    assert path.stat().st_mode & 0o777 == 0o600


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
        assert journal.cut_bytes == max(cut - ends[kept], 0), cut
        journal.append(BATCHES[3])
        journal.close()
        assert list(read(path)) == [*BATCHES[:kept], BATCHES[3]], cut


def test_a_tail_of_zeros_is_an_unfinished_write(path: Path) -> None:
    """A file system may have grown the file before the power went, and not written the data."""
    put(path, WHOLE + bytes(500))
    journal = Journal.open(path)
    journal.close()
    assert journal.cut_bytes == 500
    assert path.read_bytes() == WHOLE


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
            assert str(path) in str(caught.value)
        assert path.read_bytes() == bytes(data)  # evidence is not touched


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"not a journal at all", "starts with"),
        (b"x", "starts with"),
        (HEADER[:8] + b"\x07\0\0\0" + WHOLE[len(HEADER) :], "format version 7"),
        (HEADER + bytes(MAX_PAYLOAD_BYTES + 100), "no frame starts here"),  # too long for an unfinished write
        (HEADER + FRAMES[0] + frame(b"\x91\x81\xa4type\xa3Foo"), "not a batch of facts"),
    ],
)
def test_what_is_no_journal_is_refused(path: Path, data: bytes, says: str) -> None:
    put(path, data)
    with pytest.raises(JournalDamaged, match=says):
        list(read(path))
    assert path.read_bytes() == data


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
    for path in (tmp_path, tmp_path / "file" / "journal"):
        with pytest.raises(JournalError, match="can't be opened"):
            Journal.open(path)


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


def test_a_full_disk_leaves_nothing_of_the_batch_and_the_next_one_fits(path: Path) -> None:
    """The limit on file sizes makes the kernel write a part and then refuse, exactly as a full disk does."""
    journal = Journal.open(path)
    journal.append(BATCHES[0])
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 100, hard))
    try:
        with pytest.raises(JournalWriteError, match=f"{path}: can't be written: File too large"):
            journal.append(BATCHES[2])
        assert path.read_bytes() == before
        journal.append(BATCHES[3])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    journal.append(BATCHES[2])
    journal.close()
    assert list(read(path)) == [BATCHES[0], BATCHES[3], BATCHES[2]]
