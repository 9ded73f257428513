"""The kill switch that is a file: it works while the event loop does not, and only a person lifts it."""

import os
import threading
import time
from pathlib import Path

import pytest

from domain.facts import ChildSubmitted, KillSwitchSet, ParentAccepted, ParentRejected
from domain.fields import OrdStatus, Side
from service.kill_file import KillFile
from tests.service.platform import Platform
from tests.service.test_restart import busy, of


@pytest.fixture
def file(tmp_path: Path) -> KillFile:
    return KillFile(tmp_path / "KILL")


@pytest.mark.parametrize(
    ("text", "scopes"),
    [
        ("firm", {"firm"}),
        ("venue:ARGO bad prices\n\nsymbol:ALFA\n", {"venue:ARGO", "symbol:ALFA"}),
        ("venus:ARGO", {"firm"}),  # what can't be understood stops everything
        ("client:", {"firm"}),
        ("\xff\xfe", {"firm"}),
    ],
)
def test_each_line_is_a_scope_and_why(file: KillFile, text: str, scopes: set[str]):
    file.look()
    assert file.scopes == {}
    file.path.write_text(text, encoding="latin-1")
    assert file.look()
    assert file.scopes.keys() == scopes
    assert all(by.startswith("kill file of ") and why for by, why in file.scopes.values())
    assert not file.look()
    file.path.unlink()
    assert file.look()
    assert file.scopes == {}


def test_an_empty_file_stops_the_firm_when_it_is_still_empty_at_the_second_look(file: KillFile):
    file.path.touch()
    file.look()
    assert file.scopes == {}  # it may just be being written
    file.look()
    assert file.scopes.keys() == {"firm"}
    file.path.write_text("symbol:ALFA")
    file.look()
    assert file.scopes.keys() == {"symbol:ALFA"}


def test_a_file_that_can_not_be_read_stops_the_firm(file: KillFile):
    file.path.mkdir()
    file.look()
    assert file.scopes.keys() == {"firm"}


def test_it_is_seen_while_the_event_loop_is_busy(file: KillFile):
    seen = threading.Event()
    file.start(seen.set)
    file.path.write_text("firm")
    until = time.monotonic() + 10
    while not file.scopes and time.monotonic() < until:  # this thread never waits, as a loop that is too busy
        sum(range(1000))
    assert file.scopes.keys() == {"firm"}
    assert seen.wait(10)
    file.stop()


def stop(platform: Platform, scope: str) -> None:
    platform.node.stops = lambda: {scope: ("kill file of ops", "smoke")}


@pytest.mark.parametrize("scope", ["firm", "venue:ARGO", "symbol:ALFA", "account:ACC1", "strategy:twap", "client:EMS1"])
def test_no_child_that_it_stops_leaves_although_nobody_told_the_node(scope: str):
    platform = busy(3)
    before = len(platform.facts)
    stop(platform, scope)
    platform.run(2)
    facts = platform.facts[before:]
    kind, _, name = scope.partition(":")
    accepted = {fact.parent_id: fact for fact in of(platform, ParentAccepted)}
    for fact in facts:
        if isinstance(fact, ChildSubmitted):
            assert scope != "firm"
            assert (fact.venue if kind == "venue" else getattr(accepted[fact.parent_id], kind)) != name
    (set_,) = [fact for fact in facts if isinstance(fact, KillSwitchSet)]
    assert (set_.scope, set_.by, set_.text) == (scope, "kill file of ops", "smoke")
    platform.node.stops = dict
    platform.finish()
    platform.check()


def test_it_stops_the_rest_of_a_decision_that_is_under_way():
    platform = busy(3)
    before = len(platform.facts)
    looks = 0

    def stops() -> dict:
        nonlocal looks
        looks += 1
        return {"firm": ("kill file of ops", "smoke")} if looks > 12 else {}

    platform.node.stops = stops
    platform.run(3)
    facts = platform.facts[before:]
    at = next(number for number, fact in enumerate(facts) if isinstance(fact, KillSwitchSet))
    assert not [fact for fact in facts[at:] if isinstance(fact, ChildSubmitted)]
    platform.check_replay()


def test_a_new_order_is_refused_with_the_reason():
    platform = busy(3)
    stop(platform, "firm")
    order = platform.ems["EMS1"].new_order("LATE", "ALFA", Side.BUY, 300, account="ACC1", strategy="sweep")
    platform.world.wake("EMS1")
    platform.run(0.2)
    assert order.settled_status is OrdStatus.REJECTED
    assert "kill switch firm set by kill file of ops: smoke" in order.text
    assert of(platform, ParentRejected)
    platform.crash()
    assert platform.node.state.kill_switch.scopes.keys() == {"firm"}


def test_the_owner_is_named(file: KillFile):
    file.path.write_text("firm")
    file.look()
    assert file.scopes["firm"][0] == f"kill file of {__import__('pwd').getpwuid(os.getuid()).pw_name}"
