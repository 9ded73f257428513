"""What a venue is sent, as the fields that it finds in the bytes, for each kind of venue."""

import pytest

from domain.facts import (
    AnyFact,
    ChildAcknowledged,
    ChildCancelRequested,
    ChildReplaced,
    ChildReplaceRequested,
    ChildSubmitted,
    KillSwitchSet,
)
from domain.fields import Action, OrderCapacity, OrdType, Side, TimeInForce, VenueKind
from domain.instructions import Instructions
from domain.orders import ChildOrder
from fix.messages import encode
from tests.venues.test_inbound import message
from venues.outbound import dont_know, mass_cancel, messages, status_request

AT_NS = 1_704_189_600_000_000_000  # 2024-01-02 10:00:00 UTC
SECOND = 1_000_000_000
COMMON = "11=E-1 1=ACC 21=1 55=AAPL 54=2 38=300 60=20240102-10:00:00.000 44=100.25"


def child(action: Action, **changes: object) -> ChildSubmitted:
    fields = {
        "at_ns": AT_NS,
        "child_id": "E-1",
        "parent_id": "P1",
        "decision_id": 1,
        "candidate": 0,
        "venue": "V",
        "account": "ACC",
        "symbol": "AAPL",
        "side": Side.SELL,
        "order_qty": 300,
        "action": action,
        "px": 1_002_500,
        "min_qty": 0,
        "quote_id": "",
        "horizon_ns": SECOND,
    }
    return ChildSubmitted(**fields | changes)


def fields(body: bytes) -> dict[str, str]:
    return dict(field.split("=", 1) for field in body.decode().split("\x01") if field)


def expected(text: str) -> dict[str, str]:
    return dict(field.split("=", 1) for field in text.split())


ORDERS = [
    (VenueKind.LIT, child(Action.POST), "40=2 59=0 18=6"),
    (VenueKind.LIT, child(Action.IMPROVE), "40=2 59=0 18=6"),
    (VenueKind.LIT, child(Action.TAKE, horizon_ns=0), "40=2 59=3"),
    (VenueKind.DARK, child(Action.MID_PEG, min_qty=100), "40=P 59=0 18=M 110=100"),
    (VenueKind.DARK, child(Action.MID_PEG, horizon_ns=0), "40=P 59=3 18=M"),
    (VenueKind.DEALER, child(Action.TAKE_QUOTE, quote_id="Q7", horizon_ns=0), "40=D 59=3 117=Q7"),
    (VenueKind.DEALER, child(Action.TAKE_QUOTE, quote_id="Q7"), "40=D 59=3 117=Q7"),  # a quote can't be waited at
]


SHORT = Instructions(order_capacity=OrderCapacity.AGENCY, locate_reqd=False)
CLOSE = {"time_in_force": TimeInForce.AT_THE_CLOSE, "horizon_ns": 86_400 * SECOND}
INSTRUCTED = [
    (child(Action.POST, instructions=Instructions(display_qty=100)), "FIX.4.2", "40=2 59=0 18=6 111=100"),
    (child(Action.POST, instructions=Instructions(display_qty=100)), "FIX.4.4", "40=2 59=0 18=6 111=100"),
    (child(Action.POST, instructions=Instructions(display_qty=100)), "FIXT.1.1", "40=2 59=0 18=6 1138=100"),
    (child(Action.POST, side=Side.SELL_SHORT, instructions=SHORT), "FIX.4.2", "40=2 59=0 18=6 54=5 114=N 47=A"),
    (child(Action.POST, side=Side.SELL_SHORT, instructions=SHORT), "FIX.4.4", "40=2 59=0 18=6 54=5 114=N 528=A"),
    (child(Action.TAKE, horizon_ns=0, time_in_force=TimeInForce.FILL_OR_KILL), "FIX.4.4", "40=2 59=4"),
    (child(Action.TAKE, horizon_ns=0, min_qty=50), "FIX.4.4", "40=2 59=3 110=50"),
    (child(Action.AUCTION, ord_type=OrdType.LIMIT, **CLOSE), "FIX.4.2", "40=B 59=0"),
    (child(Action.AUCTION, ord_type=OrdType.LIMIT, **CLOSE), "FIX.4.4", "40=2 59=7"),
    (child(Action.AUCTION, ord_type=OrdType.MARKET, **CLOSE), "FIX.4.2", "40=5 59=0 44="),
    (child(Action.AUCTION, ord_type=OrdType.MARKET, **CLOSE), "FIXT.1.1", "40=1 59=7 44="),
    (
        child(Action.AUCTION, ord_type=OrdType.LIMIT, time_in_force=TimeInForce.AT_THE_OPENING),
        "FIX.4.2",
        "40=2 59=2",
    ),
]


@pytest.mark.parametrize(("submitted", "begin_string", "more"), INSTRUCTED)
def test_instructions_in_the_words_of_each_version(submitted: ChildSubmitted, begin_string: str, more: str) -> None:
    (sent,) = messages(submitted, ChildOrder(submitted), VenueKind.LIT, begin_string)
    told = {tag: value for tag, value in (expected(COMMON) | expected(more)).items() if value}
    assert fields(encode(sent, "FIX.5.0SP2" if begin_string == "FIXT.1.1" else begin_string)) == told


@pytest.mark.parametrize("version", ["FIX.4.2", "FIX.4.4"])
@pytest.mark.parametrize(("kind", "submitted", "more"), ORDERS)
def test_new_order(kind: VenueKind, submitted: ChildSubmitted, more: str, version: str) -> None:
    (sent,) = messages(submitted, ChildOrder(submitted), kind)
    assert sent.MSG_TYPE == "D"
    assert fields(encode(sent, version)) == expected(f"{COMMON} {more}")


@pytest.mark.parametrize("version", ["FIX.4.2", "FIX.4.4"])
@pytest.mark.parametrize(("acknowledged", "more"), [(False, ""), (True, "37=V1")])
def test_cancel(version: str, acknowledged: bool, more: str) -> None:
    order = ChildOrder(child(Action.POST))
    if acknowledged:
        order.apply(ChildAcknowledged(at_ns=AT_NS, child_id="E-1", venue_order_id="V1"))
    fact = ChildCancelRequested(at_ns=AT_NS + SECOND, child_id="E-1", cancel_id="E-X1", reason="horizon")
    (sent,) = messages(fact, order, VenueKind.LIT)
    assert sent.MSG_TYPE == "F"
    wanted = f"11=E-X1 41=E-1 1=ACC 55=AAPL 54=2 38=300 60=20240102-10:00:01.000 {more}"
    assert fields(encode(sent, version)) == expected(wanted)


@pytest.mark.parametrize("version", ["FIX.4.2", "FIX.4.4"])
def test_status_request(version: str) -> None:
    order = ChildOrder(child(Action.POST))
    assert fields(encode(status_request(order), version)) == expected("11=E-1 1=ACC 55=AAPL 54=2")


def test_replace_and_what_follows_it_go_by_the_last_accepted_request() -> None:
    order = ChildOrder(child(Action.POST))
    order.apply(ChildAcknowledged(at_ns=AT_NS, child_id="E-1", venue_order_id="V1"))
    sent = []
    for number in (1, 2):
        fields_ = {"child_id": "E-1", "replace_id": f"E-R{number}", "order_qty": 300 - 100 * number, "px": 1_002_600}
        asked = ChildReplaceRequested(at_ns=AT_NS + SECOND, reason="shrink", **fields_)
        order.apply(asked)
        sent += messages(asked, order, VenueKind.LIT)
        order.apply(ChildReplaced(at_ns=AT_NS + SECOND, **fields_))
    cancel = ChildCancelRequested(at_ns=AT_NS + SECOND, child_id="E-1", cancel_id="E-X1", reason="horizon")
    sent += messages(cancel, order, VenueKind.LIT)
    same = "37=V1 1=ACC 55=AAPL 54=2 60=20240102-10:00:01.000"
    as_sent = "21=1 40=2 44=100.26 59=0 18=6"
    assert [(item.MSG_TYPE, fields(encode(item, "FIX.4.4"))) for item in sent] == [
        ("G", expected(f"11=E-R1 41=E-1 38=200 {same} {as_sent}")),
        ("G", expected(f"11=E-R2 41=E-R1 38=100 {same} {as_sent}")),
        ("F", expected(f"11=E-X1 41=E-R2 38=100 {same}")),
    ]
    assert fields(encode(status_request(order), "FIX.4.4"))["11"] == "E-R2"


@pytest.mark.parametrize("kind", [VenueKind.DARK, VenueKind.DEALER])
def test_replace_repeats_what_the_kind_of_venue_was_sent(kind: VenueKind) -> None:
    order = ChildOrder(child(Action.MID_PEG, min_qty=100))
    asked = ChildReplaceRequested(
        at_ns=AT_NS, child_id="E-1", replace_id="E-R1", order_qty=200, px=1_002_500, reason="shrink"
    )
    order.apply(asked)
    (new,) = messages(order.submitted, order, kind)
    (replace,) = messages(asked, order, kind)
    shared = ("ord_type", "time_in_force", "exec_inst", "min_qty", "symbol", "side", "account")
    assert [getattr(replace, name) for name in shared] == [getattr(new, name) for name in shared]


@pytest.mark.parametrize(
    ("scope", "body"),
    [
        ("firm", "530=7"),
        ("venue:V", "530=7"),
        ("symbol:AAPL", "530=1 55=AAPL"),
        ("venue:W", None),
        ("account:ACC", None),
        ("client:EMS", None),
    ],
)
def test_mass_cancel_of_a_kill_switch(scope: str, body: str | None) -> None:
    request = mass_cancel(KillSwitchSet(at_ns=AT_NS, scope=scope, by="ops", text=""), "V", "K1")
    sent = None if request is None else fields(encode(request, "FIX.4.4"))
    wanted = f"11=K1 {body} 60=20240102-10:00:00.000" if body else None
    assert sent == (expected(wanted) | {"58": "kill switch"} if wanted else None)


def test_a_fill_that_is_not_ours_is_refused() -> None:
    answer = dont_know(message("8", "37=V9 11=E-99 17=F7 55=AAPL 54=1 150=F 32=100 31=10.00"), "unknown")
    assert fields(encode(answer, "FIX.4.4")) == expected("37=V9 17=F7 127=D 55=AAPL 54=1 58=unknown")
    assert dont_know(message("8", "11=E-99 150=F 32=100 31=10.00"), "") is None  # nothing to name it by


def test_other_facts_are_not_for_the_venue() -> None:
    fact: AnyFact = ChildAcknowledged(at_ns=AT_NS, child_id="E-1", venue_order_id="V1")
    assert messages(fact, ChildOrder(child(Action.POST)), VenueKind.LIT) == []
