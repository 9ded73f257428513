"""Other ways to rank candidates than by the learned cost, for a desk that wants to know what learning is worth.

    learned  expected cost with the P(fill) of the model that serves
    table    expected cost with the recent fill rate of the venue and the action (`VenueStatistics`): no model
    static   all-in price: what is paid against the mid plus the fee, as if every order filled; the larger displayed
             size first where that is equal. What rests joins the best price; a venue whose own best is behind it
             comes after all that are at it. No outcome ever changes it.
    random   a number drawn for each candidate from the seed and the number of the decision

Candidates, strategies, policy and risk checks are the same for all. But for "learned" the decision records the ranking
in place of a model, and the cost of a candidate is what the ranking went by: with "random" it is only that number, and
no propensity goes with it, so nothing is to be learned from such decisions.
"""

from collections.abc import Sequence
from random import Random

import msgspec
import numpy as np

from router.candidates import Candidate
from router.features import FEATURES
from router.model import Features, Floats, Nanoseconds
from router.policy import Ranking
from router.scoring import Score

FILL_RATE = FEATURES.index("fill_rate")
_SPREAD_TICKS = FEATURES.index("spread_ticks")
_AT_BEST = FEATURES.index("at_best")
_SHARE_BPS = 1e-9  # what a displayed share counts: less than any difference of price or fee


class RecentRates:
    """P(fill) as the recent fill rate of the venue and the action, whatever the horizon."""

    def __init__(self, ranking: Ranking, schema_hash: str) -> None:
        self.model_id = ranking
        self.schema_hash = schema_hash

    def predict(self, features: Features, horizons_ns: Nanoseconds) -> tuple[Floats, Floats | None]:
        return features[:, FILL_RATE].astype(np.float64), None


def ranked(
    ranking: Ranking,
    candidates: Sequence[Candidate],
    rows: Features,
    scores: list[Score],
    tick_bps: float,
    seed: int,
    decision_id: int,
) -> list[Score]:
    """The scores with the cost that the ranking goes by. `rows`: float32 [candidates, FEATURES]; a tick in bps."""
    if ranking == "static":
        spread_bps = abs(float(rows[0, _SPREAD_TICKS])) * tick_bps
        costs_bps = [
            _all_in_bps(candidate, score, spread_bps, at_best)
            for candidate, score, at_best in zip(candidates, scores, rows[:, _AT_BEST].tolist(), strict=True)
        ]
    elif ranking == "random":
        drawn = Random(f"ranking/{seed}/{decision_id}")
        costs_bps = [drawn.random() for _ in scores]
    else:
        return scores
    return [msgspec.structs.replace(one, cost_bps=cost) for one, cost in zip(scores, costs_bps, strict=True)]


def _all_in_bps(candidate: Candidate, score: Score, spread_bps: float, at_best: float) -> float:
    displayed_qty = candidate.queue_ahead_qty if candidate.horizon_ns else candidate.max_qty
    cost_bps = score.price_bps + score.fee_bps - _SHARE_BPS * displayed_qty
    # Behind the best price it only looks cheap: nobody comes there first.
    return cost_bps if at_best or not candidate.horizon_ns else abs(cost_bps) + spread_bps
