"""The compiled inner loop of the market is the interpreted one, to the byte."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import simulators

ROOT = Path(simulators.__path__[0]).parent

# A run in which the background, takers, the fast, a client's resting and taking orders and a halt all have their part.
RUN = """
import hashlib, sys
import simulators
compiled = sys.argv[1]
if compiled:
    simulators.__path__.insert(0, compiled)
else:
    from bench.market import uncompiled
    uncompiled()
from domain.fields import Side, TradingStatus
from simulators import book, flow, latent, presets, takers
from simulators.market import Market
from simulators.market_config import default_market
from simulators.orders import Order
assert all(("so" in module.__file__.split(".")) is bool(compiled) for module in (book, flow, latent, takers))
digest = hashlib.sha256()
for config in (default_market(), *(presets.load(name) for name in presets.names())):
    market, symbol = Market(config, 5, 0), config.symbols[0].symbol
    for second in range(1, 60):
        px = market.references[symbol].bid_px
        order = Order(f"o{second}", "R", f"c{second}", symbol, Side.BUY, 300, px, immediate=second % 3 == 0)
        events = market.submit(config.venues[0].name, order, second * 10**9 - 5 * 10**8)
        status = TradingStatus.HALTED if second in (20, 21) else TradingStatus.OPEN
        events += market.set_status(symbol, status, "", second * 10**9)
        digest.update(repr(events).encode())
print(digest.hexdigest())
"""


def run(compiled: str) -> str:
    said = subprocess.run([sys.executable, "-c", RUN, compiled], cwd=ROOT, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    return said.stdout


@pytest.mark.skipif(not (shutil.which("cc") and find_spec("mypyc")), reason="needs a C compiler and mypyc")
def test_compiled_and_interpreted_give_the_same_bytes(tmp_path):
    build = [sys.executable, "setup.py", "-q", "build_ext", "--build-lib", str(tmp_path), "--build-temp", str(tmp_path)]
    environment = os.environ | {"FAIRLEAD_COMPILED": "1", "MYPYC_OPT_LEVEL": "0"}
    built = subprocess.run(build, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    assert run(str(tmp_path / "simulators")) == run("")


def test_what_is_compiled_is_what_is_written():
    """A compiled module hides its source: one that is older than it is another market."""
    old = [
        path.name
        for path in (ROOT / "simulators").glob("*.so")
        if (source := path.with_name(path.name.split(".")[0] + ".py")).exists()
        and path.stat().st_mtime < source.stat().st_mtime
    ]
    assert not old, f"{', '.join(old)}: older than the source; `make fast` compiles anew, `make slow` removes"
