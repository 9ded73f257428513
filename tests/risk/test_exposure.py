"""Exposure is exact after any sequence of facts: it equals a recount from scratch."""

from hypothesis import given
from hypothesis import strategies as st

from domain.fields import Side
from risk.exposure import Exposure

ORDER = st.tuples(
    st.sampled_from(["ACC1", "ACC2"]),
    st.sampled_from(["ALFA", "BETA"]),
    st.sampled_from(list(Side)),
    st.integers(1, 500),
    st.integers(1, 2_000_000),
)
# For each order: fills (some beyond its quantity), whether it ends, and a fill after that.
LIFE = st.tuples(ORDER, st.lists(st.tuples(st.integers(1, 300), st.integers(1, 2_000_000)), max_size=3), st.booleans())


@given(st.lists(LIFE, max_size=8), st.booleans())
def test_gross_exposure_equals_a_recount(lives, late_fill):
    exposure = Exposure()
    position: dict[tuple[str, str], int] = {}
    last_px: dict[tuple[str, str], int] = {}
    open_px: dict[str, int] = {"ACC1": 0, "ACC2": 0}
    for number, ((account, symbol, side, qty, px), fills, ends) in enumerate(lives):
        child_id, left = f"C{number}", qty
        exposure.apply_submitted(child_id, account, symbol, side, qty, px)
        if late_fill and ends:
            exposure.apply_ended(child_id)
            left = 0
        for last_qty, fill_px in fills:
            exposure.apply_filled(child_id, account, symbol, side, last_qty, fill_px)
            left = max(left - last_qty, 0)
            position[account, symbol] = position.get((account, symbol), 0) + side.sign * last_qty
            last_px[account, symbol] = fill_px
        if ends:
            exposure.apply_ended(child_id)
            left = 0
        open_px[account] += left * px
    for account, still_open_px in open_px.items():
        held_px = sum(abs(q) * last_px[key] for key, q in position.items() if key[0] == account)
        assert exposure.gross_px(account) == held_px + still_open_px
    assert exposure.firm_gross_px == exposure.gross_px("ACC1") + exposure.gross_px("ACC2")
    for (account, symbol), qty in position.items():
        closing = Side.SELL if qty > 0 else Side.BUY
        if not any(open_px.values()):
            assert exposure.added_px(account, symbol, closing, abs(qty), 1) == 0
            assert exposure.added_px(account, symbol, closing, abs(qty) + 1, 1) == 1


def test_added_exposure_spares_what_closes_the_position():
    exposure = Exposure()
    assert exposure.added_px("ACC", "ALFA", Side.SELL, 10, 100) == 1_000
    exposure.apply_submitted("C1", "ACC", "ALFA", Side.BUY, 50, 100)
    exposure.apply_filled("C1", "ACC", "ALFA", Side.BUY, 50, 100)
    assert exposure.added_px("ACC", "ALFA", Side.BUY, 10, 100) == 1_000
    assert exposure.added_px("ACC", "ALFA", Side.SELL, 50, 100) == 0
    assert exposure.added_px("ACC", "ALFA", Side.SELL, 60, 100) == 1_000
    exposure.apply_submitted("C2", "ACC", "ALFA", Side.SELL, 30, 100)
    assert exposure.added_px("ACC", "ALFA", Side.SELL, 50, 100) == 3_000  # 30 of the 50 are spoken for
    exposure.apply_ended("C2")
    assert exposure.added_px("ACC", "ALFA", Side.SELL_SHORT, 50, 100) == 0
    assert exposure.gross_px("NOBODY") == 0
