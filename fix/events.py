"""What a session is told once, its config, and what it tells: events, and messages to be written."""

from typing import Literal, NamedTuple

import msgspec

from fix.dictionary import APPL_VER_IDS, FIXT, SUPPORTED
from fix.message import Message


class SessionConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`sender_comp_id` is ours, `target_comp_id` the peer's.

    `reset_on_logon`: an initiator asks for ResetSeqNumFlag(141)=Y; an acceptor takes a Logon(A) with MsgSeqNum(34)=1
    as if it had asked. An acceptor honours the flag in any case.
    """

    begin_string: Literal["FIX.4.0", "FIX.4.1", "FIX.4.2", "FIX.4.3", "FIX.4.4", "FIXT.1.1"]
    sender_comp_id: str
    target_comp_id: str
    role: Literal["acceptor", "initiator"]
    default_appl_ver_id: str = ""  # with FIXT.1.1: DefaultApplVerID(1137), "9" or "FIX.5.0SP2"; "": the latest
    heart_bt_int: int = 30  # seconds; an acceptor takes what the Logon(A) says; 0: no heartbeats
    reset_on_logon: bool = False
    resend_app: bool = True  # False: application messages are gap-filled, never sent twice (orders to venues)
    max_message_bytes: int = 65536
    max_held_messages: int = 1024  # beyond a gap
    logon_timeout_s: float = 10
    logout_timeout_s: float = 2
    sending_time_tolerance_s: float = 120  # 0: SendingTime(52) is not compared with our clock

    def __post_init__(self) -> None:
        if not self.default_appl_ver_id:
            return
        if self.begin_string != FIXT:
            raise ValueError(f"default_appl_ver_id goes with {FIXT} only, not with {self.begin_string}")
        if self.application not in SUPPORTED:
            raise ValueError(f"default_appl_ver_id {self.default_appl_ver_id!r} is none of {', '.join(APPL_VER_IDS)}")

    @property
    def application(self) -> str:
        """The version of the application messages, such as "FIX.5.0SP2"."""
        if self.begin_string != FIXT:
            return self.begin_string
        return APPL_VER_IDS.get(self.default_appl_ver_id, self.default_appl_ver_id or SUPPORTED[-1])


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


class LoggedOut(msgspec.Struct, frozen=True):
    """Follows each LoggedOn once, whatever the end."""

    text: str


class Disconnect(msgspec.Struct, frozen=True):
    """Close the connection once the outbox is written, then call `disconnected`. Nothing more will come."""

    text: str


class Garbled(msgspec.Struct, frozen=True):
    """Bytes were dropped."""

    text: str


Event = LoggedOn | Received | Rejected | SequenceReset | NotResent | LoggedOut | Disconnect | Garbled


class Outgoing(NamedTuple):
    msg_seq_num: int
    msg_type: str
    raw: bytes
    resent: bool
