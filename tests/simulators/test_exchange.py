"""The simulated venues over FIX, in virtual time, seen by a client whose FIX is not the product's.

Each test runs the whole way: bytes in, session, order desk, market, session, bytes out.
"""

from collections import Counter

import pytest
from simplefix import FixMessage

from domain.fields import OrdStatus
from domain.instruments import Instrument
from fix.store import MemoryStore
from simulators.client import Ems, Output, plan_parents
from simulators.client_session import Body, EmsSession, text
from simulators.exchange import Exchange
from simulators.market import Market
from simulators.market_config import MarketConfig, default_market
from simulators.world import World

START_NS = 1_700_000_000_000_000_000
MS = 1_000_000
SECOND = 1_000_000_000
LATENCY_NS = 2 * MS
VENUES = ("ARGO", "BRIG", "CLIP", "DUSK", "EBBT", "FORD", "GALE")


class VenueClient:
    """The other side of one session: sends what it is given, keeps what it gets."""

    def __init__(self, venue_comp_id: str) -> None:
        self.session = EmsSession("FIX.4.4", "FAIRLEAD", venue_comp_id, heart_bt_int=3600)
        self.received: list[tuple[int, FixMessage]] = []
        self.bytes_in = b""
        self.queue: list[tuple[str, Body]] = []
        self.link = -1

    def connected(self, link, port, now_ns):
        self.link = link
        self.session.connected(now_ns)
        return self._output()

    def receive(self, link, data, now_ns):
        self.bytes_in += data
        self.received += [(now_ns, message) for message in self.session.receive(data, now_ns)]
        return self._output()

    def disconnected(self, link, now_ns):
        self.session.disconnected()
        return Output()

    def timer(self, now_ns):
        for msg_type, body in self.queue:
            self.session.send(msg_type, body, now_ns)
        self.queue.clear()
        return self._output()

    def next_timer_ns(self):
        return 0 if self.queue and self.session.is_logged_on else None

    def _output(self):
        output = Output([(self.link, raw) for raw in self.session.outbox])
        self.session.outbox.clear()
        if self.session.must_close:
            output.closes.append(self.link)
        return output


class Floor:
    """An exchange in a world, and a client for each session that a test asks for."""

    def __init__(self, seed: int = 1, **changes) -> None:
        """`changes`: figures of venues, by name."""
        config = default_market()
        venues = tuple(venue.changed(changes.get(venue.name, {})) for venue in config.venues)
        self.market = Market(MarketConfig(symbols=config.symbols, venues=venues), seed, START_NS)
        self.exchange = Exchange(
            self.market,
            counterparty="FAIRLEAD",
            latency_ns=dict.fromkeys(VENUES, LATENCY_NS),
            open_store=lambda name: MemoryStore(),
            now_ns=START_NS,
        )
        self.world = World(START_NS)
        self.world.add("exchange", self.exchange)
        self.clients: dict[str, VenueClient] = {}

    def client(self, comp_id: str) -> VenueClient:
        client = self.clients.get(comp_id)
        if client is None:
            client = self.clients[comp_id] = VenueClient(comp_id)
            self.world.add(comp_id, client)
            self.world.connect(comp_id, "venue", "exchange", comp_id[:4])
            self.run(SECOND)
        return client

    def run(self, duration_ns: int) -> None:
        self.world.run_until(self.world.now_ns + duration_ns)

    def send(self, comp_id: str, msg_type: str, body: Body, then_ns: int = 10 * LATENCY_NS) -> list[FixMessage]:
        """What comes back within `then_ns`."""
        client = self.client(comp_id)
        before = len(client.received)
        client.queue.append((msg_type, body))
        self.world.wake(comp_id)
        self.run(then_ns)
        return [message for _, message in client.received[before:]]

    def subscribe(self, comp_id: str, symbols=("ALFA",), md_req_id: str = "M1", kind: int = 1) -> list[FixMessage]:
        entry_types: Body = [(267, 3), (269, 0), (269, 1), (269, 2)]
        body: Body = [(262, md_req_id), (263, kind), (264, 0), (265, 1), *entry_types, (146, len(symbols))]
        return self.send(comp_id, "V", body + [(55, symbol) for symbol in symbols], 2 * LATENCY_NS)


def order(cl_ord_id: str, qty: int, px: str = "", side: int = 1, symbol: str = "ALFA", tif: int = 3, **more) -> Body:
    body: Body = [(11, cl_ord_id), (21, 1), (55, symbol), (54, side), (60, "20231114-22:13:20"), (38, qty)]
    body += [(40, more.pop("ord_type", 2 if px else 1)), (59, tif)]
    if px:
        body.append((44, px))
    return body + [(int(tag[1:]), value) for tag, value in more.items()]


def cancel(cl_ord_id: str, orig: str) -> Body:
    return [(41, orig), (11, cl_ord_id), (55, "ALFA"), (54, 1), (60, "20231114-22:13:20"), (38, 100)]


def said(messages: list[FixMessage], *tags: int) -> list[tuple[str, ...]]:
    return [tuple(text(message, tag) for tag in tags) for message in messages]


def levels(message: FixMessage) -> list[tuple[str, str, str, str, str]]:
    """The entries of W and X: (action, type, symbol, price, size)."""
    entries: list[dict[int, str]] = []
    first = 279 if text(message, 35) == "X" else 269
    for tag, value in message:
        if tag == first:
            entries.append({})
        if entries:
            entries[-1][tag] = value.decode()
    symbol = text(message, 55)
    return [(e.get(279, "0"), e[269], e.get(55, symbol), e.get(270, ""), e.get(271, "0")) for e in entries]


def best_ask(floor: Floor, venue: str = "ARGO") -> str:
    (snapshot,) = [m for m in floor.subscribe(f"{venue}MD", md_req_id="ask", kind=0) if text(m, 35) == "W"]
    return min((entry[3] for entry in levels(snapshot) if entry[1] == "1"), key=float)


def test_an_order_that_takes_is_accepted_filled_and_its_rest_canceled():
    floor = Floor()
    new, *trades, canceled = floor.send("ARGO", "D", order("O1", 100_000_000))
    assert said([new], 35, 150, 39, 11, 151, 14, 6) == [("8", "0", "0", "O1", "100000000", "0", "0")]
    cum_qty = 0
    for trade in trades:
        cum_qty += int(text(trade, 32))
        assert said([trade], 150, 39, 30, 851, 14) == [("F", "1", "ARGO", "2", str(cum_qty))]
        assert int(text(trade, 151)) == 100_000_000 - cum_qty
    assert cum_qty > 0
    # Nobody asked for the cancel: it carries the order's own id and no other.
    assert said([canceled], 150, 39, 11, 41, 151, 14) == [("4", "4", "O1", "", "0", str(cum_qty))]
    assert len({text(message, 17) for message in (new, *trades, canceled)}) == len(trades) + 2
    entries = floor.exchange.ledger
    assert [(e.venue, e.exec_id, str(e.qty)) for e in entries] == [("ARGO", text(t, 17), text(t, 32)) for t in trades]
    notional_px = sum(e.qty * e.px for e in entries)
    assert abs(float(text(canceled, 6)) * 10_000 - notional_px / cum_qty) < 0.01


def test_a_small_order_is_filled_and_the_answer_takes_the_latency_twice():
    floor = Floor()
    ask = best_ask(floor)
    floor.client("ARGO")
    sent_ns = floor.world.now_ns
    new, *_, last = floor.send("ARGO", "D", order("O1", 100, ask))
    px = text(last, 31)
    assert float(px) <= float(ask)  # the offer may have come down while the order was on its way
    assert said([last], 150, 39, 151, 14, 6, 44) == [("F", "2", "0", "100", px, ask)]
    assert floor.client("ARGO").received[-1][0] == sent_ns + 2 * LATENCY_NS
    assert text(new, 37) == text(last, 37)


REFUSED = {
    "post-only that would take": ("ARGO", order("O", 100, "99999.00", tif=0, t18=6), "99", "post-only"),
    "unknown symbol": ("ARGO", order("O", 100, "10.00", symbol="ZULU"), "1", "symbol 'ZULU' is not traded here"),
    "no lot at all": ("ARGO", order("O", 0, "10.00"), "13", "quantity 0 is not positive"),
    "off the tick": ("ARGO", order("O", 100, "10.001"), "99", "is not on the tick"),
    "a peg in a lit book": ("ARGO", order("O", 100, "10.00", ord_type="P", t18="M"), "11", "PEGGED"),
    "a time in force nobody offers": ("ARGO", order("O", 100, "10.00", tif=5), "11", "GOOD_TILL_CROSSING"),
    "a limit order without a limit": ("ARGO", order("O", 100, ord_type=2), "11", "without a price"),
    "a limit order in the dark": ("DUSK", order("O", 100, "10.00"), "11", "LIMIT"),
    "a peg to something else": ("DUSK", order("O", 100, tif=0, ord_type="P"), "11", "only midpoint pegs"),
    "a minimum above the quantity": ("DUSK", order("O", 100, tif=0, ord_type="P", t18="M", t110=200), "99", "minimum"),
    "a market order to a dealer": ("FORD", order("O", 100), "11", "MARKET"),
    "a quote nobody made": ("FORD", order("O", 100, ord_type="D", t117="nobody"), "99", "nobody is unknown"),
}  # fmt: skip


@pytest.mark.parametrize("venue,body,reason,words", REFUSED.values(), ids=REFUSED)
def test_an_order_that_can_not_be_is_rejected_with_the_reason(venue, body, reason, words):
    (report,) = Floor().send(venue, "D", body)
    assert said([report], 35, 150, 39, 11, 103, 151, 14) == [("8", "8", "8", "O", reason, "0", "0")]
    assert words in text(report, 58)


def test_a_resting_order_is_canceled_once():
    floor = Floor()
    assert said(floor.send("ARGO", "D", order("O1", 300, "1.00", tif=0, t18=6)), 150) == [("0",)]
    (canceled,) = floor.send("ARGO", "F", cancel("C1", "O1"))
    assert said([canceled], 35, 150, 39, 11, 41, 151) == [("8", "4", "4", "C1", "O1", "0")]
    too_late, unknown = floor.send("ARGO", "F", cancel("C2", "O1")) + floor.send("ARGO", "F", cancel("C3", "O9"))
    assert said([too_late], 35, 11, 41, 39, 102, 434) == [("9", "C2", "O1", "4", "0", "1")]
    assert said([unknown], 35, 11, 41, 39, 102, 37) == [("9", "C3", "O9", "8", "1", "NONE")]


def test_a_cl_ord_id_counts_once_for_orders_and_cancels_alike():
    floor = Floor()
    floor.send("ARGO", "D", order("O1", 300, "1.00", tif=0))
    (report,) = floor.send("ARGO", "D", order("O1", 300, "1.00", tif=0))
    assert said([report], 150, 103) == [("8", "6")]
    (reject,) = floor.send("ARGO", "F", cancel("O1", "O1"))
    assert said([reject], 35, 102) == [("9", "6")]
    # The second O1 left the first as it was, and another venue's O1 is another order.
    (status,) = floor.send("ARGO", "H", [(11, "O1"), (55, "ALFA"), (54, 1)])
    assert said([status], 150, 39) == [("I", "0")]
    assert said(floor.send("BRIG", "D", order("O1", 300, "1.00", tif=0)), 150) == [("0",)]


def test_status_tells_what_an_order_came_to():
    floor = Floor()
    trades = floor.send("ARGO", "D", order("O1", 100_000_000))[1:-1]
    status, unknown = [
        floor.send("ARGO", "H", [(11, cl_ord_id), (55, "ALFA"), (54, 1), (790, "S")])[0] for cl_ord_id in ("O1", "O2")
    ]
    assert said([status], 35, 150, 39, 11, 14, 151, 790) == [("8", "I", "4", "O1", text(trades[-1], 14), "0", "S")]
    assert said([unknown], 35, 150, 39, 11, 103, 14, 37) == [("8", "I", "8", "O2", "5", "0", "NONE")]


def test_a_passive_order_is_filled_as_the_one_who_added():
    floor = Floor()
    client = floor.client("ARGO")
    for number in range(400):
        ask = best_ask(floor)
        floor.send("ARGO", "D", order(f"O{number}", 100, ask, side=2, tif=0, t18=6), SECOND)
        fills = [message for _, message in client.received if text(message, 150) == "F"]
        if fills:
            break
        floor.send("ARGO", "F", cancel(f"C{number}", f"O{number}"))
    assert {text(fill, 851) for fill in fills} == {"1"}


def test_the_dark_respects_the_minimum_quantity():
    floor = Floor()
    (new,) = floor.send("DUSK", "D", order("O1", 50_000, tif=0, ord_type="P", t18="M", t110=500))
    assert said([new], 150, 40) == [("0", "P")]
    floor.run(120 * SECOND)
    reports = [message for _, message in floor.client("DUSK").received[1:]]
    assert reports and {text(report, 150) for report in reports} == {"F"}
    left = 50_000
    for report in reports:
        last_qty = int(text(report, 32))
        assert last_qty >= min(500, left)
        left -= last_qty
        assert int(text(report, 151)) == left


def test_a_dealer_holds_an_order_and_then_fills_or_declines_it():
    floor = Floor()
    outcomes = Counter()
    for number in range(60):
        quote = floor.subscribe("FORDMD", md_req_id=f"M{number}", kind=0)[-1]
        body = order(f"O{number}", 100, text(quote, 133), ord_type="D", t117=text(quote, 117))
        new, *rest = floor.send("FORD", "D", body, 200 * MS)
        assert said([new], 150) == [("0",)]
        (outcome,) = rest
        outcomes[text(outcome, 150)] += 1
        times_ns = [at_ns for at_ns, _ in floor.client("FORD").received[-2:]]
        assert times_ns[1] - times_ns[0] == floor.market.config.venues[5].hold_ns
        assert text(outcome, 6) == (text(quote, 133) if text(outcome, 150) == "F" else "0")
        assert text(outcome, 150) == "F" or "last look: price moved" in text(outcome, 58)
        floor.run(5 * SECOND)
    assert set(outcomes) == {"F", "8"}


def test_an_order_in_last_look_is_not_canceled():
    floor = Floor()
    floor.client("GALE")
    quote = floor.subscribe("GALEMD", kind=0)[-1]
    floor.send("GALE", "D", order("O1", 100, ord_type="D", t117=text(quote, 117)), 0)
    new, reject = floor.send("GALE", "F", cancel("C1", "O1"), 30 * MS)
    assert said([new, reject], 35, 11, 102) == [("8", "O1", ""), ("9", "C1", "0")]
    assert "in last look" in text(reject, 58)


def test_a_book_kept_from_the_increments_is_the_book_of_a_new_snapshot():
    floor = Floor()
    symbols = ("ALFA", "ECHO")
    floor.subscribe("BRIGMD", symbols)
    floor.run(20 * SECOND)
    floor.subscribe("BRIGMD", symbols, "M2", kind=0)
    book: dict[tuple[str, str, str], str] = {}
    *stream, again_alfa, again_echo = [message for _, message in floor.client("BRIGMD").received]
    snapshots = [message for message in (*stream, again_alfa, again_echo) if text(message, 262) == "M2"]
    kinds = Counter(text(message, 35) for message in stream)
    assert kinds["W"] >= 2 and kinds["X"] > 100
    trades = 0
    for message in stream:
        if text(message, 262) == "M2":
            continue
        for action, kind, symbol, px, size in levels(message):
            if kind == "2":
                trades += 1
                continue
            assert (action == "0") == ((symbol, kind, px) not in book), (action, symbol, kind, px)
            if action == "2":
                del book[symbol, kind, px]
            else:
                book[symbol, kind, px] = size
    assert trades > 0
    fresh = {(symbol, kind, px): size for message in snapshots for _, kind, symbol, px, size in levels(message)}
    assert book == fresh


def test_requests_for_what_is_not_there_are_refused_and_a_second_one_of_the_same_name():
    floor = Floor()
    assert said(floor.subscribe("ARGOMD", ("ALFA", "ZULU")), 35, 262, 281) == [("Y", "M1", "0")]
    floor.subscribe("ARGOMD")
    assert ("Y", "M1", "1") in said(floor.subscribe("ARGOMD"), 35, 262, 281)
    floor.subscribe("ARGOMD", kind=2)
    before = len(floor.client("ARGOMD").received)
    floor.run(5 * SECOND)
    assert len(floor.client("ARGOMD").received) == before


@pytest.mark.parametrize("comp_id,msg_type", [("ARGO", "AJ"), ("ARGO", "V"), ("ARGOMD", "D"), ("ARGO", "AE")])
def test_messages_that_a_session_does_not_take_are_refused_as_such(comp_id, msg_type):
    floor = Floor()
    bodies = {
        "AJ": [(693, "R1"), (694, 1), (55, "ALFA"), (54, 1), (38, 100)],
        "V": [(262, "M"), (263, 1), (264, 0), (267, 1), (269, 0), (146, 1), (55, "ALFA")],
        "D": order("O1", 100, "1.00"),
        "AE": [(571, "T1")],
    }
    (reject,) = floor.send(comp_id, msg_type, bodies[msg_type])
    assert said([reject], 35, 45, 372, 380) == [("j", "2", msg_type, "3")]


def test_a_malformed_order_gets_a_session_reject():
    (reject,) = Floor().send("ARGO", "D", [pair for pair in order("O1", 100, "1.00") if pair[0] != 54])
    assert said([reject], 35, 45, 371, 372) == [("3", "2", "54", "D")]


def test_what_happened_while_the_client_was_away_is_told_after_the_next_logon():
    floor = Floor()
    client = floor.client("DUSK")
    floor.send("DUSK", "D", order("O1", 50_000, tif=0, ord_type="P", t18="M"))
    floor.world.cut(client.link)
    floor.run(120 * SECOND)
    missed = [entry.exec_id for entry in floor.exchange.ledger]
    assert missed and len(client.received) == 1
    floor.world.connect("DUSK", "venue", "exchange", "DUSK")
    floor.run(SECOND)
    resent = [message for _, message in client.received[1:]]
    assert [text(message, 17) for message in resent][: len(missed)] == missed
    assert {text(message, 43) for message in resent[: len(missed)]} == {"Y"}
    assert client.session.violations == []


def test_market_data_ends_with_its_connection():
    floor = Floor()
    floor.subscribe("ARGOMD")
    client = floor.client("ARGOMD")
    floor.world.cut(client.link)
    floor.run(5 * SECOND)
    before = len(client.received)
    floor.world.connect("ARGOMD", "venue", "exchange", "ARGO")
    floor.run(5 * SECOND)
    assert client.session.is_logged_on
    assert len(client.received) == before


@pytest.mark.parametrize("comp_id", ["ARGX", "FORDMX"])
def test_a_stranger_is_turned_away(comp_id):
    floor = Floor()
    client = floor.client(comp_id)
    assert not client.session.is_logged_on
    assert not floor.world.is_open(client.link)


def test_a_second_connection_leaves_the_first_alone():
    floor = Floor()
    first = floor.client("ARGO")
    second = VenueClient("ARGO")
    floor.world.add("second", second)
    floor.world.connect("second", "venue", "exchange", "ARGO")
    floor.run(SECOND)
    assert not floor.world.is_open(second.link)
    assert floor.world.is_open(first.link) and first.session.is_logged_on


def busy_day(seed: int) -> bytes:
    floor = Floor(seed)
    for venue in ("ARGO", "DUSK", "FORD"):
        floor.subscribe(f"{venue}MD", ("ALFA", "BRVO"))
    floor.send("DUSK", "D", order("O1", 5_000, tif=0, ord_type="P", t18="M"))
    for number in range(5):
        floor.send("ARGO", "D", order(f"O{number}", 700))
        floor.run(SECOND)
    return b"".join(client.bytes_in for client in floor.clients.values())


def test_one_seed_gives_the_same_bytes_and_another_seed_others():
    assert busy_day(7) == busy_day(7)
    assert busy_day(7) != busy_day(8)


def test_the_books_of_a_client_agree_with_the_ledger_of_the_venue():
    """The EMS checks every report that it gets; here it trades with a venue itself, whose replaces it follows."""
    floor = Floor()
    instruments = [Instrument(symbol.symbol, symbol.tick_px) for symbol in floor.market.config.symbols]
    prices = {symbol.symbol: symbol.start_px for symbol in floor.market.config.symbols}
    plan = plan_parents(300, 5, instruments, START_NS + SECOND, 60 * SECOND)
    ems = Ems(EmsSession("FIX.4.4", "FAIRLEAD", "BRIG"), plan, prices.__getitem__)
    floor.world.add("ems", ems)
    floor.world.connect("ems", "venue", "exchange", "BRIG", 3 * MS)
    floor.run(90 * SECOND)
    ems.cancel_open()
    floor.world.wake("ems")
    floor.run(SECOND)
    assert ems.done
    assert ems.violations == []
    assert len(ems.orders) == 300
    assert {order.ord_status for order in ems.orders.values()} >= {OrdStatus.FILLED, OrdStatus.CANCELED}
    assert ems.rejects == []
    assert any(len(order.cl_ord_ids) > 1 for order in ems.orders.values())
    filled: Counter[str] = Counter()
    for entry in floor.exchange.ledger:
        filled[entry.cl_ord_id] += entry.qty
    assert filled == {order.cl_ord_id: order.cum_qty for order in ems.orders.values() if order.cum_qty}
