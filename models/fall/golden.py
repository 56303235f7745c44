"""A few made-up bursts with their features and scores: by them the gateway's tests know that it computes as
training did."""

import json

import numpy as np

import served


def motions():
    """Name -> samples × 6. Nothing of them is recorded."""
    at = np.arange(300) / 50
    chance = np.random.default_rng(9)
    noise = chance.normal(0, 1, (300, 6)) * [0.3, 0.3, 0.3, 0.1, 0.1, 0.1]
    rest = np.tile([0.0, 0.0, 9.81, 0.0, 0.0, 0.0], (300, 1))
    knock = np.exp(-(((at - 2.0) / 0.04) ** 2))[:, None] * [12.0, -6.0, 18.0, 1.0, 3.0, -2.0]
    turn = np.clip((at - 1.6) / 0.6, 0, 1)[:, None] * [9.0, 2.0, -9.0, 0.0, 0.0, 0.0]
    turning = ((at > 1.6) & (at < 2.2))[:, None] * [0.0, 0.0, 0.0, 0.5, 2.6, 0.0]
    steps = np.sin(2 * np.pi * 2.0 * at)[:, None] * [4.0, 3.0, 12.0, 1.0, 2.0, 1.0]
    fading = np.where(at > 2.0, np.exp(-(at - 2.0) / 0.4), 0)[:, None]
    shaking = fading * chance.normal(0, 1, (300, 6)) * [9, 9, 9, 3, 3, 3]
    return {
        "knock_at_rest": rest + knock + noise / 3,
        "steps": rest + steps + noise,
        "tumble": rest + 1.5 * knock + turn + turning + shaking + noise / 2,
    }


def write(path, onnx, extract):
    names, bursts = zip(*((name, np.round(samples, 2)) for name, samples in motions().items()))
    rows = extract(bursts)
    entries = [
        {"name": name, "samples": burst.ravel().tolist(), "features": row.tolist(), "score": score}
        for name, burst, row, score in zip(names, bursts, rows, served.score(onnx, rows).tolist())
    ]
    path.write_text("[\n" + ",\n".join(json.dumps(entry) for entry in entries) + "\n]\n")
