"""Runs a node as a process: real clock, journal, sockets, signals. The only place where a batch meets the disk.

Order of things for every input: the node decides, its facts are written to the journal, then the bytes leave. What can
wait (logging, measuring) is done after the bytes are gone.
"""

import asyncio
import gc
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import structlog
import uvloop

from domain.commands import OperatorCommand
from domain.facts import AnyFact, ChildSubmitted, LatencyMeasured, ParentAccepted
from fix import tcp
from fix.endpoint import Link
from router.features import FEATURES, schema_hash
from router.model import FillModel, ModelRefused, OnnxModel, PriorModel, champion
from service.config import ServiceConfig
from service.control import serve_control
from service.journal import Journal, JournalError, read
from service.links import EMS_PORT, PeerKind, market_data_port
from service.logs import configure, log_fact
from service.node import Node, NodeOutput
from service.sessions import SessionCommand, check, label, listing

log = structlog.get_logger()


class JournaledNode:
    """A node as an `fix.endpoint.Endpoint` whose every batch is in the journal before its bytes are handed on.

    Once an input failed, in the node or on its way to the journal, the node may know what the journal does not: nothing
    more goes in, is written or leaves, and only a restart goes on.
    """

    def __init__(self, node: Node, journal: Journal, later: Callable[[Callable[[], None]], object]) -> None:
        self.node = node
        self._journal = journal
        self._later = later  # runs a function after the bytes of this input were written
        self._is_broken = False

    def connected(self, link: Link, port: str, now_ns: int) -> NodeOutput:
        return self.run(self.node.connected, link, port, now_ns)

    def receive(self, link: Link, data: bytes, now_ns: int) -> NodeOutput:
        return self.run(self.node.receive, link, data, now_ns)

    def disconnected(self, link: Link, now_ns: int) -> NodeOutput:
        return self.run(self.node.disconnected, link, now_ns)

    def timer(self, now_ns: int) -> NodeOutput:
        return self.run(self.node.timer, now_ns)

    def next_timer_ns(self) -> int | None:
        return None if self._is_broken else self.node.next_timer_ns()

    def run(self, act: Callable[..., NodeOutput], *arguments: Any) -> NodeOutput:
        """One input: `act` is a method of the node. What it raises ends everything."""
        started_ns = time.perf_counter_ns()
        if self._is_broken:
            return NodeOutput()
        self._is_broken = True  # unless it gets through
        output = act(*arguments)
        if output.facts:
            self._journal.append(output.facts)
            self._later(lambda: self._afterwards(started_ns, output.facts))
        self._is_broken = False
        for notice in self.node.links.take_notices():
            report = log.info if notice.event == "session_ended" else log.warning
            report(notice.event, text=notice.text)
        return output

    def _afterwards(self, started_ns: int, facts: list[AnyFact]) -> None:
        elapsed_ns = time.perf_counter_ns() - started_ns
        accepted = [fact.parent_id for fact in facts if isinstance(fact, ParentAccepted)]
        if accepted:
            routed = {fact.parent_id for fact in facts if isinstance(fact, ChildSubmitted)}
            now_ns = time.time_ns()
            measured: list[AnyFact] = [
                LatencyMeasured(at_ns=now_ns, parent_id=parent_id, order_in_to_child_out_ns=elapsed_ns)
                for parent_id in accepted
                if parent_id in routed
            ]
            self._journal.append(measured)
        for fact in facts:
            log_fact(fact)


def calm_collector() -> None:
    """Keeps the garbage collector out of the order path.

    Nearly all that the node drops is freed by reference counting. What it keeps, it keeps for long, and looking through
    that again and again took some milliseconds each time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 1_000)


def load_model(config: ServiceConfig, models: Path | None = None) -> tuple[FillModel, str]:
    """The champion of the registry and "", or the prior per venue and why; ModelRefused if the config requires one.

    `models` is another registry than the config's.
    """
    schema = schema_hash([venue.name for venue in config.venues if venue.enabled])
    prior = PriorModel(FEATURES.index("fill_prior"), schema)
    if not config.model.directory and models is None:
        return prior, "no model configured: fill probabilities are each venue's prior"
    registry = models or Path(config.model.directory)
    try:
        directory = champion(registry)
        if directory is None:
            raise ModelRefused(f"no model in {registry}")
        return OnnxModel.load(directory, schema), ""
    except ModelRefused as refused:
        if config.model.required:
            raise
        return prior, f"{refused}: fill probabilities are each venue's prior"


async def serve(config: ServiceConfig) -> int:
    """Runs the daemon until SIGTERM or SIGINT; the exit status."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    signals = 0

    def on_signal() -> None:
        nonlocal signals
        signals += 1
        stop.set()
        if signals > 1:
            drained.set()

    def on_failure(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        # The journal could not be written, or a bug: what is in memory may be ahead of the journal, so nothing more may
        # leave. A restart goes on from what was written.
        nonlocal failed
        failed = True
        log.critical("failed", text=f"{context['message']}: {context.get('exception')!r}")
        stop.set()
        drained.set()

    failed = False
    drained = asyncio.Event()
    loop.set_exception_handler(on_failure)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    try:
        model, model_text = load_model(config)
    except ModelRefused as refused:
        log.error("model_refused", text=str(refused))
        return 1
    try:
        journal = Journal.open(config.journal_path, config.service.durability)
    except JournalError as error:
        log.error("journal_refused", text=str(error))
        return 1
    if journal.cut_bytes:
        log.warning("journal_tail_cut", path=str(journal.path), bytes=journal.cut_bytes)
    node = Node(config, model, model_text, time.time_ns(), recorded=read(journal.path), stopwatch=time.perf_counter_ns)
    endpoint = JournaledNode(node, journal, loop.call_soon)
    endpoint.run(node.start, time.time_ns())
    addresses = {}
    for venue in config.venues:
        if venue.enabled:
            addresses[venue.name] = addresses[market_data_port(venue.name)] = (venue.host, venue.port)
    ours = [label(peer) for peer in node.links.peers if peer.enabled and peer.kind is not PeerKind.CLIENT]
    connectors = {name: addresses[name] for name in ours}
    server = await tcp.serve(endpoint, {EMS_PORT: (config.listen.host, config.listen.port)}, connectors)
    log.info("ready", addresses=server.addresses, model=model.model_id)

    def operate(command: OperatorCommand | SessionCommand) -> None:
        if not isinstance(command, SessionCommand):
            server.perform(endpoint.run(node.operator, command, server.now_ns()))
            return
        peer = check(node.links, command)  # what is refused must not reach the node as a failure
        server.perform(endpoint.run(node.session, command, server.now_ns()))
        log.warning("session_command", **msgspec.structs.asdict(command))
        if peer.kind is not PeerKind.CLIENT:
            if command.action == "disable":
                server.stop_connecting(label(peer))
            elif command.action in ("enable", "connect"):
                server.connect(label(peer), addresses[label(peer)])

    calm_collector()
    control = await serve_control(config.control_path, operate, lambda: status(node), lambda: listing(node.links))
    await stop.wait()
    if failed:
        return 1
    log.info("stopping", on_shutdown=config.service.on_shutdown)
    server.perform(endpoint.run(node.begin_shutdown, server.now_ns()))
    deadline = loop.time() + config.service.shutdown_timeout_s
    while not node.is_drained and loop.time() < deadline and not drained.is_set():
        await asyncio.sleep(0.02)
    if not node.is_drained:
        log.warning("stopped_with_open_children", text="their state is asked for after the restart")
    server.perform(endpoint.run(node.end_shutdown, server.now_ns()))
    await asyncio.sleep(0.1)  # for the counterparties' Logout
    control.close()
    await server.close()
    journal.close()
    log.info("stopped")
    return 1 if failed else 0


def status(node: Node) -> dict[str, object]:
    """What an operator wants to see first."""
    state = node.state
    return {
        "model": node.engine.routing.model.model_id,
        "open_parents": len(state.open_parents),
        "open_children": sum(len(children) for children in state.open_children.values()),
        "venues_up": sorted(state.venues_up),
        "priced": sorted(view.symbol for view in node.market.symbols.values() if view.mid2_px),
        "clients_logged_on": sorted(name for name, peer in node.links.clients.items() if peer.session.is_logged_on),
        "kill_switch": sorted(state.kill_switch.scopes),
        "shutting_down": node.is_shutting_down,
    }


def run(config: ServiceConfig) -> int:
    configure(config.service.log_level, config.service.log_file)
    return uvloop.run(serve(config))
