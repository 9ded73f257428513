"""A halt or an auction at a single venue, and what subscribers are told of an auction."""

import pytest

from domain.fields import Side, TradingStatus
from domain.market import AuctionIndicated, DealerQuoted, LevelChange, TradePrinted
from simulators.market import Market
from simulators.market_config import MarketConfig, default_market
from simulators.orders import Accepted, Canceled, Order, Rejected, StatusChanged, Traded
from tests.simulators.test_exchange import LATENCY_NS, SECOND, Floor, levels, order, said, text

OPEN, HALTED, AUCTION = TradingStatus.OPEN, TradingStatus.HALTED, TradingStatus.AUCTION
DEFAULT = default_market()
CONFIG = MarketConfig(symbols=DEFAULT.symbols[:1], venues=DEFAULT.venues)


def halted_at(venue: str, status: TradingStatus = HALTED) -> Market:
    market = Market(CONFIG, 2, 0)
    market.advance(5 * SECOND)
    (told,) = market.set_status("ALFA", status, "", 5 * SECOND, venue)
    assert told == (venue, 5 * SECOND, StatusChanged(venue, "ALFA", status))
    assert (market.status("ALFA", venue), market.status("ALFA"), market.status("ALFA", "BRIG")) == (status, OPEN, OPEN)
    return market


def an_order(order_id: str, qty: int = 300, px: int = 0, side: Side = Side.BUY, **more) -> Order:
    return Order(order_id, "R", order_id, "ALFA", side, qty, px, **more)


def kinds(events, venue: str):
    return [type(event) for name, _, event in events if name == venue]


def test_a_book_that_is_halted_alone_stands_still_and_is_no_reference():
    market = halted_at("ARGO")
    before = market.snapshot("ARGO", "ALFA")
    events = market.advance(25 * SECOND)
    assert kinds(events, "ARGO") == []
    assert kinds(events, "BRIG").count(LevelChange) > 50
    assert market.snapshot("ARGO", "ALFA") == before
    reference = market.references["ALFA"]
    assert [book.venue for book in reference.books] == ["BRIG", "CLIP"] and reference.mid2_px
    (_, _, rejected), *_ = market.submit("ARGO", an_order("1", px=1_0000), 25 * SECOND)
    assert isinstance(rejected, Rejected) and "is halted" in rejected.text
    assert Traded in kinds(market.submit("BRIG", an_order("2", immediate=True), 25 * SECOND), "BRIG")


def test_a_book_comes_back_without_what_the_price_has_passed():
    market = halted_at("ARGO")
    market.advance(300 * SECOND)
    market.set_status("ALFA", OPEN, "", 300 * SECOND, "ARGO")
    reference = market.references["ALFA"]
    assert len(reference.books) == 3 and reference.mid2_px  # nothing is crossed
    assert kinds(market.advance(310 * SECOND), "ARGO").count(LevelChange) > 20


def test_an_auction_at_one_venue_collects_says_what_it_would_do_and_crosses():
    market = halted_at("ARGO", AUCTION)
    for one in (an_order("1", 500), an_order("2", px=99_9900), an_order("3", side=Side.SELL)):
        assert kinds(market.submit("ARGO", one, 6 * SECOND), "ARGO")[-1] is Accepted
    events = market.advance(35 * SECOND)
    indications = [e for _, _, e in events if isinstance(e, AuctionIndicated)]
    assert {e.venue for e in indications} == {"ARGO"} and len(indications) == 29
    assert indications[-1].px and indications[-1].paired_qty > 500
    assert TradePrinted not in kinds(events, "ARGO")
    assert TradePrinted in kinds(events, "BRIG")
    crossed = market.set_status("ALFA", OPEN, "", 35 * SECOND, "ARGO")
    traded = {e.order.order_id: e.px for _, _, e in crossed if isinstance(e, Traded)}
    assert set(traded) == {"1", "2", "3"} and len(set(traded.values())) == 1
    assert kinds(crossed, "ARGO").count(Canceled) == 0
    assert not [e for _, _, e in market.advance(45 * SECOND) if isinstance(e, AuctionIndicated)]


@pytest.mark.parametrize("venue", ["DUSK", "FORD"])
def test_a_dark_pool_and_a_dealer_halted_alone_trade_nothing(venue):
    market = halted_at(venue)
    events = market.advance(60 * SECOND)
    assert TradePrinted not in kinds(events, venue)
    if venue == "DUSK":
        market.submit(venue, an_order("1", mid_peg=True), 60 * SECOND)
        assert kinds(market.advance(90 * SECOND), venue) == []  # accepted and waiting
    else:
        assert kinds(events, venue) == [DealerQuoted]  # the quote that stood is withdrawn
    market.set_status("ALFA", OPEN, "", 90 * SECOND, venue)
    assert TradePrinted in kinds(market.advance(400 * SECOND), venue)


def test_a_venue_is_told_of_as_it_trades_whatever_the_others_do():
    market = halted_at("ARGO")

    def told(status: TradingStatus, venue: str = "") -> dict[str, TradingStatus]:
        events = market.set_status("ALFA", status, "", 6 * SECOND, venue)
        return {e.venue: e.status for _, _, e in events if isinstance(e, StatusChanged)}

    assert set(told(HALTED).values()) == {HALTED}
    assert told(OPEN, "ARGO") == {"ARGO": HALTED}  # its own trouble is over, the market's is not
    assert told(HALTED, "ARGO") == {"ARGO": HALTED}
    everywhere = told(OPEN)
    assert everywhere.pop("ARGO") is HALTED and set(everywhere.values()) == {OPEN}
    assert told(OPEN, "ARGO") == {"ARGO": OPEN}


# --- over FIX ---


def indicated(messages) -> list[list[tuple[str, ...]]]:
    return [[e[1:] for e in levels(m) if e[1] in "AQ"] for m in messages if text(m, 35) == "X"]


def test_what_an_auction_would_do_is_market_data_for_those_who_ask():
    floor = Floor()
    floor.client("ARGOMD")
    floor.subscribe("ARGOMD", md_req_id="plain")
    types = [(267, 5), *((269, kind) for kind in "012AQ")]
    body = [(262, "both"), (263, 1), (264, 0), (265, 1), *types, (146, 1), (55, "ALFA")]
    floor.send("ARGOMD", "V", body, 2 * LATENCY_NS)
    floor.exchange.floor.set_status("ALFA", AUCTION, "called", "ARGO", floor.world.now_ns)
    floor.world.wake("exchange")
    floor.send("ARGO", "D", order("O1", 900_000, "", tif=0))
    floor.run(5 * SECOND)
    messages = [m for _, m in floor.client("ARGOMD").received]
    asked = [m for m in messages if text(m, 262) == "both"]
    rows = [row for row in indicated(asked) if row]
    assert len(rows) >= 4
    for clearing, imbalance in rows:
        assert clearing[0] == "Q" and imbalance[0] == "A"
    last = rows[-1]
    assert float(last[0][2]) > 0 and int(last[0][3]) > 0
    assert int(last[1][3]) > 400_000
    assert said([m for m in asked if indicated([m]) and indicated([m])[0]][-1:], 277) == [("P",)]  # more buyers
    assert not any(indicated([m for m in messages if text(m, 262) == "plain"]))
