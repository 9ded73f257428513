"""A Struct from TOML, with every mistake of the file named at once.

One msgspec.convert of the whole file would stop at the first mistake. So tables are taken apart key by key, down to
the values that are no Structs, and each value is converted alone: what is wrong with one hides nothing of the others.
"""

import tomllib
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import Meta

S = TypeVar("S", bound=msgspec.Struct)


class Mistake(NamedTuple):
    key: str  # its path, such as venues[2].port; "" for the whole file
    text: str


class ConfigErrors(Exception):  # noqa: N818 - carries several
    """Every mistake of a file, a line each: file, path of the key, what was expected."""

    def __init__(self, path: Path, mistakes: list[Mistake]) -> None:
        super().__init__("\n".join(f"{path}: {key}: {text}" if key else f"{path}: {text}" for key, text in mistakes))
        self.path = path
        self.mistakes = mistakes


def load(struct: type[S], path: Path, check: Callable[[dict[str, Any]], Iterable[Mistake]] = lambda _: ()) -> S:
    """A `struct` from the TOML file; ConfigErrors with all that is wrong.

    `check` names what is wrong between keys. It gets the file's content as it is, so that it has its say on a file
    with other mistakes too.
    """
    try:
        data = tomllib.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise ConfigErrors(path, [Mistake("", f"can't be read: {error.strerror}")]) from error
    except ValueError as error:  # not TOML, or not UTF-8
        raise ConfigErrors(path, [Mistake("", f"is not TOML: {error}")]) from error
    mistakes: list[Mistake] = []
    config = _build(struct, data, "", mistakes)
    mistakes += check(data)
    if mistakes:
        raise ConfigErrors(path, mistakes)
    return config


def _build(kind: Any, value: Any, key: str, mistakes: list[Mistake]) -> Any:
    """`value` as a `kind`; where something in it is wrong it is added to `mistakes` and the result is None.

    A field that is written as text and kept as something else says how: Annotated[..., Meta(extra={"from_text": f})],
    where f raises ValueError.
    """
    inner, meta = (kind.__origin__, kind.__metadata__[0]) if get_origin(kind) is Annotated else (kind, Meta())
    container, arguments = get_origin(inner), get_args(inner)
    if container in (Union, UnionType) and any(map(_is_struct, arguments)):
        inner = next(filter(_is_struct, arguments))  # a table that may be left out
    try:
        if meta.extra and "from_text" in meta.extra:
            return meta.extra["from_text"](msgspec.convert(value, str))
        if _is_struct(inner):
            return _build_struct(inner, msgspec.convert(value, dict[str, Any]), key, mistakes)
        if container is tuple and _is_struct(arguments[0]):
            entries = msgspec.convert(value, Annotated[list[dict[str, Any]], meta])
            return tuple(
                _build(arguments[0], entry, f"{key}[{number}]", mistakes) for number, entry in enumerate(entries)
            )
        if container is dict and _is_struct(arguments[1]):
            named = msgspec.convert(value, Annotated[dict[str, dict[str, Any]], meta])
            return {name: _build(arguments[1], entry, f"{key}.{name}", mistakes) for name, entry in named.items()}
        return msgspec.convert(value, kind)
    except ValueError as error:  # of which msgspec.ValidationError is one
        mistakes.append(Mistake(key, _explained(inner, value, error)))
        return None


def _build_struct(struct: type[msgspec.Struct], table: dict[str, Any], key: str, mistakes: list[Mistake]) -> Any:
    before = len(mistakes)
    prefix = f"{key}." if key else ""
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    values: dict[str, Any] = {}
    for name, value in table.items():
        if field := fields.get(name):
            values[field.name] = _build(field.type, value, prefix + name, mistakes)
        else:
            close = get_close_matches(name, fields, 1)
            hint = f"did you mean {close[0]}?" if close else f"expected one of {', '.join(fields)}"
            mistakes.append(Mistake(prefix + name, f"unknown key; {hint}"))
    for name, field in fields.items():
        if field.required and name not in table:
            mistakes.append(Mistake(prefix + name, "missing"))
    return struct(**values) if len(mistakes) == before else None


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _explained(kind: Any, value: Any, error: ValueError) -> str:
    choices: list[Any] = []
    if get_origin(kind) is Literal:
        choices = list(get_args(kind))
    elif isinstance(kind, type) and issubclass(kind, Enum):
        choices = [member.value for member in kind]
    if choices:
        return f"expected one of {', '.join(map(repr, choices))}, got {value!r}"
    text = str(error).replace("`object`", "`table`")
    if not isinstance(error, msgspec.ValidationError) or not text.startswith("Expected"):
        return text
    expected, _, place = text.replace("`", "").replace(" | null", "").partition(" - at $")
    expected = expected[0].lower() + expected[1:].partition(", got")[0]
    return f"{expected}{' at ' + place if place else ''}, got {_shown(value)}"


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list) and value:
        return f"an array of {len(value)}"
    return repr(value)
