"""FIX logs made readable: messages found in any text, taken apart, named, and chosen by what they belong to.

A log has been through other hands: somebody's logger put a time before each message, a terminal turned SOH into ^A or
|, an editor cut the end off. So nothing here insists on a frame as `fix.framing` does. What is a message is shown, with
what is wrong about it; what is none is counted.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from fix.dictionary import APPL_VER_IDS, FIXT, Dictionary, Group, dictionary
from fix.framing import checksum

Span = tuple[str, str]  # text and its style, a name of rich's
Pair = tuple[str, str]  # tag and value

MAX_PENDING = 1 << 16  # characters of a message that goes over several lines
MAX_PREFIX = 80  # characters of what stood before a message
PASSWORDS = frozenset(["554", "925", "1402", "1404"])
IN_HEAD = frozenset(["8", "9", "10", "34", "35", "49", "52", "56"])  # said in the line above the fields
MULTIPLE = ("MULTIPLEVALUESTRING", "MULTIPLESTRINGVALUE", "MULTIPLECHARVALUE")

_START = re.compile(r"8=(FIXT?\.\d\.\d(?:SP\d)?)(\x01|\^A|<SOH>|\\x01|\\u0001| ?\| ?|;)(?=9=)")


@dataclass(slots=True)
class Entry:
    """A message found in line `line`, with the text before it."""

    line: int
    prefix: str
    pairs: list[Pair]
    faults: list[str] = field(default_factory=list)

    def get(self, tag: str) -> str:
        """The first value of a tag, "" where it is missing."""
        return next((value for found, value in self.pairs if found == tag), "")

    def all(self, tag: str) -> list[str]:
        return [value for found, value in self.pairs if found == tag]

    @property
    def session(self) -> tuple[str, str]:
        """The same for both directions."""
        low, high = sorted((self.get("49"), self.get("56")))
        return low, high


class Reader:
    """Lines in, messages out. `plain` lines had no message, `bad` ones something that began like one."""

    def __init__(self) -> None:
        self.lines = 0
        self.messages = 0
        self.plain = 0
        self.bad = 0
        self.first_bad = ""
        self._pending = ""
        self._pending_line = 0

    def feed(self, line: str) -> list[Entry]:
        """`line` with or without its end. What begins here and ends further below comes out with that line."""
        self.lines += 1
        line = line.rstrip("\r\n")
        found = _START.search(line)
        if found is None and not self._pending:
            self.plain += 1
            return []
        if self._pending and found is None and len(self._pending) + len(line) < MAX_PENDING:
            text, first = f"{self._pending}\n{line}", self._pending_line
        else:
            self.finish()
            text, first = line, self.lines
        self._pending = ""
        return list(self._messages(text, first))

    def finish(self) -> None:
        """Nothing more comes: what was still open was no message."""
        if self._pending:
            self._note(self._pending_line, "there is no CheckSum(10) to end the message")
            self._pending = ""

    def _messages(self, text: str, line: int) -> Iterator[Entry]:
        position = 0
        while (start := _START.search(text, position)) is not None:
            following = _START.search(text, start.end())
            limit = following.start() if following else len(text)
            end, message_end = _end(text, start, limit)
            if not end:
                if following:
                    self._note(line, "there is no CheckSum(10) to end the message")
                else:
                    self._pending, self._pending_line = text[position:], line
                position = limit
                continue
            pairs = _split(text[start.start() : message_end], start[2], start[1])
            prefix = text[position : start.start()].strip()
            entry = Entry(line, prefix[-MAX_PREFIX:], pairs)
            entry.faults += _faults(pairs)
            self.messages += 1
            yield entry
            position = end

    def _note(self, line: int, text: str) -> None:
        self.bad += 1
        self.first_bad = self.first_bad or f"line {line}: {text}"


def _end(text: str, start: re.Match[str], limit: int) -> tuple[int, int]:
    """Where the text goes on behind the message, and where its CheckSum(10) ends; (0, 0) if it has none."""
    separator = start[2]
    close = re.compile(rf"{re.escape(separator)}10=(\d{{1,3}})({re.escape(separator)}|(?![^\s\"'\])}},;|]))")
    if len(separator) == 1:
        # BodyLength(9) knows of data that looks like a CheckSum(10).
        length = re.compile(r"9=(\d{1,7})").match(text, start.end())
        if length and (counted := close.match(text, length.end() + int(length[1]))):
            return counted.end(), counted.end(1)
    found = close.search(text, start.end(), limit)
    return (found.end(), found.end(1)) if found else (0, 0)


def _split(text: str, separator: str, begin_string: str) -> list[Pair]:
    lengths = dictionary(begin_string).data_lengths
    pairs: list[Pair] = []
    position = 0
    while position < len(text):
        equals = text.find("=", position)
        tag = text[position:equals] if equals > 0 else ""
        end = text.find(separator, position)
        data_tag = lengths.get(pairs[-1][0]) if pairs else None
        if data_tag == tag and pairs[-1][1].isdecimal() and len(pairs[-1][1]) < 8:
            counted = equals + 1 + int(pairs[-1][1])
            end = counted if text.startswith(separator, counted) else end
        end = len(text) if end < 0 else end
        if tag.isdecimal() and equals < end:
            pairs.append((tag, text[equals + 1 : end]))
        elif pairs:  # a separator that can be read may as well stand in a value
            before = pairs.pop()
            pairs.append((before[0], before[1] + separator + text[position:end]))
        position = end + len(separator)
    return pairs


def _faults(pairs: list[Pair]) -> Iterator[str]:
    """What a framer would find; a log that masks passwords shows it too."""
    head, body = "".join(f"{tag}={value}\x01" for tag, value in pairs[:2]), pairs[2:-1]
    counted = "".join(f"{tag}={value}\x01" for tag, value in body)
    data, size = (head + counted).encode("latin-1", "replace"), len(counted.encode("latin-1", "replace"))
    if pairs[1][1] != str(size):
        yield f"BodyLength(9) should be {size}"
    elif pairs[-1][1] != f"{checksum(data):03d}":
        yield f"CheckSum(10) should be {checksum(data):03d}"


# --- names ---


class Names:
    """Which dictionary a message is to be read with. In FIXT.1.1 its Logon(A) says so for those that follow."""

    def __init__(self, extra: Dictionary | None = None) -> None:
        self._extra = extra
        self._default: dict[tuple[str, str], str] = {}

    def dictionary(self, entry: Entry) -> Dictionary:
        begin_string = entry.get("8")
        if self._extra is not None and self._extra.begin_string == begin_string:
            return self._extra
        if begin_string != FIXT:
            return dictionary(begin_string)
        if version := entry.get("1137"):
            self._default[entry.session] = version
        version = entry.get("1128") or self._default.get(entry.session, "")
        return dictionary(FIXT, APPL_VER_IDS.get(version, ""))


def meaning(names: Dictionary, tag: str, value: str) -> str:
    """The name of an enumerated value, "" where it has none."""
    known = names.fields.get(tag)
    if known is None or not known.values:
        return ""
    if known.type in MULTIPLE:
        return " ".join(known.values.get(part, part) for part in value.split(" "))
    return known.values.get(value, "")


def message_name(names: Dictionary, msg_type: str) -> str:
    layout = names.messages.get(msg_type)
    return layout.name if layout else "?"


# --- what is shown ---


class Selection:
    """Which messages to show: those that meet every one of the demands.

    `fields`: (tag or FIX's name, value or the name of a value). `comp_ids`: one or both CompIDs of a session, in any
    direction. `cl_ord_id`: every message of an order's story, through its replaces and cancels; whoever has the log
    from its beginning shows all of it to `learn` first, since the name may be the last one of the story.
    """

    def __init__(self, fields: Iterable[Pair] = (), comp_ids: tuple[str, ...] = (), cl_ord_id: str = "") -> None:
        self._fields = tuple(fields)
        self._comp_ids = comp_ids
        self._cl_ord_id = cl_ord_id
        self._stories: dict[tuple[str, str], _Story] = {}

    def learn(self, entry: Entry) -> None:
        if self._cl_ord_id:
            self._stories.setdefault(entry.session, _Story()).learn(entry)

    def takes(self, entry: Entry, names: Dictionary) -> bool:
        if any(comp_id not in entry.session for comp_id in self._comp_ids):
            return False
        if not all(_has(entry, names, name, value) for name, value in self._fields):
            return False
        return not self._cl_ord_id or self._stories.setdefault(entry.session, _Story()).has(entry, self._cl_ord_id)


class _Story:
    """Which ClOrdID(11)s of one session are names of the same order: a replace or cancel names two of them."""

    def __init__(self) -> None:
        self._same_as: dict[str, str] = {}
        self._by_order_id: dict[str, str] = {}
        self._by_number: dict[tuple[str, str], list[str]] = {}  # (SenderCompID, MsgSeqNum) -> ClOrdIDs

    def learn(self, entry: Entry) -> None:
        names = entry.all("11") + entry.all("41")
        if not names:
            return
        if entry.get("41"):
            for name in names[1:]:
                self._same_as[self._first(name)] = self._first(names[0])
        if order_id := entry.get("37"):
            self._by_order_id[order_id] = names[0]
        self._by_number[entry.get("49"), entry.get("34")] = names

    def has(self, entry: Entry, cl_ord_id: str) -> bool:
        names = entry.all("11") + entry.all("41") + entry.all("379")
        if not names and entry.get("35") in ("3", "j"):  # a refusal names only the number of what it refuses
            names = self._by_number.get((entry.get("56"), entry.get("45")), [])
        elif not names and entry.get("37") in self._by_order_id:
            names = [self._by_order_id[entry.get("37")]]
        order = self._first(cl_ord_id)
        return any(self._first(name) == order for name in names)

    def _first(self, name: str) -> str:
        while (before := self._same_as.get(name, name)) != name:
            name = before
        return name


def _has(entry: Entry, names: Dictionary, name: str, value: str) -> bool:
    if name.isdecimal():
        tag = name
    else:
        known = names.field_named(name)
        if known is None:
            return False
        tag = str(known.tag)
    return any(found == value or meaning(names, tag, found) == value.upper() != "" for found in entry.all(tag))


# --- how it looks ---


def head(entry: Entry, names: Dictionary) -> list[Span]:
    """One line: when, who to whom, which message."""
    msg_type = entry.get("35")
    spans = [
        (f"{entry.get('52') or 'no SendingTime':<21} ", "cyan"),
        (f"{entry.get('49')} -> {entry.get('56')}  ", ""),
        (f"{entry.get('8')} #{entry.get('34')}  ", "dim"),
        (f"{message_name(names, msg_type)} ({msg_type})", "bold"),
    ]
    spans += [
        (f"  {name}", "yellow") for tag, name in (("43", "PossDup"), ("97", "PossResend")) if entry.get(tag) == "Y"
    ]
    spans += [(f"  ! {fault}", "red") for fault in entry.faults]
    if entry.prefix:
        spans.append((f"  [{entry.prefix}]", "dim"))
    return spans


def rows(entry: Entry, names: Dictionary) -> Iterator[list[Span]]:
    """A line for each field but those of the head; fields of a group's entry are indented, the first marked."""
    layout = names.messages.get(entry.get("35"))
    open_groups: list[Group] = []
    for tag, value in entry.pairs:
        if tag in IN_HEAD:
            continue
        while open_groups and tag not in open_groups[-1].tags:
            open_groups.pop()
        depth = len(open_groups)
        mark = "- " if open_groups and tag == open_groups[-1].delimiter else "  "
        known = names.fields.get(tag)
        name = known.name if known else "?"
        text = "***" if tag in PASSWORDS else _printable(value)
        spans = [
            (f"{'  ' * depth}{mark}{tag:>5} ", "dim"),
            (f"{name:<{24 - 2 * depth}} ", "" if known else "yellow"),
            (text, "green"),
        ]
        if said := meaning(names, tag, value):
            spans.append((f"  {said}", "magenta"))
        yield spans
        groups: Mapping[str, Group] = open_groups[-1].groups if open_groups else layout.groups if layout else {}
        if tag in groups:
            open_groups.append(groups[tag])


def brief(entry: Entry, names: Dictionary) -> list[Span]:
    """The whole message in one line."""
    spans = head(entry, names)
    for tag, value in entry.pairs:
        if tag not in IN_HEAD:
            known = names.fields.get(tag)
            text = "***" if tag in PASSWORDS else meaning(names, tag, value) or _printable(value)
            spans.append((f"  {known.name if known else tag}=", "dim"))
            spans.append((text, "green"))
    return spans


def _printable(value: str) -> str:
    """Data may hold anything, and a terminal obeys it."""
    return value if value.isprintable() else "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in value)
