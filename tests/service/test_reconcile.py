"""Every way in which the books of two sides can differ is found, counted in shares and said in words."""

import re
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import cache

import msgspec
import pytest

from domain.facts import (
    AnyFact,
    ChildFillBusted,
    ChildFillCorrected,
    ChildFilled,
    ChildSubmitted,
    ParentAccepted,
    ParentDone,
)
from domain.fields import OrdStatus, Side
from service.reconcile import Reconciliation, compare_venues, reconcile
from simulators.client_orders import EmsOrder
from simulators.ledger import LedgerEntry
from tests.service.platform import Platform

replace = msgspec.structs.replace


@dataclass
class Books:
    facts: list[AnyFact]
    ems: dict[str, dict[str, EmsOrder]]
    ledger: list[LedgerEntry]

    @property
    def fill(self) -> ChildFilled:
        """The first fill in the journal; what a case changes, it changes about this one."""
        return next(fact for fact in self.facts if isinstance(fact, ChildFilled))

    @property
    def entry(self) -> LedgerEntry:
        return next(entry for entry in self.ledger if entry.exec_id == self.fill.exec_id)

    @property
    def order(self) -> EmsOrder:
        """A filled order of EMS1."""
        return next(order for order in self.ems["EMS1"].values() if order.settled_status is OrdStatus.FILLED)

    def swap(self, old: AnyFact | LedgerEntry, *new: AnyFact | LedgerEntry) -> None:
        facts = self.ledger if isinstance(old, LedgerEntry) else self.facts
        at = facts.index(old)
        facts[at : at + 1] = new

    def compared(self) -> Reconciliation:
        return reconcile(self.facts, {name: orders.values() for name, orders in self.ems.items()}, self.ledger)


@cache
def day() -> Books:
    platform = Platform(seed=2)
    platform.finish()
    return Books(
        platform.facts,
        {name: dict(client.orders) for name, client in platform.ems.items()},
        list(platform.exchange.ledger),
    )


def done(books: Books) -> ParentDone:
    return next(fact for fact in books.facts if isinstance(fact, ParentDone))


def lose_an_order(books: Books) -> None:
    del books.ems["EMS1"][books.order.cl_ord_id]


def invent_an_order(books: Books) -> None:
    invented = deepcopy(books.order)
    invented.cl_ord_ids = ["INVENTED"]
    books.ems["EMS1"]["INVENTED"] = invented


def invent_an_open_order(books: Books) -> None:
    books.ems["EMS1"]["INVENTED"] = EmsOrder(["INVENTED"], "", "ALFA", Side.BUY, 100, 0, "", 0)


def change(**fields: object) -> Callable[[Books], None]:
    def changed(books: Books) -> None:
        for name, value in fields.items():
            setattr(books.order, name, value(books.order) if callable(value) else value)

    return changed


Shares = Callable[[Books], int]


def whole(books: Books) -> int:
    return books.fill.last_qty


def none(books: Books) -> int:
    return 0


# What is done to the books; the shares that are unmatched at least; words of a difference.
CASES: dict[str, tuple[Callable[[Books], None], Shares, str]] = {
    "a fill that the router lost": (lambda b: b.swap(b.fill), whole, "the venue has .*, the journal has nothing"),
    "a fill that the router counted twice": (
        lambda b: b.swap(b.fill, b.fill, b.fill), whole, "counted twice in the journal",
    ),
    "a fill that the router made up": (
        lambda b: b.swap(b.fill, b.fill, replace(b.fill, exec_id="MADE UP")), whole,
        "MADE UP: the journal has .*, the venue has nothing",
    ),
    "a fill that the venue lost": (lambda b: b.swap(b.entry), whole, "the journal has .*, the venue has nothing"),
    "a fill twice at the venue": (lambda b: b.swap(b.entry, b.entry, b.entry), whole, "twice in the venue's ledger"),
    "another quantity at the venue": (
        lambda b: b.swap(b.entry, replace(b.entry, qty=b.entry.qty + 7)), lambda b: 7,
        "the journal has .* the venue has",
    ),
    "another price at the venue": (
        lambda b: b.swap(b.entry, replace(b.entry, px=b.entry.px + 1)), whole, "the journal has .* the venue has",
    ),
    "another side at the venue": (
        lambda b: b.swap(b.entry, replace(b.entry, side=Side.SELL_SHORT)), whole, "SELL_SHORT",
    ),
    "another order at the venue": (
        lambda b: b.swap(b.entry, replace(b.entry, cl_ord_id="ELSE")), whole, "for ELSE",
    ),
    "a fill that the EMS was not told": (
        change(cum_qty=lambda order: order.cum_qty - 100), lambda b: 100, "the EMS has .* shares, the journal has",
    ),
    "another price at the EMS": (
        change(notional_px=lambda order: order.notional_px + 1), none, r"the EMS paid \d+, the journal says \d+",
    ),
    "another status at the EMS": (
        change(settled_status=OrdStatus.CANCELED), none, "CANCELED at the EMS, FILLED in the journal",
    ),
    "an order that the EMS thinks open": (
        change(settled_status=OrdStatus.PARTIALLY_FILLED), none, "PARTIALLY_FILLED at the EMS, FILLED in the journal",
    ),
    "an order that the EMS doesn't know": (
        lose_an_order, lambda b: b.order.cum_qty, "the journal has it and the EMS does not",
    ),
    "an order that the journal doesn't know": (
        invent_an_order, lambda b: b.order.cum_qty, "INVENTED: the EMS has .* shares, the journal has no such order",
    ),
    "an order without an answer": (
        invent_an_open_order, none, "INVENTED: PENDING_NEW at the EMS, the journal has no such order",
    ),
    "an order that never ended": (lambda b: b.swap(done(b)), none, "still open in the journal"),
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "shares", "says"), CASES.values(), ids=CASES)
def test_every_difference_is_found(spoil: Callable[[Books], None], shares: Shares, says: str):
    books = deepcopy(day())
    expected = shares(books)
    spoil(books)
    found = books.compared()
    assert not found.reconciled
    assert found.unmatched_shares >= expected
    assert any(re.search(says, text) for text in found.differences), found.differences


def test_books_that_agree():
    found = day().compared()
    assert found.reconciled
    assert (found.unmatched_shares, found.differences) == (0, [])
    assert any(isinstance(fact, ParentAccepted) for fact in day().facts)


def test_differences_do_not_make_up_for_each_other():
    books = deepcopy(day())
    lost, doubled = books.ledger[0], books.ledger[1]
    books.swap(lost)
    books.swap(doubled, doubled, doubled)
    assert books.compared().unmatched_shares == lost.qty + doubled.qty


# --- busts and corrections ---


def busted(fill: ChildFilled, ref: str = "", **changes: object) -> ChildFillBusted:
    fields = {"at_ns": fill.at_ns, "child_id": fill.child_id, "venue": fill.venue, "exec_id": "BUST"}
    more = {"exec_ref_id": ref or fill.exec_id, "last_qty": fill.last_qty, "last_px": fill.last_px}
    return ChildFillBusted(**fields | more | changes)


def corrected(fill: ChildFilled, qty: int, px: int) -> ChildFillCorrected:
    return ChildFillCorrected(
        at_ns=fill.at_ns, child_id=fill.child_id, venue=fill.venue, exec_id="CORRECTED", exec_ref_id=fill.exec_id,
        was_qty=fill.last_qty, was_px=fill.last_px, last_qty=qty, last_px=px,
    )  # fmt: skip


def entered(entry: LedgerEntry, kind: str, exec_id: str, qty: int, px: int) -> LedgerEntry:
    return replace(entry, kind=kind, exec_id=exec_id, exec_ref_id=entry.exec_id, qty=qty, px=px)


def venue_differences(fills: list, entries: list[LedgerEntry], children: dict) -> list[str]:
    result = Reconciliation()
    compare_venues(fills, children, entries, result)
    return result.differences


def test_a_correction_and_then_a_bust_count_by_the_first_execution() -> None:
    books = day()
    fill, entry = books.fill, books.entry
    children = {fact.child_id: fact for fact in books.facts if isinstance(fact, ChildSubmitted)}
    correction = corrected(fill, fill.last_qty - 1, fill.last_px + 100)
    corrected_entry = entered(entry, "correction", "CORRECTED", entry.qty - 1, entry.px + 100)
    bust = busted(fill, "CORRECTED", last_qty=fill.last_qty - 1)
    bust_entry = entered(entry, "bust", "BUST", 0, 0)
    assert venue_differences([fill, correction], [entry, corrected_entry], children) == []
    assert venue_differences([fill, correction, bust], [entry, corrected_entry, bust_entry], children) == []
    assert venue_differences([fill, busted(fill)], [entry, bust_entry], children) == []
    assert venue_differences([], [entry, bust_entry], children) == []  # nobody heard of either, and nothing is left
    for fills, entries in (
        ([fill], [entry, bust_entry]),
        ([fill, busted(fill)], [entry]),
        ([fill, correction], [entry]),
        ([fill, correction], [entry, bust_entry]),
    ):
        assert len(venue_differences(fills, entries, children)) == 1


def test_a_child_whose_missing_shares_were_taken_over_is_compared_as_a_whole() -> None:
    books = day()
    children = {fact.child_id: fact for fact in books.facts if isinstance(fact, ChildSubmitted)}
    fill, entry = books.fill, books.entry
    told, entries = replace(fill, last_qty=100), [
        replace(entry, qty=100),
        replace(entry, exec_id="LOST1", qty=100, px=entry.px + 100),
        replace(entry, exec_id="LOST2", qty=200, px=entry.px),
    ]  # fmt: skip
    taken = replace(fill, exec_id=f"{fill.child_id}.400", last_qty=300, last_px=fill.last_px + 33, taken_over=True)
    assert venue_differences([told, taken], entries, children) == []
    for changed, says in (
        (replace(taken, last_qty=299), "399 shares in the journal, 400 at the venue"),
        (replace(taken, last_px=fill.last_px + 35), "paid in the journal"),
    ):
        (difference,) = venue_differences([told, changed], entries, children)
        assert says in difference
    assert len(venue_differences([told, replace(taken, taken_over=False)], entries, children)) == 3
