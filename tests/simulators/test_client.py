"""The simulated EMS against raw FIX bytes written by hand: what it sends, what it believes, and that each of its checks
can fail."""

import pytest

from domain.fields import OrdStatus, Side
from domain.instruments import Instrument
from simulators.client import Ems, PlannedCancel, PlannedOrder, PlannedReplace, plan_parents
from simulators.client_session import EmsSession

NOW_NS = 1_700_000_000_000_000_000  # 20231114-22:13:20
SECOND_NS = 1_000_000_000
LINK = 7


def wire(fields: str, seq: int, version: str = "FIX.4.4") -> bytes:
    """A message from FAIRLEAD to EMS1; `fields` starts with MsgType(35), bars stand for SOH."""
    msg_type, _, rest = fields.partition("|")
    body = f"{msg_type}|49=FAIRLEAD|56=EMS1|34={seq}|52=20231114-22:13:20.000|{rest}".rstrip("|") + "|"
    head = f"8={version}|9={len(body)}|{body}".replace("|", "\x01").encode()
    return head + b"10=%03d\x01" % (sum(head) % 256)


def lines(output) -> list[str]:
    """What was written, in sequence, from MsgType(35) on and without the header's constant fields."""
    readable = [raw.decode().replace("\x01", "|") for _, raw in output.writes]
    return [line[line.index("35=") : line.rindex("10=")].replace("49=EMS1|56=FAIRLEAD|", "") for line in readable]


def logged_on(version: str = "FIX.4.4", **options) -> Ems:
    ems = Ems(EmsSession(version, "EMS1", "FAIRLEAD"), **options)
    ems.connected(LINK, "fairlead", NOW_NS)
    ems.receive(LINK, wire("35=A|98=0|108=30", 1, version), NOW_NS)
    assert ems.session.is_logged_on
    return ems


def with_order(version: str = "FIX.4.4", order_qty: int = 300, limit_px: int = 100_0000) -> Ems:
    ems = logged_on(version)
    ems.new_order("P1", "ALFA", Side.BUY, order_qty, limit_px=limit_px, strategy="sweep")
    ems.timer(NOW_NS)
    return ems


NEW = "35=8|37=O1|17=E1|150=0|39=0|11=P1|55=ALFA|54=1|38=300|151=300|14=0|6=0"
FILL_100 = "35=8|37=O1|17=E2|150=F|39=1|11=P1|55=ALFA|54=1|38=300|32=100|31=99.98|151=200|14=100|6=99.98"
FILL_200 = "35=8|37=O1|17=E3|150=F|39=2|11=P1|55=ALFA|54=1|38=300|32=200|31=100.00|151=0|14=300|6=99.993333"
CANCELED = "35=8|37=O1|17=E4|150=4|39=4|11=P1.1|41=P1|55=ALFA|54=1|38=300|151=0|14=100|6=99.98"

CANCELED_UNASKED = CANCELED.replace("P1.1|41=P1", "P1").replace("14=100|6=99.98", "14=0|6=0")
LATE_FILL_100 = FILL_100.replace("39=1", "39=4").replace("151=200", "151=0")

STORIES = {
    "filled": ([NEW, FILL_100, FILL_200], OrdStatus.FILLED, 300),
    "filled before it was acknowledged": ([FILL_100, FILL_200], OrdStatus.FILLED, 300),
    "canceled by the counterparty": ([NEW, FILL_100, CANCELED.replace("P1.1|41=P1", "P1")], OrdStatus.CANCELED, 100),
    "late fill after a cancel": ([NEW, CANCELED_UNASKED, LATE_FILL_100], OrdStatus.CANCELED, 100),
    "rejected": (["35=8|37=O1|17=E1|150=8|39=8|11=P1|55=ALFA|54=1|38=300|151=0|14=0|6=0|58=no"], OrdStatus.REJECTED, 0),
    "partly filled": ([NEW, FILL_100], OrdStatus.PARTIALLY_FILLED, 100),
}


@pytest.mark.parametrize("step", [1, 7, 100_000], ids=["byte by byte", "in pieces", "at once"])
@pytest.mark.parametrize("reports,ord_status,cum_qty", STORIES.values(), ids=STORIES)
def test_an_order_ends_as_its_reports_say(reports, ord_status, cum_qty, step):
    ems = with_order()
    stream = b"".join(wire(report, 2 + index) for index, report in enumerate(reports))
    for start in range(0, len(stream), step):
        ems.receive(LINK, stream[start : start + step], NOW_NS)
    order = ems.orders["P1"]
    assert ems.violations == []
    assert (order.ord_status, order.cum_qty) == (ord_status, cum_qty)
    assert order.leaves_qty == (300 - cum_qty if ord_status is OrdStatus.PARTIALLY_FILLED else 0)
    assert ems.done is (ord_status is not OrdStatus.PARTIALLY_FILLED)


def test_a_fix42_order_is_filled_by_exec_types_1_and_2():
    ems = with_order("FIX.4.2")
    for seq, report in enumerate([NEW, FILL_100.replace("150=F", "150=1"), FILL_200.replace("150=F", "150=2")], 2):
        ems.receive(LINK, wire(report.replace("|17=", "|20=0|17="), seq, "FIX.4.2"), NOW_NS)
    assert ems.violations == []
    assert ems.orders["P1"].notional_px == 100 * 99_9800 + 200 * 100_0000
    assert ems.done


VIOLATIONS = {
    "cum is not the sum": ([NEW, FILL_100.replace("14=100", "14=110")], "CumQty(14) 110"),
    "leaves do not add up": ([NEW.replace("151=300", "151=200")], "LeavesQty(151) 200"),
    "leaves of a final order": ([NEW, FILL_100, FILL_200.replace("151=0", "151=1")], "LeavesQty(151) 1"),
    "order quantity changed": ([NEW.replace("38=300", "38=400")], "OrderQty(38) 400"),
    "average price": ([NEW, FILL_100, FILL_200.replace("99.993333", "99.9934")], "AvgPx(6) 99.9934"),
    "the same ExecID twice": ([NEW, FILL_100, FILL_200.replace("17=E3", "17=E2")], "ExecID(17) E2 was used before"),
    "unknown order": ([NEW.replace("11=P1", "11=P9")], "unknown ClOrdID(11) 'P9'"),
    "status goes back": ([NEW, FILL_100, NEW.replace("E1", "E3")], "went back from PARTIALLY_FILLED to NEW"),
    "another final status": ([NEW, FILL_100, FILL_200, CANCELED.replace("P1.1|41=P1", "P1")], "went back from FILLED"),
    "filled too early": ([NEW, FILL_100.replace("39=1", "39=2")], "OrdStatus(39) FILLED"),
    "pending cancel that nobody asked for": ([NEW.replace("150=0|39=0", "150=6|39=6")], "OrdStatus(39) PENDING_CANCEL"),
    "replaced unasked": ([NEW, NEW.replace("E1|150=0", "E2|150=5")], "no replace"),
    "wrong side": ([NEW.replace("54=1", "54=2")], "Side(54) 2"),
    "wrong symbol": ([NEW.replace("ALFA", "BRVO")], "Symbol(55) BRVO"),
    "worse than the limit": ([FILL_100.replace("99.98", "100.01")], "LastPx(31), worse than the limit 100.01"),
    "no quantity": ([FILL_100.replace("32=100", "32=0")], "LastQty(32) at LastPx(31) 0"),
    "unreadable price": ([FILL_100.replace("31=99.98", "31=ninety")], "unreadable field: price 'ninety'"),
    "cancel reject for nothing": (["35=9|11=P1.1|41=P1|37=O1|39=0|434=1"], "OrderCancelReject for ClOrdID(11) 'P1.1'"),
    "unexpected message": (["35=AE|571=1"], "unexpected message AE"),
}


@pytest.mark.parametrize("reports,violation", VIOLATIONS.values(), ids=VIOLATIONS)
def test_each_check_fails_on_a_report_that_breaks_it(reports, violation):
    ems = with_order()
    for seq, report in enumerate(reports, 2):
        ems.receive(LINK, wire(report, seq), NOW_NS)
    assert ems.violations
    assert violation in ems.violations[0]


GARBLED = {
    "CheckSum(10)": wire(NEW, 2)[:-4] + b"000\x01",
    "BodyLength(9)": wire(NEW, 2).replace(b"\x019=", b"\x019=1"),
    "unreadable bytes": b"8=FIX.4.4\x01nonsense=1\x01",
}


@pytest.mark.parametrize("name", GARBLED)
def test_a_garbled_message_is_a_violation_and_is_asked_for_again(name):
    ems = with_order()
    assert lines(ems.receive(LINK, GARBLED[name], NOW_NS)) == []
    assert name in ems.violations[0]
    asked = lines(ems.receive(LINK, wire(FILL_100, 3), NOW_NS))
    assert asked == ["35=2|34=3|52=20231114-22:13:20.000|7=2|16=0|"]
    ems.receive(LINK, wire(NEW + "|43=Y", 2) + wire(FILL_100 + "|43=Y", 3), NOW_NS)
    assert ems.orders["P1"].cum_qty == 100
    assert len(ems.violations) == 1


ORDER = "35=D|34=2|52=20231114-22:13:20.000|11=P1|1=ACC|21=1|55=ALFA|54=2|38=500|40=2|44=10.05|59=0|"
STRATEGIES = {
    "FIX.4.4": "847=twap|957=2|958=duration_s|959=1|960=60|958=slices|959=1|960=5|",
    "FIX.4.2": "9100=twap|9101=60|9102=5|",
}


@pytest.mark.parametrize("version", STRATEGIES)
def test_the_order_as_each_version_says_it(version):
    ems = logged_on(version)
    ems.new_order(
        "P1", "ALFA", Side.SELL, 500, account="ACC", limit_px=10_0500, strategy="twap",
        params={"duration_s": 60, "slices": 5},
    )  # fmt: skip
    assert ems.next_timer_ns() == 0
    assert lines(ems.timer(NOW_NS)) == [ORDER + STRATEGIES[version] + "60=20231114-22:13:20.000|"]


def test_replace_then_cancel_follow_the_chain_of_ids():
    ems = with_order()
    ems.receive(LINK, wire(NEW, 2), NOW_NS)
    assert ems.replace("P1", order_qty=500) == "P1.1"
    (line,) = lines(ems.timer(NOW_NS))
    assert "35=G|" in line and "|41=P1|11=P1.1|" in line and "|38=500|40=2|44=100.00|" in line
    replaced = "35=8|37=O1|17=E2|150=5|39=0|11=P1.1|41=P1|55=ALFA|54=1|38=500|151=500|14=0|6=0"
    ems.receive(LINK, wire(replaced, 3), NOW_NS)
    assert ems.cancel("P1") == "P1.2"
    (line,) = lines(ems.timer(NOW_NS))
    assert "35=F|" in line and "|41=P1.1|11=P1.2|" in line
    pending = "35=8|37=O1|17=E3|150=6|39=6|11=P1.2|41=P1.1|55=ALFA|54=1|38=500|151=500|14=0|6=0"
    canceled = "35=8|37=O1|17=E4|150=4|39=4|11=P1.2|41=P1.1|55=ALFA|54=1|38=500|151=0|14=0|6=0"
    ems.receive(LINK, wire(pending, 4), NOW_NS)
    assert ems.orders["P1"].ord_status is OrdStatus.PENDING_CANCEL and not ems.done
    ems.receive(LINK, wire(canceled, 5), NOW_NS)
    assert ems.violations == [] and ems.done


@pytest.mark.parametrize(
    "version,ord_status,is_right",
    [("FIX.4.2", "5", True), ("FIX.4.2", "0", False), ("FIX.4.4", "0", True), ("FIX.4.4", "5", False)],
)
def test_replaced_is_a_status_in_fix42_and_only_there(version, ord_status, is_right):
    ems = with_order(version)
    ems.receive(LINK, wire(NEW, 2, version), NOW_NS)
    ems.replace("P1", order_qty=500)
    ems.timer(NOW_NS)
    replaced = f"35=8|37=O1|17=E2|150=5|39={ord_status}|11=P1.1|41=P1|55=ALFA|54=1|38=500|151=500|14=0|6=0"
    ems.receive(LINK, wire(replaced, 3, version), NOW_NS)
    assert (ems.violations == []) is is_right


@pytest.mark.parametrize(
    "answer",
    ["35=9|37=O1|11=P1.1|41=P1|39=0|434=1|58=too late", "35=j|45=3|372=F|380=3|58=too late", "35=3|45=3|58=too late"],
)
def test_a_refused_request_leaves_the_order_as_it_was(answer):
    ems = with_order()
    ems.receive(LINK, wire(NEW, 2), NOW_NS)
    ems.cancel("P1")
    ems.timer(NOW_NS)
    ems.receive(LINK, wire(answer, 3), NOW_NS)
    order = ems.orders["P1"]
    assert (order.requests, order.ord_status, order.text) == ({}, OrdStatus.NEW, "too late")
    assert ems.violations == []


def test_a_session_reject_of_the_order_itself_ends_it():
    ems = with_order()
    ems.receive(LINK, wire("35=3|45=2|371=38|373=6|58=bad quantity", 2), NOW_NS)
    assert ems.orders["P1"].ord_status is OrdStatus.REJECTED
    assert ems.rejects == ["3 of message 2: bad quantity"]
    assert ems.done


def test_a_resend_request_gets_the_orders_and_gap_fills_the_rest():
    ems = with_order()
    ems.receive(LINK, wire("35=1|112=T", 2), NOW_NS)
    ems.new_order("P2", "BRVO", Side.BUY, 100)
    ems.timer(NOW_NS)
    later_ns = NOW_NS + SECOND_NS
    resent = lines(ems.receive(LINK, wire("35=2|7=1|16=0", 3), later_ns))
    times = "52=20231114-22:13:21.000|43=Y|122=20231114-22:13:"
    assert resent[0] == f"35=4|34=1|{times}21.000|123=Y|36=2|"
    assert resent[1].startswith(f"35=D|34=2|{times}20.000|11=P1|")
    assert resent[2] == f"35=4|34=3|{times}21.000|123=Y|36=4|"
    assert resent[3].startswith(f"35=D|34=4|{times}20.000|11=P2|")
    assert len(resent) == 4


def test_a_resend_request_that_itself_reveals_a_gap_is_answered_before_the_gap_is_asked_for():
    ems = with_order()
    written = lines(ems.receive(LINK, wire("35=2|7=2|16=2", 5), NOW_NS))
    assert [line.split("|")[0] for line in written] == ["35=D", "35=2"]
    ems.receive(LINK, wire("35=4|43=Y|123=Y|36=6", 2), NOW_NS)
    assert ems.session.next_in == 6


def test_a_low_sequence_number_ends_the_connection_unless_it_is_a_duplicate():
    ems = with_order()
    assert ems.receive(LINK, wire("35=0|43=Y", 1), NOW_NS).closes == []
    output = ems.receive(LINK, wire("35=0", 1), NOW_NS)
    assert output.closes == [LINK]
    assert ems.violations == ["MsgSeqNum(34) 1 of message 0 is below the expected 2"]


def test_a_message_for_somebody_else_ends_the_connection():
    ems = Ems(EmsSession("FIX.4.4", "EMS2", "FAIRLEAD"))
    ems.connected(LINK, "fairlead", NOW_NS)
    assert ems.receive(LINK, wire("35=A|98=0|108=30", 1), NOW_NS).closes == [LINK]
    assert ems.violations == ["message A from a stranger: ('FIX.4.4', 'FAIRLEAD', 'EMS1')"]


def test_silence_is_tested_and_then_ends_the_connection():
    ems = logged_on()
    assert ems.next_timer_ns() == NOW_NS + 30 * SECOND_NS
    assert [line[:5] for line in lines(ems.timer(NOW_NS + 30 * SECOND_NS))] == ["35=0|"]
    assert [line[:5] for line in lines(ems.timer(NOW_NS + 36 * SECOND_NS))] == ["35=1|"]
    assert ems.timer(NOW_NS + 72 * SECOND_NS).closes == [LINK]
    assert "nothing received for 72.0 s" in ems.violations[0]


def test_sequence_numbers_go_on_after_a_reconnect_and_start_again_with_a_reset():
    ems = with_order()
    ems.disconnected(LINK, NOW_NS)
    assert lines(ems.connected(8, "fairlead", NOW_NS)) == ["35=A|34=3|52=20231114-22:13:20.000|98=0|108=30|"]
    ems.receive(8, wire("35=A|98=0|108=30", 5), NOW_NS)  # three messages were missed
    assert ems.session.next_in == 2
    session = EmsSession("FIX.4.4", "EMS1", "FAIRLEAD", reset_on_logon=True)
    session.next_in = session.next_out = 50
    again = Ems(session)
    assert lines(again.connected(9, "fairlead", NOW_NS)) == ["35=A|34=1|52=20231114-22:13:20.000|98=0|108=30|141=Y|"]
    again.receive(9, wire("35=A|98=0|108=30|141=Y", 1), NOW_NS)
    assert (again.session.next_in, again.violations) == (2, [])


def test_logout_is_answered_and_the_link_closed():
    ems = logged_on()
    output = ems.receive(LINK, wire("35=5|58=end of day", 2), NOW_NS)
    assert [line[:5] for line in lines(output)] == ["35=5|"]
    assert output.closes == [LINK]
    mine = logged_on()
    assert [line[:5] for line in lines(mine.logout(NOW_NS))] == ["35=5|"]
    answered = mine.receive(LINK, wire("35=5", 2), NOW_NS)
    assert (answered.writes, answered.closes) == ([], [LINK])


def test_planned_actions_go_out_at_their_time_and_limits_follow_the_market():
    order = PlannedOrder("P1", "ACC", "ALFA", Side.SELL, 500, 3, 100, "sweep", {})
    plan = [
        (NOW_NS + 3, PlannedCancel("P1")),
        (NOW_NS + 1, order),
        (NOW_NS + 2, PlannedReplace("P1", 700, 3, 100)),
    ]
    prices = iter([50_0050, 50_0200])
    ems = logged_on(plan=plan, reference_px=lambda symbol: next(prices))
    written = []
    while ems.next_timer_ns() <= NOW_NS + 3:
        written += lines(ems.timer(ems.next_timer_ns()))
    assert [line[:5] for line in written] == ["35=D|", "35=G|", "35=F|"]
    assert "|44=49.97|" in written[0]  # sell three ticks through 50.005, on the grid
    assert "|38=700|40=2|44=49.99|" in written[1]
    assert not ems.done


def test_a_plan_is_the_same_for_the_same_seed_and_varied():
    instruments = [Instrument("ALFA"), Instrument("BRVO", tick_px=500)]

    def plan(seed):
        return plan_parents(400, seed, instruments, NOW_NS, 60 * SECOND_NS, account="ACC")

    assert plan(1) == plan(1) != plan(2)
    orders = [step for _, step in plan(1) if isinstance(step, PlannedOrder)]
    assert len({order.cl_ord_id for order in orders}) == 400
    assert {(order.side, order.strategy, order.symbol, order.limit_ticks is None) for order in orders} >= {
        (side, strategy, symbol, market)
        for side in (Side.BUY, Side.SELL)
        for strategy in ("sweep", "twap")
        for symbol in ("ALFA", "BRVO")
        for market in (True, False)
    }
    assert all(200 <= order.order_qty <= 5000 and order.order_qty % 100 == 0 for order in orders)
    for kind in (PlannedCancel, PlannedReplace):
        assert 20 <= sum(isinstance(step, kind) for _, step in plan(1)) <= 60
