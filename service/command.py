"""What the commands of the command line share."""

import argparse
from pathlib import Path

NARROWEST = 150  # columns of a table that goes to a file or a pipe


class CommandError(Exception):
    """A mistake in what was asked for, in one line."""


def existing(text: str) -> Path:
    if not Path(text).exists():
        raise argparse.ArgumentTypeError(f"there is no file {text}")
    return Path(text)


def count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)
