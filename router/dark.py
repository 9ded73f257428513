"""How to split what goes into the dark over its venues, when a fill never says how much more there would have been.

An order that fills whole tells that at least so much was there, no more: what is seen is cut off by what was sent. The
product-limit estimator of Ganchev, Kearns, Nevmyvaka and Vaughan (Censored exploration and the dark pool problem, arXiv
1205.2646) makes the distribution of what is there from such data, and sends piece by piece to the venue that is the
most likely to have one more. Its exploration rule is to believe the best of the first size that was never tried often
enough. Here what was seen fades, so that a venue that changes is found again: what fades is also tried again. And a
piece counts what its fill is worth, because venues differ in fees and markouts.

How much goes into the dark at all is for the ranking and the policy; this is only about where.
"""

from collections.abc import Mapping, Sequence

from domain.orders import ChildOrder
from router.candidates import DARK, Candidate
from router.scoring import Score

PIECE_QTY = 100  # shares
MOST = 60  # pieces of an order that are told apart
ENOUGH = 4.0  # times that a size was tried, before its outcome is believed
HALF_LIFE = 250.0  # outcomes in a symbol after which what was seen counts half
_KEEP = 0.5 ** (1.0 / HALF_LIFE)

Tails = Mapping[int, Sequence[float]]  # by the index of a dark candidate
NO_TAILS: Tails = {}


class ProductLimit:
    """What is known of one venue: P(at least s pieces are there), s = 1, 2, ..., from fills cut off by what we sent."""

    __slots__ = ("_ended", "_tried", "tails")

    def __init__(self) -> None:
        self._tried = [0.0] * MOST  # [s]: s pieces filled and one more was sent
        self._ended = [0.0] * MOST  # [s]: and it did not fill
        self.tails: list[float] = []
        self._estimate()

    def apply(self, sent: int, filled: int) -> None:
        """An outcome: 0 <= filled <= sent pieces. One without an order only lets the past fade."""
        tried, ended = [count * _KEEP for count in self._tried], [count * _KEEP for count in self._ended]
        for size in range(min(filled + 1, sent, MOST)):
            tried[size] += 1.0
        if filled < min(sent, MOST):
            ended[filled] += 1.0
        self._tried, self._ended = tried, ended
        self._estimate()

    def _estimate(self) -> None:
        """The first size that was not tried enough is as likely as the one before; nothing is beyond it."""
        at_least, tails = 1.0, []
        for tried, ended in zip(self._tried, self._ended, strict=True):
            if tried < ENOUGH:
                tails.append(at_least)
                break
            at_least *= max(1.0 - ended / tried, 0.0)
            tails.append(at_least)
        self.tails = tails


_UNKNOWN = ProductLimit()


class DarkPools:
    """All dark venues, symbol by symbol. Changes only through `apply_*`."""

    def __init__(self) -> None:
        self._pools: dict[str, dict[str, ProductLimit]] = {}  # by symbol and venue

    def apply_ended(self, child: ChildOrder, *, known: bool) -> None:
        """A peg that is over. `known`: what became of it by its horizon; if not, what filled was there at least."""
        order = child.submitted
        filled = min(child.cum_qty, order.order_qty) // PIECE_QTY
        self.apply(order.symbol, order.venue, order.order_qty // PIECE_QTY if known else filled, filled)

    def apply(self, symbol: str, venue: str, sent: int, filled: int) -> None:
        """Pieces sent, and pieces of it that filled; the past of all venues fades in the symbol."""
        if not sent:
            return
        pools = self._pools.setdefault(symbol, {})
        pools.setdefault(venue, ProductLimit()).apply(sent, filled)
        for other, pool in pools.items():
            if other != venue:
                pool.apply(0, 0)

    def tails(self, symbol: str, venue: str) -> list[float]:
        """P(at least s pieces), s = 1, 2, ..., 0 beyond; of a venue that was never tried the first is believed."""
        return self._pools.get(symbol, {}).get(venue, _UNKNOWN).tails

    def of(self, symbol: str, candidates: Sequence[Candidate]) -> dict[int, list[float]]:
        """The same by the index of each dark candidate."""
        return {i: self.tails(symbol, one.venue) for i, one in enumerate(candidates) if one.kind is DARK}


def worth(tails: Tails, scores: Sequence[Score]) -> dict[int, list[float]]:
    """What each further piece saves at a candidate in the mean, bps of its value."""
    found = {}
    for index, at_least in tails.items():
        score = scores[index]
        saves_bps = max(score.no_fill_bps - score.price_bps - score.fee_bps - score.markout_bps, 0.0)
        found[index] = [saves_bps * each for each in at_least]
    return found


def split(
    worth: Mapping[int, Sequence[float]], total: int, least: Mapping[int, int], most: Mapping[int, int]
) -> dict[int, int]:
    """Pieces for each key, `total` in all unless no further one is worth anything or fits.

    Each goes where it is worth most. Worth never rises with the size, so piece by piece is also the best as a whole
    (Ganchev et al., theorem 1); but for `least`, the pieces of the smallest order of a key, which come together. Ties
    go to who has fewer so far, then to the first.
    """
    sent = dict.fromkeys(worth, 0)
    left = total
    while left:
        best, best_worth, best_step = -1, 0.0, 0
        for key, values in worth.items():
            step = 1 if sent[key] else least[key]
            if not 0 < step <= min(left, most[key] - sent[key]):
                continue
            mean = sum(values[sent[key] : sent[key] + step]) / step
            if mean > best_worth or (mean == best_worth > 0.0 and sent[key] < sent[best]):
                best, best_worth, best_step = key, mean, step
        if best_worth <= 0.0:
            break
        sent[best] += best_step
        left -= best_step
    return sent
