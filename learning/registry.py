"""Models on disk: a directory each, named by the hash of its content, and a pointer to the one that serves.

A model is written beside its place and renamed into it, so that a half-written one is never seen; the pointer moves the
same way. What makes a model is never changed once it is written; its history beside it grows (learning.history).
Reading is router.model's, which must not depend on this package.
"""

import os
import shutil
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from zipfile import BadZipFile

import msgspec
import numpy as np
from numpy.typing import NDArray

from learning.history import Entry, append, entries
from learning.training import TrainedModel, TrainingRecord
from router.model import (
    CHAMPION_FILE,
    METADATA_FILE,
    ModelMetadata,
    ModelRefused,
    OnnxModel,
    champion,
    encode_metadata,
    read_metadata,
)

REPORT_FILE = "report.html"


@dataclass(frozen=True)
class Registered:
    """A model of the registry; `problem` says what is wrong with one that can't be read."""

    model_id: str
    is_champion: bool
    metadata: ModelMetadata | None = None
    record: TrainingRecord | None = None
    problem: str = ""
    history: tuple[Entry, ...] = ()

    @property
    def parent(self) -> str:
        """The model that served when this one was made."""
        return next((entry.beside for entry in self.history if entry.what == "registered"), "")

    @property
    def parity(self) -> float | None:
        """The largest difference of ONNX and native when it was registered, in a probability."""
        return next((entry.parity for entry in self.history if entry.what == "registered"), None)

    @property
    def approvals(self) -> list[Entry]:
        """The stages that a person has allowed."""
        return [entry for entry in self.history if entry.approved_by]


def register(directory: Path, trained: TrainedModel, created_ns: int, report: str = "") -> str:
    """The id of the model, now in the registry; one that is there already stays as it is. `report` is a page.

    ModelRefused where ONNX Runtime and the booster don't agree: such a model is nowhere to be had.
    """
    place = directory / trained.model_id
    if place.exists():
        return trained.model_id
    serving = champion(directory)
    directory.mkdir(parents=True, exist_ok=True)
    written = directory / f".{trained.model_id}.{os.getpid()}"
    shutil.rmtree(written, ignore_errors=True)
    written.mkdir()
    for name, data in trained.files.items():
        _write(written / name, data)
    if report:
        _write(written / REPORT_FILE, report.encode())
    metadata = msgspec.structs.replace(trained.metadata, created_ns=created_ns)
    _write(written / METADATA_FILE, encode_metadata(metadata))
    parity = OnnxModel.load(written, metadata.schema_hash).check_parity(written)
    parent = serving.name if serving is not None else ""
    append(written, Entry(created_ns, "registered", beside=parent, parity=parity))
    written.rename(place)
    return trained.model_id


def set_champion(directory: Path, model_id: str) -> None:
    """From the next load on `model_id` serves. ModelRefused if its metadata is not as registered."""
    read_metadata(directory / model_id)
    pointer = directory / f".{CHAMPION_FILE}.{os.getpid()}"
    _write(pointer, f"{model_id}\n".encode())
    pointer.replace(directory / CHAMPION_FILE)


def is_served(directory: Path, schema_hash: str) -> bool:
    """Whether there is a champion that a router with these features and venues would take."""
    try:
        place = champion(directory)
        return place is not None and OnnxModel.load(place, schema_hash) is not None
    except ModelRefused:
        return False


def clear_champion(directory: Path) -> None:
    """From the next load on no model serves."""
    (directory / CHAMPION_FILE).unlink(missing_ok=True)


def models(directory: Path) -> list[Registered]:
    """All models, the oldest first; those that can't be read at the end."""
    serving = champion(directory)
    found = []
    for place in sorted(directory.iterdir()) if directory.exists() else []:
        if not place.is_dir() or place.name.startswith("."):
            continue
        try:
            metadata = read_metadata(place)
            record = msgspec.json.decode(metadata.training, type=TrainingRecord)
            history = tuple(entries(place))
            found.append(Registered(place.name, place == serving, metadata, record, history=history))
        except (ModelRefused, msgspec.DecodeError) as error:
            found.append(Registered(place.name, place == serving, problem=str(error)))
    return sorted(found, key=lambda model: (model.metadata is None, model.metadata and model.metadata.created_ns))


class FoldCache:
    """What models of earlier days said of later ones, kept from run to run; a damaged file is as none."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory / ".folds"

    def get(self, key: str) -> dict[str, NDArray[np.float64]] | None:
        try:
            with np.load(self._directory / f"{key}.npz") as file:
                return {name: file[name] for name in file.files}
        except (OSError, ValueError, KeyError, BadZipFile, EOFError):
            return None

    def put(self, key: str, arrays: dict[str, NDArray[np.float64]]) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        data = BytesIO()
        np.savez(data, **arrays)
        beside = self._directory / f".{key}.{os.getpid()}"
        _write(beside, data.getvalue())
        beside.replace(self._directory / f"{key}.npz")


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
