"""Presets are data, their twin runs and their exported days are what they say, and the command measures them."""

import json
from pathlib import Path

import msgspec
import pytest

from service.calibrate import to_toml
from service.cli import main
from simulators import presets
from simulators.export import LobsterExport
from simulators.facts import Facts, measure
from simulators.impact import impact
from simulators.lobster import TapeKind, read_tape
from simulators.market import Market
from simulators.market_config import MarketConfig
from simulators.recording import Recorder

SECOND_NS = 1_000_000_000
OPEN_NS = 34_200 * SECOND_NS


def test_presets_load_by_name():
    assert presets.names() == ["large_tick", "mid_cap", "volatile_wide"]
    for name in presets.names():
        config = presets.load(name)
        assert len(config.symbols) == 1
        Market(config, 1, OPEN_NS).advance(OPEN_NS + 5 * SECOND_NS)
    with pytest.raises(presets.UnknownPreset, match="'small_cap'; expected one of large_tick, mid_cap"):
        presets.load("small_cap")


def test_a_preset_may_be_a_file_of_the_users(tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text(to_toml(presets.load("mid_cap"), "mine"))
    assert presets.load(str(mine)) == presets.load("mid_cap")
    venue = {"latency_in": {"median_us": 100, "p99_us": 900.5}, "maintenance": ["04:00-05:00 UTC"]}
    moody = (
        presets.load("mid_cap")
        .venues[0]
        .changed(venue | {"change": [{"at_s": 9, "latency_out": {**venue["latency_in"]}}]})
    )
    config = msgspec.structs.replace(presets.load("mid_cap"), venues=(moody,))
    mine.write_text(to_toml(config, "a venue with everything"))
    assert presets.load(str(mine)) == config
    mine.write_text(mine.read_text().replace("start_px", "start_price"))
    with pytest.raises(ValueError, match=r"mine\.toml: Object contains unknown field `start_price`"):
        presets.load(str(mine))


def opened(config: MarketConfig, seed: int) -> Market:
    """A market in the first instant of its continuous trading."""
    market = Market(config, seed, OPEN_NS - config.opening_ns)
    market.advance(OPEN_NS)
    return market


def recorded(name: str, minutes: int, seed: int = 1):
    config = presets.load(name)
    market = opened(config, seed)
    symbol = config.symbols[0].symbol
    recorder = Recorder(market.references[symbol].books)
    recorder.heard(market.advance(OPEN_NS + minutes * 60 * SECOND_NS), symbol)
    return recorder.recording(), market


def test_the_presets_are_what_they_are_called():
    """Bands of what the first hour can say; the whole day is what `fairlead market report` is for."""
    facts, spread_ticks = {}, {}
    for name in presets.names():
        recording, _ = recorded(name, 60)
        measured = measure(name, [recording])
        facts[name], spread_ticks[name] = measured.facts, measured.spread_px / 100
        assert 0.4 <= measured.facts.sign_acf_1 <= 0.75
        assert 1.7 <= measured.facts.interarrival_cv <= 3.5
        assert 0.04 <= measured.facts.executed_over_submitted <= 0.35
        assert measured.facts.response_1s_bps > 0
    assert spread_ticks["large_tick"] < 1.2
    assert 1.6 < spread_ticks["mid_cap"] < 2.4
    assert spread_ticks["volatile_wide"] > 5
    assert 0.15 < facts["mid_cap"].off_exchange_share < 0.45
    assert facts["mid_cap"].kurtosis_1s > 6


def test_to_record_a_market_changes_nothing_and_sees_what_its_books_show():
    recording, watched = recorded("mid_cap", 2)
    alone = opened(presets.load("mid_cap"), 1)
    alone.advance(OPEN_NS + 120 * SECOND_NS)
    reference = watched.references["MIDC"]
    assert [book.snapshot() for book in reference.books] == [book.snapshot() for book in alone.references["MIDC"].books]
    assert (recording.bid_px[-1], recording.ask_px[-1]) == (reference.bid_px, reference.ask_px)
    at_best = [book.bids.levels.get(reference.bid_px) for book in reference.books]
    assert recording.bid_qty[-1] == sum(level.qty for level in at_best if level)


def test_an_exported_day_reads_back_to_the_same_book_at_every_row():
    config = presets.load("mid_cap")
    market = opened(config, 3)
    books = market.references["MIDC"].books
    messages: list[str] = []
    rows: list[str] = []
    seen: list[tuple] = []

    def depth(side: str, sign: int) -> tuple[tuple[int, int], ...]:
        together: dict[int, int] = {}
        for book in books:
            for px, qty in getattr(book, side).depth():
                together[px] = together.get(px, 0) + qty
        return tuple(sorted(together.items(), reverse=sign > 0)[:5])

    def write_book(line: str) -> None:
        rows.append(line)
        seen.append((depth("bids", 1), depth("asks", -1)))

    LobsterExport(books, 5, OPEN_NS, messages.append, write_book)
    first = len(rows)  # until here the orders that rest at the start come one by one
    market.advance(OPEN_NS + 600 * SECOND_NS)
    read = list(read_tape(messages, rows))
    assert len(read) == len(seen) > first + 2000
    assert [(row.bids, row.asks) for row in read[first - 1 :]] == seen[first - 1 :]
    assert {row.kind for row in read} == {TapeKind.SUBMITTED, TapeKind.REDUCED, TapeKind.DELETED, TapeKind.EXECUTED} - (
        {TapeKind.REDUCED}  # the background cancels whole orders
    )
    # An order is no more than it was: what leaves it is what was submitted.
    left: dict[int, int] = {}
    for row in read:
        left[row.order_id] = left.get(row.order_id, 0) + (row.qty if row.kind is TapeKind.SUBMITTED else -row.qty)
        assert left[row.order_id] >= 0
        assert row.kind is not TapeKind.DELETED or left[row.order_id] == 0


def test_a_large_order_moves_the_price_and_its_twin_is_the_market_without_it():
    config = presets.load("mid_cap")
    still = msgspec.structs.replace(
        config, symbols=(msgspec.structs.replace(config.symbols[0], impact=0.0, daily_volatility=1e-6),)
    )
    moved = impact(config, 2, 1, 60.0, 200)
    assert moved.impact_bps[-1] > 1.0
    assert moved.qty[-1] == pytest.approx(32 * moved.qty[0], rel=0.3)
    assert abs(impact(still, 1, 1, 60.0, 200).impact_bps[-1]) < 1.0


def tape(tmp_path: Path) -> tuple[str, str]:
    market = opened(presets.load("mid_cap"), 3)
    messages, book = tmp_path / "day_message_1.csv", tmp_path / "day_orderbook_1.csv"
    with messages.open("w") as message, book.open("w") as rows:
        LobsterExport(market.references["MIDC"].books, 1, OPEN_NS, message.write, rows.write)
        market.advance(OPEN_NS + 600 * SECOND_NS)
    return str(messages), str(book)


def test_the_command_measures_a_tape(tmp_path, capsys):
    messages, book = tape(tmp_path)
    facts, page = tmp_path / "facts.json", tmp_path / "page.html"
    files = ["--json", str(facts), "--html", str(page)]
    assert main(["market", "report", "--tape", messages, "--book", book, *files]) == 0
    assert "sign_acf_10" in capsys.readouterr().out
    written = json.loads(facts.read_text())
    assert list(written) == ["day"]
    assert tuple(written["day"]) == Facts.__struct_fields__
    assert written["day"]["impact_exponent"] is None
    assert page.read_text().startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["report"], "nothing to measure"),
        (["report", "--preset", "small_cap"], "there is no preset 'small_cap'; expected one of large_tick"),
        (["report", "--tape", __file__], "--tape and --book go together"),
        (["report", "--tape", __file__, "--book", __file__], "line 1"),
        (["export", "--preset", "none", "--tape", "m", "--book", "b"], "there is no preset 'none'"),
    ],
)
def test_what_was_asked_wrongly_is_one_line(arguments, text, capsys):
    assert main(["market", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert text in line
