"""What goes wrong in a run, drawn from its seed: the character of network and disk, and events at their times.

A run has a stretch of time for faults, after which nothing goes wrong any more. What is drawn here does not depend on
how the node answers, so a seed means the same faults as long as this page stays as it is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple

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
    # the node
    "crash": 8,
    "clock": 2,
    "stop": 2,  # SIGTERM and a start; or SIGTERM twice
    "disk": 4,
    "snapshot": 4,  # no fault by itself: what starts later begins there
    # connections
    "cut": 6,
    "drop": 3,  # one end is told, the other not
    "silence": 3,  # neither is
    "stall": 4,
    "again": 2,  # the last messages are sent once more, as a peer does that was asked for them twice
    # operators
    "kill": 2,
    "kill file": 2,
    # venues
    "overfill": 4,
    "late fill": 4,  # of an order that has ended
    "bust": 4,
    "correction": 4,
    "reduce": 2,
    "purge": 1,  # all that rests there is cancelled unasked
    "refuse": 2,  # orders and requests, for a while
    "stray": 1,  # a fill of an order that nobody sent
    "forget": 2,  # it starts its sequence numbers anew, and with them forgets what it had not delivered
    "repeat": 2,  # it says its last reports again, as new messages
    "gap": 2,  # numbers that were never used
    "ahead": 1,  # SequenceReset(4) in reset mode
    # market data
    "freeze": 2,
    "cross": 2,
}
LEAVES = ("unwritten", "nothing", "one write", "everything")
DISK_FAULTS = ("error", "full", "slow")
MISTAKES = frozenset({"overfill", "late fill", "bust", "correction", "reduce", "purge", "stray"})


def network(random: Random) -> BadNetwork:
    return BadNetwork(random, random.choice((0, MS // 10, MS, 20 * MS, 200 * MS)), random.choice((0.0, 0.1, 0.7)))


def conduct(random: Random) -> dict[str, Any]:
    """What a venue's lines and limits are like: most are good."""
    figures: dict[str, Any] = {}
    u_latency, u_limit, u_slices = random.random(), random.random(), random.random()
    median_us, tail = random.uniform(100, 5_000), random.uniform(2, 40)
    limit, on_excess = random.randint(2, 12), random.choice(("business_reject", "reject", "queue"))
    slices_ms = random.uniform(20, 800)
    if u_latency < 0.4:
        figures["latency_in"] = figures["latency_out"] = {"median_us": median_us, "p99_us": median_us * tail}
    if u_limit < 0.3:
        figures |= {"messages_per_second": limit, "on_excess": on_excess}
    if u_slices < 0.3:
        figures["conflate_ms"] = slices_ms
    return figures


def sync_ns(random: Random) -> int:
    """How long the disk takes to sync; 0: nobody waits for it."""
    return random.choice((0, 0, MS // 5, 5 * MS, 60 * MS))


def events(random: Random, connections: list[str], venues: list[str], scopes: list[str], span_ns: int) -> list[Event]:
    """Between one and ten, in order of time. `connections`: the names of all that can be cut."""
    drawn = []
    for _ in range(random.randint(1, 10)):
        kind = random.choices(list(KINDS), list(KINDS.values()))[0]
        at_ns = random.randrange(span_ns)
        amount_ns = int(random.choice((0.001, 0.3, 1.0, 4.0)) * SECOND_NS * (0.5 + random.random()))
        target, detail = "node", ""
        match kind:
            case "crash":
                detail = f"{random.choice(LEAVES)} after {random.randint(1, 120)} inputs"
            case "clock":
                amount_ns *= random.choice((-1, 1))
            case "stop":
                detail = random.choice(("", "", "twice"))
            case "disk":
                detail = random.choice(DISK_FAULTS)
            case "snapshot":
                pass
            case "kill" | "kill file":
                target = random.choice(scopes)
            case "cut" | "drop" | "silence" | "stall" | "again":
                target = random.choice(connections)
            case _:
                target = random.choice(venues)
        drawn.append(Event(at_ns, kind, target, amount_ns, detail))
    return sorted(drawn)
