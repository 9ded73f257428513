"""`fairlead qa`: scenario files, each played in virtual time through the real node, the simulated venues and an EMS.

A scenario passes if what it expects came true and, always, if the books of all sides agree, the EMS has nothing to
complain of and nothing is left open. The daemon's config is the example in `deploy/`, with what the scenario changes.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from domain.commands import ReleaseKillSwitch, SetKillSwitch
from domain.facts import AnyFact, ChildFilled, ChildSubmitted, ExecutionUnknown, decode_batch, encode_batch
from domain.fields import ExecType
from router.features import FEATURES, schema_hash
from router.model import PriorModel
from service import toml
from service.config import ServiceConfig
from service.examples import daemon_config, simulators_config
from service.node import Node, NodeOutput
from service.reconcile import reconcile
from service.simulation import SECOND_NS, Simulation
from simulators.client import Ems, Plan, PlannedCancel, PlannedOrder, PlannedReplace
from simulators.client_orders import EmsOrder
from simulators.client_session import EmsSession
from simulators.config import SimulatorsConfig
from simulators.market import Market
from simulators.market_config import MarketConfig
from simulators.scenario import SIDES, OperatorStep, OrderExpectation, OrderStep, RequestStep, Scenario

BUNDLED = Path(__file__).resolve().parent.parent / "simulators" / "scenarios"
START_NS = 1_700_000_000 * SECOND_NS
LOOK_NS, RECONNECT_NS = 5_000_000, 200_000_000
PATIENCE_S, LINGER_S = 60.0, 1.0


@dataclass
class Outcome:
    """How a scenario went; it passed if there is nothing in `failures`."""

    name: str
    title: str
    failures: list[str] = field(default_factory=list)
    virtual_s: float = 0.0
    real_s: float = 0.0


def load(path: Path) -> Scenario:
    """toml.ConfigErrors with all that is wrong with the file."""
    return toml.load(Scenario, path, _disagreements)


def find(places: list[Path]) -> list[Path]:
    """The scenario files in directories and among files, in the order of their names."""
    return [path for place in places for path in (sorted(place.glob("*.toml")) if place.is_dir() else [place])]


def play(name: str, scenario: Scenario) -> Outcome:
    """One scenario from beginning to end."""
    try:
        trial = Trial(scenario)
    except (ValueError, msgspec.ValidationError) as error:
        return Outcome(name, scenario.title, [f"can't be played: {error}"])
    begun = time.perf_counter()
    trial.run_through()
    outcome = Outcome(name, scenario.title, list(trial.failures()))
    outcome.real_s = time.perf_counter() - begun
    outcome.virtual_s = (trial.world.now_ns - START_NS) / SECOND_NS
    return outcome


class _Process:
    """A node and the journal it leaves; while it is dead, bytes to it are lost and nothing comes back."""

    def __init__(self, node: Node) -> None:
        self.node: Node | None = node
        self.journal: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        def called(*args: Any) -> NodeOutput:
            if self.node is None:
                return NodeOutput(closes=[args[0]] if name == "connected" else [])
            return self.perform(getattr(self.node, name)(*args))

        return called

    def next_timer_ns(self) -> int | None:
        return self.node.next_timer_ns() if self.node is not None else None

    def perform(self, output: NodeOutput) -> NodeOutput:
        if output.facts:
            self.journal.append(encode_batch(output.facts))
        return output


class Trial(Simulation):
    """A scenario under way. Connections that are lost come back, as they do with a real daemon and a real EMS."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        config, simulated = _daemon(scenario), _simulators(scenario)
        self.model = PriorModel(FEATURES.index("fill_prior"), schema_hash([venue.name for venue in config.venues]))
        market_config = simulated.market()
        symbols = tuple(symbol for symbol in market_config.symbols if symbol.symbol in scenario.symbols)
        market = Market(MarketConfig(symbols=symbols, venues=market_config.venues), scenario.seed, START_NS)
        start_px = {symbol.symbol: symbol.start_px for symbol in symbols}

        def reference_px(symbol: str) -> int:
            return market.references[symbol].mid2_px // 2 or start_px[symbol]

        ticks = {symbol.symbol: symbol.tick_px for symbol in symbols}
        versions = {client.name: client.begin_string for client in config.clients}
        ems = {
            name: Ems(
                EmsSession(versions[name], name, config.service.comp_id), _plan(scenario, name, ticks), reference_px
            )
            for name in sorted({order.client for order in scenario.orders})
        }
        super().__init__(config, market, simulated.latency_ns(), self.model, ems, START_NS, _Process)
        self.exchange.inject(scenario.faults, scenario.seed, START_NS)
        self.world.wake("exchange")
        self._again_ns: dict[str, int] = {}
        self._away: dict[str, int] = {}  # client -> until when it stays away
        self._down_until_ns = 0
        self._steps = sorted(scenario.operator, key=lambda step: step.at_s)

    @property
    def facts(self) -> list[AnyFact]:
        return [fact for batch in self.endpoint.journal for fact in decode_batch(batch)]

    def run_through(self) -> None:
        """To the end of the scenario, and on until every order has ended: what is open then is cancelled."""
        self._run_until(START_NS + round(self.scenario.duration_s * SECOND_NS))
        give_up_ns = self.world.now_ns + round(PATIENCE_S * SECOND_NS)
        while not self.is_done and self.world.now_ns < give_up_ns:
            for name, client in self.ems.items():
                client.cancel_open()
                self.world.wake(name)
            self._run_until(self.world.now_ns + SECOND_NS)
        self._run_until(self.world.now_ns + round(LINGER_S * SECOND_NS))

    def failures(self) -> Iterator[str]:
        """What is not as it must be, in words."""
        expect, facts = self.scenario.expect, self.facts
        for name, client in self.ems.items():
            yield from (f"{name}: {violation}" for violation in client.violations)
            yield from (f"{name}: {order} has no end" for order in client.books.unsettled)
        books = reconcile(facts, {name: ems.orders.values() for name, ems in self.ems.items()}, self.exchange.ledger)
        yield from _unlike("difference of the books", expect.differences, books.differences)
        alarms = [fact.text for fact in facts if isinstance(fact, ExecutionUnknown)]
        yield from _unlike("alarm", expect.alarms, alarms)
        orders = {order.cl_ord_id: order for ems in self.ems.values() for order in ems.orders.values()}
        for name, expected in expect.orders.items():
            yield from (f"order {name}: {text}" for text in _order_failures(expected, orders[name]))
        names = [type(fact).__name__ for fact in facts]
        for name, least in expect.facts.items():
            if names.count(name) < least:
                yield f"{name} came {names.count(name)} times, expected at least {least}"
        yield from (f"{name} came, and must not" for name in expect.no_facts if name in names)
        filled = {fact.venue for fact in facts if isinstance(fact, ChildFilled)}
        yield from (f"nothing was filled at {venue}" for venue in expect.filled_at if venue not in filled)
        yield from self._loud(facts)
        if len(self.exchange.floor.disputed) != expect.disputed:
            yield f"{len(self.exchange.floor.disputed)} fills were disputed, expected {expect.disputed}"

    def _loud(self, facts: list[AnyFact]) -> Iterator[str]:
        for fact in facts:
            if not isinstance(fact, ChildSubmitted):
                continue
            at_s = (fact.at_ns - START_NS) / SECOND_NS
            for stretch in self.scenario.expect.quiet:
                here = stretch.venue in ("", fact.venue) and stretch.symbol in ("", fact.symbol)
                if here and stretch.from_s <= at_s < stretch.until_s:
                    yield f"{fact.child_id} went to {fact.venue} at {at_s:.3f} s, which was to be quiet"

    # --- time passes ---

    def _run_until(self, until_ns: int) -> None:
        while self.world.now_ns < until_ns:
            self.world.run_until(min(self.world.now_ns + LOOK_NS, until_ns))
            now_ns = self.world.now_ns
            while self._steps and START_NS + round(self._steps[0].at_s * SECOND_NS) <= now_ns:
                self._operate(self._steps.pop(0), now_ns)
            if self.endpoint.node is None and now_ns >= self._down_until_ns:
                self._restart(now_ns)
            self._reconnect(now_ns)

    def _operate(self, step: OperatorStep, now_ns: int) -> None:
        until_ns = now_ns + round(step.for_s * SECOND_NS)
        if step.action == "crash":
            self.endpoint.node, self._down_until_ns = None, until_ns
            for link in self.links.values():
                self.world.cut(link)
        elif step.action == "cut_client":
            self._away[step.client] = until_ns
            self.world.cut(self.links[step.client])
        elif self.endpoint.node is not None:
            if step.action == "kill":
                command: SetKillSwitch | ReleaseKillSwitch = SetKillSwitch(step.scope, "qa", "scenario")
            else:
                command = ReleaseKillSwitch(step.scope, "qa")
            self._perform(self.endpoint.operator(command, now_ns))

    def _restart(self, now_ns: int) -> None:
        recorded = map(decode_batch, self.endpoint.journal)
        self.node = self.endpoint.node = Node(self.config, self.model, "", now_ns, recorded=recorded)
        self._perform(self.endpoint.start(now_ns))

    def _perform(self, output: NodeOutput) -> None:
        self.world.perform(output)
        self.world.wake("node")

    def _reconnect(self, now_ns: int) -> None:
        if self.endpoint.node is None:
            return
        for name, link in self.links.items():
            if self.world.is_open(link) or now_ns < self._away.get(name, 0):
                self._again_ns.pop(name, None)
            elif self._again_ns.setdefault(name, now_ns + RECONNECT_NS) <= now_ns:
                self.connect(name)
                self._again_ns[name] = now_ns + RECONNECT_NS


def _order_failures(expected: OrderExpectation, order: EmsOrder) -> Iterator[str]:
    status = order.settled_status.name.lower()
    if expected.status and status != expected.status:
        yield f"is {status}, expected {expected.status}"
    if expected.qty is not None and order.cum_qty != expected.qty:
        yield f"filled {order.cum_qty}, expected {expected.qty}"
    if not expected.min_qty <= order.cum_qty <= expected.max_qty:
        yield f"filled {order.cum_qty}, expected {expected.min_qty} to {expected.max_qty}"
    seen = iter([ExecType(report.exec_type).name.lower() for report in order.reports])
    for wanted in expected.reports:
        if wanted not in seen:  # which takes the iterator on to just behind it
            came = ", ".join(ExecType(report.exec_type).name.lower() for report in order.reports)
            yield f"no report {wanted!r} in its place among {came}"
            break
    if (
        expected.text
        and not any(expected.text in report.text for report in order.reports)
        and (expected.text not in order.text)
    ):
        yield f"no report says {expected.text!r}"


def _unlike(what: str, wanted: tuple[str, ...], came: list[str]) -> Iterator[str]:
    yield from (f"unexpected {what}: {text}" for text in came if not any(part in text for part in wanted))
    yield from (f"no {what} says {part!r}" for part in wanted if not any(part in text for text in came))


def _plan(scenario: Scenario, client: str, ticks: dict[str, int]) -> Plan:
    plan: Plan = []
    orders = {order.id: order for order in scenario.orders if order.client == client}
    for order in orders.values():
        plan.append((_ns(order.at_s), _planned(order, scenario, ticks)))
    for request in scenario.requests:
        order = orders.get(request.cancel or request.replace)
        if order is not None:
            plan.append((_ns(request.at_s), _planned_request(request, order, scenario, ticks)))
    return plan


def _planned(order: OrderStep, scenario: Scenario, ticks: dict[str, int]) -> PlannedOrder:
    symbol = order.symbol or scenario.symbols[0]
    return PlannedOrder(
        order.id,
        order.account,
        symbol,
        SIDES[order.side],
        order.qty,
        order.limit_ticks,
        ticks[symbol],
        order.strategy,
        order.params,
        order.fields,
    )


def _planned_request(
    request: RequestStep, order: OrderStep, scenario: Scenario, ticks: dict[str, int]
) -> PlannedCancel | PlannedReplace:
    if request.cancel:
        return PlannedCancel(request.cancel)
    return PlannedReplace(
        request.replace, request.qty or order.qty, request.limit_ticks, ticks[order.symbol or scenario.symbols[0]]
    )


def _ns(at_s: float) -> int:
    return START_NS + round(at_s * SECOND_NS)


# --- the configs that a scenario plays with ---


def _daemon(scenario: Scenario) -> ServiceConfig:
    config = daemon_config()
    venues = tuple(venue for venue in config.venues if venue.name in scenario.venues)
    changed_venues = scenario.daemon.get("venues", {})
    changes: dict[str, Any] = {
        "venues": tuple(_changed(venue, changed_venues.get(venue.name, {})) for venue in venues),
        "instruments": tuple(item for item in config.instruments if item.symbol in scenario.symbols),
    }
    for table, values in scenario.daemon.items():
        if table != "venues":
            changes[table] = _changed(getattr(config, table), values)
    return msgspec.structs.replace(config, **changes)


def _changed(struct: Any, values: dict[str, Any]) -> Any:
    """A config's table with some of its keys changed, checked as in a file."""
    if not values:
        return struct
    return msgspec.convert({**msgspec.to_builtins(struct), **values}, type(struct))


def _simulators(scenario: Scenario) -> SimulatorsConfig:
    config = simulators_config()
    venues = {name: settings for name, settings in config.venues.items() if name in scenario.venues}
    return changed_market(msgspec.structs.replace(config, venues=venues), scenario)


def changed_market(config: SimulatorsConfig, scenario: Scenario) -> SimulatorsConfig:
    """With the scenario's figures of the market model; ValueError where one is wrong."""
    replace, changes = msgspec.structs.replace, scenario.market
    venues = {
        name: replace(settings, market={**settings.market, **changes.get(name, {})})
        for name, settings in config.venues.items()
    }
    symbols = {name: {**config.symbols.get(name, {}), **changes[name]} for name in changes if name not in venues}
    changed = replace(config, venues=venues, symbols={**config.symbols, **symbols})
    changed.market()
    return changed


def _disagreements(data: dict[str, Any]) -> Iterator[toml.Mistake]:
    """What names something that is not there."""
    config = daemon_config()
    known = {
        "symbols": {item.symbol for item in config.instruments},
        "venues": {venue.name for venue in config.venues},
        "client": {client.name for client in config.clients},
        "daemon": set(ServiceConfig.__struct_fields__),
    }
    used_venues = set(data.get("venues", Scenario(title="").venues))
    orders = {order["id"] for order in data.get("orders", []) if isinstance(order, dict) and "id" in order}
    for kind in ("symbols", "venues"):
        for name in data.get(kind, []):
            if name not in known[kind]:
                yield toml.Mistake(kind, f"there is no {name!r}; expected some of {', '.join(sorted(known[kind]))}")
    for name in data.get("daemon", {}):
        if name not in known["daemon"]:
            yield toml.Mistake(f"daemon.{name}", "is no table of the daemon's config")
    for number, order in enumerate(data.get("orders", [])):
        if isinstance(order, dict) and order.get("client", "EMS1") not in known["client"]:
            yield toml.Mistake(f"orders[{number}].client", f"there is no client {order['client']!r}")
    for number, request in enumerate(data.get("requests", [])):
        for verb in ("cancel", "replace"):
            if isinstance(request, dict) and request.get(verb) and request[verb] not in orders:
                yield toml.Mistake(f"requests[{number}].{verb}", f"there is no order {request[verb]!r}")
    for name in data.get("expect", {}).get("orders", {}):
        if name not in orders:
            yield toml.Mistake(f"expect.orders.{name}", "there is no such order")
    for number, fault in enumerate(data.get("faults", [])):
        if isinstance(fault, dict) and fault.get("venue") and fault["venue"] not in used_venues:
            yield toml.Mistake(f"faults[{number}].venue", f"{fault['venue']!r} is none of the scenario's venues")
