"""`fairlead learn off-policy`, from an archive on the disk to table, JSON and page."""

import json
from itertools import islice

import pytest
from msgspec.structs import replace

pytest.importorskip("pyarrow", reason="the extra 'archive' is not installed")
pytest.importorskip("duckdb", reason="the extra 'archive' is not installed")

from learning.archive import take_in
from service import cli
from service.examples import DAEMON, daemon_config
from service.off_policy import answer
from study.off_policy_day import EPOCH, LOGGING, POLICY, TARGET, day

DAY = "2022-01-08"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("archive")
    take_in(place, EPOCH, lambda batch: ([fact] for fact in islice(day(LOGGING, 3, 240), batch, None)))
    return place


def asked(place, *options: str) -> int:
    return cli.main(["learn", "off-policy", "--archive", str(place), *options])


def test_a_model_is_judged_on_the_decisions_of_another(place):
    config = replace(daemon_config(), policy=POLICY)
    found = answer(place, TARGET, [DAY], config)
    assert found.refused == "" and found.decisions > 200 and found.estimate.effective > 200
    low, high = found.estimate.doubly_robust.interval.low, found.estimate.doubly_robust.interval.high
    assert low < found.estimate.doubly_robust.value < high
    assert found.logged.interval.low < found.logged.value


def test_the_command_says_what_it_can_and_why_not_more(place, tmp_path, capsys):
    files = "--json", str(tmp_path / "found.json"), "--html", str(tmp_path / "found.html")
    assert asked(place, "--model", "prior", *files) == 1
    said = capsys.readouterr().out
    # The study's venues are not all of the example's.
    assert "other features than the model's" in said and "no estimate" in said
    found = json.loads((tmp_path / "found.json").read_text())
    assert (found["model"], found["days"], found["estimate"]) == ("prior", [DAY], None)
    assert "Model prior" in (tmp_path / "found.html").read_text()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--model", "prior", "--days", "2031-01-01"), "no decisions of 2031-01-01, there are those of 2022-01-08"),
        (("--model", "prior", "--days", "../x"), "'../x', expected such as 2026-01-05"),
        (("--model", "nowhere"), "no model nowhere: expected an id of"),
        (("--model", "prior", "--json", "nowhere/x.json"), "no directory nowhere"),
    ],
)
def test_what_is_not_there_is_named(place, options, text, capsys):
    assert asked(place, "--config", str(DAEMON), *options) == 2
    assert text in capsys.readouterr().err
