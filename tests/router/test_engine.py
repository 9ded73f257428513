"""The engine against a market and venues that do anything: children never exceed the parent, every fill counts once.

The harness applies facts as the node does. What venues answer is drawn by Hypothesis, in any order: acknowledgements,
fills (also late, repeated and too large), rejects, cancels, silence and lost connections.
"""

from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, precondition, rule
from msgspec.structs import replace

from domain.commands import (
    AmendOrder,
    CancelOrder,
    CancelParent,
    MassCancel,
    NewParent,
    ReleaseKillSwitch,
    ReplaceParent,
    SetKillSwitch,
)
from domain.facts import (
    AnyFact,
    ChildAcknowledged,
    ChildCanceled,
    ChildCancelRejected,
    ChildCancelRequested,
    ChildFillBusted,
    ChildFillCorrected,
    ChildFilled,
    ChildRejected,
    ChildReplaced,
    ChildRiskRejected,
    ChildStatus,
    ChildSubmitted,
    ChildUncertain,
    DecisionMade,
    EpochStarted,
    ExecutionUnknown,
    MassCancelAnswered,
    ParentAccepted,
    ParentCancelRequested,
    ParentDone,
    ParentRejected,
    ParentReplaced,
    ParentReplaceRequested,
    ParentRequestRejected,
)
from domain.fields import (
    CxlRejReason,
    ExecType,
    LastLiquidityInd,
    OrdRejReason,
    OrdStatus,
    OrdType,
    Side,
    TimeInForce,
    VenueKind,
)
from domain.instruments import Instrument, VenueTerms
from domain.market import BookSnapshot, DealerQuoted, MarketView
from domain.orders import FINAL
from gateway.clients import ClientConfig
from gateway.outbound import reports
from risk.limits import AccountLimits, RiskLimits
from router.asking import CANCEL_RETRY_NS
from router.engine import Engine
from router.features import FEATURES, schema_hash
from router.model import PriorModel
from router.policy import ExecutionPolicy
from router.routing import Routing
from router.state import State

SECOND_NS = 1_000_000_000
VENUES = {
    "ARGO": VenueTerms("ARGO", VenueKind.LIT, "XARG", -20.0, 30.0),
    "BRIG": VenueTerms("BRIG", VenueKind.LIT, "XBRG", -10.0, 25.0),
    "DUSK": VenueTerms("DUSK", VenueKind.DARK, "XDSK", 10.0, 10.0),
    "FORD": VenueTerms("FORD", VenueKind.DEALER, "XFRD", 0.0, 0.0),
}
LIMITS = RiskLimits(
    max_order_qty=10_000,
    max_order_notional=10_000_000,
    max_child_qty=10_000,
    price_collar_bps=500,
    max_gross_exposure=100_000_000,
    max_messages_per_second=100_000,
    accounts={"ACC": AccountLimits(max_gross_exposure=100_000_000)},
)


class Harness:
    """State, market and engine, driven as the node drives them."""

    def __init__(
        self,
        limits: RiskLimits = LIMITS,
        policy: ExecutionPolicy = ExecutionPolicy(),  # noqa: B008 - frozen
        icebergs: tuple[str, ...] = (),
        replaces: tuple[str, ...] = (),
        minimums: tuple[str, ...] = (),
        seed: int = 1,
    ) -> None:
        """`icebergs`, `replaces` and `minimums`: the venues that have them."""
        self.now_ns = 1_000 * SECOND_NS
        venues = {
            name: replace(
                terms, has_icebergs=name in icebergs, can_replace=name in replaces, has_min_qty=name in minimums
            )
            for name, terms in VENUES.items()
        }
        self.state, self.market = State(), MarketView()
        schema = schema_hash(VENUES)
        model = PriorModel(FEATURES.index("fill_prior"), schema)
        instruments = {"ALFA": Instrument("ALFA")}
        routing = Routing(instruments, venues, limits, policy, model, seed, lambda: 0)
        self.engine = Engine(self.state, self.market, routing)
        self.facts: list[AnyFact] = []
        self.commit([EpochStarted(at_ns=self.now_ns, epoch="T", version="test")])
        for venue in VENUES:
            self.commit(self.engine.venue_up(venue, self.now_ns))
        self.show_market()

    def commit(self, facts) -> list[AnyFact]:
        committed = []
        for fact in facts:
            self.state.apply(fact)
            committed.append(fact)
        self.facts += committed
        return committed

    def show_market(self, bid_px: int = 100_0000, ask_px: int = 100_0200, qty: int = 500) -> None:
        for venue in ("ARGO", "BRIG"):
            bids, asks = ((bid_px, qty), (bid_px - 100, qty)), ((ask_px, qty), (ask_px + 100, qty))
            self.market.apply(BookSnapshot(venue, "ALFA", bids, asks), self.now_ns)
        until_ns = self.now_ns + SECOND_NS
        self.market.apply(DealerQuoted("FORD", "ALFA", "Q1", bid_px, 300, ask_px, 300, until_ns), self.now_ns)

    def pass_time(self, ns: int) -> list[AnyFact]:
        self.now_ns += ns
        return self.commit(self.engine.timer(self.now_ns))

    def new(self, cl_ord_id: str = "A", **changes) -> list[AnyFact]:
        order = NewParent(
            client="EMS1", cl_ord_id=cl_ord_id, account="ACC", symbol="ALFA", side=Side.BUY, order_qty=1000,
            ord_type=OrdType.MARKET, limit_px=0, time_in_force=TimeInForce.DAY, strategy="sweep", params={},
        )  # fmt: skip
        return self.commit(self.engine.new_parent(replace(order, **changes), self.now_ns))

    def cancel(self, orig_cl_ord_id: str, cl_ord_id: str, client: str = "EMS1") -> list[AnyFact]:
        command = CancelParent(client, cl_ord_id, orig_cl_ord_id)
        return self.commit(self.engine.cancel_parent(command, self.now_ns))

    def replace(self, orig_cl_ord_id: str, cl_ord_id: str, order_qty: int, **changes) -> list[AnyFact]:
        request = ReplaceParent(
            client="EMS1", cl_ord_id=cl_ord_id, orig_cl_ord_id=orig_cl_ord_id, symbol="ALFA", side=Side.BUY,
            order_qty=order_qty, ord_type=OrdType.MARKET, limit_px=0, params={},
        )  # fmt: skip
        return self.commit(self.engine.replace_parent(replace(request, **changes), self.now_ns))

    def report(self, report) -> list[AnyFact]:
        return self.commit(self.engine.child_report(report, self.now_ns))

    def fill(self, child_id: str, qty: int, exec_id: str, px: int = 100_0100) -> list[AnyFact]:
        venue = self.state.children[child_id].submitted.venue
        return self.report(
            ChildFilled(
                at_ns=self.now_ns, child_id=child_id, venue=venue, exec_id=exec_id, last_qty=qty, last_px=px,
                liquidity=LastLiquidityInd.REMOVED,
            )
        )  # fmt: skip

    def canceled(self, child_id: str) -> list[AnyFact]:
        return self.report(ChildCanceled(at_ns=self.now_ns, child_id=child_id, text=""))

    def acknowledge(self) -> None:
        """Every venue has what was sent to it."""
        for child_id in self.open_children():
            self.report(ChildAcknowledged(at_ns=self.now_ns, child_id=child_id, venue_order_id="V"))

    def open_children(self) -> list[str]:
        return [child_id for children in self.state.open_children.values() for child_id in children]


def kinds(facts: list[AnyFact]) -> list[type]:
    return [type(fact) for fact in facts]


def of(facts: list[AnyFact], kind: type) -> list:
    return [fact for fact in facts if isinstance(fact, kind)]


def test_a_sweep_takes_across_venues_and_ends_filled() -> None:
    desk = Harness()
    facts = desk.new(order_qty=1000)
    assert kinds(facts)[:2] == [ParentAccepted, DecisionMade]
    children = of(facts, ChildSubmitted)
    assert sum(child.order_qty for child in children) == 1000
    assert len({child.venue for child in children}) > 1
    for number, child in enumerate(children):
        facts = desk.fill(child.child_id, child.order_qty, f"E{number}")
    assert kinds(facts) == [ChildFilled, ParentDone]
    assert facts[-1].ord_status is OrdStatus.FILLED
    assert not desk.state.open_parents


def test_what_does_not_fill_is_routed_again() -> None:
    desk = Harness()
    first = of(desk.new(order_qty=300), ChildSubmitted)[0]
    again = desk.canceled(first.child_id)
    assert kinds(again)[0] is ChildCanceled
    assert sum(child.order_qty for child in of(again, ChildSubmitted)) == first.order_qty


def test_an_immediate_order_makes_one_pass() -> None:
    desk = Harness()
    children = of(desk.new(order_qty=300, time_in_force=TimeInForce.IMMEDIATE_OR_CANCEL), ChildSubmitted)
    desk.fill(children[0].child_id, 100, "E1")
    for child in children:
        facts = desk.canceled(child.child_id)
    assert kinds(facts) == [ChildCanceled, ParentDone]
    assert (facts[-1].ord_status, facts[-1].text) == (OrdStatus.CANCELED, "200 of 300 not filled")


def test_a_resting_child_is_cancelled_at_its_horizon_and_only_once() -> None:
    desk = Harness()
    facts = desk.new(strategy="twap", params={"duration_s": "100", "slices": "2"}, order_qty=1000)
    resting = [child for child in of(facts, ChildSubmitted) if child.horizon_ns]
    assert resting
    for child in resting:
        desk.report(ChildAcknowledged(at_ns=desk.now_ns, child_id=child.child_id, venue_order_id="V"))
    desk.show_market(bid_px=100_0100)  # nothing of it stands at the best price any more
    cancels = of(desk.pass_time(20 * SECOND_NS), ChildCancelRequested)
    assert {cancel.child_id for cancel in cancels} == {child.child_id for child in resting}
    assert not of(desk.pass_time(20 * SECOND_NS), ChildCancelRequested)


def test_what_rests_in_the_dark_comes_back_when_a_twap_runs_out_of_time() -> None:
    desk = Harness()
    desk.new(strategy="twap", params={"duration_s": "10", "slices": "1"}, order_qty=2000)
    dark = [c for c in desk.open_children() if desk.state.children[c].submitted.venue == "DUSK"]
    assert dark
    desk.acknowledge()
    cancels = of(desk.pass_time(9 * SECOND_NS), ChildCancelRequested)
    assert {cancel.child_id for cancel in cancels if cancel.reason == "late"} >= set(dark)
    taken = of(desk.canceled(dark[0]), ChildSubmitted)
    assert taken and not any(child.horizon_ns for child in taken)
    assert not [c for c in of(desk.pass_time(SECOND_NS // 10), ChildCancelRequested) if c.reason == "late"]


def test_a_child_at_the_parents_limit_rests_on_until_somebody_offers_that_price() -> None:
    desk = Harness()
    facts = desk.new(order_qty=1000, ord_type=OrdType.LIMIT, limit_px=99_9900)
    resting = {child.child_id for child in of(facts, ChildSubmitted)}
    desk.acknowledge()
    assert resting and not of(desk.pass_time(60 * SECOND_NS), ChildCancelRequested)
    desk.show_market(99_9800, 99_9900)
    assert {cancel.child_id for cancel in of(desk.pass_time(10 * SECOND_NS), ChildCancelRequested)} == resting


def test_a_late_fill_under_the_id_of_our_cancel_finds_its_order() -> None:
    desk = Harness()
    child = of(desk.new(order_qty=100, ord_type=OrdType.LIMIT, limit_px=100_0000), ChildSubmitted)[0]
    cancel = of(desk.cancel("A", "B"), ChildCancelRequested)[0]
    desk.canceled(child.child_id)
    late = ChildFilled(
        at_ns=desk.now_ns, child_id=cancel.cancel_id, venue=child.venue, exec_id="E1", last_qty=40, last_px=100_0000,
        liquidity=LastLiquidityInd.ADDED,
    )  # fmt: skip
    (filled,) = desk.report(late)
    assert filled.child_id == child.child_id
    assert next(iter(desk.state.parents.values())).cum_qty == 40


def test_cancel_waits_for_the_children_and_a_fill_that_races_it_wins() -> None:
    desk = Harness()
    child = of(desk.new(order_qty=100, ord_type=OrdType.LIMIT, limit_px=100_0000), ChildSubmitted)[0]
    facts = desk.cancel("A", "B")
    assert kinds(facts) == [ParentCancelRequested, ChildCancelRequested]
    facts = desk.fill(child.child_id, 100, "E1")
    assert kinds(facts) == [ChildFilled, ParentRequestRejected, ParentDone]
    assert (facts[1].reason, facts[1].ord_status, facts[2].ord_status) == (
        CxlRejReason.TOO_LATE,
        OrdStatus.FILLED,
        OrdStatus.FILLED,
    )


def test_cancel_is_answered_when_the_last_child_has_ended() -> None:
    desk = Harness()
    children = of(desk.new(order_qty=1000, ord_type=OrdType.LIMIT, limit_px=100_0000), ChildSubmitted)
    desk.cancel("A", "B")
    for child in children[:-1]:
        assert kinds(desk.canceled(child.child_id)) == [ChildCanceled]
    facts = desk.canceled(children[-1].child_id)
    assert kinds(facts) == [ChildCanceled, ParentDone]
    assert (facts[-1].ord_status, facts[-1].cl_ord_id) == (OrdStatus.CANCELED, "B")


def test_replace_takes_effect_when_the_truth_is_known() -> None:
    desk = Harness()
    child = of(desk.new(order_qty=300, ord_type=OrdType.LIMIT, limit_px=100_0000), ChildSubmitted)[0]
    desk.fill(child.child_id, 100, "E1")
    facts = desk.replace("A", "B", 50, ord_type=OrdType.LIMIT, limit_px=100_0000)
    assert ParentReplaceRequested in kinds(facts) and ParentReplaced not in kinds(facts)
    for child_id in desk.open_children():
        facts = desk.canceled(child_id)
    replaced = of(desk.facts, ParentReplaced)[0]
    assert replaced.order_qty == 100  # never below what is filled
    assert of(facts, ParentDone)[0].ord_status is OrdStatus.FILLED


@pytest.mark.parametrize(
    ("orig_cl_ord_id", "cl_ord_id", "client", "reason", "text"),
    [
        ("NONE", "B", "EMS1", CxlRejReason.UNKNOWN_ORDER, "unknown order: OrigClOrdID(41) 'NONE'"),
        ("A", "A", "EMS1", CxlRejReason.DUPLICATE_CL_ORD_ID, "duplicate ClOrdID(11) 'A'"),
        ("A", "B", "EMS2", CxlRejReason.UNKNOWN_ORDER, "unknown order: OrigClOrdID(41) 'A'"),  # another client's
    ],
)
def test_a_request_that_names_no_order_of_the_client_is_refused(
    orig_cl_ord_id: str, cl_ord_id: str, client: str, reason: CxlRejReason, text: str
) -> None:
    desk = Harness()
    desk.new(ord_type=OrdType.LIMIT, limit_px=100_0000)
    (refused,) = desk.cancel(orig_cl_ord_id, cl_ord_id, client)
    assert (type(refused), refused.reason, refused.text) == (ParentRequestRejected, reason, text)


def test_a_second_cancel_is_refused_while_the_first_is_pending() -> None:
    desk = Harness()
    desk.new(ord_type=OrdType.LIMIT, limit_px=100_0000)
    desk.cancel("A", "B")
    (refused,) = desk.cancel("A", "C")
    assert (refused.reason, refused.text) == (CxlRejReason.ALREADY_PENDING, "already pending cancel")


@pytest.mark.parametrize(
    ("changes", "reason", "text"),
    [
        ({"symbol": "NONE"}, OrdRejReason.UNKNOWN_SYMBOL, "unknown symbol 'NONE'"),
        ({"order_qty": 20_000}, OrdRejReason.ORDER_EXCEEDS_LIMIT, "max_order_qty 10000 exceeded: order_qty 20000"),
        ({"account": "OTHER"}, OrdRejReason.UNKNOWN_ACCOUNT, "unknown account 'OTHER'"),
        ({"strategy": "magic"}, OrdRejReason.UNSUPPORTED_ORDER_CHARACTERISTIC, "unknown strategy 'magic'"),
        ({"strategy": "twap"}, OrdRejReason.UNSUPPORTED_ORDER_CHARACTERISTIC, "duration_s is missing"),
        ({"reject": (OrdRejReason.OTHER, "because")}, OrdRejReason.OTHER, "because"),
    ],
)
def test_a_refused_order_names_what_was_wrong(changes: dict, reason: OrdRejReason, text: str) -> None:
    desk = Harness()
    (refused,) = desk.new(**changes)
    assert isinstance(refused, ParentRejected)
    assert refused.reason is reason and refused.text.startswith(text)


def test_a_duplicate_cl_ord_id_is_refused_and_the_first_order_goes_on() -> None:
    desk = Harness()
    desk.new("A")
    (refused,) = desk.new("A")
    assert refused.reason is OrdRejReason.DUPLICATE_ORDER
    assert len(desk.state.open_parents) == 1


def test_a_fill_told_twice_counts_once_and_an_overfill_is_alarmed() -> None:
    desk = Harness()
    child = of(desk.new(order_qty=100), ChildSubmitted)[0]
    desk.fill(child.child_id, 60, "E1")
    assert desk.fill(child.child_id, 60, "E1") == []
    facts = desk.fill(child.child_id, 60, "E2")
    assert ExecutionUnknown in kinds(facts)
    parent = next(iter(desk.state.parents.values()))
    # The client's order counts what the client gave, the rest is the house's.
    assert (parent.cum_qty, parent.excess_qty) == (100, 20) and parent.status is OrdStatus.FILLED


def amended(child: ChildSubmitted, exec_id: str, exec_ref_id: str, last_qty: int) -> AnyFact:
    """A correction to `last_qty`, 0: a bust."""
    ids = {"child_id": child.child_id, "venue": child.venue, "exec_id": exec_id, "exec_ref_id": exec_ref_id}
    if not last_qty:
        return ChildFillBusted(at_ns=1, **ids, last_qty=0, last_px=0)
    return ChildFillCorrected(at_ns=1, **ids, was_qty=0, was_px=0, last_qty=last_qty, last_px=100_0000)


def test_a_correction_beyond_the_clients_order_is_alarmed() -> None:
    desk = Harness()
    child = of(desk.new(order_qty=100), ChildSubmitted)[0]
    desk.fill(child.child_id, 100, "E1")
    (alarm,) = of(desk.report(amended(child, "E2", "E1", 130)), ExecutionUnknown)
    assert alarm.text == "corrected to 30 more than the client's order of 100"


def test_shares_in_excess_that_a_correction_gives_to_the_client_are_a_new_fill_to_him() -> None:
    desk = Harness()
    child = of(desk.new(order_qty=100), ChildSubmitted)[0]
    desk.fill(child.child_id, 100, "E1")
    desk.fill(child.child_id, 60, "E2")  # all of it in excess
    desk.report(amended(child, "E3", "E1", 0))
    (counted,) = of(desk.report(amended(child, "E4", "E2", 70)), ChildFillCorrected)
    parent = desk.state.parents[child.parent_id]
    assert (parent.cum_qty, parent.excess_qty) == (70, 0)
    client = ClientConfig(name="EMS1", begin_string="FIX.4.4", accounts=("ACC",))
    (report,) = reports(counted, parent, client)
    assert (report.exec_type, report.last_qty, report.exec_ref_id) == (ExecType.TRADE, 70, "")


def test_what_rests_is_what_is_left_however_it_came_to_be_less_or_more() -> None:
    desk = Harness()
    facts = desk.new(order_qty=1000, ord_type=OrdType.LIMIT, limit_px=100_0000)
    child = next(c for c in of(facts, ChildSubmitted) if c.horizon_ns)
    for report in (
        None,
        amended(child, "E2", "E1", 0),
        ChildReplaced(at_ns=1, child_id=child.child_id, order_qty=50, px=0),
        amended(child, "E4", "E3", 45),
        ChildCanceled(at_ns=1, child_id=child.child_id, text=""),
    ):
        if report is None:
            desk.fill(child.child_id, child.order_qty - 100, "E1")
        else:
            desk.report(report)
        children = [desk.state.children[child_id] for child_id in desk.open_children()]
        left = [c.leaves_qty for c in children if c.submitted.venue == child.venue and c.submitted.horizon_ns]
        assert desk.state.statistics.resting_qty(child.venue, child.symbol, child.side) == sum(left)
        if isinstance(report, ChildReplaced):
            desk.fill(child.child_id, 40, "E3")


def test_a_report_on_an_unknown_order_is_recorded_and_changes_nothing() -> None:
    desk = Harness()
    (disputed,) = desk.report(ChildCanceled(at_ns=1, child_id="X", text=""))
    assert isinstance(disputed, ExecutionUnknown) and "'X'" in disputed.text


def test_children_of_a_lost_venue_are_uncertain_and_settle_by_status() -> None:
    desk = Harness()
    facts = desk.new(order_qty=1000, ord_type=OrdType.LIMIT, limit_px=100_0000)
    child = next(c for c in of(facts, ChildSubmitted) if c.venue == "ARGO")
    facts = desk.commit(desk.engine.venue_down("ARGO", "gone", desk.now_ns))
    assert ChildUncertain in kinds(facts)
    assert desk.state.open_qty(child.parent_id) == 1000  # its quantity stays at risk
    desk.commit(desk.engine.venue_up("ARGO", desk.now_ns))
    status = ChildStatus(at_ns=desk.now_ns, child_id=child.child_id, ord_status=OrdStatus.REJECTED, cum_qty=0)
    facts = desk.report(status)
    assert kinds(facts)[:2] == [ChildStatus, ChildRejected]


def test_a_status_that_disagrees_is_a_dispute_and_the_child_stays_uncertain() -> None:
    desk = Harness()
    facts = desk.new(order_qty=1000, ord_type=OrdType.LIMIT, limit_px=100_0000)
    child = next(c for c in of(facts, ChildSubmitted) if c.venue == "ARGO")
    desk.commit(desk.engine.venue_down("ARGO", "gone", desk.now_ns))
    status = ChildStatus(at_ns=desk.now_ns, child_id=child.child_id, ord_status=OrdStatus.FILLED, cum_qty=500)
    disputed, alarm = desk.report(status)
    assert (disputed.child_id, disputed.missing_qty) == (child.child_id, 500)
    assert alarm.text == "venue says CumQty 500, counted 0: held until somebody settles it"  # it names no price
    desk.now_ns += 60 * SECOND_NS
    assert desk.report(status) == []  # said before
    assert desk.state.children[child.child_id].uncertain


def test_kill_switch_cancels_what_works_blocks_the_rest_and_lets_cancels_pass() -> None:
    desk = Harness()
    desk.new("A", order_qty=1000, ord_type=OrdType.LIMIT, limit_px=100_0000)
    facts = desk.commit(desk.engine.operator(SetKillSwitch("firm", "ops", "test"), desk.now_ns))
    assert {c.child_id for c in of(facts, ChildCancelRequested)} == set(desk.open_children())
    for child_id in desk.open_children():
        assert not of(desk.canceled(child_id), ChildSubmitted)
    (refused,) = desk.new("B")
    assert refused.text == "kill switch firm set by ops: test"
    assert ParentDone in kinds(desk.cancel("A", "C"))
    desk.commit(desk.engine.operator(ReleaseKillSwitch("firm", "ops"), desk.now_ns))
    assert ParentAccepted in kinds(desk.new("D"))


def test_the_gate_stops_a_child_and_says_which_limit() -> None:
    desk = Harness(limits=replace(LIMITS, max_child_qty=50))
    facts = desk.new(order_qty=100)
    (stopped,) = of(facts, ChildRiskRejected)
    assert stopped.text == "max_child_qty 50 exceeded: order_qty 100"
    assert not of(facts, ChildSubmitted)


def test_a_decision_that_sends_nothing_is_retried_ever_more_rarely() -> None:
    desk = Harness()
    desk.market.forget_venue("ARGO", desk.now_ns)
    desk.market.forget_venue("BRIG", desk.now_ns)
    desk.show_market()
    desk.new(order_qty=100)
    for child_id in desk.open_children():
        desk.market.forget_venue("ARGO", desk.now_ns)
        desk.market.forget_venue("BRIG", desk.now_ns)
        desk.canceled(child_id)
    decisions = [len(of(desk.pass_time(SECOND_NS), DecisionMade)) for _ in range(40)]
    assert sum(decisions) < 15
    desk.show_market()
    assert any(of(desk.pass_time(SECOND_NS), ChildSubmitted) for _ in range(10))


class EngineMachine(RuleBasedStateMachine):
    """Clients, venues, time and operators in any order."""

    parents = Bundle("parents")

    def __init__(self) -> None:
        super().__init__()
        self.desk = Harness()
        self.requests = 0
        self.execs = 0
        self.filled: Counter[str] = Counter()  # by parent, as the venues see it
        self.executions: list[tuple[str, int, str]] = []
        self.overfilled: set[str] = set()
        self.cum_qty: dict[str, int] = {}
        self.took_back = False

    def child(self, pick: int) -> str | None:
        children = list(self.desk.state.children)
        return children[pick % len(children)] if children else None

    @rule(
        target=parents,
        order_qty=st.integers(1, 30).map(lambda lots: lots * 100),
        limit=st.sampled_from([0, 100_0000, 100_0200]),
        twap=st.booleans(),
        side=st.sampled_from([Side.BUY, Side.SELL]),
        immediate=st.booleans(),
    )
    def new(self, order_qty: int, limit: int, twap: bool, side: Side, immediate: bool):
        self.requests += 1
        cl_ord_id = f"R{self.requests}"
        self.desk.new(
            cl_ord_id,
            order_qty=order_qty,
            side=side,
            ord_type=OrdType.LIMIT if limit else OrdType.MARKET,
            limit_px=limit,
            strategy="twap" if twap else "sweep",
            params={"duration_s": "20", "slices": "4"} if twap else {},
            time_in_force=TimeInForce.IMMEDIATE_OR_CANCEL if immediate and not twap else TimeInForce.DAY,
        )
        return multiple(cl_ord_id)

    @rule(orig=parents)
    def cancel(self, orig: str) -> None:
        self.requests += 1
        self.desk.cancel(orig, f"R{self.requests}")

    @rule(orig=parents, order_qty=st.integers(1, 40).map(lambda lots: lots * 100))
    def replace(self, orig: str, order_qty: int) -> None:
        self.requests += 1
        parent_id = self.desk.state.parent_by_cl_ord_id.get(("EMS1", orig))
        if parent_id is None:  # it was refused
            return
        accepted = self.desk.state.parents[parent_id].accepted
        self.desk.replace(
            orig, f"R{self.requests}", order_qty, side=accepted.side, ord_type=accepted.ord_type,
            limit_px=accepted.limit_px,
        )  # fmt: skip

    @rule(pick=st.integers(0, 10**6), what=st.sampled_from(["ack", "reject", "cancel", "cancel_reject"]))
    def report(self, pick: int, what: str) -> None:
        child_id = self.child(pick)
        if child_id is None:
            return
        now_ns = self.desk.now_ns
        match what:
            case "ack":
                self.desk.report(ChildAcknowledged(at_ns=now_ns, child_id=child_id, venue_order_id="V"))
            case "reject":
                self.desk.report(ChildRejected(at_ns=now_ns, child_id=child_id, reason=OrdRejReason.OTHER, text="no"))
            case "cancel":
                self.desk.canceled(child_id)
            case "cancel_reject":
                self.desk.report(
                    ChildCancelRejected(at_ns=now_ns, child_id=child_id, reason=CxlRejReason.TOO_LATE, text="")
                )

    @rule(pick=st.integers(0, 10**6), lots=st.integers(1, 40), px=st.sampled_from([100_0000, 100_0200]))
    def fill(self, pick: int, lots: int, px: int) -> None:
        child_id = self.child(pick)
        if child_id is None:
            return
        self.execs += 1
        child = self.desk.state.children[child_id]
        if child.cum_qty + lots * 100 > child.order_qty or not child.is_open:
            self.overfilled.add(child.submitted.parent_id)  # the venue's doing: real, but not ours to prevent
        self.executions.append((child_id, lots * 100, f"E{self.execs}"))
        self.filled[child.submitted.parent_id] += lots * 100
        self.desk.fill(child_id, lots * 100, f"E{self.execs}", px)

    @precondition(lambda self: self.executions)
    @rule(pick=st.integers(0, 10**6))
    def tell_again(self, pick: int) -> None:
        child_id, qty, exec_id = self.executions[pick % len(self.executions)]
        assert self.desk.fill(child_id, qty, exec_id) == []

    @precondition(lambda self: self.executions)
    @rule(pick=st.integers(0, 10**6), qty=st.integers(0, 40).map(lambda lots: lots * 100))
    def take_back(self, pick: int, qty: int) -> None:
        """A bust, or a correction to another quantity, of a fill or of its last correction."""
        child_id, _, exec_id = self.executions[pick % len(self.executions)]
        order = self.desk.state.children[child_id].submitted
        execution = self.desk.state.executions[order.venue, exec_id]
        if not qty and not execution.qty:
            return  # busted before
        self.execs += 1
        self.filled[order.parent_id] += qty - execution.qty
        self.took_back = True
        self.overfilled.add(order.parent_id)  # its children may rest already for what is taken back
        common = {"at_ns": 1, "child_id": child_id, "venue": order.venue, "exec_id": f"E{self.execs}"}
        if qty:
            self.desk.report(
                ChildFillCorrected(**common, exec_ref_id=exec_id, was_qty=0, was_px=0, last_qty=qty, last_px=100_0000)
            )
        else:
            self.desk.report(ChildFillBusted(**common, exec_ref_id=exec_id, last_qty=0, last_px=0))

    @rule(side=st.sampled_from([None, Side.BUY, Side.SELL]))
    def mass_cancel(self, side: Side | None) -> None:
        self.requests += 1
        command = MassCancel("EMS1", f"R{self.requests}", "7", side=side)
        facts = self.desk.commit(self.desk.engine.mass_cancel(command, self.desk.now_ns))
        answered = of(facts, MassCancelAnswered)
        assert [fact.affected for fact in answered] == [len(of(facts, ParentCancelRequested))]

    @precondition(lambda self: self.desk.state.open_parents)
    @rule(pick=st.integers(0, 10**6), order_qty=st.integers(0, 40).map(lambda lots: lots * 100))
    def operator(self, pick: int, order_qty: int) -> None:
        parent_ids = list(self.desk.state.open_parents)
        order_id = parent_ids[pick % len(parent_ids)]
        command = AmendOrder(order_id, "ops", "why", order_qty) if order_qty else CancelOrder(order_id, "ops", "why")
        if not self.desk.engine.refusal(command, self.desk.now_ns):
            self.desk.commit(self.desk.engine.operator(command, self.desk.now_ns))

    @rule(seconds=st.integers(0, 12))
    def pass_time(self, seconds: int) -> None:
        self.desk.pass_time(seconds * SECOND_NS)
        self.desk.show_market()

    @rule(bid=st.sampled_from([99_9900, 100_0000, 100_0100]), spread=st.sampled_from([100, 200, 500]))
    def market(self, bid: int, spread: int) -> None:
        self.desk.show_market(bid, bid + spread)

    @rule(venue=st.sampled_from(sorted(VENUES)), up=st.booleans())
    def connection(self, venue: str, up: bool) -> None:
        desk = self.desk
        if up and venue not in desk.state.venues_up:
            desk.commit(desk.engine.venue_up(venue, desk.now_ns))
            for child in desk.engine.children_at(venue):
                status = ChildStatus(
                    at_ns=desk.now_ns, child_id=child.child_id, ord_status=OrdStatus.NEW, cum_qty=child.cum_qty
                )
                desk.report(status)
        elif not up and venue in desk.state.venues_up:
            desk.commit(desk.engine.venue_down(venue, "cut", desk.now_ns))

    @rule(scope=st.sampled_from(["firm", "venue:ARGO", "symbol:ALFA"]), release=st.booleans())
    def kill(self, scope: str, release: bool) -> None:
        command = ReleaseKillSwitch(scope, "ops") if release else SetKillSwitch(scope, "ops", "drill")
        self.desk.commit(self.desk.engine.operator(command, self.desk.now_ns))

    @invariant()
    def children_never_exceed_the_parent(self) -> None:
        state = self.desk.state
        for parent_id, parent in state.parents.items():
            if parent_id not in self.overfilled:
                assert parent.cum_qty + state.open_qty(parent_id) <= parent.order_qty

    @invariant()
    def what_is_filled_never_falls_but_by_bust_or_correction(self) -> None:
        for parent_id, parent in self.desk.state.parents.items():
            assert self.took_back or parent.cum_qty >= self.cum_qty.get(parent_id, 0)
            self.cum_qty[parent_id] = parent.cum_qty
        self.took_back = False

    @invariant()
    def every_fill_is_counted_once(self) -> None:
        for parent_id, parent in self.desk.state.parents.items():
            assert parent.cum_qty + parent.excess_qty == self.filled[parent_id]
            assert parent.cum_qty <= parent.order_qty or parent.excess_qty == 0

    @invariant()
    def a_done_parent_has_no_open_children(self) -> None:
        state = self.desk.state
        for parent_id, parent in state.parents.items():
            if parent.is_open:
                assert parent_id in state.open_parents
                assert parent.order_qty == parent.cum_qty + parent.leaves_qty
            else:
                assert parent_id not in state.open_parents
                assert parent.leaves_qty == 0
                assert not state.open_children[parent_id]
                assert parent.ord_status in {*FINAL, OrdStatus.DONE_FOR_DAY}

    @invariant()
    def recorded_facts_give_the_same_state(self) -> None:
        replayed = State()
        for fact in self.desk.facts:
            replayed.apply(fact)
        assert _digest(replayed) == _digest(self.desk.state)


def _digest(state: State) -> list:
    return [
        [(p.parent_id, p.ord_status, p.cum_qty, p.notional_px, p.version, p.cl_ord_id) for p in state.parents.values()],
        [(c.child_id, c.ord_status, c.cum_qty, c.uncertain) for c in state.children.values()],
        sorted(state.executions),
        sorted(state.venues_up),
        sorted(state.kill_switch.scopes),
        state.exposure.gross_px("ACC"),
    ]


EngineMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
TestEngine = EngineMachine.TestCase


def test_a_venue_that_refuses_to_cancel_is_asked_again_later_and_not_at_once() -> None:
    desk = Harness()
    facts = desk.new("A", order_qty=1000, ord_type=OrdType.LIMIT, limit_px=100_0000)
    child_id = of(facts, ChildSubmitted)[0].child_id
    (asked,) = [fact for fact in of(desk.cancel("A", "B"), ChildCancelRequested) if fact.child_id == child_id]
    busy = ChildCancelRejected(
        at_ns=desk.now_ns, child_id=child_id, reason=CxlRejReason.OTHER, text="busy", ord_status=OrdStatus.NEW
    )
    assert kinds(desk.report(busy)) == [ChildCancelRejected]
    assert not of(desk.pass_time(CANCEL_RETRY_NS - 1), ChildCancelRequested)
    again = [fact for fact in of(desk.pass_time(1), ChildCancelRequested) if fact.child_id == child_id]
    assert [fact.reason for fact in again] == [asked.reason] and again[0].cancel_id != asked.cancel_id


def test_a_cancel_that_comes_too_late_for_an_end_that_we_never_heard_of_makes_the_child_uncertain() -> None:
    desk = Harness()
    facts = desk.new("A", order_qty=1000, ord_type=OrdType.LIMIT, limit_px=100_0000)
    child_id = of(facts, ChildSubmitted)[0].child_id
    desk.cancel("A", "B")
    late = ChildCancelRejected(
        at_ns=desk.now_ns, child_id=child_id, reason=CxlRejReason.TOO_LATE, text="", ord_status=OrdStatus.FILLED
    )
    assert kinds(desk.report(late)) == [ChildCancelRejected, ChildUncertain]
    desk.pass_time(10 * CANCEL_RETRY_NS)
    assert desk.state.children[child_id].uncertain
    assert len([fact for fact in of(desk.facts, ChildCancelRequested) if fact.child_id == child_id]) == 1
