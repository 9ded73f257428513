"""The limits that an order has to keep. A limit that is not configured is 0, so that nothing passes it.

Values are in whole currency units and shares, so that an operator reads in the file what the reject will say.
"""

from typing import Annotated

import msgspec

Limit = Annotated[int, msgspec.Meta(ge=0)]


class AccountLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    max_gross_exposure: Limit  # currency units: value of positions plus open children
    max_order_notional: Limit | None = None  # None: the firm's limit alone
    short_sales: bool = False  # whether it may sell short
    locates: dict[str, Limit] = {}  # symbol -> shares located for it, for sales with LocateReqd(114)=Y; of one day


class RiskLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An account that is not listed in `accounts` can't trade."""

    max_order_qty: Limit = 0  # shares of a parent
    max_order_notional: Limit = 0  # currency units of a parent, and so of each of its children
    max_child_qty: Limit = 0
    price_collar_bps: Limit = 0  # largest distance of a limit price from the mid, either way
    max_gross_exposure: Limit = 0  # currency units, all accounts together
    max_messages_per_second: Limit = 0  # orders to one venue; cancels are not counted
    accounts: dict[str, AccountLimits] = {}
    venue_messages_per_second: dict[str, Limit] = {}  # where a venue allows another rate
    restricted: tuple[str, ...] = ()  # symbols that must not be traded

    def messages_per_second(self, venue: str) -> int:
        return self.venue_messages_per_second.get(venue, self.max_messages_per_second)
