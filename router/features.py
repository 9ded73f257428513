"""The one definition of every feature: the live decision computes them here, and training reads what was recorded.

A row describes one candidate at one moment. What has a direction is signed so that a buy and a sell in mirrored markets
have the same row: positive is in favour of a fill for us, or more aggressive. Quantities are log(1 + lots), so that one
model serves all symbols. Changing the tuple, or the venues, changes `schema_hash`, and a model that was trained on
another hash is refused.
"""

import hashlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from math import log1p

import numpy as np
from numpy.typing import NDArray

from domain.fields import Side
from domain.instruments import Instrument, VenueTerms
from domain.market import DealerQuoted, SymbolView
from router.candidates import IMPROVE, MID_PEG, NO_QUOTES, POST, TAKE, TAKE_QUOTE, Candidate
from router.statistics import VenueStatistics
from router.strategies import Slice

FEATURES = (
    "action_post",
    "action_improve",
    "action_take",
    "action_mid_peg",
    "action_take_quote",
    "venue_index",  # position of the venue among all configured ones, by name
    "fill_prior",  # P(fill) that is assumed where there is no model
    "horizon_s",  # how long it may rest, 0 for immediate-or-cancel
    "urgency",
    "spread_ticks",  # of the best bid and offer over all venues; negative while crossed
    "imbalance",  # (other side - our side) / both, displayed at the best prices
    "microprice_bps",  # size-weighted mid against mid, positive where the price leans away from us
    "volatility_bps",  # of the mid over a second
    "signed_flow",  # aggressive trading against our side less that along with it, in units of what is displayed
    "aggression_ticks",  # limit price against mid, positive beyond the mid
    "queue_ahead",  # log(1 + lots) displayed at this price or better at the venue
    "own_resting",  # log(1 + lots) of ours among them
    "qty",  # log(1 + lots) that it could send
    "qty_share",  # that quantity / (it + what is displayed where it would trade or wait)
    "venue_near",  # log(1 + lots) at the venue's best price on our side; of all venues where it shows none
    "venue_far",  # and on the other side
    "at_best",  # 1 where the price it joins or takes is the best of all venues
    "fill_rate",  # of recent orders at the venue with this action
    "filled_fraction",
    "reject_rate",
    "markout_bps",
    "book_age_s",  # since the venue's book changed
    "quote_left_s",  # until a dealer's quote expires
)
FILL_PRIOR = FEATURES.index("fill_prior")

_RANKED = (POST, IMPROVE, TAKE, MID_PEG, TAKE_QUOTE)  # an auction is what the client asked for, not a choice
_ONE_HOT = {action: tuple(float(action is other) for other in _RANKED) for action in _RANKED}
DISPLAYED_FILL_PRIOR = 0.95  # of an immediate order against displayed size: it is there unless somebody was faster


def schema_hash(venue_names: Iterable[str]) -> str:
    """Names what a model was trained on: 16 hex digits over the features and the configured venues."""
    content = "\n".join((*FEATURES, "", *sorted(venue_names)))
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def features(
    candidates: Sequence[Candidate],
    side: Side,
    wanted: Slice,
    view: SymbolView,
    instrument: Instrument,
    venues: Mapping[str, VenueTerms],
    statistics: VenueStatistics,
    venue_index: Mapping[str, int],
    now_ns: int,
    requested: Mapping[str, DealerQuoted] = NO_QUOTES,
) -> NDArray[np.float32]:
    """float32 [candidates, FEATURES]. The view must have a bid and an offer (there are no candidates without).

    `requested`: the quotes that dealers made for this order alone, as for the candidates.
    """
    sign, lot_qty, tick_px = side.sign, instrument.lot_qty, instrument.tick_px
    is_buy = sign > 0
    near_px, far_px = (view.bid_px, view.ask_px) if is_buy else (view.ask_px, view.bid_px)
    near_qty, far_qty = (view.bid_qty, view.ask_qty) if is_buy else (view.ask_qty, view.bid_qty)
    mid_px = view.mid_px
    spread_px = view.ask_px - view.bid_px
    displayed_qty = near_qty + far_qty
    imbalance = (far_qty - near_qty) / displayed_qty
    urgency = wanted.urgency
    common = (
        urgency,
        spread_px / tick_px,
        imbalance,
        -imbalance * spread_px / 2 / mid_px * 1e4,
        view.volatility_bps,
        -sign * view.signed_flow_qty(now_ns) / displayed_qty,
    )
    log_near, log_far = log1p(near_qty / lot_qty), log1p(far_qty / lot_qty)
    values: list[float] = []
    seen = ""
    outcomes_of = statistics.of
    for candidate in candidates:
        venue, action, px = candidate.venue, candidate.action, candidate.px
        if venue != seen:  # candidates of a venue come together
            seen, terms, book = venue, venues[venue], view.books.get(venue)
            index, own_log = venue_index[venue], log1p(statistics.resting_qty(venue, view.symbol, side) / lot_qty)
            if book is None:  # nothing displayed: what the others show
                venue_far_px, venue_near_log, venue_far_log = far_px, log_near, log_far
                age_s = (now_ns - view.updated_ns) / 1e9
            else:
                bid_log, ask_log = log1p(book.best_bid_qty / lot_qty), log1p(book.best_ask_qty / lot_qty)
                venue_far_px = book.best_ask_px if is_buy else book.best_bid_px
                venue_near_log, venue_far_log = (bid_log, ask_log) if is_buy else (ask_log, bid_log)
                age_s = (now_ns - book.updated_ns) / 1e9
        outcomes = outcomes_of(venue, action)
        qty = min(wanted.qty, candidate.max_qty)
        queue_qty = against_qty = candidate.queue_ahead_qty
        aggression_ticks = sign * (px - mid_px) / tick_px
        left_s = 0.0
        if action is TAKE:
            at_best, against_qty, fill_prior = venue_far_px == far_px, candidate.max_qty, DISPLAYED_FILL_PRIOR
        elif action is TAKE_QUOTE:
            at_best, against_qty, fill_prior = sign * px <= sign * far_px, candidate.max_qty, terms.fill_prior
            left_s = ((requested.get(venue) or view.quotes[venue]).valid_until_ns - now_ns) / 1e9
        elif action is MID_PEG:
            at_best, aggression_ticks, fill_prior = True, 0.0, terms.fill_prior
        else:
            at_best = sign * px >= sign * near_px
            fill_prior = _resting_fill_prior(terms.fill_prior, sign * (px - near_px) / tick_px)
        values += _ONE_HOT[action]
        values += (index, fill_prior, candidate.horizon_ns / 1e9)
        values += common
        values += (
            aggression_ticks,
            log1p(queue_qty / lot_qty),
            own_log if candidate.horizon_ns else 0.0,
            log1p(qty / lot_qty),
            qty / (qty + against_qty),
            venue_near_log,
            venue_far_log,
            at_best,
            outcomes.fill_rate,
            outcomes.filled_fraction,
            outcomes.reject_rate,
            outcomes.markout_bps,
            age_s,
            left_s,
        )
    return np.frombuffer(array("f", values), dtype=np.float32).reshape(len(candidates), len(FEATURES))


def _resting_fill_prior(fill_prior: float, ticks_ahead: float) -> float:
    """The configured prior is for an order that joins the best price; one ahead of it fills as two tries there."""
    if ticks_ahead > 0:
        return 1.0 - (1.0 - fill_prior) ** 2
    return fill_prior / (1.0 - ticks_ahead)
