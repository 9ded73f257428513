"""What a session is told once."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from fix.credentials import Credential
from fix.dictionary import APPL_VER_IDS, FIXT, SUPPORTED
from fix.schedule import Schedule, schedule_from_text
from fix.validation import LENIENT, Validation

BeginString = Literal["FIX.4.0", "FIX.4.1", "FIX.4.2", "FIX.4.3", "FIX.4.4", "FIXT.1.1"]


Count = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(ge=0)]


class SessionOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What many sessions may have in common.

    `reset_on_logon`: an initiator asks for ResetSeqNumFlag(141)=Y; an acceptor takes a Logon(A) with MsgSeqNum(34)=1
    as if it had asked. An acceptor honours the flag in any case.
    """

    heart_bt_int: Count = 30  # seconds; an acceptor takes what the Logon(A) says; 0: no heartbeats
    # None: always open
    schedule: Annotated[Schedule | None, Meta(extra={"from_text": schedule_from_text})] = None
    validation: Validation = LENIENT

    # Sequence numbers.
    reset_on_logon: bool = False
    reset_on_logout: bool = False
    reset_on_disconnect: bool = False
    next_expected_msg_seq_num: bool = False  # NextExpectedMsgSeqNum(789) in the Logon(A), from FIX.4.4 on
    last_msg_seq_num_processed: bool = False  # LastMsgSeqNumProcessed(369) in each header, from FIX.4.2 on
    resend_request_size: Count = 0  # how many messages one ResendRequest(2) asks for; 0: all there are
    resend_burst: Annotated[int, Meta(ge=1)] = 1000  # messages of a replay that go out at once
    max_pending_resends: Annotated[int, Meta(ge=1)] = 4  # unanswered ResendRequest(2)s; who asks for more is cut off

    # Limits.
    max_message_bytes: Annotated[int, Meta(ge=256)] = 65536
    announce_max_message_size: bool = False  # MaxMessageSize(383) in the Logon(A)
    max_held_messages: Annotated[int, Meta(ge=1)] = 1024  # beyond a gap
    max_messages_per_s: Count = 0  # received from the peer; 0: no limit
    on_excess: Literal["queue", "reject", "disconnect"] = "disconnect"  # administrative messages are never rejected
    logon_timeout_s: Annotated[float, Meta(gt=0)] = 10
    logout_timeout_s: Annotated[float, Meta(gt=0)] = 2
    sending_time_tolerance_s: Seconds = 120  # 0: SendingTime(52) is not compared with our clock
    time_digits: Literal[0, 3, 6, 9, 12] | None = None  # decimals of SendingTime(52); None: as the version has them


class SessionConfig(SessionOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One session; `sender_comp_id` is ours, `target_comp_id` the peer's."""

    begin_string: BeginString
    sender_comp_id: str
    target_comp_id: str
    role: Literal["acceptor", "initiator"]
    name: str = ""  # to tell it from others; "": OURS->THEIRS
    default_appl_ver_id: str = ""  # with FIXT.1.1: DefaultApplVerID(1137), "9" or "FIX.5.0SP2"; "": the latest
    # False: what is larger than the peer's MaxMessageSize(383) is sent all the same, as the report of a fill must be
    keeps_to_max_message_size: bool = True
    resend_app: bool = True  # False: application messages are gap-filled, never sent twice (orders to venues)

    # Who may log on: an initiator sends its `username` and `password`, an acceptor wants one of its `credentials`.
    username: str = ""
    password: str = ""
    new_password: str = ""
    credentials: tuple[Credential, ...] = ()

    def __post_init__(self) -> None:
        if self.default_appl_ver_id and self.begin_string != FIXT:
            raise ValueError(f"default_appl_ver_id goes with {FIXT} only, not with {self.begin_string}")
        if self.application not in SUPPORTED:
            raise ValueError(f"default_appl_ver_id {self.default_appl_ver_id!r} is none of {', '.join(APPL_VER_IDS)}")
        for name in ("sender_comp_id", "target_comp_id"):
            if not getattr(self, name) or "\x01" in getattr(self, name):
                raise ValueError(f"{name} {getattr(self, name)!r} is no CompID")

    def __repr__(self) -> str:
        # A config is logged and printed; its password is not.
        return f"SessionConfig({self.begin_string} {self.sender_comp_id}->{self.target_comp_id}, {self.role})"

    @classmethod
    def of(cls, options: SessionOptions, **own: Any) -> "SessionConfig":
        """A session with these options, and what is its own."""
        return cls(**({field: getattr(options, field) for field in SessionOptions.__struct_fields__} | own))

    @property
    def application(self) -> str:
        """The version of the application messages, such as "FIX.5.0SP2"."""
        if self.begin_string != FIXT:
            return self.begin_string
        return APPL_VER_IDS.get(self.default_appl_ver_id, self.default_appl_ver_id or SUPPORTED[-1])
