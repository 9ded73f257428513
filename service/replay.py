"""What a journal says when it is played again: the state that its facts add up to, and the decisions on its inputs.

`verify` applies the facts and compares the state with every snapshot. `Replayer` goes further: it hands the recorded
inputs to the decision code of today, one by one, each in the state in which it was decided then, and compares fact by
fact. After a difference the recorded facts go on to count, so that one difference does not make all that follow.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from domain.commands import (
    AmendOrder,
    CancelOrder,
    NotifyClients,
    PromoteModel,
    ReleaseKillSwitch,
    SetKillSwitch,
)
from domain.facts import (
    AnyFact,
    ChildSubmitted,
    ClientDown,
    ClientNotified,
    ClientUp,
    DecisionMade,
    DecisionShadowed,
    EpochStarted,
    KillSwitchReleased,
    KillSwitchSet,
    LatencyMeasured,
    MarketDataDown,
    MessageReceived,
    MessageSent,
    ModelLoaded,
    ModelRolledBack,
    ModelStaged,
    OrdersPaused,
    OrdersResumed,
    ParentCancelRequested,
    ParentReplaceRequested,
    PasswordReplaced,
    SessionAdvanced,
    SessionReset,
    SessionSwitched,
    ShutdownBegan,
    ShutdownEnded,
    SnapshotTaken,
    Started,
    TimerFired,
    VenueDown,
    VenueUnsure,
    VenueUp,
)
from fix.message import Message, parse
from router.model import FillModel, ModelRefused
from router.state import State
from service.config import ServiceConfig, decisive
from service.journal_read import decode, payloads, segments
from service.links import PeerKind
from service.node import VERSION, Node
from service.snapshot import NodeImage, different, load, snapshot_name, snapshots, state_hash

DECIDES = ("domain", "risk", "router", "gateway", "venues")  # packages whose code a decision depends on
ASIDE = (
    *(MessageSent, SessionAdvanced, SessionReset, SessionSwitched, PasswordReplaced, LatencyMeasured, SnapshotTaken),
)
KILL_FILE = "kill file"


class Compared(NamedTuple):
    """The state before a segment, as the facts give it and as its snapshot has it. `parts`: what differs."""

    segment: int
    state_hash: str
    recorded_hash: str
    parts: list[str]


class Difference(NamedTuple):
    """`recorded` and `decided` are facts, or None where there was nothing on that side."""

    at_ns: int
    cause: str
    recorded: AnyFact | None
    decided: AnyFact | None
    reasons: tuple[str, ...]


def code_version(packages: tuple[str, ...] = DECIDES) -> str:
    """The version and a hash of the sources that decide: two builds with the same one decide alike."""
    root, digest = Path(__file__).parents[1], blake2b(digest_size=4)
    for package in packages:
        for file in sorted((root / package).rglob("*.py")):
            digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    return f"{VERSION}+{digest.hexdigest()}"


def verify(journal: Path) -> Iterator[Compared]:
    """Compares at each snapshot, and says what the state is at the end: the last one has no recorded hash."""
    taken = {int(file.stem): file for file in snapshots(journal)}
    first = int(segments(journal)[0].stem) if journal.is_dir() else 1
    state = State()
    if first != 1:
        state = load(journal / snapshot_name(first)).state
    current = first

    def compared(segment: int) -> Iterator[Compared]:
        if (file := taken.pop(segment, None)) is not None:
            recorded = load(file).state
            yield Compared(segment, state_hash(state), state_hash(recorded), different(state, recorded))

    for file, offset, payload in payloads(journal):
        while journal.is_dir() and current < int(file.stem):
            current += 1
            yield from compared(current)
        for fact in decode(file, offset, payload):
            state.apply(fact)
    for segment in sorted(segment for segment in taken if segment > current):
        yield from compared(segment)
    yield Compared(0, state_hash(state), "", [])


class _Diverged(Exception):  # noqa: N818 - ends what was being decided
    pass


class Replayer:
    """Feeds recorded batches to the decision code. `differences` grows; `decisions` counts what was compared.

    `find` gives a model by its id, ModelRefused where it can't. `model` decides where that is so.
    """

    def __init__(
        self,
        config: ServiceConfig,
        model: FillModel,
        version: str = "",
        find: Callable[[str], FillModel] | None = None,
    ) -> None:
        self.differences: list[Difference] = []
        self.decisions = 0
        self.inputs = 0
        self.market_data = 0
        self._config = config
        self._model = model
        self._find = find
        self._found: dict[str, FillModel | None] = {model.model_id: model}
        self._version = version or code_version()
        self._node: _Deciding | None = None
        self._state = State()
        self._reasons: dict[str, str] = {}

    def feed(self, batches: Iterable[list[AnyFact]]) -> None:
        for batch in batches:
            self._batch(batch)

    def _batch(self, batch: list[AnyFact]) -> None:
        expected = deque(fact for fact in batch if not isinstance(fact, ASIDE))
        for fact in batch:
            if isinstance(fact, ASIDE):
                self._state.apply(fact)
                if self._node is not None and isinstance(fact, MessageSent):
                    self._node.was_sent(fact)
                elif self._node is not None and isinstance(fact, SessionReset):
                    self._node._began_anew(fact)
        while expected:
            opening = expected[0]
            if isinstance(opening, EpochStarted | Started | ModelLoaded):
                expected.popleft()
                self._state.apply(opening)
                self._begin(opening, expected)
            elif self._node is None:
                self._state.apply(expected.popleft())  # of a process whose start is no longer there
            else:
                self._input(self._node, opening, expected)
        if (node := self._node) is not None and batch:
            self._judge(node, batch[-1].at_ns, expected)

    def _judge(self, node: "_Deciding", now_ns: int, expected: "deque[AnyFact]") -> None:
        """At the end of each input the evidence about venues and about a trial is looked at."""
        facts = node.engine.judge(now_ns)
        self._attempt(node, "evidence", now_ns, expected, lambda now_ns: node.decide(facts, now_ns))

    def _begin(self, fact: AnyFact, expected: "deque[AnyFact]") -> None:
        """A new process: it knows what the journal knew, and nothing of the market."""
        match fact:
            case Started(version=version, config=config):
                self._explain("code", version, self._version)
                self._reasons.update(_changed_settings(config, decisive(self._config)))
                self._node = _Deciding(self._config, self._model, fact.at_ns, NodeImage(self._state, {}))
            case ModelLoaded(model_id=model_id) if self._node is not None:
                routing, trial = self._node.engine.routing, self._state.trial
                routing.model = self._model_of("model", model_id) or self._model
                routing.candidate = self._model_of("candidate", trial.model_id) if trial.model_id else None
                self._attempt(self._node, "start", fact.at_ns, expected, self._node.resume)

    def _model_of(self, what: str, model_id: str) -> FillModel | None:
        """None, and a reason for what differs from here on, where there is no such model."""
        if model_id not in self._found:
            self._found[model_id] = None
            with suppress(ModelRefused):
                self._found[model_id] = self._find(model_id) if self._find is not None else None
        found = self._found[model_id]
        missing = f"none of that name, {self._model.model_id}"
        self._reasons.pop(what, None)
        if found is None:
            self._reasons[what] = f"model: {model_id} then, {missing} now"
        return found

    def _explain(self, what: str, recorded: str, now: str) -> None:
        self._reasons.pop(what, None)
        if recorded != now:
            self._reasons[what] = f"{what}: {recorded} then, {now} now"

    def _input(self, node: "_Deciding", opening: AnyFact, expected: "deque[AnyFact]") -> None:
        """The input that the first fact stands for, with what was decided on it."""
        self.inputs += 1
        now_ns = opening.at_ns
        engine = node.engine
        facts: Iterator[AnyFact]
        match opening:
            case MessageReceived(session=session, raw=raw):
                expected.popleft()
                message = parse(raw)
                if node.is_market_data(session):
                    self.market_data += 1
                cause = f"message {message.msg_type} from {session}"
                self._attempt(node, cause, now_ns, expected, lambda now_ns: node.message(session, message, now_ns))
                return
            case MarketDataDown(venue=venue):
                expected.popleft()
                node.market.forget_venue(venue, now_ns)
                return
            case TimerFired():
                expected.popleft()
                facts = engine.timer(now_ns)
            case VenueUp(venue=venue):
                facts = engine.venue_up(venue, now_ns)
            case VenueDown(venue=venue, text=text):
                facts = engine.venue_down(venue, text, now_ns)
            case VenueUnsure(venue=venue):
                facts = engine.venue_unsure(venue, now_ns)
            case ClientUp(client=client):
                facts = engine.client_up(client, now_ns)
            case ClientDown(client=client, text=text):
                facts = engine.client_down(client, text, now_ns)
            case OrdersPaused(text=text):
                facts = engine.pause(text, now_ns)
            case OrdersResumed(text=text):
                facts = engine.unpause(text, now_ns)
            case ShutdownBegan(cancel_parents=cancel):
                facts = engine.hold(now_ns, cancel_parents=cancel)
            case ShutdownEnded(cancel_parents=cancel):
                facts = engine.finish(now_ns, cancel_parents=cancel)
            case KillSwitchSet(scope=scope, by=by, text=text):
                facts = engine.operator(SetKillSwitch(scope, by, text), now_ns)
            case ParentCancelRequested(parent_id=parent_id, by=by, text=text) if by:
                facts = engine.operator(CancelOrder(parent_id, by, text), now_ns)
            case ParentReplaceRequested(parent_id=parent_id, by=by, text=text) if by:
                wanted = AmendOrder(parent_id, by, text, opening.order_qty, opening.limit_px)
                facts = engine.operator(wanted, now_ns)
            case ClientNotified(client=client, by=by, text=text):
                facts = engine.operator(NotifyClients(client, by, text), now_ns)
            case KillSwitchReleased(scope=scope, by=by):
                facts = engine.operator(ReleaseKillSwitch(scope, by), now_ns)
            case ModelStaged(model_id=model_id, by=by):
                trial = self._state.trial
                if trial.stage == "champion" and model_id != trial.model_id and "candidate" in self._reasons:
                    self._reasons["model"] = self._reasons.pop("candidate")
                wanted_model = PromoteModel(model_id, by, opening.approved_by, opening.text)
                facts = engine.promote(wanted_model, self._model_of("candidate", model_id), now_ns)
            case ModelRolledBack(by=by, text=text) if by:
                self._reasons.pop("candidate", None)
                facts = engine.roll_back(by, text, now_ns)
            case ModelRolledBack():
                self._reasons.pop("candidate", None)
                self._judge(node, now_ns, expected)
                if expected and expected[0] is opening:  # the evidence does not say so
                    self._differ(now_ns, "evidence", opening, None)
                    node.take(expected)
                return
            case _:
                self._differ(now_ns, "nothing recorded", opening, None)
                node.take(expected)
                return
        cause = type(opening).__name__
        self._attempt(node, cause, now_ns, expected, lambda now_ns: node.decide(facts, now_ns))

    def _attempt(
        self, node: "_Deciding", cause: str, now_ns: int, expected: "deque[AnyFact]", act: Callable[[int], None]
    ) -> None:
        node.expected, node.decided, node.count = expected, None, 0
        try:
            act(now_ns)
        except _Diverged:
            self._differ(now_ns, cause, expected[0] if expected else None, node.decided)
            while expected and not isinstance(expected[0], MessageReceived | TimerFired):
                node.take(expected)
        self.decisions += node.count

    def _differ(self, at_ns: int, cause: str, recorded: AnyFact | None, decided: AnyFact | None) -> None:
        reasons = tuple(self._reasons.values()) or ("nothing that is known: code, model and config are the same",)
        self.differences.append(Difference(at_ns, cause, recorded, decided, reasons))


class _Deciding(Node):
    """A node that sends nothing and takes the recorded facts, as long as they are what it decides itself."""

    def __init__(self, config: ServiceConfig, model: FillModel, now_ns: int, image: NodeImage) -> None:
        super().__init__(config, model, "", now_ns, image=image)
        self.expected: deque[AnyFact] = deque()
        self.decided: AnyFact | None = None  # the last one, where it was not what was recorded
        self.count = 0
        self.stops = self._recorded_stops
        self._peers = {peer.session.name: peer for peer in self.links.peers}

    def is_market_data(self, session: str) -> bool:
        peer = self._peers.get(session)
        return peer is not None and peer.kind is PeerKind.MARKET_DATA

    def message(self, session: str, message: Message, now_ns: int) -> None:
        if (peer := self._peers.get(session)) is not None:
            self._facts = []
            self._handle_message(peer, message, now_ns)

    def resume(self, now_ns: int) -> None:
        self._commit(self.engine.resume(now_ns), now_ns)

    def decide(self, facts: Iterator[AnyFact], now_ns: int) -> None:
        self._commit(facts, now_ns)

    def was_sent(self, fact: MessageSent) -> None:
        """A venue's reject names what it refuses by this number."""
        peer = self._peers.get(fact.session)
        if peer is not None and peer.kind is PeerKind.VENUE:
            self._remember_sent(peer.name, fact.msg_seq_num, fact.raw)

    def take(self, expected: "deque[AnyFact]") -> None:
        """A recorded fact that was not decided again: it counts, and its timers are set as well as can be."""
        fact = expected.popleft()
        self.state.apply(fact)
        if isinstance(fact, ChildSubmitted) and fact.horizon_ns:
            self.engine.working.timers.rest_until(fact.at_ns + fact.horizon_ns, self.state.children[fact.child_id])

    def _commit(self, facts: Iterator[AnyFact], now_ns: int) -> None:
        for decided in facts:
            fact = self._let_out(decided, now_ns) if type(decided) is ChildSubmitted else decided
            self._note(fact)

    def _note(self, fact: AnyFact) -> None:
        if not self.expected or not _same(self.expected[0], fact):
            self.decided = fact
            raise _Diverged
        recorded = self.expected.popleft()
        self.count += isinstance(recorded, DecisionMade)
        self.state.apply(recorded)
        self._facts.append(recorded)

    def _recorded_stops(self) -> dict[str, tuple[str, str]]:
        """The kill file as it was then: what it has set, and what it is about to set."""
        known = self.state.kill_switch.scopes.items()
        stops = {scope: (by, text) for scope, (by, text) in known if by.startswith(KILL_FILE)}
        for coming in self.expected:  # as many as it set at once: what follows was decided before the next of them
            if not isinstance(coming, KillSwitchSet) or not coming.by.startswith(KILL_FILE):
                break
            stops[coming.scope] = (coming.by, coming.text)
        return stops

    def _send(self, *_: Any) -> None:
        pass

    def _record_sent(self, *_: Any) -> None:
        pass

    def _record_received(self, *_: Any) -> None:
        pass


def _same(recorded: AnyFact, decided: AnyFact) -> bool:
    if isinstance(recorded, DecisionMade) and isinstance(decided, DecisionMade):
        times = {"elapsed_ns": recorded.elapsed_ns, "predicted_ns": recorded.predicted_ns}
        return recorded == msgspec.structs.replace(decided, **times)
    if isinstance(recorded, DecisionShadowed) and isinstance(decided, DecisionShadowed):
        return recorded == msgspec.structs.replace(decided, elapsed_ns=recorded.elapsed_ns)
    return recorded == decided


def _changed_settings(recorded: str, now: str) -> dict[str, str]:
    """By path, each setting that is not what it was."""
    before, after = dict(_leaves(msgspec.json.decode(recorded))), dict(_leaves(msgspec.json.decode(now)))
    return {
        path: f"config: {path} was {before.get(path, 'absent')}, is {after.get(path, 'absent')}"
        for path in sorted(before.keys() | after.keys())
        if before.get(path, "absent") != after.get(path, "absent")
    }


def _leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        for name, entry in node.items():
            yield from _leaves(entry, f"{path}.{name}" if path else name)
    elif isinstance(node, list):
        for number, entry in enumerate(node):
            yield from _leaves(entry, f"{path}[{number}]")
    else:
        yield path, node
