"""What can be wrong with a message, and whose fault it is.

The peer's faults are values of the protocol (SessionRejectReason, BusinessRejectReason) and are answered as FIX says;
LocalProtocolError is a bug of ours and fails loudly.
"""

from enum import IntEnum


class SessionRejectReason(IntEnum):
    """SessionRejectReason(373). FIX.4.2 knows those up to INVALID_MSG_TYPE."""

    INVALID_TAG_NUMBER = 0
    REQUIRED_TAG_MISSING = 1
    TAG_NOT_DEFINED_FOR_MESSAGE = 2
    UNDEFINED_TAG = 3
    TAG_WITHOUT_VALUE = 4
    VALUE_INCORRECT = 5
    INCORRECT_DATA_FORMAT = 6
    DECRYPTION_PROBLEM = 7
    SIGNATURE_PROBLEM = 8
    COMP_ID_PROBLEM = 9
    SENDING_TIME_ACCURACY = 10
    INVALID_MSG_TYPE = 11
    XML_VALIDATION = 12
    TAG_APPEARS_MORE_THAN_ONCE = 13
    TAG_OUT_OF_ORDER = 14
    GROUP_FIELDS_OUT_OF_ORDER = 15
    INCORRECT_NUM_IN_GROUP = 16
    VALUE_CONTAINS_DELIMITER = 17
    OTHER = 99


class BusinessRejectReason(IntEnum):
    """BusinessRejectReason(380)."""

    OTHER = 0
    UNKNOWN_ID = 1
    UNKNOWN_SECURITY = 2
    UNSUPPORTED_MESSAGE_TYPE = 3
    APPLICATION_NOT_AVAILABLE = 4
    CONDITIONALLY_REQUIRED_FIELD_MISSING = 5
    NOT_AUTHORIZED = 6


class RemoteProtocolError(Exception):
    """The peer broke FIX."""


class LocalProtocolError(Exception):
    """We were about to break FIX."""


class FieldError(RemoteProtocolError):
    """A field of an otherwise whole message is missing or wrong; becomes Reject(3).

    `defined`: the FIX version defines the value and only this engine doesn't offer it, so that a refusal in the terms
    of the business (an order reject) fits better than a session reject.
    """

    def __init__(
        self, tag: int, value: str | None, reason: SessionRejectReason, text: str, *, defined: bool = False
    ) -> None:
        super().__init__(text)
        self.tag = tag
        self.value = value
        self.reason = reason
        self.text = text
        self.defined = defined


class UnsupportedMessageType(RemoteProtocolError):  # noqa: N818 - it names what the peer sent, not a failure of ours
    """A MsgType(35) that has no typed form here; becomes BusinessMessageReject(j), reason 3."""

    def __init__(self, msg_type: str) -> None:
        super().__init__(f"MsgType(35)={msg_type} is not supported")
        self.msg_type = msg_type
        self.text = str(self)
