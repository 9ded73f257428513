"""fairlead: the command line. What a command needs is imported when it runs, so that --help answers at once.

Exit status: 0 done, 1 the answer is no (an unknown order, books that disagree, a daemon that could not go on), 2 a
mistake in what was asked for, said in one line.
"""

import argparse
import getpass
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from service import cli_fix, cli_journal, cli_learning, cli_market, cli_spec
from service.command import NARROWEST, CommandError, existing

if TYPE_CHECKING:
    from service.config import ServiceConfig
    from simulators.scenario import Scenario

SESSION_VERBS = ("list", "disconnect", "connect", "enable", "disable", "reset", "set", "reload")


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status of the command."""
    from service.journal import JournalError
    from service.toml import ConfigErrors

    args = _parser().parse_args(argv)
    try:
        return args.command(args)
    except (CommandError, ConfigErrors, JournalError) as error:
        print(error, file=sys.stderr)
        return 2
    except BrokenPipeError:  # of which OSError is the parent: | head went away
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the exit would say it again
        return 0
    except OSError as error:
        print(f"fairlead: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def run(args: argparse.Namespace) -> int:
    from service import config

    loaded = config.load(args.config)
    if args.check_config:
        print("ok")
        return 0
    from service import runtime

    return runtime.run(loaded, args.config)


def simulate(args: argparse.Namespace) -> int:
    from service import logs, toml
    from simulators import serve
    from simulators.config import SimulatorsConfig

    loaded = toml.load(SimulatorsConfig, args.config)
    scenario: Scenario | None = None
    if args.scenario:
        from service import qa

        scenario = qa.load(args.scenario)
        if strangers := {fault.venue for fault in scenario.faults if fault.venue} - set(loaded.venues):
            raise CommandError(f"{args.scenario}: {args.config} has no venue {min(strangers)!r}")
        try:
            loaded = qa.changed_market(loaded, scenario)
        except ValueError as error:
            raise CommandError(f"{args.scenario}: market: {error}") from None
    if args.check_config:
        print("ok")
        return 0
    logs.configure("info", "")
    return serve.run(loaded, scenario)


def qa(args: argparse.Namespace) -> int:
    """0 if every scenario came out as it says."""
    from rich.console import Console

    from service import qa as player
    from service import qa_report

    paths = player.find(args.place or [player.BUNDLED])
    if not paths:
        raise CommandError(f"fairlead qa: no .toml file in {', '.join(map(str, args.place))}")
    scenarios = [(path.stem, player.load(path)) for path in paths]
    outcomes = [player.play(name, scenario) for name, scenario in scenarios]
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, NARROWEST)
    console.print(qa_report.table(outcomes))
    failed = sum(1 for outcome in outcomes if outcome.failures)
    console.print(f"{len(outcomes)} scenarios, {failed} failed")
    if args.junit:
        qa_report.write(outcomes, args.junit)
    return 1 if failed else 0


def demo(args: argparse.Namespace) -> int:
    if (args.tape is None) != (args.book is None):
        raise CommandError("fairlead demo: --tape and --book go together, the messages and the order book of one day")
    from service import demo as service_demo

    return service_demo.main(args)


def ems(args: argparse.Namespace) -> int:
    from service import ems as service_ems

    return service_ems.main(args)


def explain(args: argparse.Namespace) -> int:
    from rich.console import Console

    from service.explain import UnknownOrder
    from service.explain import explain as explained
    from service.journal import read

    facts = (fact for batch in read(cli_journal.journal_path(args)) for fact in batch)
    try:
        said = explained(facts, args.cl_ord_id)
    except UnknownOrder as unknown:
        print(unknown, file=sys.stderr)
        return 1
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, NARROWEST)
    console.print(said)
    return 0


def control(args: argparse.Namespace) -> int:
    import msgspec

    from service.config import load
    from service.control import ask

    config = load(args.config)
    if args.action == "sessions":
        return _sessions(args, config)
    if args.action == "orders":
        return _orders(args, config)
    if args.action == "venues":
        _print_table(ask(config.control_path, {"command": "status"})["status"]["venues"])
        return 0
    line = {"command": args.action}
    if args.action != "status":
        line |= {"scope": args.scope, "by": getpass.getuser()}
    if args.action == "kill":
        _check_scope(args.scope, config)
        line["text"] = args.text
    answer = ask(config.control_path, line)
    if not answer["ok"]:
        raise CommandError(f"fairlead ctl: {answer['error']}")
    if args.action == "status":
        print(msgspec.json.format(msgspec.json.encode(answer["status"])).decode())
    else:
        print(f"{args.scope}: {'stopped' if args.action == 'kill' else 'released'}")
    return 0


def _sessions(args: argparse.Namespace, config: "ServiceConfig") -> int:
    from service.control import ask

    if args.verb == "reload":
        answer = ask(config.control_path, {"command": "reload", "by": getpass.getuser()})
        if not answer["ok"]:
            raise CommandError("fairlead ctl sessions: nothing is changed:\n" + answer["error"])
        print("\n".join(answer["changes"]) or "nothing differs")
        return 0
    answer = ask(config.control_path, {"command": "sessions"})
    if args.verb == "list":
        _print_table(answer["sessions"])
        return 0
    if args.name is None:
        raise CommandError(f"fairlead ctl sessions: {args.verb} which session? Expected a NAME")
    if args.verb in ("reset", "set") and not args.yes:
        shown = [
            f"next in {row['next_in']}, next out {row['next_out']}"
            for row in answer["sessions"]
            if row["name"] == args.name
        ]
        raise CommandError(
            f"fairlead ctl sessions: {args.verb} {args.name} ({', '.join(shown) or 'unknown'}) changes its sequence "
            "numbers, and the counterparty must do the same: say --yes to do it"
        )
    line = {"command": "session", "action": args.verb, "name": args.name, "by": getpass.getuser()}
    line |= {key: value for key in ("next_in", "next_out") if (value := getattr(args, key)) is not None}
    answer = ask(config.control_path, line)
    if not answer["ok"]:
        raise CommandError(f"fairlead ctl sessions: {answer['error']}")
    print(f"{args.name}: {args.verb} done")
    return 0


def _orders(args: argparse.Namespace, config: "ServiceConfig") -> int:
    from service.control import ask

    if args.verb == "list":
        _print_table(ask(config.control_path, {"command": "orders"})["orders"])
        return 0
    if not args.text:
        raise CommandError(f"fairlead ctl orders: {args.verb} why? Expected --text, which clients are told")
    line: dict[str, object] = {"command": args.verb, "by": getpass.getuser(), "text": args.text}
    if args.verb == "notify":
        line["name"] = args.name or ""
    elif args.name is None:
        raise CommandError(f"fairlead ctl orders: {args.verb} which order? Expected an OrderID")
    else:
        line["order_id"] = args.name
    if args.verb == "amend":
        line |= {"order_qty": args.qty or 0, "price": args.price or ""}
    answer = ask(config.control_path, line)
    if not answer["ok"]:
        raise CommandError(f"fairlead ctl orders: {answer['error']}")
    print(f"{args.name or 'all clients'}: {args.verb} done")
    return 0


def _print_table(rows: list[dict[str, object]]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, NARROWEST)
    table = Table(box=None)
    for name, value in rows[0].items():
        table.add_column(name.replace("_", " "), justify="left" if isinstance(value, str) else "right")
    for row in rows:
        table.add_row(*("-" if value is None else str(value) for value in row.values()))
    console.print(table)


def _check_scope(scope: str, config: "ServiceConfig") -> None:
    """A kill switch on a misspelt name would stop nothing, and nobody would know."""
    from router.strategies import STRATEGIES

    names = {
        "client": [client.name for client in config.clients],
        "account": list(config.risk.accounts),
        "venue": [venue.name for venue in config.venues],
        "strategy": list(STRATEGIES),
        "symbol": [instrument.symbol for instrument in config.instruments],
    }
    kind, _, name = scope.partition(":")
    if kind in names and name not in names[kind]:
        raise CommandError(f"fairlead ctl: there is no {kind} {name!r}; expected one of {', '.join(names[kind])}")


def password(args: argparse.Namespace) -> int:
    from fix.credentials import hash_password

    if sys.stdin.isatty():
        given = getpass.getpass("Password: ")
        if getpass.getpass("Again: ") != given:
            raise CommandError("fairlead password: the two differ")
    else:
        given = sys.stdin.readline().rstrip("\n")
    if not given or not given.isprintable():
        raise CommandError("fairlead password: expected a password of printable characters on standard input")
    print(hash_password(given, os.urandom(16)))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("fairlead", description="A FIX gateway and learning smart order router.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, function: object, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(command=function)
        return added

    for name, function, text in (
        ("run", run, "the daemon: takes orders from clients and works them at the venues"),
        ("simulate", simulate, "simulated venues, each a FIX acceptor, around one market"),
    ):
        serving = command(name, function, text)
        serving.add_argument("--config", type=existing, required=True, metavar="FILE", help=f"see deploy/ ({name})")
        serving.add_argument("--check-config", action="store_true", help="only say what is wrong with the file, or ok")
        if name == "simulate":
            text = "what goes wrong at the venues; its times count from the start, its orders are for fairlead qa"
            serving.add_argument("--scenario", type=existing, metavar="FILE", help=text)

    played = command("qa", qa, "play scenario files in virtual time through the real node, venues and an EMS")
    text = "directory of scenario files, or a file; the bundled ones if none is given"
    played.add_argument("place", type=existing, nargs="*", metavar="PATH", help=text)
    played.add_argument("--junit", type=Path, metavar="FILE", help="write JUnit XML there")

    cli_fix.add_commands(command)
    cli_spec.add_commands(command)

    shown = command("demo", demo, "venues, daemon and a simulated EMS in one go, with a summary at the end")
    shown.add_argument("--parents", type=int, default=60, metavar="N", help="orders that the EMS sends")
    shown.add_argument("--seed", type=int, default=1, metavar="S")
    shown.add_argument("--tape", type=existing, metavar="FILE", help="replay this LOBSTER message file")
    shown.add_argument("--book", type=existing, metavar="FILE", help="and the order book file that belongs to it")
    shown.add_argument("--json", type=Path, metavar="FILE", help="write the summary there too")
    shown.add_argument("--models", type=Path, default=Path("var/models"), metavar="DIR", help="registry of models")

    trading = command("ems", ems, "a simulated EMS that sends orders to a running daemon until each has ended")
    trading.add_argument("--config", type=existing, required=True, metavar="FILE", help="the daemon's")
    trading.add_argument("--parents", type=int, default=60, metavar="N", help="orders")
    trading.add_argument("--seconds", type=int, default=30, metavar="N", help="in which they arrive")
    trading.add_argument("--seed", type=int, default=1, metavar="S")

    cli_market.add_commands(command)
    cli_learning.add_commands(command)

    explained = command("explain", explain, "why an order was worked as it was, from the journal")
    explained.add_argument(
        "cl_ord_id", metavar="CL_ORD_ID", help="ClOrdID(11) of the order or of a request, or OrderID"
    )
    cli_journal.journal_options(explained)

    controlled = command("ctl", control, "ask or stop a running daemon")
    actions = controlled.add_subparsers(dest="action", metavar="ACTION", required=True)
    for action, text in (
        ("status", "how the daemon is, as JSON"),
        ("venues", "the venues: fills and markouts as they were said lately and as they were found, and alarms"),
        ("kill", "no new orders for a scope: firm, client:NAME, account:NAME, venue:NAME, strategy:NAME, symbol:NAME"),
        ("release", "lift a kill"),
    ):
        acting = actions.add_parser(action, help=text, description=text)
        if action in ("kill", "release"):
            acting.add_argument("scope", metavar="SCOPE")
        if action == "kill":
            acting.add_argument("--text", default="", help="why")
        acting.add_argument("--config", type=existing, required=True, metavar="FILE", help="of the daemon")
    text = (
        "list the FIX sessions, or change one: numbers of a session can be changed while it is not connected; "
        "reload: the daemon reads its config again, for sessions that were added, changed or removed there"
    )
    administered = actions.add_parser("sessions", help=text, description=text)
    administered.add_argument(
        "verb", nargs="?", default="list", metavar="ACTION", choices=SESSION_VERBS, help=", ".join(SESSION_VERBS)
    )
    administered.add_argument("name", nargs="?", metavar="NAME", help="of a session, as listed")
    administered.add_argument(
        "--next-in", type=int, metavar="N", help="set: MsgSeqNum(34) expected next from the counterparty"
    )
    administered.add_argument("--next-out", type=int, metavar="N", help="set: MsgSeqNum(34) of our next message")
    administered.add_argument("--yes", action="store_true", help="reset, set: yes, change the sequence numbers")
    administered.add_argument("--config", type=existing, required=True, metavar="FILE", help="of the daemon")

    text = "list the clients' open orders, cancel or amend one, or send clients a notice (News)"
    ordered = actions.add_parser("orders", help=text, description=text)
    verbs = ("list", "cancel", "amend", "notify")
    ordered.add_argument("verb", nargs="?", default="list", metavar="ACTION", choices=verbs, help=", ".join(verbs))
    ordered.add_argument("name", nargs="?", metavar="NAME", help="OrderID; notify: a client, all where it is left out")
    ordered.add_argument("--text", default="", help="why: the client is told")
    ordered.add_argument("--qty", type=int, metavar="N", help="amend: the new quantity")
    ordered.add_argument("--price", metavar="PX", help="amend: the new limit")
    ordered.add_argument("--config", type=existing, required=True, metavar="FILE", help="of the daemon")

    command("password", password, "the hash of a password, for `hashed` in the config; asked for, or read from a pipe")

    cli_journal.add_commands(command)
    return parser


if __name__ == "__main__":
    sys.exit(main())
