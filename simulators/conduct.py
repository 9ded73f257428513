"""How a venue behaves towards its clients, whatever its kind: its lines, its limits, its hours, and how that changes.

A venue of a market has all of this as figures of its own, so that it stands in a preset, in the config of the simulated
venues and in a scenario alike. `regimes` says what the figures are from which time on. What is left at its default
draws no dice and changes nothing.
"""

from math import log
from typing import Annotated, Any, Literal, Self

import msgspec
from msgspec import Meta

from fix.schedule import schedule_from_text

_P99 = 2.3263478740408408  # of a standard normal distribution
_FIXED = frozenset({"name", "kind", "maintenance", "change"})

Positive = Annotated[float, Meta(gt=0)]
NotNegative = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]


class LatencyConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A lognormal delay on top of a line's least one: latencies of real gateways have a floor and a heavy tail."""

    median_us: Positive
    p99_us: Positive

    def __post_init__(self) -> None:
        if self.p99_us < self.median_us:
            raise ValueError(f"p99_us {self.p99_us:g} is below median_us {self.median_us:g}")

    @property
    def sigma(self) -> float:
        """Standard deviation of the delay's logarithm."""
        return log(self.p99_us / self.median_us) / _P99


class Conduct(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every kind of venue has."""

    latency_in: LatencyConfig | None = None  # of what clients send, beside the line's least delay; none: just that
    latency_out: LatencyConfig | None = None  # of reports and of market data
    latency_factor: Positive = 1.0  # on all of it
    messages_per_second: Annotated[int, Meta(ge=0)] = 0  # from one order session; 0: as many as come
    # What one more gets: a BusinessMessageReject(j), an ExecutionReport(8) or OrderCancelReject(9), or patience.
    on_excess: Literal["business_reject", "reject", "queue"] = "business_reject"
    conflate_ms: NotNegative = 0.0  # market data at most so often, with the last state of each level; 0: all of it
    maintenance: tuple[str, ...] = ()  # when the venue logs out and lets nobody in: "04:00-04:30 America/New_York"
    reject_share: Share = 0.0  # of new orders that are turned down
    toxic_share: Share = 0.0  # of clients' fills in which the other side knew more
    toxic_bps: NotNegative = 5.0  # the move against the client that it knew of, for an order filled in full
    change: tuple[dict[str, Any], ...] = ()  # figures from a time on: { at_s = 600, reject_share = 0.3 }

    def __post_init__(self) -> None:
        for window in self.maintenance:
            schedule = schedule_from_text(window)
            if schedule is None or schedule.start is None:
                raise ValueError(f"maintenance {window!r} is no stretch of time")
        if self.change:
            regimes(self)

    def changed(self, figures: dict[str, Any]) -> Self:
        """With some figures changed; ValueError with the name of one that is wrong."""
        kept = {name: value for name, value in msgspec.to_builtins(self).items() if name != "change"}
        return msgspec.convert(kept | figures, type(self))


def regimes(venue: Conduct) -> list[tuple[int, Conduct]]:
    """[(ns from the market's start, the venue's figures from then on)], in order of time, without those at the start.

    ValueError for a change that is wrong, naming it by its number.
    """
    found: list[tuple[int, Conduct]] = []
    latest = venue
    for number, change in enumerate(venue.change):
        figures = dict(change)
        at_s = figures.pop("at_s", None)
        try:
            if fixed := _FIXED & set(figures):
                raise ValueError(f"{min(fixed)} of a venue can't change")
            if not isinstance(at_s, int | float) or at_s < 0:
                raise ValueError(f"at_s must be seconds from the start, got {at_s!r}")
            if found and at_s * 1e9 < found[-1][0]:
                raise ValueError(f"at_s {at_s:g} is earlier than that of the change before")
            latest = latest.changed(figures)
        except ValueError as error:
            raise ValueError(f"change[{number}]: {error}") from None
        found.append((int(at_s * 1e9), latest))
    return found
