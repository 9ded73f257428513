"""What a message must be like beyond what the session itself needs of it: each rule, and which of them are on.

A message is first looked at as a whole, with sets; only one in which something is amiss, or which has repeating groups,
is walked field by field to find the first fault. Rules and reasons are those of the FIX specification's session-level
test cases 14 and 15.
"""

from typing import NamedTuple

import msgspec

from fix.dictionary import Dictionary, Group, MessageLayout
from fix.errors import FieldError, SessionRejectReason
from fix.formats import Check, format_check, value_check
from fix.message import Message

_REASON = SessionRejectReason
_FIRST_USER_TAG = 5000
_MAX_TAG_DIGITS = 9  # of what is a number to us, and to a RefTagID(371)


class Validation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which rules a session applies to what it receives; the default is what an order router can live with.

    `exact_answers`: answers are as the specification's test cases have them and say no more. Text(58) of a Reject(3) is
    the name of the reason; a Logon(A) from the wrong peer ends in silence; and a Logout(5) over a fault waits for the
    peer's. Otherwise Text(58) names the field, its value and what was wrong with it.
    """

    begin_string: bool = True
    body_length: bool = True  # False: a message ends at its CheckSum(10), wherever BodyLength(9) points
    check_sum: bool = True
    comp_ids: bool = True
    sending_time: bool = True
    msg_type: bool = True  # known to the version
    empty_values: bool = True  # False: let through
    repeated_tags: bool = True
    defined_tags: bool = False  # by the version
    user_defined_tags: bool = True  # those from 5000 on may be undefined; False: they must be in the dictionary
    message_tags: bool = False  # defined for this message
    required_tags: bool = False
    formats: bool = False  # by data type
    enumerations: bool = False
    field_order: bool = False  # header, body, trailer
    groups: bool = False  # counts, first fields, order, nested groups
    exact_answers: bool = False

    @property
    def looks_inside(self) -> bool:
        """Whether any rule needs the dictionary."""
        rules = (self.defined_tags, self.message_tags, self.required_tags, self.formats, self.enumerations)
        return any(rules) or self.field_order or self.groups or not self.user_defined_tags


LENIENT = Validation()
FULL = Validation(
    user_defined_tags=False,
    **dict.fromkeys(
        ("defined_tags", "message_tags", "required_tags", "formats", "enumerations", "field_order", "groups"), True
    ),
    exact_answers=True,
)


def _is_users(tag: str) -> bool:
    return len(tag) > _MAX_TAG_DIGITS or int(tag) >= _FIRST_USER_TAG


class _Rules(NamedTuple):
    """What is needed at once for one type of message."""

    layout: MessageLayout
    required: frozenset[str]  # of header, body and trailer
    checks: dict[str, Check]  # of the fields that have any


class Validator:
    """`fault` of each message of a session, under one dictionary."""

    def __init__(self, validation: Validation, dictionary: Dictionary) -> None:
        self.validation = validation
        self.dictionary = dictionary
        self._rules: dict[str, _Rules] = {}
        self._formats: dict[str, Check | None] = {}
        self._values: dict[str, Check | None] = {}
        self._looks_inside = validation.looks_inside

    def fault(self, message: Message) -> FieldError | None:
        """The first thing that is wrong with the message, as far as the rules are on."""
        if (defect := message.defect) is not None:
            if not self._forgives(defect):
                return defect
            # The first defect hides those behind it.
            for tag in message.tags:
                if not tag.isdecimal() or len(tag) > _MAX_TAG_DIGITS:
                    return FieldError(0, None, _REASON.INVALID_TAG_NUMBER, f"{tag!r} is not a tag number")
        if not self._looks_inside:
            return None
        rules = self._rules.get(message.msg_type)
        if rules is None:
            layout = self.dictionary.messages.get(message.msg_type)
            if layout is None:
                return None  # nothing is known of it
            rules = self._rules[message.msg_type] = self._make_rules(layout)
        if self._is_plainly_right(message, rules):
            return None
        return self._first_fault(message, rules)

    def _forgives(self, defect: FieldError) -> bool:
        match defect.reason:
            case _REASON.TAG_WITHOUT_VALUE:
                return not self.validation.empty_values
            case _REASON.TAG_APPEARS_MORE_THAN_ONCE:
                return not self.validation.repeated_tags
            case _REASON.REQUIRED_TAG_MISSING | _REASON.INCORRECT_DATA_FORMAT:
                return not self.validation.sending_time and defect.tag == 52
        return False

    def _make_rules(self, layout: MessageLayout) -> _Rules:
        validation = self.validation
        required = layout.required | self.dictionary.required if validation.required_tags else frozenset[str]()
        checks = {tag: check for tag in layout.tags if (check := self._check(tag)) is not None}
        return _Rules(layout, required, checks)

    def _check(self, tag: str) -> Check | None:
        """Format and values of a field in one."""
        form, values = self._format_check(tag), self._value_check(tag)
        if form is None or values is None:
            return form or values
        return lambda text: form(text) and values(text)

    def _format_check(self, tag: str) -> Check | None:
        if tag not in self._formats:
            self._formats[tag] = format_check(self.dictionary.fields[tag].type) if self.validation.formats else None
        return self._formats[tag]

    def _value_check(self, tag: str) -> Check | None:
        if tag not in self._values:
            # A BOOLEAN's list says nothing that its format doesn't.
            field = self.dictionary.fields[tag]
            wanted = self.validation.enumerations and field.type != "BOOLEAN"
            self._values[tag] = value_check(field) if wanted else None
        return self._values[tag]

    def _is_plainly_right(self, message: Message, rules: _Rules) -> bool:
        """Every field known to the message, none twice, all in order, no groups, all values right."""
        fields, tags, layout = message.fields, message.tags, rules.layout
        if len(fields) != len(tags) or not rules.required <= fields.keys() or not fields.keys() <= layout.own_tags:
            return False
        if not layout.groups.keys().isdisjoint(fields):
            return False
        if self.validation.field_order:
            header, trailer = self.dictionary.header, self.dictionary.trailer
            head = len(header & fields.keys())
            tail = len(trailer & fields.keys())
            if not header.issuperset(tags[:head]) or not trailer.issuperset(tags[-tail:]):
                return False
        get = rules.checks.get
        for tag, value in zip(tags, message.values):  # noqa: B905 - as many values as tags
            check = get(tag)
            if check is not None and not check(value):
                return False
        return True

    # --- what exactly is wrong ---

    def _first_fault(self, message: Message, rules: _Rules) -> FieldError | None:
        walk = _Walk(self, message, rules.layout)
        return (
            (walk.order_fault() if self.validation.field_order else None)
            or walk.missing(rules.required)
            or walk.fields_fault()
        )

    def value_fault(self, tag: str, value: str) -> FieldError | None:
        """What is wrong with a value by itself."""
        form, values = self._format_check(tag), self._value_check(tag)
        if form is not None and not form(value):
            return self.error(tag, value, _REASON.INCORRECT_DATA_FORMAT, f"is no {self.dictionary.fields[tag].type}")
        if values is not None and not values(value):
            return self.error(tag, value, _REASON.VALUE_INCORRECT, "is not a value of this field")
        return None

    def error(self, tag: str, value: str | None, reason: SessionRejectReason, why: str) -> FieldError:
        field = self.dictionary.fields.get(tag)
        label = f"{field.name}({tag})" if field else f"tag {tag}"
        shown = label if value is None else f"{label}={value}"
        if len(tag) > _MAX_TAG_DIGITS:
            return FieldError(0, value, reason, f"{shown} {why}")
        return FieldError(int(tag), value, reason, f"{shown} {why}", ref_tag=tag)


class _Walk:
    """One message, field by field."""

    def __init__(self, validator: Validator, message: Message, layout: MessageLayout) -> None:
        self._validator = validator
        self._validation = validator.validation
        self._error = validator.error
        self._message = message
        self._dictionary = message.dictionary
        self._layout = layout
        self._at = 0

    def order_fault(self) -> FieldError | None:
        """Header, body, trailer: the first field that comes after one of a later part."""
        header, trailer = self._dictionary.header, self._dictionary.trailer
        part = 0
        for tag, value in zip(self._message.tags, self._message.values, strict=True):
            own_part = 0 if tag in header else 2 if tag in trailer else 1
            if own_part < part:
                return self._error(tag, value, _REASON.TAG_OUT_OF_ORDER, "comes too late")
            part = own_part
        return None

    def missing(self, required: frozenset[str]) -> FieldError | None:
        absent = required - self._message.fields.keys()
        if not absent:
            return None
        order = [*self._dictionary.header, *self._layout.members, *self._dictionary.trailer]
        tag = min(absent, key=lambda tag: (tag not in self._dictionary.header, order.index(tag)))
        return self._error(tag, None, _REASON.REQUIRED_TAG_MISSING, "is missing")

    def fields_fault(self) -> FieldError | None:
        """The first field that is wrong, its group included."""
        tags, values, layout = self._message.tags, self._message.values, self._layout
        seen: set[str] = set()
        self._at = 0
        while self._at < len(tags):
            tag, value = tags[self._at], values[self._at]
            self._at += 1
            if tag in seen and self._validation.repeated_tags:
                return self._error(tag, value, _REASON.TAG_APPEARS_MORE_THAN_ONCE, "appears more than once")
            seen.add(tag)
            fault = self._tag_fault(tag, value)
            if fault is None and tag in self._dictionary.fields:
                fault = self._value_fault(tag, value)
            if fault is None and self._validation.groups and (group := layout.groups.get(tag)) is not None:
                fault = self._group_fault(tag, value, group)
            if fault is not None:
                return fault
        return None

    def _tag_fault(self, tag: str, value: str) -> FieldError | None:
        """Whether the field may stand at the message's own level at all."""
        validation = self._validation
        if tag in self._layout.own_tags:
            return None
        if tag not in self._dictionary.fields:
            rule = not validation.user_defined_tags if _is_users(tag) else validation.defined_tags
            return self._error(tag, value, _REASON.INVALID_TAG_NUMBER, "is not defined") if rule else None
        if _is_users(tag) and validation.user_defined_tags:
            return None
        if tag in self._layout.tags and not validation.groups:
            return None
        if not validation.message_tags:
            return None
        why = f"is not defined for {self._layout.name}"
        return self._error(tag, value, _REASON.TAG_NOT_DEFINED_FOR_MESSAGE, why)

    def _value_fault(self, tag: str, value: str) -> FieldError | None:
        if not value:
            return None  # forgiven, or a defect of the message before
        return self._validator.value_fault(tag, value)

    def _group_fault(self, count_tag: str, text: str, group: Group) -> FieldError | None:
        """Walks over the entries of a group; the position is behind them when all is well."""
        tags, values = self._message.tags, self._message.values
        count = int(text) if text.isdecimal() and len(text) < 10 else 0
        entries = 0
        if count and self._at < len(tags) and tags[self._at] != group.delimiter and tags[self._at] in group.tags:
            tag, value = tags[self._at], values[self._at]
            why = f"is the first field of group {count_tag}, which begins with {group.delimiter}"
            return self._error(tag, value, _REASON.GROUP_FIELDS_OUT_OF_ORDER, why)
        while self._at < len(tags) and tags[self._at] == group.delimiter:
            entries += 1
            if (fault := self._entry_fault(count_tag, group)) is not None:
                return fault
        if entries != count:
            why = f"but the group has {entries} entries"
            return self._error(count_tag, text, _REASON.INCORRECT_NUM_IN_GROUP, why)
        return None

    def _entry_fault(self, count_tag: str, group: Group) -> FieldError | None:
        tags, values = self._message.tags, self._message.values
        places = {tag: place for place, tag in enumerate(group.members)}
        seen: set[str] = set()
        last = -1
        while self._at < len(tags):
            tag, value = tags[self._at], values[self._at]
            place = places.get(tag)
            if place is None and tag not in self._layout.tags:
                if (fault := self._tag_fault(tag, value)) is not None:
                    return fault
                self._at += 1  # user-defined
                continue
            if place is None or (tag == group.delimiter and seen):
                break
            if tag in seen:
                return self._error(tag, value, _REASON.TAG_APPEARS_MORE_THAN_ONCE, "appears twice in an entry")
            if place < last:
                why = f"stands behind {group.members[last]} in group {count_tag}"
                return self._error(tag, value, _REASON.GROUP_FIELDS_OUT_OF_ORDER, why)
            last = place
            seen.add(tag)
            self._at += 1
            fault = self._value_fault(tag, value)
            if fault is None and (nested := group.groups.get(tag)) is not None:
                fault = self._group_fault(tag, value, nested)
            if fault is not None:
                return fault
        absent = group.required - seen if self._validation.required_tags else None
        if absent:
            tag = min(absent, key=group.members.index)
            return self._error(tag, None, _REASON.REQUIRED_TAG_MISSING, f"is missing in an entry of group {count_tag}")
        return None
