"""Whether what is said to fill sooner does: concordance over pairs of orders, some of which were watched in part only.

Harrell's C (1982): a pair counts if one order filled while the other was still at risk, and is right if the first had
the higher score; ties count half. 0.5 is chance. A censored order takes part as long as it was watched.
"""

import numpy as np
from numpy.typing import NDArray

_MOST_ROWS = 20_000  # beyond, every n-th row: pairs grow with the square
_CHUNK = 512


def concordance(score: NDArray[np.float64], time_ns: NDArray[np.int64], filled: NDArray[np.bool_]) -> float:
    """`time_ns`: of the fill, or until when there was none. NaN where no pair counts."""
    step = -(-len(score) // _MOST_ROWS) or 1
    score, time_ns, filled = score[::step], time_ns[::step], filled[::step]
    events = np.flatnonzero(filled)
    pairs = right = 0.0
    for start in range(0, len(events), _CHUNK):
        some = events[start : start + _CHUNK]
        at_risk = time_ns[None, :] > time_ns[some, None]
        # One that was cut off at the very moment of the fill was still at risk.
        at_risk |= (time_ns[None, :] == time_ns[some, None]) & ~filled[None, :]
        above = score[some, None] > score[None, :]
        equal = score[some, None] == score[None, :]
        pairs += at_risk.sum()
        right += (at_risk & above).sum() + 0.5 * (at_risk & equal).sum()
    return float(right / pairs) if pairs else float("nan")
