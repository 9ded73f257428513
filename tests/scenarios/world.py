"""A whole node at virtual time, and its counterparties, each with a FIX session that a script speaks through.

The journal is kept as the process keeps it: encoded, batch by batch.
"""

import tomllib
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from domain.facts import AnyFact, decode_batch, encode_batch
from fix.message import Message
from fix.session import Outgoing, Received, Refusing, Rejected, Session, SessionConfig
from fix.store import MemoryStore
from fix.validation import FULL, LENIENT
from fix.values import NS_PER_S
from router.features import FEATURES, schema_hash
from router.model import PriorModel
from service import toml
from service.config import ServiceConfig
from service.links import EMS_PORT, market_data_port
from service.node import Node, NodeOutput

VERSIONS = {"4.2": "FIX.4.2", "4.4": "FIX.4.4", "5.0": "FIXT.1.1"}
APPLICATIONS = {"4.2": "FIX.4.2", "4.4": "FIX.4.4", "5.0": "FIX.5.0SP2"}
NEW_YORK = ZoneInfo("America/New_York")
DAY_ONE = datetime(2024, 1, 2, tzinfo=NEW_YORK)
START = DAY_ONE + timedelta(hours=10)
VENUE_NAMES = ("ARGO", "BRIG")
CONFIG = """
[service]
comp_id = "ROUTER"
[[clients]]
name = "EMS"
accounts = ["ACC"]
default_account = "ACC"
[[clients]]
name = "OTHER"
accounts = ["ACC"]
[[venues]]
name = "ARGO"
kind = "lit"
mic = "XARG"
host = "127.0.0.1"
port = 1
session = "QUIET"
[[venues]]
name = "BRIG"
kind = "lit"
mic = "XBRG"
host = "127.0.0.1"
port = 2
session = "QUIET"
[sessions.QUIET]
heart_bt_int = 1000000
[[instruments]]
symbol = "ALFA"
[[instruments]]
symbol = "BRVO"
[risk]
max_order_qty = 1_000_000
max_order_notional = 1_000_000_000
max_child_qty = 1_000_000
price_collar_bps = 1_000
max_gross_exposure = 10_000_000_000
max_messages_per_second = 1_000
[risk.accounts.ACC]
max_gross_exposure = 10_000_000_000
short_sales = true
locates = { ALFA = 500 }
[policy]
max_child_qty = 1_000_000
min_child_qty = 1
max_passive_share = 1.0
min_rest_ms = 100_000_000
max_rest_ms = 100_000_000
max_dark_rest_ms = 100_000_000
"""


class Heard(NamedTuple):
    message: Message
    at_ns: int


class Peer:
    """A counterparty: our own session layer, and messages that a script writes."""

    def __init__(self, begin_string: str, ours: str, theirs: str, role: str, port: str, now_ns: int) -> None:
        config = SessionConfig(
            begin_string=begin_string,
            sender_comp_id=ours,
            target_comp_id=theirs,
            role=role,
            heart_bt_int=0,
            validation=FULL if role == "initiator" else LENIENT,  # an EMS that looks at every field
        )
        self.session = Session(config, MemoryStore(), now_ns)
        self.port = port
        self.link = 0
        self.heard: list[Heard] = []
        self.last: Outgoing | None = None


class World:
    """The node and everybody around it, in one version of FIX ("4.2", "4.4" or "5.0") towards the clients."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.now_ns = int(START.timestamp()) * NS_PER_S
        self.settings = tomllib.loads(CONFIG)
        for client in self.settings["clients"]:
            client["begin_string"] = VERSIONS[version]
        self.journal: list[bytes] = []
        self.node: Node | None = None
        self.links = 0
        self.peers: dict[str, Peer] = {}

    @property
    def facts(self) -> list[AnyFact]:
        return [fact for batch in self.recorded() for fact in batch]

    def recorded(self) -> Iterator[list[AnyFact]]:
        return map(decode_batch, self.journal)

    def fresh(self) -> Node:
        """A node made of nothing but the journal."""
        return Node(self.config, self.model, "", self.now_ns, recorded=self.recorded())

    def configure(self, text: str) -> None:
        assert self.node is None, "config comes before the first step"
        for table, values in tomllib.loads(text).items():
            known = self.settings.setdefault(table, {})
            for entry in known if isinstance(known, list) else [known]:
                entry.update(values)

    def start(self) -> None:
        mistakes: list[toml.Mistake] = []
        self.config: ServiceConfig = toml._build(ServiceConfig, self.settings, "", mistakes)
        assert not mistakes, mistakes
        self.model = PriorModel(FEATURES.index("fill_prior"), schema_hash(VENUE_NAMES))
        self.node = Node(self.config, self.model, "", self.now_ns)
        for name in ("EMS", "OTHER"):
            self.peers[name] = Peer(VERSIONS[self.version], name, "ROUTER", "initiator", EMS_PORT, self.now_ns)
        for name in VENUE_NAMES:
            for comp_id in (name, market_data_port(name)):
                self.peers[comp_id] = Peer("FIX.4.4", comp_id, "FAIRLEAD", "acceptor", comp_id, self.now_ns)
        self.perform(self.node.start(self.now_ns))
        for name in ("EMS", "ARGO"):
            self.connect(name)
        self.show("ARGO", "49.98x500", "50.02x500")

    def connect(self, name: str) -> None:
        for comp_id in (name, market_data_port(name)):
            peer = self.peers.get(comp_id)
            if peer is None:
                continue
            self.links += 1
            peer.link = self.links
            peer.session.connected(self.now_ns)
            self.perform(self.node.connected(peer.link, peer.port, self.now_ns))
            self.deliver(peer)

    def disconnect(self, name: str) -> None:
        for comp_id in (name, market_data_port(name)):
            peer = self.peers.get(comp_id)
            if peer is not None and peer.link:
                peer.session.disconnected(self.now_ns)
                link, peer.link = peer.link, 0
                self.perform(self.node.disconnected(link, self.now_ns))

    def restart(self) -> None:
        up = [name for name, peer in self.peers.items() if peer.link and not name.endswith("MD")]
        for peer in self.peers.values():
            if peer.link:
                peer.session.disconnected(self.now_ns)
                peer.link = 0
        self.node = self.fresh()
        self.perform(self.node.start(self.now_ns))
        for name in up:
            self.connect(name)

    def perform(self, output: NodeOutput) -> None:
        if output.facts:
            self.journal.append(encode_batch(output.facts))
        links = {peer.link: peer for peer in self.peers.values() if peer.link}
        for link, data in output.writes:
            if link in links:
                links[link].session.receive(data, self.now_ns)
                self._collect(links[link])
        for link in output.closes:
            assert link not in links, "the node closed a connection"

    def deliver(self, peer: Peer) -> None:
        if not peer.link:
            return  # it waits in the session, as in life
        data = b"".join(outgoing.raw for outgoing in peer.session.take_outbox())
        if data:
            self.perform(self.node.receive(peer.link, data, self.now_ns))

    def _collect(self, peer: Peer) -> None:
        while (event := peer.session.next_event(self.now_ns)) is not None:
            assert not isinstance(event, Refusing), f"not valid FIX: {event}"
            if isinstance(event, Received | Rejected) and not peer.port.endswith("MD"):
                peer.heard.append(Heard(event.message, self.now_ns))
        self.deliver(peer)

    def pass_time(self, text: str) -> None:
        if text.startswith("+"):
            until_ns = self.now_ns + int(float(text[1:]) * NS_PER_S)
        else:
            day, _, clock = text.partition(" ")
            hour, minute, second = map(int, clock.split(":"))
            at = DAY_ONE + timedelta(days=int(day) - 1, hours=hour, minutes=minute, seconds=second)
            until_ns = int(at.timestamp()) * NS_PER_S
        assert until_ns >= self.now_ns, "time does not go back"
        while (due_ns := self.node.next_timer_ns()) is not None and due_ns <= until_ns:
            self.now_ns = max(self.now_ns, due_ns)
            self.perform(self.node.timer(self.now_ns))
        self.now_ns = until_ns

    def show(self, venue: str, bid: str, offer: str, symbol: str = "ALFA") -> None:
        entries = [
            pair
            for side, level in (("0", bid), ("1", offer))
            for pair in (("269", side), ("270", level.split("x")[0]), ("271", level.split("x")[1]))
        ]
        peer = self.peers[market_data_port(venue)]
        peer.session.send_fields("W", [("55", symbol), ("268", "2"), *entries], self.now_ns)
        self.deliver(peer)
