"""How much to send to each dark venue, when a fill never says how much more there would have been.

An order of v lots that fills whole tells that at least v were there, no more: what is seen is cut off by what was sent.
The product-limit estimator of Ganchev, Kearns, Nevmyvaka and Vaughan (Censored exploration and the dark pool problem,
arXiv 1205.2646) makes the distribution of what is there from such data, and sends lot by lot to the venue that is the
most likely to have one more. Its exploration rule is to believe the best of the first size that was never tried often
enough. Here what was seen fades, so that a venue that changes is found again: what fades is also tried again.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ENOUGH = 4.0  # times that a size was tried, before its outcome is believed
HALF_LIFE = 150.0  # rounds after which what was seen counts half


class ProductLimit:
    """What is known of one venue: P(at least s lots are there), for s up to `most`, from fills cut off by what we sent.

    Changes only through `apply`.
    """

    def __init__(self, most: int, half_life: float = HALF_LIFE) -> None:
        self._keep = 0.5 ** (1.0 / half_life)
        self._tried = np.zeros(most)  # [s]: s lots filled and one more was sent
        self._ended = np.zeros(most)  # [s]: and it did not fill

    def apply(self, sent: int, filled: int) -> None:
        """One round: 0 <= filled <= sent lots. A round without an order only lets the past fade."""
        self._tried *= self._keep
        self._ended *= self._keep
        if sent:
            self._tried[: min(filled + 1, sent)] += 1.0
            if filled < sent:
                self._ended[filled] += 1.0

    def tails(self) -> Floats:
        """P(at least s lots), s = 1..most. The first size that was not tried enough is as likely as the one before."""
        hazard = self._ended / np.maximum(self._tried, 1e-12)
        unknown = np.flatnonzero(self._tried < ENOUGH)
        if len(unknown):
            first = unknown[0]
            hazard[first] = 0.0
            hazard[first + 1 :] = 1.0
        tails: Floats = np.cumprod(1.0 - np.minimum(hazard, 1.0))
        return tails


def allocate(tails: Sequence[Floats], lots: int) -> NDArray[np.int64]:
    """Lots for each venue, at most `lots` in all: each goes where one more is the most likely to fill.

    Tails never rise with the size, so lot by lot is also the best as a whole (Ganchev et al., theorem 1). Ties go to
    the venue with fewer lots so far, then to the first.
    """
    sent = np.zeros(len(tails), dtype=np.int64)
    for _ in range(lots):
        following = [tail[n] if n < len(tail) else 0.0 for tail, n in zip(tails, sent.tolist(), strict=True)]
        best = max(range(len(tails)), key=lambda i: (following[i], -sent[i], -i))
        if following[best] <= 0.0:
            break
        sent[best] += 1
    return sent
