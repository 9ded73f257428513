"""`python -m tests.fix.fuzz --bytes 100_000_000 [--seed N]`: a campaign over framer, decoder, lobby and session.

Each finding is printed once, with how to run its case again alone. The exit status is 1 if there is one.
"""

import argparse
import sys
from collections.abc import Sequence

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from tests.fix.fuzz.campaign import CASE_BYTES, Campaign


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fix.fuzz", description=__doc__)
    parser.add_argument("--bytes", type=int, default=100_000_000, metavar="N", help="how much goes in")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument("--case", type=int, metavar="N", help="only this one of the seed, with its whole traceback")
    args = parser.parse_args(argv)
    campaign = Campaign(args.seed)
    if args.case is not None:
        campaign.play(args.case, CASE_BYTES)
        return 0
    columns = (BarColumn(), TextColumn("{task.completed:,} of {task.total:,} bytes, {task.fields[found]} findings"))
    with Progress(*columns, TimeRemainingColumn()) as progress:
        task = progress.add_task("", total=args.bytes, found=0)
        for fed in campaign.run(args.bytes, CASE_BYTES):
            progress.update(task, completed=fed, found=len(campaign.findings))
    for finding in campaign.findings.values():
        print(f"--seed {args.seed} --case {finding.case}, {finding.times} times\n{finding.text}", file=sys.stderr)
    print(campaign.summary())
    return 1 if campaign.findings else 0


if __name__ == "__main__":
    sys.exit(main())
