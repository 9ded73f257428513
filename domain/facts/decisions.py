"""Decisions, and the models that they were made with."""

import msgspec

from domain.facts.fact import Fact
from domain.fields import Action


class CandidateRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One thing that could have been done, what it was expected to cost, and what was done with it.

    Costs are bps of the mid, positive is worse; `cost_bps` is what candidates are ranked by.
    """

    venue: str
    action: Action
    px: int  # the limit sent; for a midpoint peg the limit of the peg
    max_qty: int  # what this candidate could take at most
    fill_probability: float  # within the horizon of the decision
    price_bps: float  # price against mid when filled
    fee_bps: float
    markout_bps: float  # expected adverse move after a fill
    no_fill_bps: float  # cost of what does not fill
    cost_bps: float
    propensity: float  # probability with which it was chosen
    chosen_qty: int
    note: str  # why it got nothing, "" where it got something
    filled_fraction: float = 1.0  # of its quantity, that such an order recently filled if it filled at all
    min_qty: int = 0  # MinQty(110) that it needs
    horizon_ns: int = 0  # how long it may rest, 0: immediate-or-cancel
    # What the venue's latest orders make of what was said (`router.health`): P(fill) counts times this, and of
    # `markout_bps` so much is theirs.
    fill_factor: float = 1.0
    markout_shift_bps: float = 0.0
    # Of a dark candidate, where the decision might have tried something: P(at least 100, 200, ... shares are there).
    dark_tails: list[float] = []


class DecisionMade(Fact, frozen=True):
    """The record of one routing decision: training row and best-execution evidence.

    `features` is float32 little-endian, [candidates, features of the schema], exactly as the model saw it.
    """

    decision_id: int
    parent_id: str
    symbol: str
    slice_qty: int
    urgency: float
    horizon_ns: int  # how long passive children of this decision may rest
    bid_px: int
    ask_px: int
    model_id: str  # "prior" without a model
    schema_hash: str
    features: bytes
    candidates: list[CandidateRecord]
    elapsed_ns: int  # time spent deciding, 0 in virtual time
    # Exploration: the probability with which it was tried, the shares and the expected cost beyond the best candidate
    # (bps of the slice) that it might have used, and what it used. All 0 where nothing could be tried.
    exploration: float = 0.0
    room_qty: int = 0
    room_bps: float = 0.0
    explored_qty: int = 0
    explored_bps: float = 0.0
    predicted_ns: int = 0  # of the processor, for the model's answer; 0 in virtual time


class ModelLoaded(Fact, frozen=True):
    """The model that scores from here on; "prior" where there is none, and `text` says why."""

    model_id: str
    text: str


class ModelStaged(Fact, frozen=True):
    """A model is on trial beside `reference_id` from here on: "shadow", "canary" with a share of parents, "champion".

    `approved_by` is the person who allowed it, where the config asks for one.
    """

    model_id: str
    stage: str
    share: float
    reference_id: str
    by: str
    approved_by: str = ""
    text: str = ""


class ModelRolledBack(Fact, frozen=True):
    """The model on trial is gone, and `reference_id` serves every parent. `by` is "" where its evidence decided it."""

    model_id: str
    reference_id: str
    by: str
    text: str


class ModelFailed(Fact, frozen=True):
    """A model gave no usable answer for a decision; the reference answered in its place."""

    model_id: str
    decision_id: int
    text: str


class DecisionShadowed(Fact, frozen=True):
    """What the model that did not choose said of the decision just made, in the order of its candidates."""

    decision_id: int
    model_id: str
    fill_probabilities: list[float]
    costs_bps: list[float]
    elapsed_ns: int  # of the processor, for its answer; 0 in virtual time


class LatencyMeasured(Fact, frozen=True):
    """From an order's bytes in to its first child's bytes handed to the socket, journal write included."""

    parent_id: str
    order_in_to_child_out_ns: int


DecisionFact = (
    DecisionMade | ModelLoaded | ModelStaged | ModelRolledBack | ModelFailed | DecisionShadowed | LatencyMeasured
)
