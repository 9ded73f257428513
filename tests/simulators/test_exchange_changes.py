"""What a venue changes after the fact, over FIX in virtual time: replaces, mass cancels, halts, busts, corrections."""

from domain.fields import TradingStatus
from domain.prices import px_from_text
from simulators.client_session import Body
from tests.simulators.test_exchange import LATENCY_NS, Floor, best_ask, cancel, order, said, text


def replace(cl_ord_id: str, orig: str, qty: int, px: str, **more) -> Body:
    return [(41, orig), *order(cl_ord_id, qty, px, tif=0, **more)]


def resting(floor: Floor, qty: int = 500) -> str:
    """A buy of `qty` in ARGO far below the market; its price."""
    px = f"{float(best_ask(floor)) - 1:.2f}"
    (new,) = floor.send("ARGO", "D", order("O1", qty, px, tif=0))
    assert text(new, 150) == "0"
    return px


def queue_at(floor: Floor, px: str) -> list[str]:
    (book,) = [book for book in floor.market.references["ALFA"].books if book.venue == "ARGO"]
    return [resting.order.cl_ord_id if resting.order else "-" for resting in book.bids.levels[px_from_text(px)].queue]


def test_a_smaller_quantity_keeps_the_place_in_the_queue_and_a_larger_one_loses_it():
    floor = Floor()
    px = resting(floor)
    floor.send("ARGO", "D", order("O2", 100, px, tif=0))
    (replaced,) = floor.send("ARGO", "G", replace("R1", "O1", 300, px))
    assert said([replaced], 150, 39, 11, 41, 38, 151, 14) == [("5", "0", "R1", "O1", "300", "300", "0")]
    assert queue_at(floor, px)[-2:] == ["R1", "O2"]
    (replaced,) = floor.send("ARGO", "G", replace("R2", "R1", 400, px))
    assert said([replaced], 11, 41, 38) == [("R2", "R1", "400")]
    assert queue_at(floor, px)[-2:] == ["O2", "R2"]


def test_requests_name_the_last_accepted_one():
    floor = Floor()
    px = resting(floor)
    floor.send("ARGO", "G", replace("R1", "O1", 300, px))
    (refused,) = floor.send("ARGO", "F", cancel("X1", "O1"))
    assert said([refused], 35, 11, 41, 434, 102) == [("9", "X1", "O1", "1", "1")]
    assert "was replaced by 'R1'" in text(refused, 58)
    (refused,) = floor.send("ARGO", "G", replace("R2", "O1", 200, px))
    assert said([refused], 35, 11, 41, 434, 102) == [("9", "R2", "O1", "2", "1")]
    (canceled,) = floor.send("ARGO", "F", cancel("X2", "R1"))
    assert said([canceled], 150, 39, 11, 41) == [("4", "4", "X2", "R1")]
    (refused,) = floor.send("ARGO", "G", replace("R3", "R1", 200, px))
    assert said([refused], 35, 39, 434, 102) == [("9", "4", "2", "0")]


def test_a_replace_that_crosses_takes_after_it_was_told():
    floor = Floor()
    resting(floor, 100)
    replaced, *trades = floor.send("ARGO", "G", replace("R1", "O1", 100, f"{float(best_ask(floor)) + 1:.2f}"))
    assert said([replaced], 150, 39, 14, 151) == [("5", "0", "0", "100")]
    assert said(trades[-1:], 150, 39, 11, 851, 151) == [("F", "2", "R1", "2", "0")]
    assert {entry.cl_ord_id for entry in floor.exchange.ledger} == {"O1"}


def test_a_replace_in_the_dark_and_none_at_a_dealer():
    floor = Floor()
    peg = {"ord_type": "P", "t18": "M", "t110": 100_000}
    floor.send("DUSK", "D", order("O1", 100_000, tif=0, **peg))
    (replaced,) = floor.send("DUSK", "G", replace("R1", "O1", 50_000, "", **peg))
    assert said([replaced], 150, 38, 151) == [("5", "50000", "50000")]
    (canceled,) = floor.send("DUSK", "F", cancel("X1", "R1"))
    assert said([canceled], 150, 11, 41) == [("4", "X1", "R1")]


def test_mass_cancel():
    floor = Floor()
    px = resting(floor)
    floor.send("ARGO", "D", order("O2", 100, px, tif=0))
    body: Body = [(11, "K1"), (530, 7), (60, "20231114-22:13:20")]
    report, *canceled = floor.send("ARGO", "q", body)
    assert said([report], 35, 11, 530, 531, 533) == [("r", "K1", "7", "7", "2")]
    assert said(canceled, 150, 11) == [("4", "O1"), ("4", "O2")]
    (refused,) = floor.send("ARGO", "q", [(11, "K2"), (530, 1), (55, "ZULU"), (60, "20231114-22:13:20")])
    assert said([refused], 35, 531, 532) == [("r", "0", "99")]


def test_a_halt_is_told_to_who_asked_and_stops_new_orders():
    floor = Floor()
    (now,) = floor.send("ARGO", "e", [(324, "S1"), (55, "ALFA"), (263, 1)])
    assert said([now], 35, 55, 324, 326) == [("f", "ALFA", "S1", "17")]
    client = floor.client("ARGO")
    for status, code in ((TradingStatus.HALTED, "2"), (TradingStatus.OPEN, "3")):
        before = len(client.received)
        floor.exchange.floor.set_status("ALFA", status, "news", "", floor.world.now_ns)
        floor.world.wake("exchange")
        floor.run(2 * LATENCY_NS)
        assert said([message for _, message in client.received[before:]], 35, 55, 326, 58) == [
            ("f", "ALFA", code, "news")
        ]
        (report, *_) = floor.send("ARGO", "D", order(f"O{code}", 100, "1.00", tif=0))
        assert text(report, 150) == ("8" if status is TradingStatus.HALTED else "0")


def test_busts_and_corrections_are_reported_and_in_the_ledger():
    floor = Floor()
    _, *trades = floor.send("ARGO", "D", order("O1", 200))
    client, exchange = floor.client("ARGO"), floor.exchange.floor
    trade = trades[-1]
    cum_qty, qty = int(text(trade, 14)), int(text(trade, 32))
    assert text(trade, 39) == "2"
    before = len(client.received)
    execution = exchange.executions("ARGO")[-1]
    exchange.correct("ARGO", execution, qty - 50, execution.px + 100, "wrong price", floor.world.now_ns)
    exchange.bust("ARGO", execution, "error", floor.world.now_ns)
    floor.world.wake("exchange")
    floor.run(2 * LATENCY_NS)
    corrected, busted = [message for _, message in client.received[before:]]
    assert said([corrected], 150, 39, 19, 32, 14, 151, 58) == [
        ("G", "4", text(trade, 17), str(qty - 50), str(cum_qty - 50), "0", "wrong price")
    ]
    assert said([busted], 150, 39, 19, 14, 151) == [("H", "4", text(corrected, 17), str(cum_qty - qty), "0")]
    assert [(e.kind, e.exec_ref_id, e.qty) for e in exchange.ledger[-2:]] == [
        ("correction", text(trade, 17), qty - 50),
        ("bust", text(trade, 17), 0),
    ]


def test_a_venue_that_reduces_fills_late_and_overfills():
    floor = Floor()
    resting(floor)
    client, exchange = floor.client("ARGO"), floor.exchange.floor
    (open_order,) = exchange.open_orders("ARGO")
    before = len(client.received)
    exchange.reduce("ARGO", open_order, 200, "too large", floor.world.now_ns)
    exchange.fill("ARGO", open_order, 100, floor.world.now_ns)
    exchange.cancel("ARGO", open_order, floor.world.now_ns)
    exchange.execute("ARGO", open_order, 50, open_order.px, floor.world.now_ns)
    floor.world.wake("exchange")
    floor.run(2 * LATENCY_NS)
    assert said([message for _, message in client.received[before:]], 150, 39, 38, 14, 151) == [
        ("D", "0", "300", "0", "300"),
        ("F", "1", "300", "100", "200"),
        ("4", "4", "300", "100", "0"),
        ("F", "4", "300", "150", "0"),
    ]
    assert sum(entry.qty for entry in exchange.ledger) == 150
