"""A made-up home with what the gateway watches there and the scores of it: by that the gateway's tests know that it
computes as training did."""

import json

import numpy as np

import served
from routine import homes, made_up, perturb

# Few sensors keep the file small.
WITHOUT = ("bedroom", "bathroom door", "kitchen door", "living")


def write(path, onnx):
    home = made_up.Life(2, without=WITHOUT, days=9).home
    *_, day = perturb.scenarios(home, 8, 1)
    until_ms = day.until_ms
    events = homes.recording(day.intervals, 0, 0)["events"]
    (rows,) = homes.watch([(day.intervals, home.first_ms + 7 * homes.DAY_MS, until_ms)])
    # The last moment of each thing that went on.
    rows = sorted({(kind, since): (at, kind, since, features) for at, kind, since, features in rows}.values())
    scores = served.score(onnx, np.array([row[3] for row in rows], np.float32)).tolist()
    lines = ["{", '"events": [']
    lines.append(",\n".join(json.dumps(event) for event in events if event[0] <= rows[-1][0]))
    lines += ["],", '"watched": [', ",\n".join(json.dumps(row) for row in rows), "],"]
    lines += [f'"scores": {json.dumps(scores)}', "}"]
    path.write_text("\n".join(lines) + "\n", "utf-8")
