"""`durability = "disk"` without waiting for the disk: one sync for all that was written while the last one ran.

The node goes on deciding while a thread syncs. What an input wants to send is held until its batch is on the disk, and
leaves in the order of the inputs; so the rate does not depend on how long a sync takes, only the delay does.
"""

import threading
import time
from collections.abc import Callable


class GroupCommit:
    """`sync` is run in a thread of its own; `later` carries a call from there into the event loop.

    `synced(number)` is called in the loop when the batches up to `number` are on the disk, `failed(error)` when that
    can't be known any more.
    """

    def __init__(
        self,
        sync: Callable[[], None],
        later: Callable[..., object],
        synced: Callable[[int], None],
        failed: Callable[[OSError], None],
    ) -> None:
        self.began_ns = 0  # monotonic, of the sync under way; 0: none
        self._sync = sync
        self._later = later
        self._on_synced = synced
        self._on_failed = failed
        self._asked = self._done = 0
        self._is_closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="journal-sync", daemon=True)
        self._thread.start()

    def ask(self, number: int) -> None:
        """Batch `number` was written; each number is higher than the one before."""
        with self._changed:
            self._asked = number
            self._changed.notify()

    def waited_s(self) -> float:
        """How long the sync under way has taken so far."""
        began_ns = self.began_ns
        return (time.monotonic_ns() - began_ns) / 1e9 if began_ns else 0.0

    def close(self) -> None:
        """Ends the thread when it has synced what was asked for."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                while self._asked == self._done:
                    if self._is_closed:
                        return
                    self._changed.wait()
                target = self._asked
            self.began_ns = time.monotonic_ns()
            try:
                self._sync()
            except OSError as error:
                # A failed sync may have dropped the pages: trying again would only seem to succeed.
                self._later(self._on_failed, error)
                return
            self.began_ns = 0
            self._done = target
            self._later(self._on_synced, target)
