"""`python -m bench.long_run --orders N`: does a day's work leave the memory, and does the last order cost as the first?

The node in virtual time, with journal, between a client and one venue that speak FIX by our own sessions: each order is
an immediate sweep that fills at once. What is printed for each tenth is the node's own time for an order (decisions,
sessions and batches, not the counterparties'), and the memory of the process when the tenth is over.

A processor that others use too is slower at times. So a piece of work that never changes is timed all along, and the
tenths are compared in multiples of it.
"""

import argparse
import gc
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from domain.fields import ExecType, LastLiquidityInd, OrdStatus, OrdType, Side, TimeInForce
from fix.market_messages import MarketDataSnapshotFullRefresh, MdEntry
from fix.messages import ExecutionReport, NewOrderSingle
from fix.session import LoggedOn, Received, Session, SessionConfig
from fix.store import MemoryStore
from router.features import FEATURES, schema_hash
from router.model import PriorModel
from service.config import ServiceConfig
from service.examples import daemon_config
from service.journal import Journal
from service.links import EMS_PORT, market_data_port
from service.node import Node, NodeOutput
from service.runtime import calm_collector
from service.training import START_NS

VENUE, SYMBOL = "ARGO", "ALFA"
STEP_NS = 2_000_000  # between two orders
WORK_EVERY = 100  # orders
BID_PX, ASK_PX = 99_9900, 100_0100
EMS_LINK, ORDERS_LINK, DATA_LINK = 1, 2, 3


def figures() -> list[dict[str, Any]]:
    """A small one; the command runs as many orders as it is told to."""
    tenths = run(20_000, keep_orders=2_000)
    second, last = tenths[1], tenths[-1]
    return [
        _figure("long_run_cost_of_an_order", last.order_us, "us", "the second tenth", second.relative / last.relative),
        _figure("long_run_memory", last.memory_mb, "MB", "the second tenth", second.memory_mb / last.memory_mb),
    ]


class Tenth(NamedTuple):
    """The node's time for an order, that of the piece of work which never changes, and the memory afterwards."""

    order_us: float
    work_us: float
    memory_mb: float

    @property
    def relative(self) -> float:
        return self.order_us / self.work_us


class Counterparties:
    """The client, and both sessions of the venue, which fills what comes at the far price."""

    def __init__(self, config: ServiceConfig, now_ns: int) -> None:
        client = config.clients[0]
        venue = config.venues[0]
        self.ems = _session(client.begin_string, client.name, config.service.comp_id, "initiator", now_ns)
        ours = venue.sender_comp_id
        self.orders = _session(venue.begin_string, venue.target_comp_id or VENUE, ours, "acceptor", now_ns)
        self.data = _session(
            venue.begin_string, venue.md_target_comp_id or market_data_port(VENUE), ours, "acceptor", now_ns
        )
        self.by_link = {EMS_LINK: self.ems, ORDERS_LINK: self.orders, DATA_LINK: self.data}
        self.filled = self.executions = 0

    def receive(self, link: int, data: bytes, now_ns: int) -> None:
        session = self.by_link[link]
        session.receive(data, now_ns)
        while (event := session.next_event(now_ns)) is not None:
            if isinstance(event, LoggedOn) and session is self.data:
                self.show(now_ns)
            elif isinstance(event, Received) and session is self.orders and event.message.msg_type == "D":
                self.fill(event.message, now_ns)
            elif isinstance(event, Received) and session is self.ems:
                self.filled += event.message.get(39) == "2"

    def show(self, now_ns: int) -> None:
        entries = (
            MdEntry(md_entry_type="0", md_entry_px=BID_PX, md_entry_size=1_000_000),
            MdEntry(md_entry_type="1", md_entry_px=ASK_PX, md_entry_size=1_000_000),
        )
        self.data.send(MarketDataSnapshotFullRefresh(symbol=SYMBOL, entries=entries), now_ns)

    def fill(self, order: Any, now_ns: int) -> None:
        self.executions += 1
        side, qty = Side(order.get(54)), int(order.get(38))
        last_px = ASK_PX if side is Side.BUY else BID_PX
        report = ExecutionReport(
            order_id=f"V{self.executions}",
            exec_id=f"E{self.executions}",
            exec_type=ExecType.TRADE,
            ord_status=OrdStatus.FILLED,
            symbol=order.get(55),
            side=side,
            leaves_qty=0,
            cum_qty=qty,
            avg_px="0",
            cl_ord_id=order.get(11),
            last_qty=qty,
            last_px=last_px,
            last_liquidity_ind=LastLiquidityInd.REMOVED,
            transact_time_ns=now_ns,
        )
        self.orders.send(report, now_ns)

    def take(self) -> list[tuple[int, bytes]]:
        found = [(link, b"".join(out.raw for out in session.take_outbox())) for link, session in self.by_link.items()]
        return [(link, data) for link, data in found if data]


class Run:
    """Hands bytes to and fro until nobody has anything to say; times the node's side of it."""

    def __init__(self, node: Node, journal: Journal, others: Counterparties) -> None:
        self.node, self.journal, self.others = node, journal, others
        self.now_ns = START_NS
        self.node_ns = 0

    def input(self, act: Callable[..., NodeOutput], *arguments: Any) -> None:
        began_ns = time.process_time_ns()
        output = act(*arguments)
        self.journal.append(output.facts)
        if self.journal.is_due(self.now_ns, ROLL_AT):
            self.journal.roll(self.now_ns)
        self.node_ns += time.process_time_ns() - began_ns
        for link, data in output.writes:
            self.others.receive(link, data, self.now_ns)

    def settle(self) -> None:
        while written := self.others.take():
            for link, data in written:
                self.input(self.node.receive, link, data, self.now_ns)

    def step(self) -> None:
        self.now_ns += STEP_NS
        for session in self.others.by_link.values():
            due_ns = session.next_timer_ns()
            if due_ns is not None and due_ns <= self.now_ns:
                session.timer(self.now_ns)
        due_ns = self.node.next_timer_ns()
        if due_ns is not None and due_ns <= self.now_ns:
            self.input(self.node.timer, self.now_ns)
        self.settle()


ROLL_AT = daemon_config().journal.roll_at


def run(orders: int, keep_orders: int, report: Callable[[str], None] = lambda line: None) -> list[Tenth]:
    config = daemon_config()
    venue = next(venue for venue in config.venues if venue.name == VENUE)
    instruments = tuple(item for item in config.instruments if item.symbol == SYMBOL)
    risk = msgspec.structs.replace(config.risk, venue_messages_per_second={VENUE: 100_000})
    kept = msgspec.structs.replace(config.journal, keep_orders=keep_orders)
    config = msgspec.structs.replace(config, venues=(venue,), instruments=instruments, risk=risk, journal=kept)
    prior = PriorModel(FEATURES.index("fill_prior"), schema_hash([VENUE]))
    account = config.clients[0].accounts[0]
    tenths: list[Tenth] = []
    with tempfile.TemporaryDirectory() as name:
        running = Run(
            Node(config, prior, "", START_NS), Journal.open(Path(name) / "journal"), Counterparties(config, START_NS)
        )
        running.input(running.node.start, START_NS)
        for link, session in running.others.by_link.items():
            session.connected(START_NS)
            port = {EMS_LINK: EMS_PORT, ORDERS_LINK: VENUE, DATA_LINK: market_data_port(VENUE)}[link]
            running.input(running.node.connected, link, port, START_NS)
        running.settle()
        calm_collector()
        done = 0
        for tenth in range(1, 11):
            running.node_ns = work_ns = works = 0
            first = done
            while done < orders * tenth // 10:
                running.step()
                side = Side.BUY if done % 2 else Side.SELL
                order = NewOrderSingle(
                    cl_ord_id=f"O{done}",
                    symbol=SYMBOL,
                    side=side,
                    order_qty=100,
                    ord_type=OrdType.LIMIT,
                    price=ASK_PX if side is Side.BUY else BID_PX,
                    transact_time_ns=running.now_ns,
                    account=account,
                    time_in_force=TimeInForce.IMMEDIATE_OR_CANCEL,
                    target_strategy="1000",
                )
                running.others.ems.send(order, running.now_ns)
                running.settle()
                done += 1
                if done % WORK_EVERY == 0:
                    work_ns += _work_ns()
                    works += 1
            gc.collect()
            tenth = Tenth(running.node_ns / 1e3 / (done - first), work_ns / 1e3 / max(works, 1), _memory_mb())
            tenths.append(tenth)
            figures = f"{tenth.order_us:7.1f} us an order  {tenth.work_us:7.1f} us the same work"
            report(f"{done:>9,} orders  {figures}  {tenth.memory_mb:7.1f} MB")
        running.journal.close()
        filled = running.others.filled
        assert filled == orders, f"{filled} of {orders} orders were filled"
    return tenths


def _session(begin_string: str, ours: str, theirs: str, role: Any, now_ns: int) -> Session:
    settings = SessionConfig(begin_string=begin_string, sender_comp_id=ours, target_comp_id=theirs, role=role)
    return Session(settings, MemoryStore(1_000), now_ns)


def _work_ns() -> int:
    """A message read, a table filled and sorted, as often as an order has it to do."""
    began_ns = time.process_time_ns()
    raw = b"8=FIX.4.4\x019=5\x0135=D\x01" + b"".join(b"%d=%d\x01" % (tag, tag * 7) for tag in range(40, 140))
    for _ in range(4):
        fields = dict(pair.partition(b"=")[::2] for pair in raw.split(b"\x01"))
        table = {key: (len(value), value.decode()) for key, value in fields.items()}
        sorted(table.values(), key=lambda item: item[1])
    return time.process_time_ns() - began_ns


def _memory_mb() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise OSError("/proc/self/status has no VmRSS")


def _figure(name: str, value: float, unit: str, vs: str, ratio: float) -> dict[str, Any]:
    return {"name": name, "value": round(value, 1), "unit": unit, "vs": vs, "ratio": round(ratio, 3)}


def main() -> None:
    parser = argparse.ArgumentParser("python -m bench.long_run", description=__doc__)
    parser.add_argument("--orders", type=int, default=100_000, metavar="N")
    parser.add_argument("--keep-orders", type=int, default=20_000, metavar="N", help="done orders in memory")
    args = parser.parse_args()
    tenths = run(args.orders, args.keep_orders, lambda line: print(line, flush=True))
    # The first tenths fill the memory with what is kept, and every cache.
    first, last = tenths[0], tenths[-1]
    cost, memory = last.relative / first.relative, last.memory_mb / tenths[4].memory_mb
    print(f"the last tenth costs {cost:.2f} of the first; its memory is {memory:.2f} of what it was half way")


if __name__ == "__main__":
    main()
