"""The simulated market in virtual time with our node attached and idle: logged on everywhere, subscribed to the market
data of all its symbols, with no order to work.

Events are those of `bench.market`; each reaches the node as FIX, and the view that orders are decided by is kept up to
date. Where the time goes is measured by giving the venues and the node their inputs of such a run again, alone: the
rest is the virtual network's. Nothing waits here, so time is that of the processor.
"""

import json
import subprocess
import sys
from functools import partial
from resource import RUSAGE_SELF, getrusage
from statistics import median
from time import process_time
from typing import Any

import msgspec

from bench.market import DAY_AIM_S, is_compiled
from domain.market import MarketView
from fix.store import MemoryStore
from router.features import FEATURES, schema_hash
from router.model import PriorModel
from service.config import ServiceConfig
from service.examples import daemon_config, simulators_config
from service.links import Links, market_data_port
from service.node import Node
from service.runtime import calm_collector
from service.simulation import NETWORK_NS, SECOND_NS
from service.training import START_NS
from simulators import presets
from simulators.exchange import Exchange
from simulators.market import Market
from simulators.market_config import MarketConfig
from simulators.world import World
from venues import feed

AIM = 100_000.0
ROUNDS = 3
WARM_UP_S, SECONDS, DAY_S = 5, 120, 24_300  # the day with its auctions
CHUNK = 100  # inputs: what is taken apart does not outlive its use by much, as in the node
Calls = list[tuple[str, tuple[Any, ...]]]


def figures() -> list[dict[str, Any]]:
    ways = {"attached_plain": "from bench.market import uncompiled; uncompiled(); "}
    if is_compiled():
        ways["attached"] = ""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    for seed in range(ROUNDS):
        for name, before in ways.items():
            code = f"{before}from bench.attached import say; say({seed})"
            said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
            found[name].append(json.loads(said.stdout))
    lines = []
    for name, runs in found.items():
        for key in runs[0]:
            value = median(run[key] for run in runs)
            unit, aim, ratio = "us", None, None
            if key == "events_per_second":
                unit, aim, ratio = "1/s", f"an aim of {AIM:,.0f}", value / AIM
            elif key == "mid_cap_day":
                unit, aim, ratio = "s", f"an aim of {DAY_AIM_S:g} s", DAY_AIM_S / value
            elif key == "mid_cap_day_memory_growth":
                unit = "MB"
            lines.append(
                {
                    "name": f"{name}_{key}",
                    "value": round(value, None if unit == "1/s" else 1),
                    "unit": unit,
                    "vs": aim,
                    "ratio": None if ratio is None else round(ratio, 2),
                }
            )
    return lines


def say(seed: int) -> None:
    attached = Attached(seed)
    attached.advance(WARM_UP_S)
    calm_collector()  # as the daemon does
    before, elapsed_s = attached.market.events, attached.advance(SECONDS)
    events = attached.market.events - before
    day = Attached(seed, "mid_cap")
    day_s = day.advance(DAY_S / 20)
    before_kb = getrusage(RUSAGE_SELF).ru_maxrss
    day_s += day.advance(DAY_S * 19 / 20)
    grown_mb = (getrusage(RUSAGE_SELF).ru_maxrss - before_kb) / 1e3
    found = {"events_per_second": events / elapsed_s, "mid_cap_day": day_s, "mid_cap_day_memory_growth": grown_mb}
    print(json.dumps(found | parts(seed, elapsed_s / events * 1e6)))


class Recorded:
    """An endpoint or a market that keeps what it is asked to do, unless `calls` is None, and counts events."""

    def __init__(self, inner: Any, calls: Calls | None) -> None:
        self.inner = inner
        self.calls = calls
        self.events = 0
        for name in ("next_timer_ns", "next_event_ns"):
            if hasattr(inner, name):
                setattr(self, name, getattr(inner, name))

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, name)
        if self.calls is None or not callable(found):
            return found
        calls = self.calls

        def called(*args: Any) -> Any:
            calls.append((name, args))
            return found(*args)

        return called

    def advance(self, now_ns: int) -> list[Any]:
        if self.calls is not None:
            self.calls.append(("advance", (now_ns,)))
        events: list[Any] = self.inner.advance(now_ns)
        self.events += len(events)
        return events


class Attached:
    """The platform with nobody who sends orders."""

    def __init__(self, seed: int, preset: str = "", *, recorded: bool = False) -> None:
        config, simulators = daemon_config(), simulators_config()
        market = simulators.market()
        if preset:
            market = presets.load(preset)
            config = _fitting(config, market)
        self.new_market = partial(Market, market, seed, START_NS)
        self.new_exchange = partial(
            Exchange,
            counterparty=config.service.comp_id,
            latency_ns=simulators.latency_ns(),
            open_store=lambda name: MemoryStore(),
            now_ns=START_NS,
        )
        venues = tuple(venue.name for venue in config.venues)
        model = PriorModel(FEATURES.index("fill_prior"), schema_hash(venues))
        self.new_node = partial(Node, config, model, "", START_NS)
        self.market = Recorded(self.new_market(), [] if recorded else None)
        self.exchange = Recorded(self.new_exchange(self.market), []) if recorded else self.new_exchange(self.market)
        self.node = Recorded(self.new_node(), []) if recorded else self.new_node()
        self.world = World(START_NS)
        self.world.add("exchange", self.exchange)
        self.world.add("node", self.node)
        self.world.perform(self.node.start(START_NS))
        for venue in venues:
            for port in (venue, market_data_port(venue)):
                self.world.connect("node", port, "exchange", venue, NETWORK_NS)

    def advance(self, seconds: float) -> float:
        """The seconds of the processor that it took."""
        began = process_time()
        self.world.run_until(self.world.now_ns + int(seconds * SECOND_NS))
        return process_time() - began


def _fitting(config: ServiceConfig, market: MarketConfig) -> ServiceConfig:
    """The same node for another market: its symbols, and those of the venues that are in it."""
    names = {venue.name for venue in market.venues}
    instrument, replace = config.instruments[0], msgspec.structs.replace
    return replace(
        config,
        venues=tuple(replace(venue, symbols=()) for venue in config.venues if venue.name in names),
        instruments=tuple(replace(instrument, symbol=item.symbol, tick=item.tick_px) for item in market.symbols),
    )


def parts(seed: int, total_us: float) -> dict[str, float]:
    """us of each event, by where they go."""
    run = Attached(seed, recorded=True)
    run.advance(SECONDS)
    each_us = 1e6 / run.market.events
    market_us = _replayed(run.new_market(), run.market.calls) * each_us
    venues_us = _replayed(run.new_exchange(run.new_market()), run.exchange.calls) * each_us
    node_us = _replayed(run.new_node(), run.node.calls) * each_us
    sessions_s, reading_s, view_s = _heard(run.new_node().links, run.node.calls)
    return {
        "market": market_us,
        "venues": venues_us - market_us,
        "network": total_us - venues_us - node_us,
        "node_sessions": sessions_s * each_us,
        "node_reading": reading_s * each_us,
        "node_view": view_s * each_us,
        "node_rest": node_us - (sessions_s + reading_s + view_s) * each_us,
    }


def _replayed(inner: Any, calls: Calls) -> float:
    calm_collector()
    bound = [(getattr(inner, name), args) for name, args in calls]
    asked = getattr(inner, "next_timer_ns", None) or inner.next_event_ns
    began = process_time()
    for method, args in bound:
        method(*args)
        asked()
    return process_time() - began


def _heard(links: Links, calls: Calls) -> tuple[float, float, float]:
    """Seconds that the sessions take to make messages of bytes, then these to be read, and the view to be changed."""
    calm_collector()
    view = MarketView()
    seconds = [0.0, 0.0, 0.0]
    for start in range(0, len(calls), CHUNK):
        messages, updates = [], []
        began = process_time()
        for name, args in calls[start : start + CHUNK]:
            peer = getattr(links, name)(*args) if name in ("connected", "receive") else None
            if peer is not None:
                now_ns = args[-1]
                messages += [(event, peer.name, now_ns) for event in links.events(peer, now_ns)]
            links.drain(args[-1])
        seconds[0] += process_time() - began
        market_data = [said for said in messages if hasattr(said[0], "msg_type")]
        began = process_time()
        for message, venue, now_ns in market_data:
            updates.append((feed.to_updates(message, venue, now_ns), now_ns))
        seconds[1] += process_time() - began
        began = process_time()
        for found, now_ns in updates:
            for update in found:
                view.apply(update, now_ns)
        seconds[2] += process_time() - began
    return seconds[0], seconds[1], seconds[2]
