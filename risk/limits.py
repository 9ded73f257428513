"""The limits that an order has to keep. Nothing here has a default that permits: what is not configured is refused.

Values are in whole currency units and shares, so that an operator reads in the file what the reject will say.
"""

from typing import Annotated

import msgspec

Positive = Annotated[int, msgspec.Meta(gt=0)]


class AccountLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    max_gross_exposure: Positive  # currency units: value of positions plus open children
    max_order_notional: Positive | None = None  # None: the firm's limit alone


class RiskLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An account that is not listed in `accounts` can't trade."""

    max_order_qty: Positive  # shares of a parent
    max_order_notional: Positive  # currency units of a parent, and so of each of its children
    max_child_qty: Positive
    price_collar_bps: Positive  # largest distance of a limit price from the mid, either way
    max_gross_exposure: Positive  # currency units, all accounts together
    max_messages_per_second: Positive  # orders to one venue; cancels are not counted
    accounts: dict[str, AccountLimits] = {}
    venue_messages_per_second: dict[str, Positive] = {}  # where a venue allows another rate
    restricted: tuple[str, ...] = ()  # symbols that must not be traded

    def messages_per_second(self, venue: str) -> int:
        return self.venue_messages_per_second.get(venue, self.max_messages_per_second)
