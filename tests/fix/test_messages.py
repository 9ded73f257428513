"""Typed messages: what is encoded decodes to itself, and what is wrong is named by tag and value."""

from enum import StrEnum
from typing import Any, get_args

import msgspec
import pytest
import simplefix
from hypothesis import given
from hypothesis import strategies as st

from domain.fields import (
    CxlRejReason,
    CxlRejResponseTo,
    ExecType,
    LastLiquidityInd,
    OrdRejReason,
    OrdStatus,
    OrdType,
    Side,
    TimeInForce,
)
from fix.dictionary import SUPPORTED, dictionary
from fix.errors import FieldError, LocalProtocolError, SessionRejectReason
from fix.framing import Framer, frame
from fix.market_messages import MarketDataIncrementalRefresh, MarketDataRequest, MarketDataSnapshotFullRefresh, MdEntry
from fix.message import Message, masked, parse
from fix.messages import (
    BY_MSG_TYPE,
    ExecutionReport,
    NewOrderSingle,
    News,
    OrderCancelReject,
    StrategyParameter,
    Typed,
    UnsupportedMessageType,
    decode,
    encode,
)

T = 1_704_205_800_123_000_000
HEADER = "35={}|34=7|49=THEM|56=US|52=20240102-14:30:00.123|"
ORDER = NewOrderSingle(
    cl_ord_id="A1",
    symbol="AAPL",
    side=Side.BUY,
    order_qty=100,
    ord_type=OrdType.LIMIT,
    transact_time_ns=T,
    price=1_000_000,
)
ORDER_FIELDS = "11=A1|21=1|55=AAPL|54=1|60=20240102-14:30:00.123|38=100|40=2|44=100.00|"


def message(msg_type: str, fields: str, begin_string: str = "FIX.4.4") -> Message:
    body = (HEADER.format(msg_type) + fields).replace("|", "\x01").encode("latin-1")
    return parse(frame(begin_string, body))


def framed(typed: Typed, begin_string: str) -> bytes:
    header = HEADER.format(typed.MSG_TYPE).replace("|", "\x01").encode()
    return frame(begin_string, header + encode(typed, begin_string))


# --- any message decodes to itself ---

TEXTS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF), min_size=1, max_size=12)
AVERAGES = st.sampled_from(["0", "100.25", "99.999999", "1234567"])
PLAIN = {"avg_px": AVERAGES, "day_avg_px": AVERAGES}


def values(info: msgspec.structs.FieldInfo, begin_string: str) -> st.SearchStrategy[Any]:
    fields = {field.name.lower(): field for field in dictionary(begin_string).fields.values()}
    field = fields.get(info.name.removesuffix("_ns").replace("_", ""))
    choices = get_args(info.type)
    enum = next((kind for kind in (info.type, *choices) if isinstance(kind, type) and issubclass(kind, StrEnum)), None)
    if info.name in PLAIN:
        strategy = PLAIN[info.name]
    elif choices and choices[-1] is Ellipsis:
        entry = choices[0]
        members = structs(entry, begin_string) if issubclass(entry, msgspec.Struct) else TEXTS
        return st.lists(members, min_size=info.required, max_size=4).map(tuple)
    elif enum is not None:
        strategy = st.sampled_from([member for member in enum if field is None or member.value in field.values])
    elif info.type is str:
        strategy = st.sampled_from(sorted(field.values)) if field is not None and field.values else TEXTS
    elif info.name.endswith("_ns"):
        strategy = st.integers(1, 4_000_000_000_000).map(lambda millis: millis * 1_000_000)
    else:
        strategy = st.integers(1, 10**10)
    return strategy if info.required else st.just(info.default) | strategy


def structs(cls: type[msgspec.Struct], begin_string: str) -> st.SearchStrategy[Any]:
    return st.builds(cls, **{info.name: values(info, begin_string) for info in msgspec.structs.fields(cls)})


# What FIX.4.4 doesn't have: it was before, or came after.
OTHER_VERSIONS = {"client_id": "", "exec_trans_type": "", "rule80_a": "", "display_qty": 0, "mass_action_report_id": ""}


@pytest.mark.parametrize("msg_type", BY_MSG_TYPE)
@given(data=st.data())
def test_decodes_to_itself(msg_type: str, data: st.DataObject) -> None:
    typed = data.draw(structs(BY_MSG_TYPE[msg_type], "FIX.4.4"))
    replace = msgspec.structs.replace
    typed = replace(typed, **{name: value for name, value in OTHER_VERSIONS.items() if hasattr(typed, name)})
    if isinstance(typed, MarketDataIncrementalRefresh):
        typed = replace(typed, entries=tuple(replace(entry, md_update_action="1") for entry in typed.entries))
    elif isinstance(typed, MarketDataSnapshotFullRefresh):
        absent = {"md_update_action": "", "symbol": "", "md_entry_id": ""}  # from the entries of a snapshot
        typed = replace(typed, entries=tuple(replace(entry, **absent) for entry in typed.entries))
    raw = framed(typed, "FIX.4.4")
    message = parse(raw)
    assert message.defect is None
    assert decode(message) == typed
    framer, found = Framer(), []
    size = data.draw(st.integers(1, len(raw)))
    for start in range(0, len(raw), size):
        framer.feed(raw[start : start + size])
        found += [whole for whole in [framer.next_frame()] if whole is not None]
    assert found == [raw]


@given(st.data())
def test_simplefix_reads_the_same_fields(data: st.DataObject) -> None:
    """A codec that shares nothing with ours agrees on what was sent."""
    raw = framed(data.draw(structs(NewOrderSingle, "FIX.4.4")), "FIX.4.4")
    parser = simplefix.FixParser()
    parser.append_buffer(raw)
    theirs = parser.get_message()
    ours = parse(raw)
    assert [(tag.decode(), value.decode("latin-1")) for tag, value in theirs.pairs] == [
        (tag, value) for tag, value in zip(ours.tags, ours.values, strict=True)
    ]


# --- versions ---


def fields_of(typed: Typed, begin_string: str) -> str:
    return encode(typed, begin_string).decode("latin-1").replace("\x01", "|")


REPORT = ExecutionReport(
    order_id="O1",
    exec_id="E1",
    exec_type=ExecType.TRADE,
    ord_status=OrdStatus.PARTIALLY_FILLED,
    symbol="AAPL",
    side=Side.BUY,
    leaves_qty=60,
    cum_qty=40,
    avg_px="100.25",
    last_qty=40,
    last_px=1_002_500,
    last_liquidity_ind=LastLiquidityInd.ADDED,
)
NO_FILL = {"last_qty": 0, "last_px": 0}


@pytest.mark.parametrize(
    ("changes", "begin_string", "expected"),
    [
        ({}, "FIX.4.4", "37=O1|17=E1|150=F|39=1|55=AAPL|54=1|151=60|14=40|6=100.25|32=40|31=100.25|851=1|"),
        ({}, "FIX.4.2", "37=O1|17=E1|20=0|150=1|39=1|55=AAPL|54=1|151=60|14=40|6=100.25|32=40|31=100.25|"),
        (
            {"leaves_qty": 0},
            "FIX.4.2",
            "37=O1|17=E1|20=0|150=2|39=1|55=AAPL|54=1|151=0|14=40|6=100.25|32=40|31=100.25|",
        ),
        (
            {**NO_FILL, "exec_type": ExecType.TRADE_CANCEL, "exec_ref_id": "E0"},
            "FIX.4.2",
            "37=O1|17=E1|20=1|150=1|39=1|55=AAPL|54=1|151=60|14=40|6=100.25|19=E0|",
        ),
        (
            {
                "exec_type": ExecType.REJECTED,
                "ord_rej_reason": OrdRejReason.INCORRECT_QUANTITY,
                "last_qty": 0,
                "last_px": 0,
            },
            "FIX.4.2",  # which ends at 8, so that the reason is a broker's option
            "37=O1|17=E1|20=0|150=8|39=1|55=AAPL|54=1|151=60|14=40|6=100.25|103=0|",
        ),
    ],
)
def test_execution_report_of_a_version(changes: dict[str, Any], begin_string: str, expected: str) -> None:
    assert fields_of(msgspec.structs.replace(REPORT, **changes), begin_string) == expected


def test_leaves_out_what_a_version_does_not_define() -> None:
    order = msgspec.structs.replace(
        ORDER,
        target_strategy="twap",
        strategy_parameters=(StrategyParameter("duration", 1, "60"), StrategyParameter("x")),
    )
    assert fields_of(order, "FIX.4.2") == "11=A1|21=1|55=AAPL|54=1|60=20240102-14:30:00.123|38=100|40=2|44=100.00|59=0|"
    assert fields_of(order, "FIX.4.4").endswith("847=twap|957=2|958=duration|959=1|960=60|958=x|")
    assert decode(message("D", fields_of(order, "FIX.4.4"))) == order
    assert decode(message("D", fields_of(order, "FIX.4.2"), "FIX.4.2")) == ORDER


# FIX.4.0 and 4.1 have no market data and no BusinessMessageReject(j).
@pytest.mark.parametrize("version", SUPPORTED[2:])
def test_every_typed_message_is_in_every_dictionary(version: str) -> None:
    later = {"FIX.4.2": {"AF", "q", "r", "AG", "AJ"}, "FIX.4.3": {"AJ"}}
    assert BY_MSG_TYPE.keys() - dictionary(version).messages.keys() == later.get(version, set())


def test_what_a_version_does_not_have() -> None:
    news = News("headline", ("one", "two"))  # FIX.4.0 has lines, but no Headline(148)
    assert encode(news, "FIX.4.0") == b"33=2\x0158=one\x0158=two\x01"
    with pytest.raises(LocalProtocolError, match="has no MarketDataRequest"):
        encode(MarketDataRequest("R", "1", 0, ("0",), ("X",)), "FIX.4.1")
    with pytest.raises(UnsupportedMessageType):
        decode(message("V", "262=R|263=1|264=0|", "FIX.4.1"))


# --- wrong values ---


def without(tag: str) -> str:
    return "".join(field + "|" for field in ORDER_FIELDS.split("|") if field and not field.startswith(f"{tag}="))


R = SessionRejectReason
MISSING, FORMAT, VALUE = R.REQUIRED_TAG_MISSING, R.INCORRECT_DATA_FORMAT, R.VALUE_INCORRECT
ORDER_IN_GROUP = R.GROUP_FIELDS_OUT_OF_ORDER
SUBSCRIBE = "262=R|263=1|264=0|"
FAULTS = [
    ("D", without("11"), 11, None, MISSING, "ClOrdID(11) is missing"),
    ("D", without("38"), 38, None, MISSING, "OrderQty(38) is missing"),
    ("D", without("60"), 60, None, MISSING, "TransactTime(60) is missing"),
    ("D", without("38") + "38=many|", 38, "many", FORMAT, "OrderQty(38)=many: quantity 'many' is not a decimal number"),
    ("D", without("38") + "38=1.5|", 38, "1.5", FORMAT, "OrderQty(38)=1.5: quantity '1.5' has more than 0 decimals"),
    (
        "D",
        without("44") + "44=1.00001|",
        44,
        "1.00001",
        FORMAT,
        "Price(44)=1.00001: price '1.00001' has more than 4 decimals",
    ),
    ("D", without("54") + "54=x|", 54, "x", VALUE, "Side(54)=x is not a value of this field"),
    ("D", ORDER_FIELDS + "59=9|", 59, "9", VALUE, "TimeInForce(59)=9 is not a value of this field"),
    ("D", without("60") + "60=noon|", 60, "noon", FORMAT, "TransactTime(60)=noon: not a UTC timestamp"),
    ("D", ORDER_FIELDS + "957=2|958=a|", 957, "2", R.INCORRECT_NUM_IN_GROUP, "957=2 but the group has 1 entries"),
    ("D", ORDER_FIELDS + "957=x|958=a|", 957, "x", FORMAT, "957=x is no count"),
    (
        "D",
        ORDER_FIELDS + "957=1|959=1|958=a|",
        959,
        "1",
        R.GROUP_FIELDS_OUT_OF_ORDER,
        "the first field of group 957 is 959, not 958",
    ),
    ("D", ORDER_FIELDS + "957=1|958=a|959=z|", 959, "z", FORMAT, "StrategyParameterType(959)=z: not an integer"),
    (
        "V",
        "262=R|263=5|264=0|267=1|269=0|146=1|55=X|",
        263,
        "5",
        VALUE,
        "SubscriptionRequestType(263)=5 is not a value of this field",
    ),
    ("V", "262=R|263=1|264=0|146=1|55=X|", 267, None, MISSING, "NoMDEntryTypes(267) is missing"),
    (
        "W",
        "55=X|268=1|269=0|270=1.5|271=many|",
        271,
        "many",
        FORMAT,
        "MDEntrySize(271)=many: quantity 'many' is not a decimal number",
    ),
    ("X", "268=1|279=0|270=1.5|", 269, None, MISSING, "MDEntryType(269) is missing"),
]


@pytest.mark.parametrize(
    ("msg_type", "fields", "tag", "value", "reason", "text"), FAULTS, ids=[case[5] for case in FAULTS]
)
def test_names_what_is_wrong(
    msg_type: str, fields: str, tag: int, value: str | None, reason: SessionRejectReason, text: str
) -> None:
    with pytest.raises(FieldError) as caught:
        decode(message(msg_type, fields))
    error = caught.value
    assert (error.tag, error.value, error.reason, error.text) == (tag, value, reason, text)
    assert error.defined == text.endswith("is not supported")


def test_fix42_requires_what_fix44_does_not() -> None:
    assert decode(message("D", without("21"))) == ORDER
    with pytest.raises(FieldError, match=r"HandlInst\(21\) is missing"):
        decode(message("D", without("21"), "FIX.4.2"))


def test_reasons_that_we_do_not_know_do_not_hide_a_report() -> None:
    fields = fields_of(REPORT, "FIX.4.4").replace("851=1", "851=4") + "103=9|"
    report = decode(message("8", fields))
    assert isinstance(report, ExecutionReport)
    assert (report.last_liquidity_ind, report.ord_rej_reason) == (None, OrdRejReason.OTHER)


def test_no_typed_form() -> None:
    with pytest.raises(UnsupportedMessageType, match=r"MsgType\(35\)=AE is not supported"):
        decode(message("AE", "571=1|"))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"text": "two\x01fields"}, r"Text\(58\)"),
        ({"cl_ord_id": "A\x0144=1"}, r"ClOrdID\(11\)"),
        ({"cl_ord_id": ""}, r"ClOrdID\(11\)"),
    ],
)
def test_refuses_to_send(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(LocalProtocolError, match=complaint):
        encode(msgspec.structs.replace(ORDER, **changes), "FIX.4.4")


def test_refuses_what_a_version_has_no_code_for() -> None:
    order = msgspec.structs.replace(ORDER, time_in_force=TimeInForce("7"))  # at the close, from FIX.4.3 on
    assert "|59=7|" in fields_of(order, "FIX.4.4")
    with pytest.raises(LocalProtocolError, match=r"no code for <TimeInForce\.AT_THE_CLOSE"):
        encode(order, "FIX.4.2")


def test_text_beyond_latin_1_is_sent_as_question_marks() -> None:
    assert "|58=caf\xe9 ?|" in fields_of(msgspec.structs.replace(ORDER, text="caf\xe9 \u20ac"), "FIX.4.4")


# --- generic messages ---


def test_header() -> None:
    found = message("D", "43=Y|97=Y|58=a=b|")
    assert (found.begin_string, found.msg_type, found.msg_seq_num) == ("FIX.4.4", "D", 7)
    assert (found.sender_comp_id, found.target_comp_id, found.sending_time_ns) == ("THEM", "US", T)
    assert (found.poss_dup, found.poss_resend, found.get(58), found.get(59)) == (True, True, "a=b", None)
    assert found.defect is None


@pytest.mark.parametrize("length_tag", ["95", "354", "212", "93"])
def test_data_fields_hold_anything(length_tag: str) -> None:
    data_tag = {"95": "96", "354": "355", "212": "213", "93": "89"}[length_tag]
    found = message("B", f"{length_tag}=10|{data_tag}=a|b=c|10=0|58=after|")
    assert found.get(int(data_tag)) == "a\x01b=c\x0110=0"
    assert found.get(58) == "after"
    assert found.defect is None


@pytest.mark.parametrize(
    ("fields", "reason", "tag"),
    [
        ("95=99|96=short|", None, 0),  # a length that can't be right: the field ends at its SOH
        ("95=x|96=short|", None, 0),
        ("58=|", R.TAG_WITHOUT_VALUE, 58),
        ("58|", R.INVALID_TAG_NUMBER, 0),
        ("=x|", R.INVALID_TAG_NUMBER, 0),
        ("5a=x|", R.INVALID_TAG_NUMBER, 0),
        ("-5=x|", R.INVALID_TAG_NUMBER, 0),
        ("\xb2=x|", R.INVALID_TAG_NUMBER, 0),
        ("=x|=y|", R.INVALID_TAG_NUMBER, 0),
        ("9" * 5000 + "=|", R.INVALID_TAG_NUMBER, 0),
        ("58=a=1|junk|", R.INVALID_TAG_NUMBER, 0),  # as many "=" as fields, but not one in each
        ("11=a|11=b|", R.TAG_APPEARS_MORE_THAN_ONCE, 11),
        ("34=8|", R.TAG_APPEARS_MORE_THAN_ONCE, 34),
        ("957=2|958=a|958=b|", None, 0),
        ("957=2|958=a|958=b|11=a|11=b|", R.TAG_APPEARS_MORE_THAN_ONCE, 11),
    ],
)
def test_defects(fields: str, reason: SessionRejectReason | None, tag: int) -> None:
    found = message("D", fields)
    assert found.msg_seq_num == 7
    assert (found.defect.reason if found.defect else None) == reason
    assert (found.defect.tag if found.defect else 0) == tag


def test_groups() -> None:
    fields = "262=R|268=2|279=0|269=0|55=X|270=1.5|271=100|279=2|269=1|55=Y|9999=custom|"
    assert message("X", fields).group(268) == [
        {279: "0", 269: "0", 55: "X", 270: "1.5", 271: "100"},
        {279: "2", 269: "1", 55: "Y", 9999: "custom"},
    ]
    assert message("X", "262=R|").group(268) == []
    snapshot = decode(message("W", "55=X|268=2|269=0|270=1.5|271=5|269=1|270=1.6|271=6|262=R|"))
    assert snapshot == MarketDataSnapshotFullRefresh(
        md_req_id="R",
        symbol="X",
        entries=(
            MdEntry(md_entry_type="0", md_entry_px=15000, md_entry_size=5),
            MdEntry(md_entry_type="1", md_entry_px=16000, md_entry_size=6),
        ),
    )
    request = MarketDataRequest(
        md_req_id="R", subscription_request_type="1", market_depth=0, md_entry_types=("0", "1"), symbols=("X", "Y")
    )
    assert fields_of(request, "FIX.4.4") == "262=R|263=1|264=0|267=2|269=0|269=1|146=2|55=X|55=Y|"


@pytest.mark.parametrize("tag", [b"554", b"925"])
def test_passwords_are_masked(tag: bytes) -> None:
    raw = frame("FIX.4.4", b"35=A\x0134=1\x01%b=secret\x01108=30\x0158=554=x\x01" % tag)
    assert b"secret" not in masked(raw)
    assert masked(raw) == raw.replace(b"secret", b"***")


def test_other_enumerations_survive() -> None:
    reject = OrderCancelReject(
        order_id="NONE",
        cl_ord_id="C2",
        orig_cl_ord_id="C1",
        ord_status=OrdStatus.REJECTED,
        cxl_rej_response_to=CxlRejResponseTo.ORDER_CANCEL_REQUEST,
        cxl_rej_reason=CxlRejReason.OTHER,
    )
    assert decode(parse(framed(reject, "FIX.4.4"))) == reject
    assert "|102=2|" in fields_of(reject, "FIX.4.2")  # FIX.4.2 has no "other"
    order = msgspec.structs.replace(ORDER, time_in_force=TimeInForce.IMMEDIATE_OR_CANCEL)
    assert decode(parse(framed(order, "FIX.4.2"))) == order


# --- nothing raises anything else ---


@given(st.data())
def test_mutated_messages_never_surprise(data: st.DataObject) -> None:
    typed = data.draw(st.sampled_from([ORDER, REPORT]))
    body = bytearray(framed(typed, "FIX.4.4")[len(b"8=FIX.4.4|9=123|35=D|") : -7])
    for _ in range(data.draw(st.integers(1, 6))):
        position = data.draw(st.integers(0, len(body) - 1))
        body[position] = data.draw(st.sampled_from(list(b"\x01=0123459.|A\xff\x00\xb2")))
    mutated = parse(frame("FIX.4.4", b"35=%b\x01%b\x01" % (typed.MSG_TYPE.encode(), bytes(body))))
    try:
        decode(mutated)
    except FieldError as error:
        assert error.text


def test_groups_within_groups_keep_all_their_entries() -> None:
    fields = "37=O|17=E|150=0|39=0|55=A|54=1|151=0|14=0|6=0|453=2|448=P1|447=D|452=3|802=2|523=S1|803=1|523=S2|803=2"
    parties = message("8", f"{fields}|448=P2|447=D|452=1|").group(453)
    assert parties == [
        {448: "P1", 447: "D", 452: "3", 802: [{523: "S1", 803: "1"}, {523: "S2", 803: "2"}]},
        {448: "P2", 447: "D", 452: "1"},
    ]
    with pytest.raises(FieldError, match="802=2 but the group has 1 entries"):
        message("8", fields.replace("|523=S2|803=2", "") + "|").group(453)
    with pytest.raises(FieldError, match="the first field of group 802 is 803, not 523"):
        message("8", fields.replace("|523=S1|803=1", "|803=1") + "|").group(453)
