"""The whole node in virtual time with the market, the venues and an EMS around it, journal on; its own time measured.

Only the time inside the node and its journal counts: bytes in, to journal written and bytes ready. The market, the
venues and the EMS run in the same process, so the node's caches are as cold as beside other work.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from domain.facts import ChildSubmitted, MessageReceived, MessageSent, ParentAccepted
from service.examples import daemon_config, simulators_config
from service.journal import Journal
from service.node import Node, NodeOutput
from service.runtime import calm_collector, load_model
from service.simulation import SECOND_NS, Simulation
from service.training import START_NS, WARM_UP_NS, bootstrap
from simulators.client import Ems, plan_parents
from simulators.client_session import EmsSession
from simulators.market import Market

PARENTS = 400
TRAINING_PARENTS = 200


class Stopwatch:
    """A node and its journal as an endpoint, with the time of each input."""

    def __init__(self, node: Node, journal: Journal) -> None:
        self.node = node
        self.order_ns: list[int] = []  # inputs that brought an order and sent its first child
        self.total_ns = 0
        self.inputs = 0
        self.order_messages = 0
        self._journal = journal

    def next_timer_ns(self) -> int | None:
        return self.node.next_timer_ns()

    def start(self, now_ns: int) -> NodeOutput:
        return self.node.start(now_ns)

    def connected(self, *args: Any) -> NodeOutput:
        return self._timed(self.node.connected, *args)

    def receive(self, *args: Any) -> NodeOutput:
        return self._timed(self.node.receive, *args)

    def disconnected(self, *args: Any) -> NodeOutput:
        return self._timed(self.node.disconnected, *args)

    def timer(self, *args: Any) -> NodeOutput:
        return self._timed(self.node.timer, *args)

    def _timed(self, method: Any, *args: Any) -> NodeOutput:
        started_ns = time.perf_counter_ns()
        output = method(*args)
        if output.facts:
            self._journal.append(output.facts)
        elapsed_ns = time.perf_counter_ns() - started_ns
        self.total_ns += elapsed_ns
        self.inputs += 1
        kinds = [type(fact) for fact in output.facts]
        self.order_messages += kinds.count(MessageReceived) + kinds.count(MessageSent)
        if ParentAccepted in kinds and ChildSubmitted in kinds:
            self.order_ns.append(elapsed_ns)
        return output


def figures() -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        bootstrap(directory / "models", TRAINING_PARENTS, 1, Console(quiet=True))
        calm_collector()  # as the daemon does
        watch = _run(directory)
    order_us = np.array(watch.order_ns) / 1e3
    p50, p99 = (float(np.percentile(order_us, share)) for share in (50, 99))
    per_second = watch.inputs / watch.total_ns * 1e9
    return [
        _figure("order_in_to_children_out_p50", p50, "us", "aim of 300 us", 300 / p50),
        _figure("order_in_to_children_out_p99", p99, "us", "aim of 1000 us", 1000 / p99),
        _figure("messages_per_second", per_second, "messages/s", None, None),
    ]


def _run(directory: Path) -> Stopwatch:
    config, simulators = daemon_config(), simulators_config()
    model, problem = load_model(config, directory / "models")
    assert not problem, problem
    client, market = config.clients[0], simulators.market()
    start_px = {symbol.symbol: symbol.start_px for symbol in market.symbols}
    duration_ns = PARENTS * SECOND_NS // 4
    plan = plan_parents(
        PARENTS,
        7,
        [item.instrument for item in config.instruments],
        START_NS + WARM_UP_NS,
        duration_ns,
        account=client.accounts[0],
        longest_ns=30 * SECOND_NS,
    )
    ems = Ems(EmsSession(client.begin_string, client.name, config.service.comp_id), plan, start_px.__getitem__)
    journal = Journal.open(directory / "journal")
    simulation = Simulation(
        config,
        Market(market, 7, START_NS),
        simulators.latency_ns(),
        model,
        {client.name: ems},
        START_NS,
        endpoint=lambda node: Stopwatch(node, journal),
    )
    simulation.world.run_until(START_NS + WARM_UP_NS + duration_ns)
    journal.close()
    return simulation.endpoint


def _figure(name: str, value: float, unit: str, vs: str | None, ratio: float | None) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "vs": vs, "ratio": ratio}
