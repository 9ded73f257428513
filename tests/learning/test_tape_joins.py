"""Which hypothetical joins fill, rule by rule, on tapes of a few rows."""

import pytest

from domain.fields import Side
from learning.tape_events import TouchEvent, TouchKind
from learning.tape_joins import QueuedJoin, joins

S = 1_000_000_000
BID, ASK = 1_000_000, 1_000_500
SUBMIT, CANCEL, EXECUTE, HIDDEN = (
    TouchKind.SUBMITTED,
    TouchKind.CANCELED,
    TouchKind.EXECUTED,
    TouchKind.EXECUTED_HIDDEN,
)
OLD, OTHER_OLD, NEW = 1, 2, 7  # ids of orders from before the join, and of one that came after


def event(
    kind: TouchKind,
    order_id: int,
    qty: int,
    px: int = BID,
    side: Side = Side.BUY,
    bid: tuple[int, int] = (BID, 300),
    ask: tuple[int, int] = (ASK, 200),
    at_ns: int = 0,
) -> TouchEvent:
    return TouchEvent(at_ns, kind, order_id, qty, px, side, *bid, *ask)


# Each story begins with 300 displayed ahead of a buy that joins the bid; the flags say after which event it is filled.
STORIES = {
    "executions use up what is ahead": [
        (event(EXECUTE, OLD, 100, bid=(BID, 200)), False),
        (event(EXECUTE, OTHER_OLD, 200, bid=(BID - 100, 50)), True),
    ],
    "an execution short of our place": [
        (event(EXECUTE, OLD, 299, bid=(BID, 1)), False),
    ],
    "cancellations and executions of orders ahead count together": [
        (event(CANCEL, OLD, 100, bid=(BID, 200)), False),  # a part of it or the whole
        (event(CANCEL, OTHER_OLD, 150, bid=(BID, 50)), False),
        (event(EXECUTE, OTHER_OLD, 50, bid=(BID - 100, 50)), True),
    ],
    "cancellations alone fill nothing": [
        (event(CANCEL, OLD, 300, bid=(BID - 100, 50)), False),
    ],
    "first in the queue, the next execution at the price is ours": [
        (event(CANCEL, OLD, 300, bid=(BID - 100, 50)), False),
        (event(SUBMIT, NEW, 100, bid=(BID, 100)), False),
        (event(EXECUTE, NEW, 1, bid=(BID, 99)), True),
    ],
    "an order behind us trades": [
        (event(SUBMIT, NEW, 100, bid=(BID, 400)), False),
        (event(EXECUTE, NEW, 1, bid=(BID, 399)), True),
    ],
    "an order behind us that leaves brings us no further": [
        (event(SUBMIT, NEW, 250, bid=(BID, 550)), False),
        (event(CANCEL, NEW, 250), False),
        (event(EXECUTE, OLD, 100, bid=(BID, 200)), False),
    ],
    "a part of an order behind leaves, the rest is still behind": [
        (event(SUBMIT, NEW, 250, bid=(BID, 550)), False),
        (event(CANCEL, NEW, 50, bid=(BID, 500)), False),
        (event(EXECUTE, NEW, 10, bid=(BID, 490)), True),
    ],
    "what is displayed less what is behind limits what is ahead": [
        # The price was not the best for a while: two orders left unseen.
        (event(SUBMIT, NEW, 100, BID + 100, bid=(BID + 100, 100)), False),
        (event(CANCEL, NEW, 100, BID + 100, bid=(BID, 80)), False),
        (event(EXECUTE, OLD, 80, bid=(BID - 100, 50)), True),
    ],
    "what is left of orders behind is not ahead": [
        (event(SUBMIT, NEW, 250, bid=(BID, 550)), False),
        (event(CANCEL, NEW, 50, bid=(BID, 500)), False),
        (event(SUBMIT, 8, 100, BID + 100, bid=(BID + 100, 100)), False),
        (event(CANCEL, 8, 100, BID + 100, bid=(BID, 250)), False),
        (event(EXECUTE, OLD, 49, bid=(BID, 201)), False),
        (event(EXECUTE, OLD, 1, bid=(BID, 200)), True),
    ],
    "where the touch is worse than our price nobody is ahead any more": [
        (event(SUBMIT, 8, 50, BID - 100, bid=(BID - 100, 50)), False),
        (event(SUBMIT, NEW, 100, bid=(BID, 100)), False),
        (event(EXECUTE, 9, 1, bid=(BID, 99)), True),
    ],
    "an execution at a worse price went through ours": [
        (event(CANCEL, OLD, 300, bid=(BID - 100, 50)), False),
        (event(EXECUTE, 8, 50, BID - 100, bid=(BID - 200, 50)), True),
    ],
    "an execution at a better price did not": [
        (event(SUBMIT, NEW, 100, BID + 100, bid=(BID + 100, 100)), False),
        (event(EXECUTE, NEW, 100, BID + 100), False),
    ],
    "hidden executions at our price and better ones don't count": [
        (event(HIDDEN, 0, 500), False),
        (event(HIDDEN, 0, 500, BID, Side.SELL), False),
        (event(HIDDEN, 0, 500, BID + 200), False),
        (event(HIDDEN, 0, 500, BID + 300, Side.SELL), False),
        (event(HIDDEN, 0, 500, ASK, Side.SELL), False),
    ],
    "a hidden execution through our price does": [
        (event(HIDDEN, 0, 1, BID - 100), True),
    ],
    "the other side comes to our price": [
        (event(CANCEL, OLD, 300, bid=(BID - 100, 50)), False),
        (event(SUBMIT, 8, 10, BID, Side.SELL, bid=(BID - 100, 50), ask=(BID, 10)), True),
    ],
    "the other side goes, or comes nearer": [
        (event(CANCEL, 8, 200, ASK, Side.SELL, ask=(0, 0)), False),
        (event(SUBMIT, 9, 100, BID + 100, Side.SELL, ask=(BID + 100, 100)), False),
    ],
    "trades on the other side": [
        (event(EXECUTE, 8, 200, ASK, Side.SELL, ask=(ASK + 100, 100)), False),
    ],
    "once filled, it stays so": [
        (event(HIDDEN, 0, 1, BID - 100), True),
        (event(SUBMIT, NEW, 100, bid=(BID, 400)), True),
    ],
}


def mirrored(event: TouchEvent) -> TouchEvent:
    """The same story with both sides exchanged, around the middle between BID and ASK."""

    def flip(px: int) -> int:
        return BID + ASK - px if px else 0

    return event._replace(
        px=flip(event.px),
        side=Side.SELL if event.side is Side.BUY else Side.BUY,
        bid_px=flip(event.ask_px),
        bid_qty=event.ask_qty,
        ask_px=flip(event.bid_px),
        ask_qty=event.bid_qty,
    )


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES.keys())
def test_what_fills_a_join(story: list[tuple[TouchEvent, bool]]) -> None:
    buy = QueuedJoin(0, Side.BUY, BID, 300, ())
    sell = QueuedJoin(0, Side.SELL, ASK, 300, ())
    for happened, filled in story:
        buy.apply(happened)
        sell.apply(mirrored(happened))
        assert (buy.filled, sell.filled) == (filled, filled), happened


def quiet(seconds: float, **changes: object) -> TouchEvent:
    return event(SUBMIT, 100, 1, BID - 5_000, at_ns=round(seconds * S), **changes)


def test_both_sides_join_at_each_step_and_settle_at_the_horizon() -> None:
    found = list(joins([quiet(1.5), quiet(16.0)], 10 * S))
    assert [(join.at_ns // S, join.side, join.px) for join in found] == [
        (at_s, side, px) for at_s in (2, 4) for side, px in ((Side.BUY, BID), (Side.SELL, ASK))
    ]  # the outcome of those from 6 on isn't known when the tape ends
    assert not any(join.filled for join in found)


@pytest.mark.parametrize(
    ("trade_s", "filled"), [(2.0, False), (2.000000001, True), (11.999, True), (12.0, True), (12.000000001, False)]
)
def test_only_what_trades_after_the_join_and_within_the_horizon_counts(trade_s: float, filled: bool) -> None:
    trade = event(EXECUTE, OLD, 300, bid=(BID, 300), at_ns=round(trade_s * S))
    found = {(join.at_ns, join.side): join.filled for join in joins([quiet(1.0), trade, quiet(30.0)], 10 * S)}
    assert found[2 * S, Side.BUY] is filled
    assert found[2 * S, Side.SELL] is False


def test_an_order_that_the_tape_saw_before_the_join_is_ahead_of_it() -> None:
    came = event(SUBMIT, OLD, 100, bid=(BID, 400), at_ns=3 * S)
    traded = event(EXECUTE, OLD, 100, bid=(BID, 300), at_ns=round(4.5 * S))
    found = {(join.at_ns, join.side): join.filled for join in joins([quiet(1.0), came, traded, quiet(30.0)], 10 * S)}
    assert found[2 * S, Side.BUY] is True  # it came after this join
    assert found[4 * S, Side.BUY] is False


@pytest.mark.parametrize(
    "changes", [{"bid": (0, 0)}, {"ask": (0, 0)}, {"bid": (ASK, 100)}], ids=["no bid", "no offer", "locked"]
)
def test_no_join_without_two_sides(changes: dict[str, tuple[int, int]]) -> None:
    found = list(joins([quiet(1.0, **changes), quiet(5.0), quiet(30.0)], 10 * S))
    assert {join.at_ns // S for join in found} == {6, 8, 10, 12, 14, 16, 18}


def test_no_join_while_trading_is_halted() -> None:
    halted = event(TouchKind.HALTED, 0, 0, -1, at_ns=3 * S)
    resumed = event(TouchKind.RESUMED, 0, 0, 1, at_ns=9 * S)
    found = list(joins([quiet(1.0), halted, quiet(5.0), resumed, quiet(24.0)], 10 * S))
    assert {join.at_ns // S for join in found} == {2, 10, 12}


def test_an_empty_tape_has_no_joins() -> None:
    assert list(joins([], 10 * S)) == []
