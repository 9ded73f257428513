"""Days whose true costs can be had as often as one likes: the router's own decisions in a market made of distributions.

Every decision is made by `router.routing`: candidates from books and quotes, features, a model, costs, allocation with
its bounded exploration, the risk gate, and each fact applied to the state. What becomes of a child is drawn: whether it
fills, by a logit of the book, the venue and a shock that a quarter of an hour shares; how much, by what happens to be
there, so that small children fill more of themselves; and the markout, by venue and shock. The whole simulated market
would give a few hundred decisions a minute of one core; coverage needs a hundred days and the truth many more.

Decisions are half a minute apart and their slices do not depend on what filled before, so both policies decide in the
same kind of states: what is measured is the estimate of a decision's own cost, which is all that it claims.
"""

from collections.abc import Iterator, Mapping
from math import exp

import numpy as np
from numpy.typing import NDArray

from domain.facts import (
    AnyFact,
    ChildCanceled,
    ChildCancelRequested,
    ChildExpired,
    ChildFilled,
    ChildSubmitted,
    EpochStarted,
    MarkoutMeasured,
    ParentAccepted,
    VenueUp,
)
from domain.fields import Action, LastLiquidityInd, OrdType, Side, TimeInForce, VenueKind
from domain.instruments import Instrument, VenueTerms
from domain.market import BookSnapshot, DealerQuoted, SymbolView
from learning.archive_rows import DAY_NS, ArchiveRows
from learning.decided import Row
from risk.limits import AccountLimits, RiskLimits
from router.features import FEATURES, schema_hash
from router.markouts import AFTER_NS
from router.model import Features, Floats, Nanoseconds
from router.policy import ExecutionPolicy
from router.routing import Routing
from router.state import State
from router.strategies import Slice

SYMBOL, EPOCH, SECOND_NS = "ALFA", "S", 1_000_000_000
EVERY_NS, SHOCK_NS = 30 * SECOND_NS, 900 * SECOND_NS
START_NS = 19_000 * DAY_NS
DECISIONS_A_PARENT = 5
VENUES = {
    "ARGO": VenueTerms("ARGO", VenueKind.LIT, "XARG", -20.0, 30.0),
    "BRIG": VenueTerms("BRIG", VenueKind.LIT, "XBRG", 5.0, 10.0),
    "DUSK": VenueTerms("DUSK", VenueKind.DARK, "XDSK", 10.0, 10.0),
    "FORD": VenueTerms("FORD", VenueKind.DEALER, "XFRD", 0.0, 0.0),
}
INSTRUMENT = Instrument(SYMBOL)
LIMITS = RiskLimits(
    max_order_qty=1_000_000,
    max_order_notional=1_000_000_000,
    max_child_qty=10_000,
    price_collar_bps=500,
    max_gross_exposure=100_000_000_000,
    max_messages_per_second=100_000,
    accounts={"ACC": AccountLimits(max_gross_exposure=100_000_000_000)},
)
POLICY = ExecutionPolicy(exploration=0.2)
LOTS = {SYMBOL: INSTRUMENT.lot_qty}
_COLUMN = {name: number for number, name in enumerate(FEATURES)}
_ACTIONS = {
    Action.POST: (-0.7, 0.3),  # logit of a fill in the middle of things, mean markout in bps
    Action.IMPROVE: (-0.1, 0.5),
    Action.TAKE: (2.2, 0.0),
    Action.MID_PEG: (-0.9, 0.2),
    Action.TAKE_QUOTE: (1.5, 0.2),
}
_VENUES = {"ARGO": (-0.4, 0.5), "BRIG": (0.4, -0.1), "DUSK": (0.0, 0.3), "FORD": (0.0, 0.6)}


class Belief:
    """A fill model that knows how much of the truth: `share` of what venue, queue and imbalance do, no markouts."""

    def __init__(self, name: str, share: float, bias: Mapping[Action, float]) -> None:
        self.model_id, self.schema_hash = name, schema_hash(VENUES)
        self._share, self._bias = share, bias

    def predict(self, features: Features, horizons_ns: Nanoseconds) -> tuple[Floats, Floats | None]:
        names = sorted(VENUES)
        logits = []
        for row in features.astype(np.float64):
            action = next(action for action in _ACTIONS if row[_COLUMN[f"action_{action.value}"]])
            venue = names[int(row[_COLUMN["venue_index"]])]
            book = _of_book(row[_COLUMN["imbalance"]], row[_COLUMN["queue_ahead"]])
            logits.append(_ACTIONS[action][0] + self._bias.get(action, 0.0) + self._share * (_VENUES[venue][0] + book))
        return 1.0 / (1.0 + np.exp(-np.array(logits))), None


LOGGING = Belief("logging", 0.0, {Action.IMPROVE: 0.3})
TARGET = Belief("target", 1.0, {})


def _of_book(imbalance: float, queue_ahead: float) -> float:
    return 0.6 * imbalance - 0.15 * (queue_ahead - 5.0)


def day(model: Belief, seed: int, decisions: int, policy: ExecutionPolicy = POLICY) -> Iterator[AnyFact]:
    """The facts of a day on which that model decides."""
    return _Day(model, seed, decisions, policy).facts()


def rows(facts: Iterator[AnyFact]) -> dict[str, list[Row]]:
    """What the archive would have of them."""
    archive = ArchiveRows(EPOCH)
    for fact in facts:
        archive.apply(fact)
    tables: dict[str, list[Row]] = {"fills": []}
    for number in archive.days():
        for table, symbol, found in archive.rows(number):
            tables.setdefault(table, []).extend(row | {"symbol": symbol} for row in found)
    return tables


class _Day:
    def __init__(self, model: Belief, seed: int, decisions: int, policy: ExecutionPolicy) -> None:
        self.rng = np.random.default_rng(seed)
        self.state = State()
        self.view = SymbolView(SYMBOL)
        self.routing = Routing({SYMBOL: INSTRUMENT}, VENUES, LIMITS, policy, model, seed, lambda: 0)
        self.decisions = decisions
        blocks = decisions * EVERY_NS // SHOCK_NS + 1
        self.fill_shock = self.rng.normal(0.0, 0.3, blocks)
        self.markout_shock = self.rng.normal(0.0, 0.3, blocks)
        self.mid_px = 100_0000
        self.exec_count = 0

    def facts(self) -> Iterator[AnyFact]:
        yield self._apply(EpochStarted(at_ns=START_NS, epoch=EPOCH, version="study"))
        for venue in VENUES:
            yield self._apply(VenueUp(at_ns=START_NS, venue=venue))
        for number in range(self.decisions):
            now_ns = START_NS + (number + 1) * EVERY_NS
            self._show(now_ns)
            if number % DECISIONS_A_PARENT == 0:
                accepted = self._parent(number // DECISIONS_A_PARENT, now_ns)
                yield self._apply(accepted)
            parent = self.state.parents[accepted.parent_id]
            wanted = Slice(100 * int(self.rng.integers(5, 16)), float(self.rng.choice([0.0, 0.3, 0.6])), True)
            sent = []
            for fact in self.routing.decide(self.state, parent, wanted, self.view, now_ns):
                yield self._apply(fact)
                if isinstance(fact, ChildSubmitted):
                    sent.append(fact)
            for child in sent:
                for fact in self._outcome(child):
                    yield self._apply(fact)

    def _apply(self, fact: AnyFact) -> AnyFact:
        self.state.apply(fact)
        return fact

    def _parent(self, number: int, now_ns: int) -> ParentAccepted:
        return ParentAccepted(
            at_ns=now_ns,
            parent_id=f"{EPOCH}-P{number}",
            client="EMS",
            cl_ord_id=f"O{number}",
            account="ACC",
            symbol=SYMBOL,
            side=Side.BUY if self.rng.random() < 0.5 else Side.SELL,
            order_qty=20_000,
            ord_type=OrdType.MARKET,
            limit_px=0,
            time_in_force=TimeInForce.DAY,
            strategy="twap",
            params={},
            arrival_mid2_px=self.view.mid2_px,
            tape_qty=0,
            tape_notional_px=0,
        )

    def _show(self, now_ns: int) -> None:
        self.mid_px += 100 * int(self.rng.integers(-3, 4))
        spread_px = 100 * int(self.rng.integers(2, 6))
        bid_px = self.mid_px - spread_px // 2 // 100 * 100
        ask_px = bid_px + spread_px
        for venue in ("ARGO", "BRIG"):
            away = [100 * int(ticks) for ticks in self.rng.integers(0, 2, 2)]
            sizes = [100 * int(lots) for lots in self.rng.integers(1, 12, 4)]
            bids = ((bid_px - away[0], sizes[0]), (bid_px - away[0] - 100, sizes[1]))
            asks = ((ask_px + away[1], sizes[2]), (ask_px + away[1] + 100, sizes[3]))
            self.view.apply(BookSnapshot(venue, SYMBOL, bids, asks), now_ns)
        until_ns = now_ns + SECOND_NS
        quote = DealerQuoted("FORD", SYMBOL, f"Q{now_ns}", self.view.bid_px, 300, self.view.ask_px, 300, until_ns)
        self.view.apply(quote, now_ns)

    def _outcome(self, child: ChildSubmitted) -> Iterator[AnyFact]:
        view, rng, side = self.view, self.rng, child.side
        near_qty, far_qty = (view.bid_qty, view.ask_qty) if side.sign > 0 else (view.ask_qty, view.bid_qty)
        book = view.books.get(child.venue)
        ahead_qty = 0
        if book is not None and child.action is Action.POST:
            ahead_qty = (book.bids if side.sign > 0 else book.asks).get(child.px, 0)
        of_book = _of_book((far_qty - near_qty) / (far_qty + near_qty), float(np.log1p(ahead_qty)))
        base, markout_bps = _ACTIONS[child.action]
        of_venue, toxic_bps = _VENUES[child.venue]
        block = (child.at_ns - START_NS) // SHOCK_NS
        chance = 1.0 / (1.0 + exp(-(base + of_venue + of_book + self.fill_shock[block])))
        resting = child.horizon_ns > 0
        end_ns = child.at_ns + (child.horizon_ns if resting else 1_000_000)
        filled_qty = 0
        if rng.random() < chance:
            there_qty = int(rng.lognormal(6.5 if resting else 7.5, 0.8))
            filled_qty = min(child.order_qty, max(there_qty - there_qty % 100, 100))
            at_ns = child.at_ns + int(rng.random() * (end_ns - child.at_ns))
            self.exec_count += 1
            exec_id = f"E{self.exec_count}"
            px = view.mid2_px // 2 if child.action is Action.MID_PEG else child.px
            liquidity = LastLiquidityInd.ADDED if resting else LastLiquidityInd.REMOVED
            yield ChildFilled(
                at_ns=at_ns,
                child_id=child.child_id,
                venue=child.venue,
                exec_id=exec_id,
                last_qty=filled_qty,
                last_px=px,
                liquidity=liquidity,
                mid2_px=view.mid2_px,
            )
            mean_bps = markout_bps + toxic_bps + self.markout_shock[block]
            for after_ns, noise_bps in zip(AFTER_NS[:2], (1.0, 3.0), strict=True):
                move_bps = mean_bps + rng.normal(0.0, noise_bps)
                mid2_px = round(view.mid2_px * (1.0 - side.sign * move_bps / 1e4))
                after = MarkoutMeasured(
                    at_ns=at_ns + after_ns, child_id=child.child_id, exec_id=exec_id, after_ns=after_ns, mid2_px=mid2_px
                )
                yield after
        if filled_qty < child.order_qty:
            if resting:
                yield ChildCancelRequested(
                    at_ns=end_ns, child_id=child.child_id, cancel_id=f"X{child.child_id}", reason="horizon"
                )
                yield ChildCanceled(at_ns=end_ns, child_id=child.child_id, text="")
            else:
                yield ChildExpired(at_ns=end_ns, child_id=child.child_id, text="")


def blocks(at_ns: NDArray[np.int64], block_ns: int = SHOCK_NS) -> NDArray[np.intp]:
    """Numbers of the stretches of time."""
    return np.unique(at_ns // block_ns, return_inverse=True)[1]
