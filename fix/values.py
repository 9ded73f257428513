"""FIX values between text and our types. Text is latin-1, so that no byte of a peer can fail to decode.

Each reader returns the value or raises ValueError; the caller knows the tag. All readers are exact: a price off the
1e-4 grid, a fraction of a share or a 31st of February is refused, never rounded.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache

from domain.prices import PX_SCALE, px_from_text, px_to_text, qty_from_text

NS_PER_S = 1_000_000_000
_PX_POWERS = {0: 10_000, 1: 1_000, 2: 100, 3: 10, 4: 1}  # by number of decimals
_NS_POWERS = {3: 1_000_000, 6: 1_000, 9: 1, 12: 1}
_CENTS = {cents * 100: f"{cents:02d}" for cents in range(100)}  # text of a fraction of PX_SCALE
_MAX_DIGITS = 15  # of any number: what is larger is no quantity or price, and would not fit the 64 bits of the journal
_MILLIS = [f".{millis:03d}" for millis in range(1000)]


def read_int(text: str) -> int:
    """An int such as "30" or "-1". FIX allows leading zeros but no plus sign, blanks or underscores."""
    digits = text[1:] if text[:1] == "-" else text
    if not digits.isdecimal():  # of latin-1 only 0-9 are decimal
        raise ValueError("not an integer")
    if len(digits) > _MAX_DIGITS:
        raise ValueError(f"more than {_MAX_DIGITS} digits")
    return int(text)


def read_px(text: str) -> int:
    """Px of a price."""
    whole, _, fraction = text.partition(".")
    digits = whole + fraction
    power = _PX_POWERS.get(len(fraction))
    if len(digits) > _MAX_DIGITS:
        raise ValueError(f"more than {_MAX_DIGITS} digits")
    if power is not None and digits.isdecimal():
        return int(digits) * power
    return px_from_text(text)


def read_qty(text: str) -> int:
    """Whole shares; "300" and "300.0" are the same."""
    if len(text) > _MAX_DIGITS:
        raise ValueError(f"more than {_MAX_DIGITS} digits")
    if text.isdecimal():
        return int(text)
    qty = qty_from_text(text)
    if qty < 0:
        raise ValueError(f"quantity {text!r} is negative")
    return qty


def read_decimal(text: str) -> str:
    """The text itself, once it is a decimal number."""
    digits = text[1:] if text[:1] == "-" else text
    if not digits.replace(".", "", 1).isdecimal():
        raise ValueError("not a decimal number")
    return text


def read_text(text: str) -> str:
    return text


def read_timestamp(text: str) -> int:
    """UTC ns of a UTCTimestamp: YYYYMMDD-HH:MM:SS with no, 3, 6, 9 or 12 decimals; second 60 is a leap second.

    Picoseconds are read and cut off.
    """
    seconds_ns = _seconds_ns(text[:17])
    fraction = text[18:]
    if not fraction:
        if len(text) == 17:
            return seconds_ns
    elif text[17] == "." and fraction.isdecimal() and len(fraction) in _NS_POWERS:
        if len(fraction) == 12:
            fraction = fraction[:9]
        return seconds_ns + int(fraction) * _NS_POWERS[len(fraction)]
    raise ValueError("not a UTC timestamp")


@lru_cache(maxsize=256)
def _seconds_ns(text: str) -> int:
    # Consecutive messages share their second: the calendar is worked out once for each.
    if len(text) != 17 or text[8] != "-" or text[11] != ":" or text[14] != ":":
        raise ValueError("not a UTC timestamp")
    parts = (text[0:4], text[4:6], text[6:8], text[9:11], text[12:14], text[15:17])
    if not "".join(parts).isdecimal():
        raise ValueError("not a UTC timestamp")
    year, month, day, hour, minute, second = map(int, parts)
    if not 1970 <= year < 2262:  # ns beyond that do not fit 64 bits
        raise ValueError(f"year {year} is out of range")
    leap = second == 60
    moment = datetime(year, month, day, hour, minute, 59 if leap else second, tzinfo=UTC)
    return (int(moment.timestamp()) + leap) * NS_PER_S


def write_px(px: int) -> str:
    """The same text as domain.prices.px_to_text, with the usual case (whole cents) first."""
    if px >= 0 and (cents := _CENTS.get(px % PX_SCALE)):
        return f"{px // PX_SCALE}.{cents}"
    return px_to_text(px)


def write_timestamp(ns: int) -> str:
    """UTCTimestamp in milliseconds, all that FIX.4.2 to FIX.4.4 define; what is finer is cut off."""
    seconds, rest = divmod(ns, NS_PER_S)
    return _seconds_text(seconds) + _MILLIS[rest // 1_000_000]


def timestamp_writer(digits: int) -> Callable[[int], str]:
    """A `write_timestamp` with 0, 3, 6, 9 or 12 decimals. FIX.4.0 and 4.1 know none, FIX.5.0 SP2 up to 12."""
    if digits == 3:
        return write_timestamp
    if digits == 0:
        return lambda ns: _seconds_text(ns // NS_PER_S)
    divisor, zeros = 10 ** max(9 - digits, 0), "0" * (digits - 9)

    def write(ns: int) -> str:
        seconds, rest = divmod(ns, NS_PER_S)
        return f"{_seconds_text(seconds)}.{rest // divisor:0{min(digits, 9)}d}{zeros}"

    return write


@lru_cache(maxsize=256)
def _seconds_text(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%d-%H:%M:%S")
