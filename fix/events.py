"""What a session tells: events, and messages to be written."""

from typing import NamedTuple

import msgspec

from fix.errors import SessionRejectReason
from fix.message import Message


class LoggedOn(msgspec.Struct, frozen=True):
    """Both Logon(A)s are through; followed by LoggedOut, whatever the end."""


class Received(msgspec.Struct, frozen=True):
    """An application message, in order and once."""

    message: Message


class Rejected(msgspec.Struct, frozen=True):
    """The peer refused one of our messages with Reject(3)."""

    message: Message
    ref_seq_num: int
    text: str


class SequenceReset(msgspec.Struct, frozen=True):
    """Both sequence numbers went back to 1 and the store was emptied (ResetSeqNumFlag(141))."""


class NotResent(msgspec.Struct, frozen=True):
    """The peer missed messages and got a gap fill for those of the application (`resend_app` False).

    It may have dropped later ones too, that were under way when it asked: the gap fill reaches to the last one sent.
    """


class Refusing(msgspec.Struct, frozen=True):
    """We refused one of the peer's messages with Reject(3); `text` names the field, its value and what is wrong."""

    message: Message
    reason: SessionRejectReason
    text: str


class PasswordChanged(msgspec.Struct, frozen=True):
    """The peer logged on with a NewPassword(925): keep the hash, as the session does until it is made anew.

    `replaced`: the hash that it had until now.
    """

    username: str
    replaced: str
    hashed: str


class LoggedOut(msgspec.Struct, frozen=True):
    """Follows each LoggedOn once, whatever the end."""

    text: str


class Disconnect(msgspec.Struct, frozen=True):
    """Close the connection once the outbox is written, then call `disconnected`. Nothing more will come."""

    text: str


class Garbled(msgspec.Struct, frozen=True):
    """Bytes were dropped."""

    text: str


Event = (
    LoggedOn
    | Received
    | Rejected
    | Refusing
    | SequenceReset
    | NotResent
    | PasswordChanged
    | LoggedOut
    | Disconnect
    | Garbled
)


class Outgoing(NamedTuple):
    msg_seq_num: int
    msg_type: str
    raw: bytes
    resent: bool
