"""Kills the real daemon at random moments under load: `python -m tests.simulation.kill [--times 100] [--seed 1]`.

`fairlead run` and `fairlead simulate` as processes, two trading systems on sockets that send one order after the other.
At the end the orders come to rest and all books are compared; exits with 1 if anything is lost or was done twice.
"""

import argparse
import asyncio
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from domain.facts import ChildFilled, ChildRejected, MessageSent
from service.journal import read
from simulators.client import Ems, plan_parents
from tests.service.processes import Installation, trading_systems, until

SECOND_NS = 1_000_000_000
LIFE_S = (0.05, 1.5)  # of the daemon, from its `ready` to its kill
CYCLE_S = 2.5  # reckoned for a start and a life: orders arrive for so long a kill
PARENTS_PER_S = 4  # of each client
LONGEST_S = 5  # that a schedule of the plan lasts
START_S = 120.0  # at most, on a machine that has much else to do
REST_S = 30.0  # for the last orders to end after the last start, those that would rest for ever by a cancel


async def campaign(directory: Path, times: int, seed: int, console: Console) -> dict[str, int]:
    """What was counted at the end, by what it is; all that must be 0 comes after the first three."""
    installation, random_ = Installation(directory), random.Random(seed)
    plans = {
        client.name: plan_parents(
            int(times * CYCLE_S * PARENTS_PER_S),
            seed * 100 + number,
            [item.instrument for item in installation.config.instruments],
            time.time_ns() + SECOND_NS,
            int(times * CYCLE_S * SECOND_NS),
            account=client.accounts[0],
            prefix=f"{client.name}-",
            longest_ns=LONGEST_S * SECOND_NS,
        )
        for number, client in enumerate(installation.config.clients)
    }
    unknown, planned_s = 0, time.monotonic() + 1 + times * CYCLE_S
    async with installation.venues() as venues:
        await venues.says("simulators_ready")
        async with trading_systems(installation, plans) as ems:
            for _ in track(range(times), "kills", console=console):
                async with installation.daemon() as daemon:
                    await daemon.says("ready", timeout_s=START_S)
                    await asyncio.sleep(random_.uniform(*LIFE_S))  # the moment is drawn, not waited for
                    assert await daemon.stop(signal.SIGKILL) == -signal.SIGKILL
                unknown += len(daemon.of("execution_unknown"))
            async with installation.daemon() as daemon:
                await daemon.says("ready", timeout_s=START_S)
                # The last order is sent, and what ends by itself has ended.
                await asyncio.sleep(max(planned_s - time.monotonic(), 0.0) + 2 * LONGEST_S)
                for client in ems.values():
                    client.cancel_open()
                with suppress(TimeoutError):  # the account says which orders did not end
                    await until(lambda: all(client.done for client in ems.values()), REST_S)
                assert await daemon.stop() == 0
            unknown += len(daemon.of("execution_unknown"))
        assert await venues.stop() == 0
    return {"kills": times, **_account(installation, ems), "executions nobody could place": unknown}


def _account(installation: Installation, ems: dict[str, Ems]) -> dict[str, int]:
    books = installation.books(ems)
    for difference in books.differences[:20]:
        print(difference)
    violations = [violation for client in ems.values() for violation in client.violations]
    for violation in violations[:20]:
        print(violation)
    fills, refused_twice, orders = 0, 0, Counter()
    for batch in read(installation.config.journal_path):
        for fact in batch:
            fills += isinstance(fact, ChildFilled)
            refused_twice += isinstance(fact, ChildRejected) and "was used before" in fact.text
            if isinstance(fact, MessageSent) and fact.msg_type == "D":
                orders[fact.raw.partition(b"\x0111=")[2].partition(b"\x01")[0]] += 1
    return {
        "parent orders": sum(len(client.orders) for client in ems.values()),
        "fills": fills,
        "unmatched shares": books.unmatched_shares,
        "differences between the books": len(books.differences),
        "complaints of the trading systems": len(violations),  # a repeated ExecID(17) is one
        "children sent twice": sum(count > 1 for count in orders.values()) + refused_twice,
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.kill", description=__doc__)
    parser.add_argument("--times", type=int, default=100, help="how often to kill (default 100)")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.times < 1:
        parser.error(f"--times {arguments.times}: expected 1 or more")
    console = Console()
    with tempfile.TemporaryDirectory() as directory:
        counted = asyncio.run(campaign(Path(directory), arguments.times, arguments.seed, console))
    table = Table("what", "count", title="killed and started again")
    for name, count in counted.items():
        table.add_row(name, f"{count:,}")
    console.print(table)
    faults = sum(list(counted.values())[3:])
    return 1 if faults or not counted["fills"] else 0


if __name__ == "__main__":
    sys.exit(main())
