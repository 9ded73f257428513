"""What a client is told: a fact becomes the ExecutionReport(8) or OrderCancelReject(9) that FIX prescribes for it.

A report is rendered after its fact was applied, from the fact and the order alone, so a replay gives the same bytes.
The order answers OrdStatus(39) by FIX's order of precedence, and carries the ClOrdID(11) of the last accepted request:
what fills while a request is pending is reported with the original one. ExecID(17) is the order's id and the number of
facts applied to it: unique, and the same in a replay.
"""

from typing import Any

from domain.commands import StatusRequest
from domain.facts import (
    AnyFact,
    ChildFilled,
    ParentAccepted,
    ParentCancelRequested,
    ParentDone,
    ParentRejected,
    ParentReplaced,
    ParentReplaceRequested,
    ParentRequestRejected,
    ParentRestated,
    ParentTriggered,
)
from domain.fields import ExecType, OrdRejReason, OrdStatus, TimeInForce
from domain.orders import ParentOrder
from domain.prices import avg_px_to_text
from fix.messages import ExecutionReport, OrderCancelReject
from gateway.clients import ClientConfig
from gateway.dialect import DIALECTS, Dialect
from gateway.instructions import said_back

Report = ExecutionReport | OrderCancelReject

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
    ParentDone,
    ChildFilled,
)
BROKER_OPTION = "4"  # ExecRestatementReason(378)
IMMEDIATE = (TimeInForce.IMMEDIATE_OR_CANCEL, TimeInForce.FILL_OR_KILL)


def reports(fact: AnyFact, parent: ParentOrder | None, client: ClientConfig, last_mkt: str = "") -> list[Report]:
    """What `client` hears of `fact`; nothing for facts that are not for clients.

    `parent` is the client's order with the fact applied, None where the fact belongs to no order (an order that was
    refused, a request for an order that the client doesn't have). `last_mkt` is the MIC of the venue that filled.
    """
    dialect = DIALECTS[client.begin_string]
    if isinstance(fact, ParentRejected):
        return [_rejected(fact, dialect)]
    if isinstance(fact, ParentRequestRejected):
        return [_request_rejected(fact, parent, dialect)]
    if parent is None:
        return []
    match fact:
        case ParentAccepted():
            return [_report(parent, dialect, ExecType.NEW, fact.at_ns)]
        case ChildFilled():
            return [_trade(fact, parent, dialect, last_mkt)]
        case ParentCancelRequested(cl_ord_id=cl_ord_id):
            return [_report(parent, dialect, ExecType.PENDING_CANCEL, fact.at_ns, (cl_ord_id, parent.cl_ord_id))]
        case ParentReplaceRequested(cl_ord_id=cl_ord_id):
            return [_report(parent, dialect, ExecType.PENDING_REPLACE, fact.at_ns, (cl_ord_id, parent.cl_ord_id))]
        case ParentReplaced():
            return [_report(parent, dialect, ExecType.REPLACED, fact.at_ns, (parent.cl_ord_id, parent.orig_cl_ord_id))]
        case ParentRestated(text=text):
            # ExecRestatementReason(378) is required with ExecType(150)=D.
            restated = _report(parent, dialect, ExecType.RESTATED, fact.at_ns, text=text, restatement=BROKER_OPTION)
            return [restated]
        case ParentTriggered(text=text):
            exec_type = dialect.triggered
            reason = BROKER_OPTION if exec_type is ExecType.RESTATED else ""
            return [_report(parent, dialect, exec_type, fact.at_ns, text=text, restatement=reason)]
        case ParentDone():
            return _done(fact, parent, dialect)
    return []


def status(parent: ParentOrder | None, request: StatusRequest, client: ClientConfig, now_ns: int) -> ExecutionReport:
    """The answer to an OrderStatusRequest(H). ExecID(17) is 0, as FIX says: it reports nothing new."""
    dialect = DIALECTS[client.begin_string]
    if parent is None:
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
    return ExecutionReport(
        order_id=parent.parent_id,
        exec_id="0",
        exec_type=dialect.status or ExecType(dialect.ord_status(parent).value),
        ord_status=dialect.ord_status(parent),
        exec_trans_type=dialect.exec_trans_status,
        cl_ord_id=parent.cl_ord_id,
        ord_status_req_id=request.ord_status_req_id,
        transact_time_ns=now_ns,
        **_state(parent),
    )


def _state(parent: ParentOrder) -> dict[str, Any]:
    accepted = parent.accepted
    return {
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
        **said_back(parent),
    }


def _report(
    parent: ParentOrder,
    dialect: Dialect,
    exec_type: ExecType,
    at_ns: int,
    ids: tuple[str, str] | None = None,  # ClOrdID(11), OrigClOrdID(41)
    text: str = "",
    restatement: str = "",
    **fill: Any,
) -> ExecutionReport:
    cl_ord_id, orig_cl_ord_id = ids or (parent.cl_ord_id, "")
    return ExecutionReport(
        order_id=parent.parent_id,
        exec_id=f"{parent.parent_id}.{parent.version}",
        exec_type=exec_type,
        ord_status=dialect.ord_status(parent),
        exec_trans_type=dialect.exec_trans_new,
        cl_ord_id=cl_ord_id,
        orig_cl_ord_id=orig_cl_ord_id,
        exec_restatement_reason=restatement,
        text=text,
        transact_time_ns=at_ns,
        **_state(parent),
        **fill,
    )


def _trade(fact: ChildFilled, parent: ParentOrder, dialect: Dialect, last_mkt: str) -> ExecutionReport:
    full = parent.cum_qty >= parent.order_qty
    return _report(
        parent,
        dialect,
        dialect.fill if full else dialect.partial_fill,
        fact.at_ns,
        last_qty=fact.last_qty,
        last_px=fact.last_px,
        last_mkt=last_mkt,
        last_liquidity_ind=fact.liquidity,
        secondary_exec_id=fact.exec_id,  # so that a best-execution desk finds the fill in the venue's own books
    )


def _done(fact: ParentDone, parent: ParentOrder, dialect: Dialect) -> list[Report]:
    if fact.ord_status is OrdStatus.FILLED:
        return []  # its last fill said so
    if fact.cl_ord_id:
        ids, restatement = (parent.cl_ord_id, parent.orig_cl_ord_id), ""
    else:
        # ExecRestatementReason(378) also says why we cancelled what nobody asked us to; the end of an immediate order
        # is not such a case.
        unsolicited = fact.ord_status is OrdStatus.CANCELED and parent.accepted.time_in_force not in IMMEDIATE
        ids, restatement = None, BROKER_OPTION if unsolicited else ""
    exec_type = ExecType(fact.ord_status.value)
    return [_report(parent, dialect, exec_type, fact.at_ns, ids, text=fact.text, restatement=restatement)]


def _rejected(fact: ParentRejected, dialect: Dialect) -> ExecutionReport:
    return ExecutionReport(
        order_id=fact.parent_id,
        exec_id=f"{fact.parent_id}.0",
        exec_type=ExecType.REJECTED,
        ord_status=OrdStatus.REJECTED,
        exec_trans_type=dialect.exec_trans_new,
        cl_ord_id=fact.cl_ord_id,
        account=fact.account,
        symbol=fact.symbol,
        side=fact.side,
        order_qty=fact.order_qty,
        leaves_qty=0,
        cum_qty=0,
        avg_px="0",
        ord_rej_reason=fact.reason,
        text=fact.text,
        transact_time_ns=fact.at_ns,
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
