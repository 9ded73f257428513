"""How two sides agree to talk: whether it is time, who the peer is, where both stand in the numbering."""

from fix.core import Core
from fix.errors import FieldError
from fix.events import LoggedOn, PasswordChanged
from fix.logon import Terms, authenticate, read_terms
from fix.message import Message
from fix.states import WAITING, State, Step
from fix.values import NS_PER_S


def begin_period(core: Core, now_ns: int) -> bool:
    """Numbers belong to one session of the schedule: those of an earlier one are forgotten. False between two."""
    schedule = core.config.schedule
    if schedule is None:
        return True
    period = schedule.session_at(now_ns)
    if period is None:
        return False
    begins_ns, core.closes_ns = period
    core.resets_ns = schedule.next_reset_ns(now_ns)
    if core.store.began_ns and core.store.began_ns < begins_ns:
        core.reset(now_ns)
    core.store.began_ns = core.store.began_ns or now_ns
    return True


def reset_while_logged_on(core: Core, now_ns: int) -> None:
    """The initiator says so with a Logon(A); what the peer has under way until its own still counts as before."""
    assert core.config.schedule is not None
    core.resets_ns = core.config.schedule.next_reset_ns(now_ns)
    if core.config.role == "initiator":
        next_in = core.store.next_in
        core.reset(now_ns)
        core.store.next_in = next_in
        core.send_logon(core.config.heart_bt_int, True, 1, now_ns)
        core.reset_asked = True


def on_logon(core: Core, message: Message, now_ns: int) -> None:
    number, reset = message.msg_seq_num, message.get(141) == "Y"
    try:
        if (fault := core.peer_validator.fault(message)) is not None:
            raise fault
        terms = read_terms(message, core.config)
    except FieldError as error:
        # A peer that doesn't say what it speaks has no session here.
        core.fail(error.text, now_ns, None if error.tag == 1137 else core.out.reject_text(error))
        return
    if not _authenticate(core, message, now_ns):
        core.end("the username or the password is wrong")
        return
    if reset and number != 1:
        core.fail(f"Logon(A) with ResetSeqNumFlag(141)=Y has MsgSeqNum(34)={number}, expected 1", now_ns)
        return
    by_agreement = core.config.reset_on_logon and core.state is State.AWAITING_LOGON and number == 1
    answered = core.state is State.LOGON_SENT or (core.reset_asked and reset)
    if reset and core.reset_asked:
        core.store.next_in = 1
    elif reset or by_agreement:
        core.reset(now_ns)
    core.reset_asked = False
    if number < core.store.next_in:
        if not message.poss_dup:
            core.fail_too_low(message.msg_seq_num, now_ns)
        return
    _agree(core, message, terms, answered, now_ns)


def _agree(core: Core, message: Message, terms: Terms, answered: bool, now_ns: int) -> None:
    """The Logon(A) is good: answer it unless it is itself the answer to ours, and fill the gaps on both sides."""
    number, in_sequence = message.msg_seq_num, message.msg_seq_num == core.store.next_in
    if answered:
        # Our Logon(A) was the first message of the new numbering, where the acceptor reset it unasked.
        core.store.next_out = max(core.store.next_out, 2)
    next_out = core.store.next_out
    if terms.next_expected is not None and not 1 <= terms.next_expected <= next_out:
        text = f"NextExpectedMsgSeqNum(789)={terms.next_expected} is not between 1 and our next number, {next_out}"
        core.fail(text, now_ns)
        return
    core.peer_version = terms.application
    core.peer_validator = core.validator(terms.application)
    core.out.max_message_bytes = terms.max_message_size if core.config.keeps_to_max_message_size else 0
    if not answered:
        core.heart_bt_ns = terms.heart_bt_int * NS_PER_S
        core.send_logon(terms.heart_bt_int, terms.reset, core.store.next_in + in_sequence, now_ns)
    if core.state in WAITING:
        core.step(Step.LOGON)
        core.events.append(LoggedOn())
    if terms.next_expected is not None and terms.next_expected < next_out:
        core.out.replay(terms.next_expected, next_out - 1, now_ns)
    if in_sequence:
        core.advance(number + 1, now_ns)
    else:
        core.gap.hold(number, None)
        # Where the peer was told what we expect it sends that unasked.
        core.request_gap(message, now_ns, ask=terms.next_expected is None)


def _authenticate(core: Core, message: Message, now_ns: int) -> bool:
    credentials = authenticate(message, core.credentials, now_ns)
    if credentials is None:
        return False
    for before, after in zip(core.credentials, credentials, strict=True):
        if before is not after:
            core.events.append(PasswordChanged(after.username, before.hashed, after.hashed))
    core.credentials = credentials
    return True
