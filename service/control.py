"""How an operator reaches a running daemon: a socket in its data directory, one JSON object a line, answered by one.

    {"command": "kill", "scope": "venue:ARGO", "by": "ops", "text": "bad prices"}     -> {"ok": true}
    {"command": "release", "scope": "venue:ARGO", "by": "ops"}                         -> {"ok": true}
    {"command": "status"}                                                             -> {"ok": true, "status": {...}}
    {"command": "sessions"}                                                           -> {"ok": true, "sessions": [...]}
    {"command": "session", "action": "reset", "name": "EMS1", "by": "ops"}             -> {"ok": true}
    {"command": "orders"}                                                             -> {"ok": true, "orders": [...]}
    {"command": "cancel", "order_id": "1JS897G-P1", "by": "ops", "text": "by phone"}   -> {"ok": true}
    {"command": "amend", "order_id": "1JS897G-P1", "order_qty": 500, "by": "ops"}      -> {"ok": true}
    {"command": "notify", "name": "EMS1", "by": "ops", "text": "ARGO is closed"}       -> {"ok": true}
    {"command": "reload", "by": "ops"}                                                -> {"ok": true, "changes": [...]}
    {"command": "promote", "name": "1678f944d50f", "by": "ops", "approved_by": "quant"} -> {"ok": true}
    {"command": "rollback", "by": "ops", "text": "worse"}                              -> {"ok": true}
    {"command": "kil"}                                                                -> {"ok": false, "error": "..."}

The socket's file mode lets its owner in and nobody else; there is no other authentication.
"""

import asyncio
import os
import socket
import stat
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from domain.commands import (
    AmendOrder,
    CancelOrder,
    ModelCommand,
    NotifyClients,
    OperatorCommand,
    PromoteModel,
    ReleaseKillSwitch,
    RollBackModel,
    SetKillSwitch,
)
from domain.prices import px_from_text
from risk.kill_switch import SCOPE_KINDS, valid_scope
from router.model import ModelRefused
from service.orders import OrderRefused
from service.reload import Reload
from service.sessions import Action, SessionCommand, SessionRefused

Command = OperatorCommand | SessionCommand | Reload | ModelCommand
Operate = Callable[[Command], object]
Status = Callable[[], Mapping[str, Any]]
Prepare = Callable[[Command], Awaitable[None]]  # what takes time before a command can be carried out
Listing = Callable[[], list[dict[str, Any]]]

MAX_LINE_BYTES = 16 * 1024
ANSWER_TIMEOUT_S = 5.0


class StatusQuery(msgspec.Struct, frozen=True):
    """Asks how the daemon is; changes nothing."""


class SessionsQuery(msgspec.Struct, frozen=True):
    """Asks for all sessions and their sequence numbers; changes nothing."""


class OrdersQuery(msgspec.Struct, frozen=True):
    """Asks for all open orders; changes nothing."""


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    command: Literal[
        "status",
        "kill",
        "release",
        "sessions",
        "session",
        "reload",
        "orders",
        "cancel",
        "amend",
        "notify",
        "promote",
        "rollback",
    ]
    scope: str = ""
    by: str = ""
    text: str = ""
    approved_by: str = ""
    action: Action | None = None
    name: str = ""
    next_in: Annotated[int, msgspec.Meta(ge=0)] = 0
    next_out: Annotated[int, msgspec.Meta(ge=0)] = 0
    order_id: str = ""
    order_qty: Annotated[int, msgspec.Meta(ge=0)] = 0
    price: str = ""


Query = StatusQuery | SessionsQuery | OrdersQuery
QUERIES: dict[str, Query] = {"status": StatusQuery(), "sessions": SessionsQuery(), "orders": OrdersQuery()}


def parse(line: bytes) -> Query | Command:
    """What a line asks for; ValueError with the value and what was expected instead."""
    try:
        asked = msgspec.json.decode(line, type=_Line)
    except msgspec.DecodeError as error:  # of which ValidationError is one
        raise ValueError(f"{error}, in {line[:200]!r}") from None
    if asked.command in QUERIES:
        return QUERIES[asked.command]
    if asked.command in ("cancel", "amend", "notify"):
        return _of_orders(asked, line)
    if asked.command == "session":
        if asked.action is None or not asked.name or not asked.by:
            raise ValueError(f"a session command names action, name and by, not {line[:200]!r}")
        return SessionCommand(asked.action, asked.name, asked.by, asked.next_in, asked.next_out)
    if asked.command == "reload":
        if not asked.by:
            raise ValueError("by is empty: who asks for the reload?")
        return Reload(asked.by)
    if asked.command in ("promote", "rollback"):
        if not asked.by or (asked.command == "promote" and not asked.name):
            raise ValueError(f"{asked.command} names by, and promote the model's name, not {line[:200]!r}")
        if asked.command == "promote":
            return PromoteModel(asked.name, asked.by, asked.approved_by, asked.text)
        return RollBackModel(asked.by, asked.text)
    if not valid_scope(asked.scope):
        kinds = ", ".join(f"{kind}:NAME" for kind in SCOPE_KINDS)
        raise ValueError(f"scope {asked.scope!r} is none of firm, {kinds}")
    if not asked.by:
        raise ValueError(f"by is empty: who asks for {asked.command} {asked.scope}?")
    if asked.command == "kill":
        return SetKillSwitch(asked.scope, asked.by, asked.text)
    return ReleaseKillSwitch(asked.scope, asked.by)


def _of_orders(asked: _Line, line: bytes) -> CancelOrder | AmendOrder | NotifyClients:
    named = asked.text if asked.command == "notify" else asked.order_id
    if not named or not asked.by:
        what = "text" if asked.command == "notify" else "order_id"
        raise ValueError(f"{asked.command} names {what} and by, not {line[:200]!r}")
    if asked.command == "notify":
        return NotifyClients(asked.name, asked.by, asked.text)
    if asked.command == "cancel":
        return CancelOrder(asked.order_id, asked.by, asked.text)
    limit_px = px_from_text(asked.price) if asked.price else 0
    if not asked.order_qty and limit_px <= 0:
        raise ValueError(f"amend names order_qty or price, not {line[:200]!r}")
    return AmendOrder(asked.order_id, asked.by, asked.text, asked.order_qty, limit_px)


def answer(line: bytes, operate: Operate, status: Status, sessions: Listing, orders: Listing = list) -> dict[str, Any]:
    """Does what the line asks for and says so; a mistake in the line reaches none of the functions."""
    try:
        asked = parse(line)
    except ValueError as error:
        return {"ok": False, "error": str(error)}
    match asked:
        case StatusQuery():
            return {"ok": True, "status": status()}
        case SessionsQuery():
            return {"ok": True, "sessions": sessions()}
        case OrdersQuery():
            return {"ok": True, "orders": orders()}
    try:
        done = operate(asked)
    except (SessionRefused, OrderRefused, ModelRefused) as refused:
        return {"ok": False, "error": str(refused)}
    return {"ok": True, "changes": done} if isinstance(done, list) else {"ok": True}


async def _ready(line: bytes, prepare: Prepare) -> str:
    """Why what the line asks for can't be carried out; "" where it can, or where `answer` has to say what is wrong."""
    with suppress(ValueError):
        asked = parse(line)
        if isinstance(asked, PromoteModel):
            try:
                await prepare(asked)
            except ModelRefused as refused:
                return str(refused)
    return ""


async def serve_control(
    path: Path,
    operate: Operate,
    status: Status,
    sessions: Listing,
    orders: Listing = list,
    prepare: Prepare | None = None,
) -> asyncio.Server:
    """Listens at `path` until closed; OSError where that can't be.

    Whoever calls holds the lock of the data directory's journal, so a socket that is still there is a dead one's.
    """

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            try:
                while line := await reader.readline():
                    refused = await _ready(line, prepare) if prepare is not None else ""
                    told = {"ok": False, "error": refused}
                    if not refused:
                        told = answer(line, operate, status, sessions, orders)
                    writer.write(msgspec.json.encode(told) + b"\n")
                    await writer.drain()
            except ValueError:  # what asyncio makes of a line over the limit
                said = {"ok": False, "error": f"a line is over {MAX_LINE_BYTES} bytes"}
                writer.write(msgspec.json.encode(said) + b"\n")
            finally:
                writer.close()

    listener = socket.socket(socket.AF_UNIX)
    try:
        if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
            path.unlink()
        listener.bind(str(path))
        os.chmod(path, 0o600)  # before it listens, so that nobody can be in already
        return await asyncio.start_unix_server(talk, sock=listener, limit=MAX_LINE_BYTES)
    except BaseException as error:
        listener.close()
        if isinstance(error, OSError):
            raise OSError(f"control socket {path}: {error.strerror or error}") from error
        raise


def ask(path: Path, line: Mapping[str, object]) -> dict[str, Any]:
    """The answer of the daemon that listens at `path`; OSError in words for an operator where there is none."""
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(ANSWER_TIMEOUT_S)
        try:
            link.connect(str(path))
            link.sendall(msgspec.json.encode(line) + b"\n")
            with link.makefile("rb") as replies:
                return msgspec.json.decode(replies.readline(), type=dict[str, Any])
        except (FileNotFoundError, ConnectionRefusedError):
            raise OSError(f"no daemon listens at {path}") from None
        except (OSError, msgspec.DecodeError) as error:
            raise OSError(f"the daemon at {path} gave no answer: {error}") from error
