"""One run: a platform on a bad network, faults at their times, then calm, and all sides have to agree.

`Trial(seed).run()` raises on the first thing that must not be; everything about a run follows from its seed.
"""

import tempfile
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from random import Random

import msgspec

from domain.commands import OperatorCommand, ReleaseKillSwitch, SetKillSwitch
from fix.config import SessionOptions
from fix.messages import Typed
from service.config import ServiceConfig
from service.node import VERSION, Node, NodeOutput
from service.reconcile import reconcile
from service.replay import Replayer
from service.sessions import Action, SessionCommand
from service.snapshot import load, write
from simulators.client import Ems
from simulators.market_config import MarketConfig
from tests.service.platform import (
    MS,
    START_NS,
    SYMBOLS,
    VENUES,
    Platform,
    picture,
    simulators_config,
    small_config,
)
from tests.simulation import weather
from tests.simulation.disk import Disk
from tests.simulation.erratic import ErraticMarket
from tests.simulation.mistakes import Mistakes
from tests.simulation.process import WatchedProcess
from tests.simulation.told import Wrong
from tests.simulation.weather import MISTAKES, SECOND_NS, Event

SOH = "\x01"
FAULTS_NS = 10 * SECOND_NS
REPEATED = 20  # reports that a venue says again, at most
AGAIN = 5  # messages that a peer sends once more, unasked
HEART_BT_INT = 4  # seconds: a silent connection is noticed within ten
SCOPES = ("firm", "venue:ARGO", "venue:FORD", "client:EMS1", "symbol:ALFA", "account:ACC1", "strategy:sweep")

# What an EMS may complain of although the node is right: the network was bad.
WEATHER_COMPLAINTS = ("nothing received for",)


class Trial(Platform):
    """`say` gets a line for each fault and, with `trace`, each message."""

    look_ns = 20 * MS

    def __init__(self, seed: int, say: Callable[[str], None] | None = None, *, trace: bool = False) -> None:
        self.seed = seed
        self.random = Random(f"faults/{seed}")
        self.network = weather.network(self.random)
        self.disk = Disk(Random(f"disk/{seed}"), weather.sync_ns(self.random), lambda: self.world.time_of("node"))
        self.market = _market(seed)
        self._say = say
        self._stops: dict[str, tuple[str, str]] = {}  # what a file stops
        self.restarts = 0
        super().__init__(
            seed=seed,
            parents=self.random.randint(2, 5),
            config=_config(Random(f"config/{seed}")),
            market=self.market,
            network=self.network,
            endpoint=lambda node: WatchedProcess(node, self.disk, lambda: self._stops, self.say),
            heart_bt_int=HEART_BT_INT,
        )
        if trace:
            self.process.trace = self._trace
        connections = list(self.links)
        self.events = weather.events(self.random, connections, list(VENUES), list(SCOPES), FAULTS_NS)
        self.mistakes = Mistakes(self.exchange, self.market, Random(f"mistakes/{seed}"))
        self._due: list[tuple[int, str, str]] = []  # what ends a fault: when, what, of whom
        self._not_yet: list[Event] = []  # mistakes that there was no order for
        self._snapshot: tuple[Path, int] | None = None  # and how many batches came before
        self._told: dict[str, deque[Typed]] = {venue: deque(maxlen=REPEATED) for venue in VENUES}
        self._tell = self.exchange.floor._report
        self.exchange.floor._report = self._remember
        self.on_restart: Callable[[Node], object] = lambda node: None  # what a test does to each new node

    def say(self, line: str) -> None:
        if self._say is not None:
            self._say(f"{(self.now_ns - START_NS) / 1e9:8.3f} s  {line}" if line[:1] != " " else line)

    def run_trial(self) -> None:
        """Wrong, or AssertionError, with what must not be."""
        with ExitStack() as self._files:
            for event in self.events:
                self._go_on(START_NS + event.at_ns)
                self.say(str(event))
                self._strike(event)
            self._go_on(START_NS + FAULTS_NS)
            self._calm()
            self.finish()
            self.check()

    # --- faults ---

    def _go_on(self, until_ns: int) -> None:
        while self.now_ns < until_ns:
            self.run(min(0.05, (until_ns - self.now_ns) / 1e9))
            self._end_what_is_due(self.now_ns)
            self._not_yet = [event for event in self._not_yet if not self._mistake(event)]

    def _strike(self, event: Event) -> None:
        target, kind, amount_ns = event.target, event.kind, event.amount_ns
        link, until_ns, exchange = self.links.get(target, -1), self.now_ns + abs(event.amount_ns), self.exchange
        if kind in MISTAKES:
            if not self._mistake(event):
                self._not_yet.append(event)
            return
        match kind:
            case "crash":
                leaves, _, inputs = event.detail.partition(" after ")
                self.process.dies_after = self.process.inputs + int(inputs.split()[0])
                self.process.leaves, self.downtime_ns = leaves, amount_ns
            case "clock":
                self.world.set_clock("node", amount_ns)
            case "stop":
                self._stop(amount_ns, twice=event.detail == "twice")
            case "disk":
                self._spoil_disk(event.detail, self.world.time_of("node") + amount_ns)
            case "snapshot":
                self._take_snapshot()
            case "cut":
                self.kept_away.add(target)
                self._due.append((until_ns, "cut", target))
                self.world.cut(link)
            case "drop":
                self.world.drop(link)
            case "silence":
                self.world.silence(link)
            case "stall":
                self.world.stall(link, until_ns)
            case "again":
                self._say_again(target)
            case "kill":
                self.operator(SetKillSwitch(target, "ops", "drill"))
                self._due.append((until_ns, "kill", target))
            case "kill file":
                self._stops[target] = ("kill file", "drill")
                self._due.append((until_ns, "kill file", target))
            case "refuse":
                self.market.refuse(target, until_ns)
            case "forget":
                self.world.cut(link)
                exchange._venues[target].orders.session.store.reset()
                self._due.append((until_ns, "forget", target))
            case "repeat":
                self._repeat(target, list(self._told[target]))
            case "gap":
                exchange.skip_numbers(target, "both", 3)
            case "ahead":
                exchange.reset_numbers(target, "orders", 3, self.now_ns)
                self._repeat(target, self.mistakes.reports(target))
            case "freeze" | "cross":
                self._show_books(target, 3 if kind == "cross" else 0)
                exchange.freeze(target, until_ns)
                self._due.append((until_ns, kind, target))

    def _end_what_is_due(self, now_ns: int) -> None:
        due, self._due = [item for item in self._due if item[0] <= now_ns], [i for i in self._due if i[0] > now_ns]
        for item in due:
            _, kind, target = item
            match kind:
                case "cut":
                    self.kept_away.discard(target)
                case "kill":
                    self.operator(ReleaseKillSwitch(target, "ops"))
                case "kill file":
                    self._stops.pop(target, None)
                    self.operator(ReleaseKillSwitch(target, "ops"))
                case "forget":
                    if not self._begin_anew(target):
                        self._due.append(item)
                case "freeze" | "cross":
                    self._show_books(target, 0)

    def _mistake(self, event: Event) -> bool:
        if not self.mistakes.make(event.kind, event.target, self.now_ns):
            return False
        self.say(f"{event.target} makes a mistake: {event.kind}")
        self.world.wake("exchange")
        return True

    def _spoil_disk(self, how: str, until_ns: int) -> None:
        match how:
            case "error":
                self.disk.fails = True
            case "full":
                self.disk.full_until_ns = until_ns
            case "slow":
                self.disk.slow_until_ns = until_ns

    def _take_snapshot(self) -> None:
        """As before a new segment begins: all that was written is synced."""
        if self.process.node is not None:
            self.disk.sync()
            directory = Path(self._files.enter_context(tempfile.TemporaryDirectory()))
            file = directory / f"{len(self.disk.written)}.snapshot"
            write(file, self.node.image())
            self._snapshot = file, len(self.disk.written)

    def _say_again(self, name: str) -> None:
        """A peer repeats what it sent last, as PossDup, though nobody asked for it."""
        if name in self.ems:
            client = self.ems[name]
            if client.session.is_logged_on:
                client.session._resend(max(client.session.next_out - AGAIN, 1), 0, self.now_ns)
                self.world.perform(client._output())
            return
        venue = name.removesuffix("MD")
        channel = getattr(self.exchange._venues[venue], "data" if name.endswith("MD") else "orders")
        if channel.session.is_logged_on:
            end = channel.session.store.next_out - 1
            channel.session.out.replay(max(end - AGAIN, 1), end, self.now_ns)
            self.exchange._touched[channel.session.name] = channel
            self.world.perform(self.exchange.timer(self.now_ns))

    def _show_books(self, venue: str, crossed_ticks: int) -> None:
        for symbol in SYMBOLS:
            self.exchange.show_book(venue, symbol, crossed_ticks, self.now_ns)
        self.world.wake("exchange")

    def _remember(self, venue: str, at_ns: int, message: Typed) -> None:
        self._told[venue].append(message)
        self.mistakes.heard(venue, message)
        self._tell(venue, at_ns, message)

    def _repeat(self, venue: str, reports: list[Typed]) -> None:
        for report in reports:
            self._tell(venue, self.now_ns, report)
        self.world.wake("exchange")

    def _begin_anew(self, venue: str) -> bool:
        """Neither side can mend that alone: operators of both agree to begin with 1, and on what was out of order."""
        if self.process.node is None or self.node.is_shutting_down:
            return False
        self._session("disable", venue)
        self.run(0.1)
        if self.process.node is None or self.node.links.venues[venue].link is not None:
            return False
        self._session("reset", venue)
        self.exchange._venues[venue].orders.session.store.reset()
        self._repeat(venue, self.mistakes.reports(venue))
        self._session("enable", venue)
        return True

    def _session(self, action: Action, venue: str) -> None:
        command = SessionCommand(action, venue, "ops")
        self.perform(self.process.perform(self.node.session(command, self.world.time_of("node"))))

    def _is_disabled(self, venue: str) -> bool:
        return not self.node.links.venues[venue].enabled

    def operator(self, command: OperatorCommand) -> None:
        while self.process.node is None:
            self.run(0.02)
        super().operator(command)

    def _stop(self, downtime_ns: int, *, twice: bool) -> None:
        """SIGTERM: until nothing is left to wait for, or until the second one. Who is down already hears nothing."""
        if self.process.node is None:
            return
        self.begin_shutdown()
        until_ns = self.now_ns + SECOND_NS
        while not twice and self.process.node is not None and not self.node.is_drained and self.now_ns < until_ns:
            self.run(0.02)
        if self.process.node is None or not self.node.is_shutting_down:  # it may have crashed meanwhile
            return
        self.end_shutdown()
        if not twice:
            self.run(0.05)
        while self.process.node is not None and self.process.holds and not twice and self.node.is_shutting_down:
            self.run(0.01)
        if self.process.node is not None and self.node.is_shutting_down:
            self.downtime_ns = downtime_ns
            self.process.end()

    def _calm(self) -> None:
        self.say("calm")
        self.network.is_calm = True
        self.process.dies_after = 0
        self._not_yet.clear()
        self.disk.mend()
        while self._due:
            self._end_what_is_due(self.now_ns + (1 << 60))
            self.run(0.3)
        self.run(0.02)  # a node that is down is there again
        for venue in VENUES:
            if self._is_disabled(venue):  # an operator's command may go with the power; he looks, and says it again
                self._session("enable", venue)

    def _revive(self) -> None:
        super()._revive()
        disk, node = self.disk, self.process.node
        if node is not None and (disk.full_until_ns or disk.is_short or node.state.paused or disk.slow_until_ns):
            self.perform(self.process.look(self.world.time_of("node")))

    def new_node(self) -> Node:
        before = self.process.dead
        if self._snapshot is not None and self._snapshot[1] <= len(self.disk.written):
            file, batches = self._snapshot
            self.say(f"start from the snapshot before batch {batches} of {len(self.disk.written)}")
            recorded = list(self.process.recorded())[batches:]
            now_ns = self.world.time_of("node")
            node = Node(self.config, self.model, "", now_ns, recorded=recorded, image=load(file))
        else:
            self.say("start")
            node = super().new_node()
        if before is not None and picture(node.state) != picture(before.state):
            raise Wrong("the journal gives another state than the node had that wrote it")
        self.restarts += 1
        self.process.adopt(node)
        self.process.watch.started(self.world.time_of("node"))
        self.on_restart(node)
        return node

    # --- the end ---

    @property
    def is_done(self) -> bool:
        """For the clients and for us, and whoever has something left to say has been heard."""
        node = self.process.node
        return (
            super().is_done
            and node is not None
            and not any(node.state.open_children.values())
            and all(self._has_heard(name, node) for name in VENUES)
            and all(self._is_heard(client, node) for client in self.ems.values())
        )

    def _has_heard(self, venue: str, node: Node) -> bool:
        """All that the venue said. Two that lost each other may both take themselves for connected for a while."""
        peer, told = node.links.venues[venue], self.exchange._venues[venue].orders.session.store.next_out
        return peer.session.is_logged_on and peer.store.next_in == told

    @staticmethod
    def _is_heard(client: Ems, node: Node) -> bool:
        peer = node.links.clients[client.session.sender_comp_id]
        return client.session.is_logged_on and client.session.next_in == peer.store.next_out

    def check(self) -> None:
        for client in self.ems.values():
            client.violations[:] = [v for v in client.violations if not v.startswith(WEATHER_COMPLAINTS)]
        super().check()

    def check_books(self) -> None:
        """All agree but for what venues filled beyond the clients' orders: to the share what was counted here."""
        orders = {name: client.orders.values() for name, client in self.ems.items()}
        books = reconcile(self.facts, orders, self.exchange.ledger)
        parents = self.process.watch.parents
        excess = [
            f"{parent_id}: {parent.cum_qty + parent.excess_qty} filled of {parent.order_qty}"
            for parent_id, parent in parents.items()
            if parent.excess_qty
        ]
        if sorted(books.differences) != sorted(excess):
            raise Wrong(f"{sorted(books.differences)} differ between the books, {sorted(excess)} are expected")
        self._check_decisions()
        for parent_id, parent in self.node.state.parents.items():
            said, counted = (parent.cum_qty, parent.excess_qty), parents[parent_id]
            if said != (counted.cum_qty, counted.excess_qty):
                raise Wrong(f"{parent_id}: {said} filled and in excess, not {counted.cum_qty, counted.excess_qty}")

    def _check_decisions(self) -> None:
        """The same code makes the same decisions of what was recorded."""
        if self.config.service.record_market_data:
            replayer = Replayer(self.config, self.model, VERSION)
            replayer.feed(self.process.recorded())
            if replayer.differences:
                raise Wrong(f"decided otherwise in a replay: {replayer.differences[0]}")

    def _trace(self, output: NodeOutput) -> None:
        at = f" {(self.now_ns - START_NS) / 1e9:9.6f}"
        for fact in output.facts:
            name = type(fact).__name__
            if name == "MessageReceived":
                self.say(f"{at} < {fact.raw.decode().replace(SOH, '|')}")
            elif name == "MessageSent":
                self.say(f"{at} > {fact.raw.decode().replace(SOH, '|')}")
            elif name != "DecisionMade":
                self.say(f"{at}   {fact}")


def _config(random: Random) -> ServiceConfig:
    """What is an owner's choice is drawn: whether orders outlive their client's connection and a stop.

    One in eight records market data, and its decisions can be made again.
    """
    config = small_config(
        service__on_shutdown=random.choice(("hold", "cancel")), service__record_market_data=random.random() < 1 / 8
    )
    return msgspec.structs.replace(
        config,
        sessions={"QUICK": SessionOptions(heart_bt_int=HEART_BT_INT)},
        clients=tuple(
            msgspec.structs.replace(
                client,
                session="QUICK",
                on_disconnect=random.choice(("work", "work", "cancel")),
                disconnect_grace_s=random.choice((0.2, 3.0)),
            )
            for client in config.clients
        ),
        venues=tuple(msgspec.structs.replace(venue, session="QUICK") for venue in config.venues),
    )


def _market(seed: int) -> ErraticMarket:
    market = simulators_config().market()
    symbols = tuple(symbol for symbol in market.symbols if symbol.symbol in SYMBOLS)
    conduct = Random(f"conduct/{seed}")
    venues = tuple(venue.changed(weather.conduct(conduct)) for venue in market.venues if venue.name in VENUES)
    return ErraticMarket(MarketConfig(symbols=symbols, venues=venues), Random(f"market/{seed}"), START_NS)
