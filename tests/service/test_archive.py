"""`fairlead archive`, its check and `fairlead sql`, on the journal of a short simulated day with its market data."""

import json
from pathlib import Path

import msgspec
import pytest

from domain.facts import DecisionMade, MessageReceived
from service import cli
from service.examples import DAEMON, daemon_config, simulators_config
from service.journal import Journal, read
from service.training import produce

pytest.importorskip("duckdb", reason="the extra 'archive' is not installed")
pytest.importorskip("pyarrow", reason="the extra 'archive' is not installed")

from learning.archive import days, read_table
from learning.decided import read as decided
from service.archive_check import check_features

CONFIG = daemon_config()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a journal and its archive."""
    place = tmp_path_factory.mktemp("day")
    simulators = simulators_config()
    settings = msgspec.structs.replace(CONFIG.service, record_market_data=True)
    config = msgspec.structs.replace(CONFIG, service=settings)
    journal = Journal.open(place / "journal")
    for fact in produce(config, simulators.market(), simulators.latency_ns(), 16, 1):
        journal.append([fact])
    journal.close()
    assert cli.main(["archive", "--journal", str(place / "journal"), "--archive", str(place / "archive")]) == 0
    return place


def asked(place: Path, question: str, *options: str) -> int:
    return cli.main(["sql", question, "--archive", str(place / "archive"), *options])


def test_the_features_of_a_day_come_out_again(place, capsys):
    argv = ["archive", "check", "--journal", str(place / "journal"), "--config", str(DAEMON)]
    assert cli.main(argv) == 0
    decisions = sum(isinstance(fact, DecisionMade) for batch in read(place / "journal") for fact in batch)
    assert decisions > 20
    said = capsys.readouterr().out
    assert said.startswith(f"{decisions} decisions, ")
    assert said.endswith("0 differ, 0 could not be checked\n")


@pytest.mark.parametrize("what", ["features", "market data", "another config"])
def test_the_check_sees_a_difference(place, what):
    batches, config = list(read(place / "journal")), CONFIG
    if what == "features":
        for batch in batches:
            if isinstance(batch[0], DecisionMade):
                changed = bytearray(batch[0].features)
                changed[36] ^= 1  # the last bit of spread_ticks of the first candidate
                batch[0] = msgspec.structs.replace(batch[0], features=bytes(changed))
    elif what == "market data":
        heard = [i for i, b in enumerate(batches) if isinstance(b[0], MessageReceived) and b[0].session.endswith("MD")]
        lost = set(heard[::7])
        batches = [batch for index, batch in enumerate(batches) if index not in lost]
    else:
        policy = msgspec.structs.replace(CONFIG.policy, max_rest_ms=4_000)
        config = msgspec.structs.replace(CONFIG, policy=policy)
    found = check_features(batches, config)
    assert found.differences > 5
    assert found.examples
    if what == "features":
        assert found.differences == found.decisions
        assert "spread_ticks" in found.examples[0]


def test_without_market_data_nothing_is_checked(place):
    batches = [b for b in read(place / "journal") if not isinstance(b[0], MessageReceived)]
    found = check_features(batches, CONFIG)
    assert (found.differences, found.unchecked) == (0, found.decisions)
    assert "record_market_data = true" in found.why_unchecked


def test_answers_in_three_forms(place, capsys):
    question = "select symbol, count(*) as n, max(day) as day from children group by all order by all limit 1"
    assert asked(place, question) == 0
    assert capsys.readouterr().out.split()[:3] == ["symbol", "n", "day"]
    assert asked(place, question, "--format", "csv") == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header == "symbol,n,day"
    assert row.endswith("2023-11-14")
    assert asked(place, question, "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)["day"] == "2023-11-14"


def test_features_by_name(place, capsys):
    assert asked(place, "select count(*) as n, min(spread_ticks) > 0 as ok from features", "--format", "csv") == 0
    assert capsys.readouterr().out.splitlines()[1].endswith(",True")


def test_what_was_tried_and_what_might_have_been(place, capsys):
    made = [fact for batch in read(place / "journal") for fact in batch if isinstance(fact, DecisionMade)]
    question = "select sum(explored_qty) as tried, count_if(room_qty > 0) as free, max(explored_bps) from decisions"
    assert asked(place, question, "--format", "csv") == 0
    tried, free, most = capsys.readouterr().out.splitlines()[1].split(",")
    assert int(tried) == sum(fact.explored_qty for fact in made) > 0
    assert int(free) == sum(fact.exploration > 0 for fact in made) > 0
    assert float(most) == max(fact.explored_bps for fact in made)
    question = "select count(*) from candidates where propensity > 0 and propensity < 1 and horizon_ns > 0"
    assert asked(place, question, "--format", "csv") == 0
    resting = [c for fact in made for c in fact.candidates if 0 < c.propensity < 1 and c.horizon_ns]
    assert int(capsys.readouterr().out.splitlines()[1]) == len(resting) > 0


def test_the_recorded_propensities_of_the_whole_node_come_out_again(place):
    day = days(place / "archive")[0]
    tables = ("decisions", "candidates", "children", "outcomes", "fills")
    rows = {table: read_table(place / "archive", table, day).to_pylist() for table in tables}
    policy = msgspec.structs.replace(CONFIG.policy, explored_slice_share=1.0)  # as service.training has it
    lots = {item.symbol: item.instrument.lot_qty for item in CONFIG.instruments}
    found = decided(rows, policy, lots)
    tried = sum(row["exploration"] > 0 for row in rows["decisions"])
    assert found.left_out == {"nothing could be tried": len(rows["decisions"]) - tried}
    assert len(found.decided) == tried > 10


REFUSED = [
    ("select * from fils", "fills"),
    ("selec 1", "syntax error"),
    ("", "nothing found, expected one SELECT"),
    ("select 1; select 2", "expected one SELECT"),
    ("create table x (y int)", "CREATE found"),
    ("copy children to '/tmp/children.csv'", "COPY found"),
    ("drop view children", "DROP found"),
    ("set enable_external_access = true", "SET found"),
    ("select * from read_csv('/etc/passwd')", "Permission Error"),
    ("select 'x'::int", "Conversion Error"),
]


@pytest.mark.parametrize(("question", "text"), REFUSED)
def test_what_is_no_question_is_refused_in_words(place, capsys, question, text):
    assert asked(place, question) == 2
    said = capsys.readouterr().err
    assert said.startswith("fairlead sql: ")
    assert text in said
    assert "Traceback" not in said


def test_where_there_is_no_archive(tmp_path, capsys):
    assert asked(tmp_path, "select 1") == 2
    assert "no archive there" in capsys.readouterr().err
    assert cli.main(["archive"]) == 2
    assert "which journal?" in capsys.readouterr().err
