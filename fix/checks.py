"""Rules for single messages that the session applies: each looks at one message and says what is wrong, if anything."""

from fix.errors import FieldError, SessionRejectReason
from fix.events import SessionConfig
from fix.message import Message
from fix.values import NS_PER_S, read_int, read_timestamp


def int_field(message: Message, tag: int, name: str) -> int:
    """The value of a required field of an administrative message, zero or more; FieldError otherwise."""
    text = required_field(message, tag, name)
    try:
        value = read_int(text)
    except ValueError as error:
        reason = SessionRejectReason.INCORRECT_DATA_FORMAT
        raise FieldError(tag, text, reason, f"{name}({tag})={text}: {error}") from None
    if value < 0:
        raise FieldError(tag, text, SessionRejectReason.VALUE_INCORRECT, f"{name}({tag})={text} is negative")
    return value


def required_field(message: Message, tag: int, name: str) -> str:
    text = message.get(tag)
    if text is None:
        raise FieldError(tag, None, SessionRejectReason.REQUIRED_TAG_MISSING, f"{name}({tag}) is missing")
    return text


def logon_heart_bt_int(message: Message) -> int:
    """HeartBtInt(108), seconds, of a Logon(A) that can be accepted; FieldError otherwise."""
    if message.defect is not None:
        raise message.defect
    if int_field(message, 98, "EncryptMethod") != 0:
        reason = SessionRejectReason.VALUE_INCORRECT
        raise FieldError(98, message.get(98), reason, f"EncryptMethod(98)={message.get(98)} is not supported, only 0")
    return int_field(message, 108, "HeartBtInt")


def address_fault(message: Message, config: SessionConfig, now_ns: int) -> FieldError | None:
    """CompIDs and SendingTime(52): what is wrong with them ends the session."""
    if message.sender_comp_id != config.target_comp_id:
        text = f"SenderCompID(49)={message.sender_comp_id}, expected {config.target_comp_id}"
        return FieldError(49, message.sender_comp_id, SessionRejectReason.COMP_ID_PROBLEM, text)
    if message.target_comp_id != config.sender_comp_id:
        text = f"TargetCompID(56)={message.target_comp_id}, expected {config.sender_comp_id}"
        return FieldError(56, message.target_comp_id, SessionRejectReason.COMP_ID_PROBLEM, text)
    tolerance_s = config.sending_time_tolerance_s
    if tolerance_s and message.sending_time_ns and abs(now_ns - message.sending_time_ns) > tolerance_s * NS_PER_S:
        text = f"SendingTime(52)={message.get(52)} is more than {tolerance_s:g} s from our clock"
        return FieldError(52, message.get(52), SessionRejectReason.SENDING_TIME_ACCURACY, text)
    return None


def duplicate_fault(message: Message) -> FieldError | None:
    """A resent message names its first SendingTime(52) in OrigSendingTime(122), which can't be the later one."""
    text = message.get(122)
    reason = SessionRejectReason
    if text is None:
        return FieldError(122, None, reason.REQUIRED_TAG_MISSING, "OrigSendingTime(122) is missing")
    try:
        later = read_timestamp(text) > message.sending_time_ns
    except ValueError as error:
        return FieldError(122, text, reason.INCORRECT_DATA_FORMAT, f"OrigSendingTime(122)={text}: {error}")
    if later:
        why = f"OrigSendingTime(122)={text} is after SendingTime(52)={message.get(52)}"
        return FieldError(122, text, reason.SENDING_TIME_ACCURACY, why)
    return None
