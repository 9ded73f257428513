"""The commands that read a journal: print it, check it, follow it. The daemon that writes it may run."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from service.command import existing

if TYPE_CHECKING:
    from domain.facts import AnyFact


def add_commands(command: Callable[[str, object, str], argparse.ArgumentParser]) -> None:
    """`command` adds one: its name, its function and a line about it."""
    kept = command("journal", journal, "look at a journal")
    text = "print every fact as JSON, check every byte, or print facts as they are written"
    kept.add_argument("action", choices=["cat", "verify", "tail"], help=text)
    kept.add_argument("--from-start", action="store_true", help="tail: begin with what is there already")
    journal_options(kept)


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
