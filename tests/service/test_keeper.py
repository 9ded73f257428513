"""Segments begin when they are due, snapshots come with them, old segments go, and little room stops new orders."""

import os
import time
from datetime import time as time_of_day
from pathlib import Path

import msgspec
import pytest

from domain.facts import OrdersPaused, OrdersResumed, SnapshotTaken
from router.features import FEATURES, schema_hash
from router.model import PriorModel
from service.config import JournalConfig
from service.journal import MB, Journal, read, segments
from service.journaled import JournaledNode
from service.keeper import Keeper, retire
from service.node import Node
from service.recovery import recover
from service.snapshot import hash_of, load, state_hash
from tests.service.platform import START_NS, small_config

NOW_NS = time.time_ns()
DAY_NS = 86_400_000_000_000


class Kept:
    """A node with its journal and keeper, on a disk whose free room is set."""

    def __init__(self, path: Path, **changes: object) -> None:
        config = small_config()
        model = PriorModel(FEATURES.index("fill_prior"), schema_hash([venue.name for venue in config.venues]))
        self.journal = Journal.open(path / "journal", reserve_mb=1)
        self.node = Node(config, model, "", START_NS)
        self.endpoint = JournaledNode(self.node, self.journal, lambda act: act())
        self.free = 10_000 * MB
        settings = msgspec.structs.replace(JournalConfig(reserve_mb=1), **changes)
        self.keeper = Keeper(self.endpoint, self.journal, settings, lambda output: None, free=lambda path: self.free)
        self.endpoint.run(self.node.start, START_NS)

    def facts(self) -> list:
        return [fact for batch in read(self.journal.path) for fact in batch]

    def reap(self, now_ns: int = NOW_NS) -> None:
        os.waitid(os.P_PID, self.keeper._snapshot[0], os.WEXITED | os.WNOWAIT)
        self.keeper.look(now_ns)


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def test_a_segment_of_yesterday_ends_and_the_state_is_written_down_beside_the_next(kept: Kept):
    kept.keeper.look(NOW_NS)
    assert kept.journal.segment == 1
    kept.keeper.look(NOW_NS + DAY_NS)
    assert kept.journal.segment == 2
    at_the_roll = state_hash(kept.node.state)
    kept.reap(NOW_NS + DAY_NS)
    (taken,) = [fact for fact in kept.facts() if isinstance(fact, SnapshotTaken)]
    assert (taken.segment, taken.state_hash) == (2, at_the_roll)
    assert hash_of(kept.journal.path / "00000002.snapshot") == at_the_roll
    assert recover(kept.journal.path).first_segment == 2
    kept.keeper.look(NOW_NS + DAY_NS)
    assert kept.journal.segment == 2


def test_a_clean_stop_leaves_a_snapshot_and_nothing_to_read(kept: Kept):
    kept.keeper.close(NOW_NS)
    kept.journal.close()
    found = recover(kept.journal.path)
    assert (found.first_segment, list(found.batches)) == (2, [])
    assert state_hash(found.image.state) == state_hash(kept.node.state)


def test_only_the_newest_two_snapshots_stay(kept: Kept):
    for day in range(1, 5):
        kept.keeper.look(NOW_NS + day * DAY_NS)
        kept.reap(NOW_NS + day * DAY_NS)
    assert sorted(file.name for file in kept.journal.path.glob("*.snapshot")) == [
        "00000004.snapshot",
        "00000005.snapshot",
    ]
    assert len(segments(kept.journal.path)) == 5  # kept for ever by default


@pytest.mark.parametrize("archive", [False, True])
def test_old_segments_leave_only_with_a_snapshot_after_them(kept: Kept, tmp_path: Path, archive: bool):
    for day in range(1, 5):
        kept.keeper.look(NOW_NS + day * DAY_NS)
        kept.reap(NOW_NS + day * DAY_NS)
    config = JournalConfig(keep_days=7, archive_dir=str(tmp_path / "archive") if archive else "")
    retire(kept.journal.path, config, NOW_NS + 6 * DAY_NS)
    assert len(segments(kept.journal.path)) == 5
    retire(kept.journal.path, config, NOW_NS + 400 * DAY_NS)
    left = [file.name for file in segments(kept.journal.path)]
    assert left == ["00000004.journal", "00000005.journal"]
    gone = sorted(file.name for file in (tmp_path / "archive").glob("*"))
    assert gone == (["00000001.journal", "00000002.journal", "00000003.journal"] if archive else [])
    assert recover(kept.journal.path).first_segment == 5


def test_little_room_stops_new_orders_until_there_is_more(kept: Kept):
    kept.free = 255 * MB
    for _ in range(3):
        kept.keeper.look(NOW_NS)
    (paused,) = [fact for fact in kept.facts() if isinstance(fact, OrdersPaused)]
    assert paused.text == "255 MB are free on the journal's disk, at least 256 are wanted"
    kept.free = 256 * MB
    kept.keeper.look(NOW_NS)
    assert [fact for fact in kept.facts() if isinstance(fact, OrdersResumed)]
    assert not kept.node.state.paused


def test_a_sync_that_hangs_stops_new_orders(tmp_path: Path):
    kept = Kept(tmp_path)

    class Slow:
        def waited_s(self) -> float:
            return 1.5

    kept.keeper._commit = Slow()
    kept.keeper.look(NOW_NS)
    assert kept.node.state.paused == "the journal's disk has not answered for 1.5 s"


def test_a_snapshot_that_can_not_be_written_is_said_and_nothing_else_suffers(kept: Kept):
    (kept.journal.path / "00000002.new").mkdir()
    kept.keeper.look(NOW_NS + DAY_NS)
    kept.reap(NOW_NS + DAY_NS)
    assert kept.journal.segment == 2
    assert not [fact for fact in kept.facts() if isinstance(fact, SnapshotTaken)]
    assert not list(kept.journal.path.glob("*.snapshot"))


def test_the_time_of_the_roll_is_the_configs(tmp_path: Path):
    kept = Kept(tmp_path, roll_at=time_of_day(12), snapshots=False)
    noon_ns = NOW_NS // DAY_NS * DAY_NS + DAY_NS + DAY_NS // 2
    kept.keeper.look(noon_ns)
    assert kept.journal.segment == 2
    assert not list(kept.journal.path.glob("*.snapshot"))


def test_a_snapshot_loads_what_was_there_at_the_fork(kept: Kept):
    kept.keeper.look(NOW_NS + DAY_NS)
    kept.endpoint.run(kept.node.pause, "after the fork", NOW_NS)
    kept.reap(NOW_NS + DAY_NS)
    assert load(kept.journal.path / "00000002.snapshot").state.paused == ""
