"""The archive: the rows of each table, the same files in one run or many, features to the bit, nothing half written."""

from pathlib import Path

import numpy as np
import pytest

from domain.facts import (
    ChildCanceled,
    ChildFillBusted,
    ChildFillCorrected,
    ChildFilled,
    EpochStarted,
    MarkoutMeasured,
    ParentAccepted,
    ParentDone,
)
from domain.fields import Action, LastLiquidityInd, OrdStatus, OrdType, Side, TimeInForce
from tests.learning.facts import SECOND, T0, candidate, child, decision, features

pytest.importorskip("pyarrow", reason="the extra 'archive' is not installed")

from learning.archive import ArchiveError, Cursor, cursor, dataset, days, last_schema, read_table, take_in
from learning.dataset import dataset as of_facts

DAY = 86_400
NAMES = ("fill_prior", "venue_index", "spread")
MIDNIGHT_S = DAY - T0 // SECOND % DAY  # after T0


def at(s):
    return T0 + int(s * SECOND)


def fill(child_id, s, qty=100, px=1_000_000, exec_id="E1"):
    return ChildFilled(
        at_ns=at(s), child_id=child_id, venue="LIT1", exec_id=exec_id, last_qty=qty, last_px=px,
        liquidity=LastLiquidityInd.ADDED, mid2_px=2_000_000,
    )  # fmt: skip


def markout(child_id, s, after_s, mid2_px, exec_id="E1"):
    return MarkoutMeasured(
        at_ns=at(s), child_id=child_id, exec_id=exec_id, after_ns=after_s * SECOND, mid2_px=mid2_px
    )  # fmt: skip


def parent(parent_id, s):
    return ParentAccepted(
        at_ns=at(s), parent_id=parent_id, client="EMS1", cl_ord_id=f"X{parent_id}", account="A", symbol="ABC",
        side=Side.BUY, order_qty=200, ord_type=OrdType.MARKET, limit_px=0, time_in_force=TimeInForce.DAY,
        strategy="sweep", params={}, arrival_mid2_px=1_999_000, tape_qty=1_000, tape_notional_px=10**9,
    )  # fmt: skip


def done(parent_id, s):
    return ParentDone(
        at_ns=at(s), parent_id=parent_id, ord_status=OrdStatus.FILLED, cl_ord_id="", text="",
        tape_qty=2_000, tape_notional_px=10**9 + 1000 * 999_000,
    )  # fmt: skip


def day(number, base_s):
    """One parent with two children, of which the first fills."""
    first, second = f"C{number}a", f"C{number}b"
    who = f"P{number}"
    return [
        [parent(who, base_s)],
        [
            decision([candidate("LIT1"), candidate("DARK1", Action.MID_PEG)], features(2, number), number, base_s),
            child(first, 0, "LIT1", 10, number, base_s, who),
            child(second, 1, "DARK1", 10, number, base_s, who),
        ],
        [fill(first, base_s + 2)],
        [markout(first, base_s + 3, 1, 1_999_800)],
        [markout(first, base_s + 12, 10, 1_999_600)],
        [ChildCanceled(at_ns=at(base_s + 10), child_id=second, text="")],
        [done(who, base_s + 11)],
        [markout(first, base_s + 62, 60, 0)],
    ]


def journal(count=4):
    """A day each, the first one from T0 on."""
    batches = [[EpochStarted(at_ns=T0, epoch="e1", version="1")]]
    for number in range(count):
        batches += day(number + 1, number * DAY)
    return batches


def source(batches):
    return lambda number: batches[number:]


def tree(archive: Path):
    return {path.relative_to(archive).as_posix(): path.read_bytes() for path in archive.rglob("*") if path.is_file()}


def test_rows_of_each_table(tmp_path):
    taken = take_in(tmp_path, "e1", source(journal(1)))
    assert (taken.batches, taken.days, taken.settled) == (9, 1, 0)
    (only,) = days(tmp_path)
    assert only == "2023-11-14"
    tables = {name: read_table(tmp_path, name, only).to_pylist() for name in
              ("decisions", "candidates", "children", "outcomes", "fills", "parents")}  # fmt: skip
    assert [(d["decision_id"], d["symbol"], d["model_id"]) for d in tables["decisions"]] == [(1, "ABC", "prior")]
    assert [(c["candidate"], c["venue"], c["action"]) for c in tables["candidates"]] == [
        (0, "LIT1", "post"),
        (1, "DARK1", "mid_peg"),
    ]
    assert [(c["child_id"], c["candidate"], c["propensity"]) for c in tables["children"]] == [
        ("C1a", 0, 1.0),
        ("C1b", 1, 1.0),
    ]
    filled, missed = tables["outcomes"]
    assert (filled["filled"], filled["time_ns"], filled["ended"]) == (True, 2 * SECOND, "filled")
    assert filled["markout_1s_bps"] == pytest.approx(1.0)
    assert filled["markout_10s_bps"] == pytest.approx(2.0)
    assert filled["markout_60s_bps"] is None  # nobody could say
    assert (missed["filled"], missed["known"], missed["ended"], missed["markout_1s_bps"]) == (
        False, True, "canceled", None,
    )  # fmt: skip
    assert [(f["exec_id"], f["last_qty"], f["busted"]) for f in tables["fills"]] == [("E1", 100, False)]
    (worked,) = tables["parents"]
    assert (worked["status"], worked["filled_qty"], worked["avg_px"]) == ("filled", 100, 1_000_000)
    assert worked["arrival_cost_bps"] == pytest.approx(500 / 999_500 * 1e4)
    assert worked["vwap_cost_bps"] == pytest.approx(1_000 / 999_000 * 1e4)


def test_features_are_kept_to_the_bit(tmp_path):
    odd = features(2, 3)
    odd.view(np.uint32)[1, 0] = 0x7FC00001  # a NaN that says something of its own
    odd[1, 1] = -0.0
    batches = journal(1)
    batches[2][0] = decision([candidate("LIT1"), candidate("DARK1", Action.MID_PEG)], odd, 1, 0)
    take_in(tmp_path, "e1", source(batches))
    for table in ("candidates", "children"):
        served = read_table(tmp_path, table, "2023-11-14")["features"].combine_chunks().flatten().to_numpy()
        assert served.tobytes() == odd.tobytes()


def test_the_dataset_is_the_one_of_the_facts(tmp_path):
    batches = journal()
    take_in(tmp_path, "e1", source(batches))
    expected = of_facts((fact for batch in batches for fact in batch), NAMES)
    found = dataset(tmp_path, NAMES, last_schema(tmp_path, days(tmp_path)[-1]), days(tmp_path))
    assert found.data_hash() == expected.data_hash()
    assert found.child_id.tolist() == expected.child_id.tolist()
    np.testing.assert_array_equal(found.markout_bps, expected.markout_bps)
    assert np.nansum(found.markout_bps) == pytest.approx(8.0)


@pytest.mark.parametrize("cuts", [[5], [9, 10, 11], [17, 25, 30], list(range(1, 33))])
def test_many_runs_make_the_files_of_one(tmp_path, cuts):
    batches = journal()
    take_in(tmp_path / "whole", "e1", source(batches))
    read = 0
    for cut in [*cuts, len(batches)]:
        taken = take_in(tmp_path / "parts", "e1", source(batches[:cut]))
        read += taken.batches
    assert tree(tmp_path / "parts") == tree(tmp_path / "whole")
    assert read < len(batches) * (len(cuts) + 1)


def test_a_settled_day_is_not_read_again(tmp_path):
    take_in(tmp_path, "e1", source(journal(2)))
    assert cursor(tmp_path, "e1") == Cursor(
        9, "2023-11-15", {"2023-11-14": 0}
    )  # the first day is settled, the second may go on
    before = tree(tmp_path)
    assert take_in(tmp_path, "e1", source(journal(2))).settled == 0
    assert tree(tmp_path) == before


def test_a_day_stays_open_with_its_orders(tmp_path):
    batches = [batch for batch in journal(2) if not (isinstance(batch[0], ParentDone) and batch[0].parent_id == "P1")]
    take_in(tmp_path, "e1", source(batches))
    assert cursor(tmp_path, "e1") == Cursor()
    assert read_table(tmp_path, "parents", "2023-11-14")["status"].to_pylist() == ["open"]


def test_a_child_belongs_to_the_day_of_its_submission(tmp_path):
    take_in(tmp_path, "e1", source([*journal(0), *day(1, MIDNIGHT_S - 1)]))
    assert days(tmp_path) == ["2023-11-14"]
    assert read_table(tmp_path, "outcomes", "2023-11-14")["filled"].to_pylist() == [True, False]


@pytest.mark.parametrize(
    ("fact", "expected"),
    [
        (
            ChildFillBusted(
                at_ns=at(20), child_id="C1a", venue="LIT1", exec_id="B1", exec_ref_id="E1", last_qty=100, last_px=1
            ),
            (0, 1_000_000, True),
        ),
        (
            ChildFillCorrected(
                at_ns=at(20), child_id="C1a", venue="LIT1", exec_id="B1", exec_ref_id="E1", was_qty=100, was_px=1,
                last_qty=60, last_px=999_000,
            ),
            (60, 999_000, False),
        ),
    ],
)  # fmt: skip
def test_busts_and_corrections_count(tmp_path, fact, expected):
    take_in(tmp_path, "e1", source([*journal(1), [fact]]))
    (found,) = read_table(tmp_path, "fills", "2023-11-14").to_pylist()
    assert (found["last_qty"], found["last_px"], found["busted"]) == expected
    assert read_table(tmp_path, "parents", "2023-11-14")["filled_qty"].to_pylist() == [expected[0]]


def test_journals_lie_beside_each_other(tmp_path):
    take_in(tmp_path, "e1", source(journal(1)))
    take_in(tmp_path, "e/2", source(journal(1)))
    assert read_table(tmp_path, "children", "2023-11-14").num_rows == 4
    assert not list(tmp_path.rglob(".*"))  # nothing half written is left


def test_what_is_missing_or_broken_is_named(tmp_path):
    with pytest.raises(ArchiveError, match="no archive there"):
        days(tmp_path)
    (tmp_path / "cursors").mkdir()
    (tmp_path / "cursors" / "e1.json").write_text("{")
    with pytest.raises(ArchiveError, match=r"e1\.json: .*expected the place where the last run ended"):
        cursor(tmp_path, "e1")
    take_in(tmp_path, "e2", source(journal(1)))
    with pytest.raises(ArchiveError, match="3 features a child, expected 4"):
        dataset(tmp_path, (*NAMES, "more"), "s1", days(tmp_path))


# --- what comes after the day is settled ---


def taken_back(journal, number, s):
    """The journal with a bust of the fill of that day, told at that time."""
    bust = ChildFillBusted(
        at_ns=at(s), child_id=f"C{number}a", venue="LIT1", exec_id=f"B{number}", exec_ref_id="E1", last_qty=100,
        last_px=1_000_000,
    )  # fmt: skip
    place = next((n for n, batch in enumerate(journal) if batch[0].at_ns > bust.at_ns), len(journal))
    return [*journal[:place], [bust], *journal[place:]]


@pytest.mark.parametrize("cuts", [[], [10, 18], [20, 28], list(range(1, 34))])
@pytest.mark.parametrize("told_s", [DAY + 40, 2 * DAY + 30])
def test_a_fill_taken_back_after_its_day_corrects_the_rows(tmp_path, cuts, told_s):
    batches = taken_back(journal(), 1, told_s)
    corrected = 0
    for cut in [*cuts, len(batches)]:
        taken = take_in(tmp_path, "e1", source(batches[:cut]))
        corrected += taken.corrected
        assert taken.too_late == 0
    assert corrected >= 1 or len(cuts) < 10  # read in one go, it is not late
    (fill_row,) = read_table(tmp_path, "fills", "2023-11-14").to_pylist()
    assert (fill_row["last_qty"], fill_row["busted"]) == (0, True)
    assert read_table(tmp_path, "outcomes", "2023-11-14")["filled_qty"].to_pylist() == [0, 0]
    assert read_table(tmp_path, "outcomes", "2023-11-14")["markout_10s_bps"].to_pylist() == [None, None]
    assert read_table(tmp_path, "parents", "2023-11-14")["filled_qty"].to_pylist() == [0]
    expected = of_facts((fact for batch in batches for fact in batch), NAMES)
    found = dataset(tmp_path, NAMES, last_schema(tmp_path, days(tmp_path)[-1]), days(tmp_path))
    assert found.data_hash() == expected.data_hash()
    before = tree(tmp_path)
    assert take_in(tmp_path, "e1", source(batches)).corrected == 0  # the day that told of it is settled too
    assert tree(tmp_path) == before


def test_what_can_not_be_read_again_is_counted(tmp_path):
    take_in(tmp_path, "e1", source(journal()))
    batches = taken_back(journal(), 1, 4 * DAY)
    taken = take_in(tmp_path, "e1", source(batches), first_batch=9)
    assert (taken.corrected, taken.too_late) == (0, 1)
    assert read_table(tmp_path, "fills", "2023-11-14")["last_qty"].to_pylist() == [100]
