"""The commands that look back: the archive and questions to it, training, the models, and studies of recorded days."""

import argparse
from collections.abc import Callable
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from types import ModuleType

from service.command import CommandError, existing

ARCHIVE_EXTRA = "needs pyarrow and duckdb, the extra 'archive': pip install 'fairlead[archive]'"


def archive(args: argparse.Namespace) -> int:
    service_archive = _with_the_extra(args)
    from learning.archive import ArchiveError

    try:
        if args.action == "drift":
            from service import drift

            return drift.main(args)
        return service_archive.check(args) if args.action == "check" else service_archive.update(args)
    except ArchiveError as error:
        raise CommandError(f"fairlead archive: {error}") from None


def sql(args: argparse.Namespace) -> int:
    service_archive = _with_the_extra(args)
    from learning.archive import ArchiveError

    try:
        return service_archive.sql(args)
    except ArchiveError as error:
        raise CommandError(f"fairlead sql: {error}") from None


def _with_the_extra(args: argparse.Namespace) -> ModuleType:
    try:
        from service import archive as service_archive
    except ModuleNotFoundError as missing:
        if missing.name not in ("pyarrow", "duckdb"):
            raise
        raise CommandError(f"fairlead {args.name}: {ARCHIVE_EXTRA}") from None
    return service_archive


def train(args: argparse.Namespace) -> int:
    if args.archive is None:
        if args.every or args.since:
            raise CommandError("fairlead train: --every and --since go with --archive; simulated orders don't change")
        from service import training

        return training.main(args)
    args.name = "train"
    _with_the_extra(args)
    from learning.archive import ArchiveError
    from service import training_archive

    if args.engine == "spark" and (find_spec("pyspark") is None or which("java") is None):
        raise CommandError(
            "fairlead train: --engine spark needs pyspark, the extra 'spark': pip install 'fairlead[archive,spark]'; "
            "and a Java runtime, java on the PATH"
        )
    try:
        return training_archive.main(args)
    except (ArchiveError, ValueError) as error:
        raise CommandError(f"fairlead train: {error}") from None


def off_policy(args: argparse.Namespace) -> int:
    args.name = "learn off-policy"
    _with_the_extra(args)
    from learning.archive import ArchiveError
    from router.model import ModelRefused
    from service import off_policy as service_off_policy

    for path in (args.json, args.html):
        if path and not path.parent.is_dir():
            raise CommandError(f"fairlead learn off-policy: there is no directory {path.parent} for {path.name}")
    try:
        return service_off_policy.main(args)
    except (ArchiveError, ModelRefused) as error:
        raise CommandError(f"fairlead learn off-policy: {error}") from None


def rehearse(args: argparse.Namespace) -> int:
    from service import rehearse as service_rehearse

    return service_rehearse.main(args)


def learn(args: argparse.Namespace) -> int:
    if args.source == "off-policy":
        return off_policy(args)
    from learning.tape_study import TapeTooShort
    from service import learn as service_learn
    from simulators.lobster import TapeError

    if args.json and not args.json.parent.is_dir():
        raise CommandError(f"fairlead learn: there is no directory {args.json.parent} for the JSON")
    try:
        return service_learn.main(args)
    except TapeError as error:
        raise CommandError(str(error)) from None
    except (TapeTooShort, EOFError) as error:  # a gzipped file that ends too early is an EOFError
        raise CommandError(f"{args.tape}: {error}") from None


def models(args: argparse.Namespace) -> int:
    from router.model import ModelRefused
    from service import models as service_models

    try:
        match args.action:
            case "show":
                return service_models.show(args.models, args.model)
            case "compare":
                return service_models.compare(args.models, args.model)
            case "promote":
                return service_models.promote(args)
            case "rollback":
                return service_models.roll_back(args)
        return service_models.listed(args.models)
    except ModelRefused as refused:
        raise CommandError(str(refused)) from None


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.0 < seconds <= 86_400.0:
        raise argparse.ArgumentTypeError(f"{text!r} found, expected seconds above 0 and at most a day")
    return seconds


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} found, expected a day such as 2026-01-05") from None


def _period(text: str) -> str:
    if text[-1:] not in ("s", "m", "h", "d") or not text[:-1].isdecimal() or not int(text[:-1]):
        raise argparse.ArgumentTypeError(f"{text!r} found, expected such as 30m, 6h or 1d")
    return text


def add_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    """`command(name, function, text)` adds a command to `fairlead`."""
    text = "bring the archive, as Parquet, up to date with a journal; or check the features in the journal"
    archived = command("archive", archive, text)
    archived.set_defaults(name="archive")
    archived.add_argument(
        "action",
        nargs="?",
        default="update",
        choices=["update", "check", "drift"],
        metavar="ACTION",
        help="update (if none is named), or check: compute all features anew from recorded market data and compare; "
        "or drift: is the last day like those before it?",
    )
    archived.add_argument("--config", type=existing, metavar="FILE", help="the daemon's, for where its journal is")
    archived.add_argument(
        "--journal", type=Path, nargs="+", metavar="PATH", help="another journal than the config's, or several"
    )
    _archive_option(archived)

    asked = command("sql", sql, "ask the archive: one SELECT over decisions, candidates, features, children, ...")
    asked.set_defaults(name="sql")
    asked.add_argument("question", metavar="SELECT")
    asked.add_argument("--format", choices=["table", "csv", "json"], default="table")
    _archive_option(asked)

    trained = command("train", train, "train a fill model on simulated outcomes and register it")
    trained.add_argument("--models", type=Path, default=Path("var/models"), metavar="DIR", help="registry of models")
    trained.add_argument("--parents", type=int, default=600, metavar="N", help="simulated orders to learn from")
    trained.add_argument("--seed", type=int, default=1, metavar="S")
    trained.add_argument(
        "--config", type=existing, metavar="FILE", help="the daemon to train for; default: deploy/fairlead.toml"
    )
    trained.add_argument(
        "--simulators", type=existing, metavar="FILE", help="its simulated venues; default: deploy/simulators.toml"
    )

    trained.add_argument(
        "--archive", type=Path, metavar="DIR", help="learn from this archive instead, judged day by day"
    )
    trained.add_argument("--since", default="", metavar="DAY", help="with --archive: from this day on, as 2026-01-05")
    trained.add_argument(
        "--every", type=_period, metavar="TIME", help="with --archive: again each time, such as 6h or 1d"
    )
    trained.add_argument(
        "--engine", choices=["xgboost", "spark"], default="xgboost", help="spark: XGBoost on Spark, for large archives"
    )

    text = "simulated days in virtual time, as the journals that a daemon would have written"
    rehearsed = command("rehearse", rehearse, text)
    rehearsed.add_argument("--days", type=int, default=4, metavar="N", help="working days")
    rehearsed.add_argument("--since", type=_day, default="2026-01-05", metavar="DAY", help="the first of them")
    rehearsed.add_argument("--parents", type=int, default=200, metavar="N", help="orders on each")
    rehearsed.add_argument("--seed", type=int, default=1, metavar="S")
    rehearsed.add_argument(
        "--out", type=Path, default=Path("var/rehearsal"), metavar="DIR", help="a directory a sitting"
    )
    rehearsed.add_argument(
        "--config", type=existing, metavar="FILE", help="the daemon's; default: deploy/fairlead.toml"
    )
    rehearsed.add_argument(
        "--simulators", type=existing, metavar="FILE", help="its simulated venues; default: deploy/simulators.toml"
    )

    learned = command("learn", learn, "learn from a recorded market day, and judge what was learned on its later part")
    sources = learned.add_subparsers(dest="source", metavar="SOURCE", required=True)
    text = "which orders joining the touch of a LOBSTER tape would have filled, and who could tell"
    taped = sources.add_parser("tape", help=text, description=text)
    taped.add_argument("--tape", type=existing, required=True, metavar="FILE", help="LOBSTER messages")
    taped.add_argument("--book", type=existing, required=True, metavar="FILE", help="the order book that goes with it")
    taped.add_argument("--horizon", type=_seconds, default=10.0, metavar="SECONDS", help="that a join may wait")
    taped.add_argument(
        "--test-from",
        type=_seconds,
        metavar="SECONDS",
        help="after midnight: judge from there on; otherwise the last 30%% of the tape's time",
    )
    taped.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    text = "what another model would have cost on the decisions of an archive"
    compared = sources.add_parser("off-policy", help=text, description=text)
    _archive_option(compared)
    compared.add_argument("--model", required=True, metavar="MODEL", help="of the registry, or the path of one")
    _registry_option(compared)
    compared.add_argument("--days", nargs="+", default=[], metavar="DAY", help="as 2026-01-05; default: the last one")
    compared.add_argument(
        "--config", type=existing, metavar="FILE", help="the daemon's: its policy; default: deploy/fairlead.toml"
    )
    compared.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    compared.add_argument("--html", type=Path, metavar="FILE", help="write a page with them there")

    text = "the registered models; promote and rollback change the one that a running daemon has on trial"
    listed = command("models", models, text)
    listed.set_defaults(action="list")
    _registry_option(listed)
    acts = listed.add_subparsers(dest="action", metavar="ACTION")
    for action, text in (
        ("list", "one line a model (if no action is named)"),
        ("show", "all that is known of a model, as JSON"),
        ("compare", "figures of models side by side"),
        ("promote", "the next stage: shadow, canary at 1, 5, 25, 50 and 100%%, champion"),
        ("rollback", "the model on trial goes, and the one before serves all"),
    ):
        acting = acts.add_parser(action, help=text, description=text)
        if action == "compare":
            acting.add_argument("model", nargs="+", metavar="MODEL")
        elif action in ("show", "promote"):
            acting.add_argument("model", metavar="MODEL")
        if action in ("promote", "rollback"):
            acting.add_argument("--config", type=existing, required=True, metavar="FILE", help="of the daemon")
            acting.add_argument("--text", default="", help="why")
        else:
            _registry_option(acting)
        if action == "promote":
            acting.add_argument("--approved-by", default="", metavar="NAME", help="who allows it, where one has to")


def _archive_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--archive", type=Path, default=Path("var/archive"), metavar="DIR", help="of Parquet files")


def _registry_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--models", type=Path, default=Path("var/models"), metavar="DIR", help="registry of models")
