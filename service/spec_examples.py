"""Messages that a client may send, made by the codec that reads them: a document's examples can't be wrong.

There is one for each type of order, time in force, instruction and strategy that the client's config allows.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from msgspec.structs import replace

from domain.fields import ExecInst, OrdType, Side, TimeInForce
from domain.instruments import Instrument
from domain.prices import PX_SCALE
from fix.dictionary import FIXT, dictionary, typed_dictionary
from fix.framing import frame
from fix.messages import (
    NewOrderSingle,
    OrderCancelReplaceRequest,
    OrderCancelRequest,
    OrderMassCancelRequest,
    OrderMassStatusRequest,
    OrderStatusRequest,
    StrategyParameter,
    Typed,
    encode,
)
from fix.values import write_timestamp
from gateway.clients import ClientConfig
from gateway.inbound import EVERYTHING, ONE_SYMBOL
from gateway.instructions import PEGGED, PEGS, PRICED, STOPS
from router.strategies import STRATEGIES
from router.strategies.schema import Parameter

AT_NS = int(datetime(2024, 1, 2, 15, 0, tzinfo=UTC).timestamp()) * 1_000_000_000
TARGET_STRATEGY = 847
PARAMETER_TYPE_INT = 1  # StrategyParameterType(959)
NAMES = {
    ExecInst.POST_ONLY: "Post only",
    ExecInst.MID_PRICE_PEG: "Pegged to the midpoint",
    ExecInst.MARKET_PEG: "Pegged to the other side of the market",
    ExecInst.PRIMARY_PEG: "Pegged to its own side of the market",
}


class Example(NamedTuple):
    title: str
    raw: bytes


def application(client: ClientConfig) -> str:
    """The version of the client's application messages."""
    return "FIX.5.0SP2" if client.begin_string == FIXT else client.begin_string


def examples(client: ClientConfig, comp_id: str, instrument: Instrument) -> list[Example]:
    """`comp_id` is ours, `instrument` what the orders are in."""
    made = []
    for number, (title, message, extra) in enumerate(_messages(client, instrument), 1):
        made.append(Example(title, example_frame(client, message, (client.name, comp_id), number + 1, extra)))
    return made


def example_frame(
    client: ClientConfig, message: Typed, comp_ids: tuple[str, str], number: int, extra: str = ""
) -> bytes:
    """A message in the words of `client`; `comp_ids` of the sender and the target, `extra` fields of its own."""
    header = f"35={message.MSG_TYPE}\x0149={comp_ids[0]}\x0156={comp_ids[1]}\x0134={number}\x01"
    header += f"52={write_timestamp(AT_NS)}\x01"
    return frame(client.begin_string, header.encode() + encode(message, application(client)) + extra.encode())


def shown(raw: bytes) -> str:
    return raw.decode("latin-1").replace("\x01", "|")


def _messages(client: ClientConfig, instrument: Instrument) -> Iterator[tuple[str, Typed, str]]:
    """(title, message, fields of the client's own)."""
    order = _plain(client, instrument)
    # Where the default strategy needs parameters, an order that names none would lack them.
    orders = () if _required(client.default_strategy) else _orders(client, order)
    for number, (title, changes) in enumerate(orders, 1):
        yield title, replace(order, cl_ord_id=f"A-{number}", **changes), ""
    for name in strategies_of(client):
        params = {p.name: example_value(p) for p in STRATEGIES[name].PARAMETERS if can_send(client, p)}
        yield from _strategy(client, order, name, params)
    known = dictionary(client.begin_string, application(client)).messages
    for title, message in _requests(order):
        if message.MSG_TYPE in known:
            yield title, message, ""


def _plain(client: ClientConfig, instrument: Instrument) -> NewOrderSingle:
    tick_px = instrument.tick_px
    px = 100 * PX_SCALE // tick_px * tick_px
    is_limit = OrdType.LIMIT in client.ord_types
    return NewOrderSingle(
        cl_ord_id="A-1",
        account=client.default_account or client.accounts[0],
        symbol=instrument.symbol,
        side=client.sides[0],
        order_qty=10 * instrument.lot_qty * (100 if instrument.lot_qty == 1 else 1),
        ord_type=OrdType.LIMIT if is_limit else client.ord_types[0],
        price=px if is_limit else 0,
        transact_time_ns=AT_NS,
        locate_reqd="N" if client.sides[0] is Side.SELL_SHORT else "",
    )


def _orders(client: ClientConfig, order: NewOrderSingle) -> Iterator[tuple[str, dict[str, object]]]:
    fields = dictionary(client.begin_string, application(client)).fields
    known_types, known_times = fields["40"].values, fields["59"].values
    px, stop_px = order.price or 100 * PX_SCALE, order.price or 100 * PX_SCALE
    for ord_type in client.ord_types:
        if ord_type.value not in known_types or ord_type.value in PEGGED:
            continue
        changes: dict[str, object] = {"ord_type": ord_type, "price": px if ord_type in PRICED else 0}
        if ord_type in STOPS:
            changes["stop_px"] = stop_px
        yield _words(ord_type), changes
    for peg in client.exec_insts if OrdType.PEGGED in client.ord_types else ():
        if peg in PEGS:
            yield NAMES[peg], {"ord_type": OrdType.PEGGED, "price": px, "exec_inst": peg.value}
    if order.ord_type is not OrdType.LIMIT:
        return
    for time_in_force in client.time_in_forces:
        if time_in_force is not TimeInForce.DAY and time_in_force.value in known_times:
            ends = {"expire_time_ns": AT_NS + 3 * 86_400 * 1_000_000_000}
            gtd = ends if time_in_force is TimeInForce.GOOD_TILL_DATE else {}
            yield f"Limit, {_words(time_in_force).lower()}", {"time_in_force": time_in_force, **gtd}
    if ExecInst.POST_ONLY in client.exec_insts:
        yield NAMES[ExecInst.POST_ONLY], {"exec_inst": ExecInst.POST_ONLY.value}
    if client.display_qty:
        name = "display_qty" if client.begin_string == FIXT else "max_floor"
        yield "A part of it shown", {name: order.order_qty // 10}
    if client.min_qty:
        yield "With a smallest fill", {"min_qty": order.order_qty // 10}
    if Side.SELL_SHORT in client.sides:
        yield "Short sale of shares that the client has located", {"side": Side.SELL_SHORT, "locate_reqd": "N"}
    if client.order_capacities:
        capacity = client.order_capacities[0]
        yield "With its capacity", {"order_capacity": capacity, "rule80_a": capacity.value}


def _words(item: OrdType | TimeInForce) -> str:
    return item.name.replace("_", " ").capitalize()


def _required(strategy: str) -> list[Parameter]:
    return [parameter for parameter in STRATEGIES[strategy].PARAMETERS if parameter.required]


def has_group(client: ClientConfig) -> bool:
    """Whether its version has StrategyParametersGrp(957) and its strategy tag leaves it to it."""
    groups = typed_dictionary(application(client)).messages["D"].groups
    return "957" in groups and client.strategy_tag == TARGET_STRATEGY


def can_send(client: ClientConfig, parameter: Parameter) -> bool:
    return parameter.name in client.parameter_tags or has_group(client)


def strategies_of(client: ClientConfig) -> list[str]:
    """Those whose required parameters the client has a way to send."""
    return [name for name in STRATEGIES if all(can_send(client, parameter) for parameter in _required(name))]


def example_value(parameter: Parameter) -> str:
    return str(min(max(60, parameter.low), parameter.high))


def wire_value(client: ClientConfig, strategy: str) -> str:
    """What the client sends to name a strategy."""
    return next((code for code, name in client.strategy_codes.items() if name == strategy), strategy)


def _strategy(
    client: ClientConfig, order: NewOrderSingle, name: str, params: dict[str, str]
) -> Iterator[tuple[str, Typed, str]]:
    in_group = [item for item in params.items() if item[0] not in client.parameter_tags]
    tags = client.parameter_tags
    in_tags = "".join(f"{tags[key]}={value}\x01" for key, value in params.items() if key in tags)
    code = wire_value(client, name)
    changes = {
        "cl_ord_id": f"S-{name}",
        "strategy_parameters": tuple(StrategyParameter(key, PARAMETER_TYPE_INT, value) for key, value in in_group),
    }
    if client.strategy_tag == TARGET_STRATEGY and has_group(client):
        changes["target_strategy"] = code
        named = ""
    else:
        named = f"{client.strategy_tag}={code}\x01"
    yield f"The strategy {name}", replace(order, **changes), named + in_tags


def _requests(order: NewOrderSingle) -> Iterator[tuple[str, Typed]]:
    common = {"account": order.account, "symbol": order.symbol, "side": order.side}
    yield (
        "Replace: another quantity",
        OrderCancelReplaceRequest(
            cl_ord_id="A-1b",
            orig_cl_ord_id="A-1",
            order_qty=2 * order.order_qty,
            ord_type=order.ord_type,
            price=order.price,
            transact_time_ns=AT_NS,
            locate_reqd=order.locate_reqd,
            **common,
        ),
    )
    cancel = OrderCancelRequest(
        cl_ord_id="A-1c", orig_cl_ord_id="A-1b", order_qty=2 * order.order_qty, transact_time_ns=AT_NS, **common
    )
    yield "Cancel", cancel
    yield "Status", OrderStatusRequest(cl_ord_id="A-1b", **common)
    cancels = OrderMassCancelRequest("A-2", ONE_SYMBOL, AT_NS, symbol=order.symbol)
    yield "Cancel of all orders in a symbol", cancels
    yield "Status of all orders", OrderMassStatusRequest("A-3", int(EVERYTHING))
