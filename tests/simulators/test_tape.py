"""The replay of a recorded day: bad lines, a small tape by hand with clients' orders in it, and the real samples."""

from itertools import islice
from pathlib import Path

import pytest

from domain.fields import LastLiquidityInd, Side
from domain.market import LevelChange, TradePrinted
from simulators.lobster import TapeError, TapeKind, TapeRow, read_tape
from simulators.market_config import DarkConfig, DealerConfig, LitConfig, MarketConfig, SymbolConfig
from simulators.orders import Canceled, Order, Rejected, Traded
from simulators.tape import TapeFlow, TapeMarket
from simulators.tape_files import open_tape

BUY, SELL = Side.BUY, Side.SELL
START_NS = 1_700_000_000_000_000_000
SECOND_NS = 1_000_000_000
OPEN_S = 34_200
PX = 100_0000
SAMPLES = Path(__file__).parents[3] / "shared" / "data" / "lobster"

MESSAGE = "34200.5,1,7,100,1000000,1"
BOOK = "1000100,200,1000000,100"


def test_a_row_is_a_message_and_the_book_after_it():
    (row,) = read_tape([MESSAGE], ["1000100,200,1000000,100,1000200,50,-9999999999,0\n"])
    assert row == TapeRow(
        34_200_500_000_000,
        TapeKind.SUBMITTED,
        7,
        100,
        PX,
        BUY,
        ((PX, 100),),
        ((PX + 100, 200), (PX + 200, 50)),
        2,
    )


def test_header_lines_and_decimals_below_the_nanosecond_are_passed_over():
    messages = ["Time,Type,OrderId,Size,Price,Direction", "34200.123456789987,4,7,1,1000000,-1"]
    rows = list(read_tape(messages, ["BestAsk,BestAskVolume,BestBid,BestBidVolume", BOOK]))
    assert [(row.time_ns, row.side) for row in rows] == [(34_200_123_456_789, SELL)]


@pytest.mark.parametrize(
    ("messages", "books", "text"),
    [
        (["34200.5,1,7,100,1000000"], [BOOK], "M, line 1: '34200.5,1,7,100,1000000' found, expected 6 columns"),
        ([""], [BOOK], "M, line 1: '' found, expected 6 columns"),
        ([MESSAGE, "x,1,7,100,1000000,1"], [BOOK, BOOK], "M, line 2: 'x' found, expected seconds after midnight"),
        (["3e4,1,7,100,1000000,1"], [BOOK], "'3e4' found, expected seconds after midnight"),
        (["34200.5,9,7,100,1000000,1"], [BOOK], "'9' found, expected a type from 1 to 7"),
        (["34200.5,one,7,100,1000000,1"], [BOOK], "'one' found, expected an integer for the type"),
        (["34200.5,1,7,1.5,1000000,1"], [BOOK], "'1.5' found, expected an integer for the size"),
        (["34200.5,1,7,0,1000000,1"], [BOOK], "'0' found, expected a size above 0"),
        (["34200.5,1,7,100,-5,1"], [BOOK], "'-5' found, expected a price above 0"),
        (["34200.5,1,7,100,1000000,2"], [BOOK], "'2' found, expected a direction of 1 or -1"),
        (
            [MESSAGE, MESSAGE.replace(".5", ".4")],
            [BOOK, BOOK],
            "M, line 2: '34200.4' found, expected a time not before that of the last line, 34200.5",
        ),
        ([MESSAGE], ["1000100,200,1000000"], "B, line 1: '1000100,200,1000000' found, expected 4 columns"),
        ([MESSAGE], ["1000100,200,1000000,many"], "B, line 1: 'many' found, expected an integer"),
        ([MESSAGE], ["1000100,0,1000000,100"], "'1000100,0' found, expected a price and a size above 0"),
        ([MESSAGE], [BOOK + "," + BOOK], "'1000100' found, expected a price further from the market than 1000100"),
        ([MESSAGE, MESSAGE], [BOOK], "M, line 2: 'another line' found, expected the end"),
        ([MESSAGE], [BOOK, BOOK], "B, line 2: 'another line' found, expected the end"),
    ],
)
def test_a_bad_line_names_file_line_value_and_what_was_expected(messages, books, text):
    with pytest.raises(TapeError) as error:
        list(read_tape(messages, books, "M", "B"))
    assert text in str(error.value)


def test_lines_before_a_bad_one_are_still_read():
    rows = read_tape([MESSAGE, "bad"], [BOOK, BOOK])
    assert next(rows).order_id == 7
    with pytest.raises(TapeError):
        next(rows)


class Day:
    """A tape made by hand: a row each second, and the book after it as the row says."""

    def __init__(self, bids: dict[int, int], asks: dict[int, int]) -> None:
        self.levels = {BUY: dict(bids), SELL: dict(asks)}
        self.rows: list[TapeRow] = []
        self.row(TapeKind.EXECUTED_HIDDEN, 0, 1, PX, BUY)  # shows the book that is there before anything happens

    def row(self, kind: TapeKind, order_id: int, qty: int, px: int, side: Side) -> None:
        change = {TapeKind.SUBMITTED: qty, TapeKind.EXECUTED_HIDDEN: 0, TapeKind.HALTED: 0}.get(kind, -qty)
        if change:
            level = self.levels[side]
            level[px] = level.get(px, 0) + change
            if not level[px]:
                del level[px]
        time_ns = (OPEN_S + len(self.rows)) * SECOND_NS
        bids = tuple(sorted(self.levels[BUY].items(), reverse=True))
        asks = tuple(sorted(self.levels[SELL].items()))
        self.rows.append(TapeRow(time_ns, kind, order_id, qty, px, side, bids, asks, 10))

    def market(self, venues: int = 1, **options) -> TapeMarket:
        names = ("ARGO", "BRIG", "CLIP")[:venues]
        return tape_market(tuple(LitConfig(name=name) for name in names), iter(self.rows), **options)


def tape_market(venues, rows, **options) -> TapeMarket:
    symbols = (SymbolConfig(symbol="REAL", start_px=PX),)
    return TapeMarket(MarketConfig(symbols=symbols, venues=venues), 1, START_NS, symbol="REAL", rows=rows, **options)


def order(number: int, side: Side, qty: int, px: int = 0, **options) -> Order:
    return Order(f"o{number}", "R", f"c{number}", "REAL", side, qty, px, **options)


def at(seconds: float) -> int:
    return START_NS + int(seconds * SECOND_NS)


def fills(events: list) -> list[tuple[str, int, int]]:
    return [(event.order.order_id, event.qty, event.px) for _, _, event in events if isinstance(event, Traded)]


def prints(events: list) -> list[tuple[int, int]]:
    return [(event.px, event.qty) for _, _, event in events if isinstance(event, TradePrinted)]


def consolidated(market: TapeMarket, levels: int) -> tuple:
    """The best levels of all lit books together: bids, asks."""
    sides = []
    for name, sign in (("bids", -1), ("asks", 1)):
        total: dict[int, int] = {}
        for book in market.references["REAL"].books:
            for px, level in getattr(book, name).levels.items():
                total[px] = total.get(px, 0) + level.qty
        sides.append(tuple((px, total[px]) for px in sorted(total, key=lambda px: px * sign)[:levels]))
    return tuple(sides)


def test_a_real_execution_fills_our_order_when_the_queue_ahead_of_it_is_gone():
    day = Day({PX: 300}, {PX + 100: 500})
    day.row(TapeKind.SUBMITTED, 11, 200, PX, BUY)  # 1 s: behind us
    day.row(TapeKind.EXECUTED, 5, 200, PX, BUY)  # 2 s: of the 300 ahead
    day.row(TapeKind.DELETED, 6, 100, PX, BUY)  # 3 s: the rest of them
    day.row(TapeKind.EXECUTED, 11, 150, PX, BUY)  # 4 s: has us before it
    day.row(TapeKind.EXECUTED, 11, 50, PX, BUY)  # 5 s
    market = day.market()
    market.submit("ARGO", order(1, BUY, 170, PX), at(0.5))
    assert fills(market.advance(at(2))) == []
    assert fills(market.advance(at(3))) == []
    events = market.advance(at(4))
    assert fills(events) == [("o1", 150, PX)]
    assert prints(events) == [(PX, 150)]  # one real trade, one print
    events = market.advance(at(5))
    assert fills(events) == [("o1", 20, PX)]
    assert prints(events) == [(PX, 20), (PX, 30)]
    assert consolidated(market, 5) == ((), ((PX + 100, 500),))


def test_an_order_at_a_better_price_is_filled_first_whatever_its_venue():
    day = Day({PX: 300}, {PX + 300: 500})
    for _ in range(2):
        day.row(TapeKind.EXECUTED, 5, 100, PX, BUY)
    market = day.market(venues=3)
    market.submit("CLIP", order(1, BUY, 120, PX + 100), at(0.5))
    market.submit("BRIG", order(2, BUY, 30, PX + 200), at(0.6))
    assert fills(market.advance(at(1))) == [("o2", 30, PX + 200), ("o1", 70, PX + 100)]
    assert fills(market.advance(at(2))) == [("o1", 50, PX + 100)]
    assert consolidated(market, 5)[0] == ((PX, 100),)


def test_at_the_same_price_another_venues_queue_gives_no_priority():
    day = Day({}, {PX + 300: 500})
    day.row(TapeKind.SUBMITTED, 5, 100, PX, BUY)
    day.row(TapeKind.EXECUTED, 5, 100, PX, BUY)
    market = day.market(venues=3)
    for number, venue in enumerate(("ARGO", "BRIG", "CLIP")):
        market.submit(venue, order(number, BUY, 40, PX), at(0.5))
    market.advance(at(1))
    filled = fills(market.advance(at(2)))
    assert len(filled) == 1  # the one order that stands before the real one at its own venue


def test_a_real_order_that_meets_ours_trades_with_it():
    day = Day({PX: 300}, {PX + 300: 500})
    day.row(TapeKind.SUBMITTED, 9, 200, PX + 100, SELL)
    day.row(TapeKind.DELETED, 9, 200, PX + 100, SELL)
    market = day.market(venues=2)
    market.submit("BRIG", order(1, BUY, 80, PX + 200), at(0.5))
    events = market.advance(at(1))
    assert fills(events) == [("o1", 80, PX + 200)]
    assert consolidated(market, 1) == (((PX, 300),), ((PX + 100, 120),))
    market.advance(at(2))
    assert consolidated(market, 1) == (((PX, 300),), ((PX + 300, 500),))


def test_what_we_take_is_gone_until_the_file_removes_it():
    day = Day({PX: 300}, {PX + 200: 500})
    day.row(TapeKind.SUBMITTED, 9, 200, PX + 100, SELL)
    day.row(TapeKind.REDUCED, 9, 50, PX + 100, SELL)
    day.row(TapeKind.EXECUTED, 9, 150, PX + 100, SELL)
    market = day.market()
    market.advance(at(1))
    taker = order(1, BUY, 120, PX + 100, immediate=True)
    assert fills(market.submit("ARGO", taker, at(1.5))) == [("o1", 120, PX + 100)]
    assert consolidated(market, 1)[1] == ((PX + 100, 80),)
    market.advance(at(2))  # the file has 150 left: more than the 80 that we have left
    assert consolidated(market, 1)[1] == ((PX + 100, 80),)
    events = market.advance(at(3))
    assert prints(events) == [(PX + 100, 80), (PX + 100, 70)]  # the real trade of 150, whoever had the shares
    assert consolidated(market, 1)[1] == ((PX + 200, 500),)


def test_hidden_executions_and_crosses_print_and_fill_nobody():
    day = Day({PX: 300}, {PX + 200: 500})
    day.row(TapeKind.EXECUTED_HIDDEN, 0, 70, PX + 50, SELL)
    market = day.market()
    market.submit("ARGO", order(1, SELL, 100, PX + 100), at(0.5))
    ((venue, _, event),) = market.advance(at(1))
    assert event == TradePrinted(venue, "REAL", PX + 50, 70, BUY)


def test_a_halt_stops_matching_and_new_orders_until_trading_resumes():
    day = Day({PX: 300}, {PX + 200: 500})
    day.row(TapeKind.HALTED, 0, 0, -1, BUY)
    day.row(TapeKind.SUBMITTED, 9, 100, PX + 100, SELL)  # comes to cross our bid, but nothing matches
    day.row(TapeKind.HALTED, 0, 0, 0, BUY)  # quoting resumes, trading does not yet
    day.row(TapeKind.HALTED, 0, 0, 1, BUY)
    market = day.market()
    market.submit("ARGO", order(1, BUY, 80, PX + 100), at(0.5))
    market.submit("ARGO", order(2, BUY, 80, PX), at(0.5))
    assert fills(market.advance(at(3))) == []
    (*_, last) = market.submit("ARGO", order(3, BUY, 80, PX), at(3))
    assert isinstance(last[2], Rejected)
    (*_, last) = market.cancel("ARGO", "o2", at(3))
    assert isinstance(last[2], Canceled)
    (resumed,) = [event for _, _, event in market.advance(at(4)) if isinstance(event, Traded)]
    assert (resumed.order.order_id, resumed.qty, resumed.px) == ("o1", 80, PX + 100)
    assert resumed.liquidity is LastLiquidityInd.REMOVED


def shown(second: int, message: tuple, bids: tuple, asks: tuple) -> TapeRow:
    """A row of a file that shows one level."""
    return TapeRow((OPEN_S + second) * SECOND_NS, *message, bids, asks, 1)


def test_quantity_that_comes_into_view_stands_before_ours():
    rows = [
        shown(0, (TapeKind.SUBMITTED, 1, 100, PX + 100, BUY), ((PX + 100, 100),), ((PX + 300, 50),)),
        shown(1, (TapeKind.DELETED, 1, 100, PX + 100, BUY), ((PX, 400),), ((PX + 300, 50),)),
        shown(2, (TapeKind.EXECUTED, 2, 300, PX, BUY), ((PX, 100),), ((PX + 300, 50),)),
        shown(3, (TapeKind.EXECUTED, 3, 100, PX, BUY), ((PX - 100, 70),), ((PX + 300, 50),)),
        shown(4, (TapeKind.EXECUTED, 4, 70, PX - 100, BUY), ((PX - 200, 10),), ((PX + 300, 50),)),
    ]
    market = tape_market((LitConfig(name="ARGO"),), iter(rows))
    market.submit("ARGO", order(1, BUY, 60, PX), at(0.5))
    assert fills(market.advance(at(3))) == []
    assert fills(market.advance(at(4))) == [("o1", 60, PX)]


def test_levels_that_went_out_of_view_are_forgotten_in_the_end():
    rows = [
        shown(
            number,
            (TapeKind.SUBMITTED, number + 1, 100, PX + number * 100, BUY),
            ((PX + number * 100, 100),),
            ((2 * PX, 50),),
        )
        for number in range(200)
    ]
    market = tape_market((LitConfig(name="ARGO"),), iter(rows))
    market.advance(at(200))
    (book,) = market.references["REAL"].books
    assert 10 <= len(book.bids.keys) <= 100
    assert book.bids.best_px == rows[-1].bids[0][0]


def test_start_offset_and_speed():
    day = Day({PX: 300}, {PX + 200: 500})
    for second in range(1, 9):
        day.row(TapeKind.SUBMITTED, second, 100, PX, BUY)
    market = day.market(from_ns=(OPEN_S + 4) * SECOND_NS, speed=2.0)
    assert consolidated(market, 1)[0] == ((PX, 700),)  # the first four are there at the start
    assert market.next_event_ns() == at(0.5)
    market.advance(at(1.0))
    assert consolidated(market, 1)[0] == ((PX, 900),)
    market.advance(at(100))
    assert consolidated(market, 1)[0] == ((PX, 1100),)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"symbol": "NONE"}, "the tape's symbol 'NONE' is not in the market"),
        ({"speed": 0.0}, "speed 0.0 is not positive"),
        ({"rows": iter(())}, "the tape has no rows"),
    ],
)
def test_what_a_replay_refuses(options, text):
    config = MarketConfig(symbols=(SymbolConfig(symbol="REAL", start_px=PX),), venues=(LitConfig(name="ARGO"),))
    rows = iter(Day({PX: 300}, {PX + 200: 500}).rows)
    with pytest.raises(ValueError, match=text):
        TapeMarket(config, 1, START_NS, **({"symbol": "REAL", "rows": rows} | options))


LIT = tuple(LitConfig(name=name) for name in ("ARGO", "BRIG", "CLIP"))
AMZN = ("AMZN_2012-06-21_34200000_49980000_message_1.csv", "AMZN_2012-06-21_34200000_49980000_orderbook_1.csv")
AAPL = ("AAPL_2012-06-21_34200000_36600000_message_50.csv", "AAPL_2012-06-21_34200000_36600000_orderbook_10.csv.gz")


def sample(names: tuple[str, str], count: int | None = None) -> list[TapeRow]:
    paths = [SAMPLES / name for name in names]
    if not all(path.exists() for path in paths):
        pytest.skip(f"sample data is not there: {', '.join(names)} in {SAMPLES}")
    return list(islice(open_tape(*paths), count))


@pytest.mark.parametrize(("names", "count"), [(AMZN, None), (AAPL, 20_000)])
def test_the_books_together_are_the_files_book_at_every_row(names, count):
    rows = sample(names, count)
    market = tape_market(LIT, iter(rows))
    (flow,) = (process for process in market._processes if isinstance(process, TapeFlow))
    number = sum(row.time_ns == rows[0].time_ns for row in rows) - 1  # done at the start
    while number < len(rows):
        row = rows[number]
        assert consolidated(market, len(row.bids))[0] == row.bids, f"row {number + 1}: bids"
        assert consolidated(market, len(row.asks))[1] == row.asks, f"row {number + 1}: asks"
        number += 1
        if number < len(rows):
            flow.step(flow.next_ns)  # row by row, also where several carry the same time
    for book in market.references["REAL"].books:
        assert len(book.bids.keys) > 1  # every venue has its share of the orders
        assert len(book.asks.keys) > 1


def test_real_volume_is_printed_and_the_whole_market_lives_around_the_tape():
    rows = sample(AMZN, 8_000)
    market = tape_market((*LIT, DarkConfig(name="DUSK"), DealerConfig(name="FORD")), iter(rows))
    end_ns = START_NS + rows[-1].time_ns - rows[0].time_ns
    events = market.advance(end_ns)
    traded = (TapeKind.EXECUTED, TapeKind.EXECUTED_HIDDEN)
    lit_qty = sum(
        event.qty for venue, _, event in events if isinstance(event, TradePrinted) and venue not in ("DUSK", "FORD")
    )
    assert lit_qty == sum(row.qty for row in rows[1:] if row.kind in traded)
    assert {venue for venue, _, _ in events} == {"ARGO", "BRIG", "CLIP", "DUSK", "FORD"}


def test_orders_among_real_ones_change_nothing_for_good_and_the_book_never_stays_crossed():
    """Twenty minutes of sending: what we take and rest comes and goes, then the file's book is back."""
    rows = sample(AMZN, 9_000)
    market = tape_market(LIT, iter(rows))
    filled = number = 0
    for second in range(1, 1200):
        events = market.advance(at(second))
        reference = market.references["REAL"]
        if second < 1000 and second % 5 == 0:
            number += 1
            venue = ("ARGO", "BRIG", "CLIP")[number % 3]
            side = BUY if number % 2 else SELL
            px = reference.bid_px if side is BUY else reference.ask_px
            events += market.submit(venue, order(number, side, 100, px), at(second))
            events += market.submit(venue, order(10_000 + number, side, 50, immediate=True), at(second))
            events += market.cancel(venue, f"o{number - 6}", at(second + 0.001))
        filled += sum(qty for _, qty, _ in fills(events))
        for book in reference.books:
            assert not (book.bids.best_px and book.asks.best_px) or book.bids.best_px < book.asks.best_px
        assert all(event.qty >= 0 for _, _, event in events if isinstance(event, LevelChange))
    for last in range(number + 1):
        for venue in ("ARGO", "BRIG", "CLIP"):
            market.cancel(venue, f"o{last}", at(1200))
    end_ns = START_NS + rows[-1].time_ns - rows[0].time_ns
    market.advance(end_ns)
    assert filled > 1000
    assert consolidated(market, 1) == (rows[-1].bids, rows[-1].asks)
