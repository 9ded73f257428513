"""Scored candidates and a slice -> how much each gets, and why the others get nothing.

Candidates are served in order of cost. One that takes gets what is displayed; those that rest share what reaches them,
because two queues fill sooner than one and show less. An urgent slice serves those that take first, whatever resting
would save. What the ranking puts into the dark is then spread over the dark venues by what each is likely to have
(`router.dark`). Where a decision has room for exploration (`router.exploration`), then with that probability one
candidate that the ranking would give less gets a small child first, and the ranking the rest, so that training sees
what it would never choose, with the probability with which it was chosen. Small, because the bound is on shares: the
smaller what is tried, the likelier it may be, and the less what was seen has to be weighed up later.
"""

from collections.abc import Sequence
from itertools import groupby

import msgspec

from router.candidates import DARK, DEALER, IMPROVE, LIT, POST, Candidate
from router.dark import NO_TAILS, PIECE_QTY, Tails, split, worth
from router.exploration import Room
from router.policy import ExecutionPolicy
from router.scoring import Score
from router.strategies import Slice

_POSTS = (POST, IMPROVE)
_MASK = (1 << 64) - 1


class Allocation(msgspec.Struct, frozen=True, gc=False):
    qty: int
    propensity: float  # probability that the candidate was chosen at all
    note: str  # why it got nothing, "" where it got something


class Allocated(msgspec.Struct, frozen=True, gc=False):
    """One Allocation for each candidate, in their order, and what of it is exploration."""

    allocations: list[Allocation]
    explored_qty: int = 0  # shares that are elsewhere than the ranking would have them
    explored_bps: float = 0.0  # what they are expected to cost beyond the best candidate, of the slice


class Option(msgspec.Struct, frozen=True, gc=False):
    """One way to serve the candidates, and how likely it is."""

    probability: float
    filling: "Filling"
    explored_qty: int = 0
    explored_bps: float = 0.0


def allocate(
    wanted: Slice,
    candidates: Sequence[Candidate],
    scores: Sequence[Score],
    policy: ExecutionPolicy,
    lot_qty: int,
    seed: int,
    decision_id: int,
    room: Room | None = None,
    tails: Tails = NO_TAILS,
) -> Allocated:
    """The sum of the allocations never exceeds the slice; lots are whole. `room`: what exploration may use, None: none.

    `tails`: what dark candidates are likely to have, as `DarkPools.of` says.
    An odd rest of the slice goes with the last child that is sent, which is then the last of the parent.
    """
    found = options(wanted, candidates, scores, policy, lot_qty, room, tails)
    chosen = found[0]
    if room is not None and len(found) > 1:
        explores, which = _draw(seed, decision_id, room.probability, len(found) - 1)
        chosen = found[1 + which] if explores else chosen
    allocations = chosen.filling.allocations(scores, propensities(found))
    return Allocated(allocations, chosen.explored_qty, chosen.explored_bps)


def options(
    wanted: Slice,
    candidates: Sequence[Candidate],
    scores: Sequence[Score],
    policy: ExecutionPolicy,
    lot_qty: int,
    room: Room | None,
    tails: Tails = NO_TAILS,
) -> list[Option]:
    """All that a decision may become: first what the ranking says, then each exploration that fits into the room.

    What would leave more of the slice unsent is none. All explorations are equally likely.
    """
    urgent = wanted.urgency >= 1.0
    keys = [(urgent and c.horizon_ns > 0, s.cost_bps) for c, s in zip(candidates, scores, strict=True)]
    ranked = sorted(range(len(keys)), key=keys.__getitem__)
    dark_worth = worth(tails, scores)
    best = Filling(wanted, candidates, policy, lot_qty, ranked, dark_worth)
    if room is None:
        return [Option(1.0, best)]
    best_qty, least_bps = sum(best.qtys), min((score.cost_bps for score in scores), default=0.0)
    tried = []
    for first in range(len(candidates)):
        filling = Filling(wanted, candidates, policy, lot_qty, ranked, dark_worth, first)
        if filling.qtys[first] <= best.qtys[first] or sum(filling.qtys) < best_qty:
            continue
        moved = [max(qty - was, 0) for qty, was in zip(filling.qtys, best.qtys, strict=True)]
        qty = sum(moved)
        bps = sum(q * max(s.cost_bps - least_bps, 0.0) for q, s in zip(moved, scores, strict=True)) / wanted.qty
        if qty <= room.qty and bps <= room.bps:
            tried.append((filling, qty, bps))
    share = room.probability / len(tried) if tried else 0.0
    return [
        Option(1.0 - room.probability if tried else 1.0, best),
        *(Option(share, filling, qty, bps) for filling, qty, bps in tried),
    ]


def propensities(found: Sequence[Option]) -> list[float]:
    """For each candidate the probability that it gets anything: exactly 1 for one that every option serves."""
    result = []
    for index in range(len(found[0].filling.qtys)):
        served = [option.probability for option in found if option.filling.qtys[index]]
        result.append(1.0 if len(served) == len(found) else sum(served, 0.0))
    return result


def allocate_whole(
    wanted: Slice, candidates: Sequence[Candidate], scores: Sequence[Score], policy: ExecutionPolicy
) -> list[Allocation]:
    """All of the slice to the cheapest of those that can take it alone, nothing to the others."""
    able = [i for i, c in enumerate(candidates) if c.max_qty >= wanted.qty and wanted.qty <= policy.max_child_qty]
    best = min(able, key=lambda i: scores[i].cost_bps, default=-1)
    why = "costlier than another that can fill all of it" if able else f"max_child_qty {policy.max_child_qty}"
    return [
        Allocation(wanted.qty, 1.0, "") if index == best else Allocation(0, 0.0, f"fill or kill: {why}")
        for index in range(len(candidates))
    ]


class Filling:
    """The slice poured over the candidates in one order; `first` gets a small child before that, as exploration."""

    def __init__(
        self,
        wanted: Slice,
        candidates: Sequence[Candidate],
        policy: ExecutionPolicy,
        lot_qty: int,
        ranked: Sequence[int],
        dark_worth: Tails = NO_TAILS,
        first: int = -1,
    ) -> None:
        self.wanted, self.candidates, self.policy, self.ranked = wanted, candidates, policy, ranked
        self.lot_qty = lot_qty if wanted.qty >= lot_qty else 1  # less than a lot is the odd rest of a parent
        self.odd_qty = wanted.qty % self.lot_qty
        self.left_qty = wanted.qty - self.odd_qty
        self.min_qty = min(policy.min_child_qty, wanted.qty - self.odd_qty)
        self.kind_left_qty = {
            LIT: wanted.qty,
            DARK: int(policy.max_dark_share * wanted.qty),
            DEALER: int(policy.max_dealer_share * wanted.qty),
        }
        self.qtys = [0] * len(candidates)
        self.notes = [candidate.doubt for candidate in candidates]
        self.children = 0
        self.reserved = -1
        self.posted: dict[str, int] = {}  # lit venue -> the one candidate that rests there
        reserves = wanted.urgency < 1.0
        if first >= 0:
            most = policy.max_passive_share if candidates[first].horizon_ns > 0 else 1.0
            self._serve(first, int(min(policy.explored_slice_share, most) * self.left_qty))
        for is_passive, run in groupby(ranked, lambda i: candidates[i].horizon_ns > 0):
            indices = list(run)
            share_qty = int(policy.max_passive_share * self.left_qty) if is_passive else self.left_qty
            if is_passive and reserves:
                reserves = False
                self._reserve_dark()
            for index in indices:
                if not self.left_qty:
                    break
                self._serve(index, share_qty)
            if is_passive:
                for index in indices:
                    if self.qtys[index]:
                        self._give(index, self.left_qty)
        if len(dark_worth) > 1 and first not in dark_worth:  # what is tried stays where it is tried
            self._split_dark(dark_worth)
        self._give_odd_rest()

    def _split_dark(self, dark_worth: Tails) -> None:
        """What the ranking has put into the dark, spread over the venues by what each is likely to have."""
        total = sum(self.qtys[index] for index in dark_worth)
        pieces = total // PIECE_QTY
        spare = (
            self.policy.max_children_per_decision - self.children + sum(self.qtys[index] > 0 for index in dark_worth)
        )
        if pieces < 2 or PIECE_QTY % self.lot_qty or spare < 2:
            return
        # No more venues than there may be children: those that the ranking likes most.
        able = [index for index in self.ranked if index in dark_worth][:spare]
        least = {index: -(-self._needed_qty(index) // PIECE_QTY) for index in able}
        most = dict.fromkeys(able, self.policy.max_child_qty // PIECE_QTY)
        sent = split({index: dark_worth[index] for index in able}, pieces, least, most)
        # What nobody is known to have goes where the ranking had most, which also finds out about larger sizes.
        rest = max(able, key=lambda index: self.qtys[index])
        given = {index: count * PIECE_QTY for index, count in sent.items()}
        given[rest] += total - sum(given.values())
        if given[rest] > self.policy.max_child_qty or 0 < given[rest] < self._needed_qty(rest):
            return
        self.children += sum(qty > 0 for qty in given.values()) - sum(self.qtys[index] > 0 for index in dark_worth)
        for index in dark_worth:
            self.qtys[index] = given.get(index, 0)
            if not self.qtys[index]:
                self.notes[index] = "the other dark venues are likelier to have more"

    def _reserve_dark(self) -> None:
        """The policy's share of what rests, to the cheapest dark candidate, where that is a child of its own.

        Also where what takes comes between the first that rests and the dark.
        """
        share_qty = int(self.policy.min_dark_share * self.left_qty)
        dark = next((index for index in self.ranked if self._is_open_dark(index)), None)
        if dark is None or self.children + 1 >= self.policy.max_children_per_decision:
            return  # a single child is for the cheapest
        if self.qtys[dark]:  # tried already
            self._give(dark, max(share_qty - self.qtys[dark], 0))
        elif min(share_qty, self._room(dark)) >= self._needed_qty(dark):
            self._give(dark, share_qty)
            self.children += 1
            self.reserved = dark

    def _is_open_dark(self, index: int) -> bool:
        return self.candidates[index].kind is DARK and not self.candidates[index].doubt

    def _needed_qty(self, index: int) -> int:
        """The smallest child that the candidate and the policy allow, in whole lots."""
        needed_qty = max(self.min_qty, self.candidates[index].min_qty)
        return needed_qty + -needed_qty % self.lot_qty

    def _serve(self, index: int, share_qty: int) -> None:
        """A first part for a candidate, or the note why not."""
        if self.qtys[index]:  # of the dark reserve, or tried
            self._give(index, max(share_qty - self.qtys[index], 0))
            return
        candidate = self.candidates[index]
        needed_qty = self._needed_qty(index)
        if candidate.doubt:
            return
        if self.children == self.policy.max_children_per_decision:
            self.notes[index] = f"policy: max_children_per_decision {self.children}"
        elif candidate.venue in self.posted and candidate.action in _POSTS:
            other = self.candidates[self.posted[candidate.venue]]
            self.notes[index] = f"{other.action} rests at {other.venue} already"
        elif self._room(index) < needed_qty:
            self.notes[index] = self._no_room(index, needed_qty)
        else:
            self._give(index, max(share_qty, needed_qty))
            self.children += 1
            if candidate.action in _POSTS:
                self.posted[candidate.venue] = index

    def _give(self, index: int, qty: int) -> None:
        qty = min(qty, self._room(index))
        qty -= qty % self.lot_qty
        self.qtys[index] += qty
        self.left_qty -= qty
        self.kind_left_qty[self.candidates[index].kind] -= qty

    def _room(self, index: int) -> int:
        """How much more the candidate may get."""
        candidate = self.candidates[index]
        own_qty = min(candidate.max_qty, self.policy.max_child_qty) - self.qtys[index]
        return min(self.left_qty, own_qty, self.kind_left_qty[candidate.kind])

    def _no_room(self, index: int, needed_qty: int) -> str:
        candidate = self.candidates[index]
        kind_left_qty = self.kind_left_qty[candidate.kind]
        if kind_left_qty < min(self.left_qty, needed_qty):
            return f"policy: max_{candidate.kind}_share leaves {kind_left_qty}, a child needs {needed_qty}"
        if candidate.max_qty < needed_qty:
            return f"{candidate.max_qty} available, a child needs {needed_qty}"
        return f"{self.left_qty} of the slice left, a child needs {needed_qty}"

    def _give_odd_rest(self) -> None:
        if not self.odd_qty or self.left_qty:
            return
        last = max(i for i, qty in enumerate(self.qtys) if qty)
        if self.qtys[last] + self.odd_qty <= min(self.candidates[last].max_qty, self.policy.max_child_qty):
            self.qtys[last] += self.odd_qty

    def allocations(self, scores: Sequence[Score], propensities: Sequence[float]) -> list[Allocation]:
        served = [i for i in self.ranked if self.qtys[i]]
        # The dark reserve says nothing about the others: it got its part out of turn.
        last = next((i for i in reversed(served) if i != self.reserved), served[-1] if served else -1)
        last_bps = scores[last].cost_bps
        name = f"{self.candidates[last].venue} {self.candidates[last].action} at {last_bps:.2f} bps"
        early = "urgent: filled by what is immediate" if self.wanted.urgency >= 1.0 else "filled after an exploration"
        outranked = (f"costlier than {name}", f"{early}, the last {name}")
        return [
            Allocation(qty, propensity, "" if qty else note or outranked[score.cost_bps < last_bps])
            for qty, propensity, note, score in zip(self.qtys, propensities, self.notes, scores, strict=True)
        ]


def _draw(seed: int, decision_id: int, probability: float, count: int) -> tuple[bool, int]:
    """Whether something with this probability happens, and a number below `count`; always the same for a decision."""
    state = (seed * 0x2545F4914F6CDD1D + decision_id) & _MASK
    first, second = _splitmix64(state), _splitmix64(state ^ _MASK)
    return first < probability * 2**64, second * count >> 64


def _splitmix64(state: int) -> int:
    """64 well mixed bits of a counter (Steele, Lea and Flood, Fast splittable pseudorandom number generators, 2014)."""
    z = (state * 0x9E3779B97F4A7C15 + 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ z >> 27) * 0x94D049BB133111EB) & _MASK
    return z ^ z >> 31
