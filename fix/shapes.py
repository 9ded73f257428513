"""What the tags of a message say about it, whatever its values are, worked out once.

A peer's messages come in few shapes: the same fields in the same order. Whether all its tags are numbers, none is there
twice, where the header's fields stand and where those of each entry of a group, follows from MsgType(35) and the tags
alone. A dictionary keeps the shapes in which it saw messages that were right; any other message is taken apart field by
field.
"""

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from fix.dictionary.layout import Group, MessageLayout

T = TypeVar("T")
MISSING = -1  # the place of a field that is not there: a split message ends with an empty text
_MAX_SHAPES, _MAX_TAGS = 1024, 128  # of a dictionary, of a shape: who sends ever new ones costs no more than 10 MB

Row = Callable[[Sequence[str]], tuple[str, ...]]


class Shape:
    """Places are indices into a message that was split at each "=" and SOH: tag, value, tag, value, ..., ""."""

    __slots__ = (
        "begin_string",
        "layout",
        "msg_seq_num",
        "poss_dup",
        "poss_resend",
        "rows",
        "sender_comp_id",
        "sending_time",
        "tags",
        "target_comp_id",
    )

    def __init__(self, tags: list[str], layout: "MessageLayout | None") -> None:
        self.tags = tags
        self.layout = layout
        self.begin_string = self.place("8")
        self.msg_seq_num = self.place("34")
        self.sender_comp_id = self.place("49")
        self.target_comp_id = self.place("56")
        self.sending_time = self.place("52")
        self.poss_dup = self.place("43")
        self.poss_resend = self.place("97")
        self.rows: dict[tuple[str, ...], tuple[int, str, list[Row]] | None] = {}

    def place(self, tag: str) -> int:
        """Of its value; where a group repeats it, of the last one."""
        tags = self.tags
        return 2 * (len(tags) - 1 - tags[::-1].index(tag)) + 1 if tag in tags else MISSING

    def rows_of(self, wanted: tuple[str, ...]) -> tuple[int, str, list[Row]] | None:
        """`wanted`: the tag of a group's count field and those of its entries to read.

        The place of the count, the text that it must be, and for each entry what picks the texts; None if the group
        isn't there or its shape is broken.
        """
        if wanted not in self.rows:
            self.rows[wanted] = self._find(wanted)
        return self.rows[wanted]

    def _find(self, wanted: tuple[str, ...]) -> tuple[int, str, list[Row]] | None:
        tags, count_tag = self.tags, wanted[0]
        group = self.layout.groups.get(count_tag) if self.layout else None
        if group is None or tags.count(count_tag) != 1:
            return None
        assert self.layout is not None  # it has the group
        places = list(range(1, 2 * len(tags), 2))
        at = tags.index(count_tag)
        found = split_group(tags[at + 1 :], places[at + 1 :], group.delimiter, group, self.layout.own_tags)
        if found is None:
            return None
        rows: list[Row] = [itemgetter(*[entry.get(tag, MISSING) for tag in wanted[1:]]) for entry in found]
        return places[at], str(len(rows)), rows


def has_room(shapes: Mapping[tuple[str, ...], Shape], key: tuple[str, ...]) -> bool:
    return len(shapes) < _MAX_SHAPES and len(key) <= _MAX_TAGS


def split_group(
    tags: Sequence[str], items: Sequence[T], delimiter: str, group: "Group | None", own_level: frozenset[str]
) -> list[dict[str, T]] | None:
    """The entries that begin a list of fields, `items` by tag; None if the first is not the delimiter.

    An entry begins with the delimiter; the last one ends at a field of the message's own level. What stands twice in an
    entry, in groups within it, keeps its last item.
    """
    entries: list[dict[str, T]] = []
    for tag, item in zip(tags, items, strict=True):
        if tag == delimiter:
            entries.append({tag: item})
        elif tag in own_level and not (group and tag in group.tags):
            break
        elif entries:
            entries[-1][tag] = item
        else:
            return None
    return entries
