"""The example configs in `deploy/`: what the demo and training run with, and where a user's own begins."""

from pathlib import Path

from service import config, toml
from simulators.config import SimulatorsConfig

DEPLOY = Path(__file__).resolve().parent.parent / "deploy"
DAEMON = DEPLOY / "fairlead.toml"
SIMULATORS = DEPLOY / "simulators.toml"


def daemon_config(path: Path | None = None) -> config.ServiceConfig:
    return config.load(path or DAEMON)


def simulators_config(path: Path | None = None) -> SimulatorsConfig:
    return toml.load(SimulatorsConfig, path or SIMULATORS)
