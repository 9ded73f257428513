"""Models on disk: a directory each, named by the hash of its content, and a pointer to the one that serves.

A model is written beside its place and renamed into it, so that a half-written one is never seen; the pointer moves the
same way. Nothing here is changed once it is written. Reading is router.model's, which must not depend on this package.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import msgspec

from learning.training import TrainedModel, TrainingRecord
from router.model import (
    CHAMPION_FILE,
    METADATA_FILE,
    NATIVE_FILE,
    ONNX_FILE,
    ModelMetadata,
    ModelRefused,
    champion,
    encode_metadata,
    read_metadata,
)


@dataclass(frozen=True)
class Registered:
    """A model of the registry; `problem` says what is wrong with one that can't be read."""

    model_id: str
    is_champion: bool
    metadata: ModelMetadata | None = None
    record: TrainingRecord | None = None
    problem: str = ""


def register(directory: Path, trained: TrainedModel, created_ns: int) -> str:
    """The id of the model, now in the registry; one that is there already stays as it is."""
    place = directory / trained.model_id
    if place.exists():
        return trained.model_id
    directory.mkdir(parents=True, exist_ok=True)
    written = directory / f".{trained.model_id}.{os.getpid()}"
    shutil.rmtree(written, ignore_errors=True)
    written.mkdir()
    _write(written / ONNX_FILE, trained.onnx)
    _write(written / NATIVE_FILE, trained.native)
    metadata = msgspec.structs.replace(trained.metadata, created_ns=created_ns)
    _write(written / METADATA_FILE, encode_metadata(metadata))
    written.rename(place)
    return trained.model_id


def set_champion(directory: Path, model_id: str) -> None:
    """From the next load on `model_id` serves. ModelRefused if its metadata is not as registered."""
    read_metadata(directory / model_id)
    pointer = directory / f".{CHAMPION_FILE}.{os.getpid()}"
    _write(pointer, f"{model_id}\n".encode())
    pointer.replace(directory / CHAMPION_FILE)


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
            found.append(Registered(place.name, place == serving, metadata, record))
        except (ModelRefused, msgspec.DecodeError) as error:
            found.append(Registered(place.name, place == serving, problem=str(error)))
    return sorted(found, key=lambda model: (model.metadata is None, model.metadata and model.metadata.created_ns))


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
