"""The order of things: facts are on disk before a byte leaves, and after a failure nothing leaves at all."""

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from domain.facts import LatencyMeasured, MessageSent, ParentAccepted
from domain.fields import Side
from router.features import FEATURES, schema_hash
from router.model import PriorModel
from service.examples import simulators_config
from service.frames import HEADER_BYTES, scan
from service.journal import Journal, JournalWriteError, read
from service.journaled import JournaledNode
from service.node import Node, NodeOutput
from service.simulation import Simulation
from simulators.client import Ems
from simulators.client_session import EmsSession
from tests.service.platform import SECOND_NS, START_NS, small_config, small_market

APPLICATION = (b"\x0135=D\x01", b"\x0135=F\x01", b"\x0135=8\x01", b"\x0135=9\x01", b"\x0135=H\x01")


class Witness:
    """Looks into the journal's file between the answer of a node and the moment when its bytes leave."""

    def __init__(self, node: Node, path: Path) -> None:
        self.later: list[Callable[[], None]] = []
        self.endpoint = JournaledNode(node, Journal.open(path), self.later.append)
        self.seen = 0
        self._path = path / "00000001.journal"
        self._end = HEADER_BYTES

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.endpoint, name, None)
        if name == "next_timer_ns":
            return method
        if method is None:
            return lambda *arguments: self.witnessed(self.endpoint.run(getattr(self.endpoint.node, name), *arguments))
        return lambda *arguments: self.witnessed(method(*arguments))

    def witnessed(self, output: NodeOutput) -> NodeOutput:
        data = self._path.read_bytes()[self._end :]
        self._end += len(data)
        written = b"".join(scan(data).payloads)
        for _, sent in output.writes:
            for message in sent.split(b"8=FIX")[1:]:
                if any(kind in message for kind in APPLICATION) and b"\x0143=Y" not in message:
                    assert message in written, message
                    self.seen += 1
        later, self.later[:] = list(self.later), []
        for act in later:
            act()
        self._end = self._path.stat().st_size
        return output


@pytest.fixture
def trading(tmp_path: Path) -> Simulation:
    """A platform with a journal in a file, every venue up, and the EMS of one client."""
    config, market = small_config(), small_market(1)
    model = PriorModel(FEATURES.index("fill_prior"), schema_hash([venue.name for venue in config.venues]))
    simulation = Simulation(
        config,
        market,
        simulators_config().latency_ns(),
        model,
        {"EMS1": Ems(EmsSession("FIX.4.4", "EMS1", "FAIRLEAD"))},
        START_NS,
        lambda node: Witness(node, tmp_path / "journal"),
    )
    simulation.world.run_until(START_NS + 2 * SECOND_NS)
    return simulation


def order(simulation: Simulation, cl_ord_id: str, seconds: float = 1) -> None:
    simulation.ems["EMS1"].new_order(cl_ord_id, "ALFA", Side.BUY, 500, account="ACC1", strategy="sweep")
    simulation.world.wake("EMS1")
    simulation.world.run_until(simulation.world.now_ns + int(seconds * SECOND_NS))


def test_what_leaves_is_on_disk_already(trading: Simulation, tmp_path: Path):
    for number in range(5):
        order(trading, f"O{number}")
    assert trading.is_done
    assert trading.endpoint.seen > 20
    facts = [fact for batch in read(tmp_path / "journal") for fact in batch]
    assert sum(isinstance(fact, MessageSent) for fact in facts) >= trading.endpoint.seen
    measured = [fact.parent_id for fact in facts if isinstance(fact, LatencyMeasured)]
    assert measured == [fact.parent_id for fact in facts if isinstance(fact, ParentAccepted)]


@contextmanager
def disk_full(path: Path) -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 100, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_after_a_failed_write_nothing_goes_in_or_out_until_a_restart(trading: Simulation, tmp_path: Path):
    order(trading, "GOOD")
    journal, seen = tmp_path / "journal" / "00000001.journal", trading.endpoint.seen
    before = journal.read_bytes()
    with disk_full(journal), pytest.raises(JournalWriteError, match="File too large"):
        order(trading, "LOST")
    trading.world.run_until(trading.world.now_ns + 60 * SECOND_NS)  # there is room again, and the peers go on talking
    trading.world.cut(trading.links["ARGO"])
    assert trading.endpoint.seen == seen
    assert journal.read_bytes() == before
    assert trading.endpoint.next_timer_ns() is None
    assert trading.ems["EMS1"].orders["LOST"].reports == []


def test_a_bug_in_the_node_stops_it_as_well(trading: Simulation, tmp_path: Path):
    order(trading, "GOOD")
    before = (tmp_path / "journal" / "00000001.journal").read_bytes()
    endpoint = trading.endpoint.endpoint
    with pytest.raises(KeyError):
        endpoint.connected(10_001, "a port that the config does not have", trading.world.now_ns)
    output = endpoint.run(endpoint.node.begin_shutdown, trading.world.now_ns)
    assert (output.facts, output.writes, output.closes) == ([], [], [])
    assert (tmp_path / "journal" / "00000001.journal").read_bytes() == before
