"""The price of a pegged order now, and what of it rests at another one.

A primary peg follows the best price of its own side, a market peg that of the other side, a midpoint peg the middle of
both; PegOffsetValue(211) is added, the limit is never passed. What of ours is displayed doesn't count for the best
price of our side: a peg that saw itself would never come back, and two of them would chase each other.
"""

from collections.abc import Iterable, Mapping

from domain.fields import ExecInst, OrdType, Side
from domain.market import SymbolView
from domain.orders import ChildOrder, ParentOrder
from router.terms import RESTS_DISPLAYED

Displayed = Mapping[tuple[str, int], int]  # (venue, px) -> shares


def displayed(children: Iterable[ChildOrder]) -> dict[tuple[str, int], int]:
    """What of these is shown where, at most."""
    shown: dict[tuple[str, int], int] = {}
    for child in children:
        order = child.submitted
        if order.action in RESTS_DISPLAYED:
            qty = min(child.leaves_qty, order.instructions.display_qty or child.leaves_qty)
            prices = {child.px} if child.pending_replace is None else {child.px, child.pending_replace.px}
            for px in prices:
                shown[order.venue, px] = shown.get((order.venue, px), 0) + qty
    return shown


def peg_px(parent: ParentOrder, view: SymbolView, own: Displayed, tick_px: int) -> int:
    """The pegged price, on the tick and never more aggressive than asked; 0 where there is nothing to follow.

    `own`: what all our orders of the same side and symbol display.
    """
    side, asked = parent.accepted.side, parent.instructions
    sign = side.sign
    near_px = _near_px(side, view, own)
    far_px = view.ask_px if sign > 0 else view.bid_px
    if asked.has(ExecInst.MARKET_PEG):
        reference2_px = 2 * far_px
    elif asked.has(ExecInst.MID_PRICE_PEG):
        reference2_px = near_px + far_px if near_px and far_px else 0
    else:
        reference2_px = 2 * near_px
    if not reference2_px:
        return 0
    px2 = reference2_px + 2 * asked.peg_offset_px
    px = px2 // (2 * tick_px) * tick_px if sign > 0 else -(-px2 // (2 * tick_px)) * tick_px
    if parent.limit_px and sign * px > sign * parent.limit_px:
        px = parent.limit_px
    return max(px, 0)


def _near_px(side: Side, view: SymbolView, own: Displayed) -> int:
    best = 0
    for venue, book in view.books.items():
        for px, qty in (book.bids if side.sign > 0 else book.asks).items():
            if qty > own.get((venue, px), 0) and (not best or side.sign * px > side.sign * best):
                best = px
    return best


def off_price(parent: ParentOrder, children: Iterable[ChildOrder], px: int) -> list[ChildOrder]:
    """Those that rest displayed at another price than the peg's and can be changed just now."""
    if parent.ord_type is not OrdType.PEGGED:
        return []
    return [
        child
        for child in children
        if child.submitted.action in RESTS_DISPLAYED
        and child.px != px
        and not (child.pending_cancel_id or child.pending_replace or child.uncertain)
    ]
