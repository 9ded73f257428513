"""The venues as an operator sees them: what was lately said of their orders and what became of them, and the alarms."""

from collections.abc import Iterable
from typing import Any

from router.health import VenueMonitor
from router.state import State


def listing(state: State, venues: Iterable[str]) -> list[dict[str, Any]]:
    """One row for each venue. P(fill) and markouts (bps, positive is a loss) are means of the latest; None: of none."""
    rows = []
    for name in venues:
        monitor = state.health.venues.get(name, VenueMonitor())
        recent = monitor.recent
        rows.append(
            {
                "venue": name,
                "up": name in state.venues_up,
                "orders": monitor.orders,
                "fill_said": _mean(recent.said, recent.orders),
                "fill_found": _mean(recent.filled, recent.orders),
                "markout_said_bps": _mean(recent.said_bps, recent.marked),
                "markout_found_bps": _mean(recent.found_bps, recent.marked),
                "alarm": state.health.told.get(name, ""),
            }
        )
    return rows


def _mean(total: float, count: float) -> float | None:
    return round(total / count, 3) if count else None
