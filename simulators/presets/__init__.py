"""Markets as data: one TOML file each, of one symbol and the venues that trade it, loaded by its name.

The figures come from tapes and the literature (docs/market.md says which), never from what a router likes.
"""

import tomllib
from importlib.resources import files

import msgspec

from simulators.market_config import MarketConfig


class UnknownPreset(LookupError):  # noqa: N818 - a mistake of the caller, not a fault of the program
    """No preset has this name; the text names those that there are."""


def names() -> list[str]:
    return sorted(entry.name[:-5] for entry in files(__name__).iterdir() if entry.name.endswith(".toml"))


def load(name: str) -> MarketConfig:
    """The market of a preset. UnknownPreset for another name, msgspec.ValidationError for a file that is wrong."""
    if name not in names():
        raise UnknownPreset(f"there is no preset {name!r}; expected one of {', '.join(names())}")
    return msgspec.convert(tomllib.loads((files(__name__) / f"{name}.toml").read_text("utf-8")), MarketConfig)
