"""Clients' orders as an operator sees them, and what he may do to one: cancel it, change it, with who and why."""

from typing import Any

from domain.prices import avg_px_to_text, px_to_text
from router.state import State


class OrderRefused(Exception):  # noqa: N818 - an answer, not a bug
    """Why an operator's command can't be carried out, in words for who asked."""


def listing(state: State) -> list[dict[str, Any]]:
    """The open orders, oldest first."""
    return [
        {
            "order_id": parent.parent_id,
            "client": parent.accepted.client,
            "cl_ord_id": parent.cl_ord_id,
            "symbol": parent.accepted.symbol,
            "side": parent.accepted.side.name.lower(),
            "order_qty": parent.order_qty,
            "limit": px_to_text(parent.limit_px) if parent.limit_px else "",
            "status": parent.ord_status.name.lower(),
            "cum_qty": parent.cum_qty,
            "avg_px": avg_px_to_text(parent.notional_px, parent.cum_qty),
            "children": len(state.open_children[parent.parent_id]),
        }
        for parent in state.open_parents.values()
    ]
