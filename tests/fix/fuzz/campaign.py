"""Case after case, each with a random generator of its own, and what they found, each kind of finding once."""

import gc
import random
import resource
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from fix.dictionary import SUPPORTED
from tests.fix.fuzz.cases import Engine, decoder_case, framer_case, lobby_case
from tests.fix.fuzz.corpus import dialogues, messages
from tests.fix.fuzz.talk import session_case

CASE_BYTES = 30_000
MAX_GROWTH = 48 << 20  # bytes of the whole process over a campaign, once caches are full
_WARM = 0.5  # of the bytes, until which they may fill
_CASES: dict[str, tuple[Callable[[Engine, random.Random, int], int], float]] = {
    "framer": (framer_case, 0.2),
    "decoder": (decoder_case, 0.25),
    "lobby": (lobby_case, 0.05),
    "session": (session_case, 0.5),
}


@dataclass
class Finding:
    case: int
    text: str
    times: int = 1


class Campaign:
    """`findings`: by the place in which they show."""

    def __init__(self, seed: int, engine: Engine = Engine(), only: str = "") -> None:  # noqa: B008 - a tuple
        self.seed = seed
        self.engine = engine
        self.findings: dict[str, Finding] = {}
        self.fed: Counter[str] = Counter()
        self.growth = 0
        self.seconds = 0.0
        self._names = [only] if only else list(_CASES)

    def run(self, total: int, case_bytes: int) -> Iterator[int]:
        """Yields how many bytes went in so far."""
        for version in SUPPORTED:  # what is kept for good
            messages(version)
            dialogues(version)
        began, settled = monotonic(), 0
        number = 0
        while self.fed.total() < total:
            try:
                self.play(number, case_bytes)
            except Exception as error:
                self._note(number, error)
                self.fed["ended early"] += case_bytes
            if not settled and self.fed.total() > _WARM * total:
                settled = resident()
            number += 1
            yield self.fed.total()
        self.growth = resident() - settled
        self.seconds = monotonic() - began
        if self.growth > MAX_GROWTH:
            self.findings["memory"] = Finding(0, f"the process grew by {self.growth:,} bytes")

    def play(self, number: int, case_bytes: int) -> None:
        rng = random.Random(f"{self.seed}:{number}")
        weights = [_CASES[name][1] for name in self._names]
        (name,) = rng.choices(self._names, weights)
        self.fed[name] += _CASES[name][0](self.engine, rng, case_bytes)

    def _note(self, number: int, error: Exception) -> None:
        frames = traceback.extract_tb(error.__traceback__)
        place = f"{type(error).__name__} {frames[-1].filename}:{frames[-1].lineno}"
        if place in self.findings:
            self.findings[place].times += 1
        else:
            self.findings[place] = Finding(number, "".join(traceback.format_exception(error)))

    def summary(self) -> str:
        parts = ", ".join(f"{name} {fed:,}" for name, fed in sorted(self.fed.items()))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return (
            f"{self.fed.total():,} bytes in {self.seconds:.0f} s ({parts}); {len(self.findings)} findings; "
            f"memory grew by {self.growth:,} bytes, at most {peak:,}"
        )


def resident() -> int:
    """Bytes of this process in memory."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
