import numpy as np
import onnxruntime
import pytest
import xgboost

from learning.export import to_onnx


def booster(seed, outputs=4, features=6, rounds=12, depth=4, missing=0.2, **parameters):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(400, features)).astype(np.float32)
    rows[rng.random(rows.shape) < missing] = np.nan
    targets = rng.normal(size=(400, outputs))
    chosen = {
        "tree_method": "hist", "multi_strategy": "multi_output_tree", "max_depth": depth, "seed": seed, "nthread": 1,
        "base_score": rng.normal(size=outputs).tolist(), **parameters,
    }  # fmt: skip
    return xgboost.train(chosen, xgboost.DMatrix(rows, label=targets, nthread=1), rounds), rows


CASES = {
    "as trained": {},
    "no missing values in training": {"missing": 0.0},
    "mostly missing": {"missing": 0.9},
    "deep": {"depth": 9},
    "stumps": {"depth": 1},
    "two outputs": {"outputs": 2},
    "roots only": {"min_child_weight": 1e9},
    "pruned": {"gamma": 5.0},
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("seed", [1, 2])
def test_onnx_answers_what_the_booster_answers(case, seed):
    trained, rows = booster(seed, **CASES[case])
    rng = np.random.default_rng(seed + 100)
    wild = rng.choice([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e30, 1e-40], size=rows.shape).astype(np.float32)
    # float32 neighbours of training values lie on both sides of the thresholds.
    near = np.nextafter(rows, rng.choice([-np.inf, np.inf], size=rows.shape).astype(np.float32))
    session = onnxruntime.InferenceSession(to_onnx(trained), providers=["CPUExecutionProvider"])
    for probe in (rows, near, np.where(rng.random(rows.shape) < 0.5, rows, wild)):
        probe = np.where(np.isinf(probe), np.float32(1e30), probe)  # the booster itself refuses infinities
        served = session.run(None, {"features": probe})[0]
        assert served == pytest.approx(trained.inplace_predict(probe, predict_type="margin"), abs=3e-6)
    single = session.run(None, {"features": rows[:1]})[0]
    assert single == pytest.approx(trained.inplace_predict(rows[:1], predict_type="margin"), abs=3e-6)


def test_the_same_booster_gives_the_same_bytes():
    assert to_onnx(booster(3)[0]) == to_onnx(booster(3)[0]) != to_onnx(booster(4)[0])


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"multi_strategy": "one_output_per_tree"}, "4 weights in each leaf"),
        ({"objective": "reg:logistic", "base_score": 0.5}, "objective 'reg:logistic'"),
    ],
)
def test_what_it_does_not_carry_over_is_refused(parameters, text):
    rng = np.random.default_rng(0)
    data = xgboost.DMatrix(rng.normal(size=(50, 3)), label=rng.random((50, 4)), nthread=1)
    chosen = {"multi_strategy": "multi_output_tree", "nthread": 1, **parameters}
    with pytest.raises(ValueError, match=text):
        to_onnx(xgboost.train(chosen, data, 1))
