"""What follows from each message of the peer: taken, held, answered, refused, or the end of the connection."""

from collections.abc import Callable

from fix.checks import address_fault, duplicate_fault, int_field, required_field
from fix.core import Core
from fix.errors import BusinessRejectReason, FieldError, SessionRejectReason
from fix.events import NotResent, Received, Rejected
from fix.handshake import on_logon
from fix.message import Message
from fix.states import LOGGED_ON, TALKING, WAITING

_ADMIN = frozenset("012345A")


def on_message(core: Core, message: Message, now_ns: int) -> None:
    core.last_received_ns = now_ns
    core.test_sent = False
    if _is_ordinary(core, message, now_ns):
        core.advance(message.msg_seq_num + 1, now_ns)
        core.events.append(Received(message))
        return
    msg_type, number, expected = message.msg_type, message.msg_seq_num, core.store.next_in
    resets = msg_type == "4" and message.get(123) != "Y"
    if core.fault and msg_type != "5":
        return  # what ends the session has happened
    if core.state in WAITING and msg_type != "A":
        said = f": {message.get(58)}" if msg_type in ("3", "5") and message.get(58) else ""
        core.end(f"the first message is MsgType(35)={msg_type}, not Logon(A){said}")
    elif core.config.validation.begin_string and message.begin_string != core.config.begin_string:
        text = f"BeginString(8) is {message.begin_string}, expected {core.config.begin_string}"
        core.fail(text, now_ns, "Incorrect BeginString")
    elif number < 1 and not (resets and message.get(34) is not None):
        core.fail(f"MsgSeqNum(34) is missing or not a number: {message.get(34)}", now_ns)
    elif (fault := address_fault(message, core.config, now_ns)) is not None:
        if core.state in TALKING:
            if number == expected:
                core.advance(number + 1, now_ns)
            core.reject_field(message, fault, now_ns)
        core.fail(fault.text, now_ns, "")
    elif msg_type == "A" and _is_logon_due(core, message):
        on_logon(core, message, now_ns)
    elif resets:
        # Reset mode works whatever its own MsgSeqNum(34) is.
        _guarded(core, _on_reset_mode, message, now_ns)
    elif number > expected:
        _beyond_gap(core, message, now_ns)
    elif number < expected:
        too_low(core, message, now_ns)
    else:
        in_turn(core, message, now_ns)


def _is_ordinary(core: Core, message: Message, now_ns: int) -> bool:
    """A message of the application, the next one, with nothing that a rule could object to: nearly all of them are."""
    return (
        core.state is LOGGED_ON
        and message.msg_seq_num == core.store.next_in
        and message.defect is None
        and message.msg_type in message.dictionary.msg_types
        and message.msg_type not in _ADMIN
        and not (message.poss_dup or core.looks_inside or core.throttle)
        and message.begin_string == core.config.begin_string
        and address_fault(message, core.config, now_ns) is None
    )


def _is_logon_due(core: Core, message: Message) -> bool:
    """The first of a connection, or one that resets the numbers of a running session."""
    return core.state in WAITING or message.get(141) == "Y"


def _on_reset_mode(core: Core, message: Message, now_ns: int) -> None:
    if (fault := core.fault_of(message)) is not None:
        raise fault
    new_seq_no = int_field(message, 36, "NewSeqNo")
    if new_seq_no < core.store.next_in:
        text = f"NewSeqNo(36)={new_seq_no} is below the expected MsgSeqNum(34), {core.store.next_in}"
        # The test cases name no RefTagID(371) here.
        raise FieldError(36, str(new_seq_no), SessionRejectReason.VALUE_INCORRECT, text, ref_tag="")
    core.advance(new_seq_no, now_ns)


def too_low(core: Core, message: Message, now_ns: int) -> None:
    """With PossDupFlag(43)=Y it was processed before, and there is only its OrigSendingTime(122) to look at."""
    if message.msg_type == "5":
        _on_logout(core, message, now_ns)
    elif not message.poss_dup:
        core.fail_too_low(message.msg_seq_num, now_ns)
    elif message.msg_type not in ("3", "4") and (fault := duplicate_fault(message)) is not None:
        core.reject_duplicate(message, fault, now_ns)


def _beyond_gap(core: Core, message: Message, now_ns: int) -> None:
    """A message beyond a gap waits for its turn, except where waiting would never end."""
    if message.msg_type == "5":
        _on_logout(core, message, now_ns)
        return
    if message.msg_type == "2":
        # FIX: answered at once, or two sides that both miss messages would wait for each other.
        _guarded(core, _on_resend_request, message, now_ns)
    core.gap.hold(message.msg_seq_num, None if message.msg_type == "2" else message)
    core.request_gap(message, now_ns)


def in_turn(core: Core, message: Message, now_ns: int) -> None:
    """The next expected message: it takes its number, whatever is wrong inside."""
    core.advance(message.msg_seq_num + 1, now_ns)
    msg_type = message.msg_type
    fault = core.fault_of(message)
    if fault is not None and msg_type not in ("3", "5"):
        core.reject_field(message, fault, now_ns)
    elif message.poss_dup and msg_type not in ("3", "4") and (fault := duplicate_fault(message)) is not None:
        core.reject_duplicate(message, fault, now_ns)
    elif msg_type in _ADMIN:
        _guarded(core, _on_admin, message, now_ns)
    elif not _is_known(core, message):
        text = f"MsgType(35)={msg_type} is not defined in {core.config.begin_string}"
        fault = FieldError(35, msg_type, SessionRejectReason.INVALID_MSG_TYPE, text, ref_tag="")
        core.reject_field(message, fault, now_ns)
    elif core.throttle is not None and core.throttle.is_exceeded and msg_type != "j":
        text = f"more than {core.config.max_messages_per_s} messages in a second"
        core.refuse(message, BusinessRejectReason.THROTTLE_LIMIT_EXCEEDED, text, now_ns)
    else:
        core.events.append(Received(message))


def _is_known(core: Core, message: Message) -> bool:
    msg_type = message.msg_type
    rule = core.config.validation.msg_type
    return not rule or msg_type in message.dictionary.msg_types or msg_type.startswith("U")


def _on_admin(core: Core, message: Message, now_ns: int) -> None:
    match message.msg_type:
        case "1":
            core.out.admin("0", f"112={required_field(message, 112, 'TestReqID')}\x01", now_ns)
        case "2":
            _on_resend_request(core, message, now_ns)
        case "3":
            # Whatever is wrong with a Reject(3) itself, it is never answered with another.
            ref_seq_num = message.get(45) or ""
            number = int(ref_seq_num) if ref_seq_num.isdecimal() and len(ref_seq_num) < 19 else 0
            core.events.append(Rejected(message, number, message.get(58) or ""))
        case "4":
            _on_gap_fill(core, message, now_ns)
        case "5":
            _on_logout(core, message, now_ns)
        case "A":
            raise FieldError(35, "A", SessionRejectReason.VALUE_INCORRECT, "the session is already logged on")


def _on_gap_fill(core: Core, message: Message, now_ns: int) -> None:
    new_seq_no = int_field(message, 36, "NewSeqNo")
    if new_seq_no <= message.msg_seq_num:
        text = f"NewSeqNo(36)={new_seq_no} of a gap fill is not above its MsgSeqNum(34)={message.msg_seq_num}"
        raise FieldError(36, str(new_seq_no), SessionRejectReason.VALUE_INCORRECT, text)
    core.advance(new_seq_no, now_ns)


def _on_resend_request(core: Core, message: Message, now_ns: int) -> None:
    begin, end = int_field(message, 7, "BeginSeqNo"), int_field(message, 16, "EndSeqNo")
    last = core.store.next_out - 1
    reason = SessionRejectReason.VALUE_INCORRECT
    if not 1 <= begin <= last:
        raise FieldError(7, str(begin), reason, f"BeginSeqNo(7)={begin} is not between 1 and our last, {last}")
    if end != 0 and end < begin:
        raise FieldError(16, str(end), reason, f"EndSeqNo(16)={end} is below BeginSeqNo(7)={begin}")
    if core.out.pending_replays >= core.config.max_pending_resends:
        core.fail(f"{core.config.max_pending_resends} ResendRequest(2)s wait for their answers already", now_ns)
        return
    if not core.config.resend_app:
        core.events.append(NotResent())
    core.out.replay(begin, last if end == 0 else min(end, last), now_ns)


def _on_logout(core: Core, message: Message, now_ns: int) -> None:
    if core.state is LOGGED_ON:
        core.out.logout("", now_ns)
    core.end(core.fault or message.get(58) or "logout")
    if core.config.reset_on_logout and not core.fault:
        core.reset(now_ns)


def _guarded(core: Core, act: Callable[[Core, Message, int], None], message: Message, now_ns: int) -> None:
    try:
        act(core, message, now_ns)
    except FieldError as error:
        core.reject_field(message, error, now_ns)
