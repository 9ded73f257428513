"""Single answers to a client, in both dialects; the life of an order is in `tests/scenarios`.

Fields are compared exactly: one too many is as wrong as one too few. COMMON is in every ExecutionReport on the order.
"""

import pytest

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
)
from domain.fields import (
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
from gateway.outbound import reports, status

AT_NS = 1_704_189_600_000_000_000  # 2024-01-02 10:00:00 UTC
CLIENTS = {
    version: ClientConfig(name="EMS1", begin_string=version, accounts=("ACC",)) for version in ("FIX.4.2", "FIX.4.4")
}
COMMON = "37=P1 1=ACC 55=AAPL 54=1 40=2 59=0 60=20240102-10:00:00.000"


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


def fields(body: bytes) -> dict[str, str]:
    pairs = [field.split("=", 1) for field in body.decode().split("\x01") if field]
    assert len({tag for tag, _ in pairs}) == len(pairs), f"a tag is sent twice: {pairs}"
    return dict(pair for pair in pairs if pair[0] not in ("8", "9", "35", "34", "49", "56", "52", "10"))


def expected(*texts: str) -> dict[str, str]:
    return dict(field.split("=", 1) for text in texts for field in text.split())


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
