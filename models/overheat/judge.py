"""The overheat model, by NAB's score of the alerts that it leads to."""

from pathlib import Path

import numpy as np

import served
from overheat import nab

HERE = Path(__file__).resolve().parent
# What lasts is told again after this: about once a shift.
AGAIN_MS = 12 * 3_600_000


def judge(data):
    recordings = nab.read(data)
    if recordings is None:
        return None
    alarms = served.alarms(HERE, [(recording.time_ms, recording.values) for recording in recordings])
    found = [alerts(recording.time_ms, alarm) for recording, alarm in zip(recordings, alarms)]
    tallies = [nab.Tally(recording, alert) for recording, alert in zip(recordings, found)]
    strict = [
        nab.Tally(recording, alert, int(nab.PROBATION * len(alert))) for recording, alert in zip(recordings, found)
    ]
    by_reading = [nab.Tally(recording, alarm) for recording, alarm in zip(recordings, alarms)]
    days = sum(np.ptp(recording.time_ms) / 86_400_000 for recording in recordings)
    false = sum(len(tally.false) for tally in tallies)
    return {
        "nab_standard": standard(tallies),
        "nab_standard_without_cap_on_probation": standard(strict),
        "nab_standard_if_each_alarmed_reading_were_an_alert": standard(by_reading),
        "windows_found": sum(earned > -nab.MISSED for tally in tallies for earned in tally.earned),
        "windows": sum(len(tally.windows) for tally in tallies),
        "false_alerts": false,
        "false_alerts_per_device_day": round(false / days, 4) if days else None,
        "alerts": [
            f"{recording.name} {np.datetime64(int(at), 'ms')}"
            for recording, alert in zip(recordings, found)
            for at in recording.time_ms[alert]
        ],
    }


def alerts(time_ms, alarm):
    """The readings at which somebody is told."""
    told = np.zeros(len(alarm), bool)
    last = None
    for index in np.flatnonzero(alarm):
        if last is None or time_ms[index] - last >= AGAIN_MS:
            told[index], last = True, time_ms[index]
    return told


def standard(tallies):
    earned = [part for tally in tallies for part in tally.earned]
    score = nab.standard(earned, [cost for tally in tallies for cost in tally.false.values()])
    return None if score is None else round(score, 2)
