"""The presence model, by the minute and by the stay."""

from pathlib import Path

import numpy as np

import served
from presence import occupancy

HERE = Path(__file__).resolve().parent
# A person who comes back within this was not away, and who leaves within it did not come: what an officer would be
# sent for, or not, lasts longer.
BRIEF = 15


def judge(data):
    recordings = occupancy.read(data)
    if recordings is None:
        return None
    # What it learnt from is judged only where there is nothing else.
    unseen = [recording for recording in recordings if recording.name != occupancy.TRAINING] or recordings
    alarms = served.alarms(HERE, [(recording.time_ms, recording.values) for recording in unseen])
    occupied = np.concatenate([recording.occupied for recording in unseen])
    said = np.concatenate(alarms)
    right = [part for recording, alarm in zip(unseen, alarms) for part in stays(alarm, recording.occupied)]
    return {
        "accuracy": share(said == occupied),
        "accuracy_by_stay": share(np.array(right)),
        "found_when_occupied": share(said[occupied]),
        "false_when_empty": share(said[~occupied]),
        "minutes": len(said),
        "stays_and_absences": len(right),
        "accuracy_by_file": {r.name: share(alarm == r.occupied) for r, alarm in zip(unseen, alarms)},
        "seen_in_training": [recording.name for recording in unseen if recording.name == occupancy.TRAINING],
    }


def stays(said, occupied):
    """For each stay and each absence of BRIEF minutes or more, whether most of it was said to be what it was."""
    ends = np.flatnonzero(np.diff(occupied.astype(int))) + 1
    parts = [part for part in np.split(np.arange(len(occupied)), ends) if len(part) >= BRIEF]
    return [bool((said[part] == occupied[part]).mean() > 0.5) for part in parts]


def share(hits):
    """Of nothing there is none."""
    return round(float(hits.mean()), 4) if len(hits) else None
