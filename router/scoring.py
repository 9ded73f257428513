"""Expected cost of each candidate, in basis points of the mid a share, the basis of the ranking. Positive is worse.

    cost = E * (price + fee + markout) + (1 - E) * no_fill,  E = P * filled fraction

P is the probability of a fill within the candidate's horizon, the filled fraction is what such orders recently filled
of their quantity (`VenueStatistics`), so E is the share expected to fill. The shape is that of Cont and Kukanov,
Optimal order placement in limit order markets (Quantitative Finance 17, 2017): what is paid for what fills, plus a
penalty for what does not, which is the cost of crossing the spread later.

    price    sign * (px - mid) / mid: what is paid against the mid. A take pays the average over the displayed levels
             that it needs, a midpoint peg nothing.
    fee      the venue's maker fee for what rests, its taker fee for what takes; a rebate is negative.
    markout  the adverse move of the mid to expect after such a fill: the model's, or the recent mean of such fills
             (`VenueStatistics`). A passive order is filled most readily when the price is about to go through it.
    no_fill  what it costs to go on without the fill, after the candidate's horizon T:

             crossing         the cheapest take at a lit venue that there is now, or half the spread and the mean taker
                              fee of the lit venues where there is none; for a take at least what it would have paid, so
                              that a venue that refuses never looks cheap
             resting again    as long as the slice has patience for another n tries of the best candidate that rests,
                              each of cost c if it fills: c + (1 - E)^n * (crossing - c). It is the value of waiting
                              when each try finds the same candidates; without it every order that rests is charged
                              as if it were the last chance.
             risk             urgency * volatility * sqrt(T) / sqrt(2 pi), T the time beyond the slice's patience: the
                              expected adverse part of a driftless Gaussian move in T, E[max(x, 0)]. Its mean costs
                              nothing, and what a fill tells of the move is in the markout already; how much of the
                              risk counts is the strategy's to say, as in Almgren and Chriss (J. of Risk 3, 2000).
"""

from collections.abc import Iterable, Mapping, Sequence
from math import pi, sqrt

import msgspec

from domain.fields import Side
from domain.instruments import VenueTerms
from domain.market import SymbolView
from router.candidates import LIT, MID_PEG, TAKE, Candidate
from router.statistics import VenueStatistics
from router.strategies import Slice

RETRY_NS = 1_000_000_000  # an immediate order that missed is repeated within about this time
_ADVERSE = 1.0 / sqrt(2.0 * pi)


class Score(msgspec.Struct, frozen=True, gc=False):
    """Costs in bps of the mid; as in `facts.CandidateRecord`."""

    price_bps: float
    fee_bps: float
    markout_bps: float
    no_fill_bps: float
    cost_bps: float
    filled_fraction: float


def score(
    candidates: Sequence[Candidate],
    probabilities: Sequence[float],
    side: Side,
    wanted: Slice,
    view: SymbolView,
    venues: Mapping[str, VenueTerms],
    statistics: VenueStatistics,
    markouts_bps: Sequence[float] | None = None,
) -> list[Score]:
    """The expected cost of each candidate, given its fill probability (0..1). The view must have a bid and an offer.

    `markouts_bps`, where a model predicts them, take the place of the recent ones.
    """
    sign, mid_px = side.sign, view.mid_px
    per_px = 1e4 / mid_px
    risk_bps = wanted.urgency * view.volatility_bps * _ADVERSE
    parts: list[tuple[float, float, float, float, float]] = []
    for index, (candidate, probability) in enumerate(zip(candidates, probabilities, strict=True)):
        terms = venues[candidate.venue]
        if candidate.action is MID_PEG:
            price_bps = 0.0
        else:
            price_bps = sign * (_fill_px(candidate, side, wanted.qty, view) - mid_px) * per_px
        fee_bps = (terms.maker_fee_px if candidate.horizon_ns else terms.taker_fee_px) * per_px
        recent = statistics.of(candidate.venue, candidate.action)
        markout_bps = recent.markout_bps if markouts_bps is None else markouts_bps[index]
        parts.append((price_bps, fee_bps, markout_bps, recent.filled_fraction, probability * recent.filled_fraction))
    costs_bps = [price_bps + fee_bps + markout_bps for price_bps, fee_bps, markout_bps, _, _ in parts]
    half_spread_bps = max(view.ask_px - view.bid_px, 0) / 2 * per_px
    usual_bps = half_spread_bps + _mean_taker_fee_px(venues.values()) * per_px
    # What crossing costs later, when what the book says of the next seconds has come to pass.
    takes_bps = [
        price_bps + fee_bps + statistics.of(candidate.venue, candidate.action).markout_bps
        for candidate, (price_bps, fee_bps, *_) in zip(candidates, parts, strict=True)
        if candidate.action is TAKE
    ]
    crossing_bps = min(takes_bps, default=usual_bps)
    again = _Again(candidates, costs_bps, [expected for *_, expected in parts], crossing_bps, wanted.patience_ns)
    scores = []
    for candidate, filled_bps, (price_bps, fee_bps, markout_bps, fraction, expected) in zip(
        candidates, costs_bps, parts, strict=True
    ):
        elapsed_ns = candidate.horizon_ns or RETRY_NS
        later_bps = again.after(elapsed_ns)
        if not candidate.horizon_ns:
            later_bps = max(later_bps, price_bps + fee_bps)
        no_fill_bps = later_bps + risk_bps * sqrt(max(elapsed_ns - wanted.patience_ns, 0) / 1e9)
        cost_bps = expected * filled_bps + (1.0 - expected) * no_fill_bps
        scores.append(Score(price_bps, fee_bps, markout_bps, no_fill_bps, cost_bps, fraction))
    return scores


class _Again:
    """What it is worth to go on: the candidate that promises most when it is tried as long as there is patience."""

    def __init__(
        self,
        candidates: Sequence[Candidate],
        costs_bps: Sequence[float],
        expected: Sequence[float],
        crossing_bps: float,
        patience_ns: int,
    ) -> None:
        self._crossing_bps, self._patience_ns = crossing_bps, patience_ns
        self._cost_bps, self._left, self._horizon_ns = crossing_bps, 1.0, 1
        least_bps = crossing_bps
        for candidate, cost_bps, share in zip(candidates, costs_bps, expected, strict=True):
            tries = patience_ns // candidate.horizon_ns if candidate.horizon_ns else 0
            later_bps = cost_bps + (1.0 - share) ** tries * (crossing_bps - cost_bps)
            if tries and later_bps < least_bps:
                least_bps = later_bps
                self._cost_bps, self._left, self._horizon_ns = cost_bps, 1.0 - share, candidate.horizon_ns

    def after(self, elapsed_ns: int) -> float:
        """What a share is expected to cost, in bps, that has not filled by then."""
        tries = max(self._patience_ns - elapsed_ns, 0) // self._horizon_ns
        return self._cost_bps + self._left**tries * (self._crossing_bps - self._cost_bps)


def _fill_px(candidate: Candidate, side: Side, qty: int, view: SymbolView) -> float:
    """What a fill would cost on average; displayed levels are taken from the best on."""
    if candidate.action is not TAKE:
        return candidate.px
    book = view.books[candidate.venue]
    is_buy = side.sign > 0
    levels, best_px = (book.asks, book.best_ask_px) if is_buy else (book.bids, book.best_bid_px)
    if candidate.px == best_px or levels[best_px] >= qty:
        return best_px
    left_qty = taken_qty = min(qty, candidate.max_qty)
    notional_px = 0
    for px in sorted(levels, reverse=not is_buy):
        level_qty = min(levels[px], left_qty)
        notional_px += px * level_qty
        left_qty -= level_qty
        if not left_qty:
            break
    return notional_px / taken_qty


def _mean_taker_fee_px(venues: Iterable[VenueTerms]) -> float:
    fees_px = [terms.taker_fee_px for terms in venues if terms.kind is LIT]
    return sum(fees_px) / len(fees_px) if fees_px else 0.0
