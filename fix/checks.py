"""Rules for single messages that the session applies: each looks at one message and says what is wrong, if anything."""

from fix.config import SessionConfig
from fix.errors import FieldError, SessionRejectReason
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
    if not text:
        raise FieldError(tag, "", SessionRejectReason.TAG_WITHOUT_VALUE, f"{name}({tag}) has no value")
    return text


def address_fault(message: Message, config: SessionConfig, now_ns: int) -> FieldError | None:
    """CompIDs and SendingTime(52): what is wrong with them ends the session.

    Where required fields are asked for, one that is missing is a lesser fault, and not looked at here.
    """
    rules = config.validation
    if rules.comp_ids:
        lenient = not rules.required_tags
        sender, target = message.sender_comp_id, message.target_comp_id
        if sender != config.target_comp_id and (sender or lenient):
            return _comp_id(f"SenderCompID(49)={sender}, expected {config.target_comp_id}", sender)
        if target != config.sender_comp_id and (target or lenient):
            return _comp_id(f"TargetCompID(56)={target}, expected {config.sender_comp_id}", target)
    tolerance_s = config.sending_time_tolerance_s if rules.sending_time else 0
    if tolerance_s and message.sending_time_ns and abs(now_ns - message.sending_time_ns) > tolerance_s * NS_PER_S:
        text = f"SendingTime(52)={message.get(52)} is more than {tolerance_s:g} s from our clock"
        return FieldError(52, message.get(52), SessionRejectReason.SENDING_TIME_ACCURACY, text, ref_tag="")
    return None


def _comp_id(text: str, value: str) -> FieldError:
    # The test cases name no RefTagID(371) for a fault of the address.
    return FieldError(0, value, SessionRejectReason.COMP_ID_PROBLEM, text)


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
        return FieldError(122, text, reason.SENDING_TIME_ACCURACY, why, ref_tag="")
    return None
