"""Who stands at the best price keeps the place in the queue for as long as the schedule has patience."""

import pytest

from domain.facts import ChildAcknowledged, ChildCancelRequested
from domain.fields import Action
from router.policy import ExecutionPolicy
from tests.router.test_engine import SECOND_NS, Harness

POLICY = ExecutionPolicy(actions=(Action.POST,), max_passive_share=1.0)


def resting(strategy: str = "twap") -> Harness:
    """An order that rests at 100.00, the best bid, for 5 s: of a schedule that would cross after 20, or of a sweep."""
    desk = Harness(policy=POLICY)
    desk.new(strategy=strategy, params={"duration_s": "40", "slices": "2"} if strategy == "twap" else {})
    (child_id,) = desk.open_children()
    assert desk.state.children[child_id].px == 100_0000
    desk.report(ChildAcknowledged(at_ns=desk.now_ns, child_id=child_id, venue_order_id="V"))
    return desk


def asked_back(desk: Harness, after_s: float) -> bool:
    return any(isinstance(fact, ChildCancelRequested) for fact in desk.pass_time(int(after_s * SECOND_NS)))


def test_at_the_best_price_it_stays_until_the_schedule_has_no_patience_left() -> None:
    desk = resting()
    assert [asked_back(desk, 5) for _ in range(4)] == [False, False, False, True]


@pytest.mark.parametrize(("bid_px", "back"), [(100_0000, False), (100_0100, True)])
def test_behind_the_best_price_it_comes_back(bid_px: int, back: bool) -> None:
    desk = resting()
    desk.show_market(bid_px=bid_px)
    assert asked_back(desk, 5) is back


def test_an_order_without_a_schedule_comes_back_at_its_time() -> None:
    assert asked_back(resting("sweep"), 1)
