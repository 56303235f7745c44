"""What a model is served by: the ONNX file, model.toml, golden.json and the figures in card.md."""

import argparse
import csv
import gzip
import hashlib
import json
import re
import sys
import tomllib
import zlib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

import features

VERSION = "1.0.0"
TOML = "model.toml"
# A place may raise its threshold as long as so much is still found of what is found at the model's own.
STILL_FOUND = 0.9
# What a file that is broken, cut off or something else gives rise to.
UNREADABLE = (ValueError, LookupError, TypeError, OSError, EOFError, csv.Error, zlib.error)


def asked(doc, also):
    """What a train.py is called with. `also`: what becomes of a site's own evidence."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of recordings: see models/README.md")
    parser.add_argument("--also", type=Path, help=also)
    return parser.parse_args()


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
        except UNREADABLE as error:
            print(f"{path.name} is left out: {error}", file=sys.stderr)
    return found or None


def numbers(column, titles):
    """Readings × titles: NaN where a file has no such column, or nothing in it."""
    count = len(next(iter(column.values())))
    values = [[float(cell or "nan") for cell in column.get(title, [""] * count)] for title in titles]
    return np.array(values).T


def moments(times):
    """Milliseconds of times that are written out."""
    found = np.array(times, "datetime64[ms]")
    if not len(found) or np.isnat(found).any():
        raise ValueError("it has no rows, or rows without a time")
    return found.astype(np.int64)


def text(path):
    """What is in a file, gzipped or not."""
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8-sig")


def graph(name, count, nodes, constants):
    """An ONNX file's bytes: input `features` [1, count] float32, output `score` [1, 1] float32.

    `nodes`: kind, inputs, outputs as words, attributes.
    """
    made = helper.make_graph(
        [helper.make_node(kind, inputs, outputs.split(), **rest) for kind, inputs, outputs, rest in nodes],
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
    scores = np.full(len(rows), np.nan)
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
    return tomllib.loads((folder / TOML).read_text("utf-8"))


def highest_that_finds(found, limits):
    """The highest limit at which `found` is still STILL_FOUND of what it is at the first, the model's own."""
    enough = STILL_FOUND * found(limits[0])
    return max(limit for limit in limits if found(limit) >= enough)


def furthest_at(beyond, limit, steepness):
    """What `furthest` scores a feature that is `beyond`; rounded down, so that it is never 1."""
    return int(1e4 / (1 + np.exp(-(beyond - limit) * steepness))) / 1e4


def interval(measure, blocks):
    """95 % of what `measure` gives when blocks (files, days) are drawn anew 2000 times."""
    random = np.random.default_rng(0)
    drawn = [measure([blocks[i] for i in random.integers(0, len(blocks), len(blocks))]) for _ in range(2000)]
    return [float(bound) for bound in np.nanquantile(drawn, [0.025, 0.975])]


def write(folder, kind, file, threshold, made_up, described, figures, tables, **serving):
    """All four files of a model of series.

    `made_up`: name -> (ms from one reading to the next, readings × channels); of each the last reading is golden.
    All others: see `write_card`.
    """
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
    write_card(folder, kind, file, threshold, described, figures, tables, **serving)


def write_card(
    folder,
    kind,
    file,
    threshold,
    described,
    figures,
    tables,
    *,
    usual,
    most_alerts,
    threshold_most=None,
    quiet=None,
    also=None,
):
    """The ONNX file, model.toml and the figures in card.md.

    `described`: TOML tables; `figures`: name -> (value, low, high); `tables`: Markdown for the card; `usual`: rows of
    features where nothing was amiss, NaN where nothing had been learnt yet; `most_alerts`: of a device and day, beyond
    which the gateway goes back to the former version; `threshold_most`: how far a place may raise the threshold;
    `quiet`: for how long a device's next yes is the same matter; `also`: the site's evidence that it learnt from.
    """
    name = folder.name
    usual = usual[~np.isnan(usual).any(axis=1)]
    usual_of = dict(zip(features.names(kind), map(spread, usual.T), strict=True))
    usual_score = spread(score(file, usual))
    at_middles = np.array([[middle for middle, _, _ in usual_of.values()]], np.float32)
    if max(usual_score[0], score(file, at_middles).item()) >= threshold:
        raise SystemExit(f"{name} says yes to what is usual")
    # What it takes is measured by `ninewatch model bench`, on another machine each time.
    path = folder / TOML
    cost = toml(folder).get("cost") if path.exists() else None
    sha256 = hashlib.sha256(file).hexdigest()
    serving = {
        "name": name,
        # A site's own is told from the shipped one, and from what it trained before.
        "version": f"{VERSION}+site.{sha256[:8]}" if also else VERSION,
        "file": f"{name}.onnx",
        "sha256": sha256,
        "features": kind,
        "threshold": threshold,
        "threshold_most": threshold_most,
        "quiet": quiet,
        "most_alerts_per_device_day": float(most_alerts),
    }
    lines = ["# Written by train.py. What it means and who must not rely on it: card.md.", "", *entries(serving)]
    lines += [f"usual_score = {spread_toml(usual_score)}"]
    for table, values in (described | ({"cost": cost} if cost else {})).items():
        lines += ["", f"[{table}]", *entries(values)]
    lines += ["", "[figures]"]
    shown = ["| figure | value | 95 % |", "|--|--|--|"]
    for key, (value, low, high) in figures.items():
        lines.append(f"{key} = {{ value = {value:.4f}, low = {low:.4f}, high = {high:.4f} }}")
        print(f"{name}: {key.replace('_', ' ')} {value:.4f} ({low:.4f} to {high:.4f})")
        shown.append(f"| {key.replace('_', ' ')} | {value:.3f} | {low:.3f} to {high:.3f} |")
    lines += ["", "[usual]", *(f"{key} = {spread_toml(value)}" for key, value in usual_of.items())]
    (folder / f"{name}.onnx").write_bytes(file)
    path.write_text("\n".join(lines) + "\n", "utf-8")

    found = "\n" + "\n".join(shown) + "\n\n" + tables + "\n\n"
    marks = r"(<!-- figures: written by train.py -->\n).*(<!-- end of figures -->)"
    path = folder / "card.md"
    card = re.sub(marks, lambda mark: mark[1] + found + mark[2], path.read_text("utf-8"), flags=re.DOTALL)
    path.write_text(card, "utf-8")


def entries(table):
    """Lines of TOML; what is None is left out."""
    return [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in table.items() if value is not None]


def spread(values):
    """Middle, low and high: the median, and between what 98 % lie; to six digits."""
    return [float(f"{value:.6g}") for value in np.quantile(np.asarray(values, float), [0.5, 0.01, 0.99])]


def spread_toml(values):
    return "{{ middle = {}, low = {}, high = {} }}".format(*values)
