"""Halts: nothing goes to a venue that does not trade the symbol, and what waited goes on when it does again."""

import pytest

from domain.facts import ChildReplaced, ChildSubmitted, TradingStatusChanged
from domain.fields import TradingStatus
from tests.router.test_engine import VENUES, Harness

OPEN, AUCTION, HALTED, CLOSED = TradingStatus


def say(desk: Harness, venue: str, status: TradingStatus, symbol: str = "ALFA") -> list:
    changed = TradingStatusChanged(at_ns=desk.now_ns, venue=venue, symbol=symbol, status=status)
    return desk.commit(desk.engine.trading_status(changed, desk.now_ns))


def venues_of(facts: list) -> set[str]:
    return {fact.venue for fact in facts if isinstance(fact, ChildSubmitted)}


@pytest.mark.parametrize("status", [AUCTION, HALTED, CLOSED])
@pytest.mark.parametrize("symbol", ["ALFA", ""])
def test_nothing_is_sent_where_the_symbol_does_not_trade(symbol: str, status: TradingStatus) -> None:
    for venue in VENUES:
        desk = Harness()
        say(desk, venue, status, symbol)
        sent = venues_of(desk.new())
        assert sent
        assert venue not in sent


def test_another_symbol_is_no_concern() -> None:
    desk = Harness()
    say(desk, "ARGO", HALTED, "BRVO")
    assert "ARGO" in venues_of(desk.new())


def test_what_waited_goes_on_when_trading_resumes() -> None:
    desk = Harness()
    for venue in VENUES:
        say(desk, venue, HALTED)
    assert venues_of(desk.new()) == set()
    assert venues_of(say(desk, "ARGO", HALTED)) == set()  # nothing new
    assert venues_of(say(desk, "ARGO", OPEN)) == {"ARGO"}


def test_after_a_new_connection_a_venue_trades_until_it_says_otherwise() -> None:
    desk = Harness()
    say(desk, "ARGO", HALTED)
    desk.commit(desk.engine.venue_down("ARGO", "cut", desk.now_ns))
    desk.commit(desk.engine.venue_up("ARGO", desk.now_ns))
    assert desk.state.trading_status("ARGO", "ALFA") is OPEN


@pytest.mark.parametrize("left_qty", [100, 0])
def test_a_venue_reduces_a_child(left_qty: int) -> None:
    """What it no longer holds is open again for the parent, and is at risk there no more."""
    desk = Harness()
    desk.new()
    child_id = desk.open_children()[0]
    child = desk.state.children[child_id]
    other_px = desk.state.exposure.gross_px("ACC") - child.leaves_qty * child.px
    desk.engine.working.is_held = True  # nothing new, so that the exposure is of what is there
    desk.fill(child_id, 100, "E1", px=child.px)
    desk.report(ChildReplaced(at_ns=desk.now_ns, child_id=child_id, order_qty=100 + left_qty, px=0))
    assert (child.order_qty, child.leaves_qty, child.is_open) == (100 + left_qty, left_qty, left_qty > 0)
    assert desk.state.exposure.gross_px("ACC") == other_px + (100 + left_qty) * child.px
