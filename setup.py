"""Everything is in pyproject.toml; this is only for `make fast`.

It compiles with mypyc, from the same sources, what runs for each event of the market: the market's inner loop, the
virtual world, FIX sessions and the market view. The same events and the same bytes, about twice as fast. A plain
install does without a compiler.
"""

import os

from setuptools import setup

# By package; a class that anybody derives from outside of these modules, or puts attributes on, is not among them.
MODULES = {
    "domain": ("market",),
    "fix": (
        "checks",
        "core",
        "framing",
        "inbound",
        "message",
        "outbound",
        "refresh",
        "sequence",
        "session",
        "shapes",
        "store",
        "values",
    ),
    "simulators": (
        "book",
        "dealer",
        "exchange",
        "exchange_data",
        "floor",
        "flow",
        "latent",
        "leak",
        "lines",
        "market",
        "orders",
        "takers",
        "world",
    ),
    "venues": ("feed",),
    "service": ("hearing", "links", "node", "telling"),
}
COMPILED = [f"{package}/{name}.py" for package, names in MODULES.items() for name in names]

if os.environ.get("FAIRLEAD_COMPILED") == "1":
    from mypyc.build import mypycify

    setup(ext_modules=mypycify(COMPILED, group_name="fairlead"))
else:
    setup()
