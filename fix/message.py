"""One message as it came in: its fields, and the header that the session needs, read once.

`parse` never fails. What breaks the rules for fields is kept in `defect`, because the session must look at CompIDs and
MsgSeqNum(34) first: a message with a bad field still takes its place in the sequence.
"""

import re
from collections.abc import Mapping

from fix.dictionary import DATA_LENGTHS, FIX4_DATA_LENGTHS, Dictionary, Group, MessageLayout, typed_dictionary
from fix.errors import FieldError, SessionRejectReason
from fix.shapes import Shape, has_room, split_group
from fix.values import read_int, read_timestamp

_PASSWORDS = re.compile(rb"(?<=\x01)((?:554|925|1402|1404)=)[^\x01]*")
_NUMBER = re.compile(r"-?\d{1,9}")
_LEAST = len("=|=|=|")  # BeginString(8), BodyLength(9) and MsgType(35)
_NO_TEXTS: list[str] = []
_NOT_SKELETON = bytes(byte for byte in range(256) if byte not in b"=\x01")


def masked(raw: bytes) -> bytes:
    """The message with passwords replaced, for logs and the journal. BodyLength(9) and CheckSum(10) no longer fit."""
    return _PASSWORDS.sub(rb"\1***", raw)


Entry = dict[int, "str | list[Entry]"]


class Message:
    """`tags` and `values` are the fields in order; `fields` holds those outside groups. Keys are tags as text.

    A header field that is missing or unreadable is "" or 0; `defect` says what is wrong with it. `version` is that of
    the application messages. Of a message in a known shape `parts` is all that there is until somebody asks for more.
    """

    __slots__ = (
        "_dictionary",
        "_fields",
        "_parts",
        "_shape",
        "_tags",
        "_values",
        "begin_string",
        "defect",
        "msg_seq_num",
        "msg_type",
        "poss_dup",
        "poss_resend",
        "raw",
        "sender_comp_id",
        "sending_time_ns",
        "target_comp_id",
        "version",
    )

    def __init__(
        self,
        raw: bytes,
        parts: list[str],
        shape: Shape | None,
        tags: list[str],
        values: list[str],
        fields: dict[str, str] | None,
        defect: FieldError | None,
        dictionary: Dictionary | None,
    ) -> None:
        self.raw = raw
        self.defect = defect
        self._dictionary = dictionary
        self._parts = parts
        self._shape = shape
        self._tags = tags
        self._values = values
        self._fields = fields
        if shape is not None:
            self.begin_string = parts[shape.begin_string]
            self.msg_type = parts[5]
            self.sender_comp_id = parts[shape.sender_comp_id]
            self.target_comp_id = parts[shape.target_comp_id]
            self.poss_dup = parts[shape.poss_dup] == "Y"
            self.poss_resend = parts[shape.poss_resend] == "Y"
            number, time = parts[shape.msg_seq_num], parts[shape.sending_time]
        else:
            assert fields is not None  # there are either
            get = fields.get
            self.begin_string = get("8", "")
            self.msg_type = get("35", "")
            self.sender_comp_id = get("49", "")
            self.target_comp_id = get("56", "")
            self.poss_dup = get("43") == "Y"
            self.poss_resend = get("97") == "Y"
            number, time = get("34", ""), get("52", "")
        self.version = self.begin_string if dictionary is None else dictionary.name
        self.msg_seq_num = int(number) if number.isdecimal() and len(number) < 19 else 0
        self.sending_time_ns = 0
        try:
            self.sending_time_ns = read_timestamp(time)
        except ValueError:
            self.defect = defect or _header_defect(self.fields)

    @property
    def fields(self) -> dict[str, str]:
        found = self._fields
        if found is None:
            # As many values as tags; strict costs 0.2 us.
            found = self._fields = dict(zip(self._parts[:-1:2], self._parts[1::2]))  # noqa: B905
        return found

    @property
    def tags(self) -> list[str]:
        return self._shape.tags if self._shape is not None else self._tags

    @property
    def values(self) -> list[str]:
        return self._parts[1::2] if self._shape is not None else self._values

    @property
    def dictionary(self) -> Dictionary:
        """The one it was parsed with; what the typed messages speak where none was given."""
        return self._dictionary or typed_dictionary(self.begin_string)

    def get(self, tag: int) -> str | None:
        """The text of a field, the first where it is repeated."""
        return self.fields.get(str(tag))

    def group(self, count_tag: int) -> list[Entry]:
        """The entries of a repeating group, [] if it isn't there; FieldError if its shape is broken.

        Under the count field of a group within a group stands the list of its entries.
        """
        key = str(count_tag)
        layout = self.dictionary.messages.get(self.msg_type)
        group = layout.groups.get(key) if layout else None
        if group is None or not group.groups or key not in self.fields:
            return [{_number(tag): value for tag, value in entry.items()} for entry in self.entries(count_tag)]
        if self.defect is not None:
            raise self.defect
        assert layout is not None  # it has the group
        found, _ = _read_group(self.tags, self.values, self.tags.index(key), group, layout.own_tags)
        return found

    def entries(self, count_tag: int) -> list[dict[str, str]]:
        """The entries with tags as text and without a depth: a field of groups within them keeps its last value.

        An entry begins with the group's first field; the last one ends at a field of the message's own level.
        """
        if self.defect is not None:
            raise self.defect
        key = str(count_tag)
        text = self.fields.get(key)
        if text is None:
            return []
        reason = SessionRejectReason
        try:
            count = read_int(text)
        except ValueError:
            raise FieldError(count_tag, text, reason.INCORRECT_DATA_FORMAT, f"{count_tag}={text} is no count") from None
        layout = self.dictionary.messages.get(self.msg_type)
        group = layout.groups.get(key) if layout else None
        own_level = layout.own_tags if layout else frozenset[str]()
        tags, values = self.tags, self.values
        start = tags.index(key) + 1
        delimiter = group.delimiter if group else "".join(tags[start : start + 1])
        entries = split_group(tags[start:], values[start:], delimiter, group, own_level)
        if entries is None:
            tag = tags[start]
            text = f"the first field of group {count_tag} is {tag}, not {delimiter}"
            raise FieldError(_number(tag), values[start], reason.GROUP_FIELDS_OUT_OF_ORDER, text)
        if len(entries) != count:
            text = f"{count_tag}={count} but the group has {len(entries)} entries"
            raise FieldError(count_tag, str(count), reason.INCORRECT_NUM_IN_GROUP, text)
        return entries

    def rows(self, wanted: tuple[str, ...]) -> list[tuple[str, ...]]:
        """The entries of a group as texts, "" for what is not there: `wanted` is its count field's tag, then theirs.

        FieldError as `entries` has it. For a group that comes thousands of times a second.
        """
        shape = self._shape
        if shape is not None and self.defect is None and (known := shape.rows_of(wanted)) is not None:
            parts = self._parts
            place, count, rows = known
            if parts[place] == count:
                return [row(parts) for row in rows]
        return [tuple([entry.get(tag, "") for tag in wanted[1:]]) for entry in self.entries(_number(wanted[0]))]


def _read_group(
    tags: list[str], values: list[str], at: int, group: Group, outside: frozenset[str]
) -> tuple[list[Entry], int]:
    """The entries of the group whose count field is at `at`, and the index behind them.

    `outside`: what ends it; a field that the dictionary does not know belongs to the entry that it follows.
    """
    key, text = tags[at], values[at]
    reason = SessionRejectReason
    try:
        count = read_int(text)
    except ValueError:
        raise FieldError(_number(key), text, reason.INCORRECT_DATA_FORMAT, f"{key}={text} is no count") from None
    entries: list[Entry] = []
    at += 1
    while at < len(tags) and (tags[at] in group.tags or tags[at] not in outside):
        tag = tags[at]
        if tag == group.delimiter:
            entries.append({})
        elif not entries:
            raise FieldError(
                _number(tag),
                values[at],
                reason.GROUP_FIELDS_OUT_OF_ORDER,
                f"the first field of group {key} is {tag}, not {group.delimiter}",
            )
        nested = group.groups.get(tag)
        if nested is None:
            entries[-1][_number(tag)] = values[at]
            at += 1
        else:
            entries[-1][_number(tag)], at = _read_group(tags, values, at, nested, outside | group.tags)
    if len(entries) != count:
        said = f"{key}={count} but the group has {len(entries)} entries"
        raise FieldError(_number(key), text, reason.INCORRECT_NUM_IN_GROUP, said)
    return entries, at


def _number(tag: str) -> int:
    """0 for what is no tag; nobody has tags of ten digits."""
    return int(tag) if tag.isdecimal() and len(tag) < 10 else 0


def parse(raw: bytes, dictionary: Dictionary | None = None) -> Message:
    """The fields of a frame, which must have come from a Framer: whole, with a CheckSum(10) that fits.

    `dictionary` says what is a data field and what belongs to a group; by default, that of the message's BeginString.
    """
    text = raw.decode("latin-1")
    # Exactly one "=" in each field, seen from the separators alone: then one split does for both. The rest of the
    # messages (a "=" inside a value, data fields, broken ones) goes the longer way.
    skeleton = raw.translate(None, _NOT_SKELETON)
    regular = skeleton == b"=\x01" * (len(skeleton) >> 1)
    if dictionary is None or not regular or len(skeleton) < _LEAST or b"=\x01" in raw:
        return _parse_slowly(raw, text, regular, dictionary)
    parts = text.replace("=", "\x01").split("\x01")
    # A shape is known by MsgType(35), which is the third field of every frame, and all tags but the first.
    parts[0] = parts[5]
    key = tuple(parts[:-1:2])
    parts[0] = "8"
    shape = dictionary.shapes.get(key)
    if shape is not None:
        return Message(raw, parts, shape, _NO_TEXTS, _NO_TEXTS, None, None, dictionary)
    message = _parse_slowly(raw, text, regular, dictionary)
    if message.defect is None and has_room(dictionary.shapes, key) and text.startswith("8=") and key[2] == "35":
        tags, layout = message.tags, dictionary.messages.get(message.msg_type)
        if dictionary.data_lengths.keys().isdisjoint(tags) and (layout is not None or len(set(tags)) == len(tags)):
            dictionary.shapes[key] = Shape(tags, layout)
    return message


def _parse_slowly(raw: bytes, text: str, regular: bool, dictionary: Dictionary | None) -> Message:
    defect: FieldError | None = None
    if dictionary is not None:
        lengths = dictionary.data_lengths
    else:
        lengths = DATA_LENGTHS if text.startswith("8=FIXT") else FIX4_DATA_LENGTHS
    if regular:
        parts = text.replace("=", "\x01").split("\x01")
        tags, values = parts[:-1:2], parts[1::2]
        fields = dict(zip(tags, values))  # noqa: B905 - as above
    if not regular or not fields.keys().isdisjoint(lengths):
        tags, values, defect = _split_with_data(text, lengths)
        fields = dict(zip(tags, values, strict=True))
    if defect is None and ("" in values or "" in fields or not "".join(tags).isdecimal()):
        defect = _bad_field(tags, values)
    if len(fields) != len(tags):
        layouts = (dictionary or typed_dictionary(values[0])).messages
        layout = layouts.get(values[tags.index("35")]) if "35" in fields else None
        repeated = _repeated_field(tags, values, fields, layout)
        if repeated is not None or layout is None:
            # The first of a repeated field counts, so that nothing behind can overrule the header.
            fields = dict(zip(reversed(tags), reversed(values), strict=True))
        defect = defect or repeated
    return Message(raw, _NO_TEXTS, None, tags, values, fields, defect, dictionary)


def _split_with_data(text: str, lengths: Mapping[str, str]) -> tuple[list[str], list[str], FieldError | None]:
    """Field by field: a data field is as long as the length field before it says, whatever bytes it holds."""
    tags: list[str] = []
    values: list[str] = []
    position = 0
    defect: FieldError | None = None
    data_tag, data_size = "", 0
    while position < len(text):
        equals = text.find("=", position)
        tag = text[position:equals] if equals >= 0 else ""
        if tag and tag == data_tag and text[equals + 1 + data_size : equals + 2 + data_size] == "\x01":
            end = equals + 1 + data_size
        else:
            end = text.find("\x01", position)
            if not 0 < equals < end:
                piece = text[position:end]
                reason = SessionRejectReason.INVALID_TAG_NUMBER
                defect = defect or FieldError(0, piece, reason, f"{piece!r} is not tag=value")
                position = end + 1
                continue
        value = text[equals + 1 : end]
        tags.append(tag)
        values.append(value)
        data_tag = lengths.get(tag, "")
        data_size = int(value) if data_tag and value.isdecimal() and len(value) < 8 else -1
        if data_size < 0:
            data_tag = ""
        position = end + 1
    return tags, values, defect


def _header_defect(fields: dict[str, str]) -> FieldError:
    text = fields.get("52")
    if text is None:
        return FieldError(52, None, SessionRejectReason.REQUIRED_TAG_MISSING, "SendingTime(52) is missing")
    reason = SessionRejectReason.INCORRECT_DATA_FORMAT
    return FieldError(52, text, reason, f"SendingTime(52)={text} is not a UTC timestamp")


def _bad_field(tags: list[str], values: list[str]) -> FieldError | None:
    """The first field without a tag number or a value."""
    reason = SessionRejectReason
    for tag, value in zip(tags, values, strict=True):
        if not _number(tag):
            ref_tag = tag if _NUMBER.fullmatch(tag) else ""
            return FieldError(0, value, reason.INVALID_TAG_NUMBER, f"{tag!r} is not a tag number", ref_tag=ref_tag)
        if not value:
            return FieldError(_number(tag), "", reason.TAG_WITHOUT_VALUE, f"tag {tag} has no value")
    return None


def _repeated_field(
    tags: list[str], values: list[str], fields: dict[str, str], layout: MessageLayout | None
) -> FieldError | None:
    """The first field that is there twice and belongs to no group. Of a message without a layout nobody can say."""
    if layout is None:
        return None
    if not layout.groups.keys().isdisjoint(fields):
        tags = [tag for tag in tags if tag in layout.own_tags]
    if len(set(tags)) == len(tags):
        return None
    tag = next(tag for index, tag in enumerate(tags) if tag in tags[:index])
    reason = SessionRejectReason.TAG_APPEARS_MORE_THAN_ONCE
    return FieldError(_number(tag), fields[tag], reason, f"tag {tag} appears more than once")
