"""What a session has and what it can say: the state that its parts share.

`fix.session` brings the inputs, `fix.handshake` agrees on a Logon(A), `fix.inbound` answers everything else.
"""

from collections import deque
from collections.abc import Iterable
from typing import Any

from fix.config import SessionConfig
from fix.dictionary import Dictionary, dictionary, typed_dictionary
from fix.errors import BusinessRejectReason, FieldError, LocalProtocolError, SessionRejectReason
from fix.events import Disconnect, Event, LoggedOut, Outgoing, Refusing, SequenceReset
from fix.framing import Framer
from fix.logon import logon_fields
from fix.message import Message
from fix.messages import BusinessMessageReject, Typed, encode
from fix.outbound import Outbound, one_line
from fix.sequence import InboundGap
from fix.states import LOGGED_ON, TALKING, TRANSITIONS, State, Step
from fix.store import Store
from fix.throttle import Throttle
from fix.validation import Validator
from fix.values import NS_PER_S


class Core:
    """The numbers live in the store, so a session object may be made anew over the same store at any time.

    `dictionary` is a user's own; by default it is that of the version, which `Validation` asks for to the letter and
    which is read a little more widely otherwise.
    """

    def __init__(self, config: SessionConfig, store: Store, now_ns: int, dictionary: Dictionary | None = None) -> None:
        self.config = config
        self.store = store
        self.name = config.name or f"{config.sender_comp_id}->{config.target_comp_id}"
        self.state = State.DISCONNECTED
        self.enabled = True  # False: nobody is let in, see `fix.directory`
        self.own_dictionary = dictionary
        self.version = config.application
        self.validators: dict[str, Validator] = {}
        self.looks_inside = config.validation.looks_inside
        self.peer_version = self.version  # of the messages that come in
        self.peer_validator = self.validator(self.version)
        self.credentials = config.credentials
        self.framer = self.new_framer()
        self.garbled_seen = 0
        self.gap = InboundGap(config.max_held_messages, config.resend_request_size)
        self.throttle = Throttle(config.max_messages_per_s) if config.max_messages_per_s else None
        self.awake: dict[Any, None] | None = None  # where to say that there is something to take, see `fix.engine`
        self.events: deque[Event] = deque()
        self.out = Outbound(config, store, self.peer_validator.dictionary, now_ns)
        self.heart_bt_ns = config.heart_bt_int * NS_PER_S
        self.deadline_ns = 0  # of the logon or logout under way
        self.last_received_ns = now_ns
        self.test_sent = False
        self.queues = False  # what came waits until the throttle has room
        self.reset_asked = False
        self.fault = ""  # over which we logged out: only the peer's Logout(5) is waited for
        self.closes_ns: int | None = None  # the end of the session's time
        self.resets_ns: int | None = None  # when the numbers go back to 1 without a disconnect

    @property
    def is_logged_on(self) -> bool:
        return self.state is LOGGED_ON

    # --- sending ---

    def return_path(self, message: Message) -> str:
        """For `send`: the way back to the third party that a message came from; "" where there is none."""
        return self.out.routing(message)

    def send(self, typed: Typed, now_ns: int, answers: Message | None = None, *, via: str = "") -> Outgoing:
        """Number and store an application message; while not logged on it waits for the peer's ResendRequest(2).

        An answer to a message that came through a third party goes back through it; `via` is for an answer whose
        message is long gone, and what `return_path` gave for it.
        """
        fields = encode(typed, self.version)
        if answers is not None:
            via = self.return_path(answers)
        if via:
            fields = via.encode("latin-1") + fields
        return self._send(typed.MSG_TYPE, fields, now_ns)

    def send_fields(self, msg_type: str, fields: Iterable[tuple[str, str]], now_ns: int) -> Outgoing:
        """`send` for a message without a typed form: (tag, value) as text, in the order in which they are to go out.

        Fields of the header come first; those that the session itself fills in are not among them.
        """
        text = "".join([f"{tag}={value}\x01" for tag, value in fields])
        return self._send(msg_type, text.encode("latin-1"), now_ns)

    def _send(self, msg_type: str, fields: bytes, now_ns: int) -> Outgoing:
        if self.awake is not None:
            self.awake[self] = None
        return self.out.app(msg_type, fields, now_ns, live=self.state is LOGGED_ON)

    def reject(self, message: Message, reason: SessionRejectReason, tag: int, text: str, now_ns: int) -> None:
        """Reject(3); `tag` 0 where no single field is to blame."""
        self.out.reject(message, reason, str(tag) if tag else "", text, now_ns)

    def business_reject(
        self, message: Message, reason: BusinessRejectReason, text: str, now_ns: int, ref_id: str = ""
    ) -> Outgoing:
        """BusinessMessageReject(j): the message is well formed, but can't be acted on.

        A reason that the version doesn't know is OTHER in it.
        """
        field = self.validator(self.version).dictionary.fields.get("380")
        if field is None or str(reason.value) not in field.values:
            reason = BusinessRejectReason.OTHER
        typed = BusinessMessageReject(
            ref_seq_num=message.msg_seq_num,
            ref_msg_type=message.msg_type,
            business_reject_reason=int(reason),
            business_reject_ref_id=ref_id,
            text=one_line(text),
        )
        return self.send(typed, now_ns, message)

    def refuse(self, message: Message, reason: BusinessRejectReason, text: str, now_ns: int) -> None:
        """`business_reject`, or Reject(3) where the version has none, or the peer takes none so large."""
        if message.msg_type == "j":
            return  # two sides that refuse refusals would never end
        try:
            self.business_reject(message, reason, text, now_ns)
        except LocalProtocolError:
            self.reject(message, SessionRejectReason.OTHER, 0, text, now_ns)

    # --- rules ---

    def validator(self, version: str) -> Validator:
        """Of the messages of an application version; there is more than one where ApplVerID(1128) says so."""
        found = self.validators.get(version)
        if found is None:
            rules, begin_string = self.config.validation, self.config.begin_string
            if version == self.version and self.own_dictionary is not None:
                known = self.own_dictionary
            else:
                known = (
                    dictionary(begin_string, version) if rules.looks_inside else typed_dictionary(version, begin_string)
                )
            found = self.validators[version] = Validator(rules, known)
        return found

    def fault_of(self, message: Message) -> FieldError | None:
        if message.defect is None and not self.looks_inside:
            return None
        if message.dictionary is self.peer_validator.dictionary:
            return self.peer_validator.fault(message)
        return self.validator(message.version).fault(message)

    def reject_field(self, message: Message, error: FieldError, now_ns: int) -> None:
        self.out.reject(message, error.reason, error.ref_tag, self.out.reject_text(error), now_ns)
        self.events.append(Refusing(message, error.reason, error.text))

    def reject_duplicate(self, message: Message, fault: FieldError, now_ns: int) -> None:
        self.reject_field(message, fault, now_ns)
        if fault.reason is SessionRejectReason.SENDING_TIME_ACCURACY:
            self.fail(fault.text, now_ns, "")

    def fail(self, detail: str, now_ns: int, exact: str | None = None, *, waits: bool = True) -> None:
        """Tell the peer why with a Logout(5), and end.

        `exact`: all that an exact answer says. Before the logon it says nothing where this is "" or None.
        """
        exactly = self.config.validation.exact_answers
        logged_on = self.state in TALKING
        if logged_on or not exactly or exact:
            self.out.logout(exact if exactly and exact is not None else detail, now_ns)
        if exactly and waits and self.state is LOGGED_ON:
            # FIX: wait for the peer's Logout(5) or two seconds, whichever comes first.
            self.step(Step.LOGOUT)
            self.deadline_ns = now_ns + int(self.config.logout_timeout_s * NS_PER_S)
            self.fault = detail
        else:
            self.end(detail)

    def fail_too_low(self, number: int, now_ns: int) -> None:
        expected = self.store.next_in
        text = f"MsgSeqNum(34) too low, expected {expected} but received {number}"
        self.fail(text, now_ns, f"MsgSeqNum too low, expecting {expected} but received {number}", waits=False)

    def end(self, text: str) -> None:
        if self.state in TALKING:
            self.events.append(LoggedOut(text))
        self.step(Step.END)
        self.events.append(Disconnect(text))

    def step(self, step: Step) -> None:
        following = TRANSITIONS.get((self.state, step))
        if following is None:
            raise LocalProtocolError(f"session {self.name}: {step.name} is not possible in state {self.state.name}")
        self.state = following

    def advance(self, next_in: int, now_ns: int) -> None:
        self.store.next_in = next_in
        if (chunk := self.gap.advance(next_in, now_ns)) is not None:
            self.out.resend_request(*chunk, now_ns)

    def reset(self, now_ns: int) -> None:
        self.store.reset()
        self.store.began_ns = now_ns
        self.gap.clear()
        self.out.drop_replays()
        self.events.append(SequenceReset())

    def request_gap(self, message: Message, now_ns: int, ask: bool = True) -> None:
        """Ask for what is missing before the message, where it was not asked for already."""
        wanted = self.gap.request(message.msg_seq_num, message.poss_dup, self.store.next_in, now_ns)
        if wanted is not None and ask:
            self.out.resend_request(*wanted, now_ns)

    def send_logon(self, heart_bt_int: int, reset: bool, next_expected: int, now_ns: int) -> None:
        self.out.admin("A", logon_fields(self.config, heart_bt_int, reset, next_expected), now_ns)

    def new_framer(self) -> Framer:
        rules = self.config.validation
        return Framer(
            self.config.max_message_bytes,
            check_sum=rules.check_sum,
            body_length=rules.body_length,
            skip_whole=rules.exact_answers,
        )
