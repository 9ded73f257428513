"""`fairlead demo` from end to end: real processes, and a summary and an exit status that can be relied upon."""

import json
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from learning.training import TrainingRecord
from router.model import champion, read_metadata
from service import demo
from service.cli import main
from service.examples import daemon_config
from service.journal import read
from tests.service.platform import Platform

PARENTS = 6
VENUE_KINDS = {
    "ARGO": "lit", "BRIG": "lit", "CLIP": "lit", "DUSK": "dark", "EBBT": "dark", "FORD": "dealer", "GALE": "dealer",
}  # fmt: skip


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A demo of seconds instead of a minute, with all that it writes below the test's own directory."""
    monkeypatch.chdir(tmp_path)
    for name, seconds in (("WARM_UP_S", 1), ("ARRIVALS_S", 3), ("LONGEST_TWAP_S", 3), ("GRACE_S", 2)):
        monkeypatch.setattr(demo, name, seconds)


@pytest.mark.usefixtures("short")
def test_the_demo_says_what_happened_and_that_the_books_agree(registry: Path, capfd: pytest.CaptureFixture[str]):
    assert main(["demo", "--parents", str(PARENTS), "--json", "summary.json", "--models", str(registry)]) == 0
    summary = json.loads(Path("summary.json").read_text())
    assert summary.keys() >= {
        "parents", "children", "fills", "shares_ordered", "shares_filled", "risk_rejects", "venues",
        "slippage_arrival_bps", "latency_us", "reconciled", "unmatched_shares", "model",
    }  # fmt: skip
    assert summary["parents"] == PARENTS
    assert summary["children"] >= summary["parents"] - summary["parents_rejected"] > 0
    assert 0 < summary["shares_filled"] <= summary["shares_ordered"]
    assert summary["risk_rejects"] >= 1  # the slip of the finger
    assert (summary["reconciled"], summary["unmatched_shares"]) == (True, 0)
    assert 0 < summary["latency_us"]["p50"] <= summary["latency_us"]["p99"]
    assert abs(summary["slippage_arrival_bps"]) < 100
    assert summary["model"].keys() == {"id", "log_loss", "baseline_log_loss"}
    assert summary["model"]["id"] == champion(registry).name
    assert {name: venue["kind"] for name, venue in summary["venues"].items()} == VENUE_KINDS
    for venue in summary["venues"].values():
        assert venue.keys() >= {"kind", "children", "fill_rate", "shares", "predicted", "realised"}
        assert 0 <= venue["fill_rate"] <= 1
        for share in (venue["predicted"], venue["realised"]):
            assert share is None or 0 <= share <= 1
    assert sum(venue["shares"] for venue in summary["venues"].values()) == summary["shares_filled"]
    assert sum(venue["children"] for venue in summary["venues"].values()) == summary["children"]

    out = capfd.readouterr().out
    assert f"{summary['shares_filled']:,}" in out
    assert "Books: they agree to the share" in out
    hint = next(line for line in out.splitlines() if "fairlead explain" in line)
    assert main(hint.partition("fairlead ")[2].split()) == 0  # it can be pasted
    assert sum(map(len, read(Path("var/demo/fairlead/journal")))) > 100


@pytest.mark.parametrize(("lost", "status"), [(0, 0), (1, 1)])
def test_books_that_disagree_by_a_fill_make_it_fail(lost: int, status: int, registry: Path, tmp_path: Path):
    platform = Platform(seed=2)
    platform.finish()
    ledger = platform.exchange.ledger[lost:]
    record = msgspec.json.decode(read_metadata(champion(registry)).training, type=TrainingRecord)
    path = tmp_path / "summary.json"
    console = Console(quiet=True)
    assert (
        demo._conclude(daemon_config(), platform.facts, platform.ems, ledger, "prior", record, path, console) == status
    )
    summary = json.loads(path.read_text())
    assert summary["reconciled"] is not bool(lost)
    assert summary["unmatched_shares"] == sum(entry.qty for entry in platform.exchange.ledger[:lost])


def test_a_word_of_complaint_from_the_ems_makes_it_fail(registry: Path):
    platform = Platform(seed=2)
    platform.finish()
    platform.ems["EMS1"].violations.append("CumQty(14) 100; the books have 200")
    record = msgspec.json.decode(read_metadata(champion(registry)).training, type=TrainingRecord)
    arguments = (daemon_config(), platform.facts, platform.ems, platform.exchange.ledger, "prior", record)
    assert demo._conclude(*arguments, None, Console(quiet=True)) == 1
