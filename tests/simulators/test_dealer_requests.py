"""Quotes on request, over FIX in virtual time: answered for their size, taken by order or response, or turned down."""

import pytest

from domain.fields import TradingStatus
from domain.prices import px_from_text
from tests.simulators.test_exchange import SECOND, Floor, order, said, text


def asked(cl: str, qty: int, side: int | None = 1, symbol: str = "ALFA") -> list:
    entry: list = [(55, symbol), *([(54, side)] if side else []), (38, qty)]
    return [(131, cl), (146, 1), *entry]


def test_a_request_is_answered_for_its_size_wider_for_more_and_may_be_taken():
    floor = Floor()
    floor.run(SECOND)
    small, large = (floor.send("FORD", "R", asked(f"R{qty}", qty, symbol="ECHO"))[0] for qty in (100, 9_000))
    assert said([small, large], 35, 131, 135, 134, 132) == [
        ("S", "R100", "100", "", ""),
        ("S", "R9000", "9000", "", ""),
    ]
    assert px_from_text(text(large, 133)) > px_from_text(text(small, 133))
    body = order("O1", 9_000, text(large, 133), symbol="ECHO", ord_type="D", t117=text(large, 117))
    reports = floor.send("FORD", "D", body, SECOND)
    assert said(reports, 150) in ([("0",), ("F",)], [("0",), ("8",)])  # but for the last look


def test_a_quote_for_one_side_is_for_that_side():
    floor = Floor()
    floor.run(SECOND)
    (quote,) = floor.send("FORD", "R", asked("R1", 500, side=2))
    assert said([quote], 134, 135, 133) == [("500", "", "")]
    body = order("O1", 500, text(quote, 132), ord_type="D", t117=text(quote, 117))
    (report,) = floor.send("FORD", "D", body)
    assert said([report], 150) == [("8",)]


def test_a_quote_is_taken_by_a_response():
    floor = Floor()
    floor.run(SECOND)
    (quote,) = floor.send("FORD", "R", asked("R1", 500))
    taken = [(693, "J1"), (694, 1), (11, "O1"), (117, text(quote, 117)), (55, "ALFA"), (54, 1), (38, 500)]
    new, *_ = floor.send("FORD", "AJ", [*taken, (44, text(quote, 133)), (60, "20231114-22:13:20")])
    assert said([new], 35, 150, 11, 38) == [("8", "0", "O1", "500")]


@pytest.mark.parametrize(
    ("body", "reason", "words"),
    [(asked("R1", 10_100), "3", "at most 10000"), (asked("R1", 100, symbol="ZULU"), "1", "ZULU")],
)
def test_what_is_not_quoted(body, reason, words):
    floor = Floor()
    floor.run(SECOND)
    (refused,) = floor.send("FORD", "R", body)
    assert said([refused], 35, 131, 658) == [("AG", "R1", reason)]
    assert words in text(refused, 58)


def test_in_a_halt_nothing_is_quoted_and_what_was_quoted_is_taken_back():
    floor = Floor()
    floor.run(SECOND)
    floor.send("FORD", "R", asked("R1", 500))
    floor.exchange.floor.set_status("ALFA", TradingStatus.HALTED, "news", "", floor.world.now_ns)
    floor.world.wake("exchange")
    before = len(floor.client("FORD").received)
    (refused,) = floor.send("FORD", "R", asked("R2", 500))
    assert said([refused], 35, 658) == [("AG", "2")]
    floor.run(SECOND)
    withdrawn = [message for _, message in floor.client("FORD").received[before:] if text(message, 35) == "Z"]
    assert said(withdrawn, 131, 298) == [("R1", "1")]
