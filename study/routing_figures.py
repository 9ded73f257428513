"""What the days of the study on routing say: costs, paired differences, and how sure they are.

Costs are in bps of the notional at arrival, summed over parents and then divided, so a large order counts as it should.
The rankings are compared on the same days, and an interval is the middle 95% of what comes out when whole days are
drawn again with replacement (`learning.intervals`): the orders of a day share their market.
"""

from collections import defaultdict
from collections.abc import Sequence

import msgspec
import numpy as np

from learning.intervals import Floats, Interval, draws, interval
from study.routing_day import RANKINGS, DayResult, ParentCost, Played

DRAWS = 4_000
BOOTSTRAP_SEED = 1
ALL = "all"


class Figure(msgspec.Struct, frozen=True):
    value: float
    low: float
    high: float


class Against(msgspec.Struct, frozen=True):
    """Learned routing beside another ranking: how many bps it saves, and which share of the other's cost."""

    saved_bps: Figure
    reduction: Figure


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the study: all of it, a regime or a strategy."""

    days: int
    parents: int
    cost_bps: dict[str, Figure]
    against: dict[str, Against]


class Source(msgspec.Struct, frozen=True):
    """Fills by one action, in bps of all notional; `share` of the quantity ordered, `filled` of the orders sent."""

    orders: int
    filled: float
    share: float
    spread_bps: float
    fee_bps: float
    drift_bps: float
    markout_bps: float


class Study(msgspec.Struct, frozen=True, kw_only=True):
    """What study/routing.json holds. `daily`: of each day regime, symbol, notional, and the cost of each ranking."""

    days: int
    seeds: tuple[int, int]
    model: str
    code: str
    design: dict[str, str]
    regimes: dict[str, Slice]
    strategies: dict[str, Slice]
    sources: dict[str, dict[str, Source]]
    rest_bps: dict[str, float]
    daily: list[tuple[str, str, float, list[float]]]


def study_of(results: Sequence[DayResult], model: str, code: str, design: dict[str, str]) -> Study:
    regimes = list(dict.fromkeys(result.day.regime for result in results))
    strategies = sorted({parent.strategy for result in results for parent in result.played[0].parents})
    seeds = [result.day.seed for result in results]
    return Study(
        days=len(results),
        seeds=(min(seeds), max(seeds)),
        model=model,
        code=code,
        design=design,
        regimes={ALL: _slice(results)}
        | {regime: _slice([result for result in results if result.day.regime == regime]) for regime in regimes},
        strategies={strategy: _slice(results, strategy) for strategy in strategies},
        sources={name: _sources([result.played[number] for result in results]) for number, name in enumerate(RANKINGS)},
        rest_bps={
            name: round(_rest_bps([result.played[number] for result in results]), 4)
            for number, name in enumerate(RANKINGS)
        },
        daily=[_daily(result) for result in results],
    )


def _daily(result: DayResult) -> tuple[str, str, float, list[float]]:
    notional = sum(parent.notional for parent in result.played[0].parents)
    costs = [round(sum(p.shortfall for p in played.parents) / notional * 1e4, 3) for played in result.played]
    return result.day.regime, result.symbol, round(notional / 1e4), costs


def _slice(results: Sequence[DayResult], strategy: str = "") -> Slice:
    costs, notional, parents = [], [], 0
    for result in results:
        of_day = [[p for p in played.parents if strategy in ("", p.strategy)] for played in result.played]
        costs.append([sum(parent.shortfall for parent in of_ranking) for of_ranking in of_day])
        notional.append(sum(parent.notional for parent in of_day[0]))
        parents += len(of_day[0])
    cost, weight = np.array(costs).T, np.array(notional)
    learned = cost[0]
    return Slice(
        days=len(results),
        parents=parents,
        cost_bps={name: _ratio(cost[n] * 1e4, weight) for n, name in enumerate(RANKINGS)},
        against={
            name: Against(
                _ratio((cost[n] - learned) * 1e4, weight),
                _ratio(cost[n] - learned, cost[n]),
            )
            for n, name in enumerate(RANKINGS)
            if n
        },
    )


def _ratio(over: Floats, under: Floats) -> Figure:
    """Of two sums over days, with the interval of drawn days."""
    block = np.arange(len(over))
    drawn = draws(block, DRAWS, BOOTSTRAP_SEED)
    found: Interval = interval(
        lambda weights: float((weights @ over) / (weights @ under)), np.ones(len(over)), block, drawn
    )
    return Figure(round(float(over.sum() / under.sum()), 4), round(found.low, 4), round(found.high, 4))


def _rest_bps(days: Sequence[Played]) -> float:
    parents: list[ParentCost] = [parent for played in days for parent in played.parents]
    return sum(parent.rest for parent in parents) / sum(parent.notional for parent in parents) * 1e4


def _sources(days: Sequence[Played]) -> dict[str, Source]:
    parents = [parent for played in days for parent in played.parents]
    bps = 1e4 / sum(parent.notional for parent in parents)
    ordered = sum(parent.notional for parent in parents)
    sums: defaultdict[str, Floats] = defaultdict(lambda: np.zeros(7))
    for played in days:
        for name, part in played.parts.items():
            figures = (part.orders, part.filled_orders, part.value, part.spread, part.fee, part.drift, part.markout)
            sums[name.split()[1]] += figures
    return {
        action: Source(
            int(found[0]),
            *(round(float(value), 4) for value in (found[1] / found[0], found[2] / ordered, *(found[3:] * bps))),
        )
        for action, found in sorted(sums.items())
    }
