"""Reads a limit-order-book day in LOBSTER format: one file of messages, one of the book after each message.

Message columns: time in seconds after midnight, type, order id, size, price (1e-4 of the currency unit), direction (1
buy, -1 sell, of the resting order). Orderbook columns, for each level: ask price, ask size, bid price, bid size; an
empty level carries a price of 9999999999 or -9999999999. Either file may begin with a header line. A line that can't
be what the format says stops the reading: a replay that guesses is not a replay.
"""

from collections.abc import Iterable, Iterator
from enum import IntEnum
from itertools import zip_longest
from typing import NoReturn

import msgspec

from domain.fields import Side

_NS = 1_000_000_000
_EMPTY_PX = 9_999_999_999
_MESSAGE_COLUMNS = 6


class TapeKind(IntEnum):
    """Column 2 of a message."""

    SUBMITTED = 1
    REDUCED = 2
    DELETED = 3
    EXECUTED = 4
    EXECUTED_HIDDEN = 5
    CROSSED = 6  # a cross trade, such as an auction's
    HALTED = 7  # price -1: halted, 0: quoting resumes, 1: trading resumes


class TapeError(ValueError):
    """A line that is not what the format says; the text names file, line, value and what was expected."""


class TapeRow(msgspec.Struct, frozen=True, gc=False):
    """One message and the book after it. `time_ns` counts from midnight; levels are [(px, qty)], the best first."""

    time_ns: int
    kind: TapeKind
    order_id: int
    qty: int
    px: int
    side: Side  # of the resting order
    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]
    levels: int  # that the file shows on each side at most


def read_tape(
    messages: Iterable[str], book: Iterable[str], messages_name: str = "messages", book_name: str = "orderbook"
) -> Iterator[TapeRow]:
    """The rows of a day, one at a time as they are asked for; TapeError at the first bad line."""
    last_ns = 0
    book_lines = _Lines(book, book_name)
    message_lines = _Lines(messages, messages_name)
    for message_line, book_line in zip_longest(message_lines, book_lines):
        if message_line is None:
            book_lines.fail("another line", "the end: the other file has no more messages")
        if book_line is None:
            message_lines.fail("another line", "the end: the other file has no more books")
        time_ns, kind, order_id, qty, px, side = _message(message_line, message_lines)
        if time_ns < last_ns:
            message_lines.fail(message_line[0], f"a time not before that of the last line, {last_ns / _NS}")
        last_ns = time_ns
        bids, asks = _book(book_line, book_lines)
        yield TapeRow(time_ns, kind, order_id, qty, px, side, bids, asks, len(book_line) // 4)


class _Lines:
    """The lines of a file, split into columns, without its header; knows where it is, to say so in an error."""

    def __init__(self, lines: Iterable[str], name: str) -> None:
        self._lines = lines
        self._name = name
        self._number = 0

    def __iter__(self) -> Iterator[list[str]]:
        for line in self._lines:
            self._number += 1
            columns = line.strip().split(",")
            if self._number == 1 and columns[0][:1].isalpha():
                continue  # the header
            yield columns

    def fail(self, value: str, expected: str) -> NoReturn:
        raise TapeError(f"{self._name}, line {self._number}: {value!r} found, expected {expected}")

    def integer(self, text: str, what: str) -> int:
        try:
            return int(text)
        except ValueError:
            self.fail(text, f"an integer for the {what}")


def _message(columns: list[str], lines: _Lines) -> tuple[int, TapeKind, int, int, int, Side]:
    if len(columns) != _MESSAGE_COLUMNS:
        lines.fail(",".join(columns), f"{_MESSAGE_COLUMNS} columns: time, type, order id, size, price, direction")
    seconds, _, fraction = columns[0].partition(".")
    if not seconds.isdecimal() or (fraction and not fraction.isdecimal()):
        lines.fail(columns[0], "seconds after midnight")
    # Files that went through a spreadsheet or a float carry decimals below the nanosecond: they say nothing.
    time_ns = int(seconds) * _NS + int(fraction[:9].ljust(9, "0"))
    number = lines.integer(columns[1], "type")
    if number not in _KINDS:
        lines.fail(columns[1], f"a type from {min(TapeKind)} to {max(TapeKind)}")
    kind = _KINDS[number]
    order_id = lines.integer(columns[2], "order id")
    qty, px = lines.integer(columns[3], "size"), lines.integer(columns[4], "price")
    if columns[5] not in _SIDES:
        lines.fail(columns[5], "a direction of 1 or -1")
    if kind is not TapeKind.HALTED:
        if qty <= 0:
            lines.fail(columns[3], "a size above 0")
        if px <= 0:
            lines.fail(columns[4], "a price above 0")
    return time_ns, kind, order_id, qty, px, _SIDES[columns[5]]


def _book(columns: list[str], lines: _Lines) -> tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]:
    if len(columns) % 4 or len(columns) < 4:
        lines.fail(",".join(columns), "4 columns for each level: ask price, ask size, bid price, bid size")
    try:
        values = [int(column) for column in columns]
    except ValueError:
        bad = next(column for column in columns if not column.lstrip("-").isdecimal())
        lines.fail(bad, "an integer for a price or a size")
    asks = tuple(level for level in zip(values[0::4], values[1::4], strict=True) if level[0] != _EMPTY_PX)
    bids = tuple(level for level in zip(values[2::4], values[3::4], strict=True) if level[0] != -_EMPTY_PX)
    _check_side(asks, 1, lines)
    _check_side(bids, -1, lines)
    return bids, asks


def _check_side(levels: tuple[tuple[int, int], ...], sign: int, lines: _Lines) -> None:
    last_px = 0
    for px, qty in levels:
        if qty <= 0 or px <= 0:
            lines.fail(f"{px},{qty}", "a price and a size above 0")
        if last_px and (px - last_px) * sign <= 0:
            lines.fail(str(px), f"a price further from the market than {last_px}")
        last_px = px


_KINDS = {int(kind): kind for kind in TapeKind}
_SIDES = {"1": Side.BUY, "-1": Side.SELL}
