"""The commands that read a journal: print it, check it, follow it. The daemon that writes it may run."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from service.command import CommandError, existing

if TYPE_CHECKING:
    from domain.facts import AnyFact


def add_commands(command: Callable[[str, object, str], argparse.ArgumentParser]) -> None:
    """`command` adds one: its name, its function and a line about it."""
    kept = command("journal", journal, "look at a journal")
    text = "print every fact as JSON, check every byte, or print facts as they are written"
    kept.add_argument("action", choices=["cat", "verify", "tail"], help=text)
    kept.add_argument("--from-start", action="store_true", help="tail: begin with what is there already")
    journal_options(kept)

    text = "play a journal again: compare the state at every snapshot, or every decision with what is decided today"
    replayed = command("replay", replay, text)
    replayed.add_argument("journal", type=existing, metavar="JOURNAL", help="its directory, or one of its files")
    replayed.add_argument("--decide", action="store_true", help="decide again on the recorded inputs")
    replayed.add_argument("--config", type=existing, metavar="FILE", help="--decide: the daemon's config")
    replayed.add_argument("--show", type=int, default=20, metavar="N", help="--decide: differences to print")


def journal_options(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--journal", type=existing, metavar="PATH", help="the journal's directory, or one of its files")
    source.add_argument("--config", type=existing, metavar="FILE", help="the daemon's config, for where its journal is")


def journal_path(args: argparse.Namespace) -> Path:
    if args.journal:
        return args.journal
    from service.config import load

    return load(args.config).journal_path


def journal(args: argparse.Namespace) -> int:
    path = journal_path(args)
    if args.action == "verify":
        return _verify(path)
    from service.journal import decode, follow, read

    if args.action == "cat":
        for batch in read(path):
            _print(batch)
        sys.stdout.flush()
        return 0
    reader = os.getppid()

    def is_over() -> bool:
        sys.stdout.flush()  # all that there is for now
        return os.getppid() != reader  # who asked is gone

    for found in follow(path, is_over, from_end=not args.from_start):
        _print(decode(*found))
    return 0


def replay(args: argparse.Namespace) -> int:
    if args.decide:
        if args.config is None:
            raise CommandError("fairlead replay: --decide needs the daemon's --config")
        return _decide(args)
    from service.replay import verify

    status = 0
    for each in verify(args.journal):
        if not each.segment:
            print(f"{args.journal}: at the end the state is {each.state_hash}")
        elif each.state_hash == each.recorded_hash:
            print(f"segment {each.segment}: the state is {each.state_hash[:16]}, as in its snapshot")
        else:
            parts = ", ".join(each.parts) or "nothing that this version knows of"
            print(
                f"segment {each.segment}: the state is {each.state_hash[:16]}, its snapshot has "
                f"{each.recorded_hash[:16]}; they differ in {parts}"
            )
            status = 1
    return status


def _decide(args: argparse.Namespace) -> int:
    from collections import Counter

    from service.config import load
    from service.journal import read
    from service.model_desk import ModelDesk
    from service.replay import Replayer
    from service.runtime import load_model

    config = load(args.config)
    model, problem = load_model(config)
    if problem:
        print(problem, file=sys.stderr)
    replayer = Replayer(config, model, find=ModelDesk(config).load)
    replayer.feed(read(args.journal))
    if not replayer.market_data:
        raise CommandError(
            f"fairlead replay: {args.journal} has no market data, so no decision can be made again; "
            "record_market_data in [service] records it"
        )
    for each in replayer.differences[: args.show]:
        print(f"{each.at_ns} {each.cause}")
        print(f"    recorded {_brief(each.recorded)}")
        print(f"    decided  {_brief(each.decided)}")
        print(f"    because of {'; '.join(each.reasons)}")
    different = len(replayer.differences)
    print(f"{replayer.inputs} inputs, {replayer.decisions} decisions as recorded, {different} differences")
    for reasons, count in Counter(each.reasons for each in replayer.differences).most_common():
        print(f"{count} with {'; '.join(reasons)}")
    return 1 if different else 0


def _brief(fact: "AnyFact | None") -> str:
    """A fact in a line; of a decision only what it chose."""
    if fact is None:
        return "nothing"
    import msgspec

    fields = msgspec.structs.asdict(fact)
    if "candidates" in fields:
        chosen = [each for each in fields["candidates"] if each.chosen_qty]
        fields = {name: fields[name] for name in ("decision_id", "parent_id", "symbol", "slice_qty", "model_id")}
        fields["chosen"] = [f"{each.chosen_qty} {each.action.name} {each.venue} at {each.px}" for each in chosen]
    return f"{type(fact).__name__} " + ", ".join(f"{name}={value}" for name, value in fields.items() if name != "at_ns")


def _verify(path: Path) -> int:
    from service.journal import read, survey

    facts = sum(map(len, read(path)))
    segments, batches, end, tail_bytes = survey(path)
    print(f"{path}: ok, {segments} segments, {batches} batches, {facts} facts, the last ends at byte {end}")
    if tail_bytes:
        print(f"{path}: {tail_bytes} bytes of an unfinished write follow; the next start cuts them off")
    return 0


def _print(batch: "list[AnyFact]") -> None:
    import msgspec

    from service.logs import readable

    for fact in batch:
        fields = msgspec.structs.asdict(fact)
        if "raw" in fields:
            fields["raw"] = readable(fields["raw"])
        sys.stdout.buffer.write(msgspec.json.encode({"fact": type(fact).__name__, **fields}) + b"\n")
