"""What each account has at stake: positions from fills, and children that may still fill.

All amounts are exact integers in Px times shares. State changes only through the `apply_*` methods, which the router's
state calls for each fact, so a recovery arrives at the same numbers. A fill counts whenever it comes: a late fill of an
ended child changes the position although the child holds nothing open any more.
"""

from collections import defaultdict
from dataclasses import dataclass, field

from domain.fields import Side


@dataclass(slots=True)
class _Account:
    position_qty: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))  # by symbol, signed
    held_px: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))  # by symbol: |position| * last px
    open_qty: defaultdict[tuple[str, int], int] = field(default_factory=lambda: defaultdict(int))  # by symbol, side
    gross_px: int = 0  # sum of held_px plus what is open


@dataclass(slots=True)
class _OpenChild:
    account: _Account
    symbol: str
    sign: int
    px: int
    leaves_qty: int


class Exposure:
    """Gross exposure by account: sum of |position| * last fill price, plus open children at their limit."""

    def __init__(self) -> None:
        self._accounts: dict[str, _Account] = {}
        self._children: dict[str, _OpenChild] = {}
        self.firm_gross_px = 0

    def gross_px(self, account: str) -> int:
        """Px times shares that the account has at stake; 0 for one that never traded."""
        known = self._accounts.get(account)
        return known.gross_px if known is not None else 0

    def added_px(self, account: str, symbol: str, side: Side, qty: int, px: int) -> int:
        """Px times shares by which an order could enlarge the gross exposure.

        Shares that close a position add nothing, once open children on that side have taken theirs: an account at its
        limit can always trade its way out.
        """
        known = self._accounts.get(account)
        if known is None:
            return qty * px
        closing_qty = -side.sign * known.position_qty.get(symbol, 0) - known.open_qty.get((symbol, side.sign), 0)
        return max(qty - max(closing_qty, 0), 0) * px

    def apply_submitted(self, child_id: str, account: str, symbol: str, side: Side, qty: int, px: int) -> None:
        known = self._account(account)
        self._children[child_id] = _OpenChild(known, symbol, side.sign, px, qty)
        known.open_qty[symbol, side.sign] += qty
        self._change(known, qty * px)

    def apply_filled(self, child_id: str, account: str, symbol: str, side: Side, last_qty: int, last_px: int) -> None:
        child = self._children.get(child_id)
        if child is not None:
            self._close(child_id, child, min(last_qty, child.leaves_qty))
        known = self._account(account)
        known.position_qty[symbol] += side.sign * last_qty
        held_px = abs(known.position_qty[symbol]) * last_px
        self._change(known, held_px - known.held_px[symbol])
        known.held_px[symbol] = held_px

    def apply_resized(self, child_id: str, leaves_qty: int, px: int) -> None:
        """The child may fill this much from now on, at this limit: replaced, or reduced by its venue."""
        child = self._children.get(child_id)
        if child is None:
            return
        child.account.open_qty[child.symbol, child.sign] += leaves_qty - child.leaves_qty
        self._change(child.account, leaves_qty * px - child.leaves_qty * child.px)
        child.leaves_qty, child.px = leaves_qty, px

    def apply_ended(self, child_id: str) -> None:
        """The child can't fill any more: rejected, canceled, expired or never sent."""
        child = self._children.get(child_id)
        if child is not None:
            self._close(child_id, child, child.leaves_qty)

    def _account(self, account: str) -> _Account:
        known = self._accounts.get(account)
        if known is None:
            known = self._accounts[account] = _Account()
        return known

    def _change(self, account: _Account, px: int) -> None:
        account.gross_px += px
        self.firm_gross_px += px

    def _close(self, child_id: str, child: _OpenChild, qty: int) -> None:
        child.leaves_qty -= qty
        child.account.open_qty[child.symbol, child.sign] -= qty
        self._change(child.account, -qty * child.px)
        if not child.leaves_qty:
            del self._children[child_id]
