"""An application and its FIX sessions as one endpoint: what a program needs that brings no links of its own.

Acceptors share listeners, and the first message of a connection says whose it is; an initiator's connector has the
session's name. The application is told what happened, in order, and answers with `Session.send`; what it said leaves
when it returns. `fix.tcp.serve` carries the whole over sockets:

    class Exchange(Application):
        def on_message(self, session, message, now_ns): ...

    engine = FixEngine(Exchange(), [SessionConfig(...)])
    carrier = await serve(engine, {"clients": ("127.0.0.1", 9876)}, {})
"""

from collections.abc import Callable, Iterable

import msgspec

from fix.config import SessionConfig
from fix.dictionary import Dictionary
from fix.directory import SessionDirectory, SessionTemplate, is_pattern
from fix.endpoint import Link, Output
from fix.errors import BusinessRejectReason, FieldError, UnsupportedMessageType
from fix.events import Disconnect, Event, LoggedOn, LoggedOut, Received
from fix.lobby import Admitted, Lobby
from fix.message import Message
from fix.session import Session
from fix.store import MemoryStore, Store


class Application:
    """What is told of the sessions; override what matters. Nothing here may block."""

    def on_logon(self, session: Session, now_ns: int) -> None: ...

    def on_message(self, session: Session, message: Message, now_ns: int) -> None:
        """An application message, in order and once.

        FieldError from here becomes a Reject(3); UnsupportedMessageType, as `fix.messages.decode` raises it, a
        BusinessMessageReject(j), or a Reject(3) before FIX.4.2.
        """

    def on_logout(self, session: Session, text: str, now_ns: int) -> None:
        """Follows each `on_logon` once, whatever the end."""

    def on_event(self, session: Session | None, event: Event, now_ns: int) -> None:
        """Everything else, such as Rejected, SequenceReset or Garbled; a Disconnect without a session was refused."""


class FixEngine:
    """An `fix.endpoint.Endpoint`; `sessions` are by name: "OURS->THEIRS" by default, with the version added where
    that is taken.

    `configs`: acceptors and initiators. An acceptor whose CompIDs have * or ? in them is a template: whoever matches
    gets a session of its own, `max_from_template` of them at most. `store`: where a session keeps its numbers and
    messages, in memory by default; the config that it gets has the session's name. ValueError where two sessions would
    have the same name.
    """

    def __init__(
        self,
        application: Application,
        configs: Iterable[SessionConfig],
        store: Callable[[SessionConfig], Store] = lambda _: MemoryStore(),
        *,
        now_ns: int = 0,
        dictionary: Dictionary | None = None,
        max_from_template: int = 100,
    ) -> None:
        self.sessions: dict[str, Session] = {}
        self._application = application
        self._store = store
        self._now_ns = now_ns
        self._dictionary = dictionary
        self._by_link: dict[Link, Session] = {}
        self._links: dict[Session, Link] = {}
        self._awake: dict[Session, None] = {}  # those with something to say, in order
        self._closes: list[Link] = []
        self._timer_ns: int | None = None
        directory = SessionDirectory()
        for config in configs:
            if is_pattern(config.target_comp_id) or is_pattern(config.sender_comp_id):
                if config.name:
                    raise ValueError(f"the template {config.name} makes many sessions, which can't all have its name")
                directory.add_template(SessionTemplate(config, self._make, max_from_template))
            elif (session := self._make(config)).config.role == "acceptor":
                directory.add(session)
        self._lobby = Lobby(directory)

    def _make(self, config: SessionConfig) -> Session:
        known = self._dictionary if self._dictionary and self._dictionary.name == config.application else None
        name = config.name or f"{config.sender_comp_id}->{config.target_comp_id}"
        twin = self.sessions.get(name)
        if twin is not None and not config.name and twin.config.begin_string != config.begin_string:
            name += f" {config.begin_string}"  # the same two may talk in several versions
        if name in self.sessions:
            raise ValueError(f"there are two sessions {name}: give one of them another name")
        config = msgspec.structs.replace(config, name=name)
        session = Session(config, self._store(config), self._now_ns, known)
        session.awake = self._awake
        self.sessions[session.name] = session
        return session

    # --- the endpoint ---

    def connected(self, link: Link, port: str, now_ns: int) -> Output:
        session = self.sessions.get(port)
        if session is not None and session.config.role == "initiator":
            if session in self._links:
                self._refuse(link, f"session {port} is connected already", now_ns)
            else:
                self._attach(session, link, now_ns)
        elif (refused := self._lobby.connected(link, now_ns)) is not None:
            self._refuse(link, refused.text, now_ns)
        else:
            self._timer_ns = self._soonest()
        return self.output(now_ns)

    def receive(self, link: Link, data: bytes, now_ns: int) -> Output:
        session = self._by_link.get(link)
        if session is None:
            if link not in self._lobby:
                return Output()  # refused a moment ago; its link is being closed
            answer = self._lobby.receive(link, data, now_ns)
            if answer is None:
                return Output()
            if not isinstance(answer, Admitted):
                self._refuse(link, answer.text, now_ns)
                return self.output(now_ns)
            session, data = answer.session, answer.data
            self._attach(session, link, now_ns)
        session.receive(data, now_ns)
        self._awake[session] = None
        return self.output(now_ns)

    def disconnected(self, link: Link, now_ns: int) -> Output:
        self._lobby.disconnected(link)
        session = self._by_link.pop(link, None)
        if session is not None:
            del self._links[session]
            session.disconnected(now_ns)
            self._awake[session] = None
        return self.output(now_ns)

    def timer(self, now_ns: int) -> Output:
        for link in self._lobby.expired(now_ns):
            self._refuse(link, "no Logon(A) in time", now_ns)
        for session in self._links:
            due_ns = session.next_timer_ns()
            if due_ns is not None and due_ns <= now_ns:
                session.timer(now_ns)
                self._awake[session] = None
        output = self.output(now_ns)
        self._timer_ns = self._soonest()
        return output

    def next_timer_ns(self) -> int | None:
        """Never later than a session wants it. Traffic moves a session's timer on, so this may come too early."""
        return self._timer_ns

    # --- the application's side ---

    def output(self, now_ns: int) -> Output:
        """What was sent outside of a callback, for `Carrier.perform`."""
        output = Output()
        while self._awake:
            session = next(iter(self._awake))
            self._tell(session, now_ns)
            outbox = session.take_outbox()
            del self._awake[session]  # now, since what it answered has woken it again
            if outbox and (link := self._links.get(session)) is not None:
                data = outbox[0].raw if len(outbox) == 1 else b"".join([outgoing.raw for outgoing in outbox])
                output.writes.append((link, data))
            due_ns = session.next_timer_ns()
            if due_ns is not None and (self._timer_ns is None or due_ns < self._timer_ns):
                self._timer_ns = due_ns
        if self._closes:
            output.closes, self._closes = self._closes, []
        return output

    @property
    def is_connected(self) -> bool:
        return bool(self._links)

    def logout(self, text: str, now_ns: int) -> Output:
        """Begin to end every session."""
        for session in self._links:
            session.logout(text, now_ns)
            self._awake[session] = None
        return self.output(now_ns)

    def _tell(self, session: Session, now_ns: int) -> None:
        application = self._application
        while (event := session.next_event(now_ns)) is not None:
            match event:
                case Received(message=message):
                    try:
                        application.on_message(session, message, now_ns)
                    except FieldError as error:
                        session.reject(message, error.reason, error.tag, error.text, now_ns)
                    except UnsupportedMessageType as error:
                        session.refuse(message, BusinessRejectReason.UNSUPPORTED_MESSAGE_TYPE, error.text, now_ns)
                case LoggedOn():
                    application.on_logon(session, now_ns)
                case LoggedOut(text=text):
                    application.on_logout(session, text, now_ns)
                case _:
                    if isinstance(event, Disconnect) and session in self._links:
                        self._closes.append(self._links[session])
                    application.on_event(session, event, now_ns)

    # --- connections ---

    def _attach(self, session: Session, link: Link, now_ns: int) -> None:
        self._by_link[link], self._links[session] = session, link
        session.connected(now_ns)
        self._awake[session] = None

    def _refuse(self, link: Link, text: str, now_ns: int) -> None:
        self._closes.append(link)
        self._application.on_event(None, Disconnect(text), now_ns)

    def _soonest(self) -> int | None:
        timers = [session.next_timer_ns() for session in self._links]
        timers.append(self._lobby.next_timer_ns())
        return min((at_ns for at_ns in timers if at_ns is not None), default=None)
