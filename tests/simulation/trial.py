"""One run: a platform on a bad network, faults at their times, then calm, and all sides have to agree.

`Trial(seed).run()` raises on the first thing that must not be; everything about a run follows from its seed.
"""

from collections import deque
from collections.abc import Callable
from random import Random

import msgspec

from domain.commands import ReleaseKillSwitch, SetKillSwitch
from fix.config import SessionOptions
from fix.messages import Typed
from service.config import ServiceConfig
from service.node import Node, NodeOutput
from service.sessions import Action, SessionCommand
from simulators.market_config import MarketConfig
from tests.service.platform import (
    START_NS,
    SYMBOLS,
    VENUES,
    Platform,
    Process,
    picture,
    simulators_config,
    small_config,
)
from tests.simulation import weather
from tests.simulation.erratic import ErraticMarket
from tests.simulation.watch import Watch, Wrong
from tests.simulation.weather import SECOND_NS, Event

SOH = "\x01"
FAULTS_NS = 10 * SECOND_NS
REPEATED = 20  # reports that a venue says again, at most
HEART_BT_INT = 4  # seconds: a silent connection is noticed within ten
SCOPES = ("firm", "venue:ARGO", "venue:FORD", "client:EMS1", "symbol:ALFA")

# What an EMS may complain of although the node is right: the network was bad.
WEATHER_COMPLAINTS = ("nothing received for",)


class WatchedProcess(Process):
    """A process whose every output is checked. `trace` is told of each that leaves."""

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        self.watch = Watch({client.name for client in node.config.clients})
        self.trace: Callable[[NodeOutput], None] | None = None

    def perform(self, output: NodeOutput) -> NodeOutput:
        output = super().perform(output)
        if self.trace is not None:
            self.trace(output)
        self.watch.output(output)
        return output


class Trial(Platform):
    """`say` gets a line for each fault and, with `trace`, each message."""

    def __init__(self, seed: int, say: Callable[[str], None] | None = None, *, trace: bool = False) -> None:
        self.seed = seed
        self.random = Random(f"faults/{seed}")
        self.network = weather.network(self.random)
        self.say = say or (lambda line: None)
        super().__init__(
            seed=seed,
            parents=self.random.randint(2, 5),
            config=_config(),
            market=_market(seed),
            network=self.network,
            endpoint=WatchedProcess,
            heart_bt_int=HEART_BT_INT,
        )
        if trace:
            self.process.trace = self._trace
        connections = list(self.links)
        self.events = weather.events(self.random, connections, list(VENUES), list(SCOPES), FAULTS_NS)
        self._back_ns: dict[str, int] = {}  # what is kept away, and until when
        self._released_ns: dict[str, int] = {}  # scopes that are stopped, and until when
        self._anew_ns: dict[str, int] = {}  # venues that forgot their sequence numbers, and when operators know
        self._told: dict[str, deque[Typed]] = {venue: deque(maxlen=REPEATED) for venue in VENUES}
        self._tell = self.exchange.floor._report
        self.exchange.floor._report = self._remember
        self.restarts = 0
        self.on_restart: Callable[[Node], object] = lambda node: None  # what a test does to each new node

    def run_trial(self) -> None:
        """Wrong, or AssertionError, with what must not be."""
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
            for name in [name for name, at_ns in self._back_ns.items() if at_ns <= self.now_ns]:
                del self._back_ns[name]
                self.kept_away.discard(name)
            for scope in [scope for scope, at_ns in self._released_ns.items() if at_ns <= self.now_ns]:
                del self._released_ns[scope]
                self.operator(ReleaseKillSwitch(scope, "ops"))
            self._begin_anew()

    def _strike(self, event: Event) -> None:
        target, amount_ns = event.target, event.amount_ns
        link = self.links.get(target, -1)
        match event.kind:
            case "crash":
                leaves, _, inputs = event.detail.partition(" after ")
                self.process.dies_after = self.process.inputs + int(inputs.split()[0])
                self.process.leaves, self.downtime_ns = leaves, amount_ns
            case "cut":
                self.kept_away.add(target)
                self._back_ns[target] = self.now_ns + amount_ns
                self.world.cut(link)
            case "drop":
                self.world.drop(link)
            case "silence":
                self.world.silence(link)
            case "stall":
                self.world.stall(link, self.now_ns + amount_ns)
            case "clock":
                self.world.set_clock("node", amount_ns)
            case "kill":
                self.operator(SetKillSwitch(target, "ops", "drill"))
                self._released_ns[target] = self.now_ns + amount_ns
            case "stop":
                self._stop(amount_ns)
            case "forget":
                self.world.cut(link)
                self.exchange._venues[target].orders.session.store.reset()
                self._anew_ns[target] = self.now_ns + amount_ns
            case "repeat":
                for report in tuple(self._told[target]):
                    self._tell(target, self.now_ns, report)
                self.world.wake("exchange")

    def _remember(self, venue: str, at_ns: int, message: Typed) -> None:
        self._told[venue].append(message)
        self._tell(venue, at_ns, message)

    def _begin_anew(self) -> None:
        """Neither side can mend that alone: operators of both agree to begin with 1."""
        for venue in [venue for venue, at_ns in self._anew_ns.items() if at_ns <= self.now_ns]:
            if self.process.node is None or self.node.is_shutting_down:
                continue
            self._session("disable", venue)
            self.run(0.1)
            if self.process.node is None or self.node.links.venues[venue].link is not None:
                continue
            self._session("reset", venue)
            self.exchange._venues[venue].orders.session.store.reset()
            self._session("enable", venue)
            del self._anew_ns[venue]

    def _session(self, action: Action, venue: str) -> None:
        command = SessionCommand(action, venue, "ops")
        self.perform(self.process.perform(self.node.session(command, self.world.time_of("node"))))

    def _stop(self, downtime_ns: int) -> None:
        self.begin_shutdown()
        until_ns = self.now_ns + SECOND_NS
        while self.process.node is not None and not self.node.is_drained and self.now_ns < until_ns:
            self.run(0.02)
        if self.process.node is not None and self.node.is_shutting_down:  # it may have crashed meanwhile
            self.end_shutdown()
            self.run(0.05)
            self.downtime_ns = downtime_ns
            self.process.dead, self.process.node = self.process.node, None

    def _calm(self) -> None:
        self.say(f"{(self.now_ns - START_NS) / 1e9:8.3f} s  calm")
        self.network.is_calm = True
        self.process.dies_after = 0
        self.kept_away.clear()
        for scope in self._released_ns:
            self.operator(ReleaseKillSwitch(scope, "ops"))
        self._released_ns.clear()
        self._anew_ns = dict.fromkeys(self._anew_ns, self.now_ns)
        while self._anew_ns:
            self.run(0.3)
            self._begin_anew()

    def new_node(self) -> Node:
        before, node = self.process.dead, super().new_node()
        if before is not None and picture(node.state) != picture(before.state):
            raise Wrong("the journal gives another state than the node had that wrote it")
        self.say(f"{(self.now_ns - START_NS) / 1e9:8.3f} s  start")
        self.restarts += 1
        self.process.watch.started(self.world.time_of("node"))
        self.on_restart(node)
        return node

    def check(self) -> None:
        for client in self.ems.values():
            client.violations[:] = [v for v in client.violations if not v.startswith(WEATHER_COMPLAINTS)]
        super().check()

    def _trace(self, output: NodeOutput) -> None:
        at = f"{(self.now_ns - START_NS) / 1e9:10.6f}"
        for fact in output.facts:
            name = type(fact).__name__
            if name == "MessageReceived":
                self.say(f"{at} < {fact.raw.decode().replace(SOH, '|')}")
            elif name == "MessageSent":
                self.say(f"{at} > {fact.raw.decode().replace(SOH, '|')}")
            elif name != "DecisionMade":
                self.say(f"{at}   {fact}")


def _config() -> ServiceConfig:
    config = small_config()
    return msgspec.structs.replace(
        config,
        sessions={"QUICK": SessionOptions(heart_bt_int=HEART_BT_INT)},
        clients=tuple(msgspec.structs.replace(client, session="QUICK") for client in config.clients),
        venues=tuple(msgspec.structs.replace(venue, session="QUICK") for venue in config.venues),
    )


def _market(seed: int) -> ErraticMarket:
    market = simulators_config().market()
    symbols = tuple(symbol for symbol in market.symbols if symbol.symbol in SYMBOLS)
    venues = tuple(venue for venue in market.venues if venue.name in VENUES)
    return ErraticMarket(MarketConfig(symbols=symbols, venues=venues), Random(f"market/{seed}"), START_NS)
