"""The score as an ONNX graph: how far something has gone beyond its limit, in spreads of what is usual."""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

FEATURES = ("minutes", "usual_min", "spread_min", "least_min")
# The limit is so many spreads above what is usual: four kinds that share one false alert a week may each have one in
# 28 days, the upper 3.6 % of a normal distribution. Not fitted to any home.
TAIL = 1.8
# At the limit the score is 1/2.
THRESHOLD = 0.5


def to_onnx():
    """The file's bytes. Input `features` [1, 4] float32, output `score` [1, 1] float32."""
    nodes = [
        helper.make_node("Split", ["features"], list(FEATURES), axis=1),
        helper.make_node("Mul", ["spread_min", "tail"], ["margin"]),
        helper.make_node("Add", ["usual_min", "margin"], ["usual_limit"]),
        helper.make_node("Max", ["usual_limit", "least_min"], ["limit"]),
        helper.make_node("Sub", ["minutes", "limit"], ["beyond"]),
        helper.make_node("Div", ["beyond", "spread_min"], ["log_odds"]),
        helper.make_node("Sigmoid", ["log_odds"], ["score"]),
    ]
    graph = helper.make_graph(
        nodes,
        "routine",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [1, len(FEATURES)])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [1, 1])],
        [helper.make_tensor("tail", TensorProto.FLOAT, [1], [TAIL])],
    )
    file = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="ninewatch"
    )
    onnx.checker.check_model(file)
    return file.SerializeToString(deterministic=True)


def score(file, rows):
    """What the file at a path, or its bytes, says of each row."""
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return np.array([session.run(None, {"features": row[None]})[0].item() for row in rows])
