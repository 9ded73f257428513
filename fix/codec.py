"""Turns the dictionary and the structs of `fix.messages` into decoders and encoders, once for each message and version.

Both are straight-line functions written here as source and compiled on first use, as dataclasses does: a table that is
walked for each message costs two to three times as much, and encoding and decoding are most of what a gateway does.
What goes wrong in the compiled path is looked at again, slowly, field by field, to name the tag and the value.
"""

import re
from collections.abc import Callable
from enum import StrEnum
from operator import itemgetter
from typing import Any, NamedTuple, TypeVar, get_args

import msgspec

from fix.dictionary import Field, Group, dictionary
from fix.errors import FieldError, LocalProtocolError, SessionRejectReason
from fix.message import Message
from fix.values import (
    read_decimal,
    read_int,
    read_px,
    read_qty,
    read_text,
    read_timestamp,
    write_px,
    write_timestamp,
)

T = TypeVar("T", bound=msgspec.Struct)
Encoder = Callable[[Any], bytes]

# Attributes that carry a whole group, and those of its entries whose FIX name repeats the name of the group.
_GROUP_TAGS = {"entries": "268", "strategy_parameters": "957", "md_entry_types": "267", "symbols": "146"}
_ENTRY_TAGS = {"name": "958", "type": "959", "value": "960"}
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_READERS: dict[str, Callable[[str], Any]] = {
    "INT": read_int,
    "LENGTH": read_int,
    "PRICE": read_px,
    "QTY": read_qty,
    "UTCTIMESTAMP": read_timestamp,
}


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
    known = dictionary(begin_string).fields
    tags = {snake_case(field.name) + "_ns" * (field.type == "UTCTIMESTAMP"): tag for tag, field in known.items()}
    tags |= _GROUP_TAGS | _ENTRY_TAGS
    infos = {tags[info.name]: info for info in msgspec.structs.fields(cls) if info.name in tags}
    return [_attribute(infos[tag], known[tag], tag in required) for tag in members if tag in infos]


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
        kind, read = "text", read_decimal if field.type == "PRICE" else _closed_reader(field)
    else:
        kind = {"PRICE": "px", "UTCTIMESTAMP": "ns"}.get(field.type, "int")
        read = _READERS[field.type]
    default = None if info.required else info.default
    return Attribute(
        info.name, str(field.tag), field.name, read, kind, required or info.required, default, field.values, enum, entry
    )


def _enum_reader(enum: type[StrEnum], field: Field, optional: bool) -> Callable[[str], Any]:
    """A value that the version defines and our enum doesn't know becomes OTHER, or None where it may be missing."""
    members: dict[str, Any] = {member.value: member for member in enum}
    other = enum.__members__.get("OTHER")
    if other is not None or optional:
        members = dict.fromkeys(field.values, other) | members
    return members.__getitem__


def _closed_reader(field: Field) -> Callable[[str], str]:
    return {value: value for value in field.values}.__getitem__ if field.values else read_text


def decoder(cls: type[T], msg_type: str, begin_string: str) -> Callable[[Message], T]:
    """Message -> struct; raises FieldError."""
    layout = dictionary(begin_string).messages[msg_type]
    found = attributes(cls, layout.members, layout.required, begin_string)
    names: dict[str, Any] = {"cls": cls}
    lines = []
    for attribute in found:
        if attribute.kind in ("group", "texts"):
            group = layout.groups[attribute.tag]
            read_entry, entry_attributes = _entry_reader(attribute, group, begin_string)
            names[f"read_{attribute.name}"] = _group_reader(int(attribute.tag), read_entry, entry_attributes)
            lines.append(f"{attribute.name}=read_{attribute.name}(message),")
        else:
            names[f"read_{attribute.name}"] = attribute.read
            lines.append(_read_line(attribute, names))
    source = "def decode(message):\n fields = message.fields\n get = fields.get\n return cls(" + "\n".join(lines) + ")"
    decode_fields = _compiled(source, "decode", names)

    def decode(message: Message) -> T:
        try:
            result: T = decode_fields(message)
        except (KeyError, ValueError) as error:
            raise _first_error(found, message.fields) or error from None
        return result

    return decode


def _read_line(attribute: Attribute, names: dict[str, Any]) -> str:
    name, tag = attribute.name, attribute.tag
    plain = attribute.read is read_text
    if attribute.required:
        return f'{name}=fields["{tag}"],' if plain else f'{name}=read_{name}(fields["{tag}"]),'
    names[f"default_{name}"] = attribute.default
    if plain:
        return f'{name}=get("{tag}", default_{name}),'
    return f'{name}=default_{name} if (text := get("{tag}")) is None else read_{name}(text),'


def _entry_reader(attribute: Attribute, group: Group, begin_string: str) -> tuple[Callable[..., Any], list[Attribute]]:
    if attribute.entry is None:
        return itemgetter(group.delimiter), []
    found = attributes(attribute.entry, group.members, group.required, begin_string)
    names: dict[str, Any] = {"cls": attribute.entry} | {f"read_{entry.name}": entry.read for entry in found}
    lines = [_read_line(entry, names) for entry in found]
    source = "def decode(fields):\n get = fields.get\n return cls(" + "\n".join(lines) + ")"
    return _compiled(source, "decode", names), found


def _group_reader(
    count_tag: int, read_entry: Callable[..., Any], found: list[Attribute]
) -> Callable[[Message], tuple[Any, ...]]:
    def read_group(message: Message) -> tuple[Any, ...]:
        entries = message.entries(count_tag)
        try:
            return tuple([read_entry(entry) for entry in entries])
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
    layout = dictionary(begin_string).messages[msg_type]
    found = attributes(cls, layout.members, layout.required, begin_string)
    names: dict[str, Any] = {}
    for attribute in found:
        if attribute.entry is not None:
            group = layout.groups[attribute.tag]
            entry_fields = attributes(attribute.entry, group.members, group.required, begin_string)
            names[f"write_{attribute.name}"] = _parts_writer(entry_fields, {}, {})
    write_parts = _parts_writer(found, names, layout.groups)

    def encode(typed: Any) -> bytes:
        parts: list[str] = write_parts(typed)
        body = "\x01".join(parts) + "\x01"
        if body.count("\x01") != len(parts) or "=\x01" in body:
            _check_parts(parts)
        return body.encode("latin-1", "replace")

    return encode


def _parts_writer(
    found: list[Attribute], names: dict[str, Any], groups: dict[str, Group]
) -> Callable[[Any], list[str]]:
    """struct -> ["tag=value", ...]: what is required in order, then what else is sent in order."""
    names = {**names, "px": write_px, "ns": write_timestamp}
    always, sometimes = [], []
    for attribute in found:
        name, tag, value = attribute.name, attribute.tag, f"m.{attribute.name}"
        if attribute.kind == "group":
            sometimes.append(f"if v := {value}:\n  add(f'{tag}={{len(v)}}')\n  for e in v: parts += write_{name}(e)")
        elif attribute.kind == "texts":
            member = groups[tag].delimiter
            sometimes.append(f"if v := {value}:\n  add(f'{tag}={{len(v)}}')\n  for e in v: add(f'{member}={{e}}')")
        elif attribute.required:
            always.append(f"f'{tag}={{{_written(attribute, value, names)}}}'")
        else:
            sometimes.append(f"if v := {value}: add(f'{tag}={{{_written(attribute, 'v', names)}}}')")
    body = "\n ".join([f"parts = [{', '.join(always)}]", "add = parts.append", *sometimes, "return parts"])
    return _compiled(f"def write(m):\n {body}", "write", names)


def _written(attribute: Attribute, value: str, names: dict[str, Any]) -> str:
    if attribute.kind in ("px", "ns"):
        return f"{attribute.kind}({value})"
    if attribute.enum is not None and not attribute.values.issuperset(attribute.enum):
        # The version knows fewer values than we do: what it doesn't know is sent as its most general one.
        general = "0" if "BROKER_OPTION" in attribute.enum.__members__ else ""
        names[f"code_{attribute.name}"] = {
            member: member.value if member.value in attribute.values else general for member in attribute.enum
        }
        return f"code_{attribute.name}[{value}]"
    return value


def _check_parts(parts: list[str]) -> None:
    for part in parts:
        tag, _, value = part.partition("=")
        if not value or "\x01" in value:
            raise LocalProtocolError(f"tag {tag} can't be sent with the value {value!r}")


def _compiled(source: str, name: str, names: dict[str, Any]) -> Callable[..., Any]:
    scope = dict(names)
    exec(source, scope)
    compiled: Callable[..., Any] = scope[name]
    return compiled
