"""What happened to a model since it was made: who registered it, who promoted it and who allowed that, why it went.

Lines of JSON beside the artifact and no part of its hash: the same data and seed make the same model, whoever likes it.
Only the last line may be half-written; whoever reads leaves it out, and whoever writes begins a new one.
"""

import os
from pathlib import Path
from typing import Literal

import msgspec

from domain.facts import ModelRolledBack, ModelStaged

HISTORY_FILE = "history.jsonl"


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """`by` did it, "" where the evidence did; `approved_by` is the person who allowed it. `beside` serves the rest.

    Of a registration, `beside` is the parent: the model that served when this one was made, "" where none did.
    """

    at_ns: int
    what: Literal["registered", "staged", "rolled back"]
    by: str = ""
    approved_by: str = ""
    stage: str = ""
    share: float = 0.0
    beside: str = ""
    text: str = ""
    parity: float | None = None  # the largest difference of ONNX and native, in a probability


def of_fact(fact: ModelStaged | ModelRolledBack) -> Entry:
    if isinstance(fact, ModelRolledBack):
        return Entry(fact.at_ns, "rolled back", fact.by, beside=fact.reference_id, text=fact.text)
    return Entry(fact.at_ns, "staged", fact.by, fact.approved_by, fact.stage, fact.share, fact.reference_id, fact.text)


def entries(model: Path) -> list[Entry]:
    """Of the model in this directory, the oldest first; none where there is no history."""
    try:
        lines = (model / HISTORY_FILE).read_bytes().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            found.append(msgspec.json.decode(line, type=Entry))
        except msgspec.DecodeError:
            continue
    return found


def append(model: Path, entry: Entry) -> None:
    """OSError where the model's directory is not there."""
    with open(model / HISTORY_FILE, "ab") as file:
        torn = file.tell() and not (model / HISTORY_FILE).read_bytes().endswith(b"\n")
        file.write((b"\n" if torn else b"") + msgspec.json.encode(entry) + b"\n")
        file.flush()
        os.fsync(file.fileno())
