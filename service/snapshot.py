"""The whole state in one file, and its hash: a start from here needs no older part of the journal.

A snapshot is pickled by the names of the classes and attributes, so a later version reads it: what it has in addition
begins as in a new object, what it no longer has is left out. Nothing has to be listed, so no new attribute can be
forgotten. Reading takes classes of the trading packages only, whatever a file asks for.

The hash is BLAKE2 over an encoding in which equal states look equal, whoever made them. The live node, a recovery and
a replay must all arrive at it.
"""

import copyreg
import io
import os
import pickle
import struct
import zlib
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from hashlib import blake2b
from inspect import signature
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from fix.store import Sent
from router.state import State

SUFFIX = ".snapshot"
MAGIC = b"FAIRSNAP"
VERSION = 1
_HEAD = struct.Struct("<8sI32s32sQI")  # magic, version, hash of the state, hash of the layout, length, CRC-32
PACKAGES = ("domain", "risk", "router")  # whose classes a state is made of
MOVED = {("router.state", "_Trail"): ("router.parents", "Trail")}  # where a class was when snapshots named it
ALLOWED = frozenset(
    {
        *(("builtins", name) for name in ("int", "list", "set", "frozenset", "dict")),
        *(("collections", name) for name in ("OrderedDict", "defaultdict", "deque")),
        ("copyreg", "__newobj__"),
        ("msgspec._utils", "rebuild"),
        (__name__, "_fill"),
    }
)


class NodeImage(NamedTuple):
    """`messages`: by session, what a counterparty may ask for again."""

    state: State
    messages: dict[str, list[Sent]]


class SnapshotRefused(Exception):  # noqa: N818 - an answer, not a bug
    """Why a snapshot can't be used, with its path."""

    def __init__(self, file: Path, text: str) -> None:
        super().__init__(f"snapshot {file}: {text}")


def state_hash(state: State) -> str:
    """64 hex digits, the same for the same sum of facts in every process."""
    return _hashes(state)[0].hex()


def different(state: State, other: State) -> list[str]:
    """The attributes in which two states differ."""
    canonical = _Canonical()
    mine, theirs = ({name: canonical.value(value) for name, value in _held(each).items()} for each in (state, other))
    return sorted(name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name))


def write(file: Path, image: NodeImage) -> str:
    """The hash of the state. The file is complete and read back before it has its name; OSError if it can't be."""
    hashed, layout = _hashes(image.state)
    buffer = io.BytesIO()
    _Pickler(buffer).dump(tuple(image))
    payload = buffer.getvalue()
    made = file.with_suffix(".new")
    with open(made, "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as opened:
        opened.write(_HEAD.pack(MAGIC, VERSION, hashed, layout, len(payload), zlib.crc32(payload)))
        opened.write(payload)
        opened.flush()
        os.fsync(opened.fileno())
    load(made)
    made.rename(file)
    return hashed.hex()


def load(file: Path) -> NodeImage:
    """SnapshotRefused where the file is damaged, or does not give the state that it was made of."""
    hashed, layout, payload = _read(file)
    try:
        image = NodeImage(*_Unpickler(io.BytesIO(payload)).load())
        again, layout_now = _hashes(image.state)
        if layout != layout_now:
            image = NodeImage(*_Translator(io.BytesIO(payload)).load())
            again = hashed
    except Exception:
        try:
            image, again = NodeImage(*_Translator(io.BytesIO(payload)).load()), hashed
        except Exception as error:  # a pickle of another version can fail in any way
            raise SnapshotRefused(file, f"is not readable by this version: {error!r}") from error
    if again != hashed:
        raise SnapshotRefused(file, f"holds the state {again.hex()[:16]}, expected {hashed.hex()[:16]}")
    return image


def hash_of(file: Path) -> str:
    """The hash of the state in a snapshot; SnapshotRefused where the file is damaged."""
    return _read(file)[0].hex()


def _read(file: Path) -> tuple[bytes, bytes, bytes]:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise SnapshotRefused(file, f"can't be read: {error.strerror or error}") from error
    if len(data) < _HEAD.size or data[:8] != MAGIC:
        raise SnapshotRefused(file, "is no snapshot")
    _, version, hashed, layout, length, checksum = _HEAD.unpack_from(data)
    payload = data[_HEAD.size :]
    if version != VERSION:
        raise SnapshotRefused(file, f"has format version {version}, this program reads {VERSION}")
    if len(payload) != length or zlib.crc32(payload) != checksum:
        raise SnapshotRefused(file, "is damaged: its checksum is wrong")
    return hashed, layout, payload


# --- objects by name ---


class _Pickler(pickle.Pickler):
    """The state as its class and attributes; all that is in it has a way of its own, by class and names too."""

    def reducer_override(self, obj: Any) -> Any:
        if type(obj) is not State:
            return NotImplemented
        return copyreg.__newobj__, (State,), _held(obj), None, None, _fill


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        return super().find_class(*_allowed(module, name))


class _Translator(pickle._Unpickler):
    """Reads what an earlier version wrote: attributes that came since then and those that went."""

    dispatch = dict(pickle._Unpickler.dispatch)

    def find_class(self, module: str, name: str) -> Any:
        return super().find_class(*_allowed(module, name))

    def load_build(self) -> None:
        recorded, obj = self.stack.pop(), self.stack[-1]
        in_dict, in_slots = recorded if isinstance(recorded, tuple) else (recorded, None)
        _fill(obj, {**(in_dict or {}), **(in_slots or {})})

    dispatch[pickle.BUILD[0]] = load_build


def _allowed(module: str, name: str) -> tuple[str, str]:
    if module.partition(".")[0] in PACKAGES or (module, name) in ALLOWED:
        return MOVED.get((module, name), (module, name))
    raise pickle.UnpicklingError(f"{module}.{name} has no place in a snapshot")


def _held(obj: Any) -> dict[str, Any]:
    """All attributes of a plain object."""
    return {name: getattr(obj, name) for name in _slots(type(obj))} | getattr(obj, "__dict__", {})


def _fill(obj: Any, recorded: dict[str, Any]) -> None:
    """Makes `obj` what was recorded: what its class has gained since then is as the constructor makes it.

    A constructor's parameters are named like the attributes that they become.
    """
    parameters = signature(type(obj)).parameters
    obj.__init__(**{name: recorded[name] for name in parameters if name in recorded})
    for name in (*_slots(type(obj)), *getattr(obj, "__dict__", ())):
        if name in recorded:
            setattr(obj, name, recorded[name])


@cache
def _slots(kind: type) -> tuple[str, ...]:
    found = [each.__dict__.get("__slots__", ()) for each in kind.__mro__]
    return tuple(name for slots in found for name in ((slots,) if isinstance(slots, str) else slots))


class _Canonical:
    """Encodes a state so that equal ones give equal bytes, and notes which attributes its classes have."""

    def __init__(self) -> None:
        self.layouts: dict[str, tuple[str, ...]] = {}
        self._getters: dict[type, Callable[[Any], Any]] = {}
        self._encoder = msgspec.msgpack.Encoder(enc_hook=self._shown)

    def encode(self, state: State) -> bytes:
        return self._encoder.encode(state)

    def value(self, value: Any) -> bytes:
        return self._encoder.encode(sorted(value) if isinstance(value, set | frozenset) else value)

    def _shown(self, obj: Any) -> Any:
        kind = type(obj)
        getter = self._getters.get(kind)
        if getter is not None:
            return getter(obj)
        if isinstance(obj, deque):
            return list(obj)
        held = _held(obj)
        self.layouts[f"{kind.__module__}.{kind.__qualname__}"] = tuple(held)
        if len(_slots(kind)) > 1 and not hasattr(obj, "__dict__"):
            self._getters[kind] = attrgetter(*_slots(kind))
            return tuple(held.values())
        return [sorted(value) if isinstance(value, set | frozenset) else value for value in held.values()]


def _hashes(state: State) -> tuple[bytes, bytes]:
    """Of the state, and of which attributes its classes have."""
    canonical = _Canonical()
    data = canonical.encode(state)
    layout = repr(sorted(canonical.layouts.items())).encode()
    return blake2b(data, digest_size=32).digest(), blake2b(layout, digest_size=32).digest()


# --- snapshots beside the segments of a journal ---


def snapshot_name(segment: int) -> str:
    """The state before the first batch of this segment."""
    return f"{segment:08}{SUFFIX}"


def snapshots(journal: Path) -> list[Path]:
    """The newest first."""
    return sorted((file for file in journal.glob(f"*{SUFFIX}") if file.stem.isdecimal()), reverse=True)


def discard(journal: Path, keep: int = 2) -> None:
    """Takes away what is older than the newest `keep`, and halves of snapshots that were never finished."""
    for file in [*snapshots(journal)[keep:], *journal.glob("*.new")]:
        with suppress(OSError):
            file.unlink()
