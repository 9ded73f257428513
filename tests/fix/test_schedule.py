"""Open or not, and until when: each kind of schedule around its edges and through changes of the clocks."""

import re
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fix.schedule import Schedule, schedule_from_text
from fix.values import NS_PER_S

NEW_YORK = "America/New_York"
DAY = Schedule(start=time(9, 30), end=time(16), zone=NEW_YORK, days=("mon", "tue", "wed", "thu", "fri"))
NIGHT = Schedule(start=time(18), end=time(17), zone="America/Chicago")
WEEK = Schedule(start=time(17), end=time(16, 30), start_day="sun", end_day="fri", zone=NEW_YORK)
ROUND = Schedule(start=time(0), end=time(0))
ALWAYS = Schedule(reset_at=time(17), zone=NEW_YORK)


def ns(text: str, zone: str = NEW_YORK) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * NS_PER_S


@pytest.mark.parametrize(
    ("schedule", "at", "session"),
    [
        (DAY, "2024-01-02 09:29:59", None),
        (DAY, "2024-01-02 09:30:00", ("2024-01-02 09:30", "2024-01-02 16:00")),
        (DAY, "2024-01-02 15:59:59", ("2024-01-02 09:30", "2024-01-02 16:00")),
        (DAY, "2024-01-02 16:00:00", None),
        (DAY, "2024-01-06 12:00:00", None),  # a Saturday
        (NIGHT, "2024-01-02 18:30:00", None),  # 17:30 in Chicago
        (NIGHT, "2024-01-02 19:00:00", ("2024-01-02 19:00", "2024-01-03 18:00")),
        (NIGHT, "2024-01-03 17:59:59", ("2024-01-02 19:00", "2024-01-03 18:00")),
        (WEEK, "2024-01-07 16:59:59", None),  # a Sunday
        (WEEK, "2024-01-07 17:00:00", ("2024-01-07 17:00", "2024-01-12 16:30")),
        (WEEK, "2024-01-12 16:29:59", ("2024-01-07 17:00", "2024-01-12 16:30")),
        (WEEK, "2024-01-12 16:30:00", None),
        (ROUND, "2024-01-02 12:00:00", ("2024-01-01 19:00", "2024-01-02 19:00")),
        # The clocks go forward on 2024-03-10 and back on 2024-11-03.
        (NIGHT, "2024-03-10 12:00:00", ("2024-03-09 19:00", "2024-03-10 18:00")),
        (WEEK, "2024-11-05 12:00:00", ("2024-11-03 17:00", "2024-11-08 16:30")),
    ],
)
def test_session_at(schedule: Schedule, at: str, session: tuple[str, str] | None) -> None:
    expected = session and (ns(session[0]), ns(session[1]))
    assert schedule.session_at(ns(at)) == expected
    assert schedule.is_open(ns(at)) is (session is not None)


def test_the_length_of_a_night_changes_with_the_clocks() -> None:
    hours = [
        (session[1] - session[0]) // (3600 * NS_PER_S)
        for at in ("2024-03-09 12:00", "2024-03-10 12:00", "2024-11-03 12:00")
        if (session := NIGHT.session_at(ns(at))) is not None and session[1] is not None
    ]
    assert hours == [23, 22, 24]


def test_a_start_that_the_clocks_skip_or_pass_twice() -> None:
    skipped = Schedule(start=time(2, 30), end=time(12), zone=NEW_YORK)
    assert skipped.session_at(ns("2024-03-10 12:00") - 1) == (ns("2024-03-10 03:30"), ns("2024-03-10 12:00"))
    twice = Schedule(start=time(1, 30), end=time(12), zone=NEW_YORK)
    session = twice.session_at(ns("2024-11-03 11:00"))
    assert session == (ns("2024-11-03 05:30", "UTC"), ns("2024-11-03 12:00"))


def test_a_session_that_never_closes() -> None:
    assert ALWAYS.session_at(ns("2024-01-02 12:00")) == (0, None)
    assert ALWAYS.next_start_ns(ns("2024-01-02 12:00")) is None
    assert ALWAYS.next_reset_ns(ns("2024-01-02 16:59:59")) == ns("2024-01-02 17:00")
    assert ALWAYS.next_reset_ns(ns("2024-01-02 17:00")) == ns("2024-01-03 17:00")
    assert DAY.next_reset_ns(0) is None


@pytest.mark.parametrize(
    ("schedule", "at", "start"),
    [
        (DAY, "2024-01-05 16:00", "2024-01-08 09:30"),  # over the weekend
        (DAY, "2024-01-05 09:29", "2024-01-05 09:30"),
        (WEEK, "2024-01-08 12:00", "2024-01-14 17:00"),
        (NIGHT, "2024-01-02 18:30", "2024-01-02 19:00"),
    ],
)
def test_next_start(schedule: Schedule, at: str, start: str) -> None:
    assert schedule.next_start_ns(ns(at)) == ns(start)


@given(st.sampled_from([DAY, NIGHT, WEEK, ROUND]), st.integers(ns("2023-01-01 00:00"), ns("2026-01-01 00:00")))
def test_a_session_ends_where_it_says_and_the_next_one_follows(schedule: Schedule, now_ns: int) -> None:
    session = schedule.session_at(now_ns)
    start_ns = schedule.next_start_ns(now_ns)
    assert start_ns is not None and start_ns > now_ns
    if session is not None:
        begin_ns, end_ns = session
        assert end_ns is not None
        assert schedule.session_at(begin_ns) == session
        assert schedule.session_at(end_ns - 1) == session
        assert schedule.session_at(end_ns) != session
        assert start_ns >= end_ns
    else:
        assert not schedule.is_open(start_ns - 1)
    assert (schedule.session_at(start_ns) or (0, 0))[0] == start_ns
    assert start_ns - now_ns <= timedelta(days=8).total_seconds() * NS_PER_S


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"start": "09:00:00"}, "both a start and an end"),
        ({"start": "09:00:00", "end": "10:00:00", "start_day": "mon"}, "both a start_day and an end_day"),
        ({"start_day": "mon", "end_day": "fri"}, "go with start and end"),
        ({"days": ["mon"]}, "days go with start and end"),
        ({"zone": "Mars/Olympus"}, "'Mars/Olympus' is not an IANA time zone"),
        ({"days": ["monday"]}, "monday"),
    ],
)
def test_what_makes_no_schedule(settings: dict[str, object], complaint: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=complaint):
        msgspec.convert(settings, Schedule)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("07:00-18:00 Europe/London", Schedule(start=time(7), end=time(18), zone="Europe/London")),
        ("22:30:15-04:00 UTC", Schedule(start=time(22, 30, 15), end=time(4))),
        ("mon,fri 07:00-18:00 UTC", Schedule(start=time(7), end=time(18), days=("mon", "fri"))),
        (
            "sun 17:00 - fri 16:00 America/New_York",
            Schedule(start=time(17), end=time(16), start_day="sun", end_day="fri", zone="America/New_York"),
        ),
        ("reset 17:00 America/New_York", Schedule(reset_at=time(17), zone="America/New_York")),
    ],
)
def test_from_text(text: str, expected: Schedule) -> None:
    assert schedule_from_text(text) == expected
    assert schedule_from_text(str(expected)) == expected


@pytest.mark.parametrize(
    "text", ["", "never", "07:00-18:00", "07:00 UTC", "25:00-26:00 UTC", "07:00-18:00 Mars/Base", "mo 07:00-18:00 UTC"]
)
def test_a_text_that_is_no_schedule(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(text))):
        schedule_from_text(text)


def test_always_is_no_schedule() -> None:
    assert schedule_from_text("always") is None
