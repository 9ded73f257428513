"""Market data in: what becomes of each kind of message, and which entries are refused with what reason."""

import pytest

from domain.fields import Side
from domain.market import AuctionIndicated, BookSnapshot, DealerQuoted, LevelChange, MarketUpdate, TradePrinted
from fix.errors import FieldError, SessionRejectReason
from fix.message import Message, parse
from fix.messages import encode
from venues.feed import QUOTE_LIFE_NS, subscription, to_updates

NOW_NS = 1_704_189_600_000_000_000  # 2024-01-02 10:00:00 UTC


def message(text: str) -> Message:
    msg_type, _, body = text.partition(" ")
    whole = f"8=FIX.4.4 {msg_type} 34=7 52=20240102-10:00:00 {body} 10=000"
    return parse("".join(f"{item}\x01" for item in whole.split()).encode())


def bid(px: int, qty: int) -> LevelChange:
    return LevelChange("V", "AAPL", Side.BUY, px, qty)


def quote(*sides: int, valid_until_ns: int = NOW_NS + 500_000_000) -> DealerQuoted:
    return DealerQuoted("V", "AAPL", "Q1", *sides, valid_until_ns)


UNTIL = "62=20240102-10:00:00.500"
UPDATES: list[tuple[str, list[MarketUpdate]]] = [
    ("35=X 268=1 279=0 269=0 55=AAPL 270=100.25 271=300", [bid(1_002_500, 300)]),
    ("35=X 262=R 268=1 279=1 269=1 55=AAPL 270=100.26 271=5", [LevelChange("V", "AAPL", Side.SELL, 1_002_600, 5)]),
    ("35=X 268=1 279=2 269=0 55=AAPL 270=100.25", [bid(1_002_500, 0)]),
    ("35=X 268=1 279=2 269=0 55=AAPL 270=100.25 271=300", [bid(1_002_500, 0)]),
    ("35=X 268=1 279=0 269=2 55=AAPL 270=100.25 271=7 277=1", [TradePrinted("V", "AAPL", 1_002_500, 7, Side.BUY)]),
    ("35=X 268=1 279=0 269=2 55=AAPL 270=100.25 271=7 277=2", [TradePrinted("V", "AAPL", 1_002_500, 7, Side.SELL)]),
    ("35=X 268=1 279=0 269=2 55=AAPL 270=100.255 271=7", [TradePrinted("V", "AAPL", 1_002_550, 7, None)]),
    (
        "35=X 268=2 279=1 269=0 55=AAPL 270=100.25 271=200 279=0 269=2 55=MSFT 270=400.00 271=9 277=2",
        [bid(1_002_500, 200), TradePrinted("V", "MSFT", 4_000_000, 9, Side.SELL)],
    ),
    (
        "35=W 55=AAPL 268=5 269=0 270=100.24 271=1 269=0 270=100.25 271=2 269=1 270=100.27 271=3 269=1 270=100.26 "
        "271=4 269=2 270=100.25 271=50",
        [BookSnapshot("V", "AAPL", ((1_002_500, 2), (1_002_400, 1)), ((1_002_600, 4), (1_002_700, 3)))],
    ),
    (  # what an auction would do: the price and what trades at it, the imbalance and its side
        "35=X 268=3 279=0 269=Q 55=AAPL 270=100.25 271=900 279=0 269=A 55=AAPL 271=300 277=P "
        "279=0 269=A 55=MSFT 271=70 277=Q",
        [
            AuctionIndicated("V", "AAPL", 1_002_500, 900),
            AuctionIndicated("V", "AAPL", imbalance_qty=300),
            AuctionIndicated("V", "MSFT", imbalance_qty=-70),
        ],
    ),
    ("35=W 55=AAPL 268=0", [BookSnapshot("V", "AAPL", (), ())]),
    (
        f"35=S 117=Q1 55=AAPL 132=100.25 133=100.27 134=500 135=400 {UNTIL}",
        [quote(1_002_500, 500, 1_002_700, 400)],
    ),
    (f"35=S 117=Q1 55=AAPL 133=100.27 135=400 {UNTIL}", [quote(0, 0, 1_002_700, 400)]),
    (f"35=S 117=Q1 55=AAPL 132=100.25 134=0 133=0 135=400 {UNTIL}", [quote(0, 0, 0, 0)]),
    (
        "35=S 117=Q1 55=AAPL 132=100.25 134=500",
        [quote(1_002_500, 500, 0, 0, valid_until_ns=NOW_NS + QUOTE_LIFE_NS)],
    ),
    ("35=Y 262=R 281=0", []),
]


@pytest.mark.parametrize(("text", "updates"), UPDATES)
def test_updates(text: str, updates: list[MarketUpdate]) -> None:
    assert to_updates(message(text), "V", NOW_NS) == updates


MISSING, INCORRECT = SessionRejectReason.REQUIRED_TAG_MISSING, SessionRejectReason.VALUE_INCORRECT
FORMAT, COUNT = SessionRejectReason.INCORRECT_DATA_FORMAT, SessionRejectReason.INCORRECT_NUM_IN_GROUP
CHANGE = "35=X 268=1 279=0"
FAULTS = [
    (f"{CHANGE} 269=0 270=100.25 271=300", MISSING, "Symbol(55) is missing"),
    (f"{CHANGE} 55=AAPL 270=100.25 271=300", MISSING, "MDEntryType(269) is missing"),
    (f"{CHANGE} 269=Z 55=AAPL 270=1 271=1", INCORRECT, "MDEntryType(269)=Z is not one of the values understood here"),
    (f"{CHANGE} 269=0 55=AAPL 271=300", MISSING, "MDEntryPx(270) is missing"),
    (f"{CHANGE} 269=0 55=AAPL 270=-1 271=300", INCORRECT, "MDEntryPx(270)=-1 is not"),
    (f"{CHANGE} 269=0 55=AAPL 270=1.23456 271=300", FORMAT, "MDEntryPx(270)=1.23456 is not a price with at most 4"),
    (f"{CHANGE} 269=0 55=AAPL 270=100.25", MISSING, "MDEntrySize(271) is missing"),
    (f"{CHANGE} 269=0 55=AAPL 270=100.25 271=1.5", FORMAT, "MDEntrySize(271)=1.5 is not a whole number of shares"),
    (f"{CHANGE} 269=0 55=AAPL 270=100.25 271=-1", FORMAT, "MDEntrySize(271)=-1 is not a whole number of shares"),
    ("35=X 268=1 279=5 269=0 55=AAPL 270=1 271=1", INCORRECT, "MDUpdateAction(279)=5 is not one of"),
    (f"{CHANGE} 269=2 55=AAPL 270=1 271=1 277=K", INCORRECT, "TradeCondition(277)=K is not one of"),
    ("35=X 268=2 279=0 269=0 55=AAPL 270=1 271=1", COUNT, "268=2 but the group has 1 entries"),
    ("35=W 268=1 269=0 270=1 271=1", MISSING, "Symbol(55) is missing"),
    ("35=W 55=AAPL 268=1 269=J", INCORRECT, "MDEntryType(269)=J is not one of"),
    (f"35=S 55=AAPL {UNTIL}", MISSING, "QuoteID(117) is missing"),
    (f"35=S 117=Q {UNTIL}", MISSING, "Symbol(55) is missing"),
    ("35=S 117=Q 55=AAPL 62=noon", FORMAT, "ValidUntilTime(62)=noon is not a UTC timestamp"),
    (f"35=S 117=Q 55=AAPL 132=x {UNTIL}", FORMAT, "BidPx(132)=x is not a price with at most 4 decimals"),
    (f"35=S 117=Q 55=AAPL 135=x {UNTIL}", FORMAT, "OfferSize(135)=x is not a whole number of shares"),
]


@pytest.mark.parametrize(("text", "reason", "words"), FAULTS)
def test_bad_entries_are_refused(text: str, reason: SessionRejectReason, words: str) -> None:
    with pytest.raises(FieldError) as caught:
        to_updates(message(text), "V", NOW_NS)
    assert caught.value.reason is reason
    assert caught.value.text.startswith(words)


@pytest.mark.parametrize("version", ["FIX.4.2", "FIX.4.4"])
def test_subscription(version: str) -> None:
    body = encode(subscription(("AAPL", "MSFT"), "R1"), version).decode()
    sent = sorted(field for field in body.split("\x01") if field)
    wanted = "262=R1 263=1 264=0 265=1 267=3 269=0 269=1 269=2 146=2 55=AAPL 55=MSFT"
    assert sent == sorted(wanted.split())
