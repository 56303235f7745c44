"""Makes the broken models that the gateway must survive: gateway/app/src/scorer/broken/*.onnx.

All take the 40 features of `wrist_motion_v1` and claim to give a score.
"""

from pathlib import Path

from onnx import TensorProto, helper

FEATURES = 40
FOLDER = Path(__file__).resolve().parent.parent.parent / "gateway/app/src/scorer/broken"


def value(name, kind, shape):
    return helper.make_tensor_value_info(name, kind, shape)


def constant(name, kind, values, shape):
    return helper.make_node("Constant", [], [name], value=helper.make_tensor(name, kind, shape, values))


def counting(shape):
    """The body of a loop that counts, and never stops."""
    return helper.make_graph(
        [
            helper.make_node("Identity", ["go_on"], ["go_on_out"]),
            helper.make_node("Add", ["sum", "sum"], ["sum_out"]),
        ],
        "body",
        [
            value("turn", TensorProto.INT64, []),
            value("go_on", TensorProto.BOOL, []),
            value("sum", TensorProto.FLOAT, shape),
        ],
        [value("go_on_out", TensorProto.BOOL, []), value("sum_out", TensorProto.FLOAT, shape)],
    )


def endless():
    """Counts, and never stops."""
    return [
        constant("true", TensorProto.BOOL, [True], []),
        constant("zero", TensorProto.FLOAT, [0.0], [1]),
        helper.make_node("Loop", ["", "true", "zero"], ["sum_at_last"], body=counting([1])),
        helper.make_node("ReduceMean", ["features"], ["mean"], axes=[1]),
        helper.make_node("Mul", ["mean", "sum_at_last"], ["product"]),
        helper.make_node("Sigmoid", ["product"], ["score"]),
    ]


def dozing():
    """Scores, but for a first feature of 777: then it counts, and never stops. No check can try every input."""
    return [
        constant("first", TensorProto.INT64, [0], [1]),
        constant("trap", TensorProto.FLOAT, [777.0], [1]),
        constant("zero", TensorProto.FLOAT, [0.0], [1, 1]),
        constant("scalar", TensorProto.INT64, [], [0]),
        helper.make_node("Gather", ["features", "first"], ["feature"], axis=1),
        helper.make_node("Equal", ["feature", "trap"], ["caught"]),
        helper.make_node("Reshape", ["caught", "scalar"], ["go"]),
        helper.make_node("Loop", ["", "go", "zero"], ["sum_at_last"], body=counting([1, 1])),
        helper.make_node("Mul", ["feature", "sum_at_last"], ["score"]),
    ]


def hungry():
    """Doubles what it has until it has 16 GB, in steps that a system gives without asking whether it has them."""
    sizes = [f"doubled_{times}" for times in range(13)]
    return [
        constant("shape", TensorProto.INT64, [1, 1 << 20], [2]),
        helper.make_node("ReduceMean", ["features"], ["mean"], axes=[1]),
        helper.make_node("Expand", ["mean", "shape"], [sizes[0]]),
        *(helper.make_node("Concat", [one, one], [double], axis=0) for one, double in zip(sizes, sizes[1:])),
        helper.make_node("ReduceMean", [sizes[-1]], ["mean_of_all"]),
        helper.make_node("Sigmoid", ["mean_of_all"], ["score"]),
    ]


def not_a_score():
    """Gives the mean of the features times 40: 0 for nothing, and no score for anything else."""
    return [helper.make_node("ReduceSum", ["features"], ["score"])]


def main():
    for make in (endless, dozing, hungry, not_a_score):
        inputs, outputs = (
            [value("features", TensorProto.FLOAT, [1, FEATURES])],
            [value("score", TensorProto.FLOAT, [1, 1])],
        )
        graph = helper.make_graph(make(), make.__name__, inputs, outputs)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        (FOLDER / f"{make.__name__}.onnx").write_bytes(model.SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
