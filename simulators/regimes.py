"""A venue that changes, and how it treats those who trade there: whom it turns down, who stands on the other side.

A toxic venue is one whose other side knows more: after a share of a client's fills the price moves against the client.
What it knows is worth the more the larger the part of the order that was filled, so that an order filled in crumbs is
hurt as one filled at once. Dice of its own fall only where a share is above 0.
"""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, Protocol

from simulators.conduct import Conduct, regimes
from simulators.flow import NEVER
from simulators.leak import LeakFlow
from simulators.orders import Order


class Adopting(Protocol):
    """What works with a venue's figures."""

    def adopt(self, config: Any) -> None: ...


class Mood:
    """`leaks`: what fills give away, by symbol; one without has real traders, who don't react."""

    def __init__(self, config: Conduct, random: Random, leaks: Mapping[str, LeakFlow]) -> None:
        self._config = config
        self._random = random
        self._leaks = leaks

    def adopt(self, config: Conduct) -> None:
        self._config = config

    def refusal(self) -> str:
        """Why a new order is turned down, or ""."""
        share = self._config.reject_share
        return "turned down by the venue" if share and self._random.random() < share else ""

    def traded(self, order: Order, qty: int) -> None:
        """An execution of `qty` shares of a client's order."""
        config = self._config
        if config.toxic_share and self._random.random() < config.toxic_share and order.symbol in self._leaks:
            self._leaks[order.symbol].known(-order.side.sign * config.toxic_bps * qty / order.order_qty)


class Regimes:
    """The changes of one venue, as a process of the market."""

    def __init__(self, config: Conduct, adopting: Sequence[Adopting], start_ns: int) -> None:
        self._left = [(start_ns + at_ns, changed) for at_ns, changed in regimes(config)]
        self._adopting = adopting
        self.next_ns = self._left[0][0]

    def step(self, at_ns: int) -> None:
        _, config = self._left.pop(0)
        for adopting in self._adopting:
            adopting.adopt(config)
        self.next_ns = self._left[0][0] if self._left else NEVER
