"""The disk under a virtual node: what was written, what of it would survive a loss of power, and what goes wrong.

It has the face of `service.journal.Journal` and, where the node waits for syncs, that of `service.group_commit`, so
that the real `service.journaled.JournaledNode` and `service.keeper.Keeper` work on it.
"""

import errno
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from domain.facts import AnyFact, encode_batch
from service.journal import JournalWriteError

RESERVE = 200  # batches that still fit when the disk is full
PLENTY = 1 << 40


class Disk:
    """`sync_ns` 0: `durability = "process"`. `now_ns()` is the node's clock."""

    path = Path("journal")

    def __init__(self, random: Random, sync_ns: int, now_ns: Callable[[], int]) -> None:
        self.written: list[bytes] = []
        self.is_short = False
        self.full_until_ns = 0
        self.fails = False  # the next write, and with it the process
        self.slow_until_ns = 0  # what is synced before then takes until then
        self.due_ns = 0  # when the sync under way ends; 0: none
        self.syncs = sync_ns > 0
        self._random = random
        self._sync_ns = sync_ns
        self._now_ns = now_ns
        self._reserve = RESERVE
        self._durable = 0  # batches that no loss of power takes away
        self._asked = self._target = 0
        self._began_ns = 0

    # --- a journal ---

    @property
    def batches(self) -> int:
        return len(self.written)

    @property
    def is_full(self) -> bool:
        return self.full_until_ns > 0 and self._now_ns() < self.full_until_ns

    def append(self, facts: list[AnyFact]) -> None:
        if not facts:
            return
        if self.fails:
            self.fails = False
            raise JournalWriteError(self.path, OSError(errno.EIO, "Input/output error"))
        if self.is_full:
            if not self._reserve:
                raise JournalWriteError(self.path, OSError(errno.ENOSPC, "No space left on device"))
            self._reserve -= 1
            self.is_short = True
        self.written.append(encode_batch(facts))

    def is_due(self, now_ns: int, roll_at: Any) -> bool:
        return False

    def restock(self) -> bool:
        if not self.is_full:
            self._reserve = RESERVE
        return not self.is_full or not self.is_short

    def relieve(self, now_ns: int) -> None:
        self.is_short = not self.restock()

    def free(self, path: Path) -> int:
        return 0 if self.is_full else PLENTY

    def sync(self) -> None:
        """All at once, as before a segment ends."""
        self._durable = len(self.written)

    # --- a group commit ---

    def ask(self, number: int) -> None:
        self._asked = number
        if not self.due_ns:
            self._begin()

    def waited_s(self) -> float:
        return (self._now_ns() - self._began_ns) / 1e9 if self.due_ns else 0.0

    def synced(self) -> int:
        """The sync under way has ended: batches that are safe now."""
        self._durable = max(self._durable, self._target)
        done, self.due_ns = self._target, 0
        if self._asked > done:
            self._begin()
        return done

    def _begin(self) -> None:
        self._target, self._began_ns = self._asked, self._now_ns()
        self.due_ns = max(self._began_ns + self._sync_ns, self.slow_until_ns)

    # --- what happens to it ---

    def crashed(self) -> int:
        """What was written and not synced may be gone, from any point on; the number of batches that are lost."""
        lost = 0
        if self.syncs and len(self.written) > self._durable:
            kept = self._random.randint(self._durable, len(self.written))
            lost = len(self.written) - kept
            del self.written[kept:]
        self.due_ns = self._asked = self._target = 0
        return lost

    def opened(self) -> None:
        """By the next process: a reserve is taken anew, if there is room."""
        self.is_short = False
        self._reserve = 0 if self.is_full else RESERVE
        self._durable = len(self.written)

    def mend(self) -> None:
        self.fails = False
        self.full_until_ns = self.slow_until_ns = 0
