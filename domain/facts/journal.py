"""What the journal says of itself: who writes it, and what leaves the memory."""

from domain.facts.fact import Fact


class EpochStarted(Fact, frozen=True):
    """The first fact of a journal. `epoch` prefixes our order ids, so that two journals never give out the same id."""

    epoch: str
    version: str  # of the software that wrote it


class Started(Fact, frozen=True):
    """A process began to write here. `config` is what its decisions depend on, as JSON: a replay compares with it."""

    version: str
    config: str


class SnapshotTaken(Fact, frozen=True):
    """The state before the first batch of `segment` is in a snapshot; every replay must arrive at `state_hash`."""

    segment: int
    state_hash: str


class OrdersPaused(Fact, frozen=True):
    """No new orders or children until OrdersResumed, because the journal can hardly be written. Cancels go on."""

    text: str


class OrdersResumed(Fact, frozen=True):
    text: str


class OrdersRetired(Fact, frozen=True):
    """Parents that are done, and all that belongs to them, leave the memory; the journal still has them."""

    parent_ids: list[str]


JournalFact = EpochStarted | Started | SnapshotTaken | OrdersPaused | OrdersResumed | OrdersRetired
