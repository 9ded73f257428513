"""The whole platform on a virtual clock in one process: node, simulated venues and simulated EMS.

The same node, sessions, bytes and market as over sockets; only the clock and the network are virtual, so an hour takes
a minute and a seed gives the same facts every time. Training runs, benchmarks and tests are made of it.
"""

from collections.abc import Callable
from typing import Any

from domain.facts import AnyFact
from fix.store import MemoryStore
from router.model import FillModel
from service.config import ServiceConfig
from service.links import EMS_PORT, market_data_port
from service.node import Node
from simulators.client import Ems
from simulators.exchange import Exchange, MarketMachine
from simulators.world import Network, World

SECOND_NS = 1_000_000_000
NETWORK_NS = 50_000  # one way, between any two


class Recorder:
    """A node whose facts are kept; `perform` may do with an output what a runtime would."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.facts: list[AnyFact] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.node, name)
        if name == "next_timer_ns":
            return method

        def called(*args: Any) -> Any:
            output = method(*args)
            self.facts += output.facts
            return output

        return called


class Simulation:
    """A world with one node, all venues of a market and one EMS for each of `ems` (by client name)."""

    def __init__(
        self,
        config: ServiceConfig,
        market: MarketMachine,
        latency_ns: dict[str, int],
        model: FillModel,
        ems: dict[str, Ems],
        start_ns: int,
        endpoint: Callable[[Node], Any] = Recorder,
        network: Network | None = None,
    ) -> None:
        self.config = config
        self.world = World(start_ns, network)
        self.exchange = Exchange(
            market,
            counterparty=config.service.comp_id,
            latency_ns=latency_ns,
            open_store=lambda name: MemoryStore(),
            now_ns=start_ns,
        )
        self.node = Node(config, model, "", start_ns)
        self.endpoint = endpoint(self.node)
        self.ems = ems
        self.world.add("exchange", self.exchange)
        self.world.add("node", self.endpoint)
        self.world.perform(self.endpoint.start(start_ns))
        self.links: dict[str, int] = {}  # the last connection of each, to cut it
        self._venue_of_port = {
            port: venue.name
            for venue in config.venues
            if venue.enabled
            for port in (venue.name, market_data_port(venue.name))
        }
        for port in self._venue_of_port:
            self.connect(port)
        for name, client in ems.items():
            self.world.add(name, client)
            self.connect(name)

    def connect(self, name: str) -> None:
        """Connects an EMS to the node, or the node to a venue by the name of its port; anew, after a cut."""
        if name in self.ems:
            self.links[name] = self.world.connect(name, name, "node", EMS_PORT, NETWORK_NS)
        else:
            self.links[name] = self.world.connect("node", name, "exchange", self._venue_of_port[name], NETWORK_NS)

    @property
    def facts(self) -> list[AnyFact]:
        """All that a default `endpoint` recorded."""
        return self.endpoint.facts

    @property
    def is_done(self) -> bool:
        return all(client.done for client in self.ems.values())
