"""Where a start begins: the newest snapshot that can be used, and the batches written since."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from domain.facts import AnyFact
from service.journal_read import JournalError, read, segment_name, segments
from service.snapshot import NodeImage, SnapshotRefused, load, snapshots


class Recovered(NamedTuple):
    """`problems`: why a newer snapshot was not used. Damage shows when `batches` are read, as a JournalError."""

    image: NodeImage | None
    first_segment: int
    batches: Iterator[list[AnyFact]]
    problems: list[str]


def recover(journal: Path) -> Recovered:
    """JournalError where neither a snapshot nor the journal from its beginning is there."""
    problems: list[str] = []
    for file in snapshots(journal):
        if not (journal / segment_name(int(file.stem))).exists():
            problems.append(f"snapshot {file}: the segment that follows it is missing")
            continue
        try:
            image = load(file)
        except SnapshotRefused as refused:
            problems.append(str(refused))
            continue
        return Recovered(image, int(file.stem), read(journal, int(file.stem)), problems)
    first = segments(journal)[0]
    if journal.is_dir() and int(first.stem) != 1:
        raise JournalError(journal, f"no usable snapshot, and what was before {first.name} is gone; {problems or ''}")
    return Recovered(None, 1, read(journal), problems)
