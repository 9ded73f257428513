"""The execution policy: what the router may do, in numbers that an operator sets and a client can be told.

Risk limits say what must never leave the house; the policy says how orders are worked within them. It never raises a
risk limit: `max_child_qty` here only spares the risk gate from refusing what was cut too large.
"""

from typing import Annotated, Literal

import msgspec

from domain.fields import Action

Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Quantity = Annotated[int, msgspec.Meta(gt=0)]
Ranking = Literal["learned", "table", "static", "random"]
Milliseconds = Annotated[int, msgspec.Meta(ge=0)]


class ExecutionPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    actions: tuple[Action, ...] = tuple(action for action in Action if action is not Action.AUCTION)
    excluded_venues: tuple[str, ...] = ()
    max_children_per_decision: Quantity = 6
    min_child_qty: Quantity = 100  # a smaller child costs more in messages and signals than it brings
    max_child_qty: Quantity = 5_000
    max_passive_share: Share = 0.4  # of what rests of a slice, at one venue, as long as others can share it
    max_dark_share: Share = 0.5  # of a slice, in all dark venues together
    # Of what rests of a slice that can wait, first of all into the dark: expected cost doesn't know what an order gives
    # away by being seen, and without it next to nothing would go there to learn from. Never beyond max_dark_share.
    min_dark_share: Share = 0.3
    max_dealer_share: Share = 0.5  # of a slice, from all dealers together
    dark_min_qty: Quantity = 100  # MinQty(110) of midpoint pegs, against being found by small orders
    take_limit_ticks: Annotated[int, msgspec.Meta(ge=0)] = 5  # how far through the best price a take may go
    min_rest_ms: Quantity = 1_000  # how long a passive child rests at urgency 1
    max_rest_ms: Quantity = 5_000  # and at urgency 0
    # At urgency 0 in the dark, where an order follows the midpoint and shows nothing: waiting there costs less.
    max_dark_rest_ms: Quantity = 15_000
    quote_margin_ms: Milliseconds = 5  # a dealer's quote that expires sooner can't be reached in time
    # Dealers are asked for a quote (QuoteRequest) for a part of a slice of at least so many shares; 0: never.
    rfq_min_qty: Annotated[int, msgspec.Meta(ge=0)] = 0
    rfq_timeout_ms: Milliseconds = 250  # how long the slice waits for their answers
    rfq_pause_ms: Milliseconds = 5_000  # between two requests for the same order
    # After a restart nothing new is sent before every venue has said what became of our open orders there, or for so
    # long; what no venue has said by then is held and alarmed.
    reconcile_timeout_ms: Milliseconds = 10_000
    stop_trigger: Literal["trade", "quote", "either"] = "trade"  # what makes a stop work, see router.triggers
    peg_interval_ms: Milliseconds = 500  # between two changes of price of a pegged order, see router.watching
    # What a bust leaves open of an order that was filled (FIX matrix J.1.a): worked again, or canceled with a word.
    rework_busted: bool = False
    ranking: Ranking = "learned"  # what candidates are ordered by, router.ranking
    # Probability that a decision tries a candidate that the ranking would give less, within the two bounds below, so
    # that training sees others: router.exploration.
    exploration: Share = 0.0
    explored_slice_share: Share = 0.1  # of a slice, for what is tried; at least the smallest child
    # No config raises the two bounds; only a simulation that learns from nothing else does.
    max_explored_share: Annotated[float, msgspec.Meta(ge=0.0, le=0.02)] = 0.02  # of the day's child notional
    max_explored_bps: Annotated[float, msgspec.Meta(ge=0.0, le=0.2)] = 0.2  # of a parent, beyond the best candidates

    def __post_init__(self) -> None:
        if self.min_rest_ms > self.max_rest_ms:
            raise ValueError(f"min_rest_ms {self.min_rest_ms} exceeds max_rest_ms {self.max_rest_ms}")
        if self.min_rest_ms > self.max_dark_rest_ms:
            raise ValueError(f"min_rest_ms {self.min_rest_ms} exceeds max_dark_rest_ms {self.max_dark_rest_ms}")
        if self.min_child_qty > self.max_child_qty:
            raise ValueError(f"min_child_qty {self.min_child_qty} exceeds max_child_qty {self.max_child_qty}")

    def rest_ns(self, urgency: float, *, dark: bool = False) -> int:
        """How long a passive child of a slice with this urgency (0..1) may rest."""
        longest_ms = self.max_dark_rest_ms if dark else self.max_rest_ms
        return int(longest_ms - (longest_ms - self.min_rest_ms) * urgency) * 1_000_000
