"""Runs a node as a process: real clock, journal, sockets, signals."""

import asyncio
import gc
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import structlog
import uvloop

from domain.commands import ModelCommand, ReleaseKillSwitch, SetKillSwitch
from domain.facts import AnyFact
from fix import tcp
from router.features import FEATURES, schema_hash
from router.model import FillModel, ModelRefused, OnnxModel, PriorModel, champion
from service import venue_health
from service.config import ServiceConfig
from service.control import Command, serve_control
from service.journal import Journal, JournalError
from service.journaled import JournaledNode
from service.keeper import LOOK_S, Keeper
from service.kill_file import KillFile
from service.links import EMS_PORT, PeerKind, market_data_port
from service.logs import configure
from service.model_desk import ModelDesk
from service.node import Node, NodeOutput
from service.orders import OrderRefused
from service.orders import listing as open_orders
from service.recovery import recover
from service.reload import Reload, connect, passwords, reload
from service.replay import code_version
from service.sessions import SessionCommand, SessionRefused, check, label, listing

log = structlog.get_logger()


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


async def serve(config: ServiceConfig, path: Path) -> int:
    """Runs the daemon until SIGTERM or SIGINT; the exit status. `path`: of the config's file, to read it again."""
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
        secrets = passwords(config)
    except OSError as error:
        log.error("password_refused", text=str(error))
        return 1
    try:
        journal = Journal.open(
            config.journal_path,
            config.service.durability,
            segment_mb=config.journal.segment_mb,
            reserve_mb=config.journal.reserve_mb,
        )
        if journal.cut_bytes:
            log.warning("journal_tail_cut", path=str(journal.file), bytes=journal.cut_bytes)
        node = recovered_node(config, model, model_text, secrets)
        desk = ModelDesk(config)
        unresumed = desk.resume(node)
    except JournalError as error:
        log.error("journal_refused", text=str(error))
        return 1
    endpoint = JournaledNode(node, journal, loop.call_soon)
    commit = endpoint.commit_in_groups(loop.call_soon_threadsafe) if journal.syncs else None
    kill_file = KillFile(config.kill_path)
    kill_file.look()
    node.stops = lambda: kill_file.scopes
    endpoint.run(node.start, time.time_ns())
    if unresumed:
        log.error("trial_ended", text=unresumed)
        endpoint.run(desk.end_trial, node, unresumed, time.time_ns())
    listen = config.listen
    listener_tls = {EMS_PORT: listen.tls} if listen.tls else {}
    server = await tcp.serve(
        endpoint,
        {EMS_PORT: (listen.host, listen.port)},
        {},
        listener_tls=listener_tls,
        allow={EMS_PORT: listen.allow},
    )
    node.links.address_of = server.peer_address
    venues = {name: venue for venue in config.venues for name in (venue.name, market_data_port(venue.name))}
    for peer in node.links.peers:
        if peer.enabled and peer.kind is not PeerKind.CLIENT:
            connect(server, node.links, venues[label(peer)], label(peer))
    endpoint.release_to(server.perform)
    keeper = Keeper(endpoint, journal, config.journal, server.perform, commit)
    log.info("ready", addresses=server.addresses, model=serving(node))

    def apply_kill_file() -> None:
        for scope, (by, text) in kill_file.scopes.items():
            server.perform(endpoint.run(node.operator, SetKillSwitch(scope, by, text), server.now_ns()))

    def reconfigure(new: ServiceConfig, secrets: dict[str, str]) -> list[str]:
        done: list[str] = []

        def act() -> NodeOutput:
            output, what = node.reconfigure(new, secrets, server.now_ns())
            done.extend(what)
            return output

        server.perform(endpoint.run(act))
        return done

    def operate(command: Command) -> list[str] | None:
        nonlocal venues
        if isinstance(command, ModelCommand):
            desk.check(node, command)
            server.perform(endpoint.run(desk.change, node, command, server.now_ns()))
            desk.tell(node)
            return None
        if isinstance(command, Reload):
            new, done = reload(path, node.config, server, node.links, reconfigure)
            venues = {name: venue for venue in new.venues for name in (venue.name, market_data_port(venue.name))}
            log.warning("config_reloaded", by=command.by, changes=done)
            return done
        if isinstance(command, ReleaseKillSwitch) and command.scope in kill_file.scopes:
            raise SessionRefused(f"{command.scope} is held by the file {kill_file.path}: take it away first")
        if not isinstance(command, SessionCommand):
            if refusal := node.refusal(command, server.now_ns()):
                raise OrderRefused(refusal)
            server.perform(endpoint.run(node.operator, command, server.now_ns()))
            return None
        peer = check(node.links, command)  # what is refused must not reach the node as a failure
        server.perform(endpoint.run(node.session, command, server.now_ns()))
        log.warning("session_command", **msgspec.structs.asdict(command))
        if peer.kind is not PeerKind.CLIENT:
            if command.action == "disable":
                server.stop_connecting(label(peer))
            elif command.action in ("enable", "connect"):
                connect(server, node.links, venues[label(peer)], label(peer))
        return None

    async def keep() -> None:
        while True:
            keeper.look(server.now_ns())
            desk.tell(node)
            await asyncio.sleep(LOOK_S)

    calm_collector()
    apply_kill_file()
    kill_file.start(lambda: loop.call_soon_threadsafe(apply_kill_file))
    keeping = loop.create_task(keep())
    keeping.add_done_callback(lambda task: None if task.cancelled() else task.result())
    control = await serve_control(
        config.control_path,
        operate,
        lambda: status(node) | {"trial": desk.status(node)},
        lambda: listing(node.links),
        lambda: open_orders(node.state),
        desk.prepare,
    )
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
    keeping.cancel()
    await asyncio.sleep(0.1)  # for the counterparties' Logout
    while endpoint.holds and signals < 2 and not failed:
        await asyncio.sleep(0.01)
    control.close()
    await server.close()
    if commit is not None:
        commit.close()
    if signals < 2 and not failed:
        keeper.close(server.now_ns())
    journal.close()
    log.info("stopped")
    return 1 if failed else 0


def recovered_node(
    config: ServiceConfig, model: FillModel, model_text: str, secrets: Mapping[str, str] | None = None
) -> Node:
    """The node as its journal left it; JournalError where that can't be read. `secrets`: passwords, by venue."""
    began_ns = time.perf_counter_ns()
    recovered = recover(config.journal_path)
    for problem in recovered.problems:
        log.warning("snapshot_not_used", text=problem)
    counted = 0

    def batches() -> Iterator[list[AnyFact]]:
        nonlocal counted
        for batch in recovered.batches:
            counted += len(batch)
            yield batch

    gc.disable()  # everything that is made here is to stay
    try:
        node = Node(
            config,
            model,
            model_text,
            time.time_ns(),
            batches(),
            stopwatch=time.perf_counter_ns,
            work=time.thread_time_ns,
            image=recovered.image,
            passwords=secrets,
            version=code_version(),
        )
    finally:
        gc.enable()
    log.info(
        "recovered",
        first_segment=recovered.first_segment,
        snapshot=recovered.image is not None,
        facts=counted,
        seconds=round((time.perf_counter_ns() - began_ns) / 1e9, 3),
    )
    return node


def serving(node: Node) -> str:
    """The model that serves every parent, but for those of a canary."""
    trial = node.state.trial
    return trial.model_id if trial.stage == "champion" else node.engine.routing.model.model_id


def status(node: Node) -> dict[str, object]:
    """What an operator wants to see first."""
    state = node.state
    return {
        "model": serving(node),
        "open_parents": len(state.open_parents),
        "open_children": sum(len(children) for children in state.open_children.values()),
        "venues_up": sorted(state.venues_up),
        "venues": venue_health.listing(state, sorted(node.engine.routing.venues)),
        "priced": sorted(view.symbol for view in node.market.symbols.values() if view.mid2_px),
        "clients_logged_on": sorted(name for name, peer in node.links.clients.items() if peer.session.is_logged_on),
        "kill_switch": sorted(state.kill_switch.scopes),
        "paused": state.paused,
        "shutting_down": node.is_shutting_down,
    }


def run(config: ServiceConfig, path: Path) -> int:
    configure(config.service.log_level, config.service.log_file)
    return uvloop.run(serve(config, path.resolve()))
