"""What venues of all kinds have in common: slow lines, limits, slices, maintenance, and figures that change."""

from itertools import pairwise
from random import Random
from statistics import mean

import msgspec
import pytest

from domain.fields import Side
from simulators.conduct import LatencyConfig, regimes
from simulators.lines import Limit, Line
from simulators.market import Market
from simulators.market_config import DarkConfig, LitConfig, MarketConfig, default_market
from simulators.orders import Order, Rejected, Traded
from simulators.scenario import Fault, FaultKind
from tests.simulators.test_exchange import LATENCY_NS, MS, SECOND, START_NS, Floor, cancel, levels, order, said, text

SKEWED = LatencyConfig(median_us=1_000, p99_us=20_000)


# --- lines ---


def test_a_line_has_a_floor_a_median_and_a_tail():
    line = Line(100_000, Random(1))
    line.adopt(SKEWED, 1.0)
    delays = sorted(line.arrives_ns(n * SECOND * 10) - n * SECOND * 10 for n in range(20_000))
    assert delays[0] > 100_000
    assert delays[10_000] - 100_000 == pytest.approx(1_000_000, rel=0.05)
    assert delays[19_800] - 100_000 == pytest.approx(20_000_000, rel=0.15)


def test_nothing_overtakes_on_a_line():
    line = Line(0, Random(2))
    line.adopt(SKEWED, 1.0)
    arrivals = [line.arrives_ns(n * 100_000) for n in range(2_000)]
    assert arrivals == sorted(arrivals)
    assert len(set(arrivals)) < 1_900  # a late one holds those behind it


def test_a_line_without_a_distribution_throws_no_dice():
    random = Random(3)
    state = random.getstate()
    line = Line(500, random)
    line.adopt(None, 3.0)
    assert [line.arrives_ns(at_ns) for at_ns in (0, 1_000)] == [1_500, 2_500]
    assert random.getstate() == state


def test_a_limit_counts_any_second():
    limit = Limit(2)
    assert [limit.take(at_ns) for at_ns in (0, 400 * MS, 500 * MS, 600 * MS)] == [0, 400 * MS, SECOND, 1_400 * MS]
    assert not limit.has_room(1_999 * MS)
    assert limit.has_room(2_000 * MS)
    assert all(Limit(0).has_room(0) for _ in range(5))


def test_latencies_of_a_venue_go_both_ways():
    """Ten orders take longer than the line's least time, and come back in the order in which they were sent."""
    floor = Floor(ARGO={"latency_in": msgspec.to_builtins(SKEWED), "latency_out": msgspec.to_builtins(SKEWED)})
    client, began_ns = floor.client("ARGO"), floor.world.now_ns
    client.queue += [("D", order(f"O{n}", 100, px="1.00", tif=0)) for n in range(10)]
    floor.world.wake("ARGO")
    floor.run(SECOND)
    acks = [(at_ns, text(message, 11)) for at_ns, message in client.received]
    assert [cl_ord_id for _, cl_ord_id in acks] == [f"O{n}" for n in range(10)]
    assert acks[-1][0] - began_ns > 2 * LATENCY_NS + 2 * MS


# --- limits ---


@pytest.mark.parametrize("on_excess", ["business_reject", "reject", "queue"])
def test_one_message_too_many(on_excess):
    floor = Floor(ARGO={"messages_per_second": 2, "on_excess": on_excess})
    client = floor.client("ARGO")
    client.queue += [("D", order(f"O{n}", 100, px="1.00", tif=0)) for n in range(3)]
    client.queue.append(("F", cancel("C0", "O0")))
    floor.world.wake("ARGO")
    floor.run(SECOND // 2)
    at_once = [text(message, 35) + text(message, 11) for _, message in client.received]
    answers = [message for _, message in client.received if text(message, 58).startswith("throttled: more than 2")]
    floor.run(SECOND)
    later = [text(message, 35) + text(message, 11) for _, message in client.received]
    if on_excess == "business_reject":
        assert said(answers, 35, 372, 379, 380) == [("j", "D", "O2", "0"), ("j", "F", "C0", "0")]
    elif on_excess == "reject":
        assert said(answers, 35, 39, 150, 434) == [("8", "8", "8", ""), ("9", "0", "", "1")]
    else:
        assert (at_once, later) == (["8O0", "8O1"], ["8O0", "8O1", "8O2", "8C0"])


def test_the_limit_is_of_a_session():
    floor = Floor(ARGO={"messages_per_second": 1})
    assert said(floor.send("ARGO", "D", order("O1", 100, px="1.00", tif=0)), 35) == [("8",)]
    assert said(floor.send("BRIG", "D", order("O1", 100, px="1.00", tif=0)), 35) == [("8",)]
    assert floor.subscribe("ARGOMD")  # which no limit is for


# --- market data in slices ---


def refreshes(floor: Floor, comp_id: str = "ARGOMD", seconds: int = 10):
    floor.subscribe(comp_id)
    client = floor.client(comp_id)
    before = len(client.received)
    floor.run(seconds * SECOND)
    return client.received[before:]


def book_of(floor: Floor, comp_id: str) -> dict[tuple[str, str], str]:
    """What a subscriber believes of the book, from all that it was told; nothing is changed that isn't there."""
    book: dict[tuple[str, str], str] = {}
    for _, message in floor.client(comp_id).received:
        for action, entry_type, _, px, size in levels(message) if text(message, 35) in "WX" else []:
            if entry_type not in "01":
                continue
            assert (action == "0") is ((entry_type, px) not in book), (action, entry_type, px)
            if action == "2":
                del book[entry_type, px]
            else:
                book[entry_type, px] = size
    return book


def test_a_venue_shows_no_more_than_one_refresh_an_interval_and_the_last_state_wins():
    floors = [Floor(), Floor(ARGO={"conflate_ms": 250.0})]
    plain, sliced = (refreshes(floor) for floor in floors)
    assert len(plain) > 100
    assert 20 <= len(sliced) <= 40
    times = [at_ns for at_ns, _ in sliced]
    assert min(later - earlier for earlier, later in pairwise(times)) >= 250 * MS
    # Both end up with the same book, once the last slice is out; and every trade was told.
    trades = [sum(entry[1] == "2" for _, m in told for entry in levels(m)) for told in (plain, sliced)]
    assert abs(trades[0] - trades[1]) <= 3
    at_ns = floors[1].world.now_ns
    shown = {(str(kind), f"{px / 10_000:g}") for kind, px in _levels_of(floors[1], at_ns)}
    told = {(kind, f"{float(px):g}") for kind, px in book_of(floors[1], "ARGOMD")}
    assert len(told ^ shown) <= 6  # what changed within the last slice
    book_of(floors[0], "ARGOMD")


def _levels_of(floor: Floor, at_ns: int):
    (snapshot,) = floor.market.snapshot("ARGO", "ALFA")
    return [(0, px) for px, _ in snapshot.bids] + [(1, px) for px, _ in snapshot.asks]


def test_a_dealer_in_slices_streams_its_last_quote():
    told = refreshes(Floor(FORD={"conflate_ms": 2_000.0}), "FORDMD")
    assert 4 <= len([m for _, m in told if text(m, 35) == "S"]) <= 6


# --- maintenance ---


def test_in_maintenance_a_venue_logs_out_and_lets_nobody_in():
    floor = Floor(ARGO={"maintenance": ["22:13:30-22:13:40 UTC"]})  # ten seconds after the start, for ten
    orders, data = floor.client("ARGO"), floor.client("ARGOMD")
    assert said(floor.send("ARGO", "D", order("O1", 100, px="1.00", tif=0)), 39) == [("0",)]
    floor.world.run_until(START_NS + 9_900 * MS)
    assert orders.session.is_logged_on and data.session.is_logged_on
    floor.world.run_until(START_NS + 10_500 * MS)
    assert not orders.session.is_logged_on and not data.session.is_logged_on
    for at_s, is_in in ((15, False), (20.5, True)):
        floor.world.run_until(START_NS + int(at_s * SECOND))
        floor.world.connect("ARGO", "venue", "exchange", "ARGO")
        floor.run(100 * MS)
        assert orders.session.is_logged_on is is_in
    assert said(floor.send("ARGO", "F", cancel("C1", "O1")), 39) == [("4",)]  # the order was kept


def test_a_venue_that_starts_in_its_maintenance_is_closed():
    floor = Floor(ARGO={"maintenance": ["22:00:00-22:13:25 UTC"]})  # five seconds after the start
    floor.client("ARGO")
    assert not floor.client("ARGO").session.is_logged_on
    floor.world.run_until(START_NS + 6 * SECOND)
    floor.world.connect("ARGO", "venue", "exchange", "ARGO")
    floor.run(100 * MS)
    assert floor.client("ARGO").session.is_logged_on


# --- figures that change ---


def market(seed: int, venue: str, *changes: dict) -> Market:
    config = default_market()
    venues = tuple(
        msgspec.structs.replace(item, change=changes) if item.name == venue else item for item in config.venues
    )
    return Market(MarketConfig(symbols=config.symbols[:1], venues=venues), seed, 0)


def test_changes_that_never_come_or_change_nothing_leave_every_byte():
    plain = repr(market(1, "ARGO").advance(30 * SECOND))
    for change in (
        {"at_s": 100, "flow_share": 9.0, "reject_share": 1.0},
        {"at_s": 10, "latency_factor": 5.0, "reject_share": 0.5, "toxic_share": 0.9, "conflate_ms": 3.0},
    ):
        assert repr(market(1, "ARGO", change).advance(30 * SECOND)) == plain
    assert repr(market(1, "ARGO", {"at_s": 10, "flow_share": 9.0}).advance(30 * SECOND)) != plain


def test_figures_hold_from_their_time_on():
    config = LitConfig(name="ARGO", change=({"at_s": 5, "reject_share": 0.3}, {"at_s": 9.5, "flow_share": 2.0}))
    assert [(at_ns, c.reject_share, c.flow_share) for at_ns, c in regimes(config)] == [
        (5 * SECOND, 0.3, 1.0),
        (9_500 * MS, 0.3, 2.0),
    ]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"reject_share": 0.1}, r"change\[0\]: at_s must be seconds"),
        ({"at_s": 1, "reject_share": 1.5}, r"change\[0\]: .*reject_share"),
        ({"at_s": 1, "colour": 1}, r"change\[0\]: .*colour"),
        ({"at_s": 1, "arrivals_per_second": 1.0}, r"change\[0\]: .*arrivals_per_second"),  # of a dark pool
        ({"at_s": 1, "name": "X"}, r"change\[0\]: name of a venue can't change"),
    ],
)
def test_a_wrong_change_is_named(change, says):
    with pytest.raises(ValueError, match=says):
        LitConfig(name="ARGO", change=(change,))


def test_wrong_figures_are_named():
    with pytest.raises(ValueError, match=r"change\[1\]: at_s 1 is earlier"):
        DarkConfig(name="D", change=({"at_s": 2}, {"at_s": 1}))
    with pytest.raises(ValueError, match="p99_us 5 is below median_us 10"):
        LatencyConfig(median_us=10, p99_us=5)
    with pytest.raises(ValueError, match='expected "always"'):
        LitConfig(name="ARGO", maintenance=("at night",))
    with pytest.raises(ValueError, match="maintenance 'always' is no stretch"):
        LitConfig(name="ARGO", maintenance=("always",))


def test_a_venue_that_starts_to_turn_orders_down():
    trading = market(1, "ARGO", {"at_s": 100, "reject_share": 0.4})
    turned_down = []
    for n in range(1, 401):
        resting = Order(f"o{n}", "R", f"c{n}", "ALFA", Side.BUY, 100, 1_0000)
        first = next(e for _, _, e in trading.submit("ARGO", resting, n * SECOND // 2) if hasattr(e, "order"))
        turned_down.append(isinstance(first, Rejected))
    assert not any(turned_down[:199])
    assert 0.3 < mean(turned_down[200:]) < 0.5


def markouts(toxic: bool) -> list[float]:
    """How the mid moved for buyers and sellers, 5 s after fills at BRIG, in ticks; a fill every 20 s, 60 of them."""
    change = ({"at_s": 0, "toxic_share": 1.0},) if toxic else ()
    found = []
    trading = market(3, "BRIG", *change)
    reference = trading.references["ALFA"]
    for n in range(1, 61):
        side = Side.BUY if n % 2 else Side.SELL
        taking = Order(f"o{n}", "R", f"c{n}", "ALFA", side, 100, immediate=True)
        events = trading.submit("BRIG", taking, n * 20 * SECOND)
        before = reference.mid2_px
        trading.advance(n * 20 * SECOND + 5 * SECOND)
        if before and reference.mid2_px and any(isinstance(event, Traded) for _, _, event in events):
            found.append(side.sign * (reference.mid2_px - before) / 200)
    return found


def test_fills_at_a_toxic_venue_are_followed_by_a_move_against_the_client():
    fair, toxic = markouts(False), markouts(True)
    assert len(fair) > 50 and len(toxic) > 50
    assert mean(fair) > -0.7
    assert mean(toxic) < mean(fair) - 0.5  # of 5 bps, 1.2 ticks, what has come and not yet gone back


def test_a_dark_pool_dries_up():
    def prints(*changes: dict) -> list[int]:
        trading = market(1, "DUSK", *changes)
        events = trading.advance(600 * SECOND)
        return [at_ns for name, at_ns, e in events if name == "DUSK" and type(e).__name__ == "TradePrinted"]

    dry = {"at_s": 300, "empty_share": 1.0}
    assert len([at_ns for at_ns in prints() if at_ns > 330 * SECOND]) > 5
    assert not [at_ns for at_ns in prints(dry) if at_ns > 330 * SECOND]


def test_a_venue_that_gets_slower():
    floor = Floor(ARGO={"change": [{"at_s": 10, "latency_factor": 20}]})
    floor.client("ARGO")
    answered = []
    for n, at_s in enumerate((5, 11)):
        floor.world.run_until(START_NS + at_s * SECOND)
        sent_ns = floor.world.now_ns
        floor.send("ARGO", "D", order(f"O{n}", 100, px="1.00", tif=0), 100 * LATENCY_NS)
        answered.append(floor.client("ARGO").received[-1][0] - sent_ns)
    assert answered == [2 * LATENCY_NS, 40 * LATENCY_NS]


# --- the same as faults of a scenario, for a while ---


def faulty(**fault) -> Floor:
    floor = Floor()
    floor.exchange.inject([Fault(venue="ARGO", at_s=10, **fault)], 1, START_NS)
    floor.client("ARGO")
    floor.subscribe("ARGOMD")
    floor.world.wake("exchange")
    floor.world.run_until(START_NS + 9 * SECOND)
    return floor


def answers(floor: Floor, at_s: float, count: int, then_ns: int = 100 * LATENCY_NS) -> list[tuple[int, str]]:
    """[(ns after they were sent, MsgType)] of what comes back to `count` orders at a time, within `then_ns`."""
    floor.world.run_until(START_NS + int(at_s * SECOND))
    client, sent_ns = floor.client("ARGO"), floor.world.now_ns
    before = len(client.received)
    client.queue += [("D", order(f"{at_s}-{n}", 100, px="1.00", tif=0)) for n in range(count)]
    floor.world.wake("ARGO")
    floor.run(then_ns)
    return [(at_ns - sent_ns, text(message, 35)) for at_ns, message in client.received[before:]]


def test_a_latency_spike_goes_both_ways_and_is_over():
    floor = faulty(kind=FaultKind.LATENCY, for_s=5, after_ms=50)
    usual, slow_ns = 2 * LATENCY_NS, 2 * LATENCY_NS + 100 * MS
    assert [answers(floor, at_s, 1)[0][0] for at_s in (9.5, 11, 16)] == [usual, slow_ns, usual]


def test_market_data_is_late_in_a_latency_spike():
    late_ns = []
    for after_ms in (0, 300):
        floor = faulty(kind=FaultKind.LATENCY, for_s=5, after_ms=after_ms)
        floor.world.run_until(START_NS + 11 * SECOND)
        said_ns = [at_ns for at_ns, _ in floor.client("ARGOMD").received]
        late_ns.append(next(at_ns for at_ns in said_ns if at_ns >= START_NS + 10 * SECOND + 10 * MS))
    assert late_ns[1] >= START_NS + 10_300 * MS > late_ns[0]


def test_a_throttle_for_a_while():
    floor = faulty(kind=FaultKind.THROTTLE, for_s=5, count=2)
    kinds = [[kind for _, kind in answers(floor, at_s, 4)] for at_s in (9.5, 12, 16)]
    assert kinds == [["8"] * 4, ["8", "8", "j", "j"], ["8"] * 4]


def test_maintenance_for_a_while():
    floor = faulty(kind=FaultKind.MAINTENANCE, for_s=5)
    book = floor.market.snapshot("ARGO", "ALFA")
    floor.world.run_until(START_NS + 12 * SECOND)
    standing = floor.market.snapshot("ARGO", "ALFA")
    floor.world.run_until(START_NS + 14 * SECOND)
    assert not floor.client("ARGO").session.is_logged_on
    assert floor.market.snapshot("ARGO", "ALFA") == standing != book  # nothing is traded there meanwhile
    floor.world.run_until(START_NS + 17 * SECOND)
    assert floor.market.snapshot("ARGO", "ALFA") != standing
