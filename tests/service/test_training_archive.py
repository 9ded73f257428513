"""`fairlead train --archive`, on an archive whose fill probabilities are known."""

from pathlib import Path

import pytest

from router.features import FEATURES, schema_hash
from service import cli
from service.examples import daemon_config

pytest.importorskip("pyarrow", reason="the extra 'archive' is not installed")
pytest.importorskip("duckdb", reason="the extra 'archive' is not installed")

from learning.registry import models
from router.model import OnnxModel, champion
from service.training_archive import period_s
from tests.learning.archives import days, write

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


@pytest.mark.parametrize("option", [["--every", "1d"], ["--since", "2026-01-05"]])
def test_options_of_the_archive_need_one(tmp_path, capsys, option):
    assert cli.main(["train", "--models", str(tmp_path), *option]) == 2
    assert "go with --archive" in capsys.readouterr().err


@pytest.mark.parametrize(("text", "seconds"), [("30m", 1800), ("6h", 21_600), ("1d", 86_400)])
def test_periods(text, seconds):
    assert period_s(text) == seconds


@pytest.mark.parametrize("text", ["1", "d", "0d", "1w", ""])
def test_other_periods_are_refused(text, capsys):
    with pytest.raises(SystemExit):
        cli.main(["train", "--archive", "x", "--every", text])
    assert "expected such as 30m, 6h or 1d" in capsys.readouterr().err
