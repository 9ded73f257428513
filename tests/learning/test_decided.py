"""Decisions out of the archive's rows: what a child cost, which decisions can be compared."""

import numpy as np
import pytest
from msgspec.structs import replace

from learning.decided import Said, compared, read, scored, target
from learning.off_policy import evaluate, mean
from study.off_policy_day import LOGGING, LOTS, POLICY, TARGET, blocks, day, rows

DECISIONS = 240


@pytest.fixture(scope="module")
def tables():
    return rows(day(LOGGING, 1, DECISIONS))


def test_a_child_costs_what_the_ranking_meant_to_predict(tables):
    found = read(tables, POLICY, LOTS)
    assert len(found.decided) + sum(found.left_out.values()) == DECISIONS
    decisions = {row["at_ns"]: row for row in tables["decisions"]}
    sent = {(row["decision_id"], row["candidate"]): row for row in tables["children"]}
    fills = {row["child_id"]: row for row in tables["fills"]}
    partly = 0
    for one in found.decided:
        decision = decisions[one.at_ns]
        mid_px = (decision["bid_px"] + decision["ask_px"]) / 2
        for child in one.children:
            row = sent[decision["decision_id"], child.candidate]
            fill, score, sign = fills.get(row["child_id"]), one.scores[child.candidate], 1 - 2 * (row["side"] != "buy")
            filled_bps, share = 0.0, 0.0
            if fill is not None:
                share = fill["last_qty"] / row["order_qty"]
                filled_bps = sign * (fill["last_px"] / mid_px - 1) * 1e4 + score.fee_bps + fill["markout_10s_bps"]
                partly += 0.0 < share < 1.0
            expected = share * filled_bps + (1.0 - share) * score.no_fill_bps
            assert child.cost_bps == pytest.approx(expected)
    assert partly > 10


def test_the_model_that_decided_gives_the_recorded_costs_and_propensities(tables):
    same, other = Said(), Said()
    for one in read(tables, POLICY, LOTS).decided:
        scores = scored(one, LOGGING, same)
        assert [s.cost_bps for s in scores] == pytest.approx([s.cost_bps for s in one.scores], abs=1e-5)
        assert target(one, scores, POLICY, LOTS["ALFA"])[0].tolist() == pytest.approx(one.propensities)
        chances, mean_qty = target(one, scored(one, TARGET, other), POLICY, LOTS["ALFA"])
        assert sum(mean_qty) <= one.wanted.qty + 1e-6 and ((chances > 0) == (mean_qty > 0)).all()


def test_a_model_judged_on_its_own_decisions_costs_what_they_cost(tables):
    decided = read(tables, POLICY, LOTS).decided
    block = blocks(np.array([one.at_ns for one in decided]))
    sent, wanted = compared(decided, LOGGING, POLICY, LOTS, block)
    assert sent.target == pytest.approx(sent.propensity)
    found = evaluate(sent, wanted)
    qty = np.array([child.qty for one in decided for child in one.children], dtype=np.float64)
    logged = mean(sent.cost, qty, sent.block)
    assert found.unseen == 0.0
    for estimate in (found.ips, found.snips, found.doubly_robust):
        assert estimate.value == pytest.approx(logged.value, abs=0.1)


def test_what_was_decided_by_other_rules_is_left_out(tables):
    other = read(tables, replace(POLICY, explored_slice_share=1.0), LOTS)
    assert other.left_out["other propensities than this config gives"] > DECISIONS / 2
    earlier = tables | {"decisions": [row | {"exploration": None} for row in tables["decisions"]]}
    assert read(earlier, POLICY, LOTS).left_out == {"recorded by an earlier version": DECISIONS}
    assert read(rows(day(LOGGING, 1, 10, replace(POLICY, exploration=0.0))), POLICY, LOTS).left_out == {
        "nothing could be tried": 10
    }
