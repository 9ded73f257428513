"""Markets as data: one TOML file each, of one symbol and the venues that trade it, loaded by its name or its path.

The figures come from tapes and the literature (docs/market.md says which), never from what a router likes.
"""

import tomllib
from importlib.resources import files
from pathlib import Path

import msgspec

from simulators.market_config import MarketConfig


class UnknownPreset(LookupError):  # noqa: N818 - a mistake of the caller, not a fault of the program
    """No preset has this name; the text names those that there are."""


def names() -> list[str]:
    return sorted(entry.name[:-5] for entry in files(__name__).iterdir() if entry.name.endswith(".toml"))


def load(name: str) -> MarketConfig:
    """The market of a preset, ours by its name, another by the path of its .toml file.

    UnknownPreset for another name, OSError or ValueError, naming the file, for a file that can't be read or is wrong.
    """
    if name.endswith(".toml"):
        try:
            return msgspec.convert(tomllib.loads(Path(name).read_text("utf-8")), MarketConfig)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    if name not in names():
        raise UnknownPreset(f"there is no preset {name!r}; expected one of {', '.join(names())}, or a .toml file")
    return msgspec.convert(tomllib.loads((files(__name__) / f"{name}.toml").read_text("utf-8")), MarketConfig)
