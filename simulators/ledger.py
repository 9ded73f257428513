"""What the venues executed for their clients: the third witness, beside the EMS and the router's journal.

Each execution is entered when it happens in the market, whether or not its report ever reaches anybody.
"""

from collections.abc import Iterable
from typing import Literal

import msgspec

from domain.fields import Side


class LedgerEntry(msgspec.Struct, frozen=True):
    """One execution of a client's order; `qty` shares at `px` (Px), at `at_ns` of the venue's clock.

    A bust takes the execution `exec_ref_id` back, a correction says what it counts from then on.
    """

    venue: str
    exec_id: str
    cl_ord_id: str
    symbol: str
    side: Side
    qty: int
    px: int
    at_ns: int
    kind: Literal["trade", "bust", "correction"] = "trade"
    exec_ref_id: str = ""  # of the first execution, whatever was corrected since


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(LedgerEntry)


def to_lines(entries: Iterable[LedgerEntry]) -> bytes:
    """JSON lines, each with its end of line."""
    return b"".join(_encoder.encode(entry) + b"\n" for entry in entries)


def from_lines(data: bytes) -> list[LedgerEntry]:
    """The entries of whole lines; a torn last line (the process was killed while writing) is left out."""
    return [_decoder.decode(line) for line in data.split(b"\n")[:-1]]
