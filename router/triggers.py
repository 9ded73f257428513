"""When a stop that the router holds begins to work.

A stop to buy is triggered at or above its price, one to sell at or below it (FIX, glossary: stop order). What is looked
at is the policy's `stop_trigger`: "trade", any trade of any venue after the order came; "quote", the best offer of the
lit venues together for a buy, the best bid for a sell, also at the moment when the order comes; "either". A trade is
what most venues and clients mean; a quote can't be skipped by a market that moves without trading, but one venue's
lonely quote triggers it.
"""

from domain.market import MarketUpdate, SymbolView, TradePrinted
from domain.orders import ParentOrder
from domain.prices import px_to_text
from router.policy import ExecutionPolicy


def triggered(
    parent: ParentOrder, update: MarketUpdate | None, view: SymbolView, policy: ExecutionPolicy
) -> tuple[int, str]:
    """(price, what it was) that triggers the stop, (0, "") if nothing does. `update`: what just came, None: nothing."""
    sign, stop_px = parent.accepted.side.sign, parent.instructions.stop_px
    if policy.stop_trigger != "quote" and isinstance(update, TradePrinted) and sign * update.px >= sign * stop_px:
        return update.px, f"triggered by a trade at {px_to_text(update.px)}"
    far_px = view.ask_px if sign > 0 else view.bid_px
    if policy.stop_trigger != "trade" and far_px and sign * far_px >= sign * stop_px:
        return far_px, f"triggered by {'an offer' if sign > 0 else 'a bid'} of {px_to_text(far_px)}"
    return 0, ""
