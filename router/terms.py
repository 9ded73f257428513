"""What a client's instructions leave a decision to choose from, and what of them goes on to the venue.

A plain market or limit order has no terms: whatever the policy allows may be done. The others are narrowed here and
nowhere else, so that what an instruction means can be read in one place:

- fill or kill: one venue that can fill all of it alone, sent as fill or kill there; several venues can't be made to
  fill all or nothing together, so an order that none can fill alone is killed though all of them together could;
- post only: it rests in a displayed book, and never takes or crosses in the dark;
- a smallest fill: nothing rests where others choose how much of it they take, only in the dark and as immediate orders;
- a peg: what rests, rests at the pegged price; where that crosses the market it takes, but never beyond it;
- a largest display: no more rests in displayed books than is still to be shown (`router.display`).
"""

import msgspec

from domain.fields import Action, ExecInst, OrdType, Side, TimeInForce
from domain.instructions import NONE, Instructions
from domain.orders import ParentOrder

RESTS_DISPLAYED = (Action.POST, Action.IMPROVE)
IMMEDIATE = (TimeInForce.IMMEDIATE_OR_CANCEL, TimeInForce.FILL_OR_KILL)


class Terms(msgspec.Struct, frozen=True):
    actions: tuple[Action, ...]
    limit_px: int  # the worst price, 0: none
    rest_px: int = 0  # where what rests has to rest, 0: anywhere
    min_qty: int = 0  # the smallest child, and the smallest fill
    show_qty: int | None = None  # shares that may be displayed now beyond those that are, None: any
    whole: bool = False  # all of it in one child, or nothing


def terms(
    parent: ParentOrder, allowed: tuple[Action, ...], peg_px: int, show_qty: int | None, *, has_dark: bool
) -> Terms | None:
    """None for an order without any.

    `peg_px` is the price of a peg now, `show_qty` what may still be displayed, `has_dark` whether there is a venue that
    follows the midpoint by itself.
    """
    asked, is_peg = parent.instructions, parent.ord_type is OrdType.PEGGED
    whole = parent.accepted.time_in_force is TimeInForce.FILL_OR_KILL
    if not (whole or is_peg or asked.min_qty or asked.display_qty or asked.has(ExecInst.POST_ONLY)):
        return None
    actions: tuple[Action, ...] = allowed
    follows_mid = False
    if whole:
        actions = (Action.TAKE, Action.TAKE_QUOTE)
    elif is_peg:
        follows_mid = asked.has(ExecInst.MID_PRICE_PEG) and not asked.peg_offset_px and has_dark
        actions = (Action.MID_PEG,) if follows_mid else (Action.POST, Action.TAKE)
    if asked.has(ExecInst.POST_ONLY):
        actions = tuple(action for action in actions if action in RESTS_DISPLAYED)
    if asked.min_qty or show_qty == 0:
        actions = tuple(action for action in actions if action not in RESTS_DISPLAYED)
    follows_displayed = is_peg and not follows_mid
    return Terms(
        actions=tuple(action for action in actions if action in allowed),
        limit_px=peg_px if follows_displayed else parent.limit_px,
        rest_px=peg_px if follows_displayed else 0,
        min_qty=min(asked.min_qty, parent.leaves_qty),
        show_qty=show_qty,
        whole=whole,
    )


def passed_on(parent: ParentOrder, display_qty: int = 0) -> Instructions:
    """What a venue is told of the client's instructions: capacity, locate, and what of this child may be shown."""
    asked = parent.instructions
    is_short = parent.accepted.side is Side.SELL_SHORT
    if asked.order_capacity is None and not is_short and not display_qty:
        return NONE
    # The client has located the shares or risk has checked that we have: the venue need not.
    located = False if is_short and asked.locate_reqd is not None else None
    return Instructions(order_capacity=asked.order_capacity, locate_reqd=located, display_qty=display_qty)
