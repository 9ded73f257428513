"""What a client sends and what it becomes: a command, a refusal with the value and the reason, or a session reject."""

import pytest

from domain.commands import CancelParent, NewParent, ReplaceParent, StatusRequest
from domain.fields import ExecInst, OrdRejReason, OrdType, Side, TimeInForce
from domain.instructions import Instructions
from fix.errors import FieldError, SessionRejectReason
from fix.message import Message, parse
from gateway.clients import ClientConfig
from gateway.inbound import BusinessReject, to_command

EMS1 = ClientConfig(name="EMS1", accounts=("ACC", "ACC2"))
EMS2 = ClientConfig(
    name="EMS2",
    begin_string="FIX.4.2",
    accounts=("ACC",),
    default_account="ACC",
    strategy_tag=9100,
    parameter_tags={"duration_s": 9101, "slices": 9102},
)
HEADER = "35={} 49=EMS1 56=FAIRLEAD 34=7 52=20240102-10:00:00"
ORDER = "11=X 1=ACC 21=1 55=AAPL 54=1 60=20240102-10:00:00 38=300 40=2 44=100.25 59=0"
LIMIT_ORDER = NewParent(
    client="EMS1",
    cl_ord_id="X",
    account="ACC",
    symbol="AAPL",
    side=Side.BUY,
    order_qty=300,
    ord_type=OrdType.LIMIT,
    limit_px=1_002_500,
    time_in_force=TimeInForce.DAY,
    strategy="sweep",
    params={},
)


def message(msg_type: str, body: str, client: ClientConfig = EMS1, changes: str = "") -> Message:
    """`changes` to `body`: tag=value replaces or adds a field, a tag alone removes it. "~" stands for a blank."""
    changed = dict(item.partition("=")[::2] for item in changes.split())
    kept = [item for item in body.split() if item.partition("=")[0] not in changed]
    kept += [f"{tag}={value}" for tag, value in changed.items() if value]
    text = " ".join([f"8={client.begin_string}", HEADER.format(msg_type), *kept])
    return parse("".join(f"{item}\x01" for item in text.replace("~", "\0").split(" ")).replace("\0", " ").encode())


def new_parent(changes: str, client: ClientConfig = EMS1) -> NewParent:
    command = to_command(message("D", ORDER, client, changes), client)
    assert isinstance(command, NewParent)
    return command


@pytest.mark.parametrize(
    ("client", "changes", "expected"),
    [
        (EMS1, "", {}),
        (EMS1, "40=1 44", {"ord_type": OrdType.MARKET, "limit_px": 0}),
        (EMS1, "54=5 1=ACC2", {"side": Side.SELL_SHORT, "account": "ACC2"}),
        (EMS1, "59=3", {"time_in_force": TimeInForce.IMMEDIATE_OR_CANCEL}),
        (EMS1, "59 21 38=300.0 44=100.2500", {}),
        (
            EMS1,
            "18=1 21=2 110=0 114=N 423=2",
            {"instructions": Instructions(exec_inst=(ExecInst.NOT_HELD,), locate_reqd=False)},
        ),
        (EMS1, "847=twap", {"strategy": "twap"}),
        (EMS1, "847=1001", {"strategy": "twap"}),
        (EMS1, "847=nonsense", {"strategy": "nonsense"}),  # the engine knows which strategies there are
        (EMS2, "1", {"client": "EMS2"}),
        (
            EMS2,
            "9100=twap 9101=60 9102=4",
            {"client": "EMS2", "strategy": "twap", "params": {"duration_s": "60", "slices": "4"}},
        ),
    ],
)
def test_orders(client: ClientConfig, changes: str, expected: dict) -> None:
    fields = {name: getattr(LIMIT_ORDER, name) for name in LIMIT_ORDER.__struct_fields__} | expected
    assert new_parent(changes, client) == NewParent(**fields)


def strategy_order(parameters: str) -> Message:
    return message("D", f"{ORDER} 847=twap {parameters}")


def test_strategy_parameters_group() -> None:
    command = to_command(strategy_order("957=2 958=duration_s 959=1 960=60 958=slices 959=1 960=4"), EMS1)
    assert isinstance(command, NewParent)
    assert (command.strategy, command.params, command.reject) == ("twap", {"duration_s": "60", "slices": "4"}, None)


def test_a_parameter_given_twice_is_refused() -> None:
    command = to_command(strategy_order("957=2 958=slices 959=1 960=60 958=slices 959=1 960=4"), EMS1)
    assert isinstance(command, NewParent)
    assert command.reject == (OrdRejReason.OTHER, "strategy parameter slices is given twice: '60' and '4'")


UNSUPPORTED = OrdRejReason.UNSUPPORTED_ORDER_CHARACTERISTIC
REFUSALS = [
    ("1=OTHER", OrdRejReason.UNKNOWN_ACCOUNT, "Account(1)=OTHER is not allowed; allowed: ACC, ACC2"),
    ("1", OrdRejReason.UNKNOWN_ACCOUNT, "Account(1) is missing; allowed: ACC, ACC2"),
    ("38=0", OrdRejReason.INCORRECT_QUANTITY, "OrderQty(38)=0 is not above 0"),
    ("44", OrdRejReason.OTHER, "Price(44) is missing; OrdType(40)=2 needs one"),
    ("44=0", OrdRejReason.OTHER, "Price(44)=0 is not above 0"),
    ("44=-1.5", OrdRejReason.OTHER, "Price(44)=-1.5 is not above 0"),
    ("40=1", OrdRejReason.OTHER, "Price(44)=100.25 contradicts OrdType(40)=1, which has none"),
    ("40=3 99=99 44", UNSUPPORTED, "OrdType(40)=3 is not supported; allowed: 1, 2"),
    ("40=P", UNSUPPORTED, "OrdType(40)=P is not supported; allowed: 1, 2"),
    ("59=1", UNSUPPORTED, "TimeInForce(59)=1 is not supported; allowed: 0, 3"),
    ("59=7", UNSUPPORTED, "TimeInForce(59)=7 is not supported; allowed: 0, 3"),
    ("18=6", UNSUPPORTED, "ExecInst(18)=6 is not supported; allowed: 1"),
    ("18=1~G~6", UNSUPPORTED, "ExecInst(18)=G 6 is not supported; allowed: 1"),
    ("21=3", UNSUPPORTED, "HandlInst(21)=3 is not supported; allowed: 1, 2"),
    ("99=99.00", OrdRejReason.OTHER, "StopPx(99)=99.00 contradicts OrdType(40)=2, which has none"),
    ("100=XNAS", UNSUPPORTED, "ExDestination(100)=XNAS is not supported; leave it out"),
    ("110=100", UNSUPPORTED, "MinQty(110)=100 is not supported; allowed: 0"),
    ("111=50", UNSUPPORTED, "MaxFloor(111)=50 is not supported; leave it out"),
    ("114=Y", OrdRejReason.OTHER, "LocateReqd(114)=Y contradicts Side(54)=1"),
    (
        "126=20240102-16:00:00",
        OrdRejReason.OTHER,
        "ExpireTime(126)=20240102-16:00:00 contradicts TimeInForce(59)=0, which has none",
    ),
    ("848=x", UNSUPPORTED, "TargetStrategyParameters(848)=x is not supported; leave it out"),
]


@pytest.mark.parametrize(("changes", "reason", "text"), REFUSALS)
def test_refused_orders_name_the_tag_the_value_and_what_is_allowed(
    changes: str, reason: OrdRejReason, text: str
) -> None:
    command = new_parent(changes)
    assert command.reject == (reason, text)
    assert (command.client, command.cl_ord_id, command.symbol) == ("EMS1", "X", "AAPL")


def test_a_strategy_in_tags_that_the_client_does_not_use_is_refused() -> None:
    command = new_parent("847=twap", EMS2)
    assert command.reject == (UNSUPPORTED, "TargetStrategy(847)=twap is not supported; leave it out")
    assert command.strategy == "sweep"


def test_a_tag_that_carries_a_parameter_is_no_unsupported_instruction() -> None:
    client = ClientConfig(name="EMS1", accounts=("ACC",), parameter_tags={"participation": 849})
    command = new_parent("849=0.1", client)
    assert (command.params, command.reject) == ({"participation": "0.1"}, None)


MISSING, INCORRECT = SessionRejectReason.REQUIRED_TAG_MISSING, SessionRejectReason.VALUE_INCORRECT
FORMAT, COUNT = SessionRejectReason.INCORRECT_DATA_FORMAT, SessionRejectReason.INCORRECT_NUM_IN_GROUP


@pytest.mark.parametrize(
    ("changes", "tag", "reason"),
    [
        ("11", 11, MISSING),
        ("55", 55, MISSING),
        ("54", 54, MISSING),
        ("38", 38, MISSING),
        ("40", 40, MISSING),
        ("60", 60, MISSING),
        ("54=Z", 54, INCORRECT),
        ("40=Z", 40, INCORRECT),
        ("59=Z", 59, INCORRECT),
        ("38=ten", 38, FORMAT),
        ("38=10.5", 38, FORMAT),
        ("38=-100", 38, FORMAT),
        ("38=1e3", 38, FORMAT),
        ("44=100.12345", 44, FORMAT),
        ("44=1,5", 44, FORMAT),
        ("60=yesterday", 60, FORMAT),
        ("847=twap 957=2 958=slices 959=1 960=4", 957, COUNT),
    ],
)
@pytest.mark.parametrize("msg_type", ["D", "G"])
def test_session_faults(msg_type: str, changes: str, tag: int, reason: SessionRejectReason) -> None:
    with pytest.raises(FieldError) as caught:
        to_command(message(msg_type, f"{ORDER} 41=W", EMS1, changes), EMS1)
    error = caught.value
    assert (error.tag, error.reason) == (tag, reason)
    assert f"({tag})" in error.text or f"{tag}=" in error.text


def test_cancel() -> None:
    sent = message("F", "11=Y 41=X 55=AAPL 54=1 38=300 60=20240102-10:00:00")
    assert to_command(sent, EMS1) == CancelParent("EMS1", "Y", "X")


def test_status_request() -> None:
    sent = message("H", "11=X 55=AAPL 54=1 790=S1")
    assert to_command(sent, EMS1) == StatusRequest("EMS1", "X", "AAPL", Side.BUY, "S1")


REPLACE = {
    "client": "EMS1",
    "cl_ord_id": "Y",
    "orig_cl_ord_id": "X",
    "symbol": "AAPL",
    "side": Side.BUY,
    "order_qty": 400,
    "ord_type": OrdType.LIMIT,
    "limit_px": 1_002_500,
    "params": {},
    "account": "ACC",
    "time_in_force": TimeInForce.DAY,
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ("", {}),
        ("59 1", {"account": "", "time_in_force": None}),
        ("847=1001", {"strategy": "twap"}),
        ("847=twap 957=1 958=slices 959=1 960=4", {"strategy": "twap", "params": {"slices": "4"}}),
        ("38=0", {"order_qty": 0, "reject": "OrderQty(38)=0 is not above 0"}),
        ("44", {"limit_px": 0, "reject": "Price(44) is missing; OrdType(40)=2 needs one"}),
        (
            "111=5",
            {
                "reject": "MaxFloor(111)=5 is not supported; leave it out",
                "instructions": Instructions(display_qty=5),
                "instructed": frozenset({"display_qty"}),
            },
        ),
    ],
)
def test_replace(changes: str, expected: dict) -> None:
    sent = message("G", ORDER, EMS1, f"11=Y 41=X 38=400 {changes}")
    assert to_command(sent, EMS1) == ReplaceParent(**REPLACE | expected)


@pytest.mark.parametrize("msg_type", ["E", "8", "V", "B"])
def test_other_messages_are_not_supported(msg_type: str) -> None:
    answer = to_command(message(msg_type, "11=X"), EMS1)
    assert isinstance(answer, BusinessReject)
    assert answer.reason == 3
    assert answer.text.startswith(f"MsgType(35)={msg_type} is not supported; supported: NewOrderSingle(D)")
