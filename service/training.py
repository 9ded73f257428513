"""A first model where there is none: the router works simulated orders in virtual time and learns from what became.

The same node, sessions and market as over sockets, with part of the decisions left to chance so that the outcomes tell
of more than what the ranking likes. The latest stretch of the run only judges: log-loss and Brier beside a constant
and a table per venue, both of which a model has to beat before it may serve.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from domain.facts import AnyFact
from learning.dataset import dataset
from learning.evaluation import Evaluation
from learning.registry import is_served, register, set_champion
from learning.training import NotEnoughData, TrainedModel, TrainingConfig, train
from router.features import FEATURES, schema_hash
from router.model import FillModel, PriorModel, champion
from service.config import ServiceConfig
from service.examples import daemon_config, simulators_config
from service.node import Node
from service.replay import code_version
from service.simulation import SECOND_NS, Recorder, Simulation
from simulators.client import Ems, plan_parents
from simulators.client_session import EmsSession
from simulators.config import SimulatorsConfig
from simulators.market import Market
from simulators.market_config import MarketConfig

EXPLORATION = 0.5
SECONDS_A_PARENT = 2  # virtual time between two arrivals, so that our orders stay a small part of the market
WARM_UP_NS = 30 * SECOND_NS  # of the market, before the first order
TRAINS = ("domain", "router", "learning")  # packages whose code a model depends on, beside its data
START_NS = 1_700_000_000 * SECOND_NS  # any: a run depends on its seed alone


def produce(
    config: ServiceConfig,
    market: MarketConfig,
    latency_ns: dict[str, int],
    parents: int,
    seed: int,
    progress: Callable[[float], None] = lambda share: None,
    start_ns: int = START_NS,
    model: FillModel | None = None,
    exploration: float = EXPLORATION,
    endpoint: Callable[[Node], Recorder] = Recorder,
) -> list[AnyFact]:
    """The facts of a run in virtual time in which `parents` orders are worked, on the prior if there is no `model`.

    The same arguments give the same facts, to the byte. `progress` is told the share that is done, 0..1.
    """
    client = config.clients[0]
    duration_ns = parents * SECONDS_A_PARENT * SECOND_NS
    start_px = {symbol.symbol: symbol.start_px for symbol in market.symbols}
    plan = plan_parents(
        parents,
        seed,
        [item.instrument for item in config.instruments if item.symbol in start_px],
        start_ns + WARM_UP_NS,
        duration_ns,
        account=client.accounts[0],
        longest_ns=60 * SECOND_NS,
    )
    session = EmsSession(client.begin_string, client.name, config.service.comp_id)
    # Nobody pays for what is tried here.
    policy = msgspec.structs.replace(
        config.policy, exploration=exploration, explored_slice_share=1.0, max_explored_share=1.0, max_explored_bps=1e9
    )
    prior = PriorModel(
        FEATURES.index("fill_prior"), schema_hash([venue.name for venue in config.venues if venue.enabled])
    )
    ems = Ems(session, plan, start_px.__getitem__)
    simulation = Simulation(
        msgspec.structs.replace(config, policy=policy),
        Market(market, seed, start_ns),
        latency_ns,
        model or prior,
        {client.name: ems},
        start_ns,
        endpoint,
    )
    end_ns = start_ns + WARM_UP_NS + duration_ns
    for step in range(1, 101):
        simulation.world.run_until(start_ns + (end_ns - start_ns) * step // 100)
        progress(step / 100)
    return simulation.facts


def bootstrap(
    models: Path,
    parents: int,
    seed: int,
    console: Console,
    config: ServiceConfig | None = None,
    simulators: SimulatorsConfig | None = None,
) -> TrainedModel:
    """Simulates, trains, registers and, if it beats the baselines and none serves yet, makes the model the champion.

    A model serves the venues of `config`; every one of them has to be in `simulators`. The default are the examples.
    """
    config, simulators = config or daemon_config(), simulators or simulators_config()
    missing = {venue.name for venue in config.venues if venue.enabled} - simulators.venues.keys()
    if missing:
        raise NotEnoughData(f"no simulated venue for {', '.join(sorted(missing))}")
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as bars:
        minutes = round(parents * SECONDS_A_PARENT / 60)
        simulating = bars.add_task("simulate (virtual time)", total=minutes, unit="minutes of market")
        facts = produce(
            config,
            simulators.market(),
            simulators.latency_ns(),
            parents,
            seed,
            lambda share: bars.update(simulating, completed=round(minutes * share)),
        )
        rows = dataset(facts, FEATURES)
        settings = TrainingConfig(seed=seed)
        fitting = bars.add_task(f"train on {len(rows)} children", total=settings.rounds, unit="rounds")
        trained = train(
            rows, settings, lambda done, total: bars.update(fitting, completed=done, total=total), code_version(TRAINS)
        )
    register(models, trained, time.time_ns())
    if trained.evaluation.beats_baselines and not is_served(models, trained.metadata.schema_hash):
        set_champion(models, trained.model_id)
    return trained


def evaluation_table(model_id: str, evaluation: Evaluation) -> Table:
    """The held-out figures beside what is simpler; lower is better but for the AUC."""
    title = f"Fill model {model_id} on {evaluation.rows} later children ({evaluation.censored} censored)"
    table = Table(title=title, title_justify="left")
    table.add_column("P(fill) by")
    for name in ("log-loss", "Brier", "AUC", "calibration error"):
        table.add_column(name, justify="right")
    rows = (
        ("model", evaluation.model),
        ("logistic regression", evaluation.logistic),
        ("table per venue", evaluation.venue_table),
        ("constant", evaluation.constant),
    )
    for name, figures in rows:
        table.add_row(
            name,
            f"{figures.log_loss:.4f}",
            f"{figures.brier:.4f}",
            f"{figures.auc:.3f}",
            f"{figures.calibration_error:.3f}",
        )
    return table


def main(args: argparse.Namespace) -> int:
    """`fairlead train`: 0 if the model now serves, 1 if it does not beat what is simpler."""
    console = Console()
    try:
        config, simulators = daemon_config(args.config), simulators_config(args.simulators)
        trained = bootstrap(args.models, args.parents, args.seed, console, config, simulators)
    except NotEnoughData as short:
        console.print(f"not enough outcomes: {short}")
        return 1
    console.print(evaluation_table(trained.model_id, trained.evaluation))
    if not trained.evaluation.beats_baselines:
        console.print("It does not beat the constant and the table per venue: registered, but not serving.")
        return 1
    console.print(what_next(args.models, trained.model_id))
    return 0


def what_next(registry: Path, model_id: str) -> str:
    """What becomes of a new model that is good enough."""
    serving = champion(registry)
    if serving is not None and serving.name == model_id:
        return f"{model_id} serves from the next start on."
    return f"registered; fairlead models promote {model_id} lets it prove itself."
