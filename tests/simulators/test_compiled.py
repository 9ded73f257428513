"""What `make fast` compiles does what is written, to the byte: the market, the venues, the FIX between, the node."""

import ast
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from bench.market import PACKAGES

ROOT = Path(__file__).parents[2]
MODULES = ast.literal_eval(re.search(r"^MODULES = (\{.*?^\})", (ROOT / "setup.py").read_text(), re.M | re.S)[1])
COMPILED = [f"{package}.{name}" for package, names in MODULES.items() for name in names]

# A run in which the background, takers, the fast, a client's resting and taking orders and a halt all have their part.
RUN = """
import hashlib, importlib, sys
from bench.market import PACKAGES, uncompiled
compiled = sys.argv[1]
if compiled:
    sys.path.insert(0, compiled)
    for package in PACKAGES:
        importlib.import_module(package).__path__.insert(0, f"{compiled}/{package}")
else:
    uncompiled()
from domain.fields import Side, TradingStatus
from simulators import presets
from simulators.market import Market
from simulators.market_config import default_market
from simulators.orders import Order
for name in sys.argv[2:]:
    module = importlib.import_module(name)
    assert ("so" in module.__file__.split(".")) is bool(compiled), module.__file__
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
# The node attached to it: all that either side says, the facts, and what the node then knows of the market.
ATTACHED = (
    RUN
    + """
from bench.attached import Attached
attached = Attached(5, recorded=True)
attached.advance(40)
for endpoint in (attached.exchange, attached.node):
    digest.update(repr(endpoint.calls).encode())
for name, view in sorted(attached.node.inner.market.symbols.items()):
    shown = {venue: (book.bids, book.asks, book.updated_ns) for venue, book in view.books.items()}
    digest.update(repr((name, shown, view.quotes, view.bid_px, view.ask_qty, view.volatility_bps)).encode())
print(digest.hexdigest())
"""
)


def run(compiled: str) -> str:
    command = [sys.executable, "-c", ATTACHED, compiled, *COMPILED]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    return said.stdout


@pytest.mark.skipif(not (shutil.which("cc") and find_spec("mypyc")), reason="needs a C compiler and mypyc")
@pytest.mark.skipif("FAIRLEAD_COMPILED" not in os.environ, reason="compiles for minutes: set FAIRLEAD_COMPILED=1")
def test_compiled_and_interpreted_give_the_same_bytes(tmp_path):
    build = [sys.executable, "setup.py", "-q", "build_ext", "--build-lib", str(tmp_path), "--build-temp", str(tmp_path)]
    environment = os.environ | {"FAIRLEAD_COMPILED": "1", "MYPYC_OPT_LEVEL": "0"}
    built = subprocess.run(build, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    assert run(str(tmp_path)) == run("")


def test_packages_with_compiled_modules():
    """Those that the benchmark can take from their sources, and `make slow` cleans."""
    (cleaned,) = re.findall(r"\$\(patsubst %,%/\*\.so,(.*?)\)", (ROOT / "Makefile").read_text())
    assert set(cleaned.split()) == set(PACKAGES) == MODULES.keys()


def test_what_is_compiled_is_what_is_written():
    """A compiled module hides its source: one that is older than it is another market."""
    old = [
        path.name
        for package in PACKAGES
        for path in (ROOT / package).glob("*.so")
        if (source := path.with_name(path.name.split(".")[0] + ".py")).exists()
        and path.stat().st_mtime < source.stat().st_mtime
    ]
    assert not old, f"{', '.join(old)}: older than the source; `make fast` compiles anew, `make slow` removes"
