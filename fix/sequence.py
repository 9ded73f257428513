"""Gaps in MsgSeqNum(34), on both sides: what we missed and hold until it comes, and what the peer missed.

Messages beyond a gap are held, in a bounded queue, and delivered in order once the gap is filled. What found the queue
full comes again with the replay, whose request names no end (EndSeqNo(16)=0), or is asked for in a later chunk.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from fix.message import Message
from fix.store import Sent

# Ask again for a gap that nothing has begun to fill after this long.
_RETRY_NS = 30_000_000_000
# A message of many fields takes ten times its size once it is taken apart.
_MAX_HELD_BYTES = 4 * 1024 * 1024

Range = tuple[int, int]  # BeginSeqNo(7) and EndSeqNo(16), 0 for no end


class InboundGap:
    """What waits beyond the next expected number. A number held as None was already acted on out of turn.

    `chunk`: how many messages to ask for at once; 0: all that there are.
    """

    def __init__(self, max_held: int, chunk: int = 0) -> None:
        self._max_held = max_held
        self._chunk = chunk
        self.held: dict[int, Message | None] = {}
        self._held_bytes = 0
        self._requested_to = 0  # the highest number seen when the ResendRequest(2) went out; 0: none is outstanding
        self._asked_to = 0  # where the chunk that was asked for ends
        self._requested_ns = 0
        self._replay_began = False

    def clear(self) -> None:
        self.held.clear()
        self._held_bytes = 0
        self._requested_to = 0

    def hold(self, number: int, message: Message | None) -> None:
        size = len(message.raw) if message is not None else 0
        if len(self.held) < self._max_held and self._held_bytes + size <= _MAX_HELD_BYTES:
            self._forget(number)
            self.held[number] = message
            self._held_bytes += size

    def take(self, number: int) -> Message | None:
        """The message held for `number`, and forget it."""
        message = self.held.get(number)
        self._forget(number)
        return message

    def _forget(self, number: int) -> None:
        message = self.held.pop(number, None)
        self._held_bytes -= len(message.raw) if message is not None else 0

    def has(self, number: int) -> bool:
        return number in self.held

    def advance(self, next_in: int, now_ns: int) -> Range | None:
        """The next expected number is now `next_in`; the chunk to ask for next, if it is its turn."""
        self._replay_began = True
        if self.held and min(self.held) < next_in:
            for number in [number for number in self.held if number < next_in]:
                self._forget(number)
        if next_in > self._requested_to:
            self._requested_to = 0
        elif self._chunk and next_in > self._asked_to and next_in not in self.held and next_in < self._requested_to:
            return self._request(next_in, now_ns)
        return None

    def request(self, number: int, poss_dup: bool, next_in: int, now_ns: int) -> Range | None:
        """What to ask for because `number` is beyond the gap; it counts as asked for.

        One request is enough while it is being answered. A live message after the replay began means that the replay
        went past the gap, because a part of it was garbled on the way: then the rest is asked for again.
        """
        outstanding = self._requested_to != 0
        if outstanding and poss_dup:
            self._replay_began = True
            return None
        if outstanding and not self._replay_began and now_ns < self._requested_ns + _RETRY_NS:
            return None
        self._requested_to = number
        return self._request(next_in, now_ns)

    def _request(self, next_in: int, now_ns: int) -> Range:
        self._requested_ns = now_ns
        self._replay_began = False
        if not self._chunk:
            return next_in, 0
        self._asked_to = min(next_in + self._chunk, self._requested_to) - 1
        return next_in, self._asked_to


class GapFill(NamedTuple):
    """SequenceReset(4) with GapFillFlag(123)=Y: the numbers from `begin` up to, not including, `new_seq_no`."""

    begin: int
    new_seq_no: int


def replay(sent: Iterable[Sent], begin: int, end: int) -> Iterator[GapFill | Sent]:
    """The answer to a ResendRequest(2) for begin..end: kept messages, and gap fills over the rest, merged."""
    expected = begin
    for message in sent:
        if message[0] > expected:
            yield GapFill(expected, message[0])
        yield message
        expected = message[0] + 1
    if expected <= end:
        yield GapFill(expected, end + 1)
