"""How the text of each FIX data type must look. Patterns only: what a field means is its reader's affair.

Types that a counterparty's dictionary makes up are texts. The empty text matches nothing: FIX has no empty fields.
"""

import re
from collections.abc import Callable
from functools import cache

from fix.dictionary import Field

Check = Callable[[str], object]  # true for a text that may stand

_DATE = r"\d{4}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
_MINUTE = r"(?:[01]\d|2[0-3]):[0-5]\d"
_SECOND = r"(?:[0-5]\d|60)"
_FRACTION = r"(?:\.\d{3}(?:\d{3}(?:\d{3}(?:\d{3})?)?)?)?"
_ZONE = r"(?:Z|[+-](?:0\d|1[0-4])(?::[0-5]\d)?)"
_INT = r"-?\d{1,18}"
_COUNT = r"\d{1,18}"
_FLOAT = r"-?(?:\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})"
_TIMESTAMP = rf"{_DATE}-{_MINUTE}:{_SECOND}{_FRACTION}"
_PATTERNS = {
    **dict.fromkeys(("INT",), _INT),
    **dict.fromkeys(("LENGTH", "SEQNUM", "NUMINGROUP", "TAGNUM"), _COUNT),
    **dict.fromkeys(("FLOAT", "PRICE", "QTY", "AMT", "PERCENTAGE", "PRICEOFFSET"), _FLOAT),
    "CHAR": r"[^\x01]",
    "BOOLEAN": "[YN]",
    "UTCTIMESTAMP": _TIMESTAMP,
    "TIME": _TIMESTAMP,  # FIX.4.0 and 4.1
    "UTCTIMEONLY": rf"{_MINUTE}:{_SECOND}{_FRACTION}",
    **dict.fromkeys(("UTCDATE", "UTCDATEONLY", "LOCALMKTDATE", "DATE"), _DATE),
    "LOCALMKTTIME": rf"{_MINUTE}:{_SECOND}",
    "TZTIMEONLY": rf"{_MINUTE}(?::{_SECOND})?{_ZONE}?",
    "TZTIMESTAMP": rf"{_DATE}-{_MINUTE}(?::{_SECOND}{_FRACTION})?{_ZONE}?",
    "MONTHYEAR": r"\d{4}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01]|w[1-5])?",
    "DAYOFMONTH": r"0?[1-9]|[12]\d|3[01]",
    "MULTIPLECHARVALUE": r"[^\x01 ](?: [^\x01 ])*",
}
# Several values in one field, separated by a blank.
_MULTIPLE = frozenset({"MULTIPLEVALUESTRING", "MULTIPLESTRINGVALUE", "MULTIPLECHARVALUE"})


@cache
def format_check(kind: str) -> Check | None:
    """Of a data type; None where any text will do."""
    pattern = _PATTERNS.get(kind)
    return re.compile(pattern).fullmatch if pattern else None


def value_check(field: Field) -> Check | None:
    """Whether a text is among the field's values; None where the field has no list."""
    values = frozenset(field.values)
    if not values:
        return None
    if field.type in _MULTIPLE:
        return lambda text: values.issuperset(text.split(" "))
    return values.__contains__
