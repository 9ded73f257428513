"""The shape of the code: which package may import which, and which files may touch the world outside.

docs/design.md says it in words; this is what holds it. Both tables are exact: a file that touches something new fails,
and so does a row for a file that no longer needs it.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

MAY_IMPORT: dict[str, set[str]] = {
    "domain": set(),
    "fix": {"domain"},
    "risk": {"domain"},
    "router": {"domain", "risk"},
    "gateway": {"domain", "fix"},
    "venues": {"domain", "fix"},
    "learning": {"domain", "risk", "router"},
    "simulators": {"domain", "fix"},  # independent witnesses: they share only the vocabulary and the protocol
    "service": {"domain", "fix", "risk", "router", "gateway", "venues", "learning", "simulators"},
}

# Modules and calls that reach outside the process or depend on when and where it runs.
WATCHED_MODULES = {
    *("asyncio", "concurrent", "ctypes", "fcntl", "glob", "http", "importlib", "io", "mmap", "multiprocessing", "os"),
    *("pathlib", "secrets", "select", "selectors", "shutil", "signal", "socket", "socketserver", "sqlite3", "ssl"),
    *("subprocess", "tempfile", "threading", "time", "urllib", "uuid", "uvloop"),
}
FILE_METHODS = {"open", "read_text", "write_text", "read_bytes", "write_bytes", "mkdir", "unlink", "rename"}
CLOCK_METHODS = {"now", "utcnow", "today"}
SEEDED = {"Random", "Generator", "BitGenerator", "PCG64", "Philox", "SeedSequence"}

# file -> (what it may touch, why). Beside modules, "files", "clock", "random" and "exec" stand for calls: open() and
# Path.open(), datetime.now(), random.random() or a generator without a seed, exec().
TOUCHES: dict[str, tuple[set[str], str]] = {
    "fix/codec.py": ({"exec"}, "makes an encoder and a decoder of each message type once, at import"),
    "fix/dictionary/__init__.py": ({"importlib", "pathlib", "files"}, "reads the package's own data and users' XML"),
    "fix/store.py": ({"os", "pathlib", "files"}, "FileStore keeps a session's sequence numbers and messages"),
    "fix/tcp.py": ({"asyncio", "ssl", "time"}, "carries endpoints over sockets"),
    "fix/tls.py": ({"ssl"}, "reads certificates and keys"),
    "router/model.py": ({"pathlib", "files"}, "reads a model artifact"),
    "learning/archive.py": ({"os", "pathlib", "urllib", "files"}, "the archive's Parquet files, quoted in paths"),
    "learning/spark.py": ({"os", "pathlib"}, "names the archive; Spark reads it"),
    "learning/registry.py": ({"io", "os", "pathlib", "shutil", "files"}, "keeps model artifacts"),
    "learning/history.py": ({"os", "pathlib", "files"}, "keeps a model's history beside it"),
    "simulators/client_tcp.py": ({"asyncio", "time"}, "the simulated EMS over a socket"),
    "simulators/config.py": ({"pathlib"}, "names paths, opens none"),
    "simulators/presets/__init__.py": ({"importlib", "pathlib", "files"}, "reads the package's own data, users' files"),
    "simulators/serve.py": (
        {"asyncio", "os", "pathlib", "signal", "time", "uvloop", "files"},
        "the simulated venues as a process",
    ),
    "simulators/tape_files.py": ({"pathlib", "files"}, "reads tapes"),
    "service/qa.py": ({"pathlib", "time"}, "names scenario files; how long each took"),
    "service/qa_report.py": ({"pathlib", "files"}, "writes JUnit XML"),
    "service/archive.py": ({"pathlib"}, "names the archive and the journal; DuckDB reads the archive"),
    "service/calibrate.py": ({"files"}, "writes a preset"),
    "service/certify_link.py": (
        {"importlib", "socket", "time", "files"},
        "connections to an engine under test; reads the cases",
    ),
    "service/cli.py": ({"os", "pathlib", "files"}, "paths from the command line; a closed standard output"),
    "service/cli_fix.py": ({"pathlib", "files"}, "the FIX tools' part of it: paths, a user's dictionary"),
    "service/cli_journal.py": ({"os", "pathlib"}, "paths from the command line; whether who reads is still there"),
    "service/cli_learning.py": ({"importlib", "pathlib", "shutil"}, "the commands that look back: paths"),
    "service/cli_market.py": ({"pathlib"}, "the commands about markets: paths"),
    "service/cli_spec.py": ({"pathlib", "files"}, "writes the documents for clients"),
    "service/command.py": ({"pathlib"}, "paths from the command line"),
    "service/config.py": ({"pathlib"}, "names paths, opens none"),
    "service/control.py": ({"asyncio", "socket", "os", "pathlib", "files"}, "the operator's socket"),
    "service/ems.py": ({"asyncio", "time"}, "a simulated EMS over sockets"),
    "service/rehearse.py": ({"pathlib", "files"}, "writes journals of simulated days"),
    "service/demo.py": (
        {"asyncio", "pathlib", "shutil", "socket", "subprocess", "time", "files"},
        "plays the whole with real processes",
    ),
    "service/echo.py": ({"asyncio", "signal", "time", "uvloop"}, "the echo as a process"),
    "service/examples.py": ({"pathlib"}, "names the example configs"),
    "service/fixlog_files.py": ({"os", "pathlib", "time", "files"}, "reads FIX logs, and follows one that grows"),
    "service/journal.py": ({"fcntl", "os", "pathlib", "time", "files"}, "writes the journal"),
    "service/journal_read.py": ({"pathlib", "time", "files"}, "reads the journal, and follows one that grows"),
    "service/group_commit.py": ({"threading", "time"}, "syncs the journal beside the event loop"),
    "service/journaled.py": ({"time"}, "measures from bytes in to bytes out"),
    "service/keeper.py": (
        {"os", "pathlib", "shutil", "signal", "time", "files"},
        "room on the disk, segments and snapshots of the journal",
    ),
    "service/kill_file.py": ({"os", "pathlib", "threading", "files"}, "the kill switch that is a file"),
    "service/replay.py": ({"pathlib", "files"}, "names what it reads; hashes the sources that decide"),
    "service/recovery.py": ({"pathlib"}, "names the files that a start reads"),
    "service/snapshot.py": ({"io", "os", "pathlib", "files"}, "writes and reads snapshots"),
    "service/learn.py": ({"pathlib", "files"}, "names the tape's files, writes the study's JSON"),
    "service/off_policy.py": ({"pathlib", "files"}, "names the archive and the model, writes JSON and HTML"),
    "service/logs.py": ({"os", "files"}, "opens the log file"),
    "service/market.py": ({"pathlib", "files"}, "reads tapes, writes reports"),
    "service/reload.py": ({"pathlib", "files"}, "reads the config again, and the files with passwords"),
    "service/model_desk.py": ({"asyncio", "pathlib"}, "loads models in a thread, names the registry"),
    "service/models.py": ({"pathlib"}, "names the registry"),
    "service/runtime.py": (
        {"asyncio", "pathlib", "signal", "time", "uvloop", "files"},
        "the node as a process: its clock and signals",
    ),
    "service/training_archive.py": ({"pathlib", "time"}, "reads the archive day by day, waits for the next"),
    "service/training.py": ({"pathlib", "time"}, "stamps a model with the time of its making"),
    "service/toml.py": ({"pathlib", "files"}, "reads config files"),
}


def sources() -> Iterator[tuple[str, str]]:
    """(path from the root, source) of every module of the product."""
    for package in MAY_IMPORT:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), path.read_text("utf-8")


def imported(file: str, source: str) -> set[str]:
    """Dotted names of what a module imports, relative imports resolved."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = file.split("/")[: -node.level] if node.level else []
            module = ".".join([*above, *filter(None, [node.module])])
            names |= {f"{module}.{alias.name}" for alias in node.names}
    return names


def direction_errors(file: str, source: str) -> list[str]:
    package = file.split("/")[0]
    allowed = MAY_IMPORT[package] | {package}
    return [
        f"{file} imports {name}: {package} may import {', '.join(sorted(allowed))}"
        for name in sorted(imported(file, source))
        if (top := name.split(".")[0]) in MAY_IMPORT.keys() | {"tests", "bench"} and top not in allowed
    ]


def touched(file: str, source: str) -> set[str]:
    """The watched modules that it imports, and "files", "clock", "random", "exec" for such calls."""
    found = {name.split(".")[0] for name in imported(file, source)} & WATCHED_MODULES
    found |= {"random" for name in imported(file, source) if name.startswith("random.") and name[7:] not in SEEDED}
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        match node.func:
            case ast.Name("open"):
                found.add("files")
            case ast.Name("__import__" | "exec" | "eval"):
                found.add("exec")
            case ast.Name("default_rng") | ast.Attribute(attr="default_rng") if not node.args and not node.keywords:
                found.add("random")
            case ast.Attribute(attr=name, value=ast.Name(owner)) if owner == "random" and name not in SEEDED:
                # A generator that a function got is often called random too; then the module was never imported.
                found |= {"random"} & imported(file, source)
            case ast.Attribute(attr=name, value=ast.Attribute(attr="random", value=ast.Name("np" | "numpy"))):
                found |= {"random"} if name not in SEEDED | {"default_rng"} else set()
            case ast.Attribute(
                attr=name, value=ast.Name("datetime" | "date") | ast.Attribute(attr="datetime" | "date")
            ):
                found |= {"clock"} if name in CLOCK_METHODS else set()
            case ast.Attribute(attr=name) if name in FILE_METHODS:
                found.add("files")
    return found


MODULES = dict(sources())


def test_every_package_is_in_the_table() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages - {"tests", "bench", "study"} == MAY_IMPORT.keys()  # nobody imports those


def test_imports_point_one_way() -> None:
    errors = [error for file, source in MODULES.items() for error in direction_errors(file, source)]
    assert not errors, "\n".join(errors)


def test_the_simulated_ems_shares_no_code_with_the_protocol_engine() -> None:
    """Not by way of another module of the simulators either."""
    reached, waiting = set(), [file for file in MODULES if file.startswith("simulators/client")]
    assert waiting
    while waiting:
        file = waiting.pop()
        reached.add(file)
        names = imported(file, MODULES[file])
        assert not any(name.split(".")[0] == "fix" for name in names), f"{file} imports of fix"
        for name in names:
            parts = name.split(".")
            paths = {"/".join(parts[:length]) + ".py" for length in range(1, len(parts) + 1)}
            waiting += (paths & MODULES.keys()) - reached


def test_only_listed_files_touch_the_world() -> None:
    found = {file: names for file, source in MODULES.items() if (names := touched(file, source))}
    listed = {file: names for file, (names, _) in TOUCHES.items()}
    errors = [
        f"{file} touches {sorted(found.get(file, set()))}, listed is {sorted(listed.get(file, set()))}"
        for file in sorted(found.keys() | listed.keys())
        if found.get(file) != listed.get(file)
    ]
    assert not errors, "\n".join(errors)


def test_every_row_has_a_reason() -> None:
    assert all(names and reason for names, reason in TOUCHES.values())


def test_the_pure_packages_touch_nothing() -> None:
    assert not [file for file in TOUCHES if file.split("/")[0] in ("domain", "risk", "gateway", "venues")]


@pytest.mark.parametrize(
    ("file", "source", "count"),
    [
        ("domain/prices.py", "import msgspec\nfrom domain.fields import Side", 0),
        ("domain/prices.py", "from fix.messages import decode", 1),
        ("router/engine.py", "import risk.checks, learning.dataset", 1),
        ("router/engine.py", "def late():\n    from service import node", 1),
        ("gateway/inbound.py", "from venues import lit\nfrom router.engine import Engine", 2),
        ("learning/dataset.py", "from fix import messages", 1),
        ("simulators/world.py", "from domain import market\nimport service.node\nimport risk", 2),
        ("service/node.py", "import fix, risk, router, gateway, venues, learning, simulators", 0),
        ("service/node.py", "from tests.learning import market\nimport bench", 2),
        (
            "router/strategies/twap.py",
            "from . import schema\nfrom ..engine import Engine\nfrom .schema import Slice",
            0,
        ),
        ("router/strategies/twap.py", "from ...fix import messages", 1),
        ("fix/codec.py", "import fixtures", 0),
    ],
)
def test_the_direction_check_sees_violations(file: str, source: str, count: int) -> None:
    assert len(direction_errors(file, source)) == count


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import msgspec\nfrom datetime import UTC, datetime, time\nx = datetime.fromtimestamp(0, UTC)", set()),
        ("import asyncio.streams", {"asyncio"}),
        ("def f():\n    import socket", {"socket"}),
        ("from time import perf_counter_ns", {"time"}),
        ("from os import path as p", {"os"}),
        ("x = open('f')", {"files"}),
        ("def f(path): return path.read_bytes()", {"files"}),
        ("from datetime import datetime\nx = datetime.now()", {"clock"}),
        ("import datetime\nx = datetime.datetime.now()", {"clock"}),
        ("from random import Random\nx = Random(1).random()", set()),
        ("import random\nx = random.Random(1)", set()),
        ("import random\nx = random.random()", {"random"}),
        ("def f(random): return random.random()", set()),
        ("from random import choice", {"random"}),
        ("import numpy as np\nx = np.random.default_rng(1)", set()),
        ("import numpy as np\nx = np.random.default_rng()", {"random"}),
        ("import numpy as np\nx = np.random.rand(3)", {"random"}),
        ("x = __import__('socket')", {"exec"}),
    ],
)
def test_the_check_of_what_is_touched_sees_it(source: str, found: set[str]) -> None:
    assert touched("domain/some.py", source) == found
