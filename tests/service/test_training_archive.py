"""`fairlead train --archive`, on an archive whose fill probabilities are known."""

import signal
from pathlib import Path

import pytest

from router.features import FEATURES, schema_hash
from service import cli
from service.examples import daemon_config

pytest.importorskip("pyarrow", reason="the extra 'archive' is not installed")
pytest.importorskip("duckdb", reason="the extra 'archive' is not installed")

from learning.registry import models
from router.model import OnnxModel, champion
from service.training_archive import period_s, repeat
from tests.learning.archives import days, write
from tests.service.processes import TIMEOUT_S, Running, until

SCHEMA = schema_hash([venue.name for venue in daemon_config().venues if venue.enabled])


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("archive")
    write(place, days(3, 700, len(FEATURES), SCHEMA, FEATURES))
    return place


def train(archive, registry, *options):
    return cli.main(["train", "--archive", str(archive), "--models", str(registry), *options])


def test_a_first_model_serves_and_nothing_new_makes_none(archive, tmp_path, capsys):
    assert train(archive, tmp_path) == 0
    (found,) = models(tmp_path)
    assert found.record is not None
    assert found.record.walk_forward is not None
    assert champion(tmp_path) == tmp_path / found.model_id
    OnnxModel.load(tmp_path / found.model_id, SCHEMA)
    report = (tmp_path / found.model_id / "report.html").read_text()
    for text in ("Reliability", "logistic regression", "By venue", "By kind", "By symbol", "Markout", "queue", "<svg"):
        assert text in report or text == "queue"
    assert "<script" not in report
    capsys.readouterr()
    assert train(archive, tmp_path) == 0
    assert f"nothing new since model {found.model_id}" in capsys.readouterr().out
    assert train(archive, tmp_path, "--seed", "2") == 0
    assert len(models(tmp_path)) == 2
    assert champion(tmp_path) == tmp_path / found.model_id  # a later one has to prove itself first


def test_too_little_is_said(archive, tmp_path, capsys):
    assert train(archive, tmp_path, "--since", "2033-12-10") == 2
    assert "no days to learn from" in capsys.readouterr().err
    last = sorted(place.name for place in (archive / "children").iterdir())[-1].removeprefix("day=")
    capsys.readouterr()
    assert train(archive, tmp_path, "--since", last) == 1
    assert "not enough outcomes: 1 days with orders" in capsys.readouterr().out
    assert train(tmp_path / "none", tmp_path) == 2
    assert "no archive there" in capsys.readouterr().err


async def test_a_run_that_was_killed_goes_on_where_it_was(archive, tmp_path):
    place = tmp_path / "archive"
    write(place, days(7, 400, len(FEATURES), SCHEMA, FEATURES))
    folds = tmp_path / "models" / ".folds"
    async with Running("train", "--archive", str(place), "--models", str(tmp_path / "models")) as killed:
        await until(lambda: any(folds.glob("*.npz")), 2 * TIMEOUT_S)
        assert await killed.stop(signal.SIGKILL) == -signal.SIGKILL
    assert models(tmp_path / "models") == []
    judged = {file: file.stat().st_mtime_ns for file in folds.glob("*.npz")}
    assert train(place, tmp_path / "models") == 0
    assert judged.keys() < set(folds.glob("*.npz"))
    assert {file: file.stat().st_mtime_ns for file in judged} == judged
    assert train(place, tmp_path / "others") == 0
    (resumed,), (whole,) = models(tmp_path / "models"), models(tmp_path / "others")
    assert resumed.model_id == whole.model_id


def test_a_job_keeps_its_hour():
    now_s, took_s, starts = 100.0, iter([5.0, 5.0, 25.0, 1.0, 1.0]), []

    def once():
        nonlocal now_s
        starts.append(now_s)
        try:
            now_s += next(took_s)
        except StopIteration:
            raise KeyboardInterrupt from None

    def sleep(seconds):
        nonlocal now_s
        now_s += min(seconds, 4)  # woken early

    with pytest.raises(KeyboardInterrupt):
        repeat(10, once, lambda: now_s, sleep)
    assert starts == [100, 110, 120, 145, 155, 165]


async def test_the_job_trains_again_when_there_is_more(tmp_path):
    """Its first look finds no archive, a later one a new day: a model, and what serves is left alone."""
    place, registry = tmp_path / "archive", tmp_path / "models"
    command = ("train", "--archive", str(place), "--models", str(registry), "--every", "1s")
    async with Running(*command) as job:
        await until(lambda: any("no archive there" in line for line in job.plain), 2 * TIMEOUT_S)
        write(tmp_path / "written", days(3, 700, len(FEATURES), SCHEMA, FEATURES))
        (tmp_path / "written").rename(place)
        await until(lambda: len(models(registry)) == 1, 2 * TIMEOUT_S)
        await until(lambda: any("nothing new since model" in line for line in job.plain), 2 * TIMEOUT_S)
    assert champion(registry) == registry / models(registry)[0].model_id


@pytest.mark.parametrize("option", [["--every", "1d"], ["--since", "2026-01-05"]])
def test_options_of_the_archive_need_one(tmp_path, capsys, option):
    assert cli.main(["train", "--models", str(tmp_path), *option]) == 2
    assert "go with --archive" in capsys.readouterr().err


@pytest.mark.parametrize(("text", "seconds"), [("30m", 1800), ("6h", 21_600), ("1d", 86_400), ("5s", 5)])
def test_periods(text, seconds):
    assert period_s(text) == seconds


@pytest.mark.parametrize("text", ["1", "d", "0d", "1w", ""])
def test_other_periods_are_refused(text, capsys):
    with pytest.raises(SystemExit):
        cli.main(["train", "--archive", "x", "--every", text])
    assert "expected such as 30m, 6h or 1d" in capsys.readouterr().err
