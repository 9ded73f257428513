"""An order's story is told from its facts alone, and each candidate says what came of it or why not."""

from collections.abc import Iterable

import pytest
from rich.console import Console

from domain import facts
from domain.fields import (
    Action,
    CxlRejReason,
    CxlRejResponseTo,
    LastLiquidityInd,
    OrdRejReason,
    OrdStatus,
    OrdType,
    Side,
    TimeInForce,
)
from service.explain import UnknownOrder, explain

S = 1_000_000_000
T0 = 1_800_000_000 * S  # 2027-01-15 08:00:00 UTC


def accepted(parent_id: str = "P1", cl_ord_id: str = "A1", client: str = "EMS1") -> facts.ParentAccepted:
    return facts.ParentAccepted(
        at_ns=T0,
        parent_id=parent_id,
        client=client,
        cl_ord_id=cl_ord_id,
        account="ACC1",
        symbol="ALFA",
        side=Side.BUY,
        order_qty=1000,
        ord_type=OrdType.LIMIT,
        limit_px=250500,
        time_in_force=TimeInForce.DAY,
        strategy="twap",
        params={"slices": 6, "duration_s": 60},
        arrival_mid2_px=500000,
        tape_qty=0,
        tape_notional_px=0,
    )


def candidate(venue: str, action: Action, px: int, cost_bps: float, qty: int, note: str = "") -> facts.CandidateRecord:
    return facts.CandidateRecord(
        venue=venue,
        action=action,
        px=px,
        max_qty=900,
        fill_probability=0.625,
        price_bps=-1.5,
        fee_bps=0.25,
        markout_bps=0.75,
        no_fill_bps=2.5,
        cost_bps=cost_bps,
        propensity=1.0,
        chosen_qty=qty,
        note=note,
    )


def decision(decision_id: int, at_ns: int, candidates: list[facts.CandidateRecord]) -> facts.DecisionMade:
    return facts.DecisionMade(
        at_ns=at_ns,
        decision_id=decision_id,
        parent_id="P1",
        symbol="ALFA",
        slice_qty=600,
        urgency=0.5,
        horizon_ns=S,
        bid_px=249900,
        ask_px=250100,
        model_id="prior",
        schema_hash="h",
        features=b"",
        candidates=candidates,
        elapsed_ns=0,
    )


def submitted(child_id: str, venue: str, index: int, qty: int, action: Action, px: int) -> facts.ChildSubmitted:
    return facts.ChildSubmitted(
        at_ns=T0 + S,
        child_id=child_id,
        parent_id="P1",
        decision_id=1,
        candidate=index,
        venue=venue,
        account="ACC1",
        symbol="ALFA",
        side=Side.BUY,
        order_qty=qty,
        action=action,
        px=px,
        min_qty=0,
        quote_id="",
        horizon_ns=S,
    )


def filled(child_id: str, venue: str, qty: int, px: int) -> facts.ChildFilled:
    return facts.ChildFilled(
        at_ns=T0 + 2 * S,
        child_id=child_id,
        venue=venue,
        exec_id=f"{child_id}-{qty}",
        last_qty=qty,
        last_px=px,
        liquidity=LastLiquidityInd.REMOVED,
    )


STORY: list[facts.AnyFact] = [
    accepted(),
    decision(
        1,
        T0 + S,
        [
            candidate("BRIG", Action.POST, 249900, 3.0, 0, "costs more"),
            candidate("ARGO", Action.TAKE, 250100, 1.0, 300),
            candidate("DUSK", Action.MID_PEG, 250500, 2.0, 200),
            candidate("FORD", Action.TAKE_QUOTE, 250200, 2.5, 100),
            candidate("CLIP", Action.IMPROVE, 250000, 2.75, 100),
            candidate("EBBT", Action.MID_PEG, 250000, 4.0, 100, "[reduced]"),
        ],
    ),
    submitted("C1", "ARGO", 1, 300, Action.TAKE, 250100),
    submitted("C2", "DUSK", 2, 200, Action.MID_PEG, 250500),
    submitted("C3", "FORD", 3, 100, Action.TAKE_QUOTE, 250200),
    facts.ChildRiskRejected(
        at_ns=T0 + S,
        parent_id="P1",
        decision_id=1,
        venue="CLIP",
        symbol="ALFA",
        order_qty=100,
        px=250000,
        limit="price_collar_bps",
        text="[collar] 600 bps exceeds 500",
    ),
    submitted("C4", "EBBT", 5, 100, Action.MID_PEG, 250000),
    facts.ChildAcknowledged(at_ns=T0 + S, child_id="C1", venue_order_id="V1"),
    filled("C1", "ARGO", 200, 250100),
    filled("C1", "ARGO", 100, 250000),
    filled("C2", "DUSK", 50, 250000),
    facts.ChildRejected(at_ns=T0 + 2 * S, child_id="C3", reason=OrdRejReason.OTHER, text="last look: price moved"),
    facts.ChildCancelRequested(at_ns=T0 + 3 * S, child_id="C2", cancel_id="X2", reason="horizon"),
    facts.ChildCanceled(at_ns=T0 + 3 * S, child_id="C2", text=""),
    facts.ParentReplaceRequested(
        at_ns=T0 + 4 * S, parent_id="P1", cl_ord_id="A2", order_qty=500, limit_px=250400, params={}
    ),
    facts.ParentReplaced(at_ns=T0 + 5 * S, parent_id="P1", cl_ord_id="A2", order_qty=500, limit_px=250400, params={}),
    decision(2, T0 + 6 * S, []),
    facts.ParentCancelRequested(at_ns=T0 + 7 * S, parent_id="P1", cl_ord_id="A3"),
    facts.ParentRequestRejected(
        at_ns=T0 + 8 * S,
        parent_id="P1",
        client="EMS1",
        cl_ord_id="A4",
        orig_cl_ord_id="A2",
        ord_status=OrdStatus.PENDING_CANCEL,
        response_to=CxlRejResponseTo.ORDER_CANCEL_REQUEST,
        reason=CxlRejReason.ALREADY_PENDING,
        text="a cancel is pending",
    ),
    facts.ParentDone(
        at_ns=T0 + 9 * S,
        parent_id="P1",
        ord_status=OrdStatus.CANCELED,
        cl_ord_id="A3",
        text="",
        tape_qty=0,
        tape_notional_px=0,
    ),
]


def told(story: Iterable[facts.AnyFact], cl_ord_id: str) -> list[str]:
    """The lines, with runs of blanks as one."""
    console = Console(width=180, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(explain(story, cl_ord_id))
    return [" ".join(line.split()) for line in capture.get().splitlines() if line.strip()]


def test_the_story() -> None:
    lines = told(STORY, "A1")
    assert lines[:8] == [
        "EMS1 A3 (P1): buy 500 ALFA, filled 350 @ 25.005714, canceled",
        "08:00:00.000 EMS1 A1 accepted: buy 1000 ALFA limit 25.05 for ACC1, twap, duration_s=60, slices=6, mid 25.00",
        "08:00:04.000 A2 asks to replace: 500 limit 25.04",
        "08:00:05.000 replaced, is now A2: 500 limit 25.04",
        "08:00:07.000 A3 asks to cancel",
        "08:00:08.000 A4 is refused: a cancel is pending",
        "08:00:09.000 done: canceled",
        "Fills by venue",
    ]
    assert "ARGO 2 300 25.006667 +2.67" in lines
    assert "DUSK 1 50 25.00 +0.00" in lines
    assert lines[-1] == (
        "Decision 2 at 08:00:06.000: 600 shares, urgency 0.50, ALFA 24.99 / 25.01, model prior: nothing could be done"
    )


def test_the_candidates_in_order_of_cost_with_what_came_of_them() -> None:
    lines = told(STORY, "A1")
    start = lines.index("Decision 1 at 08:00:01.000: 600 shares, urgency 0.50, ALFA 24.99 / 25.01, model prior")
    common = "900 0.625 1.00 -1.50 0.25 0.75 2.50"
    assert [line for line in lines[start + 2 :] if common in line] == [
        f"ARGO take 25.01 {common} 1.00 300 filled 300 @ 25.006667",
        f"DUSK mid_peg 25.05 {common} 2.00 200 filled 50 @ 25.00, 150 canceled (horizon)",
        f"FORD take_quote 25.02 {common} 2.50 100 rejected: last look: price moved",
        f"CLIP improve 25.00 {common} 2.75 100 stopped by risk: [collar] 600 bps exceeds 500",
        f"BRIG post 24.99 {common} 3.00 costs more",
        f"EBBT mid_peg 25.00 {common} 4.00 100 100 open; [reduced]",
    ]


@pytest.mark.parametrize("cl_ord_id", ["A1", "A2", "A3", "A4", "P1"])
def test_any_id_of_the_order_finds_it(cl_ord_id: str) -> None:
    assert told(STORY, cl_ord_id) == told(STORY, "A1")


@pytest.mark.parametrize("story", [STORY, []])
def test_an_unknown_id_says_so(story: list[facts.AnyFact]) -> None:
    with pytest.raises(UnknownOrder, match=r"no order with ClOrdID\(11\) 'A9' in the journal"):
        explain(story, "A9")


def test_two_clients_may_use_the_same_id() -> None:
    lines = told([*STORY, accepted("P2", "A1", "EMS2"), accepted("P3", "B1")], "A1")
    assert sum(" accepted: " in line for line in lines) == 2
    assert "EMS2 A1 (P2): buy 1000 ALFA, filled 0, new" in lines


def test_a_refused_order_says_why() -> None:
    refused = facts.ParentRejected(
        at_ns=T0,
        parent_id="P7",
        client="EMS1",
        cl_ord_id="R1",
        account="ACC1",
        symbol="ALFA",
        side=Side.SELL_SHORT,
        order_qty=9,
        reason=OrdRejReason.ORDER_EXCEEDS_LIMIT,
        text="order_qty 9 exceeds 5",
        limit="max_order_qty",
    )
    assert told([refused], "R1") == [
        "08:00:00.000 EMS1 R1 refused: sell short 9 ALFA: order_qty 9 exceeds 5 [max_order_qty]"
    ]


def test_a_refused_cancel_of_an_unknown_order_says_why() -> None:
    refused = facts.ParentRequestRejected(
        at_ns=T0,
        parent_id="",
        client="EMS1",
        cl_ord_id="X1",
        orig_cl_ord_id="nope",
        ord_status=OrdStatus.REJECTED,
        response_to=CxlRejResponseTo.ORDER_CANCEL_REQUEST,
        reason=CxlRejReason.UNKNOWN_ORDER,
        text="no order nope",
    )
    assert told([refused], "X1") == ["08:00:00.000 EMS1 X1: request refused: no order nope"]


def test_a_late_fill_after_the_end_is_told_too() -> None:
    assert told([*STORY, filled("C2", "DUSK", 100, 250000)], "A1")[0].endswith("filled 450 @ 25.004444, canceled")
    assert told([*STORY, accepted("P2", "B1"), filled("C2", "DUSK", 100, 250000)], "B1")
