"""A made-up workshop with what the gateway makes of its signs and the scores of that: by that the gateway's tests know
that it computes as training did."""

import json

import numpy as np

import served
from night_entry import places

DAYS = 9


def write(path, onnx):
    hours = {day: (7.5 + 0.1 * (day % 3), 17.5) for day in range(DAYS) if day % 7 != 6}
    signs = []
    for day, (opens, closes) in hours.items():
        signs += [(_at(day, hour), "presence") for hour in np.arange(opens, closes, 1.25)]
        signs += [(_at(day, opens), "door"), (_at(day, closes), "door")]
    signs += [(_at(8, 21), "door"), (_at(8, 21.01), "presence"), (_at(8, 21.05), "presence"), (_at(8, 21.1), "camera")]
    signs += [(_at(9, 7.4), None), (_at(9, 7.5), "door"), (_at(9, 8), "door")]
    signs.sort(key=lambda sign: sign[0])
    (rows,) = places.rows([signs])
    known = ~np.isnan(rows).any(axis=1)
    scores = iter(served.score(onnx, rows[known]).tolist())
    lines = [
        json.dumps([at, sign, row.tolist(), next(scores)] if is_known else [at, sign, None, None])
        for (at, sign), row, is_known in zip(signs, rows, known)
    ]
    path.write_text("[\n" + ",\n".join(lines) + "\n]\n")


def _at(day, hour):
    return int(places.MONDAY_MS + day * places.DAY_MS + hour * places.HOUR_MS)
