"""`fairlead models`: what the registry holds, and how a model comes to serve a running daemon, or goes."""

import argparse
import getpass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from learning.history import Entry
from learning.registry import REPORT_FILE, Registered, models
from router.model import ModelRefused, OnnxModel
from service.command import NARROWEST, CommandError
from service.config import load
from service.control import ask

_MEASURES = ("log_loss", "brier", "auc", "calibration_error")


def listed(registry: Path) -> int:
    """One line a model, the oldest first."""
    found = models(registry)
    if not found:
        print(f"no models in {registry}")
    for model in found:
        serving = "  serving" if model.is_champion else ""
        if model.metadata is None:
            print(f"{model.model_id}  refused: {model.problem}{serving}")
        else:
            loss = f"{model.record.evaluation.model.log_loss:.4f}" if model.record is not None else "-"
            print(
                f"{model.model_id}  {_created(model)}  schema {model.metadata.schema_hash}  log-loss {loss}  "
                f"parent {model.parent or 'none'}  {_last(model)}{serving}"
            )
    return 0


def show(registry: Path, model_id: str) -> int:
    """All that is known of a model, as JSON, with its parity checked anew."""
    model = _one(registry, model_id)
    assert model.metadata is not None
    try:
        served = OnnxModel.load(registry / model_id, model.metadata.schema_hash)
        parity: object = served.check_parity(registry / model_id)
    except ModelRefused as refused:
        parity = str(refused)
    known: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(model.metadata))
    del known["calibration"]
    report = registry / model_id / REPORT_FILE
    known |= {
        "created": _created(model),
        "serving": model.is_champion,
        "parent": model.parent,
        "parity": parity,
        "parity_when_registered": model.parity,
        "history": [_told(entry) for entry in model.history],
        "report": str(report) if report.exists() else "",
    }
    for name in ("effects", "walk_forward"):
        known["training"].pop(name, None)
    print(msgspec.json.format(msgspec.json.encode(known)).decode())
    return 0


def compare(registry: Path, model_ids: list[str]) -> int:
    """Held-out figures side by side; only those of the same orders say which is better."""
    found = [_one(registry, model_id) for model_id in model_ids]
    table = Table(box=None)
    table.add_column("")
    for model in found:
        table.add_column(model.model_id, justify="right")
    records = [model.record for model in found if model.record is not None]
    rows: list[tuple[str, list[str]]] = [
        ("created", [_created(model) for model in found]),
        ("parent", [model.parent or "none" for model in found]),
        (
            "approved by",
            [", ".join(f"{e.approved_by} ({_stage(e)})" for e in model.approvals) or "-" for model in found],
        ),
        ("parity", ["-" if model.parity is None else f"{model.parity:.1e}" for model in found]),
        ("code", [record.version for record in records]),
        ("engine", [record.engine for record in records]),
        ("seed", [str(record.config.seed) for record in records]),
        ("data", [record.data_hash[:12] for record in records]),
        ("learned from", [_time(record.fitted.from_ns) for record in records]),
        ("learned to", [_time(record.calibrated.to_ns) for record in records]),
        ("orders judged", [f"{record.evaluation.rows:,}" for record in records]),
    ]
    rows += [(name, [f"{getattr(record.evaluation.model, name):.4f}" for record in records]) for name in _MEASURES]
    losses = [record.evaluation.logistic.log_loss for record in records]
    rows.append(("log_loss of logistic", [f"{loss:.4f}" for loss in losses]))
    rows.append(("markout mse", [_markout(record.markout) for record in records]))
    for name, cells in rows:
        table.add_row(name, *cells)
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, NARROWEST)
    console.print(table)
    if len({(record.data_hash, record.held_out) for record in records}) > 1:
        console.print("They were judged on different orders: a trial beside each other compares them on the same ones.")
    return 0


def promote(args: argparse.Namespace) -> int:
    """The next stage in the running daemon of --config."""
    line = {"command": "promote", "name": args.model, "by": getpass.getuser(), "text": args.text}
    _asked(args, line | {"approved_by": args.approved_by})
    trial = ask(load(args.config).control_path, {"command": "status"})["status"].get("trial", {})
    print(f"{args.model}: {trial.get('stage', '')} {trial.get('share', 0):.0%} beside {trial.get('reference', '')}")
    return 0


def roll_back(args: argparse.Namespace) -> int:
    """The model on trial in the running daemon of --config is gone."""
    _asked(args, {"command": "rollback", "by": getpass.getuser(), "text": args.text})
    print("rolled back")
    return 0


def _asked(args: argparse.Namespace, line: dict[str, object]) -> None:
    answer = ask(load(args.config).control_path, line)
    if not answer["ok"]:
        raise CommandError(f"fairlead models: {answer['error']}")


def _one(registry: Path, model_id: str) -> Registered:
    found = models(registry)
    for model in found:
        if model.model_id == model_id:
            if model.metadata is None:
                raise CommandError(f"fairlead models: {model.problem}")
            return model
    known = ", ".join(model.model_id for model in found) or "none"
    raise CommandError(f"fairlead models: there is no model {model_id!r} in {registry}; expected one of {known}")


def _created(model: Registered) -> str:
    assert model.metadata is not None
    return _time(model.metadata.created_ns)


def _time(at_ns: int) -> str:
    return f"{datetime.fromtimestamp(at_ns // 1_000_000_000, UTC):%Y-%m-%d %H:%M:%S}"


def _stage(entry: Entry) -> str:
    return f"canary {entry.share:.0%}" if entry.stage == "canary" else entry.stage


def _last(model: Registered) -> str:
    """What happened to it last."""
    entry = model.history[-1] if model.history else None
    return "" if entry is None else _stage(entry) or entry.what


def _told(entry: Entry) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(entry)
    return {"at": _time(told.pop("at_ns"))} | told


def _markout(score: Any) -> str:
    if score is None:
        return "-"
    head = "no head" if score.model is None else f"{score.model:.3f}"
    return f"{head}, table {score.table:.3f}"
