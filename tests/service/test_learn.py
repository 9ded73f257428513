"""fairlead learn tape, as it is typed: figures for a person and a program, and one line for what is wrong."""

import json
from pathlib import Path

import pytest

from learning.tape_events import TouchEvent, TouchKind
from service.cli import main
from service.learn import touch_events
from simulators.lobster import read_tape
from tests.learning.tapes import S, day

MESSAGE_TYPES = {
    TouchKind.SUBMITTED: 1,
    TouchKind.CANCELED: 3,
    TouchKind.EXECUTED: 4,
    TouchKind.EXECUTED_HIDDEN: 5,
}


def message(event: TouchEvent) -> str:
    seconds, ns = divmod(event.time_ns, S)
    kind = MESSAGE_TYPES[event.kind]
    return f"{seconds}.{ns:09},{kind},{event.order_id},{event.qty},{event.px},{event.side.sign}\n"


def book(event: TouchEvent) -> str:
    return f"{event.ask_px},{event.ask_qty},{event.bid_px},{event.bid_qty}\n"


@pytest.fixture
def tape(tmp_path: Path) -> list[str]:
    """The options that name a tape of an hour."""
    events = list(day(2, 3600))
    (tmp_path / "messages.csv").write_text("".join(map(message, events)))
    (tmp_path / "book.csv").write_text("".join(map(book, events)))
    return ["--tape", str(tmp_path / "messages.csv"), "--book", str(tmp_path / "book.csv")]


def test_figures_for_a_person_and_for_a_program(
    tape: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    argv = ["learn", "tape", *tape, "--horizon", "10", "--test-from", "36600", "--json", str(tmp_path / "out.json")]
    assert main(argv) == 0
    found = json.loads((tmp_path / "out.json").read_bytes())
    assert found["test_from_s"] == 36_600
    assert found["rows_train"] == pytest.approx((2400 - 70) / 2 * 2, abs=10)
    assert found["rows_test"] == pytest.approx((1200 - 10) / 2 * 2, abs=10)
    shown = capfd.readouterr().out
    assert f"{found['rows_test']:,} judged from 36600 s on" in shown
    for name in ("model", "model_at_start", "logistic", "table", "constant"):
        assert set(found[name]) == {"log_loss", "brier", "auc", "calibration_error"}
        assert f"{found[name]['log_loss']:.4f}" in shown
    assert found["model"]["log_loss"] < found["constant"]["log_loss"]


def test_the_tape_read_is_the_tape_written(tape: list[str]) -> None:
    events = list(day(2, 600))
    assert list(touch_events(read_tape(map(message, events), map(book, events)))) == events


@pytest.mark.parametrize(
    ("kind", "px", "found"),
    [
        (2, 100, TouchKind.CANCELED),
        (3, 100, TouchKind.CANCELED),
        (6, 100, TouchKind.OTHER),
        (7, -1, TouchKind.HALTED),
        (7, 0, TouchKind.HALTED),  # quoting resumes, trading does not
        (7, 1, TouchKind.RESUMED),
    ],
)
def test_what_becomes_of_message_types(kind: int, px: int, found: TouchKind) -> None:
    (event,) = touch_events(read_tape([f"34200.5,{kind},1,10,{px},1"], ["9999999999,0,100,10"]))
    assert event.kind is found
    assert (event.bid_px, event.bid_qty, event.ask_px, event.ask_qty) == (100, 10, 0, 0)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("34200.5,1,1,10,x,1", "messages.csv, line 3: 'x' found, expected an integer for the price"),
        ("34200.5,9,1,10,100,1", "messages.csv, line 3: '9' found, expected a type from 1 to 7"),
        ("", "messages.csv, line 3: '' found, expected 6 columns"),
    ],
)
def test_a_bad_line_is_named(
    line: str, says: str, tape: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "messages.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:2], line, *lines[3:]]))
    assert main(["learn", "tape", *tape]) == 2
    (error,) = capfd.readouterr().err.splitlines()
    assert says in error


@pytest.mark.parametrize("rows", [0, 1, 300])
def test_a_tape_that_is_too_short(rows: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    events = list(day(2, 600))[:rows]
    (tmp_path / "messages.csv").write_text("".join(map(message, events)))
    (tmp_path / "book.csv").write_text("".join(map(book, events)))
    argv = ["learn", "tape", "--tape", str(tmp_path / "messages.csv"), "--book", str(tmp_path / "book.csv")]
    assert main(argv) == 2
    (error,) = capfd.readouterr().err.splitlines()
    assert error.startswith(str(tmp_path / "messages.csv"))
    assert "expected at least" in error


def test_a_place_for_the_figures_that_is_none(tape: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["learn", "tape", *tape, "--json", "/no/such/dir/out.json"]) == 2
    assert capfd.readouterr() == ("", "fairlead learn: there is no directory /no/such/dir for the JSON\n")


@pytest.mark.parametrize("option", ["--horizon", "--test-from"])
@pytest.mark.parametrize("value", ["0", "-1", "soon", "nan", "100000"])
def test_seconds_that_are_none(option: str, value: str, tape: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        main(["learn", "tape", *tape, f"{option}={value}"])
    assert exited.value.code == 2
    assert f"{value!r} found, expected seconds above 0" in capfd.readouterr().err
