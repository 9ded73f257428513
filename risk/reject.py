"""A refusal is a value, not an exception: which limit, by how much, and what FIX calls it."""

import msgspec

from domain.fields import OrdRejReason


class Reject(msgspec.Struct, frozen=True):
    """`text` goes to the client as Text(58) and to the log, so it names the limit, its value and the order's value."""

    limit: str  # the setting in RiskLimits or the rule, "max_order_qty"
    text: str
    reason: OrdRejReason
