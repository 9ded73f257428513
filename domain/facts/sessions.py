"""FIX sessions: the raw evidence, and the sequence numbers that survive a restart."""

from domain.facts.fact import Fact


class MessageReceived(Fact, frozen=True):
    """A FIX message as it came in, after the session accepted it. Passwords are masked."""

    session: str
    raw: bytes


class MessageSent(Fact, frozen=True):
    """A FIX message as it went out, kept for ResendRequest(2)."""

    session: str
    msg_seq_num: int
    msg_type: str
    raw: bytes


class SessionAdvanced(Fact, frozen=True):
    """The sequence numbers of a session after a batch (absolute, so the last one counts)."""

    session: str
    next_in: int  # MsgSeqNum(34) expected next from the peer
    next_out: int  # MsgSeqNum(34) of our next message
    began_ns: int = 0  # when its numbers began, where it has a schedule; 0: not known


class SessionReset(Fact, frozen=True):
    """Both sequence numbers went back to 1 and the sent messages were forgotten (ResetSeqNumFlag(141))."""

    session: str


class SessionSwitched(Fact, frozen=True):
    """An operator keeps a session away from now on, or lets it in again."""

    session: str
    enabled: bool
    by: str


class PasswordReplaced(Fact, frozen=True):
    """A client logged on with a NewPassword(925): `hashed` holds in place of `replaced`, for as long as that one is
    what the config says or what another change has led to."""

    session: str
    username: str
    replaced: str
    hashed: str


class ReturnPathKept(Fact, frozen=True):
    """An order came through a third party: `path` is header fields of what is told of it, each ended by SOH."""

    session: str
    cl_ord_id: str
    path: str


SessionFact = (
    MessageReceived | MessageSent | SessionAdvanced | SessionReset | SessionSwitched | PasswordReplaced | ReturnPathKept
)
