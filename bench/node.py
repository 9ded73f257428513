"""The whole node with its journal: bytes in, decisions made, journal written, bytes ready to leave.

A run in virtual time with the market, the venues and an EMS records every input of the node: bytes, connections and
timers, in their order. A fresh node then gets the same inputs one after the other, alone as in its own process, and
each is timed. What it answers is the same as in the run, to the byte.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from domain.facts import AnyFact, ChildSubmitted, ParentAccepted
from router.model import FillModel
from service.config import ServiceConfig
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


class Inputs:
    """A node as an endpoint that keeps what it is given."""

    def __init__(self, node: Node) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.facts: list[AnyFact] = []
        self._node = node

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._node, name)
        if name == "next_timer_ns":
            return method

        def called(*args: Any) -> NodeOutput:
            self.calls.append((name, args))
            output = method(*args)
            self.facts += output.facts
            return output

        return called


def figures() -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        bootstrap(directory / "models", TRAINING_PARENTS, 1, Console(quiet=True))
        config = daemon_config()
        model, problem = load_model(config, directory / "models")
        assert not problem, problem
        inputs = record(config, model)
        node = Node(config, model, "", START_NS)
        calm_collector()  # as the daemon does
        order_ns, elapsed_ns, messages = _replay(node, Journal.open(directory / "journal"), inputs)
    order_us = np.array(order_ns) / 1e3
    p50, p99 = (float(np.percentile(order_us, share)) for share in (50, 99))
    return [
        _figure("order_in_to_children_out_p50", p50, "us", "aim of 300 us", 300 / p50),
        _figure("order_in_to_children_out_p99", p99, "us", "aim of 1000 us", 1000 / p99),
        _figure("messages_per_second", messages / elapsed_ns * 1e9, "messages/s", None, None),
    ]


def record(config: ServiceConfig, model: FillModel) -> Inputs:
    simulators = simulators_config()
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
    simulation = Simulation(
        config,
        Market(market, 7, START_NS),
        simulators.latency_ns(),
        model,
        {client.name: ems},
        START_NS,
        endpoint=Inputs,
    )
    simulation.world.run_until(START_NS + WARM_UP_NS + duration_ns)
    return simulation.endpoint


def _replay(node: Node, journal: Journal, inputs: Inputs) -> tuple[list[int], int, int]:
    """Times in ns of the inputs that brought an order and sent its first child, of all inputs, and messages in."""
    order_ns, total_ns, messages = [], 0, 0
    written = 0
    for name, args in inputs.calls:
        method = getattr(node, name)
        started_ns = time.perf_counter_ns()
        output = method(*args)
        if output.facts:
            journal.append(output.facts)
        elapsed_ns = time.perf_counter_ns() - started_ns
        total_ns += elapsed_ns
        if name == "receive":
            messages += args[1].count(b"\x0110=")
        kinds = {type(fact) for fact in output.facts}
        if ParentAccepted in kinds and ChildSubmitted in kinds:
            order_ns.append(elapsed_ns)
        written += len(output.facts)
    journal.close()
    assert written == len(inputs.facts), "the same inputs gave other facts"
    return order_ns, total_ns, messages


def _figure(name: str, value: float, unit: str, vs: str | None, ratio: float | None) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "vs": vs, "ratio": ratio}
