"""Does the market keep up with a real clock? 20 symbols on 7 venues, market data over FIX to a router, on one core.

`fairlead simulate` and `fairlead run` as processes, each pinned to a core of its own where there are two. The symbols
are those of the presets in turn, at their natural rates in the busiest hour of their day: the first, as the day begins
when the process does. The same again at a rate that no core can serve shows that the market says so. The
figures are those that the venues log when they end (`simulators.lag`): how late what was due was done, market events a
second, and how much of a processor it took.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import msgspec

from service.examples import DAEMON, SIMULATORS
from simulators import presets

SYMBOLS = 20
SECONDS, OVERLOAD_SECONDS, OVERLOAD = 60, 25, 40.0
LATE_MS = 100.0  # what counts as behind
READY_S = 30.0
_ALWAYS_THERE = ("ALFA", "BRVO", "CHRL", "DLTA", "ECHO")


def figures() -> list[dict[str, Any]]:
    natural, overloaded = measure(1.0, SECONDS), measure(OVERLOAD, OVERLOAD_SECONDS)
    served = natural["served"]
    return [
        _figure("real_time_lag_p50", served["lag_p50_ms"], "ms", None, None),
        _figure("real_time_lag_p99", served["lag_p99_ms"], "ms", LATE_MS, LATE_MS / max(served["lag_p99_ms"], 1e-3)),
        _figure("real_time_lag_worst", served["lag_worst_ms"], "ms", None, None),
        _figure("real_time_cpu_share", served["cpu_share"], "of a core", 1.0, 1.0 / max(served["cpu_share"], 1e-3)),
        _figure("real_time_events_per_second", served["events_per_second"], "1/s", None, None),
        _figure("real_time_warnings", natural["warnings"], "", None, None),
        _figure("real_time_overloaded_lag_p99", overloaded["served"]["lag_p99_ms"], "ms", None, None),
        _figure("real_time_overloaded_warnings", overloaded["warnings"], "", None, None),
    ]


def measure(rate: float, seconds: float) -> dict[str, Any]:
    """What the venues logged after `seconds` with a router, all rates of the symbols times `rate`."""
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        run_toml, simulate_toml = write_configs(directory, rate)
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        with _process("simulate", simulate_toml, cores[:1]) as venues, _process("run", run_toml, cores[-1:]):
            time.sleep(seconds)
            venues.send_signal(signal.SIGTERM)
            venues.wait(READY_S)
        said = [json.loads(line) for line in simulate_toml.with_suffix(".log").read_text().splitlines()]
    served = [entry for entry in said if entry["event"] == "simulators_served"]
    if not served:
        raise RuntimeError(f"no router came within {seconds} s: {said[-3:]}")
    return {"served": served[0], "warnings": sum(entry["event"] == "simulators_behind" for entry in said)}


def write_configs(directory: Path, rate: float) -> tuple[Path, Path]:
    """The example configs with the presets' symbols, on free ports: the daemon's, and the venues'."""
    daemon, venues = DAEMON.read_text("utf-8"), SIMULATORS.read_text("utf-8")
    *ports, listening = _free_ports(8)
    for number, port in zip(range(9901, 9908), ports, strict=True):
        daemon, venues = (text.replace(f"port = {number}", f"port = {port}") for text in (daemon, venues))
    daemon = daemon.replace("port = 9878", f"port = {listening}")
    daemon = daemon.replace('"var/fairlead"', json.dumps(str(directory / "data")))
    daemon = daemon.replace('"var/models"', json.dumps(str(directory / "models")))
    venues = venues.replace('"var/simulators"', json.dumps(str(directory / "venues")))
    names = [*_ALWAYS_THERE, *(f"S{number:03d}" for number in range(SYMBOLS - len(_ALWAYS_THERE)))]
    for name, preset in zip(names, islice(cycle(presets.names()), SYMBOLS), strict=False):
        (figures_of,) = msgspec.to_builtins(presets.load(preset).symbols)
        figures_of["events_per_second"] *= rate
        del figures_of["symbol"]
        venues += f"\n[symbols.{name}]\n"
        venues += "".join(f"{key} = {json.dumps(value)}\n" for key, value in figures_of.items())
        if name not in _ALWAYS_THERE:
            daemon += f'\n[[instruments]]\nsymbol = "{name}"\ntick = "0.01"\nadv = 2_000_000\n'
    paths = directory / "fairlead.toml", directory / "simulators.toml"
    for path, text in zip(paths, (daemon, venues), strict=True):
        path.write_text(text, "utf-8")
    return paths


@contextmanager
def _process(command: str, config: Path, cores: list[int]) -> Iterator[subprocess.Popen[bytes]]:
    with config.with_suffix(".log").open("wb") as log:
        line = [sys.executable, "-m", "service.cli", command, "--config", str(config)]
        process = subprocess.Popen(line, stdout=log, stderr=log)
        if cores:
            os.sched_setaffinity(process.pid, cores)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(READY_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _free_ports(count: int) -> list[int]:
    bound = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in bound]
    for each in bound:
        each.close()
    return ports


def _figure(name: str, value: float, unit: str, vs: float | None, ratio: float | None) -> dict[str, Any]:
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "vs": vs,
        "ratio": None if ratio is None else round(ratio, 2),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--rate", type=float, default=1.0, help="times the presets' natural rates")
    asked = parser.parse_args()
    print(json.dumps(measure(asked.rate, asked.seconds)))
