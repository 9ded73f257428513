"""Structured logs: one JSON object a line, one line a fact. The journal is the record, the log what a person follows.

So what is frequent and only of use with its bytes (messages, sequence numbers, features) is logged at debug level, and
an operator at info level sees orders, children, fills and what went wrong. Passwords never reach a log, by whatever
way a message gets there.
"""

import logging
import os
import re
import sys
from contextlib import suppress
from enum import Enum
from typing import Any, BinaryIO

import msgspec
import structlog

from domain.facts import (
    AnyFact,
    ChildRejected,
    ChildRiskRejected,
    ChildUncertain,
    ClientDown,
    DecisionMade,
    DecisionShadowed,
    ExecutionDisputed,
    ExecutionUnknown,
    KillSwitchReleased,
    KillSwitchSet,
    LatencyMeasured,
    MarkoutMeasured,
    MessageReceived,
    MessageSent,
    ModelFailed,
    ModelRolledBack,
    ModelStaged,
    OrdersPaused,
    OrdersRetired,
    ParentRejected,
    ParentRequestRejected,
    SessionAdvanced,
    SessionReset,
    Started,
    TimerFired,
    VenueDown,
    VenueDrifted,
    VenueSteadied,
    VenueUnsure,
)

# Facts without a row are of level info.
LEVELS: dict[type, int] = {
    MessageReceived: logging.DEBUG,
    MessageSent: logging.DEBUG,
    SessionAdvanced: logging.DEBUG,
    DecisionMade: logging.DEBUG,
    LatencyMeasured: logging.DEBUG,
    DecisionShadowed: logging.DEBUG,
    ModelStaged: logging.WARNING,
    ModelFailed: logging.ERROR,
    ModelRolledBack: logging.ERROR,
    MarkoutMeasured: logging.DEBUG,
    TimerFired: logging.DEBUG,
    OrdersRetired: logging.DEBUG,
    SessionReset: logging.WARNING,
    ParentRejected: logging.WARNING,
    ParentRequestRejected: logging.WARNING,
    ChildRejected: logging.WARNING,
    ChildRiskRejected: logging.WARNING,
    ChildUncertain: logging.WARNING,
    VenueDown: logging.WARNING,
    VenueDrifted: logging.ERROR,  # its fills are not what decisions expect of it
    VenueSteadied: logging.WARNING,
    VenueUnsure: logging.WARNING,
    ClientDown: logging.WARNING,
    OrdersPaused: logging.ERROR,  # nothing new is traded until somebody makes room
    KillSwitchSet: logging.WARNING,
    KillSwitchReleased: logging.WARNING,
    ExecutionDisputed: logging.ERROR,  # a client does not know a trade of ours
    ExecutionUnknown: logging.ERROR,  # shares that our books don't explain
}
# What a log line leaves to the journal.
LEFT_OUT: dict[type, tuple[str, ...]] = {DecisionMade: ("features", "candidates", "schema_hash"), Started: ("config",)}

# Password(554), NewPassword(925), in a message as it is, as shown with |, and inside Python's way to show bytes. The
# value ends where the separator that came before the tag begins another field.
_SECRET = re.compile(rb"((?:^|(\x01|\||\\x01))(?:554|925)=).*?(?=\2\d+=|\2?\Z)", re.DOTALL)


def mask(raw: bytes) -> bytes:
    """A FIX message with its passwords replaced by ***; BodyLength(9) and CheckSum(10) stay those of the original."""
    return _SECRET.sub(rb"\1***", raw) if b"554=" in raw or b"925=" in raw else raw


def configure(level: str, file: str) -> None:
    """From here on structlog, and what libraries log, is added to `file` from `level` ("debug" ... "error") on.

    "" is standard error. OSError where the file can't be opened.
    """
    out = open(file, "ab", opener=_private) if file else sys.stderr.buffer  # noqa: SIM115 - open as long as we run
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _readable,
            structlog.processors.JSONRenderer(serializer=_json),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.BytesLoggerFactory(_Lossy(out)),
    )
    logging.basicConfig(handlers=[_Forward()], level=max(number, logging.INFO), force=True)


def log_fact(fact: AnyFact) -> None:
    """The fact as one event: its type in snake case, its fields."""
    level = LEVELS.get(type(fact), logging.INFO)
    log = structlog.get_logger()
    if log.is_enabled_for(level):
        left_out = LEFT_OUT.get(type(fact), ())
        fields = {name: getattr(fact, name) for name in fact.__struct_fields__ if name not in left_out}
        log.log(level, snake_case(type(fact).__name__), **fields)


def snake_case(name: str) -> str:
    """ "ChildFilled" -> "child_filled"."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)  # it says who trades what


class _Lossy:
    """A full disk or a reader that went away costs log lines, never orders: the record is the journal."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, data: bytes) -> None:
        with suppress(OSError):
            self._file.write(data)

    def flush(self) -> None:
        with suppress(OSError):
            self._file.flush()


class _Forward(logging.Handler):
    """What libraries log by the standard module, asyncio's unhandled errors among it, in the same form."""

    def emit(self, record: logging.LogRecord) -> None:
        exc_info = {"exc_info": record.exc_info} if record.exc_info else {}
        structlog.get_logger().log(record.levelno, record.getMessage(), logger=record.name, **exc_info)


def readable(value: Any) -> Any:
    """FIX codes by name (side: BUY); raw messages as text with | between the fields; both without passwords."""
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, bytes):
        return mask(value).replace(b"\x01", b"|").decode("latin-1")
    if isinstance(value, str) and ("554=" in value or "925=" in value):
        return mask(value.encode()).decode()
    return value


def _readable(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    return {key: readable(value) for key, value in event.items()}


def _json(event: dict[str, Any], **_options: Any) -> bytes:
    return msgspec.json.encode(event, enc_hook=repr)
