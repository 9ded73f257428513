"""The simulated EMS: it sends parent orders over FIX as its plan says and checks every word of the answers.

It shares no code with `fix`: its codec is simplefix and its session, books and checks are its own, so that a mistake
of the product's engine does not repeat itself in its witness. It is an endpoint like any other (`fix.endpoint`): the
same object runs on the virtual network of `simulators.world` and on sockets (`simulators.client_tcp`).
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from simplefix import FixMessage

from domain.fields import OrdType, Side, TimeInForce
from domain.instruments import Instrument
from domain.prices import px_to_text
from simulators.client_orders import EmsBooks, EmsOrder, Request
from simulators.client_session import Body, EmsSession, text, utc_timestamp

# FIX.4.2 has no TargetStrategy(847): the strategy and its parameters travel in user-defined tags.
STRATEGY_TAG = 9100
PARAMETER_TAGS = {"duration_s": 9101, "slices": 9102}
_INT_PARAMETER = 1  # StrategyParameterType(959): Int


@dataclass(slots=True)
class Output:
    writes: list[tuple[int, bytes]] = field(default_factory=list)
    closes: list[int] = field(default_factory=list)


class PlannedOrder(msgspec.Struct, frozen=True):
    """A limit is set when the order is sent: `limit_ticks` through the reference price of that moment; None: market."""

    cl_ord_id: str
    account: str
    symbol: str
    side: Side
    order_qty: int
    limit_ticks: int | None
    tick_px: int
    strategy: str
    params: dict[str, int]
    fields: dict[str, str] = {}  # tag -> value: what else the message says, or says instead


class PlannedCancel(msgspec.Struct, frozen=True):
    cl_ord_id: str


class PlannedReplace(msgspec.Struct, frozen=True):
    cl_ord_id: str
    order_qty: int
    limit_ticks: int | None
    tick_px: int


Plan = list[tuple[int, PlannedOrder | PlannedCancel | PlannedReplace]]


class Ems:
    """An EMS with one FIX session. `reference_px(symbol)` gives the Px that planned limits start from, 0 for none."""

    def __init__(
        self,
        session: EmsSession,
        plan: Plan | None = None,
        reference_px: Callable[[str], int] = lambda symbol: 0,
    ) -> None:
        self.session = session
        self.violations = session.violations
        self.books = EmsBooks(session.begin_string, self.violations)
        self.mass_cancels: dict[str, str] = {}  # ClOrdID(11) of the request -> MassCancelResponse(531)
        self.rejects: list[str] = []  # Reject(3) and BusinessMessageReject(j) received, in words
        self.news: list[str] = []
        self._plan = sorted(plan or [], key=lambda step: step[0])
        self._next_step = 0
        self._reference_px = reference_px
        self._queue: list[tuple[str, str, Body]] = []  # (MsgType, ClOrdID, body without TransactTime) not yet sent
        self._sent_ids: dict[int, str] = {}  # MsgSeqNum(34) -> ClOrdID(11)
        self._link: int | None = None

    @property
    def orders(self) -> dict[str, EmsOrder]:
        """By the ClOrdID(11) that each order started with."""
        return self.books.orders

    @property
    def done(self) -> bool:
        """The plan is sent, every order is in a final state and every request has its answer."""
        return self._next_step == len(self._plan) and not self._queue and not self.books.unsettled

    def new_order(
        self,
        cl_ord_id: str,
        symbol: str,
        side: Side,
        order_qty: int,
        *,
        account: str = "",
        limit_px: int = 0,
        strategy: str = "",
        params: dict[str, int] | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> EmsOrder:
        """Queues a NewOrderSingle(D): a limit order with `limit_px`, a market order without. Good for the day.

        `fields` (tag -> value) go beside the others, or instead of the one with their tag.
        """
        order = EmsOrder([cl_ord_id], account, symbol, side, order_qty, limit_px, strategy, sent_ns=0)
        body: Body = [(11, cl_ord_id), (1, account or None), (21, 1), *self._order_fields(order, order_qty, limit_px)]
        body += self._strategy_fields(strategy, params or {})
        if fields:
            own = {int(tag): value for tag, value in fields.items()}
            body = [pair for pair in body if pair[0] not in own] + list(own.items())
        self.books.place(order)
        self._queue.append(("D", cl_ord_id, body))
        return order

    def cancel(self, cl_ord_id: str) -> str:
        """Queues an OrderCancelRequest(F) for the order that once had `cl_ord_id`; returns the request's own."""
        order = self.books.by_id[cl_ord_id]
        fields: Body = [(55, order.symbol), (54, order.side.value), (38, order.order_qty)]
        return self._request(order, Request("F", order.order_qty, order.limit_px), fields)

    def replace(self, cl_ord_id: str, *, order_qty: int = 0, limit_px: int = 0) -> str:
        """Queues an OrderCancelReplaceRequest(G); what is 0 stays as it is. Returns the request's own ClOrdID(11)."""
        order = self.books.by_id[cl_ord_id]
        request = Request("G", order_qty or order.order_qty, limit_px or order.limit_px)
        fields = [(21, 1), *self._order_fields(order, request.order_qty, request.limit_px)]
        return self._request(order, request, fields)

    def mass_cancel(self, cl_ord_id: str, symbol: str = "") -> None:
        """Queues an OrderMassCancelRequest(q) for all orders, or those of a symbol; FIX.4.2 has none."""
        kind: Body = [(530, 1), (55, symbol)] if symbol else [(530, 7)]
        self._queue.append(("q", cl_ord_id, [(11, cl_ord_id), *kind]))

    def cancel_open(self) -> None:
        """Queues a cancel for every open order that has no request under way."""
        for order in list(self.books.unsettled.values()):
            if not order.requests:
                self.cancel(order.cl_ord_id)

    def logout(self, now_ns: int) -> Output:
        self.session.logout(now_ns)
        return self._output()

    # --- the endpoint ---

    def connected(self, link: int, port: str, now_ns: int) -> Output:
        self._link = link
        self.session.connected(now_ns)
        return self._output()

    def receive(self, link: int, data: bytes, now_ns: int) -> Output:
        for message in self.session.receive(data, now_ns):
            self._answered(message, now_ns)
        return self._work(now_ns)

    def disconnected(self, link: int, now_ns: int) -> Output:
        self._link = None
        self.session.disconnected()
        return Output()

    def timer(self, now_ns: int) -> Output:
        self.session.timer(now_ns)
        return self._work(now_ns)

    def next_timer_ns(self) -> int | None:
        session_ns = self.session.next_timer_ns()
        if not self.session.is_logged_on:
            return session_ns
        if self._queue:
            return 0
        if self._next_step == len(self._plan):
            return session_ns
        step_ns = self._plan[self._next_step][0]
        return step_ns if session_ns is None else min(step_ns, session_ns)

    # --- inside ---

    def _work(self, now_ns: int) -> Output:
        if self.session.is_logged_on:
            while self._next_step < len(self._plan) and self._plan[self._next_step][0] <= now_ns:
                self._take_step(self._plan[self._next_step][1])
                self._next_step += 1
            for msg_type, cl_ord_id, body in self._queue:
                if msg_type == "D":
                    self.books.by_id[cl_ord_id].sent_ns = now_ns
                seq = self.session.send(msg_type, [*body, (60, utc_timestamp(now_ns))], now_ns)
                self._sent_ids[seq] = cl_ord_id
            self._queue.clear()
        return self._output()

    def _output(self) -> Output:
        if self._link is None:
            return Output()
        output = Output([(self._link, raw) for raw in self.session.outbox])
        self.session.outbox.clear()
        if self.session.must_close:
            output.closes.append(self._link)
        return output

    def _take_step(self, step: PlannedOrder | PlannedCancel | PlannedReplace) -> None:
        if isinstance(step, PlannedOrder):
            self.new_order(
                step.cl_ord_id,
                step.symbol,
                step.side,
                step.order_qty,
                account=step.account,
                limit_px=self._limit_px(step.symbol, step.side, step.limit_ticks, step.tick_px),
                strategy=step.strategy,
                params=step.params,
                fields=step.fields,
            )
            return
        order = self.orders[step.cl_ord_id]
        if order.is_final:
            return  # a trader's blotter no longer offers it
        if isinstance(step, PlannedCancel):
            self.cancel(step.cl_ord_id)
        else:
            limit_px = self._limit_px(order.symbol, order.side, step.limit_ticks, step.tick_px) if order.limit_px else 0
            self.replace(step.cl_ord_id, order_qty=step.order_qty, limit_px=limit_px)

    def _limit_px(self, symbol: str, side: Side, limit_ticks: int | None, tick_px: int) -> int:
        reference_px = self._reference_px(symbol)
        if limit_ticks is None or not reference_px:
            return 0
        return reference_px - reference_px % tick_px + side.sign * limit_ticks * tick_px

    def _request(self, order: EmsOrder, request: Request, fields: Body) -> str:
        order.request_count += 1
        cl_ord_id = f"{order.cl_ord_id}.{order.request_count}"
        self.books.request(order, cl_ord_id, request)
        body: Body = [(41, order.cl_ord_ids[-1]), (11, cl_ord_id), (1, order.account or None), *fields]
        self._queue.append((request.msg_type, cl_ord_id, body))
        return cl_ord_id

    @staticmethod
    def _order_fields(order: EmsOrder, order_qty: int, limit_px: int) -> Body:
        fields: Body = [(55, order.symbol), (54, order.side.value), (38, order_qty)]
        if limit_px:
            fields += [(40, OrdType.LIMIT.value), (44, px_to_text(limit_px))]
        else:
            fields.append((40, OrdType.MARKET.value))
        return [*fields, (59, TimeInForce.DAY.value)]

    def _strategy_fields(self, strategy: str, params: dict[str, int]) -> Body:
        if not strategy:
            return []
        if self.session.begin_string == "FIX.4.2":
            return [(STRATEGY_TAG, strategy), *((PARAMETER_TAGS[name], value) for name, value in params.items())]
        fields: Body = [(847, strategy)]
        if params:
            fields.append((957, len(params)))
        for name, value in params.items():
            fields += [(958, name), (959, _INT_PARAMETER), (960, value)]
        return fields

    def _answered(self, message: FixMessage, now_ns: int) -> None:
        match text(message, 35):
            case "8":
                self.books.report(message, now_ns)
            case "9":
                self.books.cancel_reject(message)
            case "r":
                self.mass_cancels[text(message, 11)] = text(message, 531)
            case "B":  # News: for people to read
                self.news.append(text(message, 148))
            case "3" | "j" as msg_type:
                seq, reason = text(message, 45), text(message, 58)
                self.rejects.append(f"{msg_type} of message {seq}: {reason}")
                cl_ord_id = self._sent_ids.get(int(seq)) if seq.isdecimal() else None
                if cl_ord_id in self.books.by_id:
                    self.books.refuse(cl_ord_id, reason)
            case msg_type:
                self.violations.append(f"unexpected message {msg_type}")


def plan_parents(
    n: int,
    seed: int,
    instruments: Sequence[Instrument],
    start_ns: int,
    duration_ns: int,
    *,
    account: str = "",
    prefix: str = "P",
    longest_ns: int = 0,
) -> Plan:
    """`n` parents spread over `duration_ns`, the same for the same arguments; ClOrdIDs are `prefix` and a number.

    Half are buys, half sweeps, the others twaps of `longest_ns` at most (0: half of `duration_ns`); six in ten carry a
    limit 2 to 20 ticks through the reference price. About one in ten is cancelled and one in ten replaced on the way,
    mostly twaps, because a sweep is over before a trader can think twice.
    """
    rng = random.Random(seed)
    plan: Plan = []
    for number in range(n):
        at_ns = start_ns + rng.randrange(duration_ns)
        instrument = rng.choice(instruments)
        tick_px = instrument.tick_px
        order_qty = 100 * rng.randint(2, 50)
        limit_ticks = rng.randint(2, 20) if rng.random() < 0.6 else None
        cl_ord_id = f"{prefix}{number + 1}"
        side = rng.choice((Side.BUY, Side.SELL))
        strategy, params, life_ns, change_share = "sweep", {}, 500_000_000, 0.02
        if rng.random() < 0.5:
            life_s = rng.randint(1, max(1, (longest_ns or duration_ns // 2) // 1_000_000_000))
            strategy, params = "twap", {"duration_s": life_s, "slices": rng.randint(2, 10)}
            life_ns, change_share = life_s * 900_000_000, 0.18
        symbol = instrument.symbol
        order = PlannedOrder(cl_ord_id, account, symbol, side, order_qty, limit_ticks, tick_px, strategy, params)
        plan.append((at_ns, order))
        change, later_ns = rng.random(), at_ns + rng.randrange(life_ns)
        if change < change_share:
            plan.append((later_ns, PlannedCancel(cl_ord_id)))
        elif change < 2 * change_share:
            more_qty = order_qty + 100 * rng.randint(-10, 20)
            plan.append((later_ns, PlannedReplace(cl_ord_id, max(more_qty, 100), limit_ticks, tick_px)))
    return sorted(plan, key=lambda step: step[0])
