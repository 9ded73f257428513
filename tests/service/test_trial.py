"""Models on trial in the whole node, in virtual time: shadow, share, promotion, rollback, restart, no order lost."""

import msgspec
import numpy as np
import pytest

from domain.commands import PromoteModel, RollBackModel
from domain.facts import (
    ChildSubmitted,
    DecisionMade,
    DecisionShadowed,
    ModelFailed,
    ModelRolledBack,
    ModelStaged,
    ParentAccepted,
    ParentDone,
)
from router.features import FILL_PRIOR, schema_hash
from router.model import PriorModel
from router.trial import LEAST_ORDERS
from service.examples import daemon_config, simulators_config
from service.node import Node
from service.simulation import SECOND_NS, Recorder, Simulation
from simulators.client import Ems, plan_parents
from simulators.client_session import EmsSession
from simulators.market import Market

CONFIG = daemon_config()
SCHEMA = schema_hash([venue.name for venue in CONFIG.venues if venue.enabled])
START_NS = 1_700_000_000 * SECOND_NS


class Said(PriorModel):
    """The prior, bent by a function of P(fill)."""

    def __init__(self, model_id, bend) -> None:
        super().__init__(FILL_PRIOR, SCHEMA)
        self.model_id = model_id
        self._bend = bend

    def predict(self, features, horizons_ns):
        probabilities, _ = super().predict(features, horizons_ns)
        return self._bend(probabilities), None


def failing(probabilities):
    raise RuntimeError("no such tensor")


GOOD = Said("0123456789ab", lambda p: p)
BAD = Said("bad456789abc", lambda p: np.where(p > 0.5, 0.02, 0.98))
RISING = Said("777456789abc", failing)
NAN = Said("999456789abc", lambda p: p * np.nan)


class World:
    """A simulated day with many small parents; a model can be promoted between two of its seconds."""

    def __init__(self, parents=60, seed=1) -> None:
        simulators = simulators_config()
        market = simulators.market()
        client = CONFIG.clients[0]
        start_px = {symbol.symbol: symbol.start_px for symbol in market.symbols}
        plan = plan_parents(
            parents, seed, [item.instrument for item in CONFIG.instruments], START_NS + 10 * SECOND_NS,
            parents * SECOND_NS, account=client.accounts[0], longest_ns=20 * SECOND_NS,
        )  # fmt: skip
        ems = Ems(EmsSession(client.begin_string, client.name, CONFIG.service.comp_id), plan, start_px.__getitem__)
        self.simulation = Simulation(
            CONFIG, Market(market, seed, START_NS), simulators.latency_ns(), PriorModel(FILL_PRIOR, SCHEMA),
            {client.name: ems}, START_NS, Recorder,
        )  # fmt: skip
        self.node = self.simulation.node

    def run(self, until_s):
        self.simulation.world.run_until(START_NS + int(until_s * SECOND_NS))

    def facts(self, kind):
        return [fact for fact in self.simulation.facts if isinstance(fact, kind)]

    def promote(self, model):
        """One stage further, whatever evidence there is: what is asked before is `Engine.promotion_refused`'s."""
        command = PromoteModel(model.model_id, "ops")
        world = self.simulation.world
        world.perform(self.simulation.endpoint.promote(command, model, world.now_ns))

    def roll_back(self):
        world = self.simulation.world
        world.perform(self.simulation.endpoint.roll_back(RollBackModel("ops", "enough"), world.now_ns))


def stages(world):
    return [(fact.stage, fact.share) for fact in world.facts(ModelStaged)]


def test_a_shadow_scores_everything_and_chooses_nothing():
    plain, shadowed = World(30), World(30)
    plain.run(60)
    shadowed.run(5)
    shadowed.promote(BAD)
    shadowed.run(60)
    made = [fact for fact in shadowed.facts(DecisionMade) if fact.candidates]
    assert len(made) > 20
    assert {fact.model_id for fact in made} == {"prior"}
    beside = shadowed.facts(DecisionShadowed)
    assert [fact.decision_id for fact in beside] == [fact.decision_id for fact in made]
    assert all(len(b.costs_bps) == len(m.candidates) for b, m in zip(beside, made, strict=True))
    children = [msgspec.structs.astuple(fact) for fact in shadowed.facts(ChildSubmitted)]
    assert children == [msgspec.structs.astuple(fact) for fact in plain.facts(ChildSubmitted)]


def test_a_canary_serves_its_parents_and_the_champion_all():
    world = World(60)
    world.run(5)
    for _ in range(5):  # up to half
        world.promote(GOOD)
    world.run(80)
    assert stages(world)[-1] == ("canary", 0.5)
    served = {fact.parent_id: set() for fact in world.facts(DecisionMade)}
    for fact in world.facts(DecisionMade):
        served[fact.parent_id].add(fact.model_id)
    assert all(len(models) == 1 for models in served.values())  # a parent keeps its model
    share = np.mean([models == {GOOD.model_id} for models in served.values()])
    assert 0.3 < share < 0.7
    world.promote(GOOD)
    world.promote(GOOD)
    assert stages(world)[-1] == ("champion", 1.0)
    assert world.node.state.trial.champion == GOOD.model_id


@pytest.mark.parametrize("model", [RISING, NAN])
def test_a_model_that_gives_no_answer_is_gone_with_its_first_decision(model):
    world = World(20)
    world.run(5)
    for _ in range(6):  # all parents
        world.promote(model)
    world.run(60)
    (failed,) = world.facts(ModelFailed)
    (gone,) = world.facts(ModelRolledBack)
    assert gone.at_ns == failed.at_ns
    assert (gone.by, gone.text) == ("", "1 inference errors")
    assert {fact.model_id for fact in world.facts(DecisionMade)} == {"prior"}  # no decision was lost
    assert len(world.facts(ParentDone)) == len(world.facts(ParentAccepted)) > 10


def test_a_bad_model_goes_with_the_evidence_and_every_order_ends():
    world = World(150)
    world.run(5)
    for _ in range(4):  # a quarter of the parents
        world.promote(BAD)
    world.run(220)
    (gone,) = world.facts(ModelRolledBack)
    assert "log-loss" in gone.text
    later = [fact for fact in world.facts(DecisionMade) if fact.at_ns > gone.at_ns]
    assert later
    assert {fact.model_id for fact in later} == {"prior"}
    state = world.node.state
    assert len(world.facts(ParentDone)) + len(state.open_parents) == len(world.facts(ParentAccepted)) == 150
    resting = {child.submitted.parent_id for child in state.children.values() if child.is_open}
    assert state.open_parents.keys() <= resting  # limits that nobody has met


def test_an_operator_rolls_back_and_the_next_decision_is_the_references():
    world = World(30)
    world.run(5)
    for _ in range(7):
        world.promote(GOOD)
    world.run(20)
    world.roll_back()
    world.run(60)
    (gone,) = world.facts(ModelRolledBack)
    assert (gone.model_id, gone.reference_id, gone.by, gone.text) == (GOOD.model_id, "prior", "ops", "enough")
    models = [(fact.at_ns > gone.at_ns, fact.model_id) for fact in world.facts(DecisionMade)]
    assert {model for late, model in models if late} == {"prior"}
    assert GOOD.model_id in {model for late, model in models if not late}


def test_a_recovery_has_the_same_trial():
    world = World(40)
    world.run(5)
    for _ in range(5):
        world.promote(GOOD)
    world.run(60)
    again = Node(CONFIG, PriorModel(FILL_PRIOR, SCHEMA), "", START_NS, [world.simulation.facts])
    one, other = world.node.state.trial, again.state.trial
    assert one.resolved
    assert other.resolved == one.resolved
    assert other.costs == one.costs
    assert other.markouts == one.markouts
    assert (other.stage, other.share, other.since_stage) == (one.stage, one.share, one.since_stage)


def test_what_promotion_asks_for():
    world = World(5)
    engine = world.node.engine
    command = PromoteModel(GOOD.model_id, "ops")
    assert engine.promotion_refused(command, ("canary",)) == ""
    assert "approval of shadow" in engine.promotion_refused(command, ("shadow",))
    assert engine.promotion_refused(msgspec.structs.replace(command, approved_by="quant"), ("shadow",)) == ""
    assert "serves already" in engine.promotion_refused(PromoteModel("prior", "ops"), ())
    world.promote(GOOD)
    assert f"0 of {LEAST_ORDERS} resolved orders" in engine.promotion_refused(command, ())
    assert "is on trial (shadow 0%)" in engine.promotion_refused(PromoteModel(BAD.model_id, "ops"), ())
