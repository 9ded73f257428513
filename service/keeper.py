"""Looks after the journal of a running daemon: room on the disk, segments that are due, snapshots, old segments.

All of it happens between inputs. A snapshot is written by a forked copy of the process, which has the state as it was
at that moment and all the time that it needs; the daemon itself only waits for the fork. When there is little room, or
a sync hangs, new orders are stopped before anything else suffers.
"""

import gc
import os
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import structlog

from domain.facts import SnapshotTaken
from service.config import JournalConfig
from service.group_commit import GroupCommit
from service.journal import MB, Journal
from service.journal_read import segments
from service.journaled import JournaledNode
from service.node import NodeOutput
from service.snapshot import NodeImage, SnapshotRefused, discard, hash_of, snapshot_name, snapshots, write

log = structlog.get_logger()
LOOK_S = 0.1
_DAY_S = 86_400.0
_NICE = 10


def free_bytes(path: Path) -> int:
    """What an ordinary user may still write on the disk of `path`."""
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


class Keeper:
    """`look` is to be called every LOOK_S; what the node answers goes to `perform`. `free` tells the room on a disk."""

    def __init__(
        self,
        endpoint: JournaledNode,
        journal: Journal,
        config: JournalConfig,
        perform: Callable[[NodeOutput], None],
        commit: GroupCommit | None = None,
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        self._endpoint = endpoint
        self._journal = journal
        self._config = config
        self._perform = perform
        self._commit = commit
        self._free = free
        self._snapshot: tuple[int, int] | None = None  # process id and segment of the one being written

    def look(self, now_ns: int) -> None:
        self._watch_room(now_ns)
        self._reap(now_ns)
        if self._journal.is_due(now_ns, self._config.roll_at):
            self._journal.roll(now_ns)
            log.info("journal_segment", file=str(self._journal.file))
            if self._config.snapshots and self._snapshot is None:
                self._fork_snapshot()

    def close(self, now_ns: int) -> None:
        """A last snapshot, so that the next start has nothing to read."""
        if not self._config.snapshots or self._journal.is_short:
            return
        if self._snapshot is not None:
            os.waitpid(self._snapshot[0], 0)
            self._snapshot = None
        self._journal.roll(now_ns)
        try:
            write(self._journal.path / snapshot_name(self._journal.segment), self._endpoint.node.image())
        except (OSError, SnapshotRefused) as error:
            log.warning("snapshot_failed", text=str(error))
        discard(self._journal.path)

    # --- room ---

    def _watch_room(self, now_ns: int) -> None:
        journal, config, node = self._journal, self._config, self._endpoint.node
        slow_s = self._commit.waited_s() if self._commit is not None else 0.0
        free = self._free(journal.path)
        enough = config.min_free_mb * MB
        if journal.is_short and free > enough + config.reserve_mb * MB:
            journal.relieve(now_ns)
        if journal.is_short:
            trouble = "the journal's disk is full"
        elif free < enough:
            trouble = f"{free // MB} MB are free on the journal's disk, at least {config.min_free_mb} are wanted"
        elif slow_s > config.slow_sync_s:
            trouble = f"the journal's disk has not answered for {slow_s:.1f} s"
        elif not journal.restock():
            trouble = f"the journal's disk has no room for a reserve of {config.reserve_mb} MB"
        else:
            trouble = ""
        if trouble and not node.state.paused:
            self._perform(self._endpoint.run(node.pause, trouble, now_ns))
        elif not trouble and node.state.paused:
            self._perform(self._endpoint.run(node.unpause, "the journal can be written again", now_ns))

    # --- snapshots and old segments ---

    def _fork_snapshot(self) -> None:
        segment = self._journal.segment
        file = self._journal.path / snapshot_name(segment)
        began_ns = time.perf_counter_ns()
        pid = os.fork()
        if pid == 0:
            _write_and_exit(file, self._endpoint.node.image())
        self._snapshot = pid, segment
        log.info("snapshot_begun", file=str(file), fork_ms=round((time.perf_counter_ns() - began_ns) / 1e6, 1))

    def _reap(self, now_ns: int) -> None:
        if self._snapshot is None:
            return
        pid, segment = self._snapshot
        ended, status = os.waitpid(pid, os.WNOHANG)
        if not ended:
            return
        self._snapshot = None
        file = self._journal.path / snapshot_name(segment)
        try:
            if status:
                raise SnapshotRefused(file, f"could not be written, status {status}")
            taken = SnapshotTaken(at_ns=now_ns, segment=segment, state_hash=hash_of(file))
        except SnapshotRefused as refused:
            log.warning("snapshot_failed", text=str(refused))
            return
        self._perform(self._endpoint.run(self._endpoint.node.note, taken))
        discard(self._journal.path)
        retire(self._journal.path, self._config, now_ns)


def retire(journal: Path, config: JournalConfig, now_ns: int) -> None:
    """Takes away segments that no kept snapshot needs, once they are old enough."""
    kept = snapshots(journal)
    if not config.keep_days or not kept:
        return
    needed = int(kept[-1].stem)
    for file in segments(journal):
        with suppress(OSError):
            if int(file.stem) >= needed or now_ns / 1e9 - file.stat().st_mtime < config.keep_days * _DAY_S:
                return  # the later ones are younger
            if config.archive_dir:
                Path(config.archive_dir).mkdir(parents=True, exist_ok=True)
                shutil.move(file, Path(config.archive_dir) / file.name)
            else:
                file.unlink()
            log.info("journal_segment_retired", file=str(file), archive=config.archive_dir)


def _write_and_exit(file: Path, image: NodeImage) -> None:
    """In the copy of the process: only this file is touched, nothing of what was open or under way."""
    status = 1
    try:
        gc.disable()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the daemon's to answer
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))  # a connection that the daemon closes must not live on here
        os.nice(_NICE)
        write(file, image)
        status = 0
    finally:
        os._exit(status)
