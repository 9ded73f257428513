"""Turns the dictionary and the structs of `fix.messages` into decoders and encoders, once for each message and version.

Both are straight-line functions written here as source and compiled on first use, as dataclasses does: a table that is
walked for each message costs two to three times as much, and encoding and decoding are most of what a gateway does.
What goes wrong in the compiled path is looked at again, slowly, field by field, to name the tag and the value.
"""

import re
from collections.abc import Callable
from enum import StrEnum
from typing import Any, NamedTuple, TypeVar, get_args

import msgspec

from fix.dictionary import Field, Group, typed_dictionary
from fix.errors import FieldError, LocalProtocolError, SessionRejectReason
from fix.message import Message
from fix.values import (
    read_decimal,
    read_int,
    read_px,
    read_qty,
    read_text,
    read_timestamp,
    timestamp_writer,
    write_px,
)

T = TypeVar("T", bound=msgspec.Struct)
Encoder = Callable[[Any], bytes]

# Attributes that carry a whole group, and those of its entries whose FIX name repeats the name of the group.
_GROUP_TAGS = {
    "entries": "268",
    "strategy_parameters": "957",
    "md_entry_types": "267",
    "symbols": "146",
    "lines": "33",
    "related": "146",
    "quote_entries": "295",
    "parties": "453",
}
_ENTRY_TAGS = {"name": "958", "type": "959", "value": "960"}
# What FIX.4.0 to 4.2 and to 4.3 called otherwise.
_RENAMED = {"LastShares": "last_qty", "PegDifference": "peg_offset_value"}
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
# FIX.4.0 and 4.1 have prices of type FLOAT, quantities of type INT and timestamps of type TIME.
_READERS: dict[str, Callable[[str], Any]] = {
    "INT": read_int,
    "LENGTH": read_int,
    "SEQNUM": read_int,
    "NUMINGROUP": read_int,
    "PRICE": read_px,
    "FLOAT": read_px,
    "PRICEOFFSET": read_px,
    "QTY": read_qty,
    "UTCTIMESTAMP": read_timestamp,
    "TIME": read_timestamp,
}
TIME_DIGITS = {"FIX.4.0": 0, "FIX.4.1": 0}  # decimals of a timestamp; 3 in the other versions
_KINDS: dict[Callable[[str], Any], str] = {read_px: "px", read_timestamp: "ns"}
# Texts that are of use only if they are among the version's values. Others may hold several values, or be by agreement.
_CLOSED = frozenset({"20", "21", "263", "265", "269", "279"})


class Attribute(NamedTuple):
    """One attribute of a struct, as one version sends it."""

    name: str
    tag: str
    fix_name: str
    read: Callable[[str], Any]
    kind: str  # "text", "int", "px", "ns", "enum", "group", "texts"
    required: bool  # the version or the struct requires it
    default: Any
    values: frozenset[str]  # all that the version defines
    enum: type[StrEnum] | None
    entry: type[msgspec.Struct] | None  # of a group


def snake_case(name: str) -> str:
    """ClOrdID -> cl_ord_id."""
    return _WORDS.sub("_", name).lower()


def attributes(
    cls: type[msgspec.Struct], members: tuple[str, ...], required: frozenset[str], begin_string: str
) -> list[Attribute]:
    """The attributes that are among `members`, a version's fields of a message or of a group's entry, in that order."""
    known = typed_dictionary(begin_string).fields
    tags = {_attribute_name(known[tag]): tag for tag in members} | _GROUP_TAGS | _ENTRY_TAGS
    infos = {tags[info.name]: info for info in msgspec.structs.fields(cls) if info.name in tags}
    return [_attribute(infos[tag], known[tag], tag in required) for tag in members if tag in infos]


def _attribute_name(field: Field) -> str:
    name = _RENAMED.get(field.name) or snake_case(field.name)
    return f"{name}_ns" if _READERS.get(field.type) is read_timestamp else name


def _attribute(info: msgspec.structs.FieldInfo, field: Field, required: bool) -> Attribute:
    choices = get_args(info.type)
    enum = next((kind for kind in (info.type, *choices) if isinstance(kind, type) and issubclass(kind, StrEnum)), None)
    entry: type[msgspec.Struct] | None = None
    read: Callable[[str], Any]
    if choices and choices[-1] is Ellipsis:
        entry = choices[0] if issubclass(choices[0], msgspec.Struct) else None
        kind, read = ("texts" if entry is None else "group"), read_text
    elif enum is not None:
        kind, read = "enum", _enum_reader(enum, field, type(None) in choices)
    elif info.type is str:
        kind, read = "text", read_decimal if _READERS.get(field.type) is read_px else _closed_reader(field)
    else:
        read = _READERS[field.type]
        kind = _KINDS.get(read, "int")
    default = None if info.required else info.default
    values = frozenset(field.values)
    return Attribute(
        info.name,
        str(field.tag),
        field.name,
        read,
        kind,
        required or info.required,
        default,
        values,
        enum,
        entry,
    )


def _enum_reader(enum: type[StrEnum], field: Field, optional: bool) -> Callable[[str], Any]:
    """A value that the version defines and our enum doesn't know becomes OTHER, or None where it may be missing."""
    members: dict[str, Any] = {member.value: member for member in enum if member.value in field.values}
    other = enum.__members__.get("OTHER")
    if other is not None or optional:
        members = dict.fromkeys(field.values, other) | members
    return members.__getitem__


def _closed_reader(field: Field) -> Callable[[str], str]:
    return {value: value for value in field.values}.__getitem__ if str(field.tag) in _CLOSED else read_text


def has_form(cls: type[msgspec.Struct], msg_type: str, begin_string: str) -> bool:
    """Whether the version has the message, and groups where the typed form has them: News(B) of FIX.4.0 has none."""
    layout = typed_dictionary(begin_string).messages.get(msg_type)
    if layout is None:
        return False
    found = attributes(cls, layout.members, layout.required, begin_string)
    return all(item.tag in layout.groups for item in found if item.kind in ("group", "texts"))


def decoder(cls: type[T], msg_type: str, begin_string: str) -> Callable[[Message], T]:
    """Message -> struct; raises FieldError."""
    layout = typed_dictionary(begin_string).messages[msg_type]
    found = attributes(cls, layout.members, layout.required, begin_string)
    groups: dict[str, Callable[[Message], Any]] = {}
    for attribute in found:
        if attribute.kind in ("group", "texts"):
            read_entry, entry_attributes = _entry_reader(attribute, layout.groups[attribute.tag], begin_string)
            groups[attribute.name] = _group_reader(attribute, read_entry, entry_attributes)
    decode_fields = _fields_reader(cls, found, groups)

    def decode(message: Message) -> T:
        try:
            result: T = decode_fields(message.fields, message)
        except (KeyError, ValueError) as error:
            raise _first_error(found, message.fields) or error from None
        return result

    return decode


def _fields_reader(
    cls: type[msgspec.Struct], found: list[Attribute], groups: dict[str, Callable[[Message], Any]]
) -> Callable[..., Any]:
    """(fields, message) -> struct. Arguments go by position: msgspec takes six times as long to match 28 by name."""
    by_name = {attribute.name: attribute for attribute in found}
    names: dict[str, Any] = {"cls": cls}
    arguments = []
    for info in msgspec.structs.fields(cls):
        name, attribute = info.name, by_name.get(info.name)
        names[f"default_{name}"] = info.default
        if attribute is None:
            arguments.append(f"default_{name}")
        elif name in groups:
            names[f"read_{name}"] = groups[name]
            arguments.append(f"read_{name}(message)")
        else:
            names[f"read_{name}"] = attribute.read
            arguments.append(_argument(attribute))
    return _compiled(f"def read(fields, message):\n get = fields.get\n return cls({', '.join(arguments)})", names)


def _argument(attribute: Attribute) -> str:
    name, tag, plain = attribute.name, attribute.tag, attribute.read is read_text
    if attribute.required:
        return f'fields["{tag}"]' if plain else f'read_{name}(fields["{tag}"])'
    if plain:
        return f'get("{tag}", default_{name})'
    return f'default_{name} if (text := get("{tag}")) is None else read_{name}(text)'


def _entry_reader(attribute: Attribute, group: Group, begin_string: str) -> tuple[Callable[..., Any], list[Attribute]]:
    if attribute.entry is None:
        return lambda fields, message: fields[group.delimiter], []
    found = attributes(attribute.entry, group.members, group.required, begin_string)
    return _fields_reader(attribute.entry, found, {}), found


def _group_reader(
    attribute: Attribute, read_entry: Callable[..., Any], found: list[Attribute]
) -> Callable[[Message], tuple[Any, ...]]:
    count_tag = int(attribute.tag)

    def read_group(message: Message) -> tuple[Any, ...]:
        if attribute.required and attribute.tag not in message.fields:
            raise KeyError(count_tag)
        entries = message.entries(count_tag)
        try:
            return tuple([read_entry(entry, message) for entry in entries])
        except (KeyError, ValueError):
            raise next(error for entry in entries if (error := _first_error(found, entry))) from None

    return read_group


def _first_error(found: list[Attribute], fields: dict[str, str]) -> FieldError | None:
    """The first attribute that is missing or can't be read."""
    reason = SessionRejectReason
    for attribute in found:
        tag, text = attribute.tag, fields.get(attribute.tag)
        label = f"{attribute.fix_name}({tag})"
        if text is None:
            if attribute.required:
                return FieldError(int(tag), None, reason.REQUIRED_TAG_MISSING, f"{label} is missing")
        elif attribute.kind not in ("group", "texts"):
            try:
                attribute.read(text)
            except KeyError:
                defined = text in attribute.values
                why = "is not supported" if defined else "is not a value of this field"
                return FieldError(int(tag), text, reason.VALUE_INCORRECT, f"{label}={text} {why}", defined=defined)
            except ValueError as error:
                return FieldError(int(tag), text, reason.INCORRECT_DATA_FORMAT, f"{label}={text}: {error}")
    return None


def encoder(cls: type[msgspec.Struct], msg_type: str, begin_string: str) -> Encoder:
    """struct -> body fields; raises LocalProtocolError."""
    layout = typed_dictionary(begin_string).messages[msg_type]
    found = attributes(cls, layout.members, layout.required, begin_string)
    entry_writers: dict[str, Callable[[Any], str]] = {}
    write_time = timestamp_writer(TIME_DIGITS.get(begin_string, 3))
    for attribute in found:
        if attribute.kind == "texts":
            entry_writers[attribute.name] = f"{layout.groups[attribute.tag].delimiter}={{}}\x01".format
        elif attribute.entry is not None:
            group = layout.groups[attribute.tag]
            entry_fields = attributes(attribute.entry, group.members, group.required, begin_string)
            entry_writers[attribute.name] = _writer(entry_fields, {}, write_time, "text")
    write: Encoder = _writer(found, entry_writers, write_time, 'text.encode("latin-1", "replace")')
    return write


def _writer(
    found: list[Attribute],
    entry_writers: dict[str, Callable[[Any], str]],
    write_time: Callable[[int], str],
    result: str,
) -> Callable[[Any], Any]:
    """struct -> "tag=value|tag=value|": what is required, what else is sent, groups; each in the version's order.

    `result`: what to return, in terms of that `text`.
    """
    names: dict[str, Any] = {"px": write_px, "ns": write_time, "refuse": lambda m: _refuse(found, m)}
    always, sometimes, groups = [], [], []
    for attribute in found:
        name, tag, value = attribute.name, attribute.tag, f"m.{attribute.name}"
        if name in entry_writers:
            names[f"write_{name}"] = entry_writers[name]
            groups.append(f"if v := {value}: text += f'{tag}={{len(v)}}\\x01' + ''.join([write_{name}(e) for e in v])")
        elif attribute.required:
            always.append(f"{tag}={{{_written(attribute, value, names)}}}\\x01")
        else:
            written = _written(attribute, "v", names)
            sometimes.append(f"if v := {value}: text += f'{tag}={{{written}}}\\x01'; count += 1")
    full = " and ".join(f"m.{field.name}" for field in found if field.required and field.kind in ("text", "enum"))
    lines = [
        f"text = f'{''.join(always)}'",
        f"count = {len(always)}",
        *sometimes,
        # Only a text can bring a SOH of its own, only a required one can be empty.
        f"if text.count('\\x01') != count or not ({full or True}): refuse(m)",
        *groups,
        f"return {result}",
    ]
    return _compiled("def write(m):\n " + "\n ".join(lines), names)


def _written(attribute: Attribute, value: str, names: dict[str, Any]) -> str:
    if attribute.kind in ("px", "ns"):
        return f"{attribute.kind}({value})"
    if attribute.enum is not None:
        # The version may know fewer values than we do: the others are sent as its most general one, where it has one.
        general = attribute.enum.__members__.get("BROKER_OPTION")
        sendable = {member: member if member.value in attribute.values else general for member in attribute.enum}
        codes = {member: code.value for member, code in sendable.items() if code is not None}
        names[f"code_{attribute.name}"] = _Codes(codes)
        return f"code_{attribute.name}[{value}]"
    return value


class _Codes(dict[StrEnum, str]):
    def __missing__(self, member: StrEnum) -> str:
        raise LocalProtocolError(f"the FIX version has no code for {member!r}")


def _refuse(found: list[Attribute], typed: Any) -> None:
    for attribute in found:
        value = getattr(typed, attribute.name)
        if isinstance(value, str) and ("\x01" in value or (attribute.required and not value)):
            raise LocalProtocolError(f"{attribute.fix_name}({attribute.tag}) can't be sent with the value {value!r}")


def _compiled(source: str, names: dict[str, Any]) -> Callable[..., Any]:
    """The one function that `source` defines."""
    scope = dict(names)
    exec(source, scope)
    compiled: Callable[..., Any] = next(value for key, value in scope.items() if key not in {*names, "__builtins__"})
    return compiled
