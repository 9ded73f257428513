"""What a venue shows and does not give: it is asked ever more rarely, and nobody else is asked any later for it."""

from collections.abc import Callable, Iterable
from io import StringIO

import pytest
from rich.console import Console

from domain.facts import (
    AnyFact,
    ChildAcknowledged,
    ChildCanceled,
    ChildFilled,
    ChildRejected,
    ChildSubmitted,
    DecisionMade,
)
from domain.fields import Action, LastLiquidityInd, OrdRejReason, OrdType, Side, TimeInForce
from domain.market import DealerQuoted, LevelChange
from router.candidates import candidates
from router.policy import ExecutionPolicy
from router.state import State
from router.strategies import next_slice
from service.explain import explain
from service.snapshot import state_hash
from tests.router.test_engine import SECOND_NS, Harness, of

MS = 1_000_000
LATENCY_NS = MS  # of a venue's answer
Answer = Callable[[ChildSubmitted, int], Iterable[AnyFact]]


def no_fill(child: ChildSubmitted, now_ns: int) -> Iterable[AnyFact]:
    yield ChildCanceled(at_ns=now_ns, child_id=child.child_id, text="")


def refusal(child: ChildSubmitted, now_ns: int) -> Iterable[AnyFact]:
    yield ChildRejected(at_ns=now_ns, child_id=child.child_id, reason=OrdRejReason.OTHER, text="no")


def last_look(child: ChildSubmitted, now_ns: int) -> Iterable[AnyFact]:
    yield ChildAcknowledged(at_ns=now_ns, child_id=child.child_id, venue_order_id="V")
    yield from refusal(child, now_ns)


def fill(child: ChildSubmitted, now_ns: int) -> Iterable[AnyFact]:
    yield ChildFilled(
        at_ns=now_ns, child_id=child.child_id, venue=child.venue, exec_id=child.child_id, last_qty=child.order_qty,
        last_px=child.px, liquidity=LastLiquidityInd.REMOVED,
    )  # fmt: skip


def play(desk: Harness, answers: dict[str, Answer], seconds: float, moves: Iterable[tuple[int, Callable]] = ()) -> list:
    """The children that were sent until then; those of venues without an answer rest. `moves`: after how long, what."""
    began, seen = desk.now_ns, 0
    until_ns = began + int(seconds * SECOND_NS)
    due = [(began + after_ns, move) for after_ns, move in moves]
    while True:
        for child in of(desk.facts[seen:], ChildSubmitted):
            if child.venue in answers:
                at_ns = child.at_ns + LATENCY_NS
                due.append((at_ns, lambda c=child, at=at_ns: [desk.report(r) for r in answers[c.venue](c, at)]))
        seen = len(desk.facts)
        due.sort(key=lambda entry: entry[0])
        timer_ns = desk.engine.next_timer_ns()
        at_ns = min(due[0][0] if due else until_ns, timer_ns or until_ns)
        if at_ns >= until_ns:
            return of(desk.facts, ChildSubmitted)
        desk.now_ns = max(at_ns, desk.now_ns)
        if due and due[0][0] <= desk.now_ns:
            due.pop(0)[1]()
        else:
            desk.commit(desk.engine.timer(desk.now_ns))


def alone(venue: str, *actions: Action) -> Harness:
    """A market of one venue, whose book or quote stays as it is."""
    others = tuple({"ARGO", "BRIG", "DUSK", "FORD"} - {venue})
    desk = Harness(policy=ExecutionPolicy(excluded_venues=others, actions=actions))
    quote = DealerQuoted("FORD", "ALFA", "Q1", 100_0000, 300, 100_0200, 300, desk.now_ns + 60 * SECOND_NS)
    desk.market.apply(quote, desk.now_ns)
    return desk


def show(desk: Harness, venue: str, qty: int, px: int = 100_0200) -> None:
    desk.market.apply(update := LevelChange(venue, "ALFA", Side.SELL, px, qty), desk.now_ns)
    if desk.engine.watches("ALFA"):
        desk.commit(desk.engine.market_moved(update, desk.now_ns))


def times_ms(children: list[ChildSubmitted]) -> list[float]:
    return [(child.at_ns - 1_000 * SECOND_NS) / MS for child in children]


@pytest.mark.parametrize(
    ("venue", "action", "answer"),
    [
        ("ARGO", Action.TAKE, no_fill),
        ("ARGO", Action.TAKE, refusal),
        ("FORD", Action.TAKE_QUOTE, last_look),
        ("ARGO", Action.POST, refusal),
        ("DUSK", Action.MID_PEG, no_fill),
    ],
)
def test_what_comes_to_nothing_is_asked_for_ever_more_rarely(venue: str, action: Action, answer: Answer) -> None:
    """Sent again with each answer it would be 10,000 orders."""
    desk = alone(venue, action)
    desk.new(order_qty=300, ord_type=OrdType.LIMIT, limit_px=100_0200)
    # A pause begins when the answer is there, one millisecond after the order.
    assert times_ms(play(desk, {venue: answer}, 10)) == [0, 51, 152, 353, 754, 1555, 3156, 6357, 9558]


def test_orders_of_the_same_side_wait_too_and_those_under_way_together_failed_once() -> None:
    desk = alone("ARGO", Action.TAKE)
    desk.new("A", order_qty=200)
    desk.new("B", order_qty=300)
    desk.now_ns += LATENCY_NS
    for child_id in desk.open_children():
        desk.canceled(child_id)
    assert not of(desk.new("C", order_qty=300), ChildSubmitted)
    assert of(desk.new("D", order_qty=300, side=Side.SELL), ChildSubmitted)
    assert not desk.pass_time(49 * MS)
    assert of(desk.pass_time(MS), ChildSubmitted)


def test_a_book_that_changes_is_believed_at_once_at_first() -> None:
    desk = alone("ARGO", Action.TAKE)
    desk.new(order_qty=300)
    moves = [(5 * MS, lambda: show(desk, "ARGO", 400)), (10 * MS, lambda: show(desk, "ARGO", 400, 100_0300))]
    moves += [(15 * MS, lambda: show(desk, "ARGO", 450)), (20 * MS, lambda: show(desk, "ARGO", 500))]
    sent = play(desk, {"ARGO": no_fill}, 0.2, moves)
    # At 10 ms a level changed that was not asked for; at 20 ms it is the third change for nothing.
    assert times_ms(sent) == [0, 5, 15, 66]


def test_a_venue_that_flickers_gets_no_more_than_one_that_does_not() -> None:
    desk = alone("ARGO", Action.TAKE)
    desk.new(order_qty=300)
    flicker = [(ms * MS, lambda ms=ms: show(desk, "ARGO", 400 + ms % 2)) for ms in range(10_000)]
    assert len(play(desk, {"ARGO": no_fill}, 10, flicker)) == 11


def test_a_fill_ends_the_doubt() -> None:
    desk = alone("ARGO", Action.TAKE)
    desk.new(order_qty=1000, ord_type=OrdType.LIMIT, limit_px=100_0200)
    answers = iter([no_fill, no_fill, fill, no_fill, fill])
    sent = play(desk, {"ARGO": lambda child, now_ns: next(answers)(child, now_ns)}, 10)
    assert times_ms(sent) == [0, 51, 152, 153, 204]
    assert not desk.state.open_parents


def test_other_venues_are_asked_as_soon_as_ever() -> None:
    """The order goes on with the first answer, to a further level too where what is shown nearer is not there."""
    desk = Harness()
    show(desk, "BRIG", 0)
    desk.new(order_qty=600)
    sent = play(desk, {"ARGO": no_fill, "BRIG": fill, "FORD": fill}, 0.05)
    assert [(child.venue, child.order_qty, child.px) for child in sent] == [
        ("ARGO", 300, 100_0200),
        ("FORD", 300, 100_0200),
        ("BRIG", 150, 100_0300),
        ("FORD", 150, 100_0200),
    ]
    assert times_ms(sent) == [0, 0, 1, 1]
    assert not desk.state.open_parents


def test_an_order_with_one_chance_asks_anyway() -> None:
    desk = alone("ARGO", Action.TAKE)
    desk.new("A", order_qty=300)
    desk.canceled(desk.open_children()[0])
    assert of(desk.new("B", order_qty=300, time_in_force=TimeInForce.IMMEDIATE_OR_CANCEL), ChildSubmitted)


def test_what_a_dealer_answers_to_a_request_is_new() -> None:
    desk = alone("FORD", Action.TAKE_QUOTE)
    desk.new("A", order_qty=300)
    desk.report(next(iter(refusal(desk.state.children[desk.open_children()[0]].submitted, desk.now_ns))))
    parent, view = next(iter(desk.state.parents.values())), desk.market.symbol("ALFA")
    doubts = desk.state.doubts.notes(view, Side.BUY, desk.now_ns)
    assert list(doubts) == [("FORD", Action.TAKE_QUOTE)]
    slice_, venues = next_slice(parent, 0, desk.now_ns, 100), desk.engine.routing.venues
    rest = (view, venues, desk.engine.routing.instruments["ALFA"], desk.engine.routing.policy, desk.now_ns, None)
    (streamed,) = candidates(Side.BUY, 0, slice_, *rest, {}, doubts)
    (requested,) = candidates(Side.BUY, 0, slice_, *rest, {"FORD": view.quotes["FORD"]}, doubts)
    assert streamed.doubt and not requested.doubt


def test_the_record_of_a_decision_says_why_and_explain_shows_it() -> None:
    desk = Harness()
    desk.new(order_qty=300, ord_type=OrdType.LIMIT, limit_px=100_0200)
    desk.now_ns += LATENCY_NS
    child = desk.state.children[desk.open_children()[0]].submitted
    desk.canceled(child.child_id)
    record = of(desk.facts, DecisionMade)[-1]
    (doubted,) = [one for one in record.candidates if (one.venue, one.action) == (child.venue, child.action)]
    assert (doubted.chosen_qty, doubted.note) == (0, "not believed for 50 ms: 1 in a row unfilled")
    console = Console(width=300, record=True, file=StringIO())
    console.print(explain(desk.facts, "A"))
    assert doubted.note in console.export_text()


def test_the_same_facts_give_the_same_doubts() -> None:
    desk = alone("ARGO", Action.TAKE)
    desk.new(order_qty=300)
    play(desk, {"ARGO": no_fill}, 1)
    again = State()
    for fact in desk.facts:
        again.apply(fact)
    view = desk.market.symbol("ALFA")
    assert again.doubts.places(view, Side.BUY, desk.now_ns) == desk.state.doubts.places(view, Side.BUY, desk.now_ns)
    assert state_hash(again) == state_hash(desk.state)


def test_what_was_filled_in_part_or_ended_as_we_asked_has_not_failed() -> None:
    desk = alone("ARGO", Action.TAKE)
    desk.new("A", order_qty=400)
    desk.fill(desk.open_children()[0], 100, "E1")
    assert of(desk.canceled(desk.open_children()[0]), ChildSubmitted)  # what is shown may be ours to take still
    desk = alone("ARGO", Action.POST)
    desk.new("A", order_qty=400, ord_type=OrdType.LIMIT, limit_px=100_0000)
    desk.cancel("A", "B")
    desk.canceled(desk.open_children()[0])
    assert of(desk.new("C", order_qty=400, ord_type=OrdType.LIMIT, limit_px=100_0000), ChildSubmitted)


def test_nobody_looks_at_the_market_any_longer_than_there_is_doubt() -> None:
    desk = alone("ARGO", Action.TAKE)
    desk.new(order_qty=400)
    desk.canceled(desk.open_children()[0])
    assert desk.engine.watches("ALFA")
    show(desk, "ARGO", 400)
    assert desk.open_children()
    show(desk, "ARGO", 500)
    assert not desk.engine.watches("ALFA")


def test_the_share_for_the_dark_is_not_kept_for_a_venue_that_refuses() -> None:
    desk = Harness(policy=ExecutionPolicy(excluded_venues=("BRIG", "FORD"), actions=(Action.POST, Action.MID_PEG)))
    order = {"strategy": "twap", "params": {"duration_s": "100", "slices": "1"}, "order_qty": 2000}
    sent = of(desk.new("A", **order), ChildSubmitted)
    (dark,) = [child for child in sent if child.venue == "DUSK"]
    again = desk.report(next(iter(refusal(dark, desk.now_ns))))
    assert not [child for child in of(again, ChildSubmitted) if child.venue == "DUSK"]
    sent = of(desk.new("B", **order), ChildSubmitted)
    assert {child.venue for child in sent} == {"ARGO"}
