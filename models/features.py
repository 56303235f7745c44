"""Features by the gateway's own code: gateway/core/examples/features.rs."""

import json
import subprocess
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent


def extract(kind, rate_hz, bursts):
    """The names of the features of `kind`, and their values: one row a burst, float32.

    `bursts`: arrays of samples × channels.
    """
    lines = []
    for burst in bursts:
        samples = [round(float(value), 4) for value in np.ravel(burst)]
        lines.append(json.dumps({"rate_hz": rate_hz, "channels": burst.shape[1], "samples": samples}) + "\n")
    command = [
        "cargo",
        "run",
        "--quiet",
        "--locked",
        "--package",
        "ninewatch-core",
        "--example",
        "features",
        "--",
        kind,
    ]
    done = subprocess.run(command, cwd=ROOT, input="".join(lines), stdout=subprocess.PIPE, text=True, check=True)
    names, *rows = map(json.loads, done.stdout.splitlines())
    return names, np.array(rows, np.float32).reshape(-1, len(names))
