"""Models come and go in a running daemon: real processes, the control socket, orders over FIX, the registry on disk."""

import asyncio
import hashlib
import shutil
import time
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
import xgboost

from domain.facts import AnyFact, DecisionMade, DecisionShadowed, ModelFailed, ModelRolledBack, ModelStaged, ParentDone
from domain.fields import Side
from learning.export import to_onnx
from learning.history import HISTORY_FILE, entries
from learning.registry import register, set_champion
from learning.training import Fitted, TrainedModel, finished
from router.model import METADATA_FILE, NATIVE_FILE, ONNX_FILE, champion
from service import cli
from service.control import ask
from service.journal import read
from simulators.client import Ems
from tests.service.processes import Installation, trading_systems, until

SECOND_NS = 1_000_000_000
STAGES = [("shadow", 0.0), *(("canary", share) for share in (0.01, 0.05, 0.25, 0.5, 1.0)), ("champion", 1.0)]


def twin(trained: TrainedModel) -> TrainedModel:
    """The same trees under another id: surely no worse, so that some hundred orders are evidence enough."""
    record = msgspec.structs.replace(trained.record, version="another")
    return finished(Fitted(trained.metadata, trained.files), record)


def overflowing(trained: TrainedModel) -> TrainedModel:
    """Passes all that can be checked before it serves, and has no answer for an immediate order."""
    booster = xgboost.Booster(model_file=bytearray(trained.files[NATIVE_FILE]))
    content = msgspec.json.decode(bytes(booster.save_raw("json")))
    for tree in content["learner"]["gradient_booster"]["model"]["trees"]:
        tree["leaf_weights"] = [3e38] * len(tree["leaf_weights"])
    booster = xgboost.Booster(model_file=bytearray(msgspec.json.encode(content)))
    files = {ONNX_FILE: to_onnx(booster), NATIVE_FILE: bytes(booster.save_raw("ubj"))}
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    metadata = msgspec.structs.replace(trained.metadata, files=hashes, has_markout=False)
    return finished(Fitted(metadata, files), trained.record)


def unproven(trained: TrainedModel) -> TrainedModel:
    """No better than what is simpler."""
    evaluation = msgspec.structs.replace(trained.evaluation, model=trained.evaluation.constant)
    record = msgspec.structs.replace(trained.record, evaluation=evaluation)
    return finished(Fitted(trained.metadata, trained.files), record)


class Desk:
    """An installation with a champion, and an operator at its command line."""

    def __init__(self, directory: Path, trained: TrainedModel, capsys: pytest.CaptureFixture[str]) -> None:
        self.installation = Installation(directory)
        self.installation.change("stage_orders = 500", "stage_orders = 40")
        self.installation.change("stage_parents = 20", "stage_parents = 0")
        self.old = self.add(trained)
        set_champion(self.models, self.old)
        self._capsys = capsys
        self._count = 0

    @property
    def models(self) -> Path:
        return self.installation.models

    def add(self, model: TrainedModel) -> str:
        return register(self.models, model, 1)

    async def says(self, action: str, *arguments: str) -> tuple[int, str]:
        """Exit status of `fairlead models ...`, and all that it said."""
        self._capsys.readouterr()
        argv = ["models", action, *arguments, "--config", str(self.installation.daemon_toml)]
        status = await asyncio.to_thread(cli.main, argv)
        said = self._capsys.readouterr()
        return status, said.out + said.err

    def is_open(self) -> bool:
        with suppress(OSError):
            return bool(self.serving())
        return False

    def trial(self) -> dict:
        return ask(self.installation.config.control_path, {"command": "status"})["status"]["trial"]

    def serving(self) -> str:
        return ask(self.installation.config.control_path, {"command": "status"})["status"]["model"]

    async def orders(self, ems: dict[str, Ems], count: int) -> None:
        """Sweeps of both clients, until each has ended."""
        sent = []
        for _ in range(count):
            self._count += 1
            for number, client in enumerate(ems.values()):
                symbol = ("ALFA", "BRVO", "CHRL", "DLTA", "ECHO")[self._count % 5]
                side = Side.BUY if (self._count + number) % 2 else Side.SELL
                sent.append(client.new_order(f"M{self._count}", symbol, side, 300, account="ACC2", strategy="sweep"))
            await asyncio.sleep(0.02)  # a trader's pace: the books have to fill again
        await until(lambda: all(order.settled_status is not None and order.settled_status.name != "NEW"
                                and order.leaves_qty == 0 for order in sent))  # fmt: skip

    async def evidence(self, ems: dict[str, Ems]) -> None:
        """Orders until the next stage may come."""
        async with asyncio.timeout(60):
            while self.trial()["missing"]:
                await self.orders(ems, 5)

    def facts(self, *kinds: type[AnyFact]) -> list:
        return [
            fact for batch in read(self.installation.config.journal_path) for fact in batch if isinstance(fact, kinds)
        ]


@pytest.fixture
def desk(tmp_path: Path, trained: TrainedModel, capsys: pytest.CaptureFixture[str]) -> Desk:
    return Desk(tmp_path, trained, capsys)


async def test_from_shadow_to_champion_over_a_restart_and_back(desk: Desk, trained: TrainedModel):
    new = desk.add(twin(trained))
    installation = desk.installation
    async with installation.venues() as venues, trading_systems(installation, {}) as ems:
        await venues.says("simulators_ready")
        async with installation.daemon() as daemon:
            assert (await daemon.says("ready"))["model"] == desk.old
            await installation.trading()
            for number, (stage, share) in enumerate(STAGES):
                if number:
                    status, said = await desk.says("promote", new, "--approved-by", "quant")
                    assert (status, "not enough evidence" in said) == (2, True), said
                    await desk.evidence(ems)
                if stage == "champion":
                    status, said = await desk.says("promote", new)
                    assert status == 2
                    assert "asks for a person's approval of champion: say who, with --approved-by" in said
                approved = ("--approved-by", "Quinn Quant") if stage == "champion" else ()
                status, said = await desk.says("promote", new, *approved)
                assert (status, f"{stage} {share:.0%} beside {desk.old}" in said) == (0, True), said
            assert desk.serving() == new
            assert champion(desk.models) == desk.models / new
            assert await daemon.stop() == 0

        async with installation.daemon() as daemon:
            assert (await daemon.says("ready"))["model"] == new
            await installation.trading()
            restarted_ns = time.time_ns()
            await desk.orders(ems, 3)
            made = [fact.model_id for fact in desk.facts(DecisionMade) if fact.at_ns > restarted_ns]
            assert set(made) == {new}

            asked_ns = time.time_ns()
            status, said = await desk.says("rollback", "--text", "too passive")
            assert (status, said) == (0, "rolled back\n")
            (gone,) = desk.facts(ModelRolledBack)
            assert (gone.model_id, gone.reference_id, gone.text) == (new, desk.old, "too passive")
            assert gone.at_ns - asked_ns < SECOND_NS
            assert (desk.serving(), champion(desk.models)) == (desk.old, desk.models / desk.old)
            await desk.orders(ems, 3)
            made = [fact.model_id for fact in desk.facts(DecisionMade) if fact.at_ns > gone.at_ns]
            assert set(made) == {desk.old}
            status, said = await desk.says("rollback")
            assert (status, "no model is on trial" in said) == (2, True)
            assert await daemon.stop() == 0

        # Killed after the journal knew of it and before the registry did: the journal is followed.
        set_champion(desk.models, new)
        history = desk.models / new / HISTORY_FILE
        history.write_bytes(b"\n".join(history.read_bytes().splitlines()[:-1]) + b"\n")
        async with installation.daemon() as daemon:
            assert (await daemon.says("ready"))["model"] == desk.old
            await until(lambda: champion(desk.models) == desk.models / desk.old)
            assert await daemon.stop() == 0
        assert await venues.stop() == 0

    staged = desk.facts(ModelStaged)
    assert [(fact.stage, fact.share) for fact in staged] == STAGES
    served: dict[str, set[str]] = {}
    for fact in desk.facts(DecisionMade):
        served.setdefault(fact.parent_id, set()).add(fact.model_id)
    assert {desk.old} in served.values()
    assert {new} in served.values()
    assert len(desk.facts(ParentDone)) == len(served)  # none was lost on the way
    during = [fact for fact in desk.facts(DecisionMade) if staged[0].at_ns < fact.at_ns < gone.at_ns]
    assert len(desk.facts(DecisionShadowed)) == len(during)  # both were warm all the time
    assert installation.books(ems).differences == []
    told = [(entry.what, entry.stage, entry.approved_by) for entry in entries(desk.models / new)]
    assert told == [
        ("registered", "", ""),
        *(("staged", stage, "Quinn Quant" if stage == "champion" else "") for stage, _ in STAGES),
        ("rolled back", "", ""),
    ]
    assert await asyncio.to_thread(cli.main, ["models", "show", new, "--models", str(desk.models)]) == 0
    assert '"approved_by": "Quinn Quant"' in desk._capsys.readouterr().out


async def test_a_model_without_answers_is_gone_within_a_second(desk: Desk, trained: TrainedModel):
    bad = desk.add(overflowing(trained))
    installation = desk.installation
    async with installation.venues() as venues, trading_systems(installation, {}) as ems:
        await venues.says("simulators_ready")
        async with installation.daemon() as daemon:
            await installation.trading()
            status, said = await desk.says("promote", bad)
            assert (status, f"{bad}: shadow" in said) == (0, True), said
            await desk.orders(ems, 1)
            await until(lambda: desk.trial() == {})
            assert desk.serving() == desk.old
            assert await daemon.stop() == 0
        assert await venues.stop() == 0
    (staged,), (failed,), (gone,) = (desk.facts(kind) for kind in (ModelStaged, ModelFailed, ModelRolledBack))
    first = next(fact for fact in desk.facts(DecisionMade) if fact.at_ns > staged.at_ns)
    assert (failed.decision_id, failed.model_id) == (first.decision_id, bad)
    assert (gone.by, gone.text) == ("", "1 inference errors")
    assert gone.at_ns - first.at_ns < SECOND_NS
    assert {fact.model_id for fact in desk.facts(DecisionMade)} == {desk.old}
    assert installation.books(ems).differences == []
    assert entries(desk.models / bad)[-1].what == "rolled back"


async def test_what_can_not_serve_is_refused_and_the_champion_stays(desk: Desk, trained: TrainedModel):
    good, weak = desk.add(twin(trained)), desk.add(unproven(trained))
    cases = {"000000000000": "metadata.json: No such file", "../" + good: "is no model: expected the 12 hex digits"}
    cases |= {weak: "does not beat the constant and the table per venue", desk.old: "serves already"}
    for number, (name, says) in enumerate(((ONNX_FILE, "SHA-256"), (METADATA_FILE, "expected the metadata"))):
        place = desk.models / f"{number}a0000000000"
        shutil.copytree(desk.models / good, place)
        (place / name).write_bytes((place / name).read_bytes()[:-20])
        cases[place.name] = says
    shutil.copytree(desk.models / good, desk.models / "3a0000000000")
    cases["3a0000000000"] = f"holds model {good}"
    shutil.copytree(desk.models / good, desk.models / "2a0000000000")
    (desk.models / "2a0000000000" / NATIVE_FILE).unlink()
    cases["2a0000000000"] = f"{NATIVE_FILE}: No such file"
    async with desk.installation.daemon() as daemon:
        await daemon.says("ready")
        await until(desk.is_open)
        for name, says in cases.items():
            status, said = await desk.says("promote", name)
            assert (status, says in said) == (2, True), said
            assert (desk.serving(), desk.trial()) == (desk.old, {})
        status, said = await desk.says("promote", good)
        assert status == 0
        shutil.rmtree(desk.models / good)
        assert await daemon.stop() == 0
    # A trial whose model is gone ends with the next start, in words.
    async with desk.installation.daemon() as daemon:
        assert (await daemon.says("ready"))["model"] == desk.old
        await until(desk.is_open)
        assert f"{good}/metadata.json: No such file" in daemon.of("trial_ended")[0]["text"]
        assert desk.trial() == {}
        assert await daemon.stop() == 0
    assert champion(desk.models) == desk.models / desk.old
