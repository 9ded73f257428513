"""The application messages that the product speaks, typed: what FIX calls them, with the domain's types inside.

Prices are Px, quantities shares, times UTC ns. A default means "not sent". One struct serves all versions: `encode`
leaves out what a version does not define for the message, `decode` asks for what the version requires. How the
attributes map to tags is `fix.codec`'s concern, and comes from the dictionary: `cl_ord_id` is ClOrdID(11).
"""

from collections.abc import Callable
from functools import partial
from typing import ClassVar, get_args

import msgspec

from domain.fields import (
    CxlRejReason,
    CxlRejResponseTo,
    ExecRestatementReason,
    ExecType,
    LastCapacity,
    LastLiquidityInd,
    OrderCapacity,
    OrdRejReason,
    OrdStatus,
    OrdType,
    Side,
    TimeInForce,
)
from fix.codec import Encoder, decoder, encoder, has_form
from fix.errors import FieldError as FieldError
from fix.errors import LocalProtocolError
from fix.errors import UnsupportedMessageType as UnsupportedMessageType
from fix.market_messages import (
    MarketDataIncrementalRefresh,
    MarketDataRequest,
    MarketDataRequestReject,
    MarketDataSnapshotFullRefresh,
    Quote,
    QuoteCancel,
    QuoteRequest,
    QuoteRequestReject,
    QuoteResponse,
    SecurityStatus,
    SecurityStatusRequest,
    TradingSessionStatus,
    TradingSessionStatusRequest,
)
from fix.message import Message as Message
from fix.refresh import encode_refresh


class StrategyParameter(msgspec.Struct, frozen=True, gc=False):
    """One entry of StrategyParametersGrp(957). `type`: StrategyParameterType(959), 1 int, 6 float, 14 string..."""

    name: str
    type: int = 0
    value: str = ""


class Party(msgspec.Struct, frozen=True, gc=False):
    """One entry of Parties(453). `party_id_source` "D" is a custom code, `party_role` 3 the client."""

    party_id: str
    party_id_source: str = ""
    party_role: str = ""


class NewOrderSingle(msgspec.Struct, frozen=True, gc=False):
    MSG_TYPE: ClassVar[str] = "D"
    cl_ord_id: str
    symbol: str
    side: Side
    order_qty: int
    ord_type: OrdType
    transact_time_ns: int
    account: str = ""
    price: int = 0
    time_in_force: TimeInForce = TimeInForce.DAY
    handl_inst: str = "1"
    min_qty: int = 0
    exec_inst: str = ""
    quote_id: str = ""
    ex_destination: str = ""
    max_floor: int = 0
    effective_time_ns: int = 0
    expire_time_ns: int = 0
    target_strategy: str = ""
    strategy_parameters: tuple[StrategyParameter, ...] = ()
    text: str = ""
    stop_px: int = 0
    peg_offset_value: int = 0
    display_qty: int = 0
    locate_reqd: str = ""  # "Y", "N"
    order_capacity: OrderCapacity | None = None
    rule80_a: str = ""  # the capacity in FIX.4.2


class OrderCancelRequest(msgspec.Struct, frozen=True, gc=False):
    MSG_TYPE: ClassVar[str] = "F"
    cl_ord_id: str
    orig_cl_ord_id: str
    symbol: str
    side: Side
    transact_time_ns: int
    order_id: str = ""
    order_qty: int = 0
    account: str = ""
    text: str = ""


class OrderCancelReplaceRequest(msgspec.Struct, frozen=True, gc=False):
    MSG_TYPE: ClassVar[str] = "G"
    cl_ord_id: str
    orig_cl_ord_id: str
    symbol: str
    side: Side
    order_qty: int
    ord_type: OrdType
    transact_time_ns: int
    order_id: str = ""
    account: str = ""
    price: int = 0
    time_in_force: TimeInForce = TimeInForce.DAY
    handl_inst: str = "1"
    min_qty: int = 0
    exec_inst: str = ""
    ex_destination: str = ""
    max_floor: int = 0
    effective_time_ns: int = 0
    expire_time_ns: int = 0
    target_strategy: str = ""
    strategy_parameters: tuple[StrategyParameter, ...] = ()
    text: str = ""
    stop_px: int = 0
    peg_offset_value: int = 0
    display_qty: int = 0
    locate_reqd: str = ""
    order_capacity: OrderCapacity | None = None
    rule80_a: str = ""


class OrderStatusRequest(msgspec.Struct, frozen=True, gc=False):
    MSG_TYPE: ClassVar[str] = "H"
    cl_ord_id: str
    symbol: str
    side: Side
    order_id: str = ""
    account: str = ""
    ord_status_req_id: str = ""


class ExecutionReport(msgspec.Struct, frozen=True, gc=False):
    """In FIX.4.2 an ExecTransType(20) that isn't given is sent as New, and ExecType TRADE as PARTIAL_FILL or FILL."""

    MSG_TYPE: ClassVar[str] = "8"
    order_id: str
    exec_id: str
    exec_type: ExecType
    ord_status: OrdStatus
    symbol: str
    side: Side
    leaves_qty: int
    cum_qty: int
    avg_px: str  # decimal text: an average is not on the price grid
    cl_ord_id: str = ""
    orig_cl_ord_id: str = ""
    account: str = ""
    order_qty: int = 0
    ord_type: OrdType | None = None
    price: int = 0
    time_in_force: TimeInForce | None = None
    last_qty: int = 0
    last_px: int = 0
    last_mkt: str = ""
    last_liquidity_ind: LastLiquidityInd | None = None
    last_capacity: LastCapacity | None = None
    exec_trans_type: str = ""  # FIX.4.2 only
    exec_ref_id: str = ""
    ord_rej_reason: OrdRejReason | None = None
    exec_restatement_reason: ExecRestatementReason | None = None
    secondary_exec_id: str = ""
    transact_time_ns: int = 0
    text: str = ""
    ord_status_req_id: str = ""
    stop_px: int = 0
    exec_inst: str = ""
    peg_offset_value: int = 0
    min_qty: int = 0
    max_floor: int = 0
    display_qty: int = 0
    expire_time_ns: int = 0
    order_capacity: OrderCapacity | None = None
    rule80_a: str = ""  # the capacity in FIX.4.2
    mass_status_req_id: str = ""
    tot_num_reports: str = ""  # text, as the next ones, because 0 is worth saying
    last_rpt_requested: str = ""
    day_order_qty: str = ""
    day_cum_qty: str = ""
    day_avg_px: str = ""
    copy_msg_indicator: str = ""  # Y: a drop copy
    client_id: str = ""  # to FIX.4.2, parties afterwards
    parties: tuple[Party, ...] = ()


class OrderCancelReject(msgspec.Struct, frozen=True, gc=False):
    MSG_TYPE: ClassVar[str] = "9"
    order_id: str
    cl_ord_id: str
    orig_cl_ord_id: str
    ord_status: OrdStatus
    cxl_rej_response_to: CxlRejResponseTo
    cxl_rej_reason: CxlRejReason | None = None
    account: str = ""
    transact_time_ns: int = 0
    text: str = ""


class OrderMassCancelRequest(msgspec.Struct, frozen=True, gc=False):
    """`mass_cancel_request_type`: "1" one symbol, "7" everything. From FIX.4.3 on."""

    MSG_TYPE: ClassVar[str] = "q"
    cl_ord_id: str
    mass_cancel_request_type: str
    transact_time_ns: int
    symbol: str = ""
    side: Side | None = None
    text: str = ""


class OrderMassCancelReport(msgspec.Struct, frozen=True, gc=False):
    """`mass_cancel_response`: "0" refused, else the type of request that was carried out."""

    MSG_TYPE: ClassVar[str] = "r"
    order_id: str
    mass_cancel_request_type: str
    mass_cancel_response: str
    cl_ord_id: str = ""
    mass_action_report_id: str = ""  # required from FIX.5.0 on
    mass_cancel_reject_reason: str = ""  # "99" other
    total_affected_orders: int = 0
    symbol: str = ""
    side: Side | None = None
    transact_time_ns: int = 0
    text: str = ""


class OrderMassStatusRequest(msgspec.Struct, frozen=True, gc=False):
    """`mass_status_req_type`: 1 one symbol, 7 everything. From FIX.4.3 on."""

    MSG_TYPE: ClassVar[str] = "AF"
    mass_status_req_id: str
    mass_status_req_type: int
    account: str = ""
    symbol: str = ""
    side: Side | None = None


class News(msgspec.Struct, frozen=True, gc=False):
    MSG_TYPE: ClassVar[str] = "B"
    headline: str
    lines: tuple[str, ...]
    orig_time_ns: int = 0


class DontKnowTrade(msgspec.Struct, frozen=True, gc=False):
    """`dk_reason`: "A" unknown symbol, "B" wrong side, "C" more than ordered, "D" no matching order, "Z" other."""

    MSG_TYPE: ClassVar[str] = "Q"
    order_id: str
    exec_id: str
    dk_reason: str
    symbol: str
    side: Side
    order_qty: int = 0
    last_qty: int = 0
    last_px: int = 0
    text: str = ""


class BusinessMessageReject(msgspec.Struct, frozen=True, gc=False):
    MSG_TYPE: ClassVar[str] = "j"
    ref_msg_type: str
    business_reject_reason: int
    ref_seq_num: int = 0
    business_reject_ref_id: str = ""
    text: str = ""


Typed = (
    NewOrderSingle
    | OrderCancelRequest
    | OrderCancelReplaceRequest
    | OrderStatusRequest
    | ExecutionReport
    | OrderCancelReject
    | BusinessMessageReject
    | MarketDataRequest
    | MarketDataSnapshotFullRefresh
    | MarketDataIncrementalRefresh
    | MarketDataRequestReject
    | Quote
    | QuoteRequest
    | QuoteRequestReject
    | QuoteCancel
    | QuoteResponse
    | TradingSessionStatusRequest
    | TradingSessionStatus
    | SecurityStatusRequest
    | SecurityStatus
    | OrderMassCancelRequest
    | OrderMassCancelReport
    | OrderMassStatusRequest
    | News
    | DontKnowTrade
)
BY_MSG_TYPE: dict[str, type[Typed]] = {cls.MSG_TYPE: cls for cls in get_args(Typed)}
_decoders: dict[tuple[str, str], Callable[[Message], Typed]] = {}
_encoders: dict[tuple[str, type[Typed]], Encoder] = {}


def decode(message: Message) -> Typed:
    """The typed form; FieldError for a missing or bad field, UnsupportedMessageType where there is no such form."""
    decode_fields = _decoders.get((message.version, message.msg_type)) or _decoder(message)
    return decode_fields(message)


def encode(typed: Typed, begin_string: str) -> bytes:
    """The fields after the header, each ended by SOH; LocalProtocolError for what the version can't say.

    `begin_string`: the version of the application messages, "FIX.5.0SP2" rather than "FIXT.1.1".
    """
    encode_fields = _encoders.get((begin_string, type(typed))) or _encoder(type(typed), begin_string)
    return encode_fields(typed)


def _decoder(message: Message) -> Callable[[Message], Typed]:
    cls = BY_MSG_TYPE.get(message.msg_type)
    if cls is None or not has_form(cls, message.msg_type, message.version):
        raise UnsupportedMessageType(message.msg_type)
    made = _decoders[message.version, message.msg_type] = decoder(cls, message.msg_type, message.version)
    return made


def _encoder(cls: type[Typed], begin_string: str) -> Encoder:
    if not has_form(cls, cls.MSG_TYPE, begin_string):
        raise LocalProtocolError(f"{begin_string} has no {cls.__name__}({cls.MSG_TYPE})")
    made = encoder(cls, cls.MSG_TYPE, begin_string)
    if cls is MarketDataIncrementalRefresh and begin_string == "FIX.4.4":
        _encoders[begin_string, cls] = partial(encode_refresh, made)
    elif cls is ExecutionReport and begin_string in _WITH_EXEC_TRANS_TYPE:
        _encoders[begin_string, cls] = lambda report: made(_as_fix42(report))
    else:
        _encoders[begin_string, cls] = made
    return _encoders[begin_string, cls]


# Up to FIX.4.2 ExecTransType(20) says what later versions say with ExecType(150).
_WITH_EXEC_TRANS_TYPE = ("FIX.4.0", "FIX.4.1", "FIX.4.2")
_EXEC_TRANS_TYPES = {ExecType.TRADE_CANCEL: "1", ExecType.TRADE_CORRECT: "2", ExecType.ORDER_STATUS: "3"}


def _as_fix42(report: ExecutionReport) -> ExecutionReport:
    exec_type = report.exec_type
    trans_type = _EXEC_TRANS_TYPES.get(exec_type, "0")
    if exec_type is ExecType.TRADE:
        exec_type = ExecType.PARTIAL_FILL if report.leaves_qty else ExecType.FILL
    elif trans_type != "0":
        exec_type = ExecType(report.ord_status.value)
    return msgspec.structs.replace(report, exec_type=exec_type, exec_trans_type=report.exec_trans_type or trans_type)
