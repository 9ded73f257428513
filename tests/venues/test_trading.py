"""What a venue says of its trading becomes one word for a symbol or for all; codes that only inform change nothing."""

import pytest

from domain.facts import TradingStatusChanged
from domain.fields import TradingStatus
from fix.messages import encode
from tests.venues.test_inbound import AT_NS, message
from venues.trading import status_change, subscriptions

OPEN, AUCTION, HALTED, CLOSED = TradingStatus


@pytest.mark.parametrize("version", ["FIX.4.2", "FIX.4.4", "FIX.5.0SP2"])
@pytest.mark.parametrize(
    ("msg_type", "body", "symbol", "status", "text"),
    [
        ("h", "336=DAY 340=1", "", HALTED, "TradSesStatus(340)=1"),
        ("h", "336=DAY 340=2 58=welcome", "", OPEN, "welcome"),
        ("h", "336=DAY 340=3", "", CLOSED, "TradSesStatus(340)=3"),
        ("h", "336=DAY 340=4", "", AUCTION, "TradSesStatus(340)=4"),
        ("f", "55=AAPL 326=2 58=news", "AAPL", HALTED, "news"),
        ("f", "55=AAPL 326=3", "AAPL", OPEN, "SecurityTradingStatus(326)=3"),
        ("f", "55=AAPL 326=17", "AAPL", OPEN, "SecurityTradingStatus(326)=17"),
        ("f", "55=AAPL 326=21", "AAPL", AUCTION, "SecurityTradingStatus(326)=21"),
        ("f", "55=AAPL 326=18", "AAPL", CLOSED, "SecurityTradingStatus(326)=18"),
        ("f", "55=AAPL 326=23", "AAPL", HALTED, "SecurityTradingStatus(326)=23"),  # by the venue's own codes
    ],
)
def test_status(msg_type: str, body: str, symbol: str, status: TradingStatus, text: str, version: str) -> None:
    expected = TradingStatusChanged(at_ns=AT_NS, venue="V", symbol=symbol, status=status, text=text)
    assert status_change(message(msg_type, body, version), "V", {"23": HALTED}, AT_NS) == expected


@pytest.mark.parametrize(
    ("msg_type", "body"),
    [("f", "55=AAPL 326=7"), ("f", "55=AAPL 326=23"), ("f", "55=AAPL"), ("h", "340=0"), ("h", "340=6"), ("8", "326=2")],
)
def test_what_only_informs(msg_type: str, body: str) -> None:
    assert status_change(message(msg_type, body), "V", {}, AT_NS) is None


def test_what_is_asked_for() -> None:
    asked = subscriptions(("session", "security"), ("AAPL", "MSFT"), "R1")
    assert [
        (request.MSG_TYPE, encode(request, "FIX.4.4").decode().replace("\x01", " ").strip()) for request in asked
    ] == [
        ("g", "335=R1-session 263=1"),
        ("e", "324=R1-AAPL 55=AAPL 263=1"),
        ("e", "324=R1-MSFT 55=MSFT 263=1"),
    ]
    assert subscriptions((), ("AAPL",), "R1") == []
