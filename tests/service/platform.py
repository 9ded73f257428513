"""The whole platform in virtual time, with a node that can be killed between any two of its inputs and started again.

`Process` stands where the runtime stands: it keeps what a node tells it to journal, encoded as in the file, and hands
on its bytes. Kill it, and all that is left is that journal.
"""

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import msgspec

from domain.commands import OperatorCommand
from domain.facts import AnyFact, decode_batch, encode_batch
from domain.fields import Side
from router.features import FEATURES, schema_hash
from router.model import PriorModel
from service.config import ServiceConfig
from service.examples import daemon_config, simulators_config
from service.node import Node, NodeOutput
from service.reconcile import reconcile
from service.simulation import SECOND_NS, Simulation
from simulators.client import Ems, Plan, PlannedCancel, PlannedOrder, PlannedReplace, plan_parents
from simulators.client_session import EmsSession
from simulators.exchange import MarketMachine
from simulators.market import Market
from simulators.market_config import MarketConfig
from simulators.world import Network

MS = 1_000_000
START_NS = 1_700_000_000 * SECOND_NS
RECONNECT_NS = 200 * MS
ENDED_NS = 25 * SECOND_NS  # by then all has ended that ends by itself
PATIENCE_NS = 120 * SECOND_NS  # by then the orders of any test have ended
VENUES = ("ARGO", "BRIG", "DUSK", "FORD")  # of every kind
SYMBOLS = ("ALFA", "BRVO")
# What of the bytes of its last input leaves a node that is killed, once that input's facts are written; or not even
# they are.
UNWRITTEN = "unwritten"
LEAVES = {
    UNWRITTEN: lambda writes: [],
    "nothing": lambda writes: [],
    "one write": lambda writes: writes[:1],
    "everything": lambda writes: writes,
}


def small_config(**changes: Any) -> ServiceConfig:
    """The example config with venues of every kind and two symbols. Names with a dot: `service__on_shutdown`."""
    config = daemon_config()
    config = msgspec.structs.replace(
        config,
        venues=tuple(
            msgspec.structs.replace(venue, symbols=SYMBOLS) for venue in config.venues if venue.name in VENUES
        ),
        instruments=tuple(item for item in config.instruments if item.symbol in SYMBOLS),
    )
    for path, value in changes.items():
        table, _, key = path.partition("__")
        changed = msgspec.structs.replace(getattr(config, table), **{key: value}) if key else value
        config = msgspec.structs.replace(config, **{table: changed})
    return config


def small_market(seed: int) -> Market:
    market = simulators_config().market()
    symbols = tuple(symbol for symbol in market.symbols if symbol.symbol in SYMBOLS)
    venues = tuple(venue for venue in market.venues if venue.name in VENUES)
    return Market(MarketConfig(symbols=symbols, venues=venues), seed, START_NS)


def plan(config: ServiceConfig, client: str, parents: int, seed: int) -> Plan:
    """Sweeps and twaps of some seconds; every third twap is cancelled on the way, every third replaced."""
    account = next(item.accounts[0] for item in config.clients if item.name == client)
    instruments = [item.instrument for item in config.instruments]
    planned = plan_parents(
        parents,
        seed,
        instruments,
        START_NS + 2 * SECOND_NS,
        6 * SECOND_NS,
        account=account,
        prefix=f"{client}-",
        longest_ns=6 * SECOND_NS,
    )
    steps = [(at_ns, step) for at_ns, step in planned if isinstance(step, PlannedOrder)]
    twaps = [(at_ns, step) for at_ns, step in steps if step.strategy == "twap"]
    for number, (at_ns, order) in enumerate(twaps):
        later_ns = at_ns + order.params["duration_s"] * SECOND_NS // 2
        if number % 3 == 0:
            steps.append((later_ns, PlannedCancel(order.cl_ord_id)))
        elif number % 3 == 1:
            qty = order.order_qty + 500
            steps.append((later_ns, PlannedReplace(order.cl_ord_id, qty, order.limit_ticks, order.tick_px)))
    return steps


def patient_plan(config: ServiceConfig, client: str) -> Plan:
    """Orders that rest at a lit venue, near the market and far from it, on both sides, and twaps of 15 seconds.

    Whatever the router makes of it, there is always something open with it.
    """
    account = next(item.accounts[0] for item in config.clients if item.name == client)
    steps: Plan = []
    for number, (item, side, ticks) in enumerate(product(config.instruments, (Side.BUY, Side.SELL), (-1, -3, -40))):
        order_id, tick_px = f"{client}-P{number}", item.tick
        order = PlannedOrder(order_id, account, item.symbol, side, 600, ticks, tick_px, "sweep", {})
        steps.append((START_NS + 2 * SECOND_NS + number * 10 * MS, order))
    for number, (item, side) in enumerate(product(config.instruments, (Side.BUY, Side.SELL))):
        order_id, params = f"{client}-T{number}", {"duration_s": 15, "slices": 15}
        order = PlannedOrder(order_id, account, item.symbol, side, 4_500, None, item.tick, "twap", params)
        steps.append((START_NS + 2 * SECOND_NS + number * 100 * MS, order))
    return steps


class Process:
    """An endpoint with a node inside, or none while it is dead: then bytes to it are lost and nothing comes back."""

    def __init__(self, node: Node) -> None:
        self.node: Node | None = node
        self.dead: Node | None = None  # the last one that was killed after its facts were written
        self.journal: list[bytes] = []
        self.sent: list[bytes] = []
        self.inputs = 0
        self.dies_after = 0  # inputs; 0: it lives
        self.dies_at: type | None = None  # or with the first fact of this kind
        self.leaves = "everything"

    def connected(self, link: int, port: str, now_ns: int) -> NodeOutput:
        return self.perform(self.node.connected(link, port, now_ns)) if self.node else NodeOutput(closes=[link])

    def receive(self, link: int, data: bytes, now_ns: int) -> NodeOutput:
        return self.perform(self.node.receive(link, data, now_ns)) if self.node else NodeOutput()

    def disconnected(self, link: int, now_ns: int) -> NodeOutput:
        return self.perform(self.node.disconnected(link, now_ns)) if self.node else NodeOutput()

    def timer(self, now_ns: int) -> NodeOutput:
        return self.perform(self.node.timer(now_ns)) if self.node else NodeOutput()

    def next_timer_ns(self) -> int | None:
        return self.node.next_timer_ns() if self.node else None

    def start(self, now_ns: int) -> NodeOutput:
        return self.perform(self.node.start(now_ns))

    def perform(self, output: NodeOutput) -> NodeOutput:
        self.inputs += 1
        if self.inputs == self.dies_after or self.dies_at in map(type, output.facts):
            self.dies_at, self.dies_after = None, 0
            self.dead, self.node = self.node, None
            if self.leaves == UNWRITTEN:
                self.dead = None
                return NodeOutput()
            output = NodeOutput(LEAVES[self.leaves](output.writes), [], output.facts)
        if output.facts:
            self.journal.append(encode_batch(output.facts))
        self.sent += [data for _, data in output.writes]
        return output

    def recorded(self) -> Iterator[list[AnyFact]]:
        return map(decode_batch, self.journal)


class Platform(Simulation):
    """A simulation that makes lost connections anew, as `fix.tcp` and a real EMS do, and a dead node with them."""

    look_ns = 5 * MS  # how often lost connections are looked for

    def __init__(
        self,
        *,
        seed: int = 1,
        parents: int = 5,
        config: ServiceConfig | None = None,
        plans: dict[str, Plan] | None = None,
        market: MarketMachine | None = None,
        network: Network | None = None,
        endpoint: Callable[[Node], Process] = Process,
        heart_bt_int: int = 30,
    ) -> None:
        config = config or small_config()
        self.model = PriorModel(FEATURES.index("fill_prior"), schema_hash([venue.name for venue in config.venues]))
        market = market or small_market(seed)
        start_px = {symbol.symbol: symbol.start_px for symbol in market.config.symbols}
        ems = {}
        for number, client in enumerate(config.clients):
            if plans is not None and client.name not in plans:
                continue
            steps = plan(config, client.name, parents, seed * 100 + number) if plans is None else plans[client.name]
            session = EmsSession(client.begin_string, client.name, config.service.comp_id, heart_bt_int=heart_bt_int)
            ems[client.name] = Ems(session, steps, start_px.__getitem__)
        self.downtime_ns = 300 * MS
        latency_ns = simulators_config().latency_ns()
        super().__init__(config, market, latency_ns, self.model, ems, START_NS, endpoint, network)
        self.process: Process = self.endpoint
        self.kept_away: set[str] = set()  # connections that are not to come back for now
        self._again_ns: dict[str, int] = {}

    @property
    def facts(self) -> list[AnyFact]:
        return [fact for batch in self.process.recorded() for fact in batch]

    @property
    def now_ns(self) -> int:
        return self.world.now_ns

    def run(self, seconds: float) -> None:
        """So long and no longer, with everything that connects again meanwhile."""
        until_ns = self.now_ns + int(seconds * SECOND_NS)
        while self.now_ns < until_ns:
            self.world.run_until(min(self.now_ns + self.look_ns, until_ns))
            self._revive()

    def finish(self) -> None:
        """Until every order has ended, those that would rest for ever by a cancel, and every request has its answer."""
        until_ns = self.now_ns + PATIENCE_NS
        for cancel_ns in (self.now_ns + ENDED_NS, until_ns):
            while not self.is_done and self.now_ns < cancel_ns:
                self.run(0.1)
            for name, client in self.ems.items():
                client.cancel_open()
                self.world.wake(name)
        self.run(0.5)  # for what is still under way
        unsettled = {name: list(client.books.unsettled) for name, client in self.ems.items() if not client.done}
        assert not unsettled, unsettled

    def kill(self) -> None:
        self.process.node = None

    def crash(self, down_s: float = 0.3) -> None:
        """Killed, and back with all its connections."""
        self.downtime_ns = int(down_s * SECOND_NS)
        self.kill()
        self._revive()
        self.run(0.5)

    def new_node(self) -> Node:
        """Made of nothing but the journal."""
        return Node(self.config, self.model, "", self.world.time_of("node"), recorded=self.process.recorded())

    def restart(self) -> None:
        self.process.dies_after = 0
        self.node = self.process.node = self.new_node()
        self.perform(self.process.start(self.world.time_of("node")))

    def operator(self, command: OperatorCommand) -> None:
        self.perform(self.process.perform(self.node.operator(command, self.world.time_of("node"))))

    def begin_shutdown(self) -> None:
        self.perform(self.process.perform(self.node.begin_shutdown(self.world.time_of("node"))))

    def end_shutdown(self) -> None:
        self.perform(self.process.perform(self.node.end_shutdown(self.world.time_of("node"))))

    def perform(self, output: NodeOutput) -> None:
        self.world.perform(output)
        self.world.wake("node")

    def cut(self, name: str) -> None:
        self.world.cut(self.links[name])

    def _revive(self) -> None:
        if self.process.node is None:
            for link in self.links.values():
                self.world.cut(link)
            self.world.run_until(self.now_ns + self.downtime_ns)
            self.restart()
        for name, link in self.links.items():
            if self.world.is_open(link) or name in self.kept_away:
                self._again_ns.pop(name, None)
            elif self._again_ns.setdefault(name, self.now_ns + RECONNECT_NS) <= self.now_ns:
                self.connect(name)
                self._again_ns[name] = self.now_ns + RECONNECT_NS

    # --- what must hold at the end, whatever went before ---

    def check(self) -> None:
        """All books agree to the share, the EMSs have nothing to complain of, and no order went out twice."""
        self.check_books()
        violations = {name: client.violations for name, client in self.ems.items() if client.violations}
        assert not violations, violations
        children = orders_in(self.process.sent)
        assert len(children) == len(set(children))
        assert not any(child.is_open for child in self.node.state.children.values())
        self.check_replay()

    def check_books(self) -> None:
        orders = {name: client.orders.values() for name, client in self.ems.items()}
        books = reconcile(self.facts, orders, self.exchange.ledger)
        assert not books.differences, books.differences

    def check_replay(self) -> None:
        """The facts alone give the state that the node has, sequence numbers included."""
        again = Node(self.config, self.model, "", self.now_ns, recorded=self.process.recorded())
        assert picture(again.state) == picture(self.node.state)
        numbers = [
            [(peer.session.name, peer.store.next_in, peer.store.next_out) for peer in node.links.peers]
            for node in (again, self.node)
        ]
        assert dict.fromkeys(numbers[0]).keys() >= {number for number in numbers[1] if not number[0].endswith("MD")}


def orders_in(chunks: list[bytes]) -> list[str]:
    """ClOrdID(11) of each NewOrderSingle(D) in what was sent to venues."""
    messages = b"".join(chunks).split(b"\x018=FIX")
    return [
        message.split(b"\x0111=")[1].partition(b"\x01")[0].decode()
        for message in messages
        if b"\x0135=D\x01" in message
    ]


def picture(value: Any) -> Any:
    """All that an object holds, to any depth, comparable: what a replay has to arrive at."""
    if isinstance(value, dict):
        return {key: picture(item) for key, item in value.items()}
    if isinstance(value, str | int | float | bytes | None) or callable(value):
        return value if not callable(value) else None
    if isinstance(value, list | tuple | set | frozenset) or type(value).__name__ == "deque":
        items = [picture(item) for item in value]
        return sorted(items, key=repr) if isinstance(value, set | frozenset) else items
    if isinstance(value, msgspec.Struct):
        return value
    fields = getattr(value, "__dict__", None) or {
        name: getattr(value, name) for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())
    }
    return type(value).__name__, {name: picture(item) for name, item in fields.items()}
