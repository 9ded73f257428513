"""The learning loop as README.md tells it, with its commands, each a process: from simulated days to a model on trial.

The stages beyond the shadow are in test_models_daemon, where both models are known to be alike.
"""

import json
from pathlib import Path

import pytest

from domain.facts import DecisionMade, DecisionShadowed, ModelRolledBack
from learning.history import entries
from service.journal import read
from tests.service.processes import Installation, Running

pytest.importorskip("pyarrow", reason="the extra 'archive' is not installed")
pytest.importorskip("duckdb", reason="the extra 'archive' is not installed")

LONG_S = 300.0  # for a command that works through simulated days


async def said(*arguments: object) -> str:
    """What a command says; it has to succeed."""
    async with Running(*map(str, arguments)) as command:
        status = await command.ended(LONG_S)
        lines = [*command.plain, *(json.dumps(line) for line in command.log)]
        assert status == 0, lines
    return "".join(lines)


async def test_from_simulated_days_to_a_model_on_trial_and_back(tmp_path: Path):
    installation = Installation(tmp_path)
    installation.change("stage_orders = 500", "stage_orders = 30")
    config, models, archive = installation.daemon_toml, installation.models, tmp_path / "archive"
    days = tmp_path / "rehearsal"
    await said("rehearse", "--days", 3, "--parents", 80, "--out", days)
    journals = sorted(days.glob("*/journal"))
    assert [journal.parent.name[:10] for journal in journals] == sorted(["2026-01-05", "2026-01-06", "2026-01-07"] * 4)
    await said("archive", "--archive", archive, "--journal", *journals)
    checked = await said("archive", "check", "--journal", journals[0], journals[-1], "--config", config)
    assert checked.count(" 0 differ, 0 could not be checked") == 2
    orders = await said("sql", "select count(*) as n from outcomes", "--archive", archive, "--format", "csv")
    assert int(orders.split()[1]) > 500

    learned = [await said("train", "--archive", archive, "--models", models, "--seed", seed) for seed in (1, 2)]
    assert "serves from the next start on" in learned[0]
    assert "lets it prove itself" in learned[1]
    first, second = (line.split() for line in (await said("models", "list", "--models", models)).splitlines())
    assert (first[-1], second[second.index("parent") + 1]) == ("serving", first[0])
    old, new = first[0], second[0]

    async with installation.venues() as venues, installation.daemon() as daemon:
        assert (await daemon.says("ready"))["model"] == old
        await installation.trading()
        assert "shadow 0% beside" in await said("models", "promote", new, "--config", config)
        traded = await said("ems", "--config", config, "--parents", 30, "--seconds", 5)
        assert traded.splitlines()[-1].startswith("30 orders, ")
        assert f'"model": "{new}"' in await said("ctl", "status", "--config", config)
        assert await said("models", "rollback", "--config", config, "--text", "enough") == "rolled back\n"
        assert "30 orders, " in await said("ems", "--config", config, "--parents", 30, "--seconds", 3, "--seed", 2)
        assert await daemon.stop() == 0
        assert await venues.stop() == 0
    facts = [fact for batch in read(installation.config.journal_path) for fact in batch]
    assert {fact.model_id for fact in facts if isinstance(fact, DecisionMade)} == {old}
    assert {fact.model_id for fact in facts if isinstance(fact, DecisionShadowed)} == {new}
    assert [fact.text for fact in facts if isinstance(fact, ModelRolledBack)] == ["enough"]
    assert f'"parent": "{old}"' in await said("models", "show", new, "--models", models)
    assert [entry.what for entry in entries(models / new)] == ["registered", "staged", "rolled back"]
