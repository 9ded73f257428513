"""Quotes on request: who is asked and when, how long the slice waits, and that an answer is used once."""

from msgspec.structs import replace

from domain.facts import ChildSubmitted, DecisionMade, QuoteRefused, QuoteRequested, VenueDown
from domain.fields import Action, TradingStatus
from domain.market import DealerQuoted
from router.policy import ExecutionPolicy
from tests.router.test_engine import SECOND_NS, VENUES, Harness, kinds
from tests.router.test_trading import say

MS = 1_000_000
POLICY = ExecutionPolicy(rfq_min_qty=2_000, max_dealer_share=1.0)


def desk(policy: ExecutionPolicy = POLICY, *, rfq: bool = True) -> Harness:
    made = Harness()
    made.engine.routing.policy = policy
    made.engine.routing.venues = VENUES | {"FORD": replace(VENUES["FORD"], rfq=rfq)}
    return made


def of(facts: list, kind: type) -> list:
    return [fact for fact in facts if isinstance(fact, kind)]


def answer(desk: Harness, request: QuoteRequested, ask_px: int = 100_0100, qty: int = 0) -> list:
    qty = qty or request.order_qty
    quoted = DealerQuoted(
        "FORD", "ALFA", "R1", 0, 0, ask_px, qty, desk.now_ns + SECOND_NS, request.quote_req_id
    )  # fmt: skip
    desk.market.apply(quoted, desk.now_ns)
    return desk.commit(desk.engine.quoted(request.quote_req_id, desk.now_ns))


def test_a_block_waits_for_the_answer_and_takes_it() -> None:
    d = desk()
    facts = d.new(order_qty=4_000)
    (request,) = of(facts, QuoteRequested)
    assert (request.venue, request.order_qty, request.expires_ns - d.now_ns) == ("FORD", 4_000, 250 * MS)
    assert DecisionMade not in kinds(facts)
    facts = answer(d, request)
    taken = [child for child in of(facts, ChildSubmitted) if child.quote_id == "R1"]
    assert [(child.action, child.px) for child in taken] == [(Action.TAKE_QUOTE, 100_0100)]
    assert taken[0].order_qty > 300  # which is all that the dealer streams
    assert not d.state.quote_requests
    assert not d.state.parent_by_quote_req


def test_nobody_is_asked_for_what_is_small_or_where_nobody_answers_or_where_the_policy_says_never() -> None:
    for made, qty in ((desk(), 1_900), (desk(rfq=False), 4_000), (desk(ExecutionPolicy()), 4_000)):
        facts = made.new(order_qty=qty)
        assert QuoteRequested not in kinds(facts)
        assert DecisionMade in kinds(facts)


def test_nobody_is_asked_who_is_away_or_halted() -> None:
    away, halted = desk(), desk()
    away.commit([VenueDown(at_ns=away.now_ns, venue="FORD", text="")])
    say(halted, "FORD", TradingStatus.HALTED)
    for made in (away, halted):
        assert QuoteRequested not in kinds(made.new(order_qty=4_000))


def test_without_an_answer_the_slice_goes_on_in_time() -> None:
    d = desk()
    d.new(order_qty=4_000)
    assert d.pass_time(249 * MS) == []
    facts = d.pass_time(MS)
    assert kinds(facts)[:2] == [QuoteRefused, DecisionMade]
    assert facts[0].text == "no answer within 250 ms"


def test_a_refusal_ends_the_wait_and_counts_once() -> None:
    d = desk()
    (request,) = of(d.new(order_qty=4_000), QuoteRequested)
    refused = QuoteRefused(at_ns=d.now_ns, quote_req_id=request.quote_req_id, venue="FORD", text="no")
    assert kinds(d.commit(d.engine.quote_refused(refused, d.now_ns)))[:2] == [QuoteRefused, DecisionMade]
    assert d.commit(d.engine.quote_refused(refused, d.now_ns)) == []


def test_an_answer_that_comes_too_late_or_to_nobody_changes_nothing() -> None:
    d = desk()
    (request,) = of(d.new(order_qty=4_000), QuoteRequested)
    d.pass_time(250 * MS)
    assert answer(d, request) == []
    assert d.commit(d.engine.quoted("nobody", d.now_ns)) == []


def test_after_a_pause_the_same_order_may_be_asked_for_again() -> None:
    d = desk(replace(POLICY, rfq_pause_ms=2_000, actions=(Action.TAKE_QUOTE,)))
    d.new(order_qty=9_000)
    d.pass_time(250 * MS)
    asked = []
    for _ in range(20):
        asked += [(d.now_ns - 1_000 * SECOND_NS) / SECOND_NS for _ in of(d.pass_time(250 * MS), QuoteRequested)]
        for child_id in d.open_children():
            d.canceled(child_id)
    assert asked
    assert asked[0] >= 2.0


def test_a_cancelled_order_forgets_what_it_asked_for() -> None:
    d = desk()
    (request,) = of(d.new(order_qty=4_000), QuoteRequested)
    d.cancel("A", "X")
    assert answer(d, request) == []
    assert not d.state.quote_requests
