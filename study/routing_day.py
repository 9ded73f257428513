"""One day of the study on routing: the same market and the same parents, worked once under each ranking.

A day is one symbol, short enough that hundreds of them fit into an hour. The regimes change figures of the market and
nothing else. All of a parent is charged: what filled at its price and fee, and what did not at the price of crossing
the displayed books at the parent's end, or at the end of the day.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import partial
from random import Random
from typing import Any

import msgspec

from domain.facts import (
    AnyFact,
    ChildFilled,
    ChildSubmitted,
    DecisionMade,
    MarkoutMeasured,
    ParentAccepted,
    ParentDone,
)
from domain.fields import LastLiquidityInd, Side
from domain.instruments import VenueTerms
from router.model import FillModel
from router.policy import Ranking
from router.statistics import VenueStatistics
from service.examples import daemon_config, simulators_config
from service.node import Node
from service.simulation import SECOND_NS, Recorder, Simulation
from simulators.book import Reference
from simulators.client import Ems, Plan, PlannedOrder
from simulators.client_session import EmsSession
from simulators.market import Market
from simulators.market_config import DarkConfig, DealerConfig, MarketConfig, SymbolConfig

RANKINGS: tuple[Ranking, ...] = ("learned", "table", "static", "random")
DAY_NS = 86_400 * SECOND_NS
START_NS = 1_699_963_200 * SECOND_NS  # a midnight (UTC); day 0
WARM_UP_S = 20
ARRIVALS_S = 90  # parents arrive within
LENGTH_S = 200  # from the warm-up's end to the close
PARENTS = 5
SWEEPS = 1  # of them; the others are worked to a schedule
TWAP_S = (60, 100)
SIZE = (0.01, 0.05)  # share of what is expected to trade on the lit books of the day
SWEPT = 0.25  # of such a size: nobody sends at once what the market trades in half a minute
LIMITED = 0.25  # share of the parents with a limit
LIMIT_TICKS = (5, 25)  # through the reference price

# Figures of the market, as factors of the symbol's own where they are numbers of the same name with "x".
ACTIVITY = 0.6  # of the example's rates: a share that is a little quieter, and cheaper to simulate
REGIMES: Mapping[str, Mapping[str, float]] = {
    "calm": {"x daily_volatility": 0.6, "volatility_spread": 0.2, "jump_share": 0.002},
    "volatile": {
        "x daily_volatility": 2.2,
        "volatility_spread": 0.6,
        "jump_share": 0.015,
        "x events_per_second": ACTIVITY * 1.3,
    },
    "trending": {"trend_bps": 4.0, "trend_s": 400.0, "split_tail": 1.2, "longest_split": 100},
    "toxic": {"flow_variance": 0.5, "impact": 0.6, "excitation": 0.92},
}
# Off the lit books: who comes knows more, and dealers look longer.
TOXIC_DARK = {"informed_share": 0.8, "leakage": 3.0}
TOXIC_DEALER = {"informed_share": 0.6, "tolerance_bps": 0.1}


class Day(msgspec.Struct, frozen=True):
    """`number` counts from START_NS on; the seed is that of the market and of the parents."""

    regime: str
    number: int
    seed: int

    @property
    def start_ns(self) -> int:
        return START_NS + self.number * DAY_NS


class Part(msgspec.Struct, kw_only=True):
    """Fills at one venue by one action. Money in Px shares (1e-4 currency units); positive is a cost to us."""

    orders: int = 0
    filled_orders: int = 0
    qty: int = 0
    value: float = 0.0  # at the arrival mid
    spread: float = 0.0  # paid against the mid when the child was sent
    drift: float = 0.0  # of that mid since the parent's arrival
    fee: float = 0.0
    markout: float = 0.0  # of the mid 10 s after the fill, against us


class ParentCost(msgspec.Struct, kw_only=True):
    """What one parent cost. Money as in `Part`; the shortfall is price + fee + rest, of `notional`."""

    strategy: str
    side: int
    order_qty: int
    filled_qty: int
    notional: float  # at the arrival mid
    price: float
    fee: float
    rest: float  # of what did not fill: crossed at the end, with its fees

    @property
    def shortfall(self) -> float:
        return self.price + self.fee + self.rest


class Played(msgspec.Struct, kw_only=True):
    """One ranking's day."""

    ranking: str
    parents: list[ParentCost]
    parts: dict[str, Part]  # "VENUE action"
    decisions: int


class DayResult(msgspec.Struct, kw_only=True):
    day: Day
    symbol: str
    played: list[Played]


def design() -> dict[str, str]:
    """How a day is made, in words."""
    low, high = SIZE
    return {
        "day": f"one symbol, {LENGTH_S} s after {WARM_UP_S} s of warm-up, {ACTIVITY:.0%} of the example's rates",
        "orders": f"{PARENTS} a day, within {ARRIVALS_S} s: {SWEEPS} sweep, the others TWAPs of {TWAP_S[0]} to "
        f"{TWAP_S[1]} s, buys and sells in turn",
        "sizes": f"{low:.0%} to {high:.0%} of the day's expected volume on the lit books, a sweep {SWEPT:.0%} of that",
        "limits": f"{LIMITED:.0%} of the orders, {LIMIT_TICKS[0]} to {LIMIT_TICKS[1]} ticks through the arrival price",
        "what did not fill": "is charged at the displayed prices and taker fees of the lit books at the order's end",
        **{regime: ", ".join(f"{name} {value:g}" for name, value in REGIMES[regime].items()) for regime in REGIMES},
        "toxic, dark": ", ".join(f"{name} {value:g}" for name, value in TOXIC_DARK.items()),
        "toxic, dealers": ", ".join(f"{name} {value:g}" for name, value in TOXIC_DEALER.items()),
    }


def market(regime: str, seed: int) -> MarketConfig:
    """The market of a day: one of the example's symbols, drawn by the seed, changed as the regime says."""
    example = simulators_config().market()
    symbol = Random(f"symbol/{seed}").choice(example.symbols)
    symbol = _changed(symbol, {"x events_per_second": ACTIVITY} | REGIMES[regime])
    venues = example.venues
    if regime == "toxic":
        venues = tuple(
            msgspec.structs.replace(venue, **TOXIC_DARK)
            if isinstance(venue, DarkConfig)
            else msgspec.structs.replace(venue, **TOXIC_DEALER)
            if isinstance(venue, DealerConfig)
            else venue
            for venue in venues
        )
    return msgspec.structs.replace(example, symbols=(symbol,), venues=venues)


def _changed(symbol: SymbolConfig, figures: Mapping[str, float]) -> SymbolConfig:
    changes: dict[str, Any] = {}
    for name, value in figures.items():
        factor, _, field = name.rpartition(" ")
        changes[field] = value * getattr(symbol, field) if factor else value
    return msgspec.structs.replace(symbol, **changes)


def expected_volume(config: MarketConfig) -> float:
    """Shares that takers are expected to trade on the lit books within a day."""
    symbol = config.symbols[0]
    flow = sum(venue.flow_share for venue in config.venues if hasattr(venue, "flow_share"))
    return symbol.events_per_second * symbol.taker_share * flow * symbol.mean_lots * symbol.lot_qty * LENGTH_S


def plan(day: Day, config: MarketConfig, account: str) -> Plan:
    """The parents of a day. They depend on the day alone, so every ranking has the same."""
    rng = Random(f"parents/{day.seed}")
    symbol, volume = config.symbols[0], expected_volume(config)
    steps: Plan = []
    for number in range(PARENTS):
        at_ns = day.start_ns + int((WARM_UP_S + rng.random() * ARRIVALS_S) * SECOND_NS)
        side = rng.choice((Side.BUY, Side.SELL)) if number < SWEEPS else (Side.BUY, Side.SELL)[number % 2]
        swept = number < SWEEPS
        shares = rng.uniform(*SIZE) * volume * (SWEPT if swept else 1.0)
        qty = max(int(shares / symbol.lot_qty), 1) * symbol.lot_qty
        limit_ticks = rng.randint(*LIMIT_TICKS) if rng.random() < LIMITED else None
        duration_s = rng.randint(*TWAP_S)
        strategy, params = "sweep", {}
        if not swept:
            strategy, params = "twap", {"duration_s": duration_s}
        order = PlannedOrder(
            f"P{number + 1}", account, symbol.symbol, side, qty, limit_ticks, symbol.tick_px, strategy, params
        )
        steps.append((at_ns, order))
    return sorted(steps, key=lambda step: step[0])


def play(
    day: Day,
    ranking: Ranking,
    model: FillModel,
    statistics: VenueStatistics,
    exploration: float = 0.0,
) -> tuple[Simulation, "Books"]:
    """A simulation that has reached the end of the day. `statistics`: what the router knew at its beginning."""
    config, simulated = daemon_config(), simulators_config()
    made = market(day.regime, day.seed)
    config = msgspec.structs.replace(
        config,
        policy=msgspec.structs.replace(
            config.policy,
            ranking=ranking,
            exploration=exploration,
            explored_slice_share=1.0,
            max_explored_share=1.0,
            max_explored_bps=1e9,
        ),
        service=msgspec.structs.replace(config.service, seed=day.seed),
        instruments=tuple(item for item in config.instruments if item.symbol == made.symbols[0].symbol),
    )
    client = config.clients[0]
    running = Market(made, day.seed, day.start_ns)
    reference = running.references[made.symbols[0].symbol]
    ems = Ems(
        EmsSession(client.begin_string, client.name, config.service.comp_id),
        plan(day, made, client.accounts[0]),
        lambda symbol: reference.mid2_px // 2,
    )
    terms = {venue.name: venue.terms() for venue in config.venues if venue.enabled}
    simulation = Simulation(
        config,
        running,
        simulated.latency_ns(),
        model,
        {client.name: ems},
        day.start_ns,
        endpoint=partial(Books, reference=reference, terms=terms),
    )
    simulation.node.state.statistics = deepcopy(statistics)
    simulation.world.run_until(day.start_ns + (WARM_UP_S + LENGTH_S) * SECOND_NS)
    books = simulation.endpoint
    assert isinstance(books, Books)
    books.close()
    return simulation, books


class Books(Recorder):
    """A node whose facts are kept, and beside them what completing each parent by crossing cost at its end."""

    def __init__(self, node: Node, reference: Reference, terms: Mapping[str, VenueTerms]) -> None:
        super().__init__(node)
        self.rest: dict[str, float] = {}  # parent id -> Px shares, price and fee
        self.terms = terms
        self._reference = reference

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = super().__getattr__(name)
        if name == "next_timer_ns":
            return method

        def called(*args: Any) -> Any:
            output = method(*args)
            for fact in output.facts:
                if isinstance(fact, ParentDone):
                    self._charge(fact.parent_id)
            return output

        return called

    def close(self) -> None:
        """What is open at the end of the day is crossed as well."""
        for parent_id in self.node.state.open_parents:
            self._charge(parent_id)

    def _charge(self, parent_id: str) -> None:
        parent = self.node.state.parents[parent_id]
        left_qty = parent.order_qty - parent.cum_qty
        self.rest[parent_id] = crossed(self._reference, parent.accepted.side, left_qty, self.terms)


def crossed(reference: Reference, side: Side, qty: int, terms: Mapping[str, VenueTerms]) -> float:
    """Px shares to pay (buy) or to get (sell), fees counted, for crossing the displayed lit books with `qty`.

    What the books don't show costs the worst price that they do.
    """
    levels = []
    for book in reference.books:
        fee_px = terms[book.venue].taker_fee_px
        shown = (book.asks if side is Side.BUY else book.bids).depth()
        levels += [(px + side.sign * fee_px, level_qty) for px, level_qty in shown]
    levels.sort(key=lambda level: side.sign * level[0])
    paid = 0.0
    for px, level_qty in levels:
        taken_qty = min(qty, level_qty)
        paid += px * taken_qty
        qty -= taken_qty
    return paid + (levels[-1][0] * qty if qty and levels else 0.0)


def cost(ranking: str, facts: list[AnyFact], books: Books) -> Played:
    """What a played day cost, by parent and by venue and action."""
    parents: dict[str, ParentCost] = {}
    arrival_px: dict[str, float] = {}
    children: dict[str, ChildSubmitted] = {}
    sent_mid_px: dict[str, float] = {}
    decided_mid_px = 0.0
    parts: defaultdict[str, Part] = defaultdict(Part)
    fills: dict[str, ChildFilled] = {}
    filled_children: set[str] = set()
    decisions = 0
    for fact in facts:
        match fact:
            case ParentAccepted():
                arrival = arrival_px[fact.parent_id] = fact.arrival_mid2_px / 2
                parents[fact.parent_id] = ParentCost(
                    strategy=fact.strategy,
                    side=fact.side.sign,
                    order_qty=fact.order_qty,
                    filled_qty=0,
                    notional=arrival * fact.order_qty,
                    price=0.0,
                    fee=0.0,
                    rest=0.0,
                )
            case DecisionMade():
                decisions += 1
                decided_mid_px = (fact.bid_px + fact.ask_px) / 2
            case ChildSubmitted():
                children[fact.child_id] = fact
                sent_mid_px[fact.child_id] = decided_mid_px
                parts[f"{fact.venue} {fact.action}"].orders += 1
            case ChildFilled():
                child, fills[fact.exec_id] = children[fact.child_id], fact
                parent, part = parents[child.parent_id], parts[f"{child.venue} {child.action}"]
                sign, qty = child.side.sign, fact.last_qty
                part.filled_orders += fact.child_id not in filled_children
                filled_children.add(fact.child_id)
                arrival, sent = arrival_px[child.parent_id], sent_mid_px[fact.child_id]
                terms = books.terms[fact.venue]
                fee = (terms.maker_fee_px if fact.liquidity is LastLiquidityInd.ADDED else terms.taker_fee_px) * qty
                parent.filled_qty += qty
                parent.price += sign * (fact.last_px - arrival) * qty
                parent.fee += fee
                part.qty += qty
                part.value += arrival * qty
                part.spread += sign * (fact.last_px - sent) * qty
                part.drift += sign * (sent - arrival) * qty
                part.fee += fee
            case MarkoutMeasured() if fact.mid2_px and fact.after_ns == 10 * SECOND_NS and fact.exec_id in fills:
                fill, child = fills[fact.exec_id], children[fact.child_id]
                if fill.mid2_px:
                    moved = (fill.mid2_px - fact.mid2_px) / 2 * child.side.sign
                    parts[f"{child.venue} {child.action}"].markout += moved * fill.last_qty
            case _:
                pass
    for parent_id, parent in parents.items():
        left_qty = parent.order_qty - parent.filled_qty
        paid = books.rest[parent_id] if left_qty else 0.0
        parent.rest = parent.side * (paid - arrival_px[parent_id] * left_qty)
    return Played(ranking=ranking, parents=list(parents.values()), parts=dict(parts), decisions=decisions)


def run_day(day: Day, model: FillModel, statistics: VenueStatistics) -> DayResult:
    """The day under all rankings."""
    played = []
    for ranking in RANKINGS:
        simulation, books = play(day, ranking, model, statistics)
        played.append(cost(ranking, simulation.facts, books))
    return DayResult(day=day, symbol=market(day.regime, day.seed).symbols[0].symbol, played=played)
