"""Is a venue that turns noticed, does its rank fall, and is it left in peace while it stays as it was?

`python -m study.drift`: days of the simulated market through the whole node. On some of them a venue turns halfway: it
refuses half of the orders, or the other side of its fills knows where the price goes. Counted are the orders there,
from the turn on, whose outcome was known before the alarm; its rank is that of its best candidate among the venues, in
the mean over decisions that had one, beside what it would have been without the router's corrections. On the others
nothing turns, and every alarm is false.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table

from domain.facts import AnyFact, CandidateRecord, DecisionMade, VenueDrifted
from router.state import State
from service.examples import daemon_config, simulators_config
from service.runtime import load_model
from service.training import SECONDS_A_PARENT, START_NS, WARM_UP_NS, produce
from simulators.market_config import MarketConfig

SECOND_NS = 1_000_000_000
REJECTS: dict[str, float] = {"reject_share": 0.5}
TOXIC: dict[str, float] = {"toxic_share": 1.0, "toxic_bps": 5.0}
TURNS = {
    "ARGO refuses": ("ARGO", REJECTS),
    "CLIP refuses": ("CLIP", REJECTS),
    "ARGO is toxic": ("ARGO", TOXIC),
    "BRIG is toxic": ("BRIG", TOXIC),
}


@dataclass(frozen=True)
class Turned:
    """What became of a day on which a venue turned."""

    orders: int | None  # resolved there until the alarm, from the turn on; None: never noticed
    seconds: float | None
    resolved: int  # there, in all that was left of the day
    rank_before: float
    rank_after: float  # from the turn on
    rank_uncorrected: float  # of the same decisions, had the model's word stood
    share_before: float  # of what was sent, that went there
    share_after: float
    false_alarms: int  # before the turn
    elsewhere: int  # alarms of others from then on: where one is toxic, the price turns for orders at others too


def market(turn: str, at_s: float) -> MarketConfig:
    """The example market, in which a venue turns at this time; "" for none."""
    usual = simulators_config().market()
    if not turn:
        return usual
    name, figures = TURNS[turn]
    venues = tuple(
        msgspec.structs.replace(venue, change=({"at_s": at_s, **figures},)) if venue.name == name else venue
        for venue in usual.venues
    )
    return msgspec.structs.replace(usual, venues=venues)


def day(turn: str, seed: int, parents: int, models: Path | None) -> tuple[list[AnyFact], int]:
    """The facts of a day, and when the venue turned."""
    at_s = (WARM_UP_NS / SECOND_NS) + parents * SECONDS_A_PARENT / 2
    config, simulators = daemon_config(), simulators_config()
    model, _ = load_model(config, models)
    facts = produce(config, market(turn, at_s), simulators.latency_ns(), parents, seed, model=model, exploration=0.0)
    return facts, START_NS + int(at_s * SECOND_NS)


def clean(seed: int, parents: int, models: Path | None) -> tuple[int, list[str]]:
    """The orders of a day on which nothing turned whose outcome was known, and its alarms."""
    facts, _ = day("", seed, parents, models)
    state = State()
    for fact in facts:
        state.apply(fact)
    alarms = [f"{fact.venue}: {fact.text}" for fact in facts if isinstance(fact, VenueDrifted)]
    return sum(monitor.orders for monitor in state.health.venues.values()), alarms


def turned(turn: str, seed: int, parents: int, models: Path | None) -> Turned:
    facts, turned_ns = day(turn, seed, parents, models)
    venue = TURNS[turn][0]
    state = State()
    noticed: VenueDrifted | None = None
    before = false_alarms = elsewhere = 0
    ranks: tuple[list[tuple[int, int]], list[tuple[int, int]]] = [], []
    sent = np.zeros((2, 2))
    for fact in facts:
        if fact.at_ns < turned_ns:
            before = state.health.venues[venue].orders if venue in state.health.venues else 0
        if isinstance(fact, VenueDrifted):
            if fact.at_ns < turned_ns:
                false_alarms += 1
            elif fact.venue == venue:
                noticed = noticed or fact
            else:
                elsewhere += 1
        elif isinstance(fact, DecisionMade):
            if (both := _ranks(fact, venue)) is not None:
                ranks[fact.at_ns >= turned_ns].append(both)
            for candidate in fact.candidates:
                sent[int(fact.at_ns >= turned_ns), int(candidate.venue == venue)] += candidate.chosen_qty
        state.apply(fact)
    shares = sent[:, 1] / np.maximum(sent.sum(axis=1), 1.0)
    return Turned(
        noticed.orders - before if noticed else None,
        (noticed.at_ns - turned_ns) / SECOND_NS if noticed else None,
        state.health.venues[venue].orders - before,
        float(np.mean([rank for rank, _ in ranks[0]])),
        float(np.mean([rank for rank, _ in ranks[1]])),
        float(np.mean([rank for _, rank in ranks[1]])),
        float(shares[0]),
        float(shares[1]),
        false_alarms,
        elsewhere,
    )


def _ranks(decision: DecisionMade, venue: str) -> tuple[int, int] | None:
    """1 for the venue with the best candidate of all, None where it had none or was alone.

    As it was, and had the venue's own correction been none.
    """
    best: dict[str, float] = {}
    uncorrected_bps = float("inf")
    for candidate in decision.candidates:
        best[candidate.venue] = min(candidate.cost_bps, best.get(candidate.venue, float("inf")))
        if candidate.venue == venue:
            uncorrected_bps = min(uncorrected_bps, _uncorrected_bps(candidate))
    if venue not in best or len(best) < 2:
        return None
    others = [cost for name, cost in best.items() if name != venue]
    return 1 + sum(cost < best[venue] for cost in others), 1 + sum(cost < uncorrected_bps for cost in others)


def _uncorrected_bps(candidate: CandidateRecord) -> float:
    expected = candidate.fill_probability * candidate.filled_fraction
    filled_bps = candidate.price_bps + candidate.fee_bps + candidate.markout_bps - candidate.markout_shift_bps
    return expected * filled_bps + (1.0 - expected) * candidate.no_fill_bps


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m study.drift", description=__doc__)
    parser.add_argument("--days", type=int, default=20, help="on which nothing turns")
    parser.add_argument("--seeds", type=int, default=3, help="days for each way to turn")
    parser.add_argument("--parents", type=int, default=600, help="orders of a day, one in two seconds")
    parser.add_argument("--models", type=Path, metavar="DIR", help="registry of the model that serves; none: the prior")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    turns = [(turn, 1_000 + seed) for turn in TURNS for seed in range(args.seeds)]
    with ProcessPoolExecutor(args.workers, get_context("spawn")) as pool:
        quiet = [pool.submit(clean, 1 + seed, args.parents, args.models) for seed in range(args.days)]
        found = [pool.submit(turned, turn, seed, args.parents, args.models) for turn, seed in turns]
        results = [(turn, one.result()) for (turn, _), one in zip(turns, found, strict=True)]
        days = [one.result() for one in quiet]
    table = Table(title="A venue turns", title_justify="left", box=None)
    for name in (
        "what",
        "orders until noticed",
        "seconds",
        "of",
        "rank before",
        "after",
        "uncorrected",
        "share before",
        "after",
    ):
        table.add_column(name, justify="left" if name == "what" else "right")
    for turn, one in results:
        table.add_row(
            turn, str(one.orders or "never"), f"{one.seconds or 0:.0f}", str(one.resolved), f"{one.rank_before:.2f}",
            f"{one.rank_after:.2f}", f"{one.rank_uncorrected:.2f}", f"{one.share_before:.1%}", f"{one.share_after:.1%}",
        )  # fmt: skip
    console = Console(width=140)
    console.print(table)
    alarms = [alarm for _, each in days for alarm in each]
    orders = sum(count for count, _ in days)
    console.print(f"{len(days)} days on which nothing turned, {orders:,} orders: {len(alarms)} false alarms", *alarms)
    if args.json:
        result = {
            "turned": [{"what": turn, **vars(one)} for turn, one in results],
            "clean": {"days": len(days), "orders": orders, "alarms": alarms},
        }
        args.json.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n")


if __name__ == "__main__":
    main()
