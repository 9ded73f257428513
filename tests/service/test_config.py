"""The daemon's config: the example explains every key and loads; what its keys have to agree on is checked."""

import re
import tomllib
from collections.abc import Iterator
from datetime import time
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from domain.instruments import Instrument, TradingHours
from service import toml
from service.config import ServiceConfig, hours_from_text, load
from service.toml import ConfigErrors
from simulators.config import SimulatorsConfig

DEPLOY = Path(__file__).parents[2] / "deploy"
EXAMPLE = DEPLOY / "fairlead.toml"


def struct_of(kind: Any) -> type[msgspec.Struct] | None:
    """The Struct that a key's type is or holds; what is written as text is one value, whatever it is kept as."""
    if "from_text" in repr(kind):
        return None
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind
    return next(filter(None, map(struct_of, get_args(kind))), None)


def keys_of(kind: type[msgspec.Struct], table: str = "") -> Iterator[tuple[str, msgspec.structs.FieldInfo]]:
    """Every key of a config that is no table, as table.key, at any depth."""
    assert kind.__struct_config__.forbid_unknown_fields, kind
    for field in msgspec.structs.fields(kind):
        key = f"{table}.{field.encode_name}".lstrip(".")
        if struct := struct_of(field.type):
            yield from keys_of(struct, key)
        else:
            yield key, field


def switched_on(text: str) -> str:
    """With the optional tables that the example only shows: `#` right before a table or a key."""
    return re.sub(r"^#(?=\[|\w+ = )", "", text, flags=re.MULTILINE)


def comments_of(text: str) -> dict[str, str]:
    """The comment of each key, as table.key: right above it, or above the key that it follows without a gap."""
    table, comment, comments = "", "", {}
    for line, following in pairwise([*switched_on(text).splitlines(), ""]):
        if line.startswith("#"):
            comment += line[1:]
        elif header := re.match(r"\[+([^]]+)]+", line):
            table, comment = re.sub(r'\.([A-Z0-9]+|"[^"]+")', "", header[1]), ""
        elif (key := re.match(r"(\w+) = ", line)) and comment:
            comments.setdefault(f"{table}.{key[1]}".lstrip("."), comment)
        if not line or (following.startswith("#") and not line.startswith("#")):
            comment = ""
    return comments


def test_the_example_explains_every_key_and_nothing_else() -> None:
    comments = comments_of(EXAMPLE.read_text())
    assert comments.keys() == {key for key, _ in keys_of(ServiceConfig)}


def test_the_example_of_the_simulators_names_every_key_and_loads() -> None:
    """Its optional tables are comments as a whole, so there a key counts as explained where a comment names it."""
    path = DEPLOY / "simulators.toml"
    said = "\n".join(line for line in path.read_text().splitlines() if line.startswith("#"))
    missing = {
        key
        for key, _ in keys_of(SimulatorsConfig)
        if key not in comments_of(path.read_text()) and not re.search(rf"\b{key.split('.')[-1]}\b", said)
    }
    assert not missing
    assert [*toml.load(SimulatorsConfig, path).venues] == [venue.name for venue in load(EXAMPLE).venues]


def test_what_the_example_only_shows_is_right_too(tmp_path: Path) -> None:
    path = tmp_path / "all.toml"
    path.write_text(switched_on(EXAMPLE.read_text()))
    config = load(path)
    assert config.listen.tls is not None and [*config.listen.tls.names] == ["fix.example.com"]
    assert config.clients[0].credentials and config.venues[0].tls is not None


def test_a_key_without_a_comment_is_noticed() -> None:
    text = EXAMPLE.read_text()
    without = re.sub(r"(#[^\n]*\n)+seed = 1\n", "\nseed = 1\n", text)
    assert without != text
    assert comments_of(text).keys() - comments_of(without).keys() == {"service.seed"}


def test_the_example_says_of_every_key_what_holds_without_it() -> None:
    comments = comments_of(EXAMPLE.read_text())
    for key, field in keys_of(ServiceConfig):
        said = comments[key]
        if field.required or key == "clients.accounts":
            assert "Required." in said, key
        elif type(field.default) in (bool, int, float, str) and "from_text" not in repr(field.type):
            named = re.search(r'[Dd]efault[^".\d]*?("[^"]*"|[\d_]+(\.\d+)?|true|false)', said)
            assert named, key
            assert tomllib.loads(f"x = {named[1]}")["x"] == field.default, key
        else:
            assert re.search("[Dd]efault", said), key


def test_the_example_loads() -> None:
    config = load(EXAMPLE)
    assert (config.listen.host, config.listen.port, config.service.comp_id) == ("127.0.0.1", 9878, "FAIRLEAD")
    assert [(client.name, client.begin_string, client.strategy_tag) for client in config.clients] == [
        ("EMS1", "FIX.4.4", 847),
        ("EMS2", "FIX.4.2", 9100),
    ]
    assert config.clients[1].parameter_tags == {"duration_s": 9101, "slices": 9102}
    assert [(venue.name, venue.kind.value, venue.port) for venue in config.venues] == [
        ("ARGO", "lit", 9901),
        ("BRIG", "lit", 9902),
        ("CLIP", "lit", 9903),
        ("DUSK", "dark", 9904),
        ("EBBT", "dark", 9905),
        ("FORD", "dealer", 9906),
        ("GALE", "dealer", 9907),
    ]
    clip = config.venues[2].terms()
    assert clip.taker_fee_px < 0 < clip.maker_fee_px  # inverted
    assert config.instruments[0].instrument == Instrument("ALFA", 100, 1, 4_000_000)
    assert config.journal_path == Path("var/fairlead/journal")
    assert config.control_path == Path("var/fairlead/control.sock")


def changed(tmp_path: Path, *changes: tuple[str, str]) -> Path:
    text = EXAMPLE.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path = tmp_path / "changed.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([('name = "EMS2"', 'name = "EMS1"')], ["clients[1].name: 'EMS1' is taken by clients[0].name"]),
        ([('name = "BRIG"', 'name = "ARGO"')], ["venues[1].name: 'ARGO' is taken by venues[0].name"]),
        ([('symbol = "ECHO"', 'symbol = "ALFA"')], ["instruments[4].symbol: 'ALFA' is taken by instruments[0].symbol"]),
        ([('accounts = ["ACC1"', 'accounts = ["ACC3", "ACC1"')], ["clients[0].accounts[0]: there is no account with"]),
        ([("restricted = []", 'restricted = ["ALFB"]')], ["risk.restricted[0]: there is no instrument 'ALFB'"]),
        ([("excluded_venues = []", 'excluded_venues = ["X"]')], ["policy.excluded_venues[0]: there is no venue 'X'"]),
        ([("{ FORD = 50", "{ FROD = 50")], ["risk.venue_messages_per_second.FROD: there is no venue 'FROD'"]),
        ([('default_strategy = "sweep"', 'default_strategy = "vwap"')], ["clients[0].default_strategy: there is no"]),
        ([("port = 9878", "port = 98780")], ["listen.port: expected int <= 65535, got 98780"]),
        ([('tick = "0.01"', "tick = 0.01")], ["instruments[0].tick: expected str, got 0.01"]),
        ([('tick = "0.01"', 'tick = "0.00001"')], ["instruments[0].tick: price '0.00001' has more than 4 decimals"]),
        ([('tick = "0.01"', 'tick = "0"')], ["instruments[0].tick: expected a tick above 0, got '0'"]),
        ([('hours = "always"', 'hours = "09:30-16:00 Mars"')], ["instruments[0].hours: unknown time zone 'Mars'"]),
        ([('on_shutdown = "hold"', 'on_shutdown = "x"')], ["service.on_shutdown: expected one of 'hold', 'cancel'"]),
        ([("min_rest_ms = 1_000", "min_rest_ms = 9_000")], ["policy: min_rest_ms 9000 exceeds max_rest_ms 5000"]),
        ([('session = "DESK"', 'session = "DISK"')], ["clients[0].session: there is no table 'DISK'; expected one of"]),
        ([('schedule = "always"', 'schedule = "9-5"')], ['sessions.DESK.schedule: expected "always", "07:00-18:00']),
        ([("resend_burst = 1_000", "resend_burst = 0")], ["sessions.DESK.resend_burst: expected int >= 1, got 0"]),
        (
            [("check_sum = true", "check_sums = true")],
            ["sessions.DESK.validation.check_sums: unknown key; did you mean"],
        ),
        ([("allow = []", 'allow = ["10.0.0.300"]')], ["listen: '10.0.0.300' does not appear to be an IPv4 or IPv6"]),
        ([("fallbacks = []", 'fallbacks = ["x"]')], ["venues[0]: fallbacks 'x' is not HOST:PORT"]),
        (
            [("#[[clients.cr", "[[clients.cr"), ("#username", "username"), ('#hashed = "s', 'hashed = "p')],
            ["clients[0].credentials[0]: a hashed password looks like scrypt$N$r$p$SALT$HASH"],
        ),
        ([('maker_fee = "-0.0020"', 'maker_fee = "x"')], ["venues[0]: maker_fee 'x' is not a decimal number"]),
        (
            [("seed = 1", "sed = 1"), ("port = 9901", "port = 0"), ('name = "EMS2"', 'name = "EMS1"')],
            [
                "service.sed: unknown key; did you mean seed?",
                "venues[0].port: expected int >= 1, got 0",
                "clients[1].name: 'EMS1' is taken by clients[0].name",
            ],
        ),
    ],
)
def test_mistakes(tmp_path: Path, changes: list[tuple[str, str]], expected: list[str]) -> None:
    path = changed(tmp_path, *changes)
    with pytest.raises(ConfigErrors) as caught:
        load(path)
    found = sorted(str(caught.value).splitlines())
    assert len(found) == len(expected)
    for line, start in zip(found, sorted(f"{path}: {line}" for line in expected), strict=True):
        assert line.startswith(start)


def test_listening_for_other_machines_is_taken_as_configured(tmp_path: Path) -> None:
    assert load(changed(tmp_path, ('host = "127.0.0.1"', 'host = "0.0.0.0"'))).listen.host == "0.0.0.0"


def test_hours() -> None:
    assert hours_from_text("always") == TradingHours()
    assert hours_from_text("09:30-16:00 America/New_York") == TradingHours(time(9, 30), time(16), "America/New_York")
    for text in ("", "never", "09:30", "09:30-16:00", "25:00-26:00 UTC", "16:00-09:30 UTC", "09:30-09:30 UTC"):
        with pytest.raises(ValueError, match=re.escape(repr(text))):
            hours_from_text(text)
    for text in ("09:30-16:00 ../etc/passwd", "09:30-16:00 Europe/Atlantis", "09:30-16:00 Europe"):
        with pytest.raises(ValueError, match="unknown time zone"):
            hours_from_text(text)
