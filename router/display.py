"""How much of an order may be seen: never more than its display quantity over all displayed books together.

A venue with icebergs is sent more than it shows, and shows more by itself when that is filled. Elsewhere the router
does so: it sends only what may be shown, and again when at least half of that was filled, because a new order for each
small fill would tell that there is more.
"""

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from domain.instruments import VenueTerms
from domain.orders import ChildOrder, ParentOrder
from router.allocation import Allocation
from router.candidates import Candidate
from router.pegs import displayed
from router.terms import RESTS_DISPLAYED


def show_qty(parent: ParentOrder, children: Iterable[ChildOrder]) -> int | None:
    """Shares that may be displayed now beyond those that are, 0 until it is worth showing more; None: any."""
    most_qty = parent.instructions.display_qty
    if not most_qty:
        return None
    left_qty = most_qty - sum(displayed(children).values())
    return left_qty if 2 * left_qty >= most_qty or left_qty >= parent.leaves_qty else 0


def limited(
    chosen: Sequence[Allocation],
    found: Sequence[Candidate],
    show_qty: int,
    venues: Mapping[str, VenueTerms],
    lot_qty: int,
) -> tuple[list[Allocation], dict[int, int]]:
    """The allocations with no more displayed than `show_qty`, and what an iceberg among them shows, by its index."""
    result, icebergs, left_qty = list(chosen), {}, show_qty
    posts = [i for i, a in enumerate(chosen) if a.qty and found[i].action in RESTS_DISPLAYED]
    for number, index in enumerate(posts):
        most_qty = left_qty // (len(posts) - number)
        shown_qty = min(chosen[index].qty, most_qty - most_qty % lot_qty if most_qty >= lot_qty else left_qty)
        if shown_qty <= 0:
            result[index] = replace(
                chosen[index], qty=0, propensity=0.0, note=f"display quantity: {left_qty} left to show"
            )
            continue
        left_qty -= shown_qty
        if shown_qty < chosen[index].qty and venues[found[index].venue].has_icebergs:
            icebergs[index] = shown_qty
        elif shown_qty < chosen[index].qty:
            result[index] = replace(chosen[index], qty=shown_qty)
    return result, icebergs
