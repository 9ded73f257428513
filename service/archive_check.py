"""Whether the features that a journal recorded follow from the rest of it: computed again, they must be the same bits.

Facts are applied as in a recovery, and recorded market data as it came; before each decision its slice, candidates and
features are computed anew from that and compared with the record. A difference means that training and serving see
different things: another config than the daemon had, or a mistake.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from domain.facts import AnyFact, DecisionMade, MarketDataDown, MessageReceived, Started
from domain.market import MarketView
from fix.message import parse
from fix.messages import FieldError
from router.features import FEATURES, FILL_PRIOR
from router.model import PriorModel
from router.routing import Routing
from router.state import State
from router.strategies import Slice
from router.watching import Watching
from service.config import ServiceConfig
from service.links import Links, PeerKind
from venues import feed

_EXAMPLES = 5


@dataclass
class Check:
    """What was compared. `unchecked` decisions had no recorded market data, or features of another schema."""

    decisions: int = 0
    candidates: int = 0
    differences: int = 0  # decisions
    unchecked: int = 0
    why_unchecked: str = ""
    examples: list[str] = field(default_factory=list)  # the first differences, in words


def check_features(batches: Iterable[list[AnyFact]], config: ServiceConfig) -> Check:
    """Computes the features of every decision in a journal anew, with the config of the daemon that wrote it."""
    replay, check = _Replay(config), Check()
    for batch in batches:
        for fact in batch:
            if isinstance(fact, DecisionMade):
                check.decisions += 1
                check.candidates += len(fact.candidates)
                why = replay.why_unchecked(fact)
                if why:
                    check.unchecked += 1
                    check.why_unchecked = why
                elif difference := replay.difference(fact):
                    check.differences += 1
                    if len(check.examples) < _EXAMPLES:
                        check.examples.append(f"decision {fact.decision_id} of {fact.parent_id}: {difference}")
            replay.apply(fact)
    return check


class _Replay:
    """The state and the market view as they were, from facts and recorded market data."""

    def __init__(self, config: ServiceConfig) -> None:
        venues = {venue.name: venue.terms() for venue in config.venues if venue.enabled}
        instruments = {item.symbol: item.instrument for item in config.instruments}
        model = PriorModel(FILL_PRIOR, "")
        self._routing = Routing(instruments, venues, config.risk, config.policy, model, 0, lambda: 0)
        self._venue_of = {
            peer.session.name: peer.name for peer in Links(config, 0).peers if peer.kind is PeerKind.MARKET_DATA
        }
        self._state = State()
        self._market = MarketView()
        self._watching = Watching(self._state, self._market, self._routing)
        self._hears = False  # whether any market data was recorded since the start

    def apply(self, fact: AnyFact) -> None:
        match fact:
            case MessageReceived() if fact.session in self._venue_of:
                self._hears = True
                try:
                    for update in feed.to_updates(parse(fact.raw), self._venue_of[fact.session], fact.at_ns):
                        self._market.apply(update, fact.at_ns)
                except FieldError:
                    pass  # the daemon has refused it too, and what came before it in the message counts
            case MarketDataDown():
                self._market.forget_venue(fact.venue, fact.at_ns)
            case Started():  # the view is not kept over a restart
                self._market, self._hears = MarketView(), False
                self._watching = Watching(self._state, self._market, self._routing)
        self._state.apply(fact)

    def why_unchecked(self, decision: DecisionMade) -> str:
        if decision.schema_hash != self._routing.schema_hash:
            return f"schema {decision.schema_hash} recorded, this version and config have {self._routing.schema_hash}"
        if not self._hears:
            return "no market data in the journal; the daemon records it with record_market_data = true"
        return ""

    def difference(self, decision: DecisionMade) -> str:
        """What differs between the record and the same decision computed anew, "" where nothing does."""
        parent = self._state.parents[decision.parent_id]
        wanted = Slice(decision.slice_qty, decision.urgency, decision.horizon_ns > 0)
        view = self._market.symbol(decision.symbol)
        terms = self._watching.terms(parent)
        found, rows = self._routing.look(self._state, parent, wanted, view, decision.at_ns, terms)
        recorded = [(c.venue, c.action.value, c.px, c.max_qty) for c in decision.candidates]
        computed = [(c.venue, c.action.value, c.px, c.max_qty) for c in found]
        if recorded != computed:
            odd = sorted(set(recorded) ^ set(computed))[:3]
            return f"{len(recorded)} candidates recorded, {len(computed)} computed; not in both: {odd}"
        if rows.tobytes() == decision.features:
            return ""
        served = np.frombuffer(decision.features, dtype="<f4").reshape(rows.shape)
        row, column = map(int, np.argwhere(served.view(np.uint32) != rows.view(np.uint32))[0])
        venue, action = recorded[row][:2]
        was, now = served[row, column], rows[row, column]
        return f"{FEATURES[column]} of {action} at {venue}: {was} recorded, {now} computed"
