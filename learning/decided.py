"""Decisions out of the archive's rows, what each of their children turned out to cost, and what another model would do.

A child's cost, bps of the mid at its decision a share, is what the ranking meant to predict:

    filled share      price against that mid + fee + markout 10 s after the fill
    unfilled share    the no_fill cost of its candidate: half the spread, a taker fee, the price of waiting

Only decisions in which something could be tried are compared: elsewhere whatever the logged ranking did not choose has
no chance, and nothing can be said of it. The other model scores the features as they were served; price, fee, no_fill
and filled fraction are facts of the candidate and stay. The corrections for what the venue did lately (`router.health`)
are of what was said, so the other model has those that its own words would have led to. Then today's allocation shares
out the slice, with the room for exploration that the decision had. The same allocation, given the recorded costs, must
arrive at the recorded propensities: a decision where it does not was made by other rules or another config and is left
out.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from domain.fields import Action
from learning.labels import censoring_weights
from learning.off_policy import CLIP, Children, Floats, Wanted
from router.allocation import Option, options, propensities
from router.candidates import DARK, DEALER, LIT, MID_PEG, TAKE_QUOTE, Candidate
from router.doubts import NOT_BELIEVED
from router.exploration import Room
from router.features import FEATURES
from router.health import FILLS_ASSUMED, Correction, Recent, corrected
from router.model import FillModel
from router.policy import ExecutionPolicy
from router.scoring import Score
from router.strategies import Slice

Row = dict[str, Any]
_RECENT_MARKOUT = FEATURES.index("markout_bps")
_FOLDS = 5
_RIDGE = 3.0
_EXACT = 1e-9


@dataclass(slots=True)
class Child:
    candidate: int
    qty: int
    cost_bps: float
    known: bool
    settled_ns: int


@dataclass(slots=True)
class Decided:
    """One decision as it was served, with the children that it sent."""

    at_ns: int
    parent_id: str
    symbol: str
    wanted: Slice
    room: Room
    schema_hash: str
    candidates: list[Candidate]
    scores: list[Score]
    said: list[float]  # P(fill), before the corrections
    corrections: list[Correction]
    propensities: list[float]
    tails: dict[int, list[float]]  # router.dark
    features: NDArray[np.float32]
    children: list[Child] = field(default_factory=list)


@dataclass
class Read:
    """`left_out`: why -> how many decisions."""

    decided: list[Decided] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=lambda: defaultdict(int))


def read(tables: Mapping[str, Iterable[Row]], policy: ExecutionPolicy, lot_qty: Mapping[str, int]) -> Read:
    """Of rows of decisions, candidates, children, outcomes and fills, each with its `symbol`."""
    found = Read()
    candidates, children = defaultdict(list), defaultdict(list)
    for row in tables["candidates"]:
        candidates[row["epoch"], row["decision_id"]].append(row)
    fills = defaultdict(list)
    for row in tables["fills"]:
        fills[row["child_id"]].append(row)
    outcomes = {row["child_id"]: row for row in tables["outcomes"]}
    for row in tables["children"]:
        children[row["epoch"], row["decision_id"]].append(row)
    for row in tables["decisions"]:
        if not row.get("exploration"):
            earlier = row.get("exploration") is None
            why = "recorded by an earlier version" if earlier else "nothing could be tried"
            found.left_out[why] += 1
            continue
        key = row["epoch"], row["decision_id"]
        one = _decided(row, sorted(candidates[key], key=lambda c: c["candidate"]))
        lot = lot_qty[one.symbol]
        recorded = propensities(options(one.wanted, one.candidates, one.scores, policy, lot, one.room, one.tails))
        if not np.allclose(recorded, one.propensities, rtol=0.0, atol=_EXACT):
            found.left_out["other propensities than this config gives"] += 1
            continue
        mid_px = (row["bid_px"] + row["ask_px"]) / 2
        for child in children[key]:
            score = one.scores[child["candidate"]]
            one.children.append(_child(child, outcomes[child["child_id"]], fills[child["child_id"]], score, mid_px))
        found.decided.append(one)
    found.decided.sort(key=lambda one: one.at_ns)
    return found


def _decided(row: Row, rows: list[Row]) -> Decided:
    return Decided(
        at_ns=row["at_ns"],
        parent_id=row["parent_id"],
        symbol=row["symbol"],
        wanted=Slice(row["slice_qty"], row["urgency"], True),
        room=Room(row["exploration"], row["room_qty"], row["room_bps"]),
        schema_hash=row["schema_hash"],
        candidates=[_candidate(one) for one in rows],
        scores=[msgspec.convert({name: one[name] for name in Score.__struct_fields__}, Score) for one in rows],
        said=[one["fill_probability"] for one in rows],
        corrections=[Correction(one["fill_factor"], one["markout_shift_bps"]) for one in rows],
        propensities=[one["propensity"] for one in rows],
        tails={i: list(one["dark_tails"]) for i, one in enumerate(rows) if one.get("dark_tails")},
        features=np.array([one["features"] for one in rows], dtype=np.float32),
    )


def _candidate(row: Row) -> Candidate:
    action = Action(row["action"])
    kind = DARK if action is MID_PEG else DEALER if action is TAKE_QUOTE else LIT
    return Candidate(
        row["venue"],
        kind,
        action,
        row["px"],
        row["max_qty"],
        row["min_qty"],
        horizon_ns=row["horizon_ns"],
        doubt=row["note"] if row["note"].startswith(NOT_BELIEVED) else "",
    )


def _child(row: Row, outcome: Row, fills: list[Row], score: Score, mid_px: float) -> Child:
    sign, total = 1 if row["side"] == "buy" else -1, 0.0
    for fill in fills:
        markout_bps = fill["markout_10s_bps"] if fill["markout_10s_bps"] is not None else score.markout_bps
        price_bps = sign * (fill["last_px"] - mid_px) / mid_px * 1e4
        total += fill["last_qty"] * (price_bps + score.fee_bps + markout_bps)
    qty = row["order_qty"]
    total += max(qty - sum(fill["last_qty"] for fill in fills), 0) * score.no_fill_bps
    return Child(row["candidate"], qty, total / qty, outcome["known"], outcome["settled_ns"])


class Said:
    """What the two models said of the latest orders of each venue and action."""

    def __init__(self) -> None:
        self._recent: dict[tuple[str, Action], tuple[Recent, Recent]] = defaultdict(lambda: (Recent(), Recent()))

    def corrections(self, one: Decided) -> list[Correction]:
        """Those of the decision, as they would be had the other model spoken."""
        found = []
        for candidate, logged in zip(one.candidates, one.corrections, strict=True):
            theirs, mine = (
                recent.said * recent.kept(one.at_ns) + FILLS_ASSUMED
                for recent in self._recent[candidate.venue, candidate.action]
            )
            found.append(logged._replace(fill_factor=logged.fill_factor * theirs / mine))
        return found

    def apply(self, one: Decided, predicted: Sequence[float]) -> None:
        for child in one.children:
            candidate = one.candidates[child.candidate]
            theirs, mine = self._recent[candidate.venue, candidate.action]
            theirs.apply_order(one.said[child.candidate], False, one.at_ns)
            mine.apply_order(predicted[child.candidate], False, one.at_ns)


def scored(one: Decided, model: FillModel, said: Said) -> list[Score]:
    """The candidates' scores by another model; decisions are to be asked for in their order."""
    horizons_ns = np.array([candidate.horizon_ns for candidate in one.candidates], dtype=np.int64)
    predicted, markouts = model.predict(one.features, horizons_ns)
    said_bps = None if markouts is None else markouts.tolist()
    probabilities, corrected_bps = corrected(said.corrections(one), predicted.tolist(), said_bps)
    said.apply(one, predicted.tolist())
    markouts_bps = one.features[:, _RECENT_MARKOUT].tolist() if corrected_bps is None else corrected_bps
    found = []
    for score, probability, markout_bps in zip(one.scores, probabilities, markouts_bps, strict=True):
        expected = probability * score.filled_fraction
        cost_bps = expected * (score.price_bps + score.fee_bps + markout_bps) + (1.0 - expected) * score.no_fill_bps
        found.append(msgspec.structs.replace(score, markout_bps=markout_bps, cost_bps=cost_bps))
    return found


def target(one: Decided, scores: list[Score], policy: ExecutionPolicy, lot_qty: int) -> tuple[Floats, Floats]:
    """For each candidate the probability that those scores send anything there, and the mean shares that they send."""
    found: list[Option] = options(one.wanted, one.candidates, scores, policy, lot_qty, one.room, one.tails)
    mean = sum(option.probability * np.array(option.filling.qtys, dtype=np.float64) for option in found)
    return np.array(propensities(found)), np.asarray(mean)


def compared(
    decided: list[Decided],
    model: FillModel,
    policy: ExecutionPolicy,
    lot_qty: Mapping[str, int],
    block: NDArray[np.intp],
) -> tuple[Children, Wanted]:
    """The arrays of learning.off_policy.evaluate; `block` numbers the stretch of time of each decision."""
    said = Said()
    targets = [target(one, scored(one, model, said), policy, lot_qty[one.symbol]) for one in decided]
    number = np.repeat(np.arange(len(decided)), [len(one.children) for one in decided])
    children = [child for one in decided for child in one.children]
    spot = np.array([child.candidate for child in children], dtype=np.intp)
    weight = _weights(decided, children, number)
    logged = np.array([decided[n].propensities[c] for n, c in zip(number, spot, strict=True)])
    chance = np.array([targets[n][0][c] for n, c in zip(number, spot, strict=True)])
    shares = np.array([targets[n][1][c] for n, c in zip(number, spot, strict=True)])
    qty = np.divide(shares, chance, out=np.zeros(len(children)), where=chance > 0)
    cost = np.array([child.cost_bps for child in children])
    sizes = np.array([child.qty for child in children], dtype=np.float64)
    rows = _Regressors(decided)
    asked = [(n, c) for n, (_, mean) in enumerate(targets) for c in np.flatnonzero(mean)]
    of, at = (np.array(part, dtype=np.intp) for part in zip(*asked, strict=True))
    mean = np.array([targets[n][1][c] for n, c in asked])
    wants = np.array([targets[n][0][c] for n, c in asked])
    expected_sent, expected_asked = np.zeros(len(children)), np.zeros(len(asked))
    folds = block % _FOLDS
    for fold in range(_FOLDS):
        learns = (folds[number] != fold) & (weight > 0)
        coefficients = _fitted(rows(number[learns], spot[learns], sizes[learns]), cost[learns], sizes[learns])
        mine, theirs = folds[number] == fold, folds[of] == fold
        expected_sent[mine] = rows(number[mine], spot[mine], sizes[mine]) @ coefficients
        expected_asked[theirs] = rows(of[theirs], at[theirs], (mean / wants)[theirs]) @ coefficients
    had = np.array([decided[n].propensities[c] for n, c in asked])
    count = len(decided)
    sent = Children(cost, logged, chance * weight, qty, expected_sent, block[number])
    wanted = Wanted(
        np.bincount(of, mean, count),
        np.bincount(of, mean * expected_asked, count),
        np.bincount(of, mean * np.maximum(1.0 - CLIP * had / wants, 0.0), count),
        block,
    )
    return sent, wanted


def _weights(decided: list[Decided], children: list[Child], number: NDArray[np.intp]) -> Floats:
    """So that children with a known outcome stand for those that were called back before it."""
    immediate = np.array(
        [not decided[n].candidates[c.candidate].horizon_ns for n, c in zip(number, children, strict=True)],
        dtype=np.bool_,
    )
    return censoring_weights(
        np.array([child.settled_ns for child in children], dtype=np.int64),
        np.array([child.known for child in children], dtype=np.bool_),
        immediate,
    )


class _Regressors:
    """Rows of the cost model: what the ranking expected, its parts, the size, and venue with action."""

    def __init__(self, decided: list[Decided]) -> None:
        self.starts = np.cumsum([0, *(len(one.candidates) for one in decided)])
        scores = [score for one in decided for score in one.scores]
        self.slices = np.array([one.wanted.qty for one in decided], dtype=np.float64)
        self.expected = np.array([[s.cost_bps, s.price_bps + s.fee_bps, s.markout_bps, s.no_fill_bps] for s in scores])
        names = [f"{c.venue} {c.action}" for one in decided for c in one.candidates]
        kinds, self.kind = np.unique(names, return_inverse=True)
        self.kinds = len(kinds)

    def __call__(self, decision: NDArray[np.intp], candidate: NDArray[np.intp], qty: Floats) -> Floats:
        at = self.starts[decision] + candidate
        one_hot = np.zeros((len(at), self.kinds))
        one_hot[np.arange(len(at)), self.kind[at]] = 1.0
        size = np.log(np.maximum(qty, 1.0) / self.slices[decision])
        return np.column_stack([np.ones(len(at)), self.expected[at], size, one_hot])


def _fitted(rows: Floats, cost: Floats, qty: Floats) -> Floats:
    """Ridge, weighted by shares, so that what is larger counts more; the intercept is free."""
    weight = np.sqrt(qty / qty.mean())[:, None]
    penalty = np.diag([1e-9, *[_RIDGE] * (rows.shape[1] - 1)])
    weighted = rows * weight
    return np.linalg.solve(weighted.T @ weighted + penalty, weighted.T @ (cost * weight[:, 0]))
