"""Which ClOrdIDs clients used for orders that have left the memory: a duplicate is refused all the same.

An id is kept as 8 bytes of a hash. Among a million ids of a day, one that is new is taken for a duplicate with a
probability of 5e-14. Ids of the last day with orders and of the one before are known; clients begin anew each day.
"""

from hashlib import blake2b

import numpy as np

DAY_NS = 86_400_000_000_000
_RECENT = 16_384  # a sort of so many takes about a millisecond


class UsedIds:
    """Hashes of ids by day (UTC), in a dict until there are some thousands, then in sorted runs of 8 bytes each."""

    def __init__(self) -> None:
        self.day = 0
        self._recent: dict[int, None] = {}  # a set, in an order that every process agrees on
        self._runs: list[bytes] = []  # each sorted, and at least twice as long as the next
        self._runs_before: list[bytes] = []  # of the day before

    def has(self, client: str, cl_ord_id: str) -> bool:
        number = _hash(client, cl_ord_id)
        return number in self._recent or any(_holds(run, number) for run in self._runs + self._runs_before)

    def add(self, client: str, cl_ord_id: str) -> None:
        self._recent[_hash(client, cl_ord_id)] = None
        if len(self._recent) >= _RECENT:
            self._settle()

    def turn(self, at_ns: int) -> None:
        """Forgets the day before the last one, where `at_ns` is of a new day."""
        day = at_ns // DAY_NS
        if day > self.day:
            self._settle()
            self._runs_before = self._runs if self.day == day - 1 else []
            self._runs = []
            self.day = day

    def _settle(self) -> None:
        run = np.sort(np.fromiter(self._recent, dtype="<u8", count=len(self._recent)))
        self._recent = {}
        while self._runs and len(self._runs[-1]) < 16 * len(run):
            # Two sorted runs: a stable sort of numpy's merges them.
            run = np.sort(np.concatenate([np.frombuffer(self._runs.pop(), dtype="<u8"), run]), kind="stable")
        if len(run):
            self._runs.append(run.tobytes())


def _hash(client: str, cl_ord_id: str) -> int:
    return int.from_bytes(blake2b(f"{client}\0{cl_ord_id}".encode(), digest_size=8).digest(), "little")


def _holds(run: bytes, number: int) -> bool:
    numbers = np.frombuffer(run, dtype="<u8")
    at = int(numbers.searchsorted(np.uint64(number)))
    return at < len(numbers) and int(numbers[at]) == number
