"""Prices and quantities: exact both ways, and everything off the grid refused."""

from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.prices import PX_SCALE, avg_px_to_text, bps, px_from_text, px_to_text, qty_from_text


@pytest.mark.parametrize(
    ("text", "px"),
    [("100.25", 1_002_500), ("0.0001", 1), ("-1.5", -15_000), ("7", 70_000), (".5", 5_000), ("1.50000", 15_000)],
)
def test_px_from_text(text: str, px: int) -> None:
    assert px_from_text(text) == px


@pytest.mark.parametrize("text", ["", ".", "-", "1e5", "+1", " 1", "1.0.0", "1,5", "nan", "0x1", "١", "--1"])
def test_px_from_text_refuses_what_is_no_decimal(text: str) -> None:
    with pytest.raises(ValueError, match="is not a decimal number"):
        px_from_text(text)


def test_px_off_the_grid_is_refused_not_rounded() -> None:
    with pytest.raises(ValueError, match=r"price '100\.00001' has more than 4 decimals"):
        px_from_text("100.00001")


@pytest.mark.parametrize(("text", "qty"), [("300", 300), ("300.0", 300), ("0", 0), ("-5", -5)])
def test_qty_from_text(text: str, qty: int) -> None:
    assert qty_from_text(text) == qty


@pytest.mark.parametrize("text", ["1.5", "abc", ""])
def test_qty_from_text_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="quantity"):
        qty_from_text(text)


@given(st.integers(-(10**12), 10**12))
def test_px_survives_the_way_to_text_and_back(px: int) -> None:
    text = px_to_text(px)
    assert px_from_text(text) == px
    assert Decimal(text) == Decimal(px) / PX_SCALE
    assert len(text.partition(".")[2]) >= 2


@given(st.lists(st.tuples(st.integers(1, 10**8), st.integers(1, 10**6)), min_size=1, max_size=20))
def test_avg_px_is_the_exact_average_rounded_half_to_even(fills: list[tuple[int, int]]) -> None:
    notional_px, qty = sum(px * q for px, q in fills), sum(q for _, q in fills)
    exact = (Decimal(notional_px) / qty / PX_SCALE).quantize(Decimal("0.000001"), ROUND_HALF_EVEN)
    assert Decimal(avg_px_to_text(notional_px, qty)) == exact


def test_avg_px_of_nothing_is_zero() -> None:
    assert avg_px_to_text(0, 0) == "0"


def test_bps() -> None:
    assert bps(1, 10_000) == 1.0
    assert bps(5, 0) == 0.0
