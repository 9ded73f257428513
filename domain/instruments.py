"""What can be traded, where it can be traded, and when."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec

from domain.fields import TimeInForce, VenueKind


class TradingHours(msgspec.Struct, frozen=True):
    """Daily opening hours in a time zone; `opens == closes` means always open."""

    opens: time = time(0)
    closes: time = time(0)
    tz: str = "UTC"

    def is_open(self, now_ns: int) -> bool:
        """Whether trading is open at `now_ns` (Monday to Friday, unless always open)."""
        if self.opens == self.closes:
            return True
        local = datetime.fromtimestamp(now_ns / 1e9, UTC).astimezone(ZoneInfo(self.tz))
        return local.weekday() < 5 and self.opens <= local.time() < self.closes

    def next_open_ns(self, now_ns: int) -> int | None:
        """When trading opens next, None where it never closes."""
        return self._next_ns(self.opens, now_ns)

    def next_close_ns(self, now_ns: int) -> int | None:
        return self._next_ns(self.closes, now_ns)

    def _next_ns(self, at: time, now_ns: int) -> int | None:
        if self.opens == self.closes:
            return None
        zone = ZoneInfo(self.tz)
        today = datetime.fromtimestamp(now_ns / 1e9, UTC).astimezone(zone).date()
        days = (today + timedelta(days=days) for days in range(8))
        times = (int(datetime.combine(day, at, zone).timestamp()) * 1_000_000_000 for day in days if day.weekday() < 5)
        return next(at_ns for at_ns in times if at_ns > now_ns)

    def __str__(self) -> str:
        return "always" if self.opens == self.closes else f"{self.opens:%H:%M}-{self.closes:%H:%M} {self.tz}"


class Instrument(msgspec.Struct, frozen=True):
    """A listed share. Prices in Px (1e-4 of the currency unit), quantities in shares."""

    symbol: str
    tick_px: int = 100
    lot_qty: int = 1
    adv_qty: int = 1_000_000
    hours: TradingHours = TradingHours()


class VenueTerms(msgspec.Struct, frozen=True):
    """What the router has to know of a venue. Fees are Px a share (0.0030 USD = 30.0); a negative fee is a rebate."""

    name: str
    kind: VenueKind
    mic: str
    maker_fee_px: float = 0.0
    taker_fee_px: float = 0.0
    min_qty: int = 1
    fill_prior: float = 0.3  # P(fill) that the router assumes here while it has no model
    symbols: tuple[str, ...] = ()  # empty: all of them
    auctions: tuple[TimeInForce, ...] = ()  # that it holds: AT_THE_OPENING, AT_THE_CLOSE
    has_icebergs: bool = False  # takes MaxFloor(111) and refreshes what it shows
    has_min_qty: bool = False  # of a lit one: takes MinQty(110) on immediate orders
    can_replace: bool = False  # takes OrderCancelReplaceRequest(G)
    rfq: bool = False  # a dealer that answers QuoteRequest(R)
