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
from gateway.clients import ClientConfig
from risk.limits import RiskLimits
from router.policy import ExecutionPolicy
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
    on_shutdown: Literal["cancel", "hold"] = "cancel"
    shutdown_timeout_s: Annotated[float, Meta(gt=0)] = 10.0
    record_market_data: bool = False
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_file: str = ""


class ListenConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    host: Name = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 9878


class InstrumentConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    symbol: Name
    tick: Annotated[int, Meta(extra={"from_text": tick_from_text})] = 100
    lot: Positive = 1
    adv: Positive = 1_000_000
    hours: Annotated[TradingHours, Meta(extra={"from_text": hours_from_text})] = TradingHours()


class ModelConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    directory: str = ""
    required: bool = False


class ServiceConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """deploy/fairlead.toml explains every key. Relative paths are relative to the working directory."""

    clients: Annotated[tuple[ClientConfig, ...], Meta(min_length=1)]
    venues: Annotated[tuple[VenueConfig, ...], Meta(min_length=1)]
    instruments: Annotated[tuple[InstrumentConfig, ...], Meta(min_length=1)]
    service: ServiceSettings = ServiceSettings()
    listen: ListenConfig = ListenConfig()
    risk: RiskLimits = RiskLimits()
    policy: ExecutionPolicy = ExecutionPolicy()
    model: ModelConfig = ModelConfig()

    @property
    def journal_path(self) -> Path:
        return Path(self.service.data_dir) / "journal"

    @property
    def control_path(self) -> Path:
        return Path(self.service.control_socket or Path(self.service.data_dir) / "control.sock")

    def by_symbol(self) -> dict[str, Instrument]:
        return {
            entry.symbol: Instrument(entry.symbol, entry.tick, entry.lot, entry.adv, entry.hours)
            for entry in self.instruments
        }


def load(path: Path) -> ServiceConfig:
    """The daemon's config; toml.ConfigErrors with everything that is wrong with the file."""
    return toml.load(ServiceConfig, path, _repeated_names)


def _repeated_names(data: dict[str, Any]) -> Iterator[Mistake]:
    for table, key in (("clients", "name"), ("venues", "name"), ("instruments", "symbol")):
        first: dict[str, int] = {}
        entries = data.get(table)
        for number, entry in enumerate(entries if isinstance(entries, list) else []):
            name = entry.get(key) if isinstance(entry, dict) else None
            if isinstance(name, str) and first.setdefault(name, number) != number:
                yield Mistake(f"{table}[{number}].{key}", f"{name!r} is taken by {table}[{first[name]}]")
