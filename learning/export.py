"""A booster as ONNX: the same trees, thresholds and sums in the form that ONNX Runtime serves.

Written by hand from the booster's own JSON, because a generic converter would be a further dependency for a single
operator. XGBoost goes left where `value < threshold` in float32 and sends a missing value where the split says, which
is BRANCH_LT with `nodes_missing_value_tracks_true`. Outputs are raw margins; what they mean is router.model's concern.
"""

from typing import Any

import msgspec
import numpy as np
import onnx
import xgboost
from onnx import TensorProto, helper

from router.model import INPUT, OUTPUT

# Version 3 of ai.onnx.ml and IR 8 are read by every ONNX Runtime of the last years; nothing newer is needed.
_OPSETS = [helper.make_opsetid("", 15), helper.make_opsetid("ai.onnx.ml", 3)]
_IR_VERSION = 8


def to_onnx(booster: xgboost.Booster, markout: xgboost.Booster | None = None) -> bytes:
    """A booster of trees with one weight per output in each leaf, as a model: float32 [n, F] -> margins [n, outputs].

    `markout`, a booster with a single output, becomes a last output of the same graph: two heads cost one call.
    ValueError for a booster with categorical splits, trees of another kind or an objective other than identity.
    """
    learner = _learner(booster)
    parameters = learner["learner_model_param"]
    outputs, features = int(parameters["num_target"]), int(parameters["num_feature"])
    trees = [(tree, 0, outputs) for tree in _trees(learner)]
    base = _base(learner)
    if markout is not None:
        learner = _learner(markout)
        if int(learner["learner_model_param"]["num_target"]) != 1:
            raise ValueError("a markout booster with many outputs, expected one")
        trees += [(tree, outputs, 1) for tree in _trees(learner)]
        base += _base(learner)
    return _graph(trees, base, features)


def person_period_to_onnx(booster: xgboost.Booster, bins: int, markout: xgboost.Booster | None = None) -> bytes:
    """The same of a booster whose last feature is the number of the bin: its trees, cut down to each bin.

    A split by the bin is decided when the graph is made, so serving gives all bins in one call, as of `to_onnx`.
    """
    learner = _learner(booster, ("binary:logistic",))
    features = int(learner["learner_model_param"]["num_feature"]) - 1
    trees = [(_of_bin(tree, features, k), k, 1) for tree in _trees(learner) for k in range(bins)]
    # binary:logistic keeps its base score as a probability.
    base = [float(np.log(p / (1.0 - p))) for p in _base(learner)] * bins
    if markout is not None:
        learner = _learner(markout)
        trees += [(tree, bins, 1) for tree in _trees(learner)]
        base += _base(learner)
    return _graph(trees, base, features)


def _learner(booster: xgboost.Booster, allowed: tuple[str, ...] = ("reg:squarederror",)) -> Any:
    learner = msgspec.json.decode(bytes(booster.save_raw("json")))["learner"]
    objective = learner["objective"]["name"]
    if objective not in allowed:
        raise ValueError(f"objective {objective!r}: expected one whose output is the margin, {allowed[0]!r}")
    return learner


def _trees(learner: Any) -> list[dict[str, Any]]:
    trees: list[dict[str, Any]] = learner["gradient_booster"]["model"]["trees"]
    return trees


def _base(learner: Any) -> list[float]:
    scores = msgspec.json.decode(learner["learner_model_param"]["base_score"])
    return [float(score) for score in (scores if isinstance(scores, list) else [scores])]


def _of_bin(tree: dict[str, Any], bin_column: int, number: int) -> dict[str, Any]:
    """The tree as it is where the bin is `number`; the numbers of its nodes change, what it answers does not."""
    columns = ("left_children", "right_children", "split_indices", "split_conditions", "default_left")
    cut: dict[str, Any] = {name: [] for name in columns}

    def visit(node: int) -> int:
        while tree["left_children"][node] != -1 and tree["split_indices"][node] == bin_column:
            goes_left = number < tree["split_conditions"][node]
            node = tree["left_children" if goes_left else "right_children"][node]
        place = len(cut["left_children"])
        for name in columns:
            cut[name].append(tree[name][node])
        if tree["left_children"][node] != -1:
            cut["left_children"][place] = visit(tree["left_children"][node])
            cut["right_children"][place] = visit(tree["right_children"][node])
        return place

    visit(0)
    return cut | {"split_type": [0] * len(cut["left_children"]), "tree_param": tree["tree_param"]}


def _graph(trees: list[tuple[dict[str, Any], int, int]], base: list[float], features: int) -> bytes:
    """Of (tree, first output, outputs); `base` has a value for each output."""
    attributes: dict[str, Any] = {name: [] for name in (*_NODE_ATTRIBUTES, *_TARGET_ATTRIBUTES)}
    for tree_id, (tree, first, outputs) in enumerate(trees):
        _append_tree(attributes, tree_id, tree, first, outputs)
    outputs = len(base)
    node = helper.make_node(
        "TreeEnsembleRegressor",
        [INPUT],
        [OUTPUT],
        domain="ai.onnx.ml",
        n_targets=outputs,
        base_values=base,
        aggregate_function="SUM",
        post_transform="NONE",
        **attributes,
    )
    graph = helper.make_graph(
        [node],
        "fill_hazard",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, features])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [None, outputs])],
    )
    exported = helper.make_model(graph, opset_imports=_OPSETS, ir_version=_IR_VERSION)
    onnx.checker.check_model(exported)
    return bytes(exported.SerializeToString(deterministic=True))


_NODE_ATTRIBUTES = (
    "nodes_treeids",
    "nodes_nodeids",
    "nodes_featureids",
    "nodes_modes",
    "nodes_values",
    "nodes_truenodeids",
    "nodes_falsenodeids",
    "nodes_missing_value_tracks_true",
)
_TARGET_ATTRIBUTES = ("target_treeids", "target_nodeids", "target_ids", "target_weights")


def _append_tree(
    attributes: dict[str, list[Any]], tree_id: int, tree: dict[str, Any], first: int, outputs: int
) -> None:
    if any(tree["split_type"]) or tree["tree_param"]["size_leaf_vector"] != str(outputs):
        raise ValueError(f"tree {tree_id}: expected numeric splits and {outputs} weights in each leaf")
    for node_id, left in enumerate(tree["left_children"]):
        is_leaf, right = left == -1, tree["right_children"][node_id]
        row = (
            tree_id,
            node_id,
            0 if is_leaf else tree["split_indices"][node_id],
            "LEAF" if is_leaf else "BRANCH_LT",
            0.0 if is_leaf else tree["split_conditions"][node_id],
            0 if is_leaf else left,
            0 if is_leaf else right,
            0 if is_leaf else tree["default_left"][node_id],
        )
        for name, item in zip(_NODE_ATTRIBUTES, row, strict=True):
            attributes[name].append(item)
        if is_leaf:
            # XGBoost 3: the right child of a leaf with many outputs is the leaf's number in leaf_weights.
            # With one output the leaf's value is where a split has its threshold.
            weights = tree["leaf_weights"][right * outputs : (right + 1) * outputs] if outputs > 1 else None
            for output, weight in enumerate(weights or [tree["split_conditions"][node_id]], first):
                for name, item in zip(_TARGET_ATTRIBUTES, (tree_id, node_id, output, weight), strict=True):
                    attributes[name].append(item)
