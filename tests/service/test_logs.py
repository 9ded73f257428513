"""One JSON line a fact, quiet where facts are many, never a password."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from domain import facts
from domain.fields import LastLiquidityInd
from service.logs import LEFT_OUT, LEVELS, configure, log_fact, mask, snake_case

LOGON = b"8=FIX.4.4\x019=99\x0135=A\x01553=ems\x01554=hunter2\x01925=hunter3\x0110=000\x01"
FILLED = facts.ChildFilled(
    at_ns=5, child_id="C1", venue="ARGO", exec_id="E1", last_qty=100, last_px=1002500, liquidity=LastLiquidityInd.ADDED
)
DECISION = facts.DecisionMade(
    at_ns=5,
    decision_id=1,
    parent_id="P1",
    symbol="ALFA",
    slice_qty=100,
    urgency=0.5,
    horizon_ns=1,
    bid_px=1,
    ask_px=2,
    model_id="prior",
    schema_hash="h",
    features=b"\0" * 40,
    candidates=[],
    elapsed_ns=0,
)


@pytest.fixture
def out(tmp_path: Path) -> Iterator[Path]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield tmp_path / "log"
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(out: Path) -> list[dict]:
    return [json.loads(line) for line in out.read_bytes().splitlines()]


def test_a_fact_is_one_line_with_its_fields(out: Path) -> None:
    configure("info", str(out))
    log_fact(FILLED)
    (line,) = lines(out)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "child_filled",
        "level": "info",
        "at_ns": 5,
        "child_id": "C1",
        "venue": "ARGO",
        "exec_id": "E1",
        "last_qty": 100,
        "last_px": 1002500,
        "liquidity": "ADDED",
        "mid2_px": 0,
        "cum_qty": 0,
        "taken_over": False,
    }


def test_frequent_facts_are_of_debug_level_and_a_decision_leaves_its_table_to_the_journal(out: Path) -> None:
    frequent = [facts.MessageReceived(at_ns=1, session="s", raw=LOGON), DECISION]
    configure("info", str(out))
    for fact in frequent:
        log_fact(fact)
    assert lines(out) == []
    configure("debug", str(out))
    for fact in frequent:
        log_fact(fact)
    message, decision = lines(out)
    assert message["raw"] == "8=FIX.4.4|9=99|35=A|553=ems|554=***|925=***|10=000|"
    assert decision["symbol"] == "ALFA"
    assert not {"features", "candidates"} & decision.keys()


@pytest.mark.parametrize(
    ("fact", "level"),
    [
        (facts.VenueUp(at_ns=1, venue="ARGO"), "info"),
        (facts.VenueDown(at_ns=1, venue="ARGO", text="link lost"), "warning"),
        (facts.KillSwitchSet(at_ns=1, scope="firm", by="ops", text=""), "warning"),
        (
            facts.ExecutionUnknown(at_ns=1, venue="ARGO", child_id="", exec_id="E", last_qty=1, last_px=1, text=""),
            "error",
        ),
    ],
)
def test_levels(out: Path, fact: facts.AnyFact, level: str) -> None:
    configure(level, str(out))
    log_fact(fact)
    assert [line["level"] for line in lines(out)] == [level]
    above = {"info": "warning", "warning": "error"}.get(level)
    if above:
        configure(above, str(out))
        log_fact(fact)
        assert len(lines(out)) == 1


def test_the_tables_name_facts_and_their_fields() -> None:
    kinds = set(facts.AnyFact.__args__)
    assert kinds >= LEVELS.keys() | LEFT_OUT.keys()
    assert all(set(names) <= set(kind.__struct_fields__) for kind, names in LEFT_OUT.items())


@pytest.mark.parametrize(
    ("raw", "masked"),
    [
        (LOGON, LOGON.replace(b"hunter2", b"***").replace(b"hunter3", b"***")),
        (b"8=F\x01554=a|10=b\x0110=0\x01", b"8=F\x01554=***\x0110=0\x01"),
        (b"8=F|554=a|b|10=0|", b"8=F|554=***|10=0|"),
        (b"554=a\x0110=0", b"554=***"),  # a fragment: rather too much than too little
        (b"35=A|554=a|10=0|", b"35=A|554=***|10=0|"),
        (b"8=F\x01554=torn off he", b"8=F\x01554=***"),
        (b"58=my 554=x\x0144=1554=\x01", b"58=my 554=x\x0144=1554=\x01"),  # within a value: no tag
        (b"8=F\x0135=0\x01", b"8=F\x0135=0\x01"),
    ],
)
def test_mask(raw: bytes, masked: bytes) -> None:
    assert mask(raw) == masked


@pytest.mark.parametrize("secret", [LOGON, LOGON.decode(), LOGON.decode().replace("\x01", "|")])
def test_no_password_by_any_way(out: Path, secret: bytes | str) -> None:
    configure("debug", str(out))
    structlog.get_logger().info("garbled", data=secret)
    structlog.get_logger().info(f"dropped {secret if isinstance(secret, str) else ''}")
    logging.getLogger("asyncio").error("while reading %s", secret)
    assert len(lines(out)) == 3
    assert b"hunter" not in out.read_bytes()


def test_an_exception_of_a_library_is_one_line(out: Path) -> None:
    configure("info", str(out))
    try:
        raise RuntimeError("broken")
    except RuntimeError:
        logging.getLogger("asyncio").exception("unhandled")
    (line,) = lines(out)
    assert line["event"] == "unhandled"
    assert line["logger"] == "asyncio"
    assert "RuntimeError: broken" in line["exception"]


@pytest.mark.parametrize(("name", "snake"), [("VenueUp", "venue_up"), ("ChildCancelRejected", "child_cancel_rejected")])
def test_snake_case(name: str, snake: str) -> None:
    assert snake_case(name) == snake


def test_without_a_file_lines_go_to_standard_error(out: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    configure("info", "")
    log_fact(FILLED)
    assert json.loads(capfdbinary.readouterr().err)["event"] == "child_filled"


def test_a_full_disk_costs_lines_and_raises_nothing(out: Path) -> None:
    configure("info", "/dev/full")
    for _ in range(1000):
        log_fact(FILLED)
    logging.getLogger("asyncio").error("unhandled")
