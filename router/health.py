"""Whether each venue still does what is said of the orders there: how often they fill, and what their fills lose.

Every child carries what its decision said of it, so each outcome is held against that. Two things come of it:

    a correction  for each venue and action: fills as a part of the fills that were said, and markouts beyond those that
                  were said. It enters the next decision, whatever its size. Where little was seen of an action it is
                  the venue's, and where little was seen of the venue there is none. It fades with time, so a venue that
                  nobody asked for long because it was bad is asked again.
    an alarm      for each venue: a one-sided cumulative sum of how much less its orders filled, or how much more its
                  fills lost, than is usual there (Page, Continuous inspection schemes, Biometrika 41, 1954). Usual is
                  the mean of a long while against what was said, because a model may be off from the start, which is
                  the model's trouble and for its own evaluation to tell. The sum answers a change within some hundred
                  orders and forgets what evens out; when it has come back to nothing the alarm is over.

A refusal is an order that did not fill. One that we cancelled before its time says nothing.
"""

from collections.abc import Sequence
from math import log
from typing import NamedTuple

from domain.facts import ChildFilled, ChildSubmitted, MarkoutMeasured, VenueDrifted, VenueSteadied
from domain.fields import Action
from router.candidates import IMMEDIATE, Candidate
from router.markouts import markout_bps

HALF_LIFE_NS = 600_000_000_000  # after which a correction counts half
MARKOUT_NS = 10_000_000_000  # the markout that is said; overlapping ones tell of one and the same move
_KEEP = 1.0 - 1.0 / 72  # of what was seen, at each further order: half of the weight lies on the last 50
FILLS_ASSUMED = 5.0  # what is assumed counts like so many fills that were said,
_MARKED = 30.0  # and like so many markouts
_USUAL = 2_000  # orders or fills of a venue and an action over which its usual is a mean
_SETTLING = 50  # so many of them make a first one
_AT_ONCE_APART_NS = 1_000_000_000  # takes and refusals in a symbol closer together are of one and the same moment,
_WAITED_APART_NS = 10_000_000_000  # and those that rested met the same flow of orders, or the same lack of it
_MISSED_ODDS = 2.5  # the change that is looked for: the odds of missing times this,
_LOST_MORE = 0.5  # or markouts worse by so many standard deviations
_LEAST_MISSING = 0.02
_FARTHEST = 4.0  # standard deviations that a single markout counts at most
_LIMIT = 14.0  # of the evidence, natural logarithm


class Correction(NamedTuple):
    fill_factor: float  # what P(fill) is multiplied by
    markout_bps: float  # what is added to the markout


NO_CORRECTION = Correction(1.0, 0.0)


def corrected(
    corrections: Sequence[Correction], probabilities: Sequence[float], markouts_bps: Sequence[float] | None
) -> tuple[list[float], list[float] | None]:
    """P(fill) and markouts to decide by; without said markouts the recent ones count, which need no correction."""
    expected = [min(p * one.fill_factor, 1.0) for p, one in zip(probabilities, corrections, strict=True)]
    if markouts_bps is None:
        return expected, None
    return expected, [bps + one.markout_bps for bps, one in zip(markouts_bps, corrections, strict=True)]


class Recent:
    """What was said and what was found, of the latest orders; sums that fade with each order and with time."""

    __slots__ = ("at_ns", "filled", "found_bps", "marked", "orders", "said", "said_bps")

    def __init__(self) -> None:
        self.at_ns = 0
        self.orders = self.said = self.filled = 0.0
        self.marked = self.said_bps = self.found_bps = 0.0

    def apply_order(self, said: float, filled: bool, at_ns: int) -> None:
        kept = self.kept(at_ns)
        keep = _KEEP * kept
        self.at_ns = at_ns
        self.orders = self.orders * keep + 1.0
        self.said = self.said * keep + said
        self.filled = self.filled * keep + filled
        self.marked *= kept
        self.said_bps *= kept
        self.found_bps *= kept

    def apply_markout(self, said_bps: float, found_bps: float) -> None:
        self.marked = self.marked * _KEEP + 1.0
        self.said_bps = self.said_bps * _KEEP + said_bps
        self.found_bps = self.found_bps * _KEEP + found_bps

    def kept(self, now_ns: int) -> float:
        """How much of it still counts."""
        return float(0.5 ** ((now_ns - self.at_ns) / HALF_LIFE_NS))

    def correction(self, towards: Correction, now_ns: int) -> Correction:
        """What it comes to, drawn `towards` what holds where little was seen."""
        kept = self.kept(now_ns)
        return Correction(
            (self.filled * kept + FILLS_ASSUMED * towards.fill_factor) / (self.said * kept + FILLS_ASSUMED),
            ((self.found_bps - self.said_bps) * kept + _MARKED * towards.markout_bps) / (self.marked * kept + _MARKED),
        )


class Usual:
    """How many fills a venue usually has with an action, as a part of those that are said: a mean of a long while."""

    __slots__ = ("filled", "orders", "said")

    def __init__(self) -> None:
        self.orders = 0
        self.said = self.filled = FILLS_ASSUMED

    def apply(self, said: float, filled: bool) -> float:
        """How much more the order speaks for a venue that misses oftener than for the usual one: log-likelihoods."""
        evidence = 0.0
        if self.orders >= _SETTLING:
            missing = 1.0 - min(said * self.filled / self.said, 1.0 - _LEAST_MISSING)
            odds = 1.0 + (_MISSED_ODDS - 1.0) * missing
            evidence = -log(odds) if filled else log(_MISSED_ODDS / odds)
        self.orders += 1
        keep = 1.0 - 1.0 / _USUAL
        self.said = self.said * keep + said
        self.filled = self.filled * keep + filled
        return evidence


class UsualLoss:
    """What a venue's fills usually lose beyond what was said, bps: mean and square of a long while."""

    __slots__ = ("bps", "bps2", "fills")

    def __init__(self) -> None:
        self.fills = 0
        self.bps = self.bps2 = 0.0

    def apply(self, bps: float) -> float:
        """How much more the fill speaks for a venue whose fills lose more than for the usual one: log-likelihoods."""
        evidence = 0.0
        if self.fills >= _SETTLING:
            sd_bps = max(self.bps2 - self.bps**2, 1e-12) ** 0.5
            worse = min(max((bps - self.bps) / sd_bps, -_FARTHEST), _FARTHEST)
            evidence = _LOST_MORE * (worse - _LOST_MORE / 2)
        self.fills += 1
        step = 1.0 / min(self.fills, _USUAL)
        self.bps += (bps - self.bps) * step
        self.bps2 += (bps**2 - self.bps2) * step
        return evidence


class VenueMonitor:
    """One venue's orders against what is usual there. Changes only through `apply_*`; `alarm` says why, or ""."""

    def __init__(self) -> None:
        self.recent = Recent()
        self.usual: dict[Action, Usual] = {}
        self.usual_loss = UsualLoss()
        self.alarm = ""
        self.orders = 0  # whose outcome is known
        self.misses = 0.0  # evidence summed up, never below nothing
        self.losses = 0.0
        self._looked_ns: dict[tuple[str, Action], int] = {}  # by symbol
        self._marked_ns: dict[str, int] = {}

    def apply_order(
        self, symbol: str, action: Action, said: float, filled: bool, at_ns: int, *, refused: bool = False
    ) -> None:
        """An order whose outcome is known, with the P(fill) that was said of it."""
        self.orders += 1
        self.recent.apply_order(said, filled, at_ns)
        apart_ns = _AT_ONCE_APART_NS if refused or action in IMMEDIATE else _WAITED_APART_NS
        if at_ns - self._looked_ns.get((symbol, action), -apart_ns) >= apart_ns:
            self._looked_ns[symbol, action] = at_ns
            evidence = self.usual.setdefault(action, Usual()).apply(said, filled)
            self.misses = min(max(0.0, self.misses + evidence), _LIMIT)
            self._judge()

    def apply_markout(self, symbol: str, said_bps: float, found_bps: float, at_ns: int) -> None:
        """A fill of `at_ns`: the markout that was said of it, and the one that it had."""
        self.recent.apply_markout(said_bps, found_bps)
        if at_ns - self._marked_ns.get(symbol, -MARKOUT_NS) >= MARKOUT_NS:
            self._marked_ns[symbol] = at_ns
            self.losses = min(max(0.0, self.losses + self.usual_loss.apply(found_bps - said_bps)), _LIMIT)
            self._judge()

    def _judge(self) -> None:
        if self.alarm:
            if max(self.misses, self.losses) < _LIMIT / 2:
                self.alarm = ""
        elif self.misses == _LIMIT:
            rate = self.recent.filled / max(self.recent.said, 1e-9)
            self.alarm = f"fills less than usual: lately {rate:.0%} of what is said"
        elif self.losses == _LIMIT:
            beyond_bps = (self.recent.found_bps - self.recent.said_bps) / max(self.recent.marked, 1e-9)
            self.alarm = f"fills when the price is about to turn: lately {beyond_bps:+.2f} bps beyond what is said"


class VenueHealth:
    """All venues. Changes only through `apply_*`."""

    def __init__(self) -> None:
        self.venues: dict[str, VenueMonitor] = {}
        self.told: dict[str, str] = {}  # venue -> the alarm that a fact has told of
        self._recent: dict[tuple[str, Action], Recent] = {}
        self._turned: set[str] = set()  # venues whose alarm came or went since

    # --- what it says ---

    def corrections(self, candidates: Sequence[Candidate], now_ns: int) -> list[Correction]:
        """One for each candidate, in their order."""
        found = []
        last, of_venue = "", NO_CORRECTION
        for candidate in candidates:
            if candidate.venue != last:  # candidates of a venue come together
                last = candidate.venue
                monitor = self.venues.get(last)
                of_venue = NO_CORRECTION if monitor is None else monitor.recent.correction(NO_CORRECTION, now_ns)
            recent = self._recent.get((last, candidate.action))
            found.append(of_venue if recent is None else recent.correction(of_venue, now_ns))
        return found

    def news(self, now_ns: int) -> list[VenueDrifted | VenueSteadied]:
        """The facts about alarms that came or went since the last ones."""
        return [self._told(venue, now_ns) for venue in sorted(self._turned)] if self._turned else []

    def _told(self, venue: str, now_ns: int) -> VenueDrifted | VenueSteadied:
        monitor = self.venues[venue]
        if not monitor.alarm:
            return VenueSteadied(at_ns=now_ns, venue=venue, orders=monitor.orders, text="as usual again")
        return VenueDrifted(at_ns=now_ns, venue=venue, orders=monitor.orders, text=monitor.alarm)

    # --- what it learns ---

    def apply_order(self, order: ChildSubmitted, filled: bool, at_ns: int, *, refused: bool = False) -> None:
        """A child whose outcome is known."""
        said = order.fill_probability
        if said is None:
            return
        monitor = self.venues.setdefault(order.venue, VenueMonitor())
        monitor.apply_order(order.symbol, order.action, said, filled, at_ns, refused=refused)
        self._recent.setdefault((order.venue, order.action), Recent()).apply_order(said, filled, at_ns)
        self._noted(order.venue, monitor)

    def apply_markout(self, order: ChildSubmitted, fill: ChildFilled, fact: MarkoutMeasured) -> None:
        if order.markout_bps is None or fact.after_ns != MARKOUT_NS or not fact.mid2_px:
            return
        found_bps = markout_bps(order, fill, fact.mid2_px)
        monitor = self.venues.setdefault(order.venue, VenueMonitor())
        monitor.apply_markout(order.symbol, order.markout_bps, found_bps, fill.at_ns)
        self._recent.setdefault((order.venue, order.action), Recent()).apply_markout(order.markout_bps, found_bps)
        self._noted(order.venue, monitor)

    def _noted(self, venue: str, monitor: VenueMonitor) -> None:
        if bool(monitor.alarm) is not (venue in self.told):
            self._turned.add(venue)
        elif self._turned:
            self._turned.discard(venue)

    def apply_drifted(self, fact: VenueDrifted) -> None:
        self.told[fact.venue] = fact.text
        self._turned.discard(fact.venue)

    def apply_steadied(self, fact: VenueSteadied) -> None:
        self.told.pop(fact.venue, None)
        self._turned.discard(fact.venue)
