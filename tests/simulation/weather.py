"""What goes wrong in a run, drawn from its seed: the character of the network, and events at their times.

A run has a stretch of time for faults, after which nothing goes wrong any more. What is drawn here does not depend on
how the node answers, so a seed means the same faults as long as this page stays as it is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

MS = 1_000_000
SECOND_NS = 1_000_000_000


class Event(NamedTuple):
    """At `at_ns` after the start: `kind` happens to `target`, for or by `amount_ns`."""

    at_ns: int
    kind: str
    target: str
    amount_ns: int
    detail: str = ""

    def __str__(self) -> str:
        detail = f" {self.detail}" if self.detail else ""
        return f"{self.at_ns / 1e9:8.3f} s  {self.kind} {self.target}{detail} {self.amount_ns / 1e6:.0f} ms"


@dataclass(slots=True)
class BadNetwork:
    """A `simulators.world.Network`: jitter that is sometimes long, and writes that arrive in pieces."""

    random: Random
    jitter_ns: int
    cut_share: float  # of the writes, that arrive in pieces
    is_calm: bool = False

    def pieces(self, link: int, data: bytes) -> Iterator[tuple[int, bytes]]:
        random = self.random
        if self.is_calm:
            yield 0, data
            return
        at = 0
        if random.random() < self.cut_share and len(data) > 1:
            for cut in sorted(random.sample(range(1, len(data)), min(random.randint(1, 4), len(data) - 1))):
                yield int(random.expovariate(1.0) * self.jitter_ns), data[at:cut]
                at = cut
        yield int(random.expovariate(1.0) * self.jitter_ns), data[at:]


# What can go wrong, and how often relative to each other.
KINDS = {
    "crash": 6,
    "cut": 5,
    "drop": 2,  # one end is told, the other not
    "silence": 2,  # neither is
    "stall": 3,
    "clock": 1,
    "kill": 1,
    "stop": 1,  # SIGTERM and a start
    "forget": 1,  # a venue starts its sequence numbers anew, and with them forgets what it had not delivered
    "repeat": 1,  # a venue says its last reports again, as new messages
}
LEAVES = ("unwritten", "nothing", "one write", "everything")


def network(random: Random) -> BadNetwork:
    return BadNetwork(random, random.choice((0, MS // 10, MS, 20 * MS, 200 * MS)), random.choice((0.0, 0.1, 0.7)))


def events(random: Random, connections: list[str], venues: list[str], scopes: list[str], span_ns: int) -> list[Event]:
    """Between one and eight, in order of time. `connections`: the names of all that can be cut."""
    drawn = []
    for _ in range(random.randint(1, 8)):
        kind = random.choices(list(KINDS), list(KINDS.values()))[0]
        at_ns = random.randrange(span_ns)
        amount_ns = int(random.choice((0.001, 0.3, 1.0, 4.0)) * SECOND_NS * (0.5 + random.random()))
        match kind:
            case "crash":
                detail = random.choice(LEAVES)
                drawn.append(Event(at_ns, kind, "node", amount_ns, f"{detail} after {random.randint(1, 120)} inputs"))
            case "clock":
                drawn.append(Event(at_ns, kind, "node", random.choice((-1, 1)) * amount_ns))
            case "kill":
                drawn.append(Event(at_ns, kind, random.choice(scopes), amount_ns))
            case "stop":
                drawn.append(Event(at_ns, kind, "node", amount_ns))
            case "forget" | "repeat":
                drawn.append(Event(at_ns, kind, random.choice(venues), amount_ns))
            case _:
                drawn.append(Event(at_ns, kind, random.choice(connections), amount_ns))
    return sorted(drawn)
