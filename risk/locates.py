"""Shares that the desk has located for short sales: how many of them orders have used.

A sale with LocateReqd(114)=Y asks us to locate the shares (SEC Regulation SHO, rule 203(b)(1): before an order is
effected). What was located is the account's `locates`, for one day (UTC), and what an order did not sell is free again.
"""

from domain.orders import ParentOrder

DAY_NS = 24 * 3600 * 1_000_000_000


class Locates:
    """Changes only through `apply_*`."""

    def __init__(self) -> None:
        self._day = 0
        self._used_qty: dict[tuple[str, str], int] = {}

    def used_qty(self, account: str, symbol: str, now_ns: int) -> int:
        """Shares that orders of the day have sold or may sell."""
        return self._used_qty.get((account, symbol), 0) if now_ns // DAY_NS == self._day else 0

    def apply_changed(self, parent: ParentOrder, added_qty: int, at_ns: int) -> None:
        """The order may sell so many shares more, or fewer, than before."""
        if not parent.instructions.locate_reqd:
            return
        if at_ns // DAY_NS != self._day:
            self._day = at_ns // DAY_NS
            self._used_qty.clear()
        key = parent.accepted.account, parent.accepted.symbol
        self._used_qty[key] = max(self._used_qty.get(key, 0) + added_qty, 0)
