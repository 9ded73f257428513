"""What the config says of sessions holds for the daemon's: patterns, passwords, schedules, addresses, third parties."""

from typing import Any

import msgspec
import pytest

from domain.facts import AnyFact, PasswordReplaced, encode_batch
from fix.config import SessionOptions
from fix.credentials import Credential, hash_password
from fix.schedule import schedule_from_text
from gateway.clients import ClientConfig, client_named
from service.config import ServiceConfig
from service.sessions import listing
from tests.service.platform import SECOND_NS, Platform, small_config
from tests.service.wire import Wire


def config(options: dict[str, Any] | None = None, **client: Any) -> ServiceConfig:
    """The small config with one client, "EMS1" unless named otherwise, and its session's options."""
    found = small_config()
    only = msgspec.structs.replace(found.clients[0], session="DESK", **client)
    venues = tuple(msgspec.structs.replace(venue, session="") for venue in found.venues)
    sessions = {"DESK": SessionOptions(**(options or {}))}
    return msgspec.structs.replace(found, clients=(only,), venues=venues, sessions=sessions)


def platform(*arguments: Any, **client: Any) -> Platform:
    found = Platform(config=config(*arguments, **client), plans={})
    found.run(3)
    return found


def names(on: Platform) -> list[str]:
    return [row["name"] for row in listing(on.node.links) if row["kind"] == "client"]


def report(wire: Wire, cl_ord_id: str) -> dict[int, str]:
    return next(answer for answer in wire.take("8") if answer[11] == cl_ord_id)


# --- a pattern of clients ---


def test_every_client_that_matches_has_a_session_that_survives_a_crash() -> None:
    desk = platform(name="DESK*")
    wires = {name: Wire(desk, sender_comp_id=name) for name in ("DESK1", "DESK2")}
    for name, wire in wires.items():
        assert [answer[35] for answer in wire.logon()] == ["A"]
        wire.send("D", wire.order(f"{name}-1"))
        assert report(wire, f"{name}-1")[39] == "0"
    assert names(desk) == ["DESK1", "DESK2"]
    wires["DESK1"].cut()
    desk.crash()
    assert names(desk) == ["DESK1", "DESK2"]
    again = wires["DESK1"]
    again.connect()
    (logon, *_) = again.logon()
    assert (logon[35], logon[34]) == ("A", "4")  # after its report and its restatement, which was stored meanwhile
    desk.check_replay()


def test_a_stranger_leaves_no_session_behind() -> None:
    credential = Credential("desk", hash_password("right", b"0123456789abcdef"))
    desk = platform(name="DESK*", credentials=(credential,), max_sessions=1)
    for number in range(3):
        wire = Wire(desk, sender_comp_id=f"DESK{number}")
        assert wire.logon(_553="desk", _554="wrong") == []
        assert names(desk) == []
    first, second = (Wire(desk, sender_comp_id=name) for name in ("DESK8", "DESK9"))
    assert [answer[35] for answer in first.logon(_553="desk", _554="right")] == ["A"]
    assert second.logon(_553="desk", _554="right") == []  # one is all that may appear
    assert names(desk) == ["DESK8"]
    assert Wire(desk, sender_comp_id="OTHER").logon() == []


def test_a_table_of_its_own_comes_before_a_pattern() -> None:
    found = small_config().clients[0]
    one, every = (msgspec.structs.replace(found, name=name, max_sessions=size) for name, size in (("D1", 5), ("D*", 9)))
    assert client_named((every, one), "D1") == one
    assert client_named((every, one), "D2") == msgspec.structs.replace(every, name="D2")
    assert client_named((every, one), "E1") is None


# --- passwords ---


def credentials(password: str, salt: bytes = b"0123456789abcdef") -> tuple[Credential, ...]:
    return (Credential("desk", hash_password(password, salt)),)


def test_a_changed_password_survives_a_crash_and_is_written_nowhere() -> None:
    desk = platform(credentials=credentials("first"))
    wire = Wire(desk)
    assert [answer[35] for answer in wire.logon(_553="desk", _554="first", _925="second-secret")] == ["A"]
    wire.send("5", {})
    desk.crash()
    recorded = b"".join(encode_batch(batch) for batch in desk.process.recorded())
    assert b"second-secret" not in recorded and b"first" not in recorded
    assert sum(isinstance(fact, PasswordReplaced) for fact in desk.facts) == 1
    for password, answered in (("first", []), ("second-secret", ["A"])):
        wire.connect()
        assert [answer[35] for answer in wire.logon(_553="desk", _554=password)] == answered
        wire.next_out -= not answered


def test_what_an_operator_puts_into_the_config_holds_again() -> None:
    desk = platform(credentials=credentials("first"))
    wire = Wire(desk)
    wire.logon(_553="desk", _554="first", _925="second")
    wire.send("5", {})
    desk.config = config(credentials=credentials("third", b"another salt 16+"))
    desk.crash()
    for password, answered in (("second", []), ("third", ["A"])):
        wire.connect()
        assert [answer[35] for answer in wire.logon(_553="desk", _554=password)] == answered
        wire.next_out -= not answered


# --- time and place ---


def test_numbers_begin_anew_with_each_session_of_the_schedule_also_over_a_restart() -> None:
    desk = platform({"schedule": schedule_from_text("22:13:25-22:13:25 UTC")})  # it is 22:13:23 there
    wire = Wire(desk)
    wire.logon()
    wire.send("5", {})
    desk.crash()
    wire.connect()
    assert wire.logon()[0][34] == "3"
    wire.send("5", {})
    desk.kill()
    desk.downtime_ns = 3 * SECOND_NS
    desk.run(0.1)
    wire.connect()
    wire.next_out = 1
    assert [(answer[35], answer[34]) for answer in wire.logon()] == [("A", "1")]


def test_a_session_that_is_not_open_lets_nobody_in() -> None:
    desk = platform({"schedule": schedule_from_text("00:00-00:01 UTC")})  # it is 22:13 there
    assert Wire(desk).logon() == []


@pytest.mark.parametrize(("address", "answers"), [("10.1.2.3", ["A"]), ("192.168.0.1", []), ("", [])])
def test_a_client_comes_from_where_it_may(address: str, answers: list[str]) -> None:
    desk = platform(allow=("10.0.0.0/8",))
    desk.node.links.address_of = lambda _: address
    assert [answer[35] for answer in Wire(desk).logon()] == answers


# --- a third party ---


def test_what_is_said_of_an_order_goes_back_to_the_third_party_also_after_a_crash() -> None:
    desk = platform()
    wire = Wire(desk)
    wire.logon()
    wire.send("D", wire.order("THEIRS"), {115: "BROKER", 116: "TRADER"})
    wire.send("D", wire.order("OWN"))
    assert {tag: report(wire, "THEIRS").get(tag) for tag in (128, 129, 115)} == {
        128: "BROKER",
        129: "TRADER",
        115: None,
    }
    assert 128 not in report(wire, "OWN")
    wire.cut()
    desk.crash()
    wire.answers.clear()
    wire.connect()
    wire.logon()
    wire.send("2", {7: 1, 16: 0})
    wire.send("F", {11: "CANCEL", 41: "THEIRS", 55: "ALFA", 54: 1, 38: 300, 60: wire.order("")[60]}, {115: "BROKER"})
    desk.run(1)
    told = [answer for answer in wire.take("8") if "THEIRS" in (answer[11], answer.get(41))]
    assert len(told) > 3
    assert {answer.get(128) for answer in told} == {"BROKER"}
    assert {answer.get(128) for answer in wire.take("8") if answer[11] == "OWN"} == {None}


# --- limits ---


def test_too_many_messages_are_refused_as_the_session_says() -> None:
    desk = platform({"max_messages_per_s": 3, "on_excess": "reject"})
    wire = Wire(desk)
    wire.logon()
    wire.write(b"".join(wire_order(wire, number) for number in range(5)))
    assert [answer[11] for answer in wire.take("8") if answer[39] == "0"] == ["N0", "N1"]
    assert len(wire.take("j")) == 3


def wire_order(wire: Wire, number: int) -> bytes:
    data = wire.message("D", wire.order(f"N{number}"))
    wire.next_out += 1
    return data


def test_facts_of_sessions_that_the_config_no_longer_has_are_passed_over() -> None:
    desk = platform(name="DESK*")
    Wire(desk, sender_comp_id="DESK1").logon()
    facts: list[list[AnyFact]] = list(desk.process.recorded())
    other = ClientConfig(name="EMS1", accounts=("ACC1",))
    node = type(desk.node)(
        msgspec.structs.replace(desk.config, clients=(other,)), desk.model, "", desk.now_ns, recorded=facts
    )
    assert [*node.links.clients] == ["EMS1"]
