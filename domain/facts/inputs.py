"""Inputs that bring no message, so that a replay of the decisions knows of them."""

from domain.facts.fact import Fact


class TimerFired(Fact, frozen=True):
    """The router looked at what was due at this time."""


class VenueUnsure(Fact, frozen=True):
    """A venue asked for a resend of what is never sent twice: what it has of our latest orders is not known."""

    venue: str


class MarketDataDown(Fact, frozen=True):
    """What the venue showed is no longer there. Only written where market data is recorded."""

    venue: str


class ClientUp(Fact, frozen=True):
    client: str


class ClientDown(Fact, frozen=True):
    """A client's session is gone; what becomes of its orders is the client's own setting."""

    client: str
    text: str


class ShutdownBegan(Fact, frozen=True):
    """No new orders or children from here on. `cancel_parents`: the clients' orders end too, now or after a restart."""

    cancel_parents: bool


class ShutdownEnded(Fact, frozen=True):
    """The process stopped as it was asked to, after waiting for its children."""

    cancel_parents: bool


InputFact = TimerFired | VenueUnsure | MarketDataDown | ClientUp | ClientDown | ShutdownBegan | ShutdownEnded
