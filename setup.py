"""Everything is in pyproject.toml; this is only for `make fast`.

It compiles the market's inner loop with mypyc, from the same sources: the same events to the byte, more than twice as
fast. A plain install does without a compiler.
"""

import os

from setuptools import setup

COMPILED = [f"simulators/{name}.py" for name in ("book", "flow", "latent", "takers")]

if os.environ.get("FAIRLEAD_COMPILED") == "1":
    from mypyc.build import mypycify

    setup(ext_modules=mypycify(COMPILED, group_name="simulators.inner"))
else:
    setup()
