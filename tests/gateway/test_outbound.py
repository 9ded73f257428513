"""What a client is told, fact by fact, in both dialects, after the order state matrices of the FIX specification.

Each step is a fact, the fields that every version sends for it, and what FIX.4.2 and FIX.4.4 say differently. Fields
are compared exactly: one too many is as wrong as one too few. COMMON is in every ExecutionReport on the order.
"""

from typing import NamedTuple

import pytest

from domain.commands import StatusRequest
from domain.facts import (
    AnyFact,
    ChildAcknowledged,
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
from domain.fields import (
    CxlRejReason,
    CxlRejResponseTo,
    LastLiquidityInd,
    OrdRejReason,
    OrdStatus,
    OrdType,
    Side,
    TimeInForce,
)
from domain.orders import ParentOrder
from fix.messages import encode
from gateway.clients import ClientConfig
from gateway.outbound import REPORTED, reports, status

AT_NS = 1_704_189_600_000_000_000  # 2024-01-02 10:00:00 UTC
CLIENTS = {
    version: ClientConfig(name="EMS1", begin_string=version, accounts=("ACC",)) for version in ("FIX.4.2", "FIX.4.4")
}
COMMON = "37=P1 1=ACC 55=AAPL 54=1 40=2 59=0 60=20240102-10:00:00.000"


class Step(NamedTuple):
    fact: AnyFact
    both: str
    fix42: str = ""
    fix44: str = ""


def accepted(time_in_force: TimeInForce = TimeInForce.DAY) -> ParentAccepted:
    return ParentAccepted(
        at_ns=AT_NS,
        parent_id="P1",
        client="EMS1",
        cl_ord_id="X",
        account="ACC",
        symbol="AAPL",
        side=Side.BUY,
        order_qty=10_000,
        ord_type=OrdType.LIMIT,
        limit_px=1_002_500,
        time_in_force=time_in_force,
        strategy="sweep",
        params={},
        arrival_mid2_px=2_004_000,
        tape_qty=0,
        tape_notional_px=0,
    )


def fill(qty: int, px: int, exec_id: str = "V7") -> ChildFilled:
    return ChildFilled(
        at_ns=AT_NS,
        child_id="P1-1",
        venue="LIT1",
        exec_id=exec_id,
        last_qty=qty,
        last_px=px,
        liquidity=LastLiquidityInd.REMOVED,
    )


def cancel_requested(cl_ord_id: str = "Y") -> ParentCancelRequested:
    return ParentCancelRequested(at_ns=AT_NS, parent_id="P1", cl_ord_id=cl_ord_id)


def replace_requested(cl_ord_id: str, qty: int, px: int = 1_002_500) -> ParentReplaceRequested:
    return ParentReplaceRequested(
        at_ns=AT_NS, parent_id="P1", cl_ord_id=cl_ord_id, order_qty=qty, limit_px=px, params={}
    )


def replaced(cl_ord_id: str, qty: int, px: int = 1_002_500) -> ParentReplaced:
    return ParentReplaced(at_ns=AT_NS, parent_id="P1", cl_ord_id=cl_ord_id, order_qty=qty, limit_px=px, params={})


def request_rejected(
    cl_ord_id: str,
    reason: CxlRejReason,
    response_to: CxlRejResponseTo = CxlRejResponseTo.ORDER_CANCEL_REQUEST,
    orig_cl_ord_id: str = "X",
    parent_id: str = "P1",
) -> ParentRequestRejected:
    return ParentRequestRejected(
        at_ns=AT_NS,
        parent_id=parent_id,
        client="EMS1",
        cl_ord_id=cl_ord_id,
        orig_cl_ord_id=orig_cl_ord_id,
        ord_status=OrdStatus.PENDING_CANCEL,  # of before; the client is told the one after
        response_to=response_to,
        reason=reason,
        text="because",
    )


def done(ord_status: OrdStatus, cl_ord_id: str = "", text: str = "") -> ParentDone:
    return ParentDone(
        at_ns=AT_NS,
        parent_id="P1",
        ord_status=ord_status,
        cl_ord_id=cl_ord_id,
        text=text,
        tape_qty=0,
        tape_notional_px=0,
    )


REPLACE = CxlRejResponseTo.ORDER_CANCEL_REPLACE_REQUEST
FILL_FIELDS = "30=XLIT 44=100.25"
FILL_44 = "851=2 527=V7"
NEW = Step(
    accepted(),
    f"{COMMON} 17=P1.1 11=X 150=0 39=0 44=100.25 38=10000 151=10000 14=0 6=0",
    fix42="20=0",
)

SCENARIOS: dict[str, list[Step]] = {
    "A.1.a / D1: filled in two parts": [
        NEW,
        Step(
            fill(2_000, 1_002_400),
            f"{COMMON} {FILL_FIELDS} 17=P1.2 11=X 39=1 38=10000 151=8000 14=2000 6=100.24 32=2000 31=100.24",
            fix42="20=0 150=1",
            fix44=f"150=F {FILL_44}",
        ),
        Step(
            fill(8_000, 1_002_500),
            f"{COMMON} {FILL_FIELDS} 17=P1.3 11=X 39=2 38=10000 151=0 14=10000 6=100.248 32=8000 31=100.25",
            fix42="20=0 150=2",
            fix44=f"150=F {FILL_44}",
        ),
        Step(done(OrdStatus.FILLED), ""),
    ],
    "B.1.a / D3: cancel of an order without fills": [
        NEW,
        Step(
            cancel_requested(),
            f"{COMMON} 17=P1.2 11=Y 41=X 150=6 39=6 44=100.25 38=10000 151=10000 14=0 6=0",
            fix42="20=0",
        ),
        Step(
            done(OrdStatus.CANCELED, "Y"),
            f"{COMMON} 17=P1.3 11=Y 41=X 150=4 39=4 44=100.25 38=10000 151=0 14=0 6=0",
            fix42="20=0",
        ),
    ],
    "B.1.b / D4: a fill while the cancel is pending carries the original ClOrdID": [
        NEW,
        Step(
            cancel_requested(),
            f"{COMMON} 17=P1.2 11=Y 41=X 150=6 39=6 44=100.25 38=10000 151=10000 14=0 6=0",
            fix42="20=0",
        ),
        Step(
            fill(5_000, 1_002_500),
            f"{COMMON} {FILL_FIELDS} 17=P1.3 11=X 39=6 38=10000 151=5000 14=5000 6=100.25 32=5000 31=100.25",
            fix42="20=0 150=1",
            fix44=f"150=F {FILL_44}",
        ),
        Step(
            done(OrdStatus.CANCELED, "Y"),
            f"{COMMON} 17=P1.4 11=Y 41=X 150=4 39=4 44=100.25 38=10000 151=0 14=5000 6=100.25",
            fix42="20=0",
        ),
    ],
    "B.1.c / D5: filled before the cancel could be accepted; pending cancel outranks filled": [
        NEW,
        Step(
            cancel_requested(),
            f"{COMMON} 17=P1.2 11=Y 41=X 150=6 39=6 44=100.25 38=10000 151=10000 14=0 6=0",
            fix42="20=0",
        ),
        Step(
            fill(10_000, 1_002_500),
            f"{COMMON} {FILL_FIELDS} 17=P1.3 11=X 39=6 38=10000 151=0 14=10000 6=100.25 32=10000 31=100.25",
            fix42="20=0 150=2",
            fix44=f"150=F {FILL_44}",
        ),
        Step(
            request_rejected("Y", CxlRejReason.TOO_LATE),
            "37=P1 11=Y 41=X 39=2 434=1 102=0 1=ACC 58=because 60=20240102-10:00:00.000",
        ),
        Step(done(OrdStatus.FILLED), ""),
    ],
    "B.1.d / D22: cancel of an unknown order": [
        Step(
            request_rejected("Y", CxlRejReason.UNKNOWN_ORDER, orig_cl_ord_id="Z", parent_id=""),
            "37=NONE 11=Y 41=Z 39=8 434=1 102=1 58=because 60=20240102-10:00:00.000",
        ),
    ],
    "C.1.a / D6: replaced up without fills: Replaced outranks New in FIX.4.2 and is no status in FIX.4.4": [
        NEW,
        Step(
            replace_requested("Y", 11_000, 1_003_000),
            f"{COMMON} 17=P1.2 11=Y 41=X 150=E 39=E 44=100.25 38=10000 151=10000 14=0 6=0",
            fix42="20=0",
        ),
        Step(
            replaced("Y", 11_000, 1_003_000),
            f"{COMMON} 17=P1.3 11=Y 41=X 150=5 44=100.30 38=11000 151=11000 14=0 6=0",
            fix42="20=0 39=5",
            fix44="39=0",
        ),
        Step(
            fill(1_000, 1_002_500),
            f"{COMMON} 30=XLIT 44=100.30 17=P1.4 11=Y 39=1 38=11000 151=10000 14=1000 6=100.25 32=1000 31=100.25",
            fix42="20=0 150=1",
            fix44=f"150=F {FILL_44}",
        ),
    ],
    "C.1.b / D7: a fill while the replace is pending carries the original ClOrdID, quantity and price": [
        NEW,
        Step(
            replace_requested("Y", 12_000, 1_003_000),
            f"{COMMON} 17=P1.2 11=Y 41=X 150=E 39=E 44=100.25 38=10000 151=10000 14=0 6=0",
            fix42="20=0",
        ),
        Step(
            fill(100, 1_002_500),
            f"{COMMON} {FILL_FIELDS} 17=P1.3 11=X 39=E 38=10000 151=9900 14=100 6=100.25 32=100 31=100.25",
            fix42="20=0 150=1",
            fix44=f"150=F {FILL_44}",
        ),
        Step(
            replaced("Y", 12_000, 1_003_000),
            f"{COMMON} 17=P1.4 11=Y 41=X 150=5 39=1 44=100.30 38=12000 151=11900 14=100 6=100.25",
            fix42="20=0",
        ),
        Step(
            cancel_requested("Z"),
            f"{COMMON} 17=P1.5 11=Z 41=Y 150=6 39=6 44=100.30 38=12000 151=11900 14=100 6=100.25",
            fix42="20=0",
        ),
        Step(
            done(OrdStatus.CANCELED, "Z"),
            f"{COMMON} 17=P1.6 11=Z 41=Y 150=4 39=4 44=100.30 38=12000 151=0 14=100 6=100.25",
            fix42="20=0",
        ),
    ],
    "C.3.b / D11: replaced down to what is filled: Filled outranks Replaced": [
        NEW,
        Step(
            fill(7_000, 1_002_500),
            f"{COMMON} {FILL_FIELDS} 17=P1.2 11=X 39=1 38=10000 151=3000 14=7000 6=100.25 32=7000 31=100.25",
            fix42="20=0 150=1",
            fix44=f"150=F {FILL_44}",
        ),
        Step(
            replace_requested("Y", 7_000),
            f"{COMMON} 17=P1.3 11=Y 41=X 150=E 39=E 44=100.25 38=10000 151=3000 14=7000 6=100.25",
            fix42="20=0",
        ),
        Step(
            replaced("Y", 7_000),
            f"{COMMON} 17=P1.4 11=Y 41=X 150=5 39=2 44=100.25 38=7000 151=0 14=7000 6=100.25",
            fix42="20=0",
        ),
    ],
    "D.2.c / D17: a second replace while the first is pending names the last accepted ClOrdID": [
        NEW,
        Step(
            replace_requested("Y", 8_000),
            f"{COMMON} 17=P1.2 11=Y 41=X 150=E 39=E 44=100.25 38=10000 151=10000 14=0 6=0",
            fix42="20=0",
        ),
        Step(
            request_rejected("Z", CxlRejReason.ALREADY_PENDING, REPLACE, orig_cl_ord_id="Y"),
            "37=P1 11=Z 41=X 39=E 434=2 102=3 1=ACC 58=because 60=20240102-10:00:00.000",
        ),
    ],
    "a request with a ClOrdID that was used before: FIX.4.2 has no code for it": [
        NEW,
        Step(
            request_rejected("X", CxlRejReason.DUPLICATE_CL_ORD_ID),
            "37=P1 11=X 41=X 39=0 434=1 1=ACC 58=because 60=20240102-10:00:00.000",
            fix42="102=2",
            fix44="102=6",
        ),
    ],
    "E.1.b / D19: a cancel that nobody asked for says why": [
        NEW,
        Step(
            done(OrdStatus.CANCELED, text="killed"),
            f"{COMMON} 17=P1.2 11=X 150=4 39=4 44=100.25 38=10000 151=0 14=0 6=0 378=4 58=killed",
            fix42="20=0",
        ),
    ],
    "I.1.b / D32: what an immediate order does not get is canceled, not expired": [
        Step(
            accepted(TimeInForce.IMMEDIATE_OR_CANCEL),
            f"{COMMON.replace('59=0', '59=3')} 17=P1.1 11=X 150=0 39=0 44=100.25 38=10000 151=10000 14=0 6=0",
            fix42="20=0",
        ),
        Step(
            done(OrdStatus.CANCELED),
            f"{COMMON.replace('59=0', '59=3')} 17=P1.2 11=X 150=4 39=4 44=100.25 38=10000 151=0 14=0 6=0",
            fix42="20=0",
        ),
    ],
    "the end of its time": [
        NEW,
        Step(
            done(OrdStatus.EXPIRED),
            f"{COMMON} 17=P1.2 11=X 150=C 39=C 44=100.25 38=10000 151=0 14=0 6=0",
            fix42="20=0",
        ),
    ],
    "J.1.b / D35: a late fill of a canceled order counts, the status stays": [
        NEW,
        Step(
            done(OrdStatus.CANCELED, "Y"),
            f"{COMMON} 17=P1.2 11=Y 41=X 150=4 39=4 44=100.25 38=10000 151=0 14=0 6=0",
            fix42="20=0",
        ),
        Step(
            fill(4_000, 1_002_500),
            f"{COMMON} {FILL_FIELDS} 17=P1.3 11=Y 39=4 38=10000 151=0 14=4000 6=100.25 32=4000 31=100.25",
            fix42="20=0 150=1",
            fix44=f"150=F {FILL_44}",
        ),
    ],
    "an overfill leaves nothing open": [
        NEW,
        Step(
            fill(10_100, 1_002_500),
            f"{COMMON} {FILL_FIELDS} 17=P1.2 11=X 39=2 38=10000 151=0 14=10100 6=100.25 32=10100 31=100.25",
            fix42="20=0 150=2",
            fix44=f"150=F {FILL_44}",
        ),
    ],
    "restated: held and open": [
        NEW,
        Step(
            ParentRestated(at_ns=AT_NS, parent_id="P1", text="held"),
            f"{COMMON} 17=P1.2 11=X 150=D 39=0 44=100.25 38=10000 151=10000 14=0 6=0 378=4 58=held",
            fix42="20=0",
        ),
    ],
    "a stop that a trade triggered": [
        NEW,
        Step(
            ParentTriggered(at_ns=AT_NS, parent_id="P1", px=101_0000, text="triggered"),
            f"{COMMON} 17=P1.2 11=X 150=D 39=0 44=100.25 38=10000 151=10000 14=0 6=0 378=4 58=triggered",
            fix42="20=0",
        ),
    ],
    "facts that are not for the client": [
        NEW,
        Step(ChildAcknowledged(at_ns=AT_NS, child_id="P1-1", venue_order_id="V1"), ""),
    ],
}


def fields(body: bytes) -> dict[str, str]:
    pairs = [field.split("=", 1) for field in body.decode().split("\x01") if field]
    assert len({tag for tag, _ in pairs}) == len(pairs), f"a tag is sent twice: {pairs}"
    return dict(pair for pair in pairs if pair[0] not in ("8", "9", "35", "34", "49", "56", "52", "10"))


def expected(*texts: str) -> dict[str, str]:
    return dict(field.split("=", 1) for text in texts for field in text.split())


@pytest.mark.parametrize("version", CLIENTS)
@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(name: str, version: str) -> None:
    parent: ParentOrder | None = None
    exec_ids = []
    for step in SCENARIOS[name]:
        if isinstance(step.fact, ParentAccepted):
            parent = ParentOrder(step.fact)
        elif parent is not None:
            parent.apply(step.fact)
        sent = [fields(encode(report, version)) for report in reports(step.fact, parent, CLIENTS[version], "XLIT")]
        wanted = expected(step.both, step.fix42 if version == "FIX.4.2" else step.fix44)
        assert sent == ([wanted] if wanted else [])
        exec_ids += [report["17"] for report in sent if "17" in report]
    assert len(set(exec_ids)) == len(exec_ids)


REJECTED = "37=P9 17=P9.0 11=X 1=BAD 55=AAPL 54=2 38=500 150=8 39=8 151=0 14=0 6=0 60=20240102-10:00:00.000"


@pytest.mark.parametrize(
    ("reason", "fix42", "fix44"),
    [
        (OrdRejReason.UNKNOWN_SYMBOL, "1", "1"),
        (OrdRejReason.DUPLICATE_ORDER, "6", "6"),
        (OrdRejReason.UNSUPPORTED_ORDER_CHARACTERISTIC, "0", "11"),
        (OrdRejReason.INCORRECT_QUANTITY, "0", "13"),
        (OrdRejReason.UNKNOWN_ACCOUNT, "0", "15"),
        (OrdRejReason.OTHER, "0", "99"),
    ],
)
def test_rejected_order_with_a_reason_that_the_version_has(reason: OrdRejReason, fix42: str, fix44: str) -> None:
    fact = ParentRejected(
        at_ns=AT_NS,
        parent_id="P9",
        client="EMS1",
        cl_ord_id="X",
        account="BAD",
        symbol="AAPL",
        side=Side.SELL,
        order_qty=500,
        reason=reason,
        text="why",
    )
    for version, code, more in (("FIX.4.2", fix42, "20=0"), ("FIX.4.4", fix44, "")):
        (report,) = reports(fact, None, CLIENTS[version])
        assert fields(encode(report, version)) == expected(REJECTED, f"103={code} 58=why", more)


REQUEST = StatusRequest(client="EMS1", cl_ord_id="X", symbol="AAPL", side=Side.BUY, ord_status_req_id="S1")
STATUS = f"{COMMON} 17=0 44=100.25"


@pytest.mark.parametrize(
    ("facts", "both", "fix42", "fix44"),
    [
        ([], "11=X 39=0 38=10000 151=10000 14=0 6=0", "150=0", ""),
        ([fill(2_000, 1_002_400)], "11=X 39=1 38=10000 151=8000 14=2000 6=100.24", "150=1", ""),
        ([fill(10_000, 1_002_400)], "11=X 39=2 38=10000 151=0 14=10000 6=100.24", "150=2", ""),
        ([cancel_requested()], "11=X 39=6 38=10000 151=10000 14=0 6=0", "150=6", ""),
        (
            [replace_requested("Y", 9_000), replaced("Y", 9_000)],
            "11=Y 38=9000 151=9000 14=0 6=0",
            "150=5 39=5",
            "39=0",
        ),
        ([cancel_requested(), done(OrdStatus.CANCELED, "Y")], "11=Y 39=4 38=10000 151=0 14=0 6=0", "150=4", ""),
    ],
)
def test_status(facts: list[AnyFact], both: str, fix42: str, fix44: str) -> None:
    parent = ParentOrder(accepted())
    for fact in facts:
        assert parent.apply(fact)
    report = fields(encode(status(parent, REQUEST, CLIENTS["FIX.4.2"], AT_NS), "FIX.4.2"))
    assert report == expected(STATUS, both, "20=3", fix42)
    report = fields(encode(status(parent, REQUEST, CLIENTS["FIX.4.4"], AT_NS), "FIX.4.4"))
    assert report == expected(STATUS, both, "150=I 790=S1", fix44)


def test_status_of_an_unknown_order() -> None:
    both = "37=NONE 17=0 11=X 55=AAPL 54=1 39=8 103=5 151=0 14=0 6=0 60=20240102-10:00:00.000"
    for version, more in (("FIX.4.2", "20=3 150=8"), ("FIX.4.4", "150=I 790=S1")):
        report = fields(encode(status(None, REQUEST, CLIENTS[version], AT_NS), version))
        assert report.pop("58") == "ClOrdID(11)=X is not known"
        assert report == expected(both, more)


def test_every_reported_kind_of_fact_is_in_a_scenario() -> None:
    shown = {type(step.fact) for steps in SCENARIOS.values() for step in steps if step.both}
    assert shown | {ParentRejected} == set(REPORTED)
