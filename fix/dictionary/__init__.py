"""What each FIX version defines: fields, messages, groups, values. Data, read from the files beside this module.

Each version is kept as what changed since the one before it. FIX.5.0 and later carry application messages only; their
session layer, with header, trailer and administrative messages, is FIXT.1.1. A counterparty's own dictionary, in
QuickFIX's XML, extends one of ours or stands alone.
"""

from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from pathlib import Path

from fix.dictionary.layout import (
    Dictionary,
    DictionaryError,
    Field,
    Group,
    MessageLayout,
    Sources,
    data_lengths,
)

__all__ = [
    "APPL_VER_IDS",
    "BEGIN_STRINGS",
    "DATA_LENGTHS",
    "FIX4_DATA_LENGTHS",
    "FIXT",
    "SUPPORTED",
    "Dictionary",
    "DictionaryError",
    "Field",
    "Group",
    "MessageLayout",
    "dictionary",
    "load_xml",
    "typed_dictionary",
]

FIXT = "FIXT.1.1"
# Length field -> data field. A data field may hold SOH, so its length must be known before it. The first line is all of
# FIX.4; a data field is the one after its length field except for the few that are written out.
_FIX4_LENGTHS = "90 93:89 95 212 348 350 352 354 356 358 360 362 364 445 618 621"
_FIX5_LENGTHS = """1184 1277 1280 1282 1397 1401 1403 1468 1525:1527 1578 1620 1664 1678:1697 1733 1871 1874 2072 2074
2111 2179 2287 2351 2372:2371 2481 2494:2493 2522:2521 2637 2651 2665 2715 2718 2721 2797 2802:2801 2809:2808 2815:2814
40004 40008 40978 40980 40982 40984 40986 40988 41083 41101 41107 41256 41320 41324 41458 41476 41482 41653 41710 41806
41811 41873 41969 42025 42171 42451 42652 42947 43109:42684 43110:42486 43111:42982"""
FIX4_DATA_LENGTHS, DATA_LENGTHS = (
    {pair.split(":")[0]: pair.split(":")[-1] if ":" in pair else str(int(pair) + 1) for pair in text.split()}
    for text in (_FIX4_LENGTHS, f"{_FIX4_LENGTHS} {_FIX5_LENGTHS}")
)
# ApplVerID(1128) and DefaultApplVerID(1137) -> the version of the application messages.
APPL_VER_IDS = {
    "2": "FIX.4.0",
    "3": "FIX.4.1",
    "4": "FIX.4.2",
    "5": "FIX.4.3",
    "6": "FIX.4.4",
    "7": "FIX.5.0",
    "8": "FIX.5.0SP1",
    "9": "FIX.5.0SP2",
}
# The versions of application messages, oldest first: names of dictionaries.
SUPPORTED = tuple(APPL_VER_IDS.values())
BEGIN_STRINGS = (*SUPPORTED[:5], FIXT)
_SECTIONS = ("fields", "components", "messages")


@cache
def dictionary(begin_string: str, application: str = "") -> Dictionary:
    """The dictionary of a version; an empty one where the version is not supported.

    `begin_string` may also be the name of an application version, such as "FIX.5.0SP1". For "FIXT.1.1", `application`
    names the version of the application messages, the latest where it is "".
    """
    if begin_string == FIXT or begin_string in SUPPORTED[5:]:
        name = (application or SUPPORTED[-1]) if begin_string == FIXT else begin_string
        if name not in SUPPORTED:
            return Dictionary(name, FIXT, Sources(), {})
        session_layer = _sources("FIXT11")
        sources = _sources(_file_name(name)).extended(session_layer)
        return Dictionary(name, FIXT, sources, DATA_LENGTHS)
    if begin_string not in SUPPORTED:
        return Dictionary(begin_string, begin_string, Sources(), {})
    return Dictionary(begin_string, begin_string, _sources(_file_name(begin_string)), FIX4_DATA_LENGTHS)


@cache
def typed_dictionary(version: str, begin_string: str = "") -> Dictionary:
    """A version as `fix.messages` speaks it: with what clients and venues use beyond it."""
    known = dictionary(begin_string, version) if begin_string == FIXT else dictionary(version)
    return known.extended(_sources("FIX44_typed")) if version == "FIX.4.4" else known


def load_xml(source: str | Path, base: Dictionary | None = None) -> Dictionary:
    """A dictionary in QuickFIX's XML format, from a path or the text itself.

    With a `base` it extends that one: values that it gives to a field are added to the base's; a message, component,
    header or trailer that it names replaces the base's. Without one it must be complete. DictionaryError says what is
    wrong and where; OSError if the file can't be read.
    """
    from fix.dictionary.quickfix_xml import read_xml  # most processes never need an XML parser

    text = source if isinstance(source, str) and "<" in source else Path(source).read_text("utf-8")
    name, sources = read_xml(text, base.sources if base is not None else Sources())
    if base is not None:
        result = base.extended(sources)
    else:
        begin_string = FIXT if name.startswith(("FIXT.", "FIX.5")) else name
        if begin_string == FIXT and not sources.header:
            sources = sources.extended(_sources("FIXT11"))
        result = Dictionary(name, begin_string, sources, {**DATA_LENGTHS, **data_lengths(sources, sources)})
    result.check(sources)
    return result


def _file_name(version: str) -> str:
    return version.replace(".", "")


@cache
def _sources(file: str) -> Sources:
    lines = _lines(file)
    sources = _read(lines)
    parent = next((line.removeprefix("extends ") for line in lines if line.startswith("extends ")), "")
    return _sources(parent).extended(sources) if parent else sources


def _lines(file: str) -> list[str]:
    return files(__name__).joinpath(f"{file}.txt").read_text("ascii").splitlines()


def _read(lines: Iterable[str]) -> Sources:
    sources = Sources()
    section = ""
    by_key: dict[str, str] = {}
    for line in lines:
        if not line or line[0] == "#":
            continue
        if line[0] == "[":
            section = line[1:-1]
            by_key = getattr(sources, section) if section in _SECTIONS else {}
        elif section in _SECTIONS:
            key, _, by_key[key] = line.partition(" ")
        elif section:
            setattr(sources, section, line)
    return sources
