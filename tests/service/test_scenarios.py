"""Every bundled scenario comes out as it says, and a scenario that should fail does, with the reason."""

import re
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from rich.console import Console

from service import qa
from service.cli import main
from service.qa_report import junit, table
from service.toml import ConfigErrors
from simulators.scenario import EVENTS, Expectation, Fault, FaultKind

FILES = qa.find([qa.BUNDLED])
DOCS = (Path(__file__).parents[2] / "docs" / "scenarios.md").read_text("utf-8")
GOOD = """title = "x"
duration_s = 3
[[orders]]
id = "A"
at_s = 0.5
qty = 100
"""


def test_there_are_enough_and_each_says_what_it_is() -> None:
    assert len(FILES) >= 25
    for path in FILES:
        assert path.read_text("utf-8").startswith("# "), path


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_bundled(path: Path) -> None:
    assert qa.play(path.stem, qa.load(path)).failures == []


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "s.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ('[expect.orders.A]\nstatus = "canceled"', "order A: is filled, expected canceled"),
        ("[expect.orders.A]\nqty = 90", "order A: filled 100, expected 90"),
        ("[expect.orders.A]\nmin_qty = 101", "order A: filled 100, expected 101 to"),
        ('[expect.orders.A]\nreports = ["trade", "new"]', "order A: no report 'new' in its place among new, trade"),
        ('[expect.orders.A]\ntext = "hello"', "order A: no report says 'hello'"),
        ('[expect]\nalarms = ["fire"]', "no alarm says 'fire'"),
        ("[expect]\ndisputed = 2", "0 fills were disputed, expected 2"),
        ("[expect.facts]\nVenueDown = 1", "VenueDown came 0 times, expected at least 1"),
        ('[expect]\nno_facts = ["ChildFilled"]', "ChildFilled came, and must not"),
        ('[expect]\nfilled_at = ["DUSK"]', "nothing was filled at DUSK"),
        ("[[expect.quiet]]\nfrom_s = 0\nuntil_s = 9", "which was to be quiet"),
        ('[[faults]]\nkind = "unknown_fill"\nvenue = "ARGO"\nat_s = 1\n', "unexpected alarm: unknown order"),
    ],
)
def test_what_is_not_as_expected_is_said(more: str, says: str, tmp_path: Path) -> None:
    path = written(tmp_path, f"{GOOD}{more}")
    outcome = qa.play("s", qa.load(path))
    assert any(says in failure for failure in outcome.failures), outcome.failures
    assert main(["qa", str(path)]) == 1


def test_one_seed_is_one_run() -> None:
    scenario = qa.load(qa.BUNDLED / "everything_goes_wrong.toml")
    journals = []
    for seed in (7, 7, 8):
        trial = qa.Trial(msgspec.structs.replace(scenario, seed=seed, duration_s=20))
        trial.run_through()
        journals.append(trial.endpoint.journal)
    assert journals[0] == journals[1]
    assert journals[0] != journals[2]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('title = ""', "title: "),
        ('title = "x"\nsymbols = ["ZULU"]', "symbols: there is no 'ZULU'"),
        ('title = "x"\nvenues = ["NYSE"]', "venues: there is no 'NYSE'"),
        (f"{GOOD}client = 'NOBODY'", "orders[0].client: there is no client 'NOBODY'"),
        (f"{GOOD}colour = 1", "orders[0].colour: unknown key"),
        (f'{GOOD}[[requests]]\nat_s = 1\ncancel = "B"', "requests[0].cancel: there is no order 'B'"),
        (f"{GOOD}[[requests]]\nat_s = 1", "requests[0]: a request names the order"),
        (f"{GOOD}[expect.orders.B]\nqty = 1", "expect.orders.B: there is no such order"),
        (f'{GOOD}[expect.orders.A]\nstatus = "happy"', "status 'happy' is none of"),
        (f'{GOOD}[[faults]]\nkind = "fire"\nat_s = 1', "faults[0].kind: expected one of"),
        (f'{GOOD}[[faults]]\nkind = "bust"', "says either when, with at_s, or on what event, with on"),
        (f'{GOOD}[[faults]]\nkind = "bust"\non = "cancel"', "bust on cancel: it can wait for fill"),
        (f'{GOOD}[[faults]]\nkind = "gap"\non = "fill"', "gap on fill: it can wait for no event, only at_s"),
        (f'{GOOD}[[faults]]\nkind = "reject"\nat_s = 1', "reject: happens on an event (cancel, order, replace)"),
        (f'{GOOD}[[faults]]\nkind = "gap"\nat_s = 1\nvenue = "GALE"', "faults[0].venue: 'GALE' is none of"),
        (f'{GOOD}[[faults]]\nkind = "auction"\nat_s = 1', "auction: says how long it lasts, with for_s"),
        (f'{GOOD}[[faults]]\nkind = "reject"\non = "order"\nreason = "rain"', "reason 'rain' is none of"),
        (f"{GOOD}[daemon.weather]\nsunny = true", "daemon.weather: is no table of the daemon's config"),
    ],
)
def test_mistakes_are_named(text: str, says: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigErrors, match=re.escape(says)):
        qa.load(path)
    assert main(["qa", str(path)]) == 2
    assert str(path) in capfd.readouterr().err


def test_a_value_that_the_daemon_does_not_take_is_a_failure(tmp_path: Path) -> None:
    path = written(tmp_path, f"{GOOD}[daemon.policy]\nmax_dark_share = 7")
    (failure,) = qa.play("s", qa.load(path)).failures
    assert failure.startswith("can't be played: ")


def test_the_router_sees_what_an_auction_would_do() -> None:
    trial = qa.Trial(qa.load(qa.BUNDLED / "auction_at_one_venue.toml"))
    trial.world.run_until(qa.START_NS + 15 * qa.SECOND_NS)
    view = trial.node.market.symbol("ALFA")
    indicated = view.indicated["ARGO"]
    assert indicated.px and indicated.paired_qty and indicated.imbalance_qty is not None
    assert set(view.indicated) == {"ARGO"}


def test_the_table_has_a_line_for_each_and_what_failed_below_it() -> None:
    console = Console(width=120, record=True, file=StringIO())
    console.print(table([qa.Outcome("a", "A", [], 30.0, 0.5), qa.Outcome("b", "B", ["<wrong>", "worse"])]))
    lines = [" ".join(line.replace("│", " ").split()) for line in console.export_text().splitlines()]
    assert "ok a A 30 s 0.50 s" in lines
    assert lines.index("FAIL b B 0 s 0.00 s") + 1 == lines.index("- <wrong>") == lines.index("- worse") - 1


def test_the_command_prints_the_table_and_writes_junit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, report = written(tmp_path, GOOD), tmp_path / "report.xml"
    assert main(["qa", str(path), "--junit", str(report)]) == 0
    assert "1 scenarios, 0 failed" in capsys.readouterr().out
    assert ElementTree.parse(report).getroot().get("tests") == "1"


def test_junit() -> None:
    fine, bad = qa.Outcome("a", "A", real_s=0.5), qa.Outcome("b", "B", ["<wrong>", "worse"])
    suite = ElementTree.fromstring(junit([fine, bad]))
    assert (suite.get("tests"), suite.get("failures"), suite.get("time")) == ("2", "1", "0.500")
    good_case, bad_case = suite
    assert len(good_case) == 0
    assert (bad_case.get("name"), bad_case[0].get("message"), bad_case[0].text) == ("b", "<wrong>", "<wrong>\nworse")


def test_the_page_explains_every_key_and_kind() -> None:
    rows = {line.split("`")[1]: line.split("|")[2] for line in DOCS.splitlines() if line.startswith("| `")}
    for kind in FaultKind:
        assert set(re.findall(r"\w+", rows[kind])) - {"time"} == set(EVENTS.get(kind, ())), kind
    orders = (qa.OrderStep, qa.RequestStep, qa.OperatorStep, qa.OrderExpectation)
    for struct in (Fault, *orders, qa.Scenario, Expectation):
        for name in struct.__struct_fields__:
            assert f"`{name}`" in DOCS or f"[[{name}]]" in DOCS or f".{name}]" in DOCS or f"[{name}]" in DOCS, name


def test_questions_that_a_venue_answers_by_and_by_are_asked_without_longer_waits() -> None:
    """Nine children in doubt at a venue that takes two messages a second: a round a second, not 1, 2, 4 and 8 apart."""
    scenario = qa.load(qa.BUNDLED / "throttled_while_asking.toml")
    order = scenario.orders[0]
    orders = tuple(msgspec.structs.replace(order, id=f"O{n}", at_s=1.0 + 1.5 * n) for n in range(9))
    trial = qa.Trial(msgspec.structs.replace(scenario, orders=orders, requests=()))
    doubtful = []
    for at_s in (15.5, 17.5, 22.5):
        trial._run_until(qa.START_NS + round(at_s * qa.SECOND_NS))
        doubtful.append(sum(child.uncertain for child in trial.node.engine.children_at("ARGO")))
    assert doubtful[0] == 9 and doubtful[1] > 4
    assert doubtful[2] == 0, doubtful
