"""What a client is told: a fact becomes the ExecutionReport(8) or OrderCancelReject(9) that FIX prescribes for it.

A report is rendered after its fact was applied, from the fact and the order alone, so a replay gives the same bytes.
The order answers OrdStatus(39) by FIX's order of precedence, and carries the ClOrdID(11) of the last accepted request:
what fills while a request is pending is reported with the original one, and so is what fills after a cancel (matrix
J.1.b). ExecID(17) is the order's id and the number of facts applied to it: unique, and the same in a replay.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from domain.commands import MassStatusRequest, StatusRequest
from domain.facts import (
    AnyFact,
    ChildFillBusted,
    ChildFillCorrected,
    ChildFilled,
    ClientNotified,
    MassCancelAnswered,
    ParentAccepted,
    ParentCancelRequested,
    ParentDone,
    ParentDoneForDay,
    ParentReinstated,
    ParentRejected,
    ParentReplaced,
    ParentReplaceRequested,
    ParentRequestRejected,
    ParentRestated,
    ParentSuspended,
    ParentTriggered,
)
from domain.fields import (
    ExecRestatementReason,
    ExecType,
    LastCapacity,
    OrderCapacity,
    OrdRejReason,
    OrdStatus,
    Side,
    TimeInForce,
)
from domain.orders import ParentOrder
from domain.prices import avg_px_to_text
from fix.messages import ExecutionReport, News, OrderCancelReject, OrderMassCancelReport, Party
from gateway.clients import ClientConfig
from gateway.dialect import DIALECTS, Dialect
from gateway.instructions import said_back

Report = ExecutionReport | OrderCancelReject | OrderMassCancelReport | News

# The facts that `reports` has something to say about.
REPORTED = (
    ParentAccepted,
    ParentRejected,
    ParentCancelRequested,
    ParentReplaceRequested,
    ParentReplaced,
    ParentRequestRejected,
    ParentRestated,
    ParentTriggered,
    ParentDoneForDay,
    ParentSuspended,
    ParentReinstated,
    ParentDone,
    ChildFilled,
    ChildFillBusted,
    ChildFillCorrected,
    MassCancelAnswered,
    ClientNotified,
)
BROKER_OPTION = ExecRestatementReason.BROKER_OPTION
CUSTOM_CODE, CLIENT_ROLE = "D", "3"  # PartyIDSource(447), PartyRole(452)
IMMEDIATE = (TimeInForce.IMMEDIATE_OR_CANCEL, TimeInForce.FILL_OR_KILL)
CAPACITIES = {
    OrderCapacity.AGENCY: LastCapacity.AGENT,
    OrderCapacity.INDIVIDUAL: LastCapacity.AGENT,
    OrderCapacity.PRINCIPAL: LastCapacity.PRINCIPAL,
    OrderCapacity.RISKLESS_PRINCIPAL: LastCapacity.PRINCIPAL,
}


def drop_copies(
    fact: AnyFact, parent: ParentOrder | None, client: str, copy: ClientConfig, last_mkt: str = ""
) -> list[ExecutionReport]:
    """What a drop copy in the words of `copy` hears of `fact`: the ExecutionReport(8) that `client` gets, marked."""
    return [
        msgspec.structs.replace(
            report, copy_msg_indicator="Y", client_id=client, parties=(Party(client, CUSTOM_CODE, CLIENT_ROLE),)
        )
        for report in reports(fact, parent, copy, last_mkt)
        if isinstance(report, ExecutionReport)
    ]


def reports(fact: AnyFact, parent: ParentOrder | None, client: ClientConfig, last_mkt: str = "") -> list[Report]:
    """What `client` hears of `fact`; nothing for facts that are not for clients.

    `parent` is the client's order with the fact applied, None where the fact belongs to no order (an order that was
    refused, a request for an order that the client doesn't have). `last_mkt` is the MIC of the venue that filled.
    """
    dialect = DIALECTS[client.begin_string]
    match fact:
        case ParentRejected():
            return [_rejected(fact, parent, dialect)]
        case ParentRequestRejected():
            return [_request_rejected(fact, parent, dialect)] if fact.cl_ord_id else []
        case MassCancelAnswered():
            return [_mass_cancel_report(fact)]
        case ClientNotified():
            return [News(headline=fact.text, lines=(fact.text,), orig_time_ns=fact.at_ns)]
    if parent is None:
        return []
    match fact:
        case ParentAccepted():
            return [_report(parent, dialect, ExecType.NEW, fact.at_ns)]
        case ChildFilled() | ChildFillBusted() | ChildFillCorrected():
            return _traded(fact, parent, dialect, last_mkt)
        case ParentCancelRequested(cl_ord_id=cl_ord_id) if cl_ord_id:
            return [_report(parent, dialect, ExecType.PENDING_CANCEL, fact.at_ns, (cl_ord_id, parent.cl_ord_id))]
        case ParentReplaceRequested(cl_ord_id=cl_ord_id) if cl_ord_id:
            return [_report(parent, dialect, ExecType.PENDING_REPLACE, fact.at_ns, (cl_ord_id, parent.cl_ord_id))]
        case ParentReplaced():
            return [_report(parent, dialect, ExecType.REPLACED, fact.at_ns, (parent.cl_ord_id, parent.orig_cl_ord_id))]
        case ParentRestated(text=text, reason=reason):
            # ExecRestatementReason(378) is required with ExecType(150)=D.
            return [_report(parent, dialect, ExecType.RESTATED, fact.at_ns, text=text, restatement=reason)]
        case ParentTriggered(text=text):
            exec_type = dialect.triggered
            unasked = BROKER_OPTION if exec_type is ExecType.RESTATED else None
            return [_report(parent, dialect, exec_type, fact.at_ns, text=text, restatement=unasked)]
        case ParentDoneForDay():
            return [_report(parent, dialect, ExecType.DONE_FOR_DAY, fact.at_ns)]
        case ParentSuspended(text=text):
            return [_report(parent, dialect, ExecType.SUSPENDED, fact.at_ns, text=text)]
        case ParentReinstated(text=text):
            market_option = ExecRestatementReason.MARKET_OPTION
            return [_report(parent, dialect, ExecType.RESTATED, fact.at_ns, text=text, restatement=market_option)]
        case ParentDone():
            return _done(fact, parent, dialect)
    return []


def status(parent: ParentOrder | None, request: StatusRequest, client: ClientConfig, now_ns: int) -> ExecutionReport:
    """The answer to an OrderStatusRequest(H), and to an order that was sent again with PossResend(97)=Y."""
    dialect = DIALECTS[client.begin_string]
    if parent is not None:
        return _status(parent, dialect, now_ns, ord_status_req_id=request.ord_status_req_id)
    return ExecutionReport(
        order_id="NONE",
        exec_id="0",
        exec_type=dialect.status or ExecType.REJECTED,
        ord_status=OrdStatus.REJECTED,
        symbol=request.symbol,
        side=request.side,
        leaves_qty=0,
        cum_qty=0,
        avg_px="0",
        cl_ord_id=request.cl_ord_id,
        exec_trans_type=dialect.exec_trans_status,
        ord_rej_reason=OrdRejReason.UNKNOWN_ORDER,
        ord_status_req_id=request.ord_status_req_id,
        transact_time_ns=now_ns,
        text=f"ClOrdID(11)={request.cl_ord_id} is not known",
    )


def mass_status(
    parents: Sequence[ParentOrder], request: MassStatusRequest, client: ClientConfig, now_ns: int
) -> list[ExecutionReport]:
    """The answer to an OrderMassStatusRequest(AF): a report for each order, or one that says that there is none."""
    dialect = DIALECTS[client.begin_string]
    parents = () if request.reject else parents
    total = {"mass_status_req_id": request.mass_status_req_id, "tot_num_reports": str(len(parents))}
    if parents:
        last = len(parents) - 1
        return [
            _status(parent, dialect, now_ns, **total, last_rpt_requested="Y" if index == last else "N")
            for index, parent in enumerate(parents)
        ]
    return [
        ExecutionReport(
            order_id="NONE",
            exec_id="0",
            exec_type=dialect.status or ExecType.REJECTED,
            ord_status=OrdStatus.REJECTED,
            symbol=request.symbol or "[N/A]",
            side=request.side or Side.UNDISCLOSED,
            leaves_qty=0,
            cum_qty=0,
            avg_px="0",
            ord_rej_reason=OrdRejReason.UNKNOWN_ORDER,
            transact_time_ns=now_ns,
            text=request.reject or "no open order",
            last_rpt_requested="Y",
            **total,
        )
    ]


def _status(parent: ParentOrder, dialect: Dialect, now_ns: int, **asked: str) -> ExecutionReport:
    """ExecID(17) is 0, as FIX says: it reports nothing new."""
    return ExecutionReport(
        order_id=parent.parent_id,
        exec_id="0",
        exec_type=dialect.status or ExecType(dialect.ord_status(parent).value),
        ord_status=dialect.ord_status(parent),
        exec_trans_type=dialect.exec_trans_status,
        cl_ord_id=parent.cl_ord_id,
        transact_time_ns=now_ns,
        **asked,
        **_state(parent, dialect),
    )


def _state(parent: ParentOrder, dialect: Dialect) -> dict[str, Any]:
    accepted = parent.accepted
    state: dict[str, Any] = {
        "symbol": accepted.symbol,
        "side": accepted.side,
        "account": accepted.account,
        "ord_type": parent.ord_type,
        "time_in_force": accepted.time_in_force,
        "price": parent.limit_px,
        "order_qty": parent.order_qty,
        "leaves_qty": parent.leaves_qty,
        "cum_qty": parent.cum_qty,
        "avg_px": avg_px_to_text(parent.notional_px, parent.cum_qty),
        **said_back(parent, dialect),
    }
    if parent.day_ns:
        # FIX: the part of an order of several days that belongs to this one.
        day_qty = parent.cum_qty - parent.prior_qty
        state["day_order_qty"] = str(parent.order_qty - parent.prior_qty)
        state["day_cum_qty"] = str(day_qty)
        state["day_avg_px"] = avg_px_to_text(parent.notional_px - parent.prior_notional_px, day_qty)
    return state


def _report(
    parent: ParentOrder,
    dialect: Dialect,
    exec_type: ExecType | None,  # None: the one with the code of OrdStatus(39)
    at_ns: int,
    ids: tuple[str, str] | None = None,  # ClOrdID(11), OrigClOrdID(41)
    text: str = "",
    restatement: ExecRestatementReason | None = None,
    exec_trans_type: str = "",
    **fill: Any,
) -> ExecutionReport:
    cl_ord_id, orig_cl_ord_id = ids or (parent.cl_ord_id, "")
    return ExecutionReport(
        order_id=parent.parent_id,
        exec_id=f"{parent.parent_id}.{parent.version}",
        exec_type=exec_type or ExecType(dialect.ord_status(parent).value),
        ord_status=dialect.ord_status(parent),
        exec_trans_type=exec_trans_type or dialect.exec_trans_new,
        cl_ord_id=cl_ord_id,
        orig_cl_ord_id=orig_cl_ord_id,
        exec_restatement_reason=restatement,
        text=text,
        transact_time_ns=at_ns,
        **_state(parent, dialect),
        **fill,
    )


def _traded(
    fact: ChildFilled | ChildFillBusted | ChildFillCorrected, parent: ParentOrder, dialect: Dialect, last_mkt: str
) -> list[Report]:
    """A fill, or what became of one; nothing where the client's order has no part in it."""
    where: dict[str, Any] = {
        "last_mkt": last_mkt,
        "last_capacity": CAPACITIES.get(parent.instructions.order_capacity or OrderCapacity.AGENCY),
        "secondary_exec_id": fact.exec_id,  # so that a best-execution desk finds the fill in the venue's own books
    }
    ids = (parent.traded_as, "")
    if isinstance(fact, ChildFilled) or (isinstance(fact, ChildFillCorrected) and not parent.last_version):
        if not parent.last_qty:
            return []
        # A correction can also make shares the client's that were in excess until now: to him they are a new fill.
        exec_type = dialect.fill if parent.cum_qty >= parent.order_qty else dialect.partial_fill
        liquidity = fact.liquidity if isinstance(fact, ChildFilled) else None
        fill = {"last_qty": parent.last_qty, "last_px": fact.last_px, "last_liquidity_ind": liquidity}
        return [_report(parent, dialect, exec_type, fact.at_ns, ids, **fill, **where)]
    if not parent.last_version:
        return []
    where["exec_ref_id"] = f"{parent.parent_id}.{parent.last_version}"
    if isinstance(fact, ChildFillCorrected) and parent.last_qty:
        fill = {"last_qty": parent.last_qty, "last_px": fact.last_px}
        types, trans_type = dialect.trade_correct, dialect.exec_trans_correct
        return [_report(parent, dialect, types, fact.at_ns, ids, fact.text, None, trans_type, **fill, **where)]
    types, trans_type = dialect.trade_cancel, dialect.exec_trans_cancel
    return [_report(parent, dialect, types, fact.at_ns, ids, fact.text, None, trans_type, **where)]


def _done(fact: ParentDone, parent: ParentOrder, dialect: Dialect) -> list[Report]:
    if fact.ord_status is OrdStatus.FILLED:
        return []  # its last fill said so
    if fact.cl_ord_id:
        ids, restatement = (parent.cl_ord_id, parent.orig_cl_ord_id), None
    else:
        # ExecRestatementReason(378) also says why we cancelled what nobody asked us to; the end of an immediate order
        # is not such a case.
        unsolicited = fact.ord_status is OrdStatus.CANCELED and parent.accepted.time_in_force not in IMMEDIATE
        ids, restatement = None, fact.reason or (BROKER_OPTION if unsolicited else None)
    exec_type = ExecType(fact.ord_status.value)
    return [_report(parent, dialect, exec_type, fact.at_ns, ids, text=fact.text, restatement=restatement)]


def _rejected(fact: ParentRejected, parent: ParentOrder | None, dialect: Dialect) -> ExecutionReport:
    """`parent`: the order that has the ClOrdID(11) of a duplicate.

    FIX matrix F.1.b: the reject of the second order is combined with the state of the first, which goes on.
    """
    if parent is not None:
        state, ord_status, order_id = _state(parent, dialect), dialect.ord_status(parent), parent.parent_id
    else:
        ord_status, order_id = OrdStatus.REJECTED, fact.parent_id
        state = {
            "account": fact.account,
            "symbol": fact.symbol,
            "side": fact.side,
            "order_qty": fact.order_qty,
            "leaves_qty": 0,
            "cum_qty": 0,
            "avg_px": "0",
        }
    return ExecutionReport(
        order_id=order_id,
        exec_id=f"{fact.parent_id}.0",
        exec_type=ExecType.REJECTED,
        ord_status=ord_status,
        exec_trans_type=dialect.exec_trans_new,
        cl_ord_id=fact.cl_ord_id,
        ord_rej_reason=fact.reason,
        text=fact.text,
        transact_time_ns=fact.at_ns,
        **state,
    )


def _mass_cancel_report(fact: MassCancelAnswered) -> OrderMassCancelReport:
    return OrderMassCancelReport(
        order_id=fact.report_id,
        mass_action_report_id=fact.report_id,
        mass_cancel_request_type=fact.request_type,
        mass_cancel_response="0" if fact.reject_reason else fact.request_type,
        cl_ord_id=fact.cl_ord_id,
        mass_cancel_reject_reason=fact.reject_reason,
        total_affected_orders=fact.affected,
        symbol=fact.symbol,
        side=fact.side,
        transact_time_ns=fact.at_ns,
        text=fact.text,
    )


def _request_rejected(fact: ParentRequestRejected, parent: ParentOrder | None, dialect: Dialect) -> OrderCancelReject:
    # FIX: OrdStatus(39) is the one after this reject was applied, OrigClOrdID(41) the last accepted one; for an order
    # that is not known OrderID(37) is NONE and OrdStatus(39) is Rejected.
    return OrderCancelReject(
        order_id=parent.parent_id if parent else "NONE",
        cl_ord_id=fact.cl_ord_id,
        orig_cl_ord_id=parent.cl_ord_id if parent else fact.orig_cl_ord_id,
        ord_status=dialect.ord_status(parent) if parent else OrdStatus.REJECTED,
        cxl_rej_response_to=fact.response_to,
        cxl_rej_reason=fact.reason,
        account=parent.accepted.account if parent else "",
        transact_time_ns=fact.at_ns,
        text=fact.text,
    )
