"""Text and typed values: exact both ways, and nothing that only looks like a value gets through."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.prices import px_from_text, px_to_text
from fix.values import (
    read_decimal,
    read_int,
    read_px,
    read_qty,
    read_timestamp,
    write_px,
    write_timestamp,
)

T = 1_704_205_800_000_000_000  # 2024-01-02 14:30:00 UTC

GOOD = [
    (read_int, "0030", 30),
    (read_int, "-5", -5),
    (read_px, "100.25", 1_002_500),
    (read_px, "100", 1_000_000),
    (read_px, "100.", 1_000_000),
    (read_px, ".5", 5_000),
    (read_px, "0.00010", 1),
    (read_px, "-1.5", -15_000),
    (read_qty, "300", 300),
    (read_qty, "300.00", 300),
    (read_decimal, "100.123456", "100.123456"),
    (read_decimal, "-0.5", "-0.5"),
    (read_timestamp, "20240102-14:30:00", T),
    (read_timestamp, "20240102-14:30:00.123", T + 123_000_000),
    (read_timestamp, "20240102-14:30:00.123456", T + 123_456_000),
    (read_timestamp, "20240102-14:30:00.123456789", T + 123_456_789),
    (read_timestamp, "20161231-23:59:60", 1_483_228_800_000_000_000),
]
BAD = [
    *[(read_int, text) for text in ("", "-", "+5", " 5", "5 ", "5_0", "5.0", "0x5", "\xb2", "five")],
    *[(read_px, text) for text in ("", ".", "-", "1.00001", "1e3", "1,5", " 1", "nan", "inf", "1.2.3", "1\xb2", "--1")],
    *[(read_qty, text) for text in ("", "-5", "0.5", "1e3", "ten", "5-")],
    *[(read_decimal, text) for text in ("", "-", ".", "1.2.3", "1e5", "nan")],
    *[(read, "1" * 16) for read in (read_int, read_px, read_qty)],  # would not fit 64 bits further on
    *[(read, "9" * 5000) for read in (read_int, read_px, read_qty)],
    (read_timestamp, ""),
    (read_timestamp, "99991231-00:00:00"),
    (read_timestamp, "19691231-23:59:59"),
    (read_timestamp, "20240102-14:30"),
    (read_timestamp, "20240102 14:30:00"),
    (read_timestamp, "20240230-14:30:00"),
    (read_timestamp, "20240102-24:00:00"),
    (read_timestamp, "20240102-14:30:61"),
    (read_timestamp, "20240102-14:30:00."),
    (read_timestamp, "20240102-14:30:00.1"),
    (read_timestamp, "20240102-14:30:00,123"),
    (read_timestamp, "20240102-14:30:00.12x"),
    (read_timestamp, "20240102-14:30:00Z"),
    (read_timestamp, "2024\xb2102-14:30:00"),
]


@pytest.mark.parametrize(("read", "text", "value"), GOOD)
def test_good(read, text, value) -> None:
    assert read(text) == value


@pytest.mark.parametrize(("read", "text"), BAD)
def test_bad(read, text) -> None:
    with pytest.raises(ValueError):
        read(text)


@given(st.integers(-(10**14), 10**14))
def test_prices_both_ways(px: int) -> None:
    assert write_px(px) == px_to_text(px)
    assert read_px(write_px(px)) == px


@given(st.text("0123456789.-+ e", max_size=8))
def test_prices_are_read_as_the_domain_reads_them(text: str) -> None:
    def outcome(read):
        try:
            return read(text)
        except ValueError:
            return None

    assert outcome(read_px) == outcome(px_from_text)


@given(st.integers(0, 4_000_000_000_000))
def test_timestamps_both_ways(millis: int) -> None:
    ns = millis * 1_000_000
    assert read_timestamp(write_timestamp(ns)) == ns
    moment = datetime.fromtimestamp(millis // 1000, UTC)
    assert write_timestamp(ns + 999_999) == f"{moment:%Y%m%d-%H:%M:%S}.{millis % 1000:03d}"
