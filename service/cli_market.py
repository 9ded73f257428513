"""The commands about markets: their facts, a simulated day as files, a market fitted to recorded days."""

import argparse
from collections.abc import Callable
from pathlib import Path

from service.command import CommandError, count, existing


def market(args: argparse.Namespace) -> int:
    from service import market as service_market
    from simulators.presets import UnknownPreset

    if args.action == "report" and len(args.tape) != len(args.book):
        raise CommandError("fairlead market: --tape and --book go together, the messages and the order book of one day")
    if args.action == "report" and not args.preset and not args.tape:
        raise CommandError("fairlead market report: nothing to measure: give --preset or --tape with --book")
    try:
        return service_market.report(args) if args.action == "report" else service_market.export(args)
    except UnknownPreset as unknown:
        raise CommandError(f"fairlead market: {unknown}") from None
    except ValueError as error:  # a tape that is none
        raise CommandError(f"fairlead market: {error}") from None


def calibrate(args: argparse.Namespace) -> int:
    from service import calibrate as service_calibrate
    from simulators.presets import UnknownPreset

    if len(args.tape) != len(args.book):
        raise CommandError(
            "fairlead calibrate: --tape and --book go together, the messages and the order book of one day"
        )
    if args.out and not args.out.parent.is_dir():
        raise CommandError(f"fairlead calibrate: there is no directory {args.out.parent} for the preset")
    try:
        return service_calibrate.main(args)
    except (UnknownPreset, ValueError) as error:  # a tape that is none, or too short
        raise CommandError(f"fairlead calibrate: {error}") from None


def add_commands(command: Callable[[str, object, str], argparse.ArgumentParser]) -> None:
    """Adds them to the command line; `command` adds one of a name, with what runs it and what it does in a line."""
    measured = command("market", market, "what simulated markets and real tapes have in common, measured")
    measuring = measured.add_subparsers(dest="action", metavar="ACTION", required=True)
    text = "the facts of presets and of tapes side by side; --preset and --tape may be given more than once"
    reported = measuring.add_parser("report", help=text, description=text)
    known = "large_tick, mid_cap, volatile_wide, or the path of a .toml file"
    reported.add_argument("--preset", action="append", default=[], metavar="NAME", help=known)
    reported.add_argument("--tape", action="append", default=[], type=existing, metavar="MESSAGES", help="LOBSTER")
    reported.add_argument("--book", action="append", default=[], type=existing, metavar="ORDERBOOK", help="its book")
    text = "a simulated day in LOBSTER format: two files"
    exported = measuring.add_parser("export", help=text, description=text)
    exported.add_argument("--preset", required=True, metavar="NAME", help=known)
    exported.add_argument("--tape", type=Path, required=True, metavar="MESSAGES", help="write the messages there")
    exported.add_argument("--book", type=Path, required=True, metavar="ORDERBOOK", help="and the book after each there")
    exported.add_argument("--levels", type=count, default=10, metavar="N", help="of each side of the book")
    exported.add_argument("--seed", type=int, default=1, metavar="S")
    reported.add_argument("--days", type=count, default=1, metavar="N", help="simulated days of each preset")
    reported.add_argument("--seed", type=int, default=1, metavar="S", help="of the first simulated day")
    reported.add_argument("--json", type=Path, metavar="FILE", help="write the facts there, one object a source")
    reported.add_argument("--html", type=Path, metavar="FILE", help="write a page with pictures there")

    text = "fit a simulated market to recorded days of one instrument; --tape and --book may be given more than once"
    fitted = command("calibrate", calibrate, text)
    fitted.add_argument("--tape", action="append", required=True, type=existing, metavar="MESSAGES", help="LOBSTER")
    fitted.add_argument("--book", action="append", required=True, type=existing, metavar="ORDERBOOK", help="its book")
    fitted.add_argument("--out", type=Path, metavar="FILE", help="write the preset (TOML) there, otherwise print it")
    fitted.add_argument("--symbol", default="TAPE", metavar="NAME", help="of the preset")
    fitted.add_argument(
        "--start", default="mid_cap", metavar="PRESET", help=f"its venues, and what a tape can't say: {known}"
    )
    fitted.add_argument("--rounds", type=count, default=12, metavar="N", help="steps of the fit")
    fitted.add_argument("--seed", type=int, default=1, metavar="S", help="of the simulated days")
