"""Facts of a journal, written short: one decision with its candidates, and what became of each child."""

import numpy as np

from domain.facts import CandidateRecord, ChildSubmitted, DecisionMade
from domain.fields import Action, Side

SECOND = 1_000_000_000
T0 = 1_700_000_000 * SECOND
WIDTH = 3


def candidate(venue: str, action: Action = Action.POST, fill_probability: float = 0.4) -> CandidateRecord:
    return CandidateRecord(venue, action, 1_000_000, 500, fill_probability, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 100, "")


def features(candidates: int, first: float = 0.0, width: int = WIDTH) -> np.ndarray:
    """Each row differs: first, first + 0.1, ... with a missing value at the end of the first row."""
    matrix = np.float32(first) + np.arange(candidates * width, dtype=np.float32).reshape(candidates, width) / 10
    matrix[0, -1] = np.nan
    return matrix


def decision(
    candidates: list[CandidateRecord], matrix: np.ndarray, decision_id: int = 1, at_s: float = 0, schema: str = "s1"
) -> DecisionMade:
    return DecisionMade(
        at_ns=T0 + int(at_s * SECOND),
        decision_id=decision_id,
        parent_id="P1",
        symbol="ABC",
        slice_qty=100,
        urgency=0.5,
        horizon_ns=10 * SECOND,
        bid_px=999_900,
        ask_px=1_000_100,
        model_id="prior",
        schema_hash=schema,
        features=matrix.astype("<f4").tobytes(),
        candidates=candidates,
        elapsed_ns=0,
    )


def child(
    child_id: str = "C1",
    index: int = 0,
    venue: str = "LIT1",
    horizon_s: float = 10,
    decision_id: int = 1,
    at_s: float = 0,
    parent_id: str = "P1",
    qty: int = 100,
    side: Side = Side.BUY,
) -> ChildSubmitted:
    return ChildSubmitted(
        at_ns=T0 + int(at_s * SECOND),
        child_id=child_id,
        parent_id=parent_id,
        decision_id=decision_id,
        candidate=index,
        venue=venue,
        account="A",
        symbol="ABC",
        side=side,
        order_qty=qty,
        action=Action.POST if horizon_s else Action.TAKE,
        px=1_000_000,
        min_qty=0,
        quote_id="",
        horizon_ns=int(horizon_s * SECOND),
    )
