"""What venues say and what it becomes. No report is dropped, and none makes the process fail."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.facts import (
    AnyFact,
    ChildAcknowledged,
    ChildCanceled,
    ChildCancelRejected,
    ChildExpired,
    ChildFillBusted,
    ChildFillCorrected,
    ChildFilled,
    ChildRejected,
    ChildReplaced,
    ChildReplaceRejected,
    ChildStatus,
    ExecutionUnknown,
)
from domain.fields import (
    CxlRejReason,
    ExecType,
    LastLiquidityInd,
    OrdRejReason,
    OrdStatus,
    Side,
)
from fix.message import Message, parse
from fix.messages import ExecutionReport, encode
from venues.inbound import to_facts

AT_NS = 1_704_189_600_000_000_000
REPORT = "11=E-1 37=V1 17=9 55=AAPL 54=1 151=0 14=0 6=0"
FILL = f"{REPORT} 150=F 39=1 32=100 31=100.25 851=1"


def message(msg_type: str, body: str, begin_string: str = "FIX.4.4") -> Message:
    """A tag alone in `body` takes the field before it away again; "~" stands for a blank."""
    fields: dict[str, str] = {}
    for item in f"8={begin_string} 35={msg_type} 49=V 56=FAIRLEAD 34=7 52=20240102-10:00:00 {body}".split():
        tag, is_set, value = item.partition("=")
        if is_set:
            fields[tag] = value.replace("~", " ")
        else:
            del fields[tag]
    return parse("".join(f"{tag}={value}\x01" for tag, value in fields.items()).encode())


def filled(**changes: object) -> ChildFilled:
    fields = {"child_id": "E-1", "venue": "V", "exec_id": "9", "last_qty": 100, "last_px": 1_002_500}
    return ChildFilled(at_ns=AT_NS, **fields | {"liquidity": LastLiquidityInd.ADDED} | changes)


def unknown(text: str, **changes: object) -> ExecutionUnknown:
    fields = {"venue": "V", "child_id": "E-1", "exec_id": "9", "last_qty": 100, "last_px": 1_002_500}
    return ExecutionUnknown(at_ns=AT_NS, text=text, **fields | changes)


def status(ord_status: OrdStatus, cum_qty: int, notional_px: int = 0) -> ChildStatus:
    return ChildStatus(at_ns=AT_NS, child_id="E-1", ord_status=ord_status, cum_qty=cum_qty, notional_px=notional_px)


def busted(**changes: object) -> ChildFillBusted:
    fields = {"child_id": "E-1", "venue": "V", "exec_id": "10", "exec_ref_id": "9", "last_qty": 0, "last_px": 0}
    return ChildFillBusted(at_ns=AT_NS, **fields | changes)


def corrected(**changes: object) -> ChildFillCorrected:
    fields = {"child_id": "E-1", "venue": "V", "exec_id": "10", "exec_ref_id": "9", "was_qty": 0, "was_px": 0}
    return ChildFillCorrected(at_ns=AT_NS, **fields | {"last_qty": 60, "last_px": 1_002_600} | changes)


def replaced(**changes: object) -> ChildReplaced:
    fields = {"child_id": "E-1", "order_qty": 300, "px": 0, "replace_id": "", "text": ""}
    return ChildReplaced(at_ns=AT_NS, **fields | changes)


REMOVED = LastLiquidityInd.REMOVED
RESTATED = "restated by the venue"
UNDERSTOOD: list[tuple[str, AnyFact | None]] = [
    (f"{REPORT} 150=0 39=0", ChildAcknowledged(at_ns=AT_NS, child_id="E-1", venue_order_id="V1")),
    (f"{REPORT} 150=A 39=A", None),
    (f"{REPORT} 41=E-1 11=E-X1 150=6 39=6", None),
    (f"{REPORT} 41=E-1 11=E-X1 150=E 39=E", None),
    (FILL, filled()),
    (f"{FILL} 851=2", filled(liquidity=REMOVED)),
    (f"{FILL} 851", filled(liquidity=REMOVED)),
    (f"{FILL} 851=9", filled(liquidity=REMOVED)),
    (f"{FILL} 32=100.0 31=100.2500", filled()),
    (f"{FILL} 39=Q 14=none 6=?", filled()),  # what we don't need can't cost us a fill
    (f"{FILL} 20=0 150=1 851", filled(liquidity=REMOVED)),
    (f"{FILL} 20=0 150=2 851", filled(liquidity=REMOVED)),
    (f"{REPORT} 41=E-1 11=E-X1 150=4 39=4", ChildCanceled(at_ns=AT_NS, child_id="E-1", text="", cum_qty=0)),
    (f"{REPORT} 150=4 39=4 58=no~more", ChildCanceled(at_ns=AT_NS, child_id="E-1", text="no more", cum_qty=0)),
    (f"{REPORT} 150=C 39=C 58=closed", ChildExpired(at_ns=AT_NS, child_id="E-1", text="closed", cum_qty=0)),
    (f"{REPORT} 150=3 39=3", ChildExpired(at_ns=AT_NS, child_id="E-1", text="", cum_qty=0)),
    (
        f"{REPORT} 150=8 39=8 103=1 58=what?",
        ChildRejected(at_ns=AT_NS, child_id="E-1", reason=OrdRejReason.UNKNOWN_SYMBOL, text="what?", cum_qty=0),
    ),
    (
        f"{REPORT} 150=8 39=8 103=777",
        ChildRejected(at_ns=AT_NS, child_id="E-1", reason=OrdRejReason.OTHER, text="", cum_qty=0),
    ),
    (f"{REPORT} 150=I 39=1 14=200", status(OrdStatus.PARTIALLY_FILLED, 200)),
    (f"{REPORT} 150=I 39=1 14=300 6=10.123456", status(OrdStatus.PARTIALLY_FILLED, 300, 30_370_368)),
    (f"{REPORT} 150=I 39=1 14=300 6=ten", status(OrdStatus.PARTIALLY_FILLED, 300)),
    (f"{REPORT} 20=3 150=1 39=1 14=200", status(OrdStatus.PARTIALLY_FILLED, 200)),
    (f"{REPORT} 37=NONE 150=I 39=8 103=5", status(OrdStatus.REJECTED, 0)),  # the venue never had the order
    # Busts and corrections; 4.2 says them by ExecTransType(20).
    (f"{REPORT} 150=H 39=0 17=10 19=9", busted()),
    (
        f"{REPORT} 150=H 39=0 17=10 19=9 32=100 31=100.25 58=error",
        busted(last_qty=100, last_px=1_002_500, text="error"),
    ),
    (f"{REPORT} 20=1 150=0 39=0 17=10 19=9", busted()),
    (f"{REPORT} 150=G 39=1 17=10 19=9 32=60 31=100.26", corrected()),
    (f"{REPORT} 20=2 150=1 39=1 17=10 19=9 32=60 31=100.26 58=price", corrected(text="price")),
    (f"{REPORT} 150=G 39=0 17=10 19=9 32=0 31=0", busted()),  # corrected to nothing
    # Changes of the order: what is left counts, where OrderQty(38) stays as it was.
    (f"{REPORT} 41=E-1 11=E-R1 150=5 39=0 38=300 14=0 151=300 44=100.25", replaced(replace_id="E-R1", px=1_002_500)),
    (f"{REPORT} 41=E-R1 11=E-R2 150=5 39=1 38=300 14=100 151=200", replaced(child_id="E-R1", replace_id="E-R2")),
    (f"{REPORT} 20=0 41=E-1 11=E-R1 150=5 39=5 38=300 14 151", replaced(replace_id="E-R1")),
    (f"{REPORT} 150=5 39=0 38=300 14=0 151=300", replaced()),  # nobody asked
    (
        f"{REPORT} 150=D 39=1 378=5 38=500 14=100 151=200",
        replaced(text="restated by the venue: part of the quantity declined"),
    ),
    (
        f"{REPORT} 150=D 39=0 378=3 14=0 151=300 44=100.26",
        replaced(px=1_002_600, text="restated by the venue: repriced"),
    ),
    (f"{REPORT} 150=D 39=0 14=0 151=300 58=by~phone", replaced(text="by phone")),
    (
        f"{REPORT} 150=D 39=4 378=6",
        ChildCanceled(at_ns=AT_NS, child_id="E-1", text="restated by the venue: trading halt", cum_qty=0),
    ),
    (f"{REPORT} 150=D 39=C", ChildExpired(at_ns=AT_NS, child_id="E-1", text=RESTATED, cum_qty=0)),
    # Still there, whatever the venue calls it.
    (f"{REPORT} 150=9 39=9", None),
    (f"{REPORT} 150=7 39=7", None),
    (f"{REPORT} 150=B 39=B", None),
]


@pytest.mark.parametrize(("body", "fact"), UNDERSTOOD)
def test_execution_report(body: str, fact: AnyFact | None) -> None:
    assert to_facts(message("8", body), "V", AT_NS) == ([] if fact is None else [fact])


SENSELESS = [
    (f"{FILL} 17", unknown("a fill needs an ExecID(17), got None", exec_id="")),
    (f"{FILL} 17=0", unknown("a fill needs an ExecID(17), got '0'", exec_id="0")),
    (f"{FILL} 32", unknown("a fill needs LastQty(32)", last_qty=0)),
    (f"{FILL} 31", unknown("a fill needs LastPx(31)", last_px=0)),
    (f"{FILL} 32=0", unknown("LastQty(32)=0 is not above 0", last_qty=0)),
    (f"{FILL} 32=-5", unknown("LastQty(32)=-5 is not above 0", last_qty=-5)),
    (f"{FILL} 32=many", unknown("LastQty(32): quantity 'many' is not a decimal number", last_qty=0)),
    (f"{FILL} 31=0", unknown("LastPx(31)=0 is not above 0", last_px=0)),
    (f"{FILL} 31=1.00001", unknown("LastPx(31): price '1.00001' has more than 4 decimals", last_px=0)),
    (f"{FILL} 11", unknown("ClOrdID(11) is missing", child_id="")),
    (f"{FILL} 150=Z", unknown("ExecType(150)=Z is not known")),
    (f"{FILL} 150", unknown("ExecType(150)= is not known")),
    (f"{FILL} 150=H", unknown("a bust needs an ExecRefID(19)")),
    (f"{FILL} 150=G", unknown("a correction needs an ExecRefID(19)")),
    (f"{FILL} 20=1 150=1", unknown("a bust needs an ExecRefID(19)")),
    (f"{FILL} 150=G 19=8 31", unknown("a fill needs LastPx(31)", last_px=0)),
    (f"{FILL} 150=H 19=8 17=0", unknown("a bust needs an ExecID(17), got '0'", exec_id="0")),
    (f"{FILL} 20=7 150=1", unknown("ExecTransType(20)=7 is not known")),
    (
        f"{REPORT} 150=5 39=0",
        unknown("a changed order needs CumQty(14) and LeavesQty(151), or OrderQty(38)", last_qty=0, last_px=0),
    ),
    (f"{FILL} 150=I 39=Z", unknown("OrdStatus(39)=Z is not known")),
    (f"{FILL} 150=I 14=x", unknown("CumQty(14): quantity 'x' is not a decimal number")),
]


@pytest.mark.parametrize(("body", "fact"), SENSELESS)
def test_reports_that_make_no_sense_are_recorded(body: str, fact: AnyFact) -> None:
    assert to_facts(message("8", body), "V", AT_NS) == [fact]


TEXTS = st.text(st.characters(codec="latin-1", exclude_characters="\x01"), min_size=1, max_size=6)
VALUES = st.one_of(st.sampled_from([item.value for item in ExecType]), st.integers().map(str), TEXTS)


@given(st.dictionaries(st.sampled_from([11, 14, 17, 19, 20, 31, 32, 37, 38, 39, 41, 58, 103, 150, 151, 851]), VALUES))
def test_any_report_becomes_one_fact_unless_it_changes_nothing(sent: dict[int, str]) -> None:
    raw = "8=FIX.4.4\x0135=8\x01" + "".join(f"{tag}={value}\x01" for tag, value in sent.items())
    facts = to_facts(parse(raw.encode("latin-1")), "V", AT_NS)
    is_noted = sent.get(150) in tuple("6AE79B") and sent.get(20, "0") == "0" and (11 in sent or 41 in sent)
    assert len(facts) == (0 if is_noted else 1)


@pytest.mark.parametrize("version", ["FIX.4.2", "FIX.4.4", "FIX.5.0SP2"])
def test_a_fill_as_our_codec_writes_it(version: str) -> None:
    report = ExecutionReport(
        order_id="V1",
        exec_id="9",
        exec_type=ExecType.TRADE,
        ord_status=OrdStatus.PARTIALLY_FILLED,
        symbol="AAPL",
        side=Side.BUY,
        leaves_qty=200,
        cum_qty=100,
        avg_px="100.25",
        cl_ord_id="E-1",
        last_qty=100,
        last_px=1_002_500,
        last_liquidity_ind=LastLiquidityInd.ADDED,
    )
    body = encode(report, version)
    sent = parse(b"8=" + version.encode() + b"\x0135=8\x01" + body)
    liquidity = LastLiquidityInd.REMOVED if version == "FIX.4.2" else LastLiquidityInd.ADDED  # 4.2 has no tag 851
    assert to_facts(sent, "V", AT_NS) == [filled(liquidity=liquidity, cum_qty=100)]


def cancel_rejected(reason: CxlRejReason, text: str, ord_status: OrdStatus | None = None) -> ChildCancelRejected:
    return ChildCancelRejected(at_ns=AT_NS, child_id="E-1", reason=reason, text=text, ord_status=ord_status)


def replace_rejected(reason: CxlRejReason, text: str) -> ChildReplaceRejected:
    return ChildReplaceRejected(at_ns=AT_NS, child_id="E-1", replace_id="E-R1", reason=reason, text=text)


def rejected(text: str) -> ChildRejected:
    return ChildRejected(at_ns=AT_NS, child_id="E-1", reason=OrdRejReason.OTHER, text=text)


def unattributed(text: str, child_id: str = "") -> ExecutionUnknown:
    return unknown(text, child_id=child_id, exec_id="", last_qty=0, last_px=0)


ORDER = message("D", "11=E-1 55=AAPL")
CANCEL = message("F", "11=E-X1 41=E-1 55=AAPL")
REPLACE = message("G", "11=E-R1 41=E-1 55=AAPL")
STATUS = message("H", "11=E-1 55=AAPL")
BUSY = "58=busy"


@pytest.mark.parametrize(
    ("msg_type", "body", "refused", "fact"),
    [
        ("9", "11=E-X1 41=E-1 434=1 102=0", None, cancel_rejected(CxlRejReason.TOO_LATE, "")),
        (
            "9",
            "11=E-X1 41=E-1 39=2 434=1 102=0 58=filled",
            None,
            cancel_rejected(CxlRejReason.TOO_LATE, "filled", OrdStatus.FILLED),
        ),
        (
            "9",
            "11=E-X1 41=E-1 39=8 434=1 102=1",
            None,
            cancel_rejected(CxlRejReason.UNKNOWN_ORDER, "", OrdStatus.REJECTED),
        ),
        ("9", "11=E-X1 41=E-1 39=8 434=1 102=55", None, cancel_rejected(CxlRejReason.OTHER, "", OrdStatus.REJECTED)),
        ("9", "11=E-R1 41=E-1 39=2 434=2 102=0 58=filled", None, replace_rejected(CxlRejReason.TOO_LATE, "filled")),
        (
            "3",
            f"45=4 {BUSY}",
            REPLACE,
            replace_rejected(CxlRejReason.OTHER, "Reject(3) of our message 4 (G): busy"),
        ),
        ("9", "11=E-X1 39=8", None, unattributed("OrderCancelReject without OrigClOrdID(41)", "E-X1")),
        (
            "j",
            f"45=4 372=D 379=E-1 380=4 {BUSY}",
            None,
            rejected("BusinessMessageReject(j) of our message 4 (D): busy"),
        ),
        (
            "j",
            f"45=4 372=F 379=E-X1 380=4 {BUSY}",
            None,
            unattributed("BusinessMessageReject(j) of our message 4 (F): busy", "E-X1"),
        ),
        (
            "j",
            f"45=4 372=F 380=4 {BUSY}",
            CANCEL,
            cancel_rejected(CxlRejReason.OTHER, "BusinessMessageReject(j) of our message 4 (F): busy"),
        ),
        ("3", f"45=4 {BUSY}", ORDER, rejected("Reject(3) of our message 4 (D): busy")),
        ("3", f"45=4 372=D {BUSY}", None, unattributed("Reject(3) of our message 4 (D): busy")),
        ("3", "45=4", None, unattributed("Reject(3) of our message 4 (unknown type): no reason given")),
        (
            "j",
            f"45=4 372=H 380=3 {BUSY}",
            STATUS,
            unattributed("BusinessMessageReject(j) of our message 4 (H): busy"),
        ),
        ("3", f"45=4 372=H {BUSY}", STATUS, unattributed("Reject(3) of our message 4 (H): busy")),
        ("B", "148=hello", None, unattributed("MsgType(35)=B is not expected from a venue")),
    ],
)
def test_rejects(msg_type: str, body: str, refused: Message | None, fact: AnyFact) -> None:
    assert to_facts(message(msg_type, body), "V", AT_NS, refused) == [fact]


@pytest.mark.parametrize("reason", ["", "380=0", "380=4", "380=8"])
def test_a_status_request_that_a_venue_has_no_time_for_is_no_news(reason: str) -> None:
    """It will be asked again."""
    assert to_facts(message("j", f"45=4 372=H {reason} {BUSY}"), "V", AT_NS, None) == []
