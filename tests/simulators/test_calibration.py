"""A market is found again from a day of it, and the samples of real days can be fitted."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from service.cli import main
from simulators import presets
from simulators.calibration import _busy, _shape, _wild, fit, moments
from simulators.export import LobsterExport
from simulators.market import Market
from simulators.market_config import MarketConfig
from simulators.recording import Recording, record_market, record_tape
from simulators.tape_files import open_tape

SECOND_NS = 1_000_000_000
OPEN_NS = 34_200 * SECOND_NS
SAMPLES = Path(__file__).parents[3] / "shared" / "data" / "lobster"
ELSEWHERE = {  # a start that is far from the market to be found
    "events_per_second": 8.0,
    "mean_lots": 2.5,
    "taker_share": 0.06,
    "daily_volatility": 0.03,
    "half_spread_ticks": 0.2,
    "orders_per_side": 40,
    "depth_ticks": 5.0,
    "excitation": 0.6,
    "split_tail": 1.9,
    "impact": 0.15,
}


def changed(config: MarketConfig, **figures) -> MarketConfig:
    symbol = msgspec.structs.replace(config.symbols[0], **figures)
    return msgspec.structs.replace(config, symbols=(symbol,))


def write(config: MarketConfig, seed: int, seconds: int, directory: Path, levels: int) -> tuple[Path, Path]:
    market = Market(config, seed, OPEN_NS)
    messages, book = directory / "day_message_10.csv", directory / "day_orderbook_10.csv"
    with messages.open("w") as message, book.open("w") as rows:
        LobsterExport(market.references[config.symbols[0].symbol].books, levels, OPEN_NS, message.write, rows.write)
        market.advance(OPEN_NS + seconds * SECOND_NS)
    return messages, book


def test_a_market_is_found_again_from_its_exported_day(tmp_path):
    """Tolerances are about twice what seeds differ by: an hour says no more."""
    truth = changed(presets.load("mid_cap"), day_activity=(), day_volatility=())  # an hour has no shape
    truth = msgspec.structs.replace(truth, day=None)
    recording = record_tape(open_tape(*write(truth, 77, 3600, tmp_path, 10)))
    found = fit([recording], 10, changed(truth, **ELSEWHERE), "AGAIN", rounds=6, simulated_s=7200).config
    wanted, got = truth.symbols[0], found.symbols[0]
    assert (got.symbol, got.tick_px, got.lot_qty) == ("AGAIN", wanted.tick_px, wanted.lot_qty)
    for name, tolerance in {
        "start_px": 0.005,
        "events_per_second": 0.15,
        "mean_lots": 0.1,
        "taker_share": 0.2,
        "daily_volatility": 0.3,
        "half_spread_ticks": 0.15,
        "orders_per_side": 0.25,
        "depth_ticks": 0.3,
        "excitation": 0.2,
        "split_tail": 0.25,
        "impact": 0.6,
    }.items():
        assert getattr(got, name) == pytest.approx(getattr(wanted, name), rel=tolerance), name
    assert found.venues == truth.venues[:3] + found.venues[3:]


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="needs recorded market data")
@pytest.mark.parametrize(("name", "levels"), [("AMZN", 1), ("AAPL", 10)])
def test_a_real_day_is_fitted(name, levels):
    (messages,), (book,) = (list(SAMPLES.glob(f"{name}*_{what}_*")) for what in ("message", "orderbook"))
    fitted = fit(
        [record_tape(open_tape(messages, book))], levels, presets.load("mid_cap"), name, rounds=7, simulated_s=1
    )
    for statistic, tolerance in {
        "orders_per_second": 0.3,
        "takers_per_second": 0.2,
        "order_qty": 0.2,
        "spread_ticks": 0.3,
        "volatility": 0.3,
    }.items():
        found, wanted = getattr(fitted.found, statistic), getattr(fitted.wanted, statistic)
        assert found == pytest.approx(wanted, rel=tolerance), statistic


def test_one_level_of_the_book_does_not_say_how_deep_it_is():
    recording = record_market(presets.load("mid_cap"), 3, 600, OPEN_NS)
    deep, flat = moments([recording], 100, 10), moments([recording], 100, 1)
    assert flat.orders_per_second < 0.7 * deep.orders_per_second
    assert deep.behind_ticks > 1.0
    assert np.isnan(flat.behind_ticks)
    assert flat.best_orders == deep.best_orders


def test_a_whole_day_has_a_shape_and_a_part_of_one_has_none():
    busy = np.sort(np.concatenate([np.linspace(0, 23_400, 3000), np.linspace(0, 2600, 3000)])) * SECOND_NS
    second = np.arange(0, 23_400)
    wild = np.where(second < 2600, 300, 100) * np.where(
        second // 10 % 2, 1, -1
    )  # every 10 s from one side to the other
    mid, qty, none = 100_0000 + wild, np.full(23_400, 100), np.empty(0, np.int64)
    sizes = np.full(len(busy), 100)
    day = Recording(second * SECOND_NS, mid - 100, qty, mid + 100, qty, busy.astype(np.int64), sizes // 100, sizes,
                    qty, qty * 0, 0, none, 0, 0)  # fmt: skip
    activity, volatility = _shape([day], _busy), _shape([day], _wild)
    assert activity[0] / activity[5] == pytest.approx(10.0, rel=0.05)
    assert volatility[0] / volatility[5] == pytest.approx(3.0, rel=0.05)
    assert np.mean(activity) == pytest.approx(1.0, abs=0.01)
    hour = record_market(presets.load("mid_cap"), 1, 3600, OPEN_NS)
    assert _shape([hour], _busy) == ()


def test_a_day_without_trades_fits_nothing():
    quiet = np.arange(1, 100) * SECOND_NS
    px, qty, none = np.full(99, 10_0000), np.full(99, 100), np.empty(0, np.int64)
    recording = Recording(quiet, px, qty, px + 100, qty, none, none, none, qty, px * 0, 0, none, 0, 0)
    with pytest.raises(ValueError, match="too little in it to fit a market to: no takers_per_second, volatility"):
        fit([recording], 1, presets.load("mid_cap"), "X")


def test_the_command_writes_a_preset_that_the_report_can_measure(tmp_path, capsys):
    messages, book = write(msgspec.structs.replace(presets.load("mid_cap"), day=None), 3, 1800, tmp_path, 1)
    out = tmp_path / "again.toml"
    tape = ["--tape", str(messages), "--book", str(book)]
    assert main(["calibrate", *tape, "--symbol", "AGAIN", "--rounds", "1", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert all(text in said for text in ("AGAIN, fitted", "takers_per_second", "order at the best price"))
    assert presets.load(str(out)).symbols[0].symbol == "AGAIN"
    assert main(["calibrate", "--tape", str(messages), "--book", str(book), "--start", "none"]) == 2
    assert "there is no preset 'none'" in capsys.readouterr().err
    assert main(["calibrate", "--tape", str(messages), "--book", str(messages)]) == 2
    assert "line 1" in capsys.readouterr().err
    assert main(["calibrate", *tape, "--out", str(tmp_path / "no" / "where.toml")]) == 2
    assert "there is no directory" in capsys.readouterr().err
