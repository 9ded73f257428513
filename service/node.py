"""The whole service without I/O: bytes, events and time go in; facts and bytes come out.

A node owns the sessions, the state and the market view, and walks an input through them: session -> message -> command
-> decision -> facts -> messages -> bytes. All that one input causes comes back as one `NodeOutput`; whoever runs the
node journals its facts before any of its bytes leave. A node made from recorded facts goes on where they stopped.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from domain.commands import (
    AmendOrder,
    CancelOrder,
    NotifyClients,
    OperatorCommand,
    PromoteModel,
    RollBackModel,
)
from domain.facts import (
    AnyFact,
    EpochStarted,
    MessageReceived,
    MessageSent,
    ModelLoaded,
    PasswordReplaced,
    SessionAdvanced,
    SessionReset,
    SessionSwitched,
    Started,
    TimerFired,
)
from fix.endpoint import Link, Output
from router.model import FillModel
from router.state import State
from service.config import ServiceConfig, decisive
from service.hearing import Hearing
from service.sessions import SessionCommand, administer
from service.snapshot import NodeImage

VERSION = "0.1.0"
RESTORED = frozenset({MessageSent, PasswordReplaced, SessionAdvanced, SessionReset, SessionSwitched})


class NodeOutput(Output):
    facts: list[AnyFact] = []


class Node(Hearing):
    """An `fix.endpoint.Endpoint` whose outputs carry the facts to journal first.

    `recorded` are the batches of the journal so far, or those since `image`; they are applied, never decided again.
    `stopwatch` gives nanoseconds for the time spent in a decision, `work` those of the processor for a model's answer;
    the defaults, constants, keep virtual time reproducible.
    """

    def __init__(
        self,
        config: ServiceConfig,
        model: FillModel,
        model_text: str,
        now_ns: int,
        recorded: Iterable[list[AnyFact]] = (),
        stopwatch: Callable[[], int] = lambda: 0,
        work: Callable[[], int] = lambda: 0,
        image: NodeImage | None = None,
        passwords: Mapping[str, str] | None = None,
        version: str = VERSION,
    ) -> None:
        super().__init__(
            config, model, image.state if image is not None else State(), now_ns, stopwatch, work, passwords
        )
        self.is_shutting_down = False
        self._version = version
        self._model_text = model_text
        if image is not None:
            self.links.take_over(image.state, image.messages)
        for batch in recorded:
            for fact in batch:
                self._restore(fact)
        for peer in self.links.clients.values():
            self._know(peer)

    # --- the inputs ---

    def start(self, now_ns: int) -> NodeOutput:
        """The first input: what a fresh journal opens with, or what a restart has to say."""
        if not self.state.epoch:
            self._commit(iter([EpochStarted(at_ns=now_ns, epoch=_epoch(now_ns), version=self._version)]), now_ns)
        self._commit(iter([Started(at_ns=now_ns, version=self._version, config=decisive(self.config))]), now_ns)
        model_id = self.engine.routing.model.model_id
        self._commit(iter([ModelLoaded(at_ns=now_ns, model_id=model_id, text=self._model_text)]), now_ns)
        self._commit(self.engine.resume(now_ns), now_ns)
        return self._output(now_ns)

    def connected(self, link: Link, port: str, now_ns: int) -> NodeOutput:
        self.links.connected(link, port, now_ns)
        return self._output(now_ns)

    def receive(self, link: Link, data: bytes, now_ns: int) -> NodeOutput:
        peer = self.links.receive(link, data, now_ns)
        if peer is not None:
            self._handle_events(peer, now_ns)
        return self._output(now_ns)

    def disconnected(self, link: Link, now_ns: int) -> NodeOutput:
        peer = self.links.disconnected(link, now_ns)
        if peer is not None:
            self._handle_events(peer, now_ns)
            self.links.settle(peer)
        return self._output(now_ns)

    def timer(self, now_ns: int) -> NodeOutput:
        for peer in self.links.timer(now_ns):
            self._handle_events(peer, now_ns)
        due_ns = self.engine.next_timer_ns()
        if due_ns is not None and due_ns <= now_ns:
            self._commit(iter([TimerFired(at_ns=now_ns)]), now_ns)
            self._commit(self.engine.timer(now_ns), now_ns)
        for venue in [venue for venue, asked in self._ask_again.items() if asked.due_ns <= now_ns]:
            self._ask_status(self.links.venues[venue], now_ns)
        return self._output(now_ns)

    def next_timer_ns(self) -> int | None:
        if self._has_moved:
            self._engine_due_ns = self.engine.next_timer_ns()
            self._has_moved = False
        due_ns, links_ns = self._engine_due_ns, self.links.next_timer_ns()
        if due_ns is None or (links_ns is not None and links_ns < due_ns):
            due_ns = links_ns
        for asked in self._ask_again.values():
            ask_ns = asked.due_ns
            due_ns = ask_ns if due_ns is None else min(due_ns, ask_ns)
        return due_ns

    def operator(self, command: OperatorCommand, now_ns: int) -> NodeOutput:
        """What `refusal` has passed."""
        if isinstance(command, NotifyClients) and not command.client:
            for name in self.links.clients:
                to_one = msgspec.structs.replace(command, client=name)
                self._commit(self.engine.operator(to_one, now_ns), now_ns)
        else:
            self._commit(self.engine.operator(command, now_ns), now_ns)
        return self._output(now_ns)

    def refusal(self, command: OperatorCommand, now_ns: int) -> str:
        """Why an operator's command can't be followed, "" if it can."""
        if isinstance(command, NotifyClients):
            return (
                f"there is no client {command.client!r}"
                if command.client and command.client not in self.links.clients
                else ""
            )
        return self.engine.refusal(command, now_ns) if isinstance(command, CancelOrder | AmendOrder) else ""

    def pause(self, text: str, now_ns: int) -> NodeOutput:
        """The journal can hardly be written: nothing new is begun until `unpause`."""
        if not self.state.paused:
            self._commit(self.engine.pause(text, now_ns), now_ns)
        return self._output(now_ns)

    def unpause(self, text: str, now_ns: int) -> NodeOutput:
        if self.state.paused:
            self._commit(self.engine.unpause(text, now_ns), now_ns)
        return self._output(now_ns)

    def promote(self, command: PromoteModel, model: FillModel, now_ns: int) -> NodeOutput:
        """The next stage of a model on trial, which `Engine.promotion_refused` has passed."""
        self._commit(self.engine.promote(command, model, now_ns), now_ns)
        return self._output(now_ns)

    def serve(self, model: FillModel, text: str) -> None:
        """Before `start`: what the facts say should serve, where that is another one than the registry's."""
        self.engine.routing.model, self._model_text = model, text

    def roll_back(self, command: RollBackModel, now_ns: int) -> NodeOutput:
        """The model on trial is gone; there must be one."""
        self._commit(self.engine.roll_back(command.by, command.text, now_ns), now_ns)
        return self._output(now_ns)

    def session(self, command: SessionCommand, now_ns: int) -> NodeOutput:
        """An operator's change to a session, which `service.sessions.check` has passed."""
        peer, facts = administer(self.links, command, now_ns)
        for fact in facts:
            self._note(fact)
        self._handle_events(peer, now_ns)
        return self._output(now_ns)

    def reconfigure(
        self, config: ServiceConfig, passwords: Mapping[str, str], now_ns: int
    ) -> tuple[NodeOutput, list[str]]:
        """Another config for the sessions, of which `service.reload.refusals` has nothing to say; and what is done."""
        self.config = config
        done = self.links.reconfigure(config, passwords, now_ns)
        for peer in list(self.links.clients.values()):
            self._handle_events(peer, now_ns)
        return self._output(now_ns), done

    def begin_shutdown(self, now_ns: int) -> NodeOutput:
        """No new orders or children from here on; working children are cancelled and their end is awaited."""
        self.is_shutting_down = True
        cancel_parents = self.config.service.on_shutdown == "cancel"
        self._commit(self.engine.hold(now_ns, cancel_parents=cancel_parents), now_ns)
        return self._output(now_ns)

    @property
    def is_drained(self) -> bool:
        """No child is left whose end could still be heard of."""
        return all(child.uncertain for children in self.state.open_children.values() for child in children.values())

    def end_shutdown(self, now_ns: int) -> NodeOutput:
        cancel_parents = self.config.service.on_shutdown == "cancel"
        self._commit(self.engine.finish(now_ns, cancel_parents=cancel_parents), now_ns)
        self.links.logout_all("shutting down", now_ns)
        return self._output(now_ns)

    def _output(self, now_ns: int) -> NodeOutput:
        if self._has_moved:  # evidence comes with facts
            self._commit(self.engine.judge(now_ns), now_ns)
        writes, closes, advances = self.links.drain(now_ns)
        for advanced in advances:
            self._note(advanced)
        facts, self._facts = self._facts, []
        return NodeOutput(writes, closes, facts)

    def note(self, fact: AnyFact) -> NodeOutput:
        """Something about the journal itself, to be recorded there."""
        self._note(fact)
        return self._output(fact.at_ns)

    def image(self) -> NodeImage:
        """All that a restart needs; between two inputs only, and not to be changed."""
        return NodeImage(self.state, self.links.messages())

    # --- recovery ---

    def _restore(self, fact: Any) -> None:
        kind = type(fact)
        if kind is MessageReceived:  # the most frequent one, and evidence only
            return
        if kind in RESTORED:
            self.links.restore(fact)
        if kind is not MessageSent:
            self.state.apply(fact)


def _epoch(now_ns: int) -> str:
    """Seconds since 1970 in base 32: seven characters that no later journal begins with."""
    seconds, digits = now_ns // 1_000_000_000, ""
    while seconds:
        seconds, digit = divmod(seconds, 32)
        digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"[digit] + digits
    return digits
