"""Every mistake of a file is named, with its key and what was expected, whatever else is wrong with the file."""

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta, Struct

from domain.fields import VenueKind
from service.toml import ConfigErrors, Mistake, load


class Part(Struct, frozen=True, forbid_unknown_fields=True):
    low: int = 1
    high: int = 2

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")


class Item(Struct, frozen=True, forbid_unknown_fields=True):
    name: Annotated[str, Meta(min_length=1)]
    port: Annotated[int, Meta(ge=1, le=65535)] = 1
    kind: VenueKind = VenueKind.LIT
    tags: dict[str, int] = {}
    symbols: tuple[str, ...] = ()
    doubled: Annotated[int, Meta(extra={"from_text": lambda text: 2 * int(text)})] = 0


class Whole(Struct, frozen=True, forbid_unknown_fields=True):
    items: Annotated[tuple[Item, ...], Meta(min_length=1)]
    mode: Literal["a", "b"] = "a"
    rate: float = 1.0
    part: Part = Part()
    named: dict[str, Part] = {}
    limit: int | None = None
    extra: Part | None = None


def mistakes(tmp_path: Path, text: str, **options: Any) -> list[Mistake]:
    path = tmp_path / "some.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigErrors) as caught:
        load(Whole, path, **options)
    lines = str(caught.value).splitlines()
    assert len(lines) >= len(caught.value.mistakes)
    assert all(line.startswith(f"{path}: ") for line in lines)
    return [tuple(mistake) for mistake in caught.value.mistakes]


GOOD = '[[items]]\nname = "x"\n'


def test_a_right_file(tmp_path: Path) -> None:
    path = tmp_path / "some.toml"
    path.write_text(
        'mode = "b"\nrate = 2\n[part]\nlow = 2\n[[items]]\nname = "x"\nport = 9\nkind = "dark"\n'
        'tags = { a = 1 }\nsymbols = ["A", "B"]\ndoubled = "4"\n[[items]]\nname = "y"\n[named.z]\nhigh = 9'
    )
    item = Item("x", 9, VenueKind.DARK, {"a": 1}, ("A", "B"), 8)
    assert load(Whole, path) == Whole((item, Item("y")), "b", 2.0, Part(low=2), {"z": Part(high=9)})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GOOD + "prt = 1", [("items[0].prt", "unknown key; did you mean port?")]),
        ("modus = 1\n" + GOOD, [("modus", "unknown key; did you mean mode?")]),
        (GOOD + "[zzz]", [("zzz", "unknown key; expected one of items, mode, rate, part, named, limit, extra")]),
        ("rate = 1", [("items", "missing")]),
        ("items = []", [("items", "expected array of length >= 1, got []")]),
        ("items = 3", [("items", "expected array, got 3")]),
        ("items = [3]", [("items", "expected table at [0], got an array of 1")]),
        ("[[items]]", [("items[0].name", "missing")]),
        ('[[items]]\nname = ""', [("items[0].name", "expected str of length >= 1, got ''")]),
        (GOOD + "port = 70000", [("items[0].port", "expected int <= 65535, got 70000")]),
        (GOOD + 'port = "9"', [("items[0].port", "expected int, got '9'")]),
        (GOOD + "port = true", [("items[0].port", "expected int, got True")]),
        (GOOD + 'kind = "grey"', [("items[0].kind", "expected one of 'lit', 'dark', 'dealer', got 'grey'")]),
        (GOOD + "tags = { a = 'x' }", [("items[0].tags", "expected int at [...], got a table")]),
        (GOOD + "symbols = ['A', 1]", [("items[0].symbols", "expected str at [1], got an array of 2")]),
        (GOOD + "doubled = 'x'", [("items[0].doubled", "invalid literal for int() with base 10: 'x'")]),
        (GOOD + "doubled = 4", [("items[0].doubled", "expected str, got 4")]),
        ("mode = 'c'\n" + GOOD, [("mode", "expected one of 'a', 'b', got 'c'")]),
        ("part = 1\n" + GOOD, [("part", "expected table, got 1")]),
        (GOOD + "[part]\nlow = 3", [("part", "low 3 is above high 2")]),
        ("limit = 'x'\n" + GOOD, [("limit", "expected int, got 'x'")]),
        ("extra = { low = 'x' }\n" + GOOD, [("extra.low", "expected int, got 'x'")]),
        ("named = 'x'\n" + GOOD, [("named", "expected table, got 'x'")]),
        ("named = { a = 1 }\n" + GOOD, [("named", "expected table at [...], got a table")]),
        (
            GOOD + "[named.a]\nlow = 3\n[named.b]\nlow = 'x'\nhih = 1",
            [
                ("named.a", "low 3 is above high 2"),
                ("named.b.low", "expected int, got 'x'"),
                ("named.b.hih", "unknown key; did you mean high?"),
            ],
        ),
        ("rate = ", [("", "is not TOML: Invalid value (at end of document)")]),
        (
            "rate = 'x'\nmode = 1\n[[items]]\nport = 0\n[[items]]\nname = 4\nfoo = 1\n[part]\nlow = 1.5\nhigh = 'y'",
            [
                ("rate", "expected float, got 'x'"),
                ("mode", "expected one of 'a', 'b', got 1"),
                ("items[0].port", "expected int >= 1, got 0"),
                ("items[0].name", "missing"),
                ("items[1].name", "expected str, got 4"),
                ("items[1].foo", "unknown key; expected one of name, port, kind, tags, symbols, doubled"),
                ("part.low", "expected int, got 1.5"),
                ("part.high", "expected int, got 'y'"),
            ],
        ),
    ],
)
def test_mistakes(tmp_path: Path, text: str, expected: list[tuple[str, str]]) -> None:
    assert mistakes(tmp_path, text) == expected


def test_what_is_wrong_between_keys_is_named_beside_the_rest(tmp_path: Path) -> None:
    between = Mistake("items", "too alike")
    assert mistakes(tmp_path, GOOD, check=lambda _: [between]) == [between]
    assert mistakes(tmp_path, GOOD + "port = 0", check=lambda data: [between] if "items" in data else []) == [
        ("items[0].port", "expected int >= 1, got 0"),
        between,
    ]


def test_a_missing_file_a_directory_and_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "bytes.toml").write_bytes(b"a = '\xff'")
    for path, says in (
        (tmp_path / "missing.toml", "can't be read: No such file or directory"),
        (tmp_path, "can't be read: Is a directory"),
        (tmp_path / "bytes.toml", "is not TOML: .*can't decode byte 0xff"),
    ):
        with pytest.raises(ConfigErrors, match=f"{path}: {says}"):
            load(Whole, path)
