"""What an operator types is carried out or refused with the value; the socket lets in its owner alone."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from domain.commands import OperatorCommand, ReleaseKillSwitch, SetKillSwitch
from service.control import MAX_LINE_BYTES, StatusQuery, ask, parse, serve_control

STATUS = {"venues_up": ["ARGO"]}
SESSIONS = [{"name": "EMS1", "next_in": 5}]


def line(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        (line(command="status"), StatusQuery()),
        (line(command="kill", scope="firm", by="ops"), SetKillSwitch("firm", "ops", "")),
        (line(command="kill", scope="venue:ARGO", by="ops", text="why"), SetKillSwitch("venue:ARGO", "ops", "why")),
        (line(command="release", scope="client:EMS1", by="ops"), ReleaseKillSwitch("client:EMS1", "ops")),
    ],
)
def test_commands(text: bytes, asked: object) -> None:
    assert parse(text) == asked


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "truncated"),
        (b"kill firm", "malformed.*kill firm"),
        (b"\xff\xfe", "in b"),
        (b"[]", "Expected `object`"),
        (line(), "command"),
        (line(command="kil", scope="firm", by="ops"), "kil"),
        (line(command="kill", by="ops"), "scope '' is none of firm, client:NAME"),
        (line(command="kill", scope="desk:X", by="ops"), "scope 'desk:X' is none of firm"),
        (line(command="release", scope="venue:", by="ops"), "scope 'venue:' is none of"),
        (line(command="kill", scope="firm"), "by is empty"),
        (line(command="kill", scope=1, by="ops"), r"\$.scope"),
        (line(command="status", verbose=True), "verbose"),
        (line(command="cancel", by="ops"), "cancel names order_id and by"),
        (line(command="amend", order_id="P1", by="ops"), "amend names order_qty or price"),
        (line(command="amend", order_id="P1", by="ops", price="cheap"), "price 'cheap' is not a decimal number"),
        (line(command="amend", order_id="P1", by="ops", order_qty=-1), "order_qty"),
        (line(command="notify", by="ops"), "notify names text and by"),
    ],
)
def test_mistakes_name_the_value(text: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse(text)


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[tuple[Path, list[OperatorCommand]]]:
    commands: list[OperatorCommand] = []
    path = tmp_path / "control.sock"
    server = await serve_control(path, commands.append, lambda: STATUS, lambda: SESSIONS)
    yield path, commands
    server.close()
    await server.wait_closed()


Daemon = tuple[Path, list[OperatorCommand]]


async def test_commands_reach_the_daemon_in_order_and_mistakes_do_not(daemon: Daemon) -> None:
    path, commands = daemon
    reader, writer = await asyncio.open_unix_connection(path)
    kill, release = line(command="kill", scope="firm", by="ops"), line(command="release", scope="firm", by="ops")
    writer.write(
        b"\n".join([kill, line(command="kill", scope="nobody", by="ops"), line(command="status"), release, b""])
    )
    answers = [json.loads(await reader.readline()) for _ in range(4)]
    writer.close()
    assert [answer["ok"] for answer in answers] == [True, False, True, True]
    assert "nobody" in answers[1]["error"]
    assert answers[2]["status"] == STATUS
    assert commands == [SetKillSwitch("firm", "ops", ""), ReleaseKillSwitch("firm", "ops")]


async def test_asking_from_outside(daemon: Daemon) -> None:
    path, commands = daemon
    assert await asyncio.to_thread(ask, path, {"command": "status"}) == {"ok": True, "status": STATUS}
    assert await asyncio.to_thread(ask, path, {"command": "kill", "scope": "firm", "by": "me"}) == {"ok": True}
    assert commands == [SetKillSwitch("firm", "me", "")]


async def test_an_endless_line_is_refused_and_the_next_operator_is_served(daemon: Daemon) -> None:
    path, _ = daemon
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"x" * (MAX_LINE_BYTES * 2))
    assert "over" in json.loads(await reader.readline())["error"]
    assert await reader.read() == b""
    writer.close()
    assert (await asyncio.to_thread(ask, path, {"command": "status"}))["ok"]


async def test_who_goes_away_early_disturbs_nobody(daemon: Daemon) -> None:
    path, _ = daemon
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(str(path))
        link.send(b'{"command": "sta')
    assert (await asyncio.to_thread(ask, path, {"command": "status"}))["ok"]


async def test_only_the_owner_may_connect(daemon: Daemon) -> None:
    assert daemon[0].stat().st_mode & 0o777 == 0o600


async def test_a_dead_daemons_socket_is_replaced_and_a_file_is_not(tmp_path: Path) -> None:
    dead, file = tmp_path / "dead.sock", tmp_path / "file"
    with socket.socket(socket.AF_UNIX) as link:
        link.bind(str(dead))
    server = await serve_control(dead, print, dict, list)
    server.close()
    file.write_text("precious")
    with pytest.raises(OSError, match=f"control socket {file}: Address already in use"):
        await serve_control(file, print, dict, list)
    assert file.read_text() == "precious"


async def test_a_path_too_long_for_a_socket_says_so(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"control socket .*x: AF_UNIX path too long"):
        await serve_control(tmp_path / ("x" * 120), print, dict, list)


def test_asking_where_nobody_listens(tmp_path: Path) -> None:
    dead = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as link:
        link.bind(str(dead))
    for path in (dead, tmp_path / "missing.sock"):
        with pytest.raises(OSError, match=f"no daemon listens at {path}"):
            ask(path, {"command": "status"})
