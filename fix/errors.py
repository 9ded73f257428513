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
    INVALID_APPL_VER = 18
    OTHER = 99


# The specification's names, as Text(58) of a Reject(3) gives them.
REASON_NAMES = {
    SessionRejectReason.INVALID_TAG_NUMBER: "Invalid tag number",
    SessionRejectReason.REQUIRED_TAG_MISSING: "Required tag missing",
    SessionRejectReason.TAG_NOT_DEFINED_FOR_MESSAGE: "Tag not defined for this message type",
    SessionRejectReason.UNDEFINED_TAG: "Undefined tag",
    SessionRejectReason.TAG_WITHOUT_VALUE: "Tag specified without a value",
    SessionRejectReason.VALUE_INCORRECT: "Value is incorrect (out of range) for this tag",
    SessionRejectReason.INCORRECT_DATA_FORMAT: "Incorrect data format for value",
    SessionRejectReason.DECRYPTION_PROBLEM: "Decryption problem",
    SessionRejectReason.SIGNATURE_PROBLEM: "Signature problem",
    SessionRejectReason.COMP_ID_PROBLEM: "CompID problem",
    SessionRejectReason.SENDING_TIME_ACCURACY: "SendingTime accuracy problem",
    SessionRejectReason.INVALID_MSG_TYPE: "Invalid MsgType",
    SessionRejectReason.XML_VALIDATION: "XML validation error",
    SessionRejectReason.TAG_APPEARS_MORE_THAN_ONCE: "Tag appears more than once",
    SessionRejectReason.TAG_OUT_OF_ORDER: "Tag specified out of required order",
    SessionRejectReason.GROUP_FIELDS_OUT_OF_ORDER: "Repeating group fields out of order",
    SessionRejectReason.INCORRECT_NUM_IN_GROUP: "Incorrect NumInGroup count for repeating group",
    SessionRejectReason.VALUE_CONTAINS_DELIMITER: 'Non "data" value includes field delimiter (SOH character)',
    SessionRejectReason.INVALID_APPL_VER: "Invalid/Unsupported Application Version",
    SessionRejectReason.OTHER: "Other",
}


class BusinessRejectReason(IntEnum):
    """BusinessRejectReason(380)."""

    OTHER = 0
    UNKNOWN_ID = 1
    UNKNOWN_SECURITY = 2
    UNSUPPORTED_MESSAGE_TYPE = 3
    APPLICATION_NOT_AVAILABLE = 4
    CONDITIONALLY_REQUIRED_FIELD_MISSING = 5
    NOT_AUTHORIZED = 6
    THROTTLE_LIMIT_EXCEEDED = 8


class RemoteProtocolError(Exception):
    """The peer broke FIX."""


class LocalProtocolError(Exception):
    """We were about to break FIX."""


class FieldError(RemoteProtocolError):
    """A field of an otherwise whole message is missing or wrong; becomes Reject(3).

    `tag` is 0 where the answer names none in RefTagID(371), unless that is what the peer sent as a tag: `ref_tag` is
    what to name.

    `defined`: the FIX version defines the value and only this engine doesn't offer it, so that a refusal in the terms
    of the business (an order reject) fits better than a session reject.
    """

    def __init__(
        self,
        tag: int,
        value: str | None,
        reason: SessionRejectReason,
        text: str,
        *,
        defined: bool = False,
        ref_tag: str | None = None,
    ) -> None:
        super().__init__(text)
        self.tag = tag
        self.value = value
        self.reason = reason
        self.text = text
        self.defined = defined
        self.ref_tag = ref_tag if ref_tag is not None else str(tag) if tag else ""


class UnsupportedMessageType(RemoteProtocolError):  # noqa: N818 - it names what the peer sent, not a failure of ours
    """A MsgType(35) that has no typed form here; becomes BusinessMessageReject(j), reason 3."""

    def __init__(self, msg_type: str) -> None:
        super().__init__(f"MsgType(35)={msg_type} is not supported")
        self.msg_type = msg_type
        self.text = str(self)
