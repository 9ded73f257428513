"""When a market opens and closes next, over nights, weekends and the change to summer time."""

from datetime import datetime, time
from zoneinfo import ZoneInfo

import pytest

from domain.instruments import TradingHours

NEW_YORK = ZoneInfo("America/New_York")
HOURS = TradingHours(time(9, 30), time(16), "America/New_York")


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).timestamp()) * 1_000_000_000


@pytest.mark.parametrize(
    ("now", "opens", "closes"),
    [
        ("2024-01-02 09:00", "2024-01-02 09:30", "2024-01-02 16:00"),
        ("2024-01-02 09:30", "2024-01-03 09:30", "2024-01-02 16:00"),
        ("2024-01-02 16:00", "2024-01-03 09:30", "2024-01-03 16:00"),
        ("2024-01-05 17:00", "2024-01-08 09:30", "2024-01-08 16:00"),  # a Friday
        ("2024-03-08 17:00", "2024-03-11 09:30", "2024-03-11 16:00"),  # summer time begins on that weekend
    ],
)
def test_next(now: str, opens: str, closes: str) -> None:
    assert HOURS.next_open_ns(at(now)) == at(opens)
    assert HOURS.next_close_ns(at(now)) == at(closes)
    assert HOURS.is_open(at(opens)) and not HOURS.is_open(at(closes))


def test_what_never_closes() -> None:
    assert TradingHours().next_open_ns(0) is None
    assert TradingHours().next_close_ns(0) is None
