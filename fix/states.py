"""The states of a session and the only ways between them."""

from enum import Enum, auto


class State(Enum):
    DISCONNECTED = auto()
    AWAITING_LOGON = auto()  # an acceptor's fresh connection
    LOGON_SENT = auto()  # an initiator's
    LOGGED_ON = auto()
    LOGOUT_SENT = auto()  # messages still count: fills may be on their way
    ENDED = auto()  # Disconnect was given out, the connection is still there


class Step(Enum):
    ACCEPT = auto()
    INITIATE = auto()
    LOGON = auto()
    LOGOUT = auto()
    END = auto()
    DISCONNECT = auto()


TRANSITIONS = {
    (State.DISCONNECTED, Step.ACCEPT): State.AWAITING_LOGON,
    (State.DISCONNECTED, Step.INITIATE): State.LOGON_SENT,
    (State.DISCONNECTED, Step.DISCONNECT): State.DISCONNECTED,
    (State.AWAITING_LOGON, Step.LOGON): State.LOGGED_ON,
    (State.AWAITING_LOGON, Step.END): State.ENDED,
    (State.AWAITING_LOGON, Step.DISCONNECT): State.DISCONNECTED,
    (State.LOGON_SENT, Step.LOGON): State.LOGGED_ON,
    (State.LOGON_SENT, Step.END): State.ENDED,
    (State.LOGON_SENT, Step.DISCONNECT): State.DISCONNECTED,
    (State.LOGGED_ON, Step.LOGOUT): State.LOGOUT_SENT,
    (State.LOGGED_ON, Step.END): State.ENDED,
    (State.LOGGED_ON, Step.DISCONNECT): State.DISCONNECTED,
    (State.LOGOUT_SENT, Step.END): State.ENDED,
    (State.LOGOUT_SENT, Step.DISCONNECT): State.DISCONNECTED,
    (State.ENDED, Step.DISCONNECT): State.DISCONNECTED,
}


# Read from here in what runs for each message: a member of an enumeration costs ten times as much as a name.
LOGGED_ON = State.LOGGED_ON
WAITING = (State.AWAITING_LOGON, State.LOGON_SENT)
TALKING = (State.LOGGED_ON, State.LOGOUT_SENT)
OVER = (State.DISCONNECTED, State.ENDED)
