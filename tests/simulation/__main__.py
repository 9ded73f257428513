"""Runs the world of faults: `python -m tests.simulation --seeds 300 [--from 1]` on all cores, or one seed in full.

`--seed N` runs one and prints its faults, `--trace` also its messages and facts. Exits with 1 if any run failed.
"""

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tests.simulation.trial import Trial

CHUNK = 10  # seeds a worker takes at a time


class Outcome(NamedTuple):
    seed: int
    failure: str  # "" where it passed
    fills: int
    restarts: int


def run(seed: int) -> Outcome:
    trial = Trial(seed)
    try:
        trial.run_trial()
        failure = ""
    except Exception as error:  # whatever it is, it is this seed's failure and not the campaign's
        failure = f"{type(error).__name__}: {error}"
    return Outcome(seed, failure, trial.process.watch.fill_count, trial.restarts)


def campaign(first: int, count: int, jobs: int) -> int:
    """The exit status. The last line printed is `N passed, M failed`."""
    console, failed, fills, restarts, started = Console(), [], 0, 0, time.perf_counter()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with ProcessPoolExecutor(jobs) as pool, Progress(*columns, console=console) as progress:
        task = progress.add_task("seeds", total=count)
        for outcome in pool.map(run, range(first, first + count), chunksize=CHUNK):
            fills, restarts = fills + outcome.fills, restarts + outcome.restarts
            if outcome.failure:
                failed.append(outcome.seed)
                console.print(f"seed {outcome.seed}: {outcome.failure}", markup=False, highlight=False, soft_wrap=True)
                console.print(f"  again: python -m tests.simulation --seed {outcome.seed} --trace", highlight=False)
            progress.update(task, advance=1, description=f"seeds, {len(failed)} failed")
    seconds = time.perf_counter() - started
    print(f"{fills} fills and {restarts} restarts in {seconds:.0f} s, {seconds / count * 1000:.0f} ms a seed")
    print(f"{count - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=300, help="how many seeds to run (default 300)")
    parser.add_argument("--from", type=int, default=1, dest="first", help="the first seed (default 1)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: all cores)")
    parser.add_argument("--seed", type=int, help="run this one alone and print its faults")
    parser.add_argument("--trace", action="store_true", help="with --seed: print every message and fact, too")
    arguments = parser.parse_args()
    if arguments.seeds < 1 or arguments.jobs < 1:
        parser.error(f"--seeds {arguments.seeds} and --jobs {arguments.jobs}: expected 1 or more")
    if arguments.seed is None:
        return campaign(arguments.first, arguments.seeds, arguments.jobs)
    trial = Trial(arguments.seed, print, trace=arguments.trace)
    try:
        trial.run_trial()
    except AssertionError as error:
        print(f"seed {arguments.seed}: {error}")
        return 1
    print(f"seed {arguments.seed} passed: {trial.process.watch.fill_count} fills")
    return 0


if __name__ == "__main__":
    sys.exit(main())
