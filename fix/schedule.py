"""When a session is open: daily, on some weekdays, or through a week, in the time zone of whoever runs the market.

Wall-clock times are what people agree on, so a session's length in hours changes with the clocks twice a year. A start
or an end that the clocks skip happens as much later as they skip; one that they pass twice happens the first time.
"""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from fix.values import NS_PER_S

_FORMS = (
    'expected "always", "07:00-18:00 Europe/London", "mon,tue 07:00-18:00 Europe/London", '
    '"sun 17:00 - fri 16:00 America/New_York" or "reset 17:00 America/New_York"'
)
_DAY, _TIME = "(?:mon|tue|wed|thu|fri|sat|sun)", r"\d\d:\d\d(?::\d\d)?"
_TEXT = re.compile(
    rf"(?:(?P<days>{_DAY}(?:,{_DAY})*) )?(?P<start>{_TIME})-(?P<end>{_TIME}) (?P<zone>\S+)"
    rf"|(?P<start_day>{_DAY}) (?P<from>{_TIME}) - (?P<end_day>{_DAY}) (?P<to>{_TIME}) (?P<week_zone>\S+)"
    rf"|reset (?P<reset_at>{_TIME}) (?P<reset_zone>\S+)"
)
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Schedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """Open from `start` to `end`, which is on the next day where it is not later; equal times make sessions of a day.

    With `start_day` and `end_day` one session lasts from the one to the other, once a week. With `days` one begins on
    these days only. Without `start` and `end` it never closes. Sequence numbers belong to a session: each begins at
    1. `reset_at`: a time of day at which they go back to 1 without a disconnect.
    """

    start: time | None = None
    end: time | None = None
    zone: str = "UTC"
    days: tuple[Weekday, ...] = ()
    start_day: Weekday | None = None
    end_day: Weekday | None = None
    reset_at: time | None = None

    def __post_init__(self) -> None:
        if (self.start is None) != (self.end is None):
            raise ValueError("a schedule has both a start and an end, or neither")
        if (self.start_day is None) != (self.end_day is None):
            raise ValueError("a schedule has both a start_day and an end_day, or neither")
        if self.start_day is not None and (self.start is None or self.days):
            raise ValueError("start_day and end_day go with start and end, and not with days")
        if self.days and self.start is None:
            raise ValueError("days go with start and end")
        try:
            _ = self._zone
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"zone {self.zone!r} is not an IANA time zone") from None

    def __str__(self) -> str:
        """As `schedule_from_text` reads it."""
        if self.start is None or self.end is None:
            return f"reset {self.reset_at:%H:%M:%S} {self.zone}" if self.reset_at else "always"
        if self.start_day is not None:
            return f"{self.start_day} {self.start:%H:%M:%S} - {self.end_day} {self.end:%H:%M:%S} {self.zone}"
        days = f"{','.join(self.days)} " if self.days else ""
        return f"{days}{self.start:%H:%M:%S}-{self.end:%H:%M:%S} {self.zone}"

    @cached_property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.zone)

    def session_at(self, now_ns: int) -> tuple[int, int | None] | None:
        """(start, end) in UTC ns of the session in progress, the end not included; None between sessions.

        A session that never closes began at the beginning of time and has no end.
        """
        if self.start is None:
            return (0, None)
        for begin_ns, end_ns in self._sessions(now_ns, -8):
            if begin_ns <= now_ns < end_ns:
                return begin_ns, end_ns
        return None

    def is_open(self, now_ns: int) -> bool:
        return self.session_at(now_ns) is not None

    def next_start_ns(self, now_ns: int) -> int | None:
        """When the next session begins; None where none ever does."""
        if self.start is None:
            return None
        return next(begin_ns for begin_ns, _ in self._sessions(now_ns, -1) if begin_ns > now_ns)

    def next_reset_ns(self, now_ns: int) -> int | None:
        """The next `reset_at` after now."""
        if self.reset_at is None:
            return None
        today = self._local_date(now_ns)
        times = (self._ns(today + timedelta(days), self.reset_at) for days in range(-1, 3))
        return next(at_ns for at_ns in times if at_ns > now_ns)

    def _sessions(self, now_ns: int, first_day: int) -> Iterator[tuple[int, int]]:
        """The sessions that begin from `first_day` days before today on, in order, for two weeks."""
        assert self.start is not None and self.end is not None
        today = self._local_date(now_ns)
        for days in range(first_day, first_day + 17):
            begins = today + timedelta(days)
            weekday = _WEEKDAYS[begins.weekday()]
            if self.start_day is not None and self.end_day is not None:
                if weekday != self.start_day:
                    continue
                length = (_WEEKDAYS.index(self.end_day) - begins.weekday()) % 7
                length += 7 if length == 0 and self.end <= self.start else 0
            elif self.days and weekday not in self.days:
                continue
            else:
                length = 0 if self.end > self.start else 1
            yield self._ns(begins, self.start), self._ns(begins + timedelta(length), self.end)

    def _local_date(self, now_ns: int) -> date:
        return datetime.fromtimestamp(now_ns // NS_PER_S, UTC).astimezone(self._zone).date()

    def _ns(self, day: date, at: time) -> int:
        local = datetime.combine(day, at.replace(tzinfo=None), self._zone)
        return int(local.timestamp()) * NS_PER_S + at.microsecond * 1000


def schedule_from_text(text: str) -> Schedule | None:
    """ "always" (None), or such as "mon,fri 07:00-18:00 Europe/London"; ValueError for anything else."""
    if text == "always":
        return None
    found = _TEXT.fullmatch(text)
    if found is None:
        raise ValueError(f"{_FORMS}, got {text!r}")
    part = found.groupdict()
    try:
        return msgspec.convert(
            {
                "start": _seconds(part["start"] or part["from"]),
                "end": _seconds(part["end"] or part["to"]),
                "zone": part["zone"] or part["week_zone"] or part["reset_zone"],
                "days": (part["days"] or "").split(",") if part["days"] else [],
                "start_day": part["start_day"],
                "end_day": part["end_day"],
                "reset_at": _seconds(part["reset_at"]),
            },
            Schedule,
        )
    except msgspec.ValidationError as error:
        raise ValueError(f"{error}, in {text!r}") from None


def _seconds(text: str | None) -> str | None:
    return f"{text}:00" if text is not None and len(text) == 5 else text
