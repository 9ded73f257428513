"""The configuration of the daemon: the Structs that the packages own, joined, and read from one TOML file."""

from collections.abc import Iterator
from datetime import time
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from domain.instruments import Instrument, TradingHours
from domain.prices import px_from_text
from fix.addresses import networks
from fix.config import SessionOptions
from fix.tls import ListenerTls
from gateway.clients import ClientConfig
from risk.limits import RiskLimits
from router.policy import ExecutionPolicy
from router.strategies import STRATEGIES
from router.trial import LEAST_ORDERS, LEAST_PARENTS
from router.upkeep import Keep
from service import toml
from service.toml import Mistake
from venues.config import VenueConfig


def hours_from_text(text: str) -> TradingHours:
    """ "always" or "09:30-16:00 America/New_York"; ValueError for anything else."""
    if text == "always":
        return TradingHours()
    span, _, tz = text.partition(" ")
    opens, _, closes = span.partition("-")
    try:
        hours = TradingHours(time.fromisoformat(opens), time.fromisoformat(closes), tz)
    except ValueError:
        raise ValueError(f'expected "always" or such as "09:30-16:00 America/New_York", got {text!r}') from None
    try:
        ZoneInfo(tz)
    except (ValueError, OSError, KeyError):
        raise ValueError(f"unknown time zone {tz!r} in {text!r}; expected one such as America/New_York") from None
    if hours.opens >= hours.closes:
        raise ValueError(f"expected to open before the close, got {text!r}")
    return hours


def time_from_text(text: str) -> time:
    """A time of day, UTC, such as "22:30"; ValueError for anything else."""
    try:
        return time.fromisoformat(text)
    except ValueError:
        raise ValueError(f'expected a time of day such as "22:30", got {text!r}') from None


def tick_from_text(text: str) -> int:
    """Px of a tick such as "0.01"; ValueError for anything that is not a price above 0."""
    tick_px = px_from_text(text)
    if tick_px <= 0:
        raise ValueError(f"expected a tick above 0, got {text!r}")
    return tick_px


Name = Annotated[str, Meta(min_length=1)]
Positive = Annotated[int, Meta(ge=1)]


class ServiceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    comp_id: Name = "FAIRLEAD"
    data_dir: Name = "var/fairlead"
    control_socket: str = ""
    seed: int = 1
    on_shutdown: Literal["hold", "cancel"] = "hold"
    shutdown_timeout_s: Annotated[float, Meta(gt=0)] = 10.0
    durability: Literal["process", "disk"] = "process"
    record_market_data: bool = False
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_file: str = ""


class JournalConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sizes in MB are of 2**20 bytes."""

    segment_mb: Positive = 256
    roll_at: Annotated[time, Meta(extra={"from_text": time_from_text})] = time(0, 0)
    snapshots: bool = True
    keep_days: Annotated[int, Meta(ge=0)] = 0
    archive_dir: str = ""
    reserve_mb: Annotated[int, Meta(ge=0)] = 16
    min_free_mb: Annotated[int, Meta(ge=0)] = 256
    slow_sync_s: Annotated[float, Meta(gt=0)] = 1.0
    keep_orders: Annotated[int, Meta(ge=0)] = 20_000
    keep_orders_days: Annotated[float, Meta(gt=0)] = 3.0

    @property
    def keep(self) -> Keep:
        return Keep(int(self.keep_orders_days * 86_400e9), self.keep_orders)


class ListenConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    host: Name = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 9878
    allow: tuple[str, ...] = ()  # addresses and networks; (): from anywhere
    tls: ListenerTls | None = None

    def __post_init__(self) -> None:
        networks(self.allow)


class InstrumentConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    symbol: Name
    tick: Annotated[int, Meta(extra={"from_text": tick_from_text})] = 100
    lot: Positive = 1
    adv: Positive = 1_000_000
    hours: Annotated[TradingHours, Meta(extra={"from_text": hours_from_text})] = TradingHours()

    @property
    def instrument(self) -> Instrument:
        return Instrument(self.symbol, self.tick, self.lot, self.adv, self.hours)


class ModelConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    directory: str = ""
    required: bool = False
    approval: tuple[Literal["shadow", "canary", "champion"], ...] = ()
    stage_orders: Annotated[int, Meta(ge=1)] = LEAST_ORDERS
    stage_parents: Annotated[int, Meta(ge=0)] = LEAST_PARENTS


class ServiceConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """deploy/fairlead.toml explains every key. Relative paths are relative to the working directory."""

    clients: Annotated[tuple[ClientConfig, ...], Meta(min_length=1)]
    venues: Annotated[tuple[VenueConfig, ...], Meta(min_length=1)]
    instruments: Annotated[tuple[InstrumentConfig, ...], Meta(min_length=1)]
    service: ServiceSettings = ServiceSettings()
    journal: JournalConfig = JournalConfig()
    listen: ListenConfig = ListenConfig()
    sessions: dict[str, SessionOptions] = {}
    risk: RiskLimits = RiskLimits()
    policy: ExecutionPolicy = ExecutionPolicy()
    model: ModelConfig = ModelConfig()

    @property
    def journal_path(self) -> Path:
        return Path(self.service.data_dir) / "journal"

    @property
    def kill_path(self) -> Path:
        """The file whose presence stops orders, whatever the daemon is busy with."""
        return Path(self.service.data_dir) / "KILL"

    @property
    def control_path(self) -> Path:
        return Path(self.service.control_socket or Path(self.service.data_dir) / "control.sock")


def decisive(config: ServiceConfig) -> str:
    """What decisions depend on, as JSON, the same text for the same settings; no addresses and no secrets."""
    venues = [venue.terms() for venue in config.venues if venue.enabled]
    parts = {
        "seed": config.service.seed,
        "risk": config.risk,
        "policy": config.policy,
        "instruments": [item.instrument for item in config.instruments],
        "venues": venues,
        "clients": {client.name: (client.on_disconnect, client.disconnect_grace_s) for client in config.clients},
        "keep": config.journal.keep,
    }
    return msgspec.json.encode(parts, order="deterministic").decode()


def load(path: Path) -> ServiceConfig:
    """The daemon's config; toml.ConfigErrors with everything that is wrong with the file."""
    return toml.load(ServiceConfig, path, _disagreements)


UNIQUE = ("clients.*.name", "venues.*.name", "instruments.*.symbol")
# Where a name is used, what it names, where those are declared: a restriction with a misspelt symbol restricts nothing.
REFERENCES = (
    ("clients.*.accounts.*", "account with limits", "risk.accounts.KEY"),
    ("venues.*.symbols.*", "instrument", "instruments.*.symbol"),
    ("risk.restricted.*", "instrument", "instruments.*.symbol"),
    ("risk.venue_messages_per_second.KEY", "venue", "venues.*.name"),
    ("policy.excluded_venues.*", "venue", "venues.*.name"),
    ("clients.*.session", "table", "sessions.KEY"),
    ("venues.*.session", "table", "sessions.KEY"),
    ("clients.*.default_strategy", "strategy", ""),
    ("clients.*.strategy_codes.*", "strategy", ""),
)


def _disagreements(data: dict[str, Any]) -> Iterator[Mistake]:
    for pattern in UNIQUE:
        first: dict[str, str] = {}
        for key, name in _find(data, pattern.split(".")):
            if first.setdefault(name, key) != key:
                yield Mistake(key, f"{name!r} is taken by {first[name]}")
    for pattern, what, declared in REFERENCES:
        known = {name for _, name in _find(data, declared.split("."))} if declared else set(STRATEGIES)
        for key, name in _find(data, pattern.split(".")):
            if name not in known:
                yield Mistake(key, f"there is no {what} {name!r}; expected one of {', '.join(sorted(known)) or 'none'}")


def _find(node: Any, pattern: list[str], key: str = "") -> Iterator[tuple[str, str]]:
    """(key, text) of each text in the file that the pattern means: * is every entry, KEY the name of every entry."""
    if not pattern:
        if isinstance(node, str):
            yield key, node
        return
    step, rest = pattern[0], pattern[1:]
    if isinstance(node, list) and step == "*":
        for number, entry in enumerate(node):
            yield from _find(entry, rest, f"{key}[{number}]")
    elif isinstance(node, dict):
        for name, entry in node.items():
            if step in ("*", "KEY", name):
                yield from _find(name if step == "KEY" else entry, rest, f"{key}.{name}" if key else name)
