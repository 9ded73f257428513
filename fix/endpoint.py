"""The shape of everything that sits at the end of connections: bytes, events and time go in; bytes come out.

The node, the simulated venues and the simulated EMS are endpoints. `fix.tcp` serves an endpoint over real sockets, and
`simulators.world` serves several of them on a virtual clock and network; neither shows to the endpoint.
"""

from typing import Protocol

import msgspec

Link = int  # one connection, numbered by who serves the endpoint; never used again


class Output(msgspec.Struct):
    """What to do after an input, in this order: write the bytes, then close the links."""

    writes: list[tuple[Link, bytes]] = []
    closes: list[Link] = []


class Endpoint(Protocol):
    """All times are UTC nanoseconds and never go back. `port` is the configured name of a listener or a connector."""

    def connected(self, link: Link, port: str, now_ns: int) -> Output: ...

    def receive(self, link: Link, data: bytes, now_ns: int) -> Output: ...

    def disconnected(self, link: Link, now_ns: int) -> Output: ...

    def timer(self, now_ns: int) -> Output: ...

    def next_timer_ns(self) -> int | None:
        """When `timer` wants to be called next; asked again after every input."""
        ...
