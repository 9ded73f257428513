"""The configuration of the simulated venues, `deploy/simulators.toml`."""

from collections.abc import Mapping
from datetime import time
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from simulators.market_config import DayConfig, MarketConfig, SymbolConfig, VenueConfig, default_market

Name = Annotated[str, Meta(min_length=1)]


class VenueSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a venue listens, how slow it is, and what of the market model it changes."""

    port: Annotated[int, Meta(ge=0, le=65535)]  # 0: any free one
    latency_us: Annotated[int, Meta(ge=0)] = 100  # one way, on top of the network's
    market: dict[str, Any] = {}


class TapeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A recorded day in LOBSTER format that the lit venues replay for `symbol`, which the market must have."""

    symbol: Name
    messages: Name
    book: Name
    starts_at: time | None = None  # time of the day on the tape at which the replay sets in; its first row if not given
    speed: Annotated[float, Meta(gt=0)] = 1.0

    @property
    def from_ns(self) -> int | None:
        """`starts_at` in ns after midnight."""
        at = self.starts_at
        return None if at is None else ((at.hour * 60 + at.minute) * 60 + at.second) * 1_000_000_000


class SimulatorsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Venues and symbols that the built-in market knows start from its figures, others from those of their kind."""

    venues: Annotated[dict[Name, VenueSettings], Meta(min_length=1)]
    host: Name = "127.0.0.1"
    counterparty: Name = "FAIRLEAD"
    data_dir: Name = "var/simulators"
    seed: int = 1
    symbols: dict[Name, dict[str, Any]] = {}
    day: DayConfig | None = None
    tape: TapeSettings | None = None

    def __post_init__(self) -> None:
        known = [symbol.symbol for symbol in self.market().symbols]
        if self.tape and self.tape.symbol not in known:
            raise ValueError(f"tape.symbol: {self.tape.symbol!r} is none of the symbols {', '.join(known)}")

    def market(self) -> MarketConfig:
        """The market with all that the file changes; ValueError with the path of what is wrong."""
        default = default_market()
        known_venues = {venue.name: venue for venue in default.venues}
        venues = tuple(
            _changed(f"venues.{name}.market", known_venues.get(name), settings.market, VenueConfig, {"name": name})
            for name, settings in self.venues.items()
        )
        known_symbols = {symbol.symbol: symbol for symbol in default.symbols}
        changes: dict[str, dict[str, Any]] = {name: {} for name in known_symbols} | self.symbols
        symbols = tuple(
            _changed(f"symbols.{name}", known_symbols.get(name), change, SymbolConfig, {"symbol": name})
            for name, change in changes.items()
        )
        return MarketConfig(symbols=symbols, venues=venues, day=self.day)

    def latency_ns(self) -> dict[str, int]:
        return {name: settings.latency_us * 1000 for name, settings in self.venues.items()}

    def listeners(self) -> dict[str, tuple[str, int]]:
        return {name: (self.host, settings.port) for name, settings in self.venues.items()}

    @property
    def ledger_path(self) -> Path:
        return Path(self.data_dir) / "ledger.jsonl"


def _changed(key: str, known: msgspec.Struct | None, change: Mapping[str, Any], kind: Any, name: dict[str, str]) -> Any:
    figures = msgspec.to_builtins(known) if known is not None else {}
    try:
        return msgspec.convert(figures | dict(change) | name, kind)
    except msgspec.ValidationError as error:
        raise ValueError(f"{key}: {error}") from None
