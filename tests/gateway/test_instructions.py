"""Instructions in the words of each version: what may be asked for, what may not, and what contradicts itself."""

import pytest
from msgspec.structs import replace

from domain.commands import NewParent, ReplaceParent
from domain.fields import WORKED_ORD_TYPES as ORD_TYPES
from domain.fields import WORKED_TIMES_IN_FORCE as TIME_IN_FORCES
from domain.fields import ExecInst, OrdRejReason, OrdType, Side, TimeInForce
from domain.fields import OrderCapacity as Capacity
from domain.instructions import NONE, Instructions
from domain.orders import ParentOrder
from fix.dictionary import typed_dictionary
from fix.errors import FieldError
from fix.message import Message, parse
from gateway.clients import EXEC_INSTS, ClientConfig
from gateway.dialect import DIALECTS
from gateway.inbound import to_command
from gateway.instructions import FIXED, RULES, SAID_BY, said_back
from tests.domain.test_orders import PARENT

ALL = ClientConfig(
    name="EMS1",
    accounts=("ACC",),
    default_account="ACC",
    ord_types=ORD_TYPES,
    time_in_forces=TIME_IN_FORCES,
    exec_insts=EXEC_INSTS,
    min_qty=True,
    display_qty=True,
)
VERSIONS = ("FIX.4.2", "FIX.4.4", "FIX.5.0SP2")
ORDER = "11=X 21=1 55=AAPL 54=1 60=20240102-10:00:00 38=300 40=2 44=100.25"
UNSUPPORTED, OTHER = OrdRejReason.UNSUPPORTED_ORDER_CHARACTERISTIC, OrdRejReason.OTHER
QUANTITY = OrdRejReason.INCORRECT_QUANTITY
DAY_END_NS = 1_704_844_800_000_000_000  # 2024-01-10 00:00 UTC


def message(version: str, changes: str, msg_type: str = "D") -> Message:
    """`changes` to ORDER: tag=value replaces or adds a field, a tag alone removes it. "~" stands for a blank."""
    fields = dict(item.split("=", 1) for item in ORDER.split())
    for item in changes.split():
        tag, _, value = item.partition("=")
        fields.pop(tag, None) if not value else fields.update({tag: value.replace("~", " ")})
    begin_string = "FIXT.1.1" if version.startswith("FIX.5") else version
    header = {"8": begin_string, "35": msg_type, "49": "EMS1", "56": "US", "34": "7", "52": "20240102-10:00:00"}
    raw = "".join(f"{tag}={value}\x01" for tag, value in {**header, **fields}.items())
    return parse(raw.encode(), typed_dictionary(version))


def new(version: str, changes: str, client: ClientConfig = ALL) -> NewParent:
    command = to_command(message(version, changes), client)
    assert isinstance(command, NewParent)
    return command


@pytest.mark.parametrize(
    ("changes", "versions", "expected"),
    [
        ("", VERSIONS, {}),
        ("40=3 44 99=101.5", VERSIONS, {"stop_px": 101_5000}),
        ("40=4 99=101.5", VERSIONS, {"stop_px": 101_5000}),
        ("40=5 44", VERSIONS, {}),
        ("40=B", VERSIONS, {}),
        ("40=1 44 59=7", VERSIONS[1:], {}),
        ("59=2", VERSIONS, {}),
        ("40=P 18=R", VERSIONS, {"exec_inst": (ExecInst.PRIMARY_PEG,)}),
        ("40=P 44 18=M", VERSIONS, {"exec_inst": (ExecInst.MID_PRICE_PEG,)}),
        (
            "40=P 18=1~P 211=-0.02",
            VERSIONS,
            {"exec_inst": (ExecInst.NOT_HELD, ExecInst.MARKET_PEG), "peg_offset_px": -200},
        ),
        ("40=P 1094=2", VERSIONS[2:], {"exec_inst": (ExecInst.MID_PRICE_PEG,)}),
        ("40=P 1094=4", VERSIONS[2:], {"exec_inst": (ExecInst.MARKET_PEG,)}),
        ("40=P 18=R 1094=5", VERSIONS[2:], {"exec_inst": (ExecInst.PRIMARY_PEG,)}),
        ("18=6", VERSIONS, {"exec_inst": (ExecInst.POST_ONLY,)}),
        ("18=6~1~6", VERSIONS, {"exec_inst": (ExecInst.POST_ONLY, ExecInst.NOT_HELD)}),
        ("110=300", VERSIONS, {"min_qty": 300}),
        ("111=100", VERSIONS, {"display_qty": 100}),
        ("1138=100", VERSIONS[2:], {"display_qty": 100}),
        ("59=6 126=20240109-20:00:00", VERSIONS, {"expire_ns": DAY_END_NS - 4 * 3600 * 1_000_000_000}),
        ("59=6 432=20240109", VERSIONS, {"expire_ns": DAY_END_NS}),
        ("54=5 114=N", VERSIONS, {"locate_reqd": False}),
        ("54=5 114=Y", VERSIONS, {"locate_reqd": True}),
        ("54=5", VERSIONS, {}),
        ("47=A", VERSIONS[:1], {"order_capacity": Capacity.AGENCY}),
        ("47=I", VERSIONS[:1], {"order_capacity": Capacity.INDIVIDUAL}),
        ("528=R", VERSIONS[1:], {"order_capacity": Capacity.RISKLESS_PRINCIPAL}),
    ],
)
def test_taken(changes: str, versions: tuple[str, ...], expected: dict) -> None:
    for version in versions:
        command = new(version, changes)
        assert (command.reject, command.instructions) == (None, Instructions(**expected)), version


PLAIN = ClientConfig(name="EMS1", accounts=("ACC",), default_account="ACC")
LOCATES = replace(ALL, locate_required=True)


@pytest.mark.parametrize(
    ("client", "changes", "reason", "text"),
    [
        (PLAIN, "40=3 44 99=99", UNSUPPORTED, "OrdType(40)=3 is not supported; allowed: 1, 2"),
        (PLAIN, "18=1~6", UNSUPPORTED, "ExecInst(18)=6 is not supported; allowed: 1"),
        (PLAIN, "110=100", UNSUPPORTED, "MinQty(110)=100 is not supported; allowed: 0"),
        (PLAIN, "111=100", UNSUPPORTED, "MaxFloor(111)=100 is not supported; leave it out"),
        (replace(PLAIN, sides=(Side.BUY,)), "54=5", UNSUPPORTED, "Side(54)=5 is not supported; allowed: 1"),
        (
            replace(PLAIN, order_capacities=(Capacity.AGENCY,)),
            "528=P",
            UNSUPPORTED,
            "OrderCapacity(528)=P is not supported; allowed: A",
        ),
        (ALL, "528=G", UNSUPPORTED, "OrderCapacity(528)=G is not supported; allowed: A, I, P, R"),
        (ALL, "40=3 44", OTHER, "StopPx(99) is missing; OrdType(40)=3 needs one"),
        (ALL, "40=4 44 99=99", OTHER, "Price(44) is missing; OrdType(40)=4 needs one"),
        (ALL, "40=3 99=99", OTHER, "Price(44)=100.25 contradicts OrdType(40)=3, which has none"),
        (ALL, "99=99", OTHER, "StopPx(99)=99 contradicts OrdType(40)=2, which has none"),
        (ALL, "40=3 44 99=0.00", OTHER, "StopPx(99)=0.00 is not above 0"),
        (ALL, "40=3 44 99=-1", OTHER, "StopPx(99)=-1 is not above 0"),
        (ALL, "40=P", OTHER, "OrdType(40)=P without ExecInst(18): one of M, P, R says which price it follows"),
        (ALL, "40=P 18=M~R", OTHER, "OrdType(40)=P ExecInst(18)=M R: one of M, P, R says which price it follows"),
        (ALL, "18=R", OTHER, "ExecInst(18)=R contradicts OrdType(40)=2"),
        (ALL, "211=0.01", OTHER, "PegOffsetValue(211)=0.01 contradicts OrdType(40)=2, which has none"),
        (ALL, "40=P 18=R 59=3", OTHER, "OrdType(40)=P contradicts TimeInForce(59)=3"),
        (ALL, "40=1 44 18=6", OTHER, "ExecInst(18)=6 contradicts OrdType(40)=1"),
        (ALL, "18=6 59=4", OTHER, "ExecInst(18)=6 contradicts TimeInForce(59)=4"),
        (ALL, "40=5 44 59=3", OTHER, "OrdType(40)=5 contradicts TimeInForce(59)=3"),
        (ALL, "40=4 99=99 59=7", OTHER, "OrdType(40)=4 contradicts TimeInForce(59)=7"),
        (ALL, "110=301", QUANTITY, "MinQty(110)=301 exceeds OrderQty(38)=300"),
        (ALL, "111=301", QUANTITY, "MaxFloor(111)=301 exceeds OrderQty(38)=300"),
        (ALL, "111=0", OTHER, "MaxFloor(111)=0 is not above 0"),
        (ALL, "59=6", OTHER, "ExpireTime(126) or ExpireDate(432) is missing; TimeInForce(59)=6 needs one"),
        (
            ALL,
            "59=6 432=20240109 126=20240109-20:00:00",
            OTHER,
            "ExpireTime(126)=20240109-20:00:00 and ExpireDate(432)=20240109 say the same twice: leave one out",
        ),
        (ALL, "432=20240109", OTHER, "ExpireDate(432)=20240109 contradicts TimeInForce(59)=0, which has none"),
        (LOCATES, "54=5", OTHER, "LocateReqd(114) is missing; Side(54)=5 needs one"),
        (LOCATES, "54=2 114=Y", OTHER, "LocateReqd(114)=Y contradicts Side(54)=2"),
    ],
)
def test_refused(client: ClientConfig, changes: str, reason: OrdRejReason, text: str) -> None:
    assert new("FIX.4.4", changes, client).reject == (reason, text)


def test_fix5_has_two_names_for_what_is_shown() -> None:
    text = "MaxFloor(111)=100 and DisplayQty(1138)=50 say the same twice: leave one out"
    assert new("FIX.5.0SP2", "111=100 1138=50").reject == (OTHER, text)


def test_an_expire_date_ends_where_the_client_is() -> None:
    tokyo = new("FIX.4.4", "59=6 432=20240109", replace(ALL, time_zone="Asia/Tokyo"))
    assert tokyo.instructions.expire_ns == DAY_END_NS - 9 * 3600 * 1_000_000_000


@pytest.mark.parametrize("date", ["2024019", "20240230", "tomorrow"])
def test_a_date_that_is_none_is_a_session_reject(date: str) -> None:
    with pytest.raises(FieldError) as caught:
        new("FIX.4.4", f"59=6 432={date}")
    assert (caught.value.tag, caught.value.text) == (432, f"ExpireDate(432)={date}: not a date, YYYYMMDD")


def test_a_replace_says_what_it_changes() -> None:
    sent = message("FIX.4.4", "11=Y 41=X 110=100 18=6", "G")
    command = to_command(sent, ALL)
    assert isinstance(command, ReplaceParent)
    assert command.instructions == Instructions(exec_inst=(ExecInst.POST_ONLY,), min_qty=100)
    assert command.instructed == {"exec_inst", "min_qty"}


def test_every_instruction_can_be_said_and_no_field_has_two_rules() -> None:
    assert SAID_BY.keys() == set(Instructions.__struct_fields__)
    tags = [rule.tag for rule in RULES] + list(FIXED)
    assert len(tags) == len(set(tags))
    assert {tag for tags in SAID_BY.values() for tag in tags} <= {rule.tag for rule in RULES}
    for version in VERSIONS:
        fields = typed_dictionary(version).fields
        for rule in RULES:
            known = fields.get(str(rule.tag))
            assert known is None or known.name in (rule.name, "PegDifference"), (version, rule)


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("ord_types", (OrdType.PREVIOUSLY_QUOTED,), "ord_types 'D' is none that the router works"),
        ("time_in_forces", (TimeInForce.GOOD_TILL_CROSSING,), "time_in_forces '5' is none that the router works"),
        ("exec_insts", (ExecInst.ALL_OR_NONE,), "exec_insts 'G' is none that the router works"),
        ("time_zone", "Mars/Olympus", "time_zone 'Mars/Olympus' is no time zone"),
    ],
)
def test_a_config_can_allow_only_what_there_is(key: str, value: object, text: str) -> None:
    with pytest.raises(ValueError, match="^" + text.replace("(", r"\(")):
        ClientConfig(name="EMS1", accounts=("ACC",), **{key: value})


def test_reports_repeat_the_instructions() -> None:
    asked = Instructions(
        exec_inst=(ExecInst.NOT_HELD, ExecInst.POST_ONLY), min_qty=5, display_qty=7, order_capacity=Capacity.AGENCY
    )
    parent = ParentOrder(replace(PARENT, instructions=asked))
    said = said_back(parent, DIALECTS["FIX.4.2"])
    assert said["exec_inst"] == "1 6"
    assert (said["min_qty"], said["order_capacity"], said["rule80_a"]) == (5, Capacity.AGENCY, "A")
    assert (said["max_floor"], said.get("display_qty")) == (7, None)
    later = said_back(parent, DIALECTS["FIXT.1.1"])
    assert (later["display_qty"], later.get("max_floor")) == (7, None)
    assert said_back(ParentOrder(replace(PARENT, instructions=NONE)), DIALECTS["FIX.4.4"]) == {}
