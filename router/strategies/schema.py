"""What every strategy declares: its parameters as a table, and what it asks the router for.

The table checks what a client sends and is the source of the documentation, so that the two can't differ.
"""

from collections.abc import Mapping
from typing import Protocol

import msgspec

from domain.fields import OrdType, TimeInForce
from domain.orders import ParentOrder


class Slice(msgspec.Struct, frozen=True, gc=False):
    """What should be out in the market now, beyond what is filled and what is open."""

    qty: int
    urgency: float  # 0: wait for the best price .. 1: get it done
    passive: bool  # whether orders may rest
    patience_ns: int = 0  # how long it could go on waiting like this before it has to cross, if nothing filled


class Parameter(msgspec.Struct, frozen=True):
    """A whole number that a client may set, between `low` and `high` (both allowed)."""

    name: str
    required: bool
    low: int
    high: int
    help: str
    default: str = ""  # in words, where it is not required

    def convert(self, text: str) -> int:
        """The value of `text`; ValueError that names the parameter, the value and the allowed range."""
        if not (text.isascii() and text.isdecimal() and len(text) < 16 and self.low <= int(text) <= self.high):
            raise ValueError(f"{self.name} {text!r}: expected a whole number from {self.low} to {self.high}")
        return int(text)


class Strategy(Protocol):
    """A module of this package. It decides when and how much; the router decides where and how."""

    @property
    def PARAMETERS(self) -> tuple[Parameter, ...]: ...  # noqa: N802

    @property
    def ORD_TYPES(self) -> tuple[OrdType, ...]: ...  # noqa: N802

    @property
    def TIMES_IN_FORCE(self) -> tuple[TimeInForce, ...]: ...  # noqa: N802

    def parse(self, params: Mapping[str, int], now_ns: int) -> dict[str, int | float]:
        """The checked parameters with defaults filled in and the schedule that follows from a start now."""

    def next_slice(self, parent: ParentOrder, open_qty: int, now_ns: int, lot_qty: int) -> Slice | None:
        """What to send now; never more than the parent's leaves less `open_qty`, None for nothing."""

    def next_wake_ns(self, parent: ParentOrder, now_ns: int) -> int | None:
        """When to ask again even if nothing happens; None: when something happens."""

    def is_late(self, parent: ParentOrder, now_ns: int) -> bool:
        """Whether time is so short that what still rests from calmer times has to come back to be taken."""

    def is_over(self, parent: ParentOrder, now_ns: int) -> bool:
        """Whether the rest of the order is to be cancelled."""


def convert(parameters: tuple[Parameter, ...], params: Mapping[str, str]) -> dict[str, int]:
    """Values of what a client sent; ValueError for an unknown, missing or bad parameter."""
    known = {parameter.name: parameter for parameter in parameters}
    for name in params:
        if name not in known:
            raise ValueError(f"unknown parameter {name!r}: expected {', '.join(known) or 'none'}")
    for parameter in parameters:
        if parameter.required and parameter.name not in params:
            low, high = parameter.low, parameter.high
            raise ValueError(f"{parameter.name} is missing: expected a whole number from {low} to {high}")
    return {name: known[name].convert(text) for name, text in params.items()}
