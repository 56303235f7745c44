"""Features by the gateway's own code: gateway/core/examples/features.rs and series.rs."""

import json
import subprocess
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent


def names(kind):
    """The names of the features of `kind`, in order."""
    return next(_ask("features", kind, []))


def extract(kind, rate_hz, bursts):
    """The names of the features of `kind`, and their values: one row a burst, float32.

    `bursts`: arrays of samples × channels.
    """
    lines = []
    for burst in bursts:
        samples = [round(float(value), 4) for value in np.ravel(burst)]
        lines.append(json.dumps({"rate_hz": rate_hz, "channels": burst.shape[1], "samples": samples}) + "\n")
    names, *rows = _ask("features", kind, lines)
    return names, np.array(rows, np.float32).reshape(-1, len(names))


def extract_series(kind, series):
    """The names of the features of `kind`, and for each series one row a reading, float32: NaN while too little has
    been learnt.

    `series`: pairs of times in ms and an array of readings × channels, NaN or infinite where a value is missing.
    """
    lines = []
    for time_ms, values in series:
        known = [[round(float(value), 6) if np.isfinite(value) else None for value in row] for row in values]
        lines.append(json.dumps({"time_ms": [int(at) for at in time_ms], "values": known}) + "\n")
    names, *answers = _ask("series", kind, lines)
    unknown = [np.nan] * len(names)
    tables = [np.array([row or unknown for row in rows], np.float32).reshape(-1, len(names)) for rows in answers]
    return names, tables


def _ask(example, kind, lines):
    command = [
        "cargo",
        "run",
        "--quiet",
        "--locked",
        "--package",
        "ninewatch-core",
        "--example",
        example,
        "--",
        kind,
    ]
    done = subprocess.run(command, cwd=ROOT, input="".join(lines), stdout=subprocess.PIPE, text=True, check=True)
    return map(json.loads, done.stdout.splitlines())
