"""What a running daemon needs to change its model: the registry, artifacts loaded off the order path, the pointer.

A model is loaded and checked in a thread of its own, because that takes some hundred milliseconds; only when it is
there does the change become an input of the node. The journal is what happened. The registry is told afterwards: its
pointer first, then a line in the history of the model, so that a start sees by a missing line that the pointer may be
behind, and follows the journal.
"""

import asyncio
from pathlib import Path

import msgspec
import structlog

from domain.commands import ModelCommand, PromoteModel, RollBackModel
from learning.history import Entry, append, entries, of_fact
from learning.registry import clear_champion, set_champion
from learning.training import TrainingRecord
from router.features import FEATURES, schema_hash
from router.model import FillModel, ModelRefused, OnnxModel, PriorModel, valid_id
from service.config import ServiceConfig
from service.node import Node, NodeOutput

log = structlog.get_logger()


class ModelDesk:
    """Carries out what an operator asks of the models of one node."""

    def __init__(self, config: ServiceConfig) -> None:
        self._registry = Path(config.model.directory) if config.model.directory else None
        self._settings = config.model
        self._schema = schema_hash([venue.name for venue in config.venues if venue.enabled])
        self._loaded: dict[str, OnnxModel] = {}
        self._told: object = None  # the last change that the registry knows of

    def resume(self, node: Node) -> str:
        """After a recovery: the models that the journal says; why the trial can't go on, "" if it can or none was."""
        trial, routing = node.state.trial, node.engine.routing
        try:
            if not trial.model_id:
                if self._untold(node) and trial.champion != routing.model.model_id:
                    node.serve(self.load(trial.champion), "")
                return ""
            try:
                routing.model = self.load(trial.reference_id)
            except ModelRefused as refused:
                if trial.stage != "champion":
                    raise
                # The champion stays; what it would be rolled back to is gone, so that is the prior.
                node.serve(self.load(PriorModel.model_id), str(refused))
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
        if not valid_id(model_id):
            raise ModelRefused(f"{model_id[:40]!r} is no model: expected the 12 hex digits of one in {self._registry}")
        model = OnnxModel.load(self._registry / model_id, self._schema)
        if model.model_id != model_id:
            raise ModelRefused(f"{self._registry / model_id}: holds model {model.model_id}, expected {model_id}")
        return model

    async def prepare(self, command: object) -> None:
        """Loads what the command names, off the loop; ModelRefused where it may not serve or failed its evaluation."""
        if isinstance(command, PromoteModel) and command.model_id not in self._loaded:
            self._loaded[command.model_id] = await asyncio.to_thread(self._passed, command.model_id)

    def _passed(self, model_id: str) -> OnnxModel:
        model = self.load(model_id)
        if not isinstance(model, OnnxModel):
            raise ModelRefused(f"{model_id} is no registered model")
        try:
            record = msgspec.json.decode(model.metadata.training, type=TrainingRecord)
        except msgspec.DecodeError as error:
            raise ModelRefused(f"{model_id}: {error}; expected the record of its training") from error
        if not record.evaluation.beats_baselines:
            raise ModelRefused(f"{model_id} does not beat the constant and the table per venue on later orders")
        return model

    def check(self, node: Node, command: ModelCommand) -> None:
        """ModelRefused where the change is not allowed, so that what is refused never reaches the node."""
        refusal = "" if node.state.trial.model_id else "no model is on trial, so there is none to go back from"
        if isinstance(command, PromoteModel):
            asked = self._settings
            refusal = node.engine.promotion_refused(command, asked.approval, asked.stage_orders, asked.stage_parents)
        if refusal:
            raise ModelRefused(refusal)

    def change(self, node: Node, command: ModelCommand, now_ns: int) -> NodeOutput:
        """The input of the node, which `check` has passed and for which `prepare` has loaded the model."""
        if isinstance(command, PromoteModel):
            return node.promote(command, self._loaded[command.model_id], now_ns)
        return node.roll_back(command, now_ns)

    def end_trial(self, node: Node, text: str, now_ns: int) -> NodeOutput:
        """A start that can't load the model on trial, or the one beside it."""
        return node.roll_back(RollBackModel("start", text), now_ns)

    def tell(self, node: Node) -> None:
        """Tells the registry what the facts say and it does not know: who serves, and each model's history."""
        untold = self._untold(node)
        if not untold or self._registry is None:
            self._told = next(reversed(node.state.trial.changes), None)
            return
        champion = node.state.trial.champion
        try:
            if champion == PriorModel.model_id:
                clear_champion(self._registry)
            elif champion:
                set_champion(self._registry, champion)
            for model_id, entry in untold:
                append(self._registry / model_id, entry)
        except (ModelRefused, OSError) as error:  # the model goes on serving: it is in memory
            log.error("registry_not_told", text=str(error))
        self._told = node.state.trial.changes[-1]

    def _untold(self, node: Node) -> list[tuple[str, Entry]]:
        changes = node.state.trial.changes
        if self._registry is None or not changes or changes[-1] is self._told:
            return []
        known = {model_id: entries(self._registry / model_id) for model_id in {fact.model_id for fact in changes}}
        untold = [(fact.model_id, of_fact(fact)) for fact in changes]
        return [(model_id, entry) for model_id, entry in untold if entry not in known[model_id]]

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
            "missing": trial.missing(self._settings.stage_orders, self._settings.stage_parents),
        }
