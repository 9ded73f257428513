"""A journal played again: the same state at every snapshot, and the same decisions by the same code and settings."""

import re
from pathlib import Path

import msgspec
import pytest

from domain.commands import (
    AmendOrder,
    CancelOrder,
    NotifyClients,
    PromoteModel,
    ReleaseKillSwitch,
    RollBackModel,
    SetKillSwitch,
)
from domain.facts import (
    ChildFilled,
    ChildSubmitted,
    DecisionMade,
    DecisionShadowed,
    ModelRolledBack,
    ModelStaged,
    decode_batch,
    encode_batch,
)
from domain.fields import Side
from router import scoring
from router.model import ModelRefused
from router.state import State
from service.journal import Journal
from service.journal_read import JournalError, first_batch, read_from
from service.node import Node
from service.replay import Replayer, verify
from service.snapshot import snapshot_name, state_hash, write
from tests.service.platform import Platform, patient_plan, plan, small_config
from tests.service.test_trial import BAD, GOOD, RISING


def eventful() -> Platform:
    """A recorded day with orders of every kind, lost connections, a crash, a switch, a full disk and a stop."""
    config = small_config(service__record_market_data=True)
    first, second = config.clients
    first = msgspec.structs.replace(first, on_disconnect="cancel", disconnect_grace_s=2.0)
    config = msgspec.structs.replace(config, clients=(first, second))
    config = msgspec.structs.replace(config, journal=msgspec.structs.replace(config.journal, keep_orders=5))
    plans = {"EMS1": patient_plan(config, "EMS1"), "EMS2": plan(config, "EMS2", 8, 3)}
    platform = Platform(seed=4, config=config, plans=plans)
    platform.run(4)
    for name in ("ARGO", "BRIGMD", "EMS2"):
        platform.cut(name)
        platform.run(0.5)
    platform.crash()
    platform.run(1)
    platform.operator(SetKillSwitch("venue:ARGO", "ops", "drill"))
    platform.run(0.5)
    platform.operator(ReleaseKillSwitch("venue:ARGO", "ops"))
    stops = dict.fromkeys(("symbol:BRVO", "strategy:vwap"), ("kill file of ops", "smoke"))
    platform.node.stops = lambda: stops
    platform.run(1)
    platform.node.stops = dict
    for scope in stops:
        platform.operator(ReleaseKillSwitch(scope, "ops"))
    cancelled, amended = list(platform.node.state.open_parents)[:2]
    platform.operator(CancelOrder(cancelled, "ops", "on the telephone"))
    platform.operator(AmendOrder(amended, "ops", "on the telephone", order_qty=9_000))
    platform.operator(NotifyClients("", "ops", "a drill"))
    platform.run(0.5)
    for change, text in ((platform.node.pause, "full"), (platform.node.unpause, "room")):
        platform.perform(platform.process.perform(change(text, platform.now_ns)))
        platform.run(0.3)
    platform.ems["EMS2"].new_order("BAD", "NONE", Side.BUY, 300, account="ACC2", strategy="sweep")
    platform.world.wake("EMS2")
    platform.kept_away.add("EMS1")
    platform.cut("EMS1")
    platform.run(4)
    platform.kept_away.clear()
    platform.begin_shutdown()
    platform.run(0.3)
    platform.end_shutdown()
    platform.crash()
    platform.finish()
    return platform


@pytest.fixture(scope="module")
def platform() -> Platform:
    return eventful()


def replayed(platform: Platform, batches: list | None = None, **changes) -> Replayer:
    config = msgspec.structs.replace(platform.config, **changes)
    replayer = Replayer(config, platform.model, "0.1.0")
    replayer.feed(list(platform.process.recorded()) if batches is None else batches)
    return replayer


def test_the_same_code_model_and_config_decide_the_same(platform: Platform):
    replayer = replayed(platform)
    assert replayer.differences == []
    recorded = [fact for fact in platform.facts if isinstance(fact, DecisionMade)]
    assert replayer.decisions == len(recorded) > 100
    assert replayer.market_data > 1000
    assert state_hash(replayer._state) == state_hash(platform.node.state)


def test_another_setting_is_named_as_the_reason(platform: Platform):
    policy = msgspec.structs.replace(platform.config.policy, max_children_per_decision=2)
    replayer = replayed(platform, policy=policy)
    assert replayer.differences
    was = platform.config.policy.max_children_per_decision
    reason = f"config: policy.max_children_per_decision was {was}, is 2"
    assert all(difference.reasons == (reason,) for difference in replayer.differences)
    assert any(isinstance(difference.recorded, DecisionMade) for difference in replayer.differences)
    assert state_hash(replayer._state) == state_hash(platform.node.state)  # what was done stays done


def test_other_code_is_seen_and_named(platform: Platform, monkeypatch: pytest.MonkeyPatch):
    original = scoring.score

    def dearer(*arguments):
        return [msgspec.structs.replace(each, cost_bps=each.cost_bps + 1) for each in original(*arguments)]

    monkeypatch.setattr("router.routing.score", dearer)
    replayer = Replayer(platform.config, platform.model, "0.2.0")
    replayer.feed(platform.process.recorded())
    assert replayer.differences
    assert all(each.reasons == ("code: 0.1.0 then, 0.2.0 now",) for each in replayer.differences)


def test_a_fact_that_was_tampered_with_has_no_known_reason(platform: Platform):
    batches = list(platform.process.recorded())
    number = next(number for number, batch in enumerate(batches) if any(isinstance(f, ChildSubmitted) for f in batch))
    batches[number] = [
        msgspec.structs.replace(fact, order_qty=fact.order_qty - 1) if isinstance(fact, ChildSubmitted) else fact
        for fact in batches[number]
    ]
    first = replayed(platform, batches[: number + 1]).differences[0]
    assert isinstance(first.recorded, ChildSubmitted) and isinstance(first.decided, ChildSubmitted)
    assert first.recorded.order_qty == first.decided.order_qty - 1
    assert "nothing that is known" in first.reasons[0]


def journal_of(platform: Platform, path: Path, skip: int = -1) -> Path:
    """Three segments, and snapshots of a node that misses the batch `skip`."""
    journal = Journal.open(path / "journal")
    batches = list(platform.process.recorded())
    seen = []
    for number, batch in enumerate(batches):
        if number in (len(batches) // 2, len(batches) - 5):
            journal.roll(number)
            node = Node(platform.config, platform.model, "", 0, recorded=seen)
            write(journal.path / snapshot_name(journal.segment), node.image())
        journal.append(batch)
        if number != skip:
            seen.append(batch)
    journal.close()
    return journal.path


def test_the_state_is_compared_at_every_snapshot_and_told_at_the_end(platform: Platform, tmp_path: Path):
    path = journal_of(platform, tmp_path)
    second, third, end = verify(path)
    assert (second.segment, third.segment, end.segment) == (2, 3, 0)
    for each in (second, third):
        assert each.state_hash == each.recorded_hash and each.parts == []
    assert end.state_hash == state_hash(platform.node.state)
    (path / "00000001.journal").unlink()  # as retention would
    assert list(verify(path))[-1] == end


def test_a_state_that_is_not_the_sum_of_its_facts_is_named_part_by_part(platform: Platform, tmp_path: Path):
    batches = list(platform.process.recorded())
    fill = next(n for n, batch in enumerate(batches) if [f for f in batch if isinstance(f, ChildFilled)])
    second, *_ = verify(journal_of(platform, tmp_path, skip=fill))
    assert second.state_hash != second.recorded_hash
    assert {"exposure", "statistics"} <= set(second.parts)


def test_a_batch_reads_back_as_it_was_decided(platform: Platform):
    """What is compared has been through the file: no fact may lose anything on the way."""
    for batch in platform.process.recorded():
        assert decode_batch(encode_batch(batch)) == batch


def test_every_attribute_of_the_state_is_in_its_hash():
    state = State()
    for name in vars(state):
        changed = State()
        setattr(changed, name, "something else")
        assert state_hash(changed) != state_hash(state), name
    assert re.fullmatch(r"[0-9a-f]{64}", state_hash(state))


# --- models on trial ---


class OnTrial(Platform):
    """A platform whose restarts find the models that its journal names, as a daemon's do in the registry."""

    def new_node(self) -> Node:
        node = super().new_node()
        if node.state.trial.model_id:
            node.engine.routing.candidate = MODELS[node.state.trial.model_id]
        return node

    def change(self, act, command, *model) -> None:
        self.perform(self.process.perform(act(command, *model, self.world.time_of("node"))))

    def promote(self, model, stages: int) -> None:
        for _ in range(stages):
            self.change(self.node.promote, PromoteModel(model.model_id, "ops", "quant"), model)


MODELS = {model.model_id: model for model in (GOOD, BAD, RISING)}


def found(model_id: str):
    if model_id not in MODELS:
        raise ModelRefused(f"no {model_id}")
    return MODELS[model_id]


@pytest.fixture(scope="module")
def tried() -> Platform:
    """A canary, a crash in the midst of it, a champion, its successor that is rolled back, one that fails at once."""
    config = small_config(service__record_market_data=True)
    platform = OnTrial(seed=6, config=config, plans={"EMS1": patient_plan(config, "EMS1")})
    platform.run(3)
    platform.promote(GOOD, 5)
    platform.run(2)
    platform.crash()
    platform.run(1)
    platform.promote(GOOD, 2)
    platform.run(1)
    platform.promote(BAD, 5)
    platform.run(2)
    platform.change(platform.node.roll_back, RollBackModel("ops", "no better"))
    platform.run(1)
    platform.promote(RISING, 1)
    platform.finish()
    return platform


def test_promotions_and_rollbacks_are_inputs_that_are_decided_again(tried: Platform):
    models = {fact.model_id for fact in tried.facts if isinstance(fact, DecisionMade)}
    assert models == {"prior", GOOD.model_id, BAD.model_id}
    gone = [(fact.model_id, fact.by) for fact in tried.facts if isinstance(fact, ModelRolledBack)]
    assert gone == [(BAD.model_id, "ops"), (RISING.model_id, "")]
    replayer = Replayer(tried.config, tried.model, "0.1.0", found)
    replayer.feed(tried.process.recorded())
    assert replayer.differences == []
    assert replayer.decisions == sum(isinstance(fact, DecisionMade) for fact in tried.facts) > 30
    assert state_hash(replayer._state) == state_hash(tried.node.state)


def test_decisions_of_a_model_that_is_gone_differ_because_of_the_model(tried: Platform):
    def without_bad(model_id: str):
        return found("nowhere" if model_id == BAD.model_id else model_id)

    replayer = Replayer(tried.config, tried.model, "0.1.0", without_bad)
    replayer.feed(tried.process.recorded())
    reason = f"model: {BAD.model_id} then, none of that name, prior now"
    assert {difference.reasons for difference in replayer.differences} == {(reason,)}
    assert all(
        BAD.model_id in (getattr(fact, "model_id", BAD.model_id))
        for fact in (difference.recorded for difference in replayer.differences)
        if isinstance(fact, DecisionMade | DecisionShadowed)
    )


def test_a_rollback_that_the_evidence_does_not_say_is_a_difference(tried: Platform):
    batches = list(tried.process.recorded())
    number = next(n for n, batch in enumerate(batches) if any(isinstance(fact, ModelStaged) for fact in batch))
    staged = batches[number][-1]
    invented = ModelRolledBack(
        at_ns=staged.at_ns, model_id=staged.model_id, reference_id=staged.reference_id, by="", text="log-loss"
    )
    replayer = Replayer(tried.config, tried.model, "0.1.0", found)
    replayer.feed([*batches[: number + 1], [invented]])
    (difference,) = replayer.differences
    assert (difference.cause, difference.recorded, difference.decided) == ("evidence", invented, None)


def test_a_journal_is_read_from_any_batch_that_is_still_there(platform: Platform, tmp_path: Path):
    path, batches = journal_of(platform, tmp_path), list(platform.process.recorded())
    half = len(batches) // 2
    for number in (0, 1, half - 1, half, len(batches) - 1, len(batches)):
        assert list(read_from(path, number)) == batches[number:]
    (path / "00000001.journal").unlink()  # as retention would
    assert first_batch(path) == half
    assert list(read_from(path, half + 1)) == batches[half + 1 :]
    with pytest.raises(JournalError, match=f"begins with batch {half}, expected one that has batch 3"):
        list(read_from(path, 3))
    pytest.importorskip("duckdb", reason="the extra 'archive' is not installed")
    from service.archive import epoch_of

    assert epoch_of(path) == platform.node.state.epoch
