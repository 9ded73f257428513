"""A booster as ONNX: the same trees, thresholds and sums in the form that ONNX Runtime serves.

Written by hand from the booster's own JSON, because a generic converter would be a further dependency for a single
operator. XGBoost goes left where `value < threshold` in float32 and sends a missing value where the split says, which
is BRANCH_LT with `nodes_missing_value_tracks_true`. Outputs are raw margins; what they mean is router.model's concern.
"""

from typing import Any

import msgspec
import onnx
import xgboost
from onnx import TensorProto, helper

from router.model import INPUT, OUTPUT

# Version 3 of ai.onnx.ml and IR 8 are read by every ONNX Runtime of the last years; nothing newer is needed.
_OPSETS = [helper.make_opsetid("", 15), helper.make_opsetid("ai.onnx.ml", 3)]
_IR_VERSION = 8


def to_onnx(booster: xgboost.Booster) -> bytes:
    """A booster of trees with one weight per output in each leaf, as a model: float32 [n, F] -> margins [n, outputs].

    ValueError for a booster with categorical splits, single-output trees or an objective other than identity.
    """
    learner = msgspec.json.decode(bytes(booster.save_raw("json")))["learner"]
    objective = learner["objective"]["name"]
    if objective != "reg:squarederror":
        raise ValueError(f"objective {objective!r}: expected one whose output is the margin, 'reg:squarederror'")
    parameters = learner["learner_model_param"]
    outputs, features = int(parameters["num_target"]), int(parameters["num_feature"])
    model = learner["gradient_booster"]["model"]
    attributes: dict[str, Any] = {name: [] for name in (*_NODE_ATTRIBUTES, *_TARGET_ATTRIBUTES)}
    for tree_id, tree in enumerate(model["trees"]):
        _append_tree(attributes, tree_id, tree, outputs)
    node = helper.make_node(
        "TreeEnsembleRegressor",
        [INPUT],
        [OUTPUT],
        domain="ai.onnx.ml",
        n_targets=outputs,
        base_values=[float(score) for score in msgspec.json.decode(parameters["base_score"])],
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


def _append_tree(attributes: dict[str, list[Any]], tree_id: int, tree: dict[str, Any], outputs: int) -> None:
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
            weights = tree["leaf_weights"][right * outputs : (right + 1) * outputs]
            for output, weight in enumerate(weights):
                for name, item in zip(_TARGET_ATTRIBUTES, (tree_id, node_id, output, weight), strict=True):
                    attributes[name].append(item)
