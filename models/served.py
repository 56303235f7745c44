"""What a model of series is served by: the ONNX file, model.toml, golden.json and the figures in card.md."""

import gzip
import hashlib
import json
import re
import sys
import tomllib

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

import features

VERSION = "1.0.0"
# The gateway does not serve series yet: a model.toml would be loaded and refused.
TOML = "model.toml.next"


def read_all(folder, endings, read):
    """What `read` makes of each file in `folder` (path, name) by name. One that cannot be read is left out and told.

    None where there is no such folder, or nothing in it.
    """
    found = []
    for path in sorted(folder.rglob("*")) if folder.is_dir() else []:
        plain = path.relative_to(folder).as_posix().removesuffix(".gz")
        if not path.is_file() or not plain.endswith(endings):
            continue
        try:
            found.append(read(path, plain.rsplit(".", 1)[0].replace("/", "-")))
        except (ValueError, LookupError, OSError) as error:
            print(f"{path.name} is left out: {error}", file=sys.stderr)
    return found or None


def text(path):
    """What is in a file, gzipped or not."""
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8-sig")


def graph(name, count, nodes, constants):
    """An ONNX file's bytes: input `features` [1, count] float32, output `score` [1, 1] float32."""
    made = helper.make_graph(
        [helper.make_node(kind, inputs, [output], **rest) for kind, inputs, output, rest in nodes],
        name,
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [1, count])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [1, 1])],
        [
            helper.make_tensor(key, TensorProto.FLOAT, np.shape(value), np.ravel(value).tolist())
            for key, value in constants.items()
        ],
    )
    opsets = [helper.make_opsetid("", 17)]
    file = helper.make_model(made, opset_imports=opsets, ir_version=8, producer_name="ninewatch")
    onnx.checker.check_model(file, full_check=True)
    return file.SerializeToString(deterministic=True)


def furthest(name, count, limit, steepness):
    """Scores the feature that is furthest out: 0.5 at the limit, and e times the odds for each 1/steepness."""
    nodes = [
        ("ReduceMax", ["features"], "furthest", {"axes": [1], "keepdims": 1}),
        ("Sub", ["furthest", "limit"], "beyond", {}),
        ("Mul", ["beyond", "steepness"], "log_odds", {}),
        ("Sigmoid", ["log_odds"], "score", {}),
    ]
    return graph(name, count, nodes, {"limit": [limit], "steepness": [steepness]})


def score(file, rows):
    """What the file at a path, or its bytes, says of each row; NaN where there are no features."""
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    scores = np.full(len(rows), np.nan, np.float32)
    for index in np.flatnonzero(~np.isnan(rows).any(axis=1)):
        scores[index] = session.run(None, {"features": rows[index : index + 1]})[0].item()
    return scores


def alarms(folder, series):
    """For each series, whether the model in `folder` says yes after each reading."""
    card = toml(folder)
    _, rows = features.extract_series(card["features"], series)
    # NaN is below any threshold.
    return [score(str(folder / card["file"]), row) >= card["threshold"] for row in rows]


def toml(folder):
    found = next(path for path in (folder / "model.toml", folder / TOML) if path.exists())
    return tomllib.loads(found.read_text("utf-8"))


def interval(measure, blocks):
    """95 % of what `measure` gives when blocks (files, days) are drawn anew 2000 times."""
    random = np.random.default_rng(0)
    drawn = [measure([blocks[i] for i in random.integers(0, len(blocks), len(blocks))]) for _ in range(2000)]
    return [float(bound) for bound in np.nanquantile(drawn, [0.025, 0.975])]


def write(folder, kind, file, threshold, made_up, described, figures, tables):
    """All four files.

    `made_up`: name -> (ms from one reading to the next, readings × channels); of each the last reading is golden.
    `described`: TOML tables; `figures`: name -> (value, low, high); `tables`: Markdown for the card.
    """
    name = folder.name
    (folder / f"{name}.onnx").write_bytes(file)
    series = [(np.arange(len(values)) * every_ms, values) for every_ms, values in made_up.values()]
    _, rows = features.extract_series(kind, series)
    golden = [
        {
            "name": key,
            "every_ms": every_ms,
            "values": values.tolist(),
            "features": row[-1].tolist(),
            "score": score(file, row[-1:]).item(),
        }
        for (key, (every_ms, values)), row in zip(made_up.items(), rows)
    ]
    (folder / "golden.json").write_text("[\n" + ",\n".join(map(json.dumps, golden)) + "\n]\n")

    lines = [
        "# Written by train.py. What it means and who must not rely on it: card.md.",
        "",
        f'name = "{name}"',
        f'version = "{VERSION}"',
        f'file = "{name}.onnx"',
        f'sha256 = "{hashlib.sha256(file).hexdigest()}"',
        f'features = "{kind}"',
        f"threshold = {threshold}",
    ]
    for table, entries in described.items():
        lines += ["", f"[{table}]"]
        lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in entries.items()]
    lines += ["", "[figures]"]
    shown = ["| figure | value | 95 % |", "|--|--|--|"]
    for key, (value, low, high) in figures.items():
        lines.append(f"{key} = {{ value = {value:.4f}, low = {low:.4f}, high = {high:.4f} }}")
        print(f"{name}: {key.replace('_', ' ')} {value:.4f} ({low:.4f} to {high:.4f})")
        shown.append(f"| {key.replace('_', ' ')} | {value:.3f} | {low:.3f} to {high:.3f} |")
    (folder / TOML).write_text("\n".join(lines) + "\n", "utf-8")

    found = "\n" + "\n".join(shown) + "\n\n" + tables + "\n\n"
    marks = r"(<!-- figures: written by train.py -->\n).*(<!-- end of figures -->)"
    path = folder / "card.md"
    card = re.sub(marks, lambda mark: mark[1] + found + mark[2], path.read_text("utf-8"), flags=re.DOTALL)
    path.write_text(card, "utf-8")
