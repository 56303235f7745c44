#!/usr/bin/env python3
"""What a score takes, through the gateway and through onnxruntime in Python: models/bench.py

Both score the same row with the same settings (one thread, which sleeps when idle), in turn, in one run; the ratio is
taken round by round. Prints a table, and with --report writes it as JSON. Any Python from 3.11 on will do: the script
sets up its own.
"""

import argparse
import hashlib
import json
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

from evaluate import HERE, with_own_python

ROUNDS = 3
WARM_UP = 100


def gateway(program, seconds):
    """What `ninewatch model bench` says."""
    command = [program, "model", "bench", "--json", "--seconds", str(seconds)]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def us_in_python(path, features, seconds):
    """Microseconds that a score takes in Python, the median."""
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    row = {"features": np.array([features], np.float32)}
    for _ in range(WARM_UP):
        session.run(None, row)
    took = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        begun = time.perf_counter_ns()
        session.run(None, row)
        took.append(time.perf_counter_ns() - begun)
    return statistics.median(took) / 1000


def measure(program, seconds):
    """The machine in words, and by name what each model of this folder takes: the median of the rounds."""
    files = {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in HERE.glob("*/*.onnx")}
    rounds = {}
    for number in range(ROUNDS):
        print(f"  models, round {number + 1} of {ROUNDS}", file=sys.stderr)
        said = gateway(program, seconds)
        # A site's own models are measured, and are no matter of this folder.
        for model in said["models"]:
            if path := files.get(model["sha256"]):
                python_us = us_in_python(path, model["features"], seconds)
                taken = {
                    "scores_per_second": model["scores_per_second"],
                    "us_per_score": model["us_per_score"],
                    "us_p99": model["us_p99"],
                    "memory_kib": model["memory_kib"],
                    "python_us_per_score": python_us,
                    "ratio": python_us / model["us_per_score"],
                }
                rounds.setdefault(path.parent.name, []).append(taken)
    machine = f"{said['machine']['arch']}, {said['machine']['cores']} cores"
    medians = {
        name: {key: round(statistics.median(one[key] for one in each), 2) for key in each[0]}
        for name, each in rounds.items()
    }
    return machine, medians


def show(machine, models):
    print(f"{'model':10}{'scores/s':>10}{'µs':>8}{'p99':>8}{'KiB':>8}{'Python µs':>11}{'ratio':>7}   {machine}", file=sys.stderr)
    for name, of in models.items():
        print(
            f"{name:10}{of['scores_per_second']:10.0f}{of['us_per_score']:8.1f}{of['us_p99']:8.1f}{of['memory_kib']:8.0f}"
            f"{of['python_us_per_score']:11.1f}{of['ratio']:7.1f}",
            file=sys.stderr,
        )


def write_card(path, machine, of):
    """Puts what it takes into a card, in the place of what was there, and changes nothing else in it."""
    from served import entries

    cost = {"score_us": of["us_per_score"], "memory_kib": of["memory_kib"], "measured_on": machine}
    table = "\n".join(["[cost]", *entries(cost)]) + "\n\n"
    text = path.read_text("utf-8")
    without = re.sub(r"^\[cost\]\n(?:(?!\[).*\n)*", "", text, flags=re.MULTILINE)
    written, found = re.subn(r"^(?=\[figures\]\n)", lambda _: table, without, count=1, flags=re.MULTILINE)
    if not found:
        raise SystemExit(f"{path} has no [figures]")
    path.write_text(written, "utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, default=HERE.parent / "target/release/ninewatch", help="ninewatch")
    parser.add_argument("--seconds", type=int, default=1, help="for how long each model is scored, each round")
    parser.add_argument("--report", type=Path, help="write the figures to this file, as JSON")
    parser.add_argument("--write-cards", action="store_true", help="write them to the models' cards, as [cost]")
    asked = parser.parse_args()
    machine, models = measure(asked.program, asked.seconds)
    show(machine, models)
    if asked.report:
        asked.report.write_text(json.dumps(models, indent=2) + "\n")
    if asked.write_cards:
        for name, of in models.items():
            write_card(HERE / name / "model.toml", machine, of)


if __name__ == "__main__":
    with_own_python()
    main()
