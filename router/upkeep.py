"""What has to happen although nobody asks: orders of a client that stays away, and orders that leave the memory.

A client may want its orders canceled when its session is gone for longer than a grace time; since when it is away is a
fact, so a restart in between changes nothing. Parents that are done stay for a while, for late fills, busts and
questions; then they leave by a fact too, oldest first and a few at a time, so that memory does not grow with the day.
"""

from collections.abc import Iterator, Mapping

import msgspec

from domain.facts import AnyFact, ClientDown, OrdersRetired, ParentEnding
from router.state import State
from router.working import Working

CHUNK = 64  # parents that leave at once: some tenths of a millisecond
CHUNK_NS = 10_000_000
LOOK_NS = 1_000_000_000


class Keep(msgspec.Struct, frozen=True):
    """How long parents that are done stay, and how many of them at most."""

    done_ns: int = 3 * 86_400_000_000_000
    done_parents: int = 20_000


class Upkeep:
    """`grace_ns`: by client, how long it may be away before its orders are canceled; others' are worked on."""

    def __init__(self, state: State, working: Working, grace_ns: Mapping[str, int], keep: Keep) -> None:
        self._state = state
        self._working = working
        self._grace_ns = grace_ns
        self._keep = keep
        self._due_ns: dict[str, int] = {}  # client -> when its grace ends
        self._retire_ns = 0  # not before

    def next_timer_ns(self) -> int | None:
        due_ns = min(self._due_ns.values(), default=None)
        done = self._state.done_parents
        if not done:
            return due_ns
        retire_ns = self._retire_ns
        if len(done) <= self._keep.done_parents:
            retire_ns = max(retire_ns, next(iter(done.values())) + self._keep.done_ns)
        return retire_ns if due_ns is None else min(due_ns, retire_ns)

    def timer(self, now_ns: int) -> Iterator[AnyFact]:
        for client in [client for client, due_ns in self._due_ns.items() if due_ns <= now_ns]:
            del self._due_ns[client]
            yield from self._cancel_all(client, now_ns)
        if now_ns >= self._retire_ns:
            yield from self._retire(now_ns)

    def client_up(self, client: str) -> None:
        self._due_ns.pop(client, None)

    def client_down(self, client: str, text: str, now_ns: int) -> Iterator[AnyFact]:
        yield ClientDown(at_ns=now_ns, client=client, text=text)
        self._watch(client)

    def resume(self, now_ns: int) -> Iterator[AnyFact]:
        """After a restart nobody is logged on; who was away before has that time counted."""
        for client in self._state.clients_away:
            self._watch(client)
        for client in sorted(self._state.clients_up):
            yield from self.client_down(client, "restart", now_ns)

    def _watch(self, client: str) -> None:
        if client in self._grace_ns:
            self._due_ns[client] = self._state.clients_away[client] + self._grace_ns[client]

    def _cancel_all(self, client: str, now_ns: int) -> Iterator[AnyFact]:
        for parent in list(self._state.open_parents.values()):
            if parent.accepted.client == client and parent.parent_id not in self._state.ending:
                text = "canceled: the client was disconnected"
                yield ParentEnding(at_ns=now_ns, parent_id=parent.parent_id, text=text)
                yield from self._working.settle(parent, now_ns)

    def _retire(self, now_ns: int) -> Iterator[AnyFact]:
        state, keep = self._state, self._keep
        excess = len(state.done_parents) - keep.done_parents
        leaving: list[str] = []
        for parent_id, done_ns in state.done_parents.items():
            if len(leaving) == CHUNK or (len(leaving) >= excess and done_ns > now_ns - keep.done_ns):
                break
            if not state.open_children[parent_id]:  # a child that outlives its parent is still asked about
                leaving.append(parent_id)
        self._retire_ns = now_ns + (CHUNK_NS if len(leaving) == CHUNK else LOOK_NS)
        if leaving:
            yield OrdersRetired(at_ns=now_ns, parent_ids=leaving)
