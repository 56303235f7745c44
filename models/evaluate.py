#!/usr/bin/env python3
"""Judges the shipped models by recordings they have not seen: models/evaluate.py --data DIR [--json]

DIR is laid out as the training data is (models/README.md); names and how many files there are do not matter.
A model whose folder is not in DIR is left out. Features come from the gateway's own code, scores from the shipped
ONNX file. Any Python from 3.11 on will do: the script sets up its own.
"""

import argparse
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
MODELS = ["fall", "routine", "overheat", "supply", "presence", "smoke", "night_entry"]


def with_own_python():
    """Goes on in the Python that has what requirements.txt lists."""
    python = subprocess.run([HERE / "python.sh"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    if Path(sys.prefix) != Path(python).parent.parent:
        os.execv(python, [python, *sys.argv])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder with weda-fall/ and the others")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    asked = parser.parse_args()
    if not asked.data.is_dir():
        raise SystemExit(f"{asked.data} is not a folder")
    judged = {name: importlib.import_module(f"{name}.judge").judge(asked.data.resolve()) for name in MODELS}
    found = {name: figures for name, figures in judged.items() if figures is not None}
    if asked.json:
        print(json.dumps(found))
        return
    if not found:
        print(f"{asked.data} holds no recordings for any model; see models/README.md")
    for name, figures in found.items():
        print(name)
        for figure, value in figures.items():
            parts = [f"{key} {part}" for key, part in value.items()] if isinstance(value, dict) else value
            print(f"  {figure.replace('_', ' ')}: {', '.join(parts) if isinstance(parts, list) else parts}")


if __name__ == "__main__":
    with_own_python()
    main()
