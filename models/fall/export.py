"""The model as an ONNX graph, written by hand so that each part is one node: trees in one TreeEnsembleRegressor,
the kernel machine in one SVMRegressor."""

import numpy as np
import onnx
from onnx import TensorProto, helper

import served


def to_onnx(model, names):
    """The file's bytes. Input `features` [1, n] float32, output `score` [1, 1] float32."""
    experts = model.experts
    (trees_weight, kernel_weight), bias = model.blend.coef_[0], model.blend.intercept_[0]
    # What the trees start from goes into the bias.
    start = experts.trees._raw_predict_init(np.zeros((1, len(names))))[0, 0]
    one = np.float32(1)
    constants = {
        "one": [1.0],
        "trees_weight": [trees_weight],
        "kernel_weight": [kernel_weight],
        "bias": [bias + trees_weight * start],
    }
    nodes = [
        trees_node(experts.trees, "features", "trees"),
        helper.make_node("Add", ["features", "one"], ["above_one"]),
        helper.make_node("Log", ["above_one"], ["logarithms"]),
        helper.make_node(
            "Scaler",
            ["logarithms"],
            ["scaled"],
            domain="ai.onnx.ml",
            offset=experts.scaler.mean_.astype(np.float32).tolist(),
            scale=(one / experts.scaler.scale_.astype(np.float32)).tolist(),
        ),
        kernel_node(experts.kernel, "scaled", "kernel"),
        helper.make_node("Mul", ["trees", "trees_weight"], ["trees_part"]),
        helper.make_node("Mul", ["kernel", "kernel_weight"], ["kernel_part"]),
        helper.make_node("Add", ["trees_part", "kernel_part"], ["parts"]),
        helper.make_node("Add", ["parts", "bias"], ["log_odds"]),
        helper.make_node("Sigmoid", ["log_odds"], ["score"]),
    ]
    graph = helper.make_graph(
        nodes,
        "fall",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [1, len(names)])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [1, 1])],
        [helper.make_tensor(name, TensorProto.FLOAT, [1], values) for name, values in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    file = helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="ninewatch")
    onnx.checker.check_model(file)
    return file.SerializeToString(deterministic=True)


def trees_node(boosted, source, target):
    """All trees in one node; leaves hold what they add to the log-odds."""
    rows = {key: [] for key in ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids")}
    leaves = {key: [] for key in ("treeids", "nodeids", "ids", "weights")}
    for number, (regressor,) in enumerate(boosted.estimators_):
        tree = regressor.tree_
        for node in range(tree.node_count):
            is_leaf = tree.children_left[node] < 0
            rows["treeids"].append(number)
            rows["nodeids"].append(node)
            rows["featureids"].append(0 if is_leaf else int(tree.feature[node]))
            rows["values"].append(0.0 if is_leaf else not_above(tree.threshold[node]))
            rows["modes"].append("LEAF" if is_leaf else "BRANCH_LEQ")
            rows["truenodeids"].append(0 if is_leaf else int(tree.children_left[node]))
            rows["falsenodeids"].append(0 if is_leaf else int(tree.children_right[node]))
            if is_leaf:
                leaves["treeids"].append(number)
                leaves["nodeids"].append(node)
                leaves["ids"].append(0)
                leaves["weights"].append(float(boosted.learning_rate * tree.value[node, 0, 0]))
    return helper.make_node(
        "TreeEnsembleRegressor",
        [source],
        [target],
        domain="ai.onnx.ml",
        n_targets=1,
        **{f"nodes_{key}": values for key, values in rows.items()},
        **{f"target_{key}": values for key, values in leaves.items()},
    )


def not_above(threshold):
    """The float32 that parts float32 values as the float64 `threshold` does."""
    near = np.float32(threshold)
    return float(near if near <= threshold else np.nextafter(near, np.float32(-np.inf)))


def kernel_node(kernel, source, target):
    """A classifier of two classes is its margin: a regressor in ONNX's words."""
    return helper.make_node(
        "SVMRegressor",
        [source],
        [target],
        domain="ai.onnx.ml",
        kernel_type="RBF",
        kernel_params=[float(kernel.gamma), 0.0, 0.0],
        n_supports=len(kernel.support_vectors_),
        support_vectors=kernel.support_vectors_.astype(np.float32).ravel().tolist(),
        coefficients=kernel.dual_coef_[0].astype(np.float32).tolist(),
        rho=[float(kernel.intercept_[0])],
    )


def check(file, model, rows):
    """The file must say what the model says."""
    off = np.abs(served.score(file, rows) - model.score(rows)).max()
    if off > 1e-4:
        raise SystemExit(f"the ONNX file is {off} off the model")
