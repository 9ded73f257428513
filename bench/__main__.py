"""`python -m bench [NAME ...]`: one JSON line a figure, {"name", "value", "unit", "vs", "ratio"}.

`vs` says what the figure stands against, measured in the same run, and `ratio` how many times better it is (over 1 is
better). Names are modules of this folder; none means all of them.
"""

import importlib
import json
import pkgutil
import sys
from collections.abc import Sequence

import bench


def main(names: Sequence[str]) -> None:
    for name in names or sorted(module.name for module in pkgutil.iter_modules(bench.__path__)):
        if name == "__main__":
            continue
        for figure in importlib.import_module(f"bench.{name}").figures():
            print(json.dumps(figure), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
