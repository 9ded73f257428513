"""The incremental refresh that is written out by hand is the one that the dictionary gives, to the byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fix.codec import encoder
from fix.errors import LocalProtocolError
from fix.market_messages import MarketDataIncrementalRefresh, MdEntry
from fix.messages import encode

PLAIN = encoder(MarketDataIncrementalRefresh, "X", "FIX.4.4")
TEXT = st.sampled_from(["", "A", "7", "ALFA", "a=b", "\x01", "A\x01", "é", "€"])
NUMBER = st.sampled_from([0, 1, -1, 100, 24_5000, 24_5050, 24_5001, 10**12])
ENTRY = st.builds(
    MdEntry,
    md_entry_type=TEXT,
    md_entry_px=NUMBER,
    md_entry_size=NUMBER,
    symbol=TEXT,
    md_update_action=TEXT,
    md_entry_id=TEXT,
    trade_condition=TEXT,
    text=TEXT,
)


def said(write, message: MarketDataIncrementalRefresh) -> bytes | str:
    try:
        return write(message)
    except LocalProtocolError as error:
        return str(error)


@given(st.lists(ENTRY, max_size=3), TEXT)
def test_any_refresh(entries: list[MdEntry], md_req_id: str) -> None:
    message = MarketDataIncrementalRefresh(tuple(entries), md_req_id)
    assert said(lambda typed: encode(typed, "FIX.4.4"), message) == said(PLAIN, message)


@pytest.mark.parametrize("entry_type, condition", [("0", ""), ("1", ""), ("2", "1")])
def test_what_a_venue_sends(entry_type: str, condition: str) -> None:
    entry = MdEntry(entry_type, 24_5000, 300, "ALFA", "1", trade_condition=condition)
    message = MarketDataIncrementalRefresh((entry, entry), "r1")
    assert encode(message, "FIX.4.4") == PLAIN(message)
