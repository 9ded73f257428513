"""What one version of FIX defines, read piece by piece as it is asked for.

A version has up to 6,000 fields and 160 messages, and a session uses a few dozen of them. So a dictionary is kept as
the lines of its file, and a line is taken apart when its field or message is first looked up.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Generic, TypeVar

from fix.shapes import Shape

T = TypeVar("T")
_TOKEN = re.compile(r"&(\w+)(!?)|(\d+)(!?)(\(?)|(\))|(\S+)")
_VALUE = re.compile(r"([^=]+)=(\S+)(?: |$)")
_DATA_TYPES = ("DATA", "XMLDATA")


class DictionaryError(ValueError):
    """A dictionary contradicts itself or can't be read; the text names the place."""


@dataclass(frozen=True, slots=True)
class Field:
    """`type` is one of FIX's data types; `values` maps each enumerated value to its name, {} where any will do."""

    tag: int
    name: str
    type: str
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Group:
    """Keys are tags as text. Every entry begins with `delimiter`."""

    delimiter: str
    members: tuple[str, ...]  # outside nested groups, in order
    required: frozenset[str]
    groups: Mapping[str, "Group"]  # nested, by count field
    tags: frozenset[str]  # members and all that is nested


@dataclass(frozen=True, slots=True)
class MessageLayout:
    """Keys are tags as text."""

    name: str
    members: tuple[str, ...]  # of the body, outside groups, in order
    required: frozenset[str]  # of the body
    groups: Mapping[str, Group]  # by count field; those of the header too
    own_tags: frozenset[str]  # body, header and trailer: what ends the last entry of a group
    tags: frozenset[str]  # own_tags and all within groups


@dataclass(slots=True)
class Sources:
    """A dictionary as text: see FIX44.txt for the form."""

    header: str = ""
    trailer: str = ""
    fields: dict[str, str] = field(default_factory=dict)  # by tag
    components: dict[str, str] = field(default_factory=dict)  # by name
    messages: dict[str, str] = field(default_factory=dict)  # by MsgType(35)

    def extended(self, other: "Sources") -> "Sources":
        """What `other` names replaces what we have; "-" takes it away, "+ more" adds to it."""
        return Sources(
            other.header or self.header,
            other.trailer or self.trailer,
            _merged(self.fields, other.fields),
            _merged(self.components, other.components),
            _merged(self.messages, other.messages),
        )


def _merged(ours: dict[str, str], theirs: dict[str, str]) -> dict[str, str]:
    added = {key: f"{ours.get(key, key)} {text[2:]}" for key, text in theirs.items() if text.startswith("+ ")}
    return {key: text for key, text in {**ours, **theirs, **added}.items() if text != "-"}


class Lazy(Mapping[str, T], Generic[T]):
    """A read-only mapping whose values are made from lines of text when first asked for."""

    __slots__ = ("_made", "_make", "_sources")

    def __init__(self, sources: Mapping[str, str], make: Callable[[str, str], T]) -> None:
        self._sources = sources
        self._make = make
        self._made: dict[str, T] = {}

    def __getitem__(self, key: str) -> T:
        made = self._made.get(key)
        if made is None:
            made = self._made[key] = self._make(key, self._sources[key])
        return made

    def __contains__(self, key: object) -> bool:
        return key in self._sources

    def __iter__(self) -> Iterator[str]:
        return iter(self._sources)

    def __len__(self) -> int:
        return len(self._sources)


class Dictionary:
    """One version, with whatever extends it.

    `name`: "FIX.4.4", "FIX.5.0SP2"; `begin_string`: "FIXT.1.1" for the latter. `header`, `trailer`: tags as text.
    `data_lengths`: length field -> data field, which may hold SOH.
    """

    def __init__(self, name: str, begin_string: str, sources: Sources, data_lengths: Mapping[str, str]) -> None:
        self.name = name
        self.begin_string = begin_string
        self.sources = sources
        self.data_lengths = data_lengths
        self.fields: Mapping[str, Field] = Lazy(sources.fields, _field)
        self.messages: Mapping[str, MessageLayout] = Lazy(sources.messages, self._message)
        self.msg_types = frozenset(sources.messages)
        self.shapes: dict[tuple[str, ...], Shape] = {}  # by MsgType(35) and all tags but the first
        self._header = self._layout("header", sources.header)
        trailer = self._layout("trailer", sources.trailer)
        self.header, self.trailer = self._header.tags, trailer.tags
        self.required = self._header.required | trailer.required  # of header and trailer

    def check(self, sources: Sources | None = None) -> None:
        """Reads all that `sources` names, or everything; DictionaryError for what contradicts itself."""
        sources = sources or self.sources
        for tag in sources.fields:
            _ = self.fields[tag]
        for name in sources.components:
            self._component("", name, ())
        for msg_type in sources.messages:
            _ = self.messages[msg_type]

    def field_named(self, name: str) -> Field | None:
        """By FIX's name, such as "ClOrdID"."""
        tag = next((tag for tag, text in self.sources.fields.items() if text.split(" ", 1)[0] == name), None)
        return None if tag is None else self.fields[tag]

    def _message(self, msg_type: str, text: str) -> MessageLayout:
        name, _, body = text.partition(" ")
        layout = self._layout(f"message {name}", body)
        framework = self.header | self.trailer
        # A body without a field of its own is possible, and so is one that names a field of the header.
        members = tuple(tag for tag in layout.members if tag not in framework)
        return MessageLayout(
            name,
            members,
            layout.required - framework,
            {**self._header.groups, **layout.groups},
            self.header.difference(*(group.tags for group in self._header.groups.values()))
            | self.trailer
            | frozenset(members),
            layout.tags | framework,
        )

    def _layout(self, place: str, text: str) -> Group:
        """Everything that stands at one level, be it a message or an entry of a group."""
        tokens = _TOKEN.finditer(text)
        return self._level(place, tokens, ())

    def _level(self, place: str, tokens: Iterator[re.Match[str]], within: tuple[str, ...]) -> Group:
        members: list[str] = []
        required: set[str] = set()
        groups: dict[str, Group] = {}
        for component, needed, tag, mark, opens, closes, other in (token.groups("") for token in tokens):
            if closes:
                break
            if other:
                raise DictionaryError(f"{place}: {other!r} is no field, group or component")
            if component:
                part = self._component(place, component, within)
                members += part.members
                groups |= part.groups
                required |= part.required if needed else set()
                continue
            if tag not in self.fields:
                raise DictionaryError(f"{place}: field {tag} is not defined")
            members.append(tag)
            required |= {tag} if mark else set()
            if opens:
                groups[tag] = self._level(f"{place}, group {tag}", tokens, within)
                if not groups[tag].members:
                    raise DictionaryError(f"{place}: group {tag} is empty")
        unique = tuple(dict.fromkeys(members))
        tags = frozenset(unique).union(*(group.tags for group in groups.values()))
        return Group(unique[0] if unique else "", unique, frozenset(required), groups, tags)

    def _component(self, place: str, name: str, within: tuple[str, ...]) -> Group:
        if name in within:
            raise DictionaryError(f"{place}: component {name} contains itself")
        text = self.sources.components.get(name)
        if text is None:
            raise DictionaryError(f"{place}: component {name} is not defined")
        return self._level(f"{place}, component {name}".removeprefix(", "), _TOKEN.finditer(text), (*within, name))

    def extended(self, sources: Sources, name: str = "") -> "Dictionary":
        """A dictionary in which what `sources` names replaces what we have."""
        merged = self.sources.extended(sources)
        lengths = {**self.data_lengths, **data_lengths(sources, merged)}
        return Dictionary(name or self.name, self.begin_string, merged, lengths)


def _field(tag: str, text: str) -> Field:
    name, kind, *values = text.split(" ", 2)
    return Field(int(tag), name, kind, read_values(values[0]) if values else {})


def read_values(text: str) -> dict[str, str]:
    """ "B=BUY S=SELL" -> value: name. A value may hold blanks, a name none."""
    return dict(_VALUE.findall(text))


def data_lengths(sources: Sources, kinds_of: Sources) -> dict[str, str]:
    """Length field -> data field, for the data fields that directly follow a length field somewhere in `sources`."""
    bodies = [*sources.components.values(), *sources.messages.values(), sources.header, sources.trailer]
    kinds = {tag: text.split(" ", 2)[1] for tag, text in kinds_of.fields.items()}
    pairs = (pair for body in bodies for pair in pairwise([token[2] for token in _TOKEN.findall(body) if token[2]]))
    return {
        before: tag for before, tag in pairs if kinds.get(tag) in _DATA_TYPES and kinds.get(before) in ("LENGTH", "INT")
    }
