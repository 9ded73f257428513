"""Bad input at the FIX port: each gets its answer, with the value and the reason, and disturbs nobody else.

The proof that nothing else is affected: a second client trades at the same time, and every report that it gets, to the
nanosecond, is the one that it gets where the first client sends nothing wrong.
"""

from collections.abc import Callable
from datetime import time
from functools import cache

import msgspec
import pytest

from domain.instruments import TradingHours
from service.config import InstrumentConfig, ServiceConfig
from tests.service.platform import Platform, plan, small_config
from tests.service.wire import WARM_UP_S, Wire

CLOSED = InstrumentConfig("CLSD", hours=TradingHours(time(9, 30), time(16), "America/New_York"))  # it is 17:13 there


@cache
def config() -> ServiceConfig:
    small = small_config()
    return msgspec.structs.replace(small, instruments=(*small.instruments, CLOSED))


@cache
def bystander_plan() -> list:
    return plan(small_config(), "EMS2", 6, 11)


def platform() -> Platform:
    return Platform(seed=3, config=config(), plans={"EMS2": bystander_plan()})


def reports_of(platform: Platform) -> list[tuple]:
    """All that the second client was told, but for the ids, which count the orders of all clients."""
    return [
        (cl_ord_id, report.at_ns, report.exec_type, report.ord_status, report.last_qty, report.last_px, report.text)
        for cl_ord_id, order in platform.ems["EMS2"].orders.items()
        for report in order.reports
    ]


def end(platform: Platform) -> None:
    platform.finish()
    assert platform.ems["EMS2"].violations == []
    platform.check_replay()


@cache
def undisturbed(orders: int) -> tuple[list[tuple], list[tuple]]:
    """What both clients are told where the first one sends so many good orders and nothing else."""
    running = platform()
    wire = Wire(running)
    running.run(WARM_UP_S)
    wire.logon()
    for number in range(orders):
        if number:
            wire.send("0", {})  # harmless, in the place of the bad message
        wire.send("D", wire.order(f"GOOD{number}"))
    end(running)
    assert len(reports_of(running)) > 20
    return reports_of(running), told(wire)


def told(wire: Wire) -> list[tuple]:
    """What a client was told of its good orders."""
    tags = (11, 150, 39, 14, 151, 31, 32, 60)
    return [
        tuple(map(report.get, tags))
        for report in wire.take("8")
        if report[11].startswith("GOOD") and report.get(103) != "6"
    ]


# --- after the logon: what is wrong with the message, and what must be in the answer ---

D, F, G = "D", "F", "G"
REJECT, BUSINESS, REPORT, CANCEL_REJECT = "3", "j", "8", "9"
# What is sent: MsgType(35) and changes to a good order. The answer: MsgType(35), fields, words of Text(58).
CASES: dict[str, tuple[str, dict, str, dict, list[str]]] = {
    # can't be understood: Reject(3) with RefTagID(371) and SessionRejectReason(373)
    "a required field is missing": (D, {54: None}, REJECT, {371: "54", 373: "1", 372: "D"}, ["Side(54)", "missing"]),
    "no ClOrdID": (D, {11: None}, REJECT, {371: "11", 373: "1"}, ["ClOrdID(11)", "missing"]),
    "a number that is none": (D, {38: "12x"}, REJECT, {371: "38", 373: "6"}, ["OrderQty(38)", "12x"]),
    "a fraction of a share": (D, {38: "0.5"}, REJECT, {371: "38", 373: "6"}, ["OrderQty(38)", "0.5"]),
    "a quantity below zero": (D, {38: -100}, REJECT, {371: "38"}, ["OrderQty(38)", "-100"]),
    "a price that is none": (D, {44: "1e3"}, REJECT, {371: "44", 373: "6"}, ["Price(44)", "1e3"]),
    "a price with too many decimals": (D, {44: "24.50501"}, REJECT, {371: "44", 373: "6"}, ["Price(44)", "24.50501"]),
    "a value that FIX doesn't know": (D, {54: "Q"}, REJECT, {371: "54", 373: "5"}, ["Side(54)", "Q"]),
    "a time that is none": (D, {60: "yesterday"}, REJECT, {371: "60", 373: "6"}, ["TransactTime(60)", "yesterday"]),
    "an empty field": (D, {55: ""}, REJECT, {371: "55", 373: "4"}, ["55", "no value"]),
    "a field twice": (D, {38: [300, 400]}, REJECT, {371: "38", 373: "13"}, ["38"]),
    "a message type that FIX doesn't know": ("ZZ", {}, REJECT, {373: "11", 372: "ZZ"}, ["MsgType(35)=ZZ"]),
    # understood and not taken: BusinessMessageReject(j)
    "a kind of message that is not taken": ("R", {}, BUSINESS, {380: "3", 372: "R"}, ["MsgType(35)=R"]),
    # an order that is refused: ExecutionReport(8) with OrdRejReason(103)
    "an unknown symbol": (D, {55: "ZZZZ"}, REPORT, {103: "1", 55: "ZZZZ"}, ["ZZZZ"]),
    "a quantity of zero": (D, {38: 0}, REPORT, {103: "13"}, ["OrderQty(38)=0"]),
    "a price off the tick": (D, {44: "24.005"}, REPORT, {103: "11"}, ["24.005", "0.01"]),
    "a limit order without a price": (D, {44: None}, REPORT, {103: "99"}, ["Price(44)"]),
    "a market order with a price": (D, {40: 1}, REPORT, {103: "99"}, ["Price(44)=24.00", "OrdType(40)=1"]),
    "a closed market": (D, {55: "CLSD"}, REPORT, {103: "2"}, ["closed", "CLSD", "09:30", "New_York"]),
    "a duplicate ClOrdID": (D, {11: "GOOD0"}, REPORT, {103: "6", 11: "GOOD0"}, ["GOOD0", "duplicate"]),
    "another client's account": (D, {1: "ACC9"}, REPORT, {103: "15"}, ["Account(1)=ACC9", "ACC1"]),
    "a slip of the finger": (D, {38: 9_999_900}, REPORT, {103: "3"}, ["max_order_qty", "9999900", "100000"]),
    "a price from another world": (D, {44: "240.00"}, REPORT, {103: "3"}, ["price_collar_bps", "240.00", "500"]),
    "an unknown strategy": (D, {847: "magic"}, REPORT, {103: "11"}, ["magic", "sweep"]),
    "a strategy without its parameters": (D, {847: "twap"}, REPORT, {103: "11"}, ["duration_s", "missing"]),
    "an order type that we don't have": (D, {40: 5}, REPORT, {103: "11"}, ["OrdType(40)=5"]),
    "an instruction that we can't keep": (D, {100: "XNYS"}, REPORT, {103: "11"}, ["ExDestination(100)=XNYS"]),
    # a request for an order that is not there
    "a cancel for an unknown order": (
        F, {41: "NONE1"}, CANCEL_REJECT, {102: "1", 434: "1", 39: "8", 37: "NONE", 41: "NONE1"}, ["NONE1"],
    ),
    "a replace of an unknown order": (
        G, {41: "NONE1"}, CANCEL_REJECT, {102: "1", 434: "2", 39: "8", 37: "NONE"}, ["NONE1"],
    ),
    "a cancel of another client's order": (F, {41: "EMS2-1"}, CANCEL_REJECT, {102: "1", 37: "NONE"}, ["EMS2-1"]),
    "a replace that changes the side": (G, {41: "GOOD0", 54: 2}, CANCEL_REJECT, {434: "2"}, ["Side(54)"]),
    "a cancel with a used ClOrdID": (F, {41: "GOOD0", 11: "GOOD0"}, CANCEL_REJECT, {102: "6"}, ["GOOD0"]),
}  # fmt: skip


@pytest.mark.parametrize(("msg_type", "changes", "answer", "fields", "words"), CASES.values(), ids=CASES)
def test_a_bad_message_is_answered_and_nothing_else_happens(msg_type, changes, answer, fields, words):
    running = platform()
    wire = Wire(running)
    running.run(WARM_UP_S)
    wire.logon()
    wire.send("D", wire.order("GOOD0"))
    bad = wire.order("BAD1", changes)
    seq = wire.next_out
    answers = [said for said in wire.send(msg_type, bad) if said.get(11) != "GOOD0" or said.get(103) or said[35] != "8"]
    assert [said[35] for said in answers] == [answer]
    (said,) = answers
    assert {tag: said.get(tag) for tag in fields} == fields
    assert all(word in said[58] for word in words), said[58]
    if answer in (REJECT, BUSINESS):
        assert said[45] == str(seq)
    elif answer == REPORT:
        # A duplicate is rejected together with the state of the order that has the id (FIX matrix F.1.b).
        state = ("0", "0", "300") if said[103] == "6" else ("8", "0", "0")
        assert (said[11], said[150], said[39], said[14], said[151]) == (bad[11], "8", *state)
    else:
        assert said[11] == bad[11]
    wire.send("D", wire.order("GOOD1"))  # the session goes on
    end(running)
    assert wire.is_open
    assert (reports_of(running), told(wire)) == undisturbed(2)


# --- before and beside the logon ---


def garbage(wire: Wire) -> None:
    wire.write(bytes(range(256)) * 4)


def another_protocol(wire: Wire) -> None:
    wire.write(b"GET / HTTP/1.1\r\nHost: example\r\n\r\n")


def an_unknown_client(wire: Wire) -> None:
    wire.sender_comp_id = "STRANGER"
    wire.logon()


def another_address(wire: Wire) -> None:
    wire.target_comp_id = "SOMEBODY"
    wire.logon()


def another_version(wire: Wire) -> None:
    wire.begin_string = "FIX.4.2"
    wire.logon()


def no_logon_first(wire: Wire) -> None:
    wire.send("D", wire.order("BAD1"))


def a_client_twice(wire: Wire) -> None:
    wire.sender_comp_id, wire.begin_string = "EMS2", "FIX.4.2"
    wire.logon()


def endless_bytes(wire: Wire) -> None:
    for _ in range(64):
        wire.write(b"8=FIX.4.4\x019=60000\x0135=A\x01" + b"x" * 1000, 0)
    wire.platform.run(0.05)


STRANGERS = (
    (garbage, "not a FIX message"),
    (another_protocol, "not a FIX message"),
    (an_unknown_client, "SenderCompID(49)=STRANGER"),
    (another_address, "TargetCompID(56)=SOMEBODY"),
    (another_version, "BeginString(8)=FIX.4.2"),
    (no_logon_first, "MsgType(35)=D, not Logon(A)"),
    (a_client_twice, "connected already"),
    (endless_bytes, "not a FIX message"),
)


@pytest.mark.parametrize(("act", "says"), STRANGERS, ids=[act.__name__ for act, _ in STRANGERS])
def test_who_is_not_known_is_cut_off_without_a_word(act: Callable[[Wire], None], says: str):
    running = platform()
    running.run(WARM_UP_S)
    running.node.links.take_notices()
    stranger = Wire(running)
    act(stranger)
    assert not stranger.is_open
    assert stranger.answers == []
    ((event, text),) = running.node.links.take_notices()
    assert event == "refused" and says in text
    end(running)
    assert reports_of(running) == undisturbed(0)[0]


def test_half_a_message_and_then_silence_has_a_deadline():
    running = platform()
    running.run(WARM_UP_S)
    silent, half = Wire(running), Wire(running)
    whole = half.message("A", {98: 0, 108: 30})
    half.write(whole[:-20])
    running.run(9.9)
    assert silent.is_open and half.is_open
    running.run(0.3)
    assert not silent.is_open and not half.is_open
    assert [notice.text for notice in running.node.links.take_notices()][-2:] == ["no Logon(A) in time"] * 2
    late = Wire(running)
    late.write(whole[:40])
    assert late.write(whole[40:])[0][35] == "A"  # in time, in pieces: welcome
    end(running)
    assert reports_of(running) == undisturbed(0)[0]


def test_a_logon_without_a_heartbeat_interval_is_told_why():
    running = platform()
    wire = Wire(running)
    (said,) = wire.logon(t108=None)
    assert said[35] == "5" and "HeartBtInt(108)" in said[58]
    assert not wire.is_open
    end(running)


# What ends a session: the message, what is in the Logout's Text(58), whether the client gets a Reject(3) first.
BREACHES = {
    "SenderCompID changes": ({49: "EMS9"}, "SenderCompID(49)=EMS9", True),
    "TargetCompID changes": ({56: "OTHER"}, "TargetCompID(56)=OTHER", True),
    "BeginString changes": ({8: "FIX.4.2"}, "BeginString(8) is FIX.4.2", False),
    "a clock that is far off": ({52: "20200101-00:00:00.000"}, "SendingTime(52)=20200101-00:00:00.000", True),
    "MsgSeqNum too low": ({34: 1}, "MsgSeqNum(34) too low, expected 3 but received 1", False),
    "MsgSeqNum is missing": ({34: None}, "MsgSeqNum(34) is missing", False),
}


@pytest.mark.parametrize(("header", "says", "rejected"), BREACHES.values(), ids=BREACHES)
def test_a_breach_of_the_protocol_ends_that_session_and_its_order_goes_on(header, says, rejected):
    running = platform()
    wire = Wire(running)
    running.run(WARM_UP_S)
    wire.logon()
    wire.send("D", wire.order("GOOD0"))
    answers = [said for said in wire.send("D", wire.order("BAD1"), header) if said[35] != "8"]
    assert [said[35] for said in answers] == (["3", "5"] if rejected else ["5"])
    assert all(says in said[58] for said in answers)
    assert not wire.is_open
    end(running)
    assert "GOOD0" in {parent.cl_ord_id for parent in running.node.state.open_parents.values()}
    assert "BAD1" not in {parent.cl_ord_id for parent in running.node.state.parents.values()}
    assert reports_of(running) == undisturbed(1)[0]


def test_garbled_bytes_inside_a_session_are_dropped_and_what_was_lost_is_asked_for():
    running = platform()
    wire = Wire(running)
    running.run(WARM_UP_S)
    wire.logon()
    order = wire.message("D", wire.order("GOOD0"))
    assert wire.write(order.replace(b"55=ALFA", b"55=ALFB") + b"\x00\xff garbage \x01") == []  # a wrong CheckSum(10)
    wire.next_out += 1
    (asked,) = wire.send("0", {})
    assert (asked[35], asked[7]) == ("2", "2")
    again = wire.order("GOOD0")
    wire.next_out = 2
    answers = wire.send("D", again, {43: "Y", 122: again[60]})
    wire.next_out = 4
    assert ("GOOD0", "0") in [(said.get(11), said.get(39)) for said in answers]
    assert any(notice.event == "garbled" for notice in running.node.links.take_notices())
    assert wire.send("1", {112: "PING"})[-1][112] == "PING"
    end(running)


def test_a_half_open_connection_is_noticed_and_the_orders_behind_it_go_on():
    running = platform()
    wire = Wire(running)
    running.run(WARM_UP_S)
    wire.logon(t108=2)
    wire.send("D", wire.order("GOOD0"))
    running.run(2 * 2.4 + 0.1)
    assert "1" in [said[35] for said in wire.answers]  # TestRequest(1), which nobody answers
    assert not wire.is_open
    assert "GOOD0" in {parent.cl_ord_id for parent in running.node.state.open_parents.values()}
    wire.connect()
    wire.logon(t108=30)
    answers = wire.send("F", {11: "C1", 41: "GOOD0", 55: "ALFA", 54: 1, 38: 300, 60: wire.order("X")[60]})
    running.run(1)
    assert answers and wire.take("8")[-1][39] == "4"
    end(running)
    assert running.node.state.open_parents == {}


def test_a_flood_of_bad_messages_costs_nobody_else_anything():
    running = platform()
    wire = Wire(running)
    running.run(WARM_UP_S)
    wire.logon()
    wire.send("D", wire.order("GOOD0"))
    for number in range(300):
        wire.write(wire.message("D", wire.order(f"BAD{number}", {55: "ZZZZ"})), 0)
        wire.next_out += 1
    wire.send("D", wire.order("GOOD1"))
    end(running)
    assert sum(said.get(103) == "1" for said in wire.take("8")) == 300
    assert reports_of(running) == undisturbed(2)[0]


def test_answers_to_bad_messages_survive_a_crash():
    """What the client was told, and what it was not yet told, are in the journal: it can ask for all of it again."""
    running = platform()
    wire = Wire(running)
    running.run(WARM_UP_S)
    wire.logon()
    wire.send("R", {131: "Q1"})
    wire.send("D", wire.order("BAD1", {55: "ZZZZ"}))
    told_before = [(said[34], said[35], said.get(58)) for said in wire.answers if said[35] in "j8"]
    assert [msg_type for _, msg_type, _ in told_before] == ["j", "8"]
    running.kill()
    running.run(1)
    wire.connect()
    wire.logon()
    wire.send("2", {7: 1, 16: 0})
    again = [(said[34], said[35], said.get(58)) for said in wire.answers if said.get(43) == "Y" and said[35] in "j8"]
    assert again == told_before
    end(running)


def test_a_client_that_takes_little_is_told_everything_all_the_same() -> None:
    """Its MaxMessageSize(383) is no reason to keep the report of a fill from it, nor to stop for anybody else."""
    platform = Platform(plans={})
    platform.run(WARM_UP_S)
    wire = Wire(platform)
    wire.logon(_141="Y", _383=50)
    wire.send("D", wire.order("A1"))
    assert [report[39] for report in wire.take("8")] == ["0"]
