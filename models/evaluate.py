#!/usr/bin/env python3
"""Judges the shipped models by recordings they have not seen: models/evaluate.py --data DIR [--json]

DIR is laid out as the training data is (models/README.md); subjects and how many files there are do not matter.
A model whose folder is not in DIR is left out. Features come from the gateway's own code, scores from the shipped
ONNX file. Any Python from 3.11 on will do: the script sets up its own.
"""

import argparse
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent


def with_own_python():
    """Goes on in the Python that has what requirements.txt lists."""
    python = subprocess.run([HERE / "python.sh"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    if Path(sys.prefix) != Path(python).parent.parent:
        os.execv(python, [python, *sys.argv])


def fall(data):
    """The fall model by trial; None where there are no recordings for it."""
    import features
    from fall import bracelet, export, weda

    folder = weda.find(data)
    if folder is None:
        return None
    card = tomllib.loads((HERE / "fall/model.toml").read_text("utf-8"))
    trials = weda.read(folder)
    bursts = [(trial, bracelet.burst(trial.signal, at)) for trial in trials for at in bracelet.impacts(trial.signal)]
    _, rows = features.extract(card["features"], bracelet.RATE_HZ, [burst for _, burst in bursts])
    scores = export.score(HERE / "fall" / card["file"], rows)
    alarmed = {trial.name for (trial, _), score in zip(bursts, scores) if score >= card["threshold"]}

    falls = [trial.name in alarmed for trial in trials if trial.is_fall]
    activities = [trial.name in alarmed for trial in trials if not trial.is_fall]
    elders = [trial.name in alarmed for trial in trials if not trial.is_fall and trial.is_elder]
    subjects = sorted({trial.subject for trial in trials})
    return {
        "sensitivity": share(falls),
        "specificity": share([not alarm for alarm in activities]),
        "elder_false_alarm_rate": share(elders),
        "falls": len(falls),
        "activities": len(activities),
        "elder_activities": len(elders),
        "subjects": subjects,
        "seen_in_training": [subject for subject in subjects if subject in card["data"]["source"]],
        "missed": [trial.name for trial in trials if trial.is_fall and trial.name not in alarmed],
        "false": [trial.name for trial in trials if not trial.is_fall and trial.name in alarmed],
    }


def share(hits):
    """Of nothing there is none."""
    return round(sum(hits) / len(hits), 4) if hits else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder with weda-fall/ and the others")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    asked = parser.parse_args()
    if not asked.data.is_dir():
        raise SystemExit(f"{asked.data} is not a folder")
    judged = {name: judge(asked.data.resolve()) for name, judge in {"fall": fall}.items()}
    found = {name: figures for name, figures in judged.items() if figures is not None}
    if asked.json:
        print(json.dumps(found))
        return
    if not found:
        print(f"{asked.data} holds no recordings for any model; see models/README.md")
    for name, figures in found.items():
        print(name)
        for figure, value in figures.items():
            print(f"  {figure.replace('_', ' ')}: {', '.join(value) if isinstance(value, list) else value}")


if __name__ == "__main__":
    with_own_python()
    main()
