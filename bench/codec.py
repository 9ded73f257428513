"""Our codec against simplefix, on the same messages, in turns: neither gets the quieter machine.

Decoding is from bytes to a typed, validated struct: frame, CheckSum(10), fields, types. simplefix is timed with what
comes closest: parse, then get each field; it checks neither sums nor types. Encoding is from the same typed order to
whole bytes. Every message differs in its ids, prices and times, as traffic does.
"""

from collections.abc import Callable
from statistics import median
from time import perf_counter_ns

import simplefix

from domain.fields import ExecType, LastLiquidityInd, OrdStatus, OrdType, Side, TimeInForce
from domain.prices import px_to_text
from fix.framing import Composer, Framer
from fix.message import parse
from fix.messages import ExecutionReport, NewOrderSingle, decode, encode

VERSION = "FIX.4.4"
MESSAGES = 500
ROUNDS = 15
START_NS = 1_704_205_800_000_000_000
STEP_NS = 1_370_000  # between two messages


def figures() -> list[dict[str, str | float]]:
    frames = [_report_frame(number) for number in range(MESSAGES)]
    orders = [_order(number) for number in range(MESSAGES)]
    tags = [pair.split(b"=")[0] for pair in frames[0].split(b"\x01")[:-1]]
    composer = Composer(VERSION, "FAIRLEAD", "XNYS")
    framer = Framer()

    def our_decode() -> None:
        for frame in frames:
            framer.feed(frame)
            whole = framer.next_frame()
            assert whole is not None
            decode(parse(whole))

    def their_decode() -> None:
        for frame in frames:
            parser = simplefix.FixParser()
            parser.append_buffer(frame)
            message = parser.get_message()
            for tag in tags:
                message.get(tag)

    def our_encode() -> None:
        for number, order in enumerate(orders):
            composer.compose("D", number, order.transact_time_ns, encode(order, VERSION))

    def their_encode() -> None:
        for number, order in enumerate(orders):
            _simplefix_message(number, order).encode()

    return [
        _figure("decode_execution_report", our_decode, their_decode),
        _figure("encode_new_order_single", our_encode, their_encode),
    ]


def _figure(name: str, ours: Callable[[], None], theirs: Callable[[], None]) -> dict[str, str | float]:
    our_us, their_us = [], []
    for _ in range(3):
        rounds = [(_micros(ours), _micros(theirs)) for _ in range(ROUNDS // 3)]
        our_us.append(median(ours for ours, _ in rounds))
        their_us.append(median(theirs for _, theirs in rounds))
    value, vs = min(our_us), min(their_us)
    return {"name": name, "value": round(value, 2), "unit": "us", "vs": round(vs, 2), "ratio": round(vs / value, 1)}


def _micros(work: Callable[[], None]) -> float:
    began = perf_counter_ns()
    work()
    return (perf_counter_ns() - began) / 1000 / MESSAGES


def _report_frame(number: int) -> bytes:
    """An ExecutionReport(8) of 26 fields between the header's first and the CheckSum(10)."""
    now_ns = START_NS + number * STEP_NS
    report = ExecutionReport(
        order_id=f"V{100_000 + number}",
        exec_id=f"E{500_000 + number}",
        exec_type=ExecType.TRADE,
        ord_status=OrdStatus.PARTIALLY_FILLED,
        symbol="AAPL",
        side=Side.BUY,
        leaves_qty=1000 - number,
        cum_qty=number,
        avg_px=f"185.{1000 + number}",
        cl_ord_id=f"C{700_000 + number}",
        account="ACC1",
        order_qty=1000,
        ord_type=OrdType.LIMIT,
        price=1_852_500 + number * 100,
        time_in_force=TimeInForce.DAY,
        last_qty=1 + number % 100,
        last_px=1_852_400 + number * 50,
        last_mkt="XNAS",
        last_liquidity_ind=LastLiquidityInd.REMOVED,
        transact_time_ns=now_ns,
    )
    return Composer(VERSION, "XNYS", "FAIRLEAD").compose("8", number, now_ns, encode(report, VERSION))


def _order(number: int) -> NewOrderSingle:
    return NewOrderSingle(
        cl_ord_id=f"C{700_000 + number}",
        symbol="AAPL",
        side=Side.BUY,
        order_qty=100 + number,
        ord_type=OrdType.LIMIT,
        transact_time_ns=START_NS + number * STEP_NS,
        account="ACC1",
        price=1_852_500 + number * 100,
        time_in_force=TimeInForce.IMMEDIATE_OR_CANCEL,
        ex_destination="XNYS",
    )


def _simplefix_message(number: int, order: NewOrderSingle) -> simplefix.FixMessage:
    seconds = order.transact_time_ns / 1e9
    message = simplefix.FixMessage()
    message.append_pair(8, VERSION)
    message.append_pair(35, "D")
    message.append_pair(34, number)
    message.append_pair(49, "FAIRLEAD")
    message.append_pair(56, "XNYS")
    message.append_utc_timestamp(52, seconds)
    message.append_pair(11, order.cl_ord_id)
    message.append_pair(55, order.symbol)
    message.append_pair(54, order.side)
    message.append_utc_timestamp(60, seconds)
    message.append_pair(38, order.order_qty)
    message.append_pair(40, order.ord_type)
    message.append_pair(1, order.account)
    message.append_pair(21, order.handl_inst)
    message.append_pair(100, order.ex_destination)
    message.append_pair(44, px_to_text(order.price))
    message.append_pair(59, order.time_in_force)
    return message
