"""The score as an ONNX graph: how far something has gone beyond its limit, in spreads of what is usual."""

import served

KIND = "routine_v1"
# The limit is so many spreads above what is usual: four kinds that share one false alert a week may each have one in
# 28 days, the upper 3.6 % of a normal distribution. Not fitted to any home.
TAIL = 1.8
# At the limit the score is 1/2.
THRESHOLD = 0.5


def to_onnx():
    """The file's bytes. Input `features` [1, 4] float32, output `score` [1, 1] float32."""
    nodes = [
        ("Split", ["features"], "minutes usual_min spread_min least_min", {"axis": 1}),
        ("Mul", ["spread_min", "tail"], "margin", {}),
        ("Add", ["usual_min", "margin"], "usual_limit", {}),
        ("Max", ["usual_limit", "least_min"], "limit", {}),
        ("Sub", ["minutes", "limit"], "beyond", {}),
        ("Div", ["beyond", "spread_min"], "log_odds", {}),
        ("Sigmoid", ["log_odds"], "score", {}),
    ]
    return served.graph("routine", 4, nodes, {"tail": [TAIL]})
