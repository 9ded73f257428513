"""What a running daemon needs to change its model: the registry, artifacts loaded off the order path, the pointer.

A model is loaded and checked in a thread of its own, because that takes some hundred milliseconds; only when it is
there does the change become an input of the node. The registry's pointer follows what the facts say, so the next start
serves what this one does.
"""

import asyncio
from pathlib import Path

import msgspec

from domain.commands import ModelCommand, PromoteModel
from learning.registry import clear_champion, set_champion
from learning.training import TrainingRecord
from router.features import FEATURES, schema_hash
from router.model import FillModel, ModelRefused, OnnxModel, PriorModel
from service.config import ServiceConfig
from service.node import Node, NodeOutput


class ModelDesk:
    """Carries out what an operator asks of the models of one node."""

    def __init__(self, config: ServiceConfig) -> None:
        self._registry = Path(config.model.directory) if config.model.directory else None
        self._approval = config.model.approval
        self._schema = schema_hash([venue.name for venue in config.venues if venue.enabled])
        self._loaded: dict[str, OnnxModel] = {}
        self._pointed = ""

    def resume(self, node: Node) -> str:
        """After a recovery: both models of the trial that was going on; why that can't be, "" if it can or none was."""
        trial, routing = node.state.trial, node.engine.routing
        if not trial.model_id:
            return ""
        try:
            routing.model = self.load(trial.reference_id)
            routing.candidate = self.load(trial.model_id)
        except ModelRefused as refused:
            return str(refused)
        return ""

    def load(self, model_id: str) -> FillModel:
        """A registered model, or the prior; ModelRefused where it may not serve."""
        if model_id == PriorModel.model_id:
            return PriorModel(FEATURES.index("fill_prior"), self._schema)
        if self._registry is None:
            raise ModelRefused("no registry configured: expected a directory under [model]")
        return OnnxModel.load(self._registry / model_id, self._schema)

    async def prepare(self, command: object) -> None:
        """Loads what the command names, off the loop; ModelRefused where it may not serve or failed its evaluation."""
        if isinstance(command, PromoteModel) and command.model_id not in self._loaded:
            self._loaded[command.model_id] = await asyncio.to_thread(self._passed, command.model_id)

    def _passed(self, model_id: str) -> OnnxModel:
        model = self.load(model_id)
        if not isinstance(model, OnnxModel):
            raise ModelRefused(f"{model_id} is no registered model")
        record = msgspec.json.decode(model.metadata.training, type=TrainingRecord)
        if not record.evaluation.beats_baselines:
            raise ModelRefused(f"{model_id} does not beat the constant and the table per venue on later orders")
        return model

    def check(self, node: Node, command: ModelCommand) -> None:
        """ModelRefused where the change is not allowed, so that what is refused never reaches the node."""
        refusal = "" if node.state.trial.model_id else "no model is on trial, so there is none to go back from"
        if isinstance(command, PromoteModel):
            refusal = node.engine.promotion_refused(command, self._approval)
        if refusal:
            raise ModelRefused(refusal)

    def change(self, node: Node, command: ModelCommand, now_ns: int) -> NodeOutput:
        """The input of the node, which `check` has passed and for which `prepare` has loaded the model."""
        if isinstance(command, PromoteModel):
            return node.promote(command, self._loaded[command.model_id], now_ns)
        return node.roll_back(command, now_ns)

    def point(self, node: Node) -> None:
        """The registry's pointer, where the facts have moved on from it."""
        champion = node.state.trial.champion
        if not champion or champion == self._pointed or self._registry is None:
            return
        if champion == PriorModel.model_id:
            clear_champion(self._registry)
        else:
            set_champion(self._registry, champion)
        self._pointed = champion

    def status(self, node: Node) -> dict[str, object]:
        """What an operator wants to know of the trial."""
        trial = node.state.trial
        if not trial.model_id:
            return {}
        losses = trial.log_losses() if trial.resolved else None
        following = trial.next_step()
        return {
            "model": trial.model_id,
            "reference": trial.reference_id,
            "stage": trial.stage,
            "share": trial.share,
            "resolved": len(trial.resolved),
            "log_loss": losses[0] if losses else None,
            "log_loss_of_reference": losses[1] if losses else None,
            "calibration_error": trial.calibration_error() if trial.resolved else None,
            "parents": trial.costs[True].count,
            "cost_bps": trial.costs[True].mean,
            "cost_bps_of_reference": trial.costs[False].mean,
            "next": None if following is None else f"{following[0]} {following[1]:.0%}",
            "missing": trial.missing(),
        }
