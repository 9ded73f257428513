"""What each FIX version defines: fields, messages, groups, values. Data, read once from the files beside this module.

Later versions and counterparties' own dictionaries are further data of the same form; nothing else in `fix` knows a tag
table of its own.
"""

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

# Length field -> data field, of all versions. A data field may hold SOH, so its length must be known before it.
DATA_LENGTHS = {
    "90": "91",
    "93": "89",
    "95": "96",
    "212": "213",
    "348": "349",
    "350": "351",
    "352": "353",
    "354": "355",
    "356": "357",
    "358": "359",
    "360": "361",
    "362": "363",
    "364": "365",
    "445": "446",
    "618": "619",
    "621": "622",
}
_FILES = {"FIX.4.2": "FIX42", "FIX.4.4": "FIX44"}
SUPPORTED = tuple(_FILES)


@dataclass(frozen=True, slots=True)
class Field:
    tag: int
    name: str
    type: str
    values: frozenset[str]  # empty: any


@dataclass(frozen=True, slots=True)
class Group:
    """Keys are tags as text. Every entry begins with `delimiter`."""

    delimiter: str
    members: tuple[str, ...]
    required: frozenset[str]


@dataclass(frozen=True, slots=True)
class MessageLayout:
    """Keys are tags as text."""

    name: str
    members: tuple[str, ...]  # of the body, outside groups, in order
    required: frozenset[str]  # of the body
    groups: dict[str, Group]  # by count field
    own_tags: frozenset[str]  # body, header and trailer: what ends the last entry of a group


@dataclass(frozen=True, slots=True)
class Dictionary:
    begin_string: str
    msg_types: frozenset[str]  # all that the version defines, with or without a layout here
    fields: dict[str, Field]
    messages: dict[str, MessageLayout]


@cache
def dictionary(begin_string: str) -> Dictionary:
    """The dictionary of a version; an empty one where the version is not supported."""
    name = _FILES.get(begin_string)
    if name is None:
        return Dictionary(begin_string, frozenset(), {}, {})
    raw = _load(name)
    framework = _layout(f"Framework: {raw['header']} {raw['trailer']}", frozenset()).members
    return Dictionary(
        begin_string,
        frozenset(raw["msg_types"].split()),
        {tag: _field(tag, text) for tag, text in raw["fields"].items()},
        {msg_type: _layout(text, frozenset(framework)) for msg_type, text in raw["messages"].items()},
    )


def _load(name: str) -> dict[str, Any]:
    raw: dict[str, Any] = tomllib.loads(files(__name__).joinpath(f"{name}.toml").read_text("ascii"))
    parent = _load(raw["extends"]) if "extends" in raw else {}
    merged = {key: {**parent.get(key, {}), **raw[key]} for key in ("fields", "messages")}
    return {**parent, **raw, **merged}


def _field(tag: str, text: str) -> Field:
    head, _, values = text.partition(":")
    name, kind = head.split()
    return Field(int(tag), name, kind, frozenset(values.split()))


_TOKEN = re.compile(r"(\d+)(!?)(\(?)|(\))")


def _layout(text: str, framework: frozenset[str]) -> MessageLayout:
    name, _, body = text.partition(":")
    members: list[str] = []
    required: set[str] = set()
    groups: dict[str, Group] = {}
    group: list[str] = []
    group_required: set[str] = set()
    count = ""
    for tag, mark, opens, closes in _TOKEN.findall(body):
        if closes:
            groups[count] = Group(group[0], tuple(group), frozenset(group_required))
            count = ""
        elif count:
            group.append(tag)
            group_required.update([tag] if mark else [])
        else:
            members.append(tag)
            required.update([tag] if mark else [])
            if opens:
                count, group, group_required = tag, [], set()
    return MessageLayout(name, tuple(members), frozenset(required), groups, framework | frozenset(members))
