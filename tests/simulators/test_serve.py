"""The simulated venues and the simulated EMS as processes: real sockets, real files, the example config."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
from datetime import time
from pathlib import Path

import msgspec
import pytest

from domain.fields import OrdStatus, Side
from simulators.client import Ems
from simulators.client_session import EmsSession
from simulators.client_tcp import run_ems
from simulators.conduct import Conduct, LatencyConfig
from simulators.config import SimulatorsConfig, TapeSettings, VenueSettings
from simulators.ledger import LedgerEntry, from_lines, to_lines
from simulators.market_config import DayConfig, default_market
from simulators.serve import open_exchange, serve

EXAMPLE = Path(__file__).parents[2] / "deploy" / "simulators.toml"


def config(directory: Path, port: int = 0) -> SimulatorsConfig:
    return SimulatorsConfig(
        venues={"ARGO": VenueSettings(port), "DUSK": VenueSettings(0), "FORD": VenueSettings(0)},
        data_dir=str(directory),
    )


def test_the_example_has_every_venue_and_explains_every_key():
    written = EXAMPLE.read_text()
    example = msgspec.toml.decode(written, type=SimulatorsConfig)
    assert example.market() == default_market()
    assert [settings.port for settings in example.venues.values()] == list(range(9901, 9908))
    for struct in (SimulatorsConfig, VenueSettings, TapeSettings, DayConfig, Conduct, LatencyConfig):
        for key in struct.__struct_fields__:
            assert key in written, key


WRONG = {
    "unknown key": ("prot = 1", "unknown field `prot`"),
    "unknown figure of a venue": ("[venues.ARGO]\nport = 1\nmarket = { flow = 1 }", "venues.ARGO.market: .*`flow`"),
    "a change that is none": (
        "[venues.ARGO]\nport = 1\n[[venues.ARGO.market.change]]\nat_s = 1\nreject_share = 2",
        r"venues.ARGO.market: .*change\[0\]: .*reject_share",
    ),
    "new venue without a kind": ("[venues.ZULU]\nport = 1", "venues.ZULU.market: .*`kind`"),
    "new symbol without a price": (
        "[venues.ARGO]\nport = 1\n[symbols.ZULU]\ntick_px = 1",
        "symbols.ZULU: .*`start_px`",
    ),
    "wrong type": ("[venues.ARGO]\nport = 'x'", r"Expected `int`, got `str` - at `\$.venues\[...\].port`"),
    "no lit venue": ("[venues.DUSK]\nport = 1", "no lit venue"),
    "no venue": ("venues = {}", "length >= 1"),
    "tape of no symbol": (
        "[venues.ARGO]\nport = 1\n[tape]\nsymbol = 'ZULU'\nmessages = 'm'\nbook = 'b'",
        "tape.symbol: 'ZULU' is none",
    ),
}


@pytest.mark.parametrize("written,expected", WRONG.values(), ids=WRONG)
def test_a_mistake_in_the_config_is_named(written, expected):
    with pytest.raises(msgspec.ValidationError, match=expected):
        msgspec.toml.decode(written, type=SimulatorsConfig)


def test_a_config_changes_the_market():
    changed = msgspec.toml.decode(
        "[venues.ARGO]\nport = 1\nlatency_us = 7\nmarket = { flow_share = 9.0 }\n"
        "[venues.HOTL]\nport = 2\nmarket = { kind = 'dealer' }\n"
        "[symbols.FOXT]\nstart_px = 100000\n[symbols.ALFA]\ntick_px = 500",
        type=SimulatorsConfig,
    )
    market = changed.market()
    assert [(venue.name, venue.kind) for venue in market.venues] == [("ARGO", "lit"), ("HOTL", "dealer")]
    assert market.venues[0].flow_share == 9.0
    assert {symbol.symbol: symbol.tick_px for symbol in market.symbols}.items() >= {"ALFA": 500, "FOXT": 100}.items()
    assert changed.latency_ns() == {"ARGO": 7_000, "HOTL": 100_000}


def test_a_market_that_is_behind_catches_up_in_pieces_and_says_how_late_it_was(tmp_path):
    start_ns, ms = 10**18, 1_000_000
    endpoint = open_exchange(config(tmp_path), start_ns)
    assert endpoint.account(start_ns) == {}  # nobody was there to be late for
    client = EmsSession("FIX.4.4", "FAIRLEAD", "ARGO")
    endpoint.connected(1, "ARGO", start_ns)
    client.connected(start_ns)
    endpoint.receive(1, b"".join(client.outbox), start_ns)
    assert endpoint.exchange.is_connected
    calls, now_ns = 0, start_ns + 3_000 * ms
    while endpoint.next_timer_ns() <= now_ns:
        due_ns = endpoint.next_timer_ns()
        endpoint.timer(now_ns)
        assert due_ns < endpoint.next_timer_ns() <= due_ns + 60 * ms  # of the market's time at once, and a pause
        calls += 1
    assert calls > 100
    account = endpoint.account(now_ns)
    assert 1_300 < account["lag_p50_ms"] < 1_800
    assert 2_500 < account["lag_p99_ms"] <= account["lag_worst_ms"] <= 3_000
    assert account["seconds"] == 3.0 and account["events_per_second"] > 100
    endpoint.timer(endpoint.next_timer_ns() + ms)
    assert endpoint.lag.lateness().worst_ms == account["lag_worst_ms"]
    endpoint.close()


MESSAGES = "34200.1,1,11,100,1000000,1\n34200.2,1,12,200,1000100,-1\n"
BOOK = "9999999999,0,1000000,100\n1000100,200,1000000,100\n"


@pytest.mark.parametrize("book,expected", [(BOOK, ""), (BOOK[:20] + "x" + BOOK[20:], "book.csv"), (None, "book.csv")])
def test_a_tape_makes_the_book_and_a_bad_one_is_named(tmp_path, book, expected):
    (tmp_path / "messages.csv").write_text(MESSAGES)
    if book is not None:
        (tmp_path / "book.csv").write_text(book)
    tape = TapeSettings("ALFA", str(tmp_path / "messages.csv"), str(tmp_path / "book.csv"), time(9, 30, 30))
    taped = msgspec.structs.replace(config(tmp_path), tape=tape)
    if expected:
        with pytest.raises((ValueError, OSError), match=expected):
            open_exchange(taped, 10**18)
        return
    endpoint = open_exchange(taped, 10**18)
    (snapshot,) = endpoint.exchange.market.snapshot("ARGO", "ALFA")
    assert (snapshot.bids, snapshot.asks) == (((100_0000, 100),), ((100_0100, 200),))
    endpoint.close()


def test_a_ledger_reads_back_and_a_torn_last_line_is_left_out():
    entries = [LedgerEntry("ARGO", f"E{n}", "O1", "ALFA", Side.SELL, 100 * n, 24_5000, n) for n in (1, 2)]
    data = to_lines(entries)
    assert from_lines(data) == entries
    assert from_lines(data[:-5]) == entries[:1]
    with pytest.raises(msgspec.DecodeError):
        from_lines(b"nonsense\n" + data)


class WatchedEms(Ems):
    """Sets `settled` whenever an input leaves every order settled."""

    settled: asyncio.Event

    def receive(self, link, data, now_ns):
        output = super().receive(link, data, now_ns)
        if self.done:
            self.settled.set()
        return output


async def test_orders_sequence_numbers_and_the_ledger_survive_a_restart_of_the_venues(tmp_path):
    """One EMS trades with a venue over sockets while the venue's process ends and begins again."""
    ems = WatchedEms(EmsSession("FIX.4.4", "FAIRLEAD", "ARGO"))
    finished, port, running = asyncio.Event(), 0, None
    for number in (1, 2):
        ready = asyncio.get_running_loop().create_future()
        stop = asyncio.Event()
        venues = asyncio.create_task(serve(config(tmp_path, port), stop, ready.set_result))
        port = (await asyncio.wait_for(ready, 10))["ARGO"][1]
        if running is None:
            running = asyncio.create_task(run_ems(ems, "127.0.0.1", port, finished.is_set))
        ems.settled = asyncio.Event()
        ems.new_order(f"O{number}", "ALFA", Side.BUY, 300)
        await asyncio.wait_for(ems.settled.wait(), 10)
        if number == 2:
            finished.set()
            await asyncio.wait_for(running, 10)
        stop.set()
        await asyncio.wait_for(venues, 10)
    assert ems.violations == []
    assert [order.ord_status for order in ems.orders.values()] == [OrdStatus.FILLED] * 2
    entries = from_lines((tmp_path / "ledger.jsonl").read_bytes())
    assert sum(entry.qty for entry in entries) == 600
    assert len({entry.exec_id for entry in entries}) == len(entries)


RUN = """
import sys, msgspec, structlog
from simulators.config import SimulatorsConfig
from simulators.serve import run
structlog.configure([structlog.processors.JSONRenderer()], logger_factory=structlog.PrintLoggerFactory())
sys.exit(run(msgspec.json.decode(sys.argv[1], type=SimulatorsConfig)))
"""


def events_of_a_process(settings: SimulatorsConfig) -> tuple[list[dict], int]:
    """What it logs, and its exit status; without a tape it gets SIGTERM as soon as it is ready."""
    command = [sys.executable, "-c", RUN, msgspec.json.encode(settings).decode()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=EXAMPLE.parents[1]) as process:
        events = []
        for line in process.stdout:
            events.append(json.loads(line))
            if events[-1]["event"] == "simulators_ready" and settings.tape is None:
                process.send_signal(signal.SIGTERM)
        return events, process.wait(10)


def test_the_process_says_when_it_is_ready_and_ends_on_sigterm(tmp_path):
    (ready, stopped), status = events_of_a_process(config(tmp_path))
    assert ready["event"] == "simulators_ready" and set(ready["addresses"]) == {"ARGO", "DUSK", "FORD"}
    assert (stopped["event"], status) == ("simulators_stopped", 0)


def test_the_process_fails_where_a_port_is_taken(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as occupied:
        port = occupied.getsockname()[1]
        (failed, _), status = events_of_a_process(config(tmp_path, port))
    assert (failed["event"], status) == ("simulators_failed", 1)
    assert str(port) in failed["text"]


def test_the_process_ends_where_its_tape_breaks_off(tmp_path):
    (tmp_path / "messages.csv").write_text(MESSAGES + "34200.4,nine\n")
    (tmp_path / "book.csv").write_text(BOOK + "1000100,200,1000000,100\n")
    tape = TapeSettings("ALFA", str(tmp_path / "messages.csv"), str(tmp_path / "book.csv"))
    (ready, failed, _), status = events_of_a_process(msgspec.structs.replace(config(tmp_path), tape=tape))
    assert (ready["event"], failed["event"], status) == ("simulators_ready", "simulators_failed", 1)
    assert "messages.csv" in failed["text"] and "3" in failed["text"]
