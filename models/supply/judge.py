"""The supply model, as the SKAB leaderboard judges: all readings of all labelled files together, those of the first
400 too, from which the loop is learnt and in which nothing is said."""

from pathlib import Path

import numpy as np

import served
from supply import skab

HERE = Path(__file__).resolve().parent
LEARNT_FROM = 400


def judge(data):
    runs = skab.read(data)
    if runs is None:
        return None
    alarms = served.alarms(HERE, [(run.time_ms, run.values) for run in runs])
    labelled = [(run, alarm) for run, alarm in zip(runs, alarms) if run.faulty is not None]
    free = [alarm for run, alarm in zip(runs, alarms) if run.faulty is None]
    found = rates([counts(alarm, run.faulty) for run, alarm in labelled])
    after = rates([counts(alarm[LEARNT_FROM:], run.faulty[LEARNT_FROM:]) for run, alarm in labelled])
    return {
        **found,
        "f1_after_learning": after["f1"],
        "readings": sum(len(alarm) for _, alarm in labelled),
        "files": [run.name for run, _ in labelled],
        "alarmed_share_of_fault_free": share(sum(alarm.sum() for alarm in free), sum(map(len, free))),
        "f1_by_file": {run.name: rates([counts(alarm, run.faulty)])["f1"] for run, alarm in labelled},
    }


def counts(alarm, faulty):
    """Readings: rightly alarmed, wrongly alarmed, missed, rightly silent."""
    parts = [alarm & faulty, alarm & ~faulty, ~alarm & faulty, ~alarm & ~faulty]
    return np.array([part.sum() for part in parts])


def rates(counted):
    hit, false, missed, silent = np.sum(counted, axis=0) if len(counted) else np.zeros(4)
    return {
        "f1": share(2 * hit, 2 * hit + false + missed),
        "far": share(false, false + silent),
        "mar": share(missed, hit + missed),
    }


def share(part, whole):
    """Of nothing there is none."""
    return round(float(part / whole), 4) if whole else None
