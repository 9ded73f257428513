"""Scenario files: what goes wrong at the venues, what an EMS sends, and what must be true at the end. TOML, no Python.

Times are seconds from the start. A fault happens at a time, or on an event: an order, a cancel or a replace that
arrives, an order that rests, a fill. On an event it happens with a probability, so many times, within a stretch of
time, at one venue or any. `docs/scenarios.md` explains every key.
"""

from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from domain.fields import OrdRejReason, OrdStatus, Side

Name = Annotated[str, Meta(min_length=1)]
Seconds = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0)]
SIDES = {"buy": Side.BUY, "sell": Side.SELL, "sell_short": Side.SELL_SHORT}


class Event(StrEnum):
    """What a fault may wait for."""

    ORDER = "order"  # a new order arrives
    CANCEL = "cancel"  # a cancel request arrives
    REPLACE = "replace"  # a replace request arrives
    ACK = "ack"  # an order was accepted
    FILL = "fill"
    QUOTE_REQUEST = "quote_request"  # a dealer is asked for a quote


class FaultKind(StrEnum):
    REJECT = "reject"  # the order, cancel or replace is turned down
    IGNORE = "ignore"  # it is lost in the venue: no answer ever comes
    HOLD = "hold"  # it is looked at `after_ms` later
    SLOW = "slow"  # for `for_s` every report comes `after_ms` later
    LATENCY = "latency"  # for `for_s` everything takes `after_ms` longer, both ways, market data too
    THROTTLE = "throttle"  # for `for_s` no more than `count` messages a second are taken from the order session
    MAINTENANCE = "maintenance"  # the venue logs out and lets nobody in for `for_s`
    PARTIAL_FILL = "partial_fill"  # somebody trades `qty` with a resting order
    CANCEL = "cancel"  # a resting order is cancelled, nobody asked
    REDUCE = "reduce"  # a resting order is made smaller by `qty`, nobody asked
    BUST = "bust"  # a fill is taken back
    CORRECT = "correct"  # a fill counts with `qty` shares (0: as before), its price moved by `ticks`
    OVERFILL = "overfill"  # `qty` shares more than were ordered
    FILL_AFTER_CANCEL = "fill_after_cancel"  # `qty` shares of an order that was cancelled a moment ago (0: all of it)
    TELL_TWICE = "tell_twice"  # a fill is reported a second time, word for word
    UNKNOWN_FILL = "unknown_fill"  # a fill of an order that nobody sent
    DISCONNECT = "disconnect"  # the session ends and can't be had again for `for_s`
    GAP = "gap"  # `count` sequence numbers are skipped
    RESET = "reset"  # SequenceReset(4) in reset mode, `count` numbers on
    FREEZE = "freeze"  # market data stands still for `for_s`
    CROSS = "cross"  # for `for_s` the book shows a bid `ticks` above the offer
    HALT = "halt"  # the symbol does not trade for `for_s` (0: to the end), at one venue or any
    AUCTION = "auction"  # orders are collected for `for_s` and then crossed, at one venue or all


_ON_REQUEST = frozenset({Event.ORDER, Event.CANCEL, Event.REPLACE})
# What each kind can wait for; one that has nothing here happens at a time.
EVENTS = {
    FaultKind.REJECT: _ON_REQUEST,
    FaultKind.IGNORE: _ON_REQUEST | {Event.QUOTE_REQUEST},
    FaultKind.HOLD: _ON_REQUEST | {Event.QUOTE_REQUEST},
    FaultKind.PARTIAL_FILL: frozenset({Event.ACK}),
    FaultKind.CANCEL: frozenset({Event.ACK, Event.FILL}),
    FaultKind.REDUCE: frozenset({Event.ACK}),
    FaultKind.BUST: frozenset({Event.FILL}),
    FaultKind.CORRECT: frozenset({Event.FILL}),
    FaultKind.OVERFILL: frozenset({Event.FILL}),
    FaultKind.FILL_AFTER_CANCEL: frozenset({Event.CANCEL}),
    FaultKind.TELL_TWICE: frozenset({Event.FILL}),
}
# Those that can also happen at a time: to what rests then, or to the last fill.
TIMED_TOO = frozenset({FaultKind.PARTIAL_FILL, FaultKind.CANCEL, FaultKind.REDUCE, FaultKind.BUST, FaultKind.CORRECT})
LASTING = frozenset({FaultKind.LATENCY, FaultKind.THROTTLE, FaultKind.MAINTENANCE, FaultKind.AUCTION})
REASONS = {reason.name.lower(): reason for reason in OrdRejReason}


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """ValueError where its parts don't fit together."""

    kind: FaultKind
    at_s: Seconds | None = None
    on: Event | None = None
    venue: str = ""  # "": any
    symbol: str = ""
    probability: Share = 1.0
    times: Count = 1  # 0: as often as it comes
    from_s: Seconds = 0.0
    until_s: Seconds = 1e9
    after_ms: Annotated[float, Meta(ge=0)] = 0.0
    for_s: Seconds = 0.0
    qty: Count = 0
    ticks: int = 0
    count: Annotated[int, Meta(ge=1)] = 10
    session: Literal["orders", "data", "both"] = "orders"
    reason: str = "other"
    text: str = ""

    def __post_init__(self) -> None:
        events = EVENTS.get(self.kind, frozenset())
        if (self.at_s is None) == (self.on is None):
            raise ValueError(f"{self.kind}: says either when, with at_s, or on what event, with on")
        if self.on is not None and self.on not in events:
            can = ", ".join(sorted(events)) or "no event, only at_s"
            raise ValueError(f"{self.kind} on {self.on}: it can wait for {can}")
        if self.at_s is not None and events and self.kind not in TIMED_TOO:
            raise ValueError(f"{self.kind}: happens on an event ({', '.join(sorted(events))}), not at a time")
        if self.kind in LASTING and not self.for_s:
            raise ValueError(f"{self.kind}: says how long it lasts, with for_s")
        if self.reason not in REASONS:
            raise ValueError(f"reason {self.reason!r} is none of {', '.join(sorted(REASONS))}")


class OrderStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An order of an EMS. `limit_ticks` through the middle of the market when it is sent; left out: a market order."""

    id: Name
    at_s: Seconds
    symbol: str = ""  # "": the first of the scenario
    side: Literal["buy", "sell", "sell_short"] = "buy"
    qty: Annotated[int, Meta(ge=1)]
    client: Name = "EMS1"
    account: Name = "ACC2"
    limit_ticks: int | None = None
    strategy: str = "sweep"
    params: dict[str, int] = {}
    fields: dict[str, str] = {}  # tag -> value: whatever else the message is to say


class RequestStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A cancel or a replace of an order; of a replace, what is left out stays as it is."""

    at_s: Seconds
    cancel: str = ""
    replace: str = ""
    qty: Count = 0
    limit_ticks: int | None = None

    def __post_init__(self) -> None:
        if bool(self.cancel) == bool(self.replace):
            raise ValueError("a request names the order that it is to cancel or to replace")


class OperatorStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What happens to the daemon itself."""

    at_s: Seconds
    action: Literal["kill", "release", "crash", "cut_client"]
    scope: str = "firm"  # of a kill switch
    client: str = "EMS1"  # whose connection is cut
    for_s: Seconds = 0.5  # down, or away


class OrderExpectation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    status: str = ""
    qty: Count | None = None  # filled
    min_qty: Count = 0
    max_qty: Count = 1 << 40
    reports: tuple[str, ...] = ()  # ExecTypes of its reports, in this order, perhaps with others between
    text: str = ""  # some report says this

    def __post_init__(self) -> None:
        if self.status and self.status.upper() not in OrdStatus.__members__:
            raise ValueError(f"status {self.status!r} is none of {', '.join(OrdStatus.__members__).lower()}")


class QuietStretch(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """No new order goes to the venue ("": to any) for the symbol ("": for any) in that stretch of time."""

    from_s: Seconds
    until_s: Seconds
    venue: str = ""
    symbol: str = ""


class Expectation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Always expected: the books of all sides agree, the EMS has nothing to complain of, nothing is left open.

    `alarms` and `differences` are parts of texts: each must come, and nothing that none of them fits.
    """

    orders: dict[str, OrderExpectation] = {}
    alarms: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()  # of the books
    facts: dict[str, int] = {}  # name of a fact -> at least so many
    no_facts: tuple[str, ...] = ()
    filled_at: tuple[str, ...] = ()  # venues at which something was filled
    quiet: tuple[QuietStretch, ...] = ()
    disputed: Count = 0  # fills that the router told a venue are not its own


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    title: Name
    seed: int = 1
    duration_s: Annotated[float, Meta(gt=0)] = 30.0  # then what is still open is cancelled
    symbols: tuple[Name, ...] = ("ALFA",)
    venues: tuple[Name, ...] = ("ARGO", "BRIG", "DUSK", "FORD")
    daemon: dict[str, Any] = {}  # tables of the daemon's config, with what is changed in them
    market: dict[str, dict[str, Any]] = {}  # by venue or symbol: figures of the market model
    orders: tuple[OrderStep, ...] = ()
    requests: tuple[RequestStep, ...] = ()
    faults: tuple[Fault, ...] = ()
    operator: tuple[OperatorStep, ...] = ()
    expect: Expectation = Expectation()
