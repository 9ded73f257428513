"""The market on a real clock, as processes with a router: what it says of itself when it can't keep up."""

import os
from pathlib import Path

import pytest

from bench.real_time import SYMBOLS, write_configs
from service import config, toml
from simulators import presets
from simulators.config import SimulatorsConfig
from tests.service.processes import Running


def test_the_bench_has_twenty_symbols_at_the_rates_of_the_presets(tmp_path: Path) -> None:
    run_toml, simulate_toml = write_configs(tmp_path, 2.0)
    simulated = toml.load(SimulatorsConfig, simulate_toml).market()
    daemon = config.load(run_toml)
    assert len(simulated.symbols) == SYMBOLS == len(daemon.instruments)
    assert {item.symbol for item in simulated.symbols} == {item.symbol for item in daemon.instruments}
    assert len(simulated.venues) == 7 == len(daemon.venues)
    natural = {presets.load(name).symbols[0].events_per_second for name in presets.names()}
    assert {symbol.events_per_second for symbol in simulated.symbols} == {2.0 * rate for rate in natural}
    assert all(symbol.day_activity for symbol in simulated.symbols)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="pins nothing here")
async def test_a_market_that_cannot_keep_up_says_so_and_can_still_be_stopped(tmp_path: Path) -> None:
    run_toml, simulate_toml = write_configs(tmp_path, 60.0)
    async with Running("simulate", "--config", str(simulate_toml)) as venues:
        os.sched_setaffinity(venues.process.pid, sorted(os.sched_getaffinity(0))[:1])
        await venues.says("simulators_ready")
        async with Running("run", "--config", str(run_toml)):
            behind = await venues.says("simulators_behind", timeout_s=60.0)
            assert behind["worst_ms"] > 100 and behind["p99_ms"] > 100
            assert await venues.stop() == 0
    (served,) = venues.of("simulators_served")
    assert served["lag_p99_ms"] > 100 and served["lag_worst_ms"] >= served["lag_p50_ms"]
    assert served["events_per_second"] > 0 and 0 < served["cpu_share"] <= 1.1
