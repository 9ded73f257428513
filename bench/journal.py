"""The journal: what it costs an order, how fast it is read back, followed and synced, and how long a snapshot stalls.

The facts are those of orders worked in virtual time, with all their messages and decisions. Cost is measured on the
inputs that bring an order, as the part of an order's time that its batch takes. Reading back is measured in time of
the processor, for one core that has nothing else to do.
"""

import gc
import os
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from bench.node import Inputs, record
from domain.facts import AnyFact, ChildSubmitted, ParentAccepted
from router.features import FEATURES, schema_hash
from router.model import PriorModel
from service.config import ServiceConfig
from service.examples import daemon_config
from service.group_commit import GroupCommit
from service.journal import MB, Journal, follow, read
from service.node import Node
from service.snapshot import load, snapshot_name, state_hash, write
from service.training import START_NS

ROUNDS = 3
COPIES = 3  # of the recorded batches, for what needs a longer journal
SYNCED = 2_000
FACTS_AIM, RECOVERY_AIM_S = 1_000_000, 10.0


def figures() -> list[dict[str, Any]]:
    config = daemon_config()
    schema = schema_hash([venue.name for venue in config.venues if venue.enabled])
    model = PriorModel(FEATURES.index("fill_prior"), schema)
    inputs = record(config, model)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        found = [_order_cost(config, model, inputs, path)]
        batches = _batches(config, model, inputs)
        found += _recovery(config, model, batches, path)
        found.append(_following(batches, path))
        found += _syncing(batches, path)
    return found


def _batches(config: ServiceConfig, model: PriorModel, inputs: Inputs) -> list[list[AnyFact]]:
    node = Node(config, model, "", START_NS)
    outputs = (getattr(node, name)(*args) for name, args in inputs.calls)
    return [output.facts for output in outputs if output.facts]


def _order_cost(config: ServiceConfig, model: PriorModel, inputs: Inputs, path: Path) -> dict[str, Any]:
    """The median share of an order's time from bytes in to bytes ready that goes to its batch."""
    shares = []
    for number in range(ROUNDS):
        node, journal = Node(config, model, "", START_NS), Journal.open(path / f"cost{number}")
        gc.collect()
        gc.disable()
        for name, args in inputs.calls:
            began_ns = time.perf_counter_ns()
            output = getattr(node, name)(*args)
            decided_ns = time.perf_counter_ns()
            journal.append(output.facts)
            written_ns = time.perf_counter_ns()
            kinds = {type(fact) for fact in output.facts}
            if ParentAccepted in kinds and ChildSubmitted in kinds:
                shares.append((written_ns - decided_ns) / (written_ns - began_ns))
        gc.enable()
        journal.close()
    share = statistics.median(shares)
    return _figure("journal_share_of_an_order", 100 * share, "%", "an aim of 10%", 0.10 / share)


def _recovery(
    config: ServiceConfig, model: PriorModel, batches: list[list[AnyFact]], path: Path
) -> list[dict[str, Any]]:
    journal = Journal.open(path / "journal")
    for batch in batches:
        journal.append(batch)
    journal.close()
    facts = sum(map(len, batches))
    rates = []
    for _ in range(ROUNDS):
        gc.collect()
        gc.disable()
        began = time.process_time()
        node = Node(config, model, "", START_NS, recorded=read(journal.path))
        rates.append(facts / (time.process_time() - began))
        gc.enable()
    rate = statistics.median(rates)
    began = time.process_time()
    state_hash(node.state)
    hashed_s = time.process_time() - began
    file = path / snapshot_name(2)
    write(file, node.image())
    began = time.process_time()
    load(file)
    loaded_s = time.process_time() - began
    stalls = []
    for _ in range(5):
        began_ns = time.perf_counter_ns()
        if (pid := os.fork()) == 0:
            os._exit(0)
        stalls.append((time.perf_counter_ns() - began_ns) / 1e6)
        os.waitpid(pid, 0)
    orders = len(node.state.parents)
    return [
        _figure("recovered_facts_per_second", rate, "1/s", "an aim of 1,000,000 in 10 s", rate * RECOVERY_AIM_S / 1e6),
        _figure("state_hash_per_order", hashed_s / orders * 1e6, "us", None, None),
        _figure(
            "snapshot_load_per_order", loaded_s / orders * 1e6, "us", "its facts", orders and facts / rate / loaded_s
        ),
        _figure("snapshot_stall", statistics.median(stalls), "ms", None, None),
    ]


def _following(batches: list[list[AnyFact]], path: Path) -> dict[str, Any]:
    """A reader in a process of its own behind a writer at full speed; the ratio is its speed to the writer's."""
    journal = Journal.open(path / "followed", segment_mb=8)
    ready, told = os.pipe()
    if (pid := os.fork()) == 0:
        os.close(ready)
        total = sum(map(len, batches)) * COPIES
        seen = bytes_read = 0
        os.write(told, b"r")
        from domain.facts import decode_batch

        for _, _, payload in follow(journal.path):
            bytes_read += len(payload)
            seen += len(decode_batch(payload))
            if seen == total:
                break
        os.write(told, b"d")
        os._exit(0)
    os.read(ready, 1)
    began = time.perf_counter()
    size = 0
    for _ in range(COPIES):
        for batch in batches:
            before = journal.end
            journal.append(batch)
            size += journal.end - before
            if journal.end >= 8 * MB:
                journal.roll(START_NS)
    written_s = time.perf_counter() - began
    os.read(ready, 1)
    read_s = time.perf_counter() - began
    os.waitpid(pid, 0)
    journal.close()
    return _figure("followed", size / MB / read_s, "MB/s", "the writer at full speed", written_s / read_s)


def _syncing(batches: list[list[AnyFact]], path: Path) -> list[dict[str, Any]]:
    """Batches made durable one by one, and in groups: the rate, and how long one waits to be on the disk."""
    some = (batches * (SYNCED // len(batches) + 1))[-SYNCED:]
    journal = Journal.open(path / "naive", "disk")
    began = time.perf_counter()
    for batch in some[: SYNCED // 4]:
        journal.append(batch)
        journal.sync()
    naive = SYNCED // 4 / (time.perf_counter() - began)
    journal.close()

    journal = Journal.open(path / "groups", "disk")
    written_ns: list[int] = []
    waits_ns: list[int] = []
    over = threading.Event()

    def synced(number: int) -> None:
        now_ns = time.perf_counter_ns()
        while len(waits_ns) < number:
            waits_ns.append(now_ns - written_ns[len(waits_ns)])
        if number == SYNCED:
            over.set()

    commit = GroupCommit(journal.sync, lambda act, *arguments: act(*arguments), synced, lambda error: over.set())
    began = time.perf_counter()
    for batch in some:
        journal.append(batch)
        written_ns.append(time.perf_counter_ns())
        commit.ask(journal.batches)
    over.wait()
    grouped = SYNCED / (time.perf_counter() - began)
    commit.close()
    journal.close()
    waits = statistics.quantiles(waits_ns, n=100)
    return [
        _figure("batches_on_disk_per_second", grouped, "1/s", f"a sync for each: {naive:,.0f}/s", grouped / naive),
        _figure("wait_for_the_disk_p50", waits[49] / 1e3, "us", None, None),
        _figure("wait_for_the_disk_p99", waits[98] / 1e3, "us", None, None),
    ]


def _figure(name: str, value: float, unit: str, vs: str | None, ratio: float | None) -> dict[str, Any]:
    return {"name": name, "value": round(value, 3), "unit": unit, "vs": vs, "ratio": ratio and round(ratio, 3)}
