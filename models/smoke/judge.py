"""The smoke model, by the episode: a stretch of readings with one label."""

from pathlib import Path

import numpy as np

import served
from smoke import iot

HERE = Path(__file__).resolve().parent
# What lasts is told again after this.
AGAIN_MS = 3_600_000


def judge(data):
    recordings = iot.read(data)
    if recordings is None:
        return None
    offices = iot.office(data)
    alarms = served.alarms(HERE, [(recording.time_ms, recording.values) for recording in recordings + offices])
    episodes = [episode for recording, alarm in zip(recordings, alarms) for episode in tell(recording, alarm)]
    fires = [episode for episode in episodes if episode["fire"]]
    quiet = [episode for episode in episodes if not episode["fire"]]
    in_office = zip(offices, alarms[len(recordings) :])
    office = [episode for recording, alarm in in_office for episode in tell(recording, alarm)]
    delays = [episode["delay_s"] for episode in fires if episode["alerts"]]
    return {
        "episodes": len(episodes),
        "fires": len(fires),
        "detected": share(len(delays), len(fires)),
        "median_delay_s": float(np.median(delays)) if delays else None,
        "false_episodes": share(sum(episode["alerts"] > 0 for episode in quiet), len(quiet)),
        "false_per_day": a_day(quiet),
        "quiet_hours": round(24 * days(quiet), 2),
        "office_false_per_day": a_day(office),
        "office_days": round(days(office), 2),
        "by_episode": [shown(episode) for episode in episodes],
    }


def tell(recording, alarm):
    """What was told in each episode by itself: an alarm that outlasts a fire is a false one."""
    found = []
    for begin, end, fire in recording.episodes():
        time_ms = recording.time_ms[begin:end]
        told = np.flatnonzero(alerts(time_ms, alarm[begin:end]))
        found.append(
            {
                "name": f"{recording.name} rows {begin} to {end - 1}",
                "fire": fire,
                "alerts": len(told),
                "delay_s": float(time_ms[told[0]] - time_ms[0]) / 1000 if len(told) else None,
                "days": float(time_ms[-1] - time_ms[0]) / 86_400_000,
            }
        )
    return found


def shown(episode):
    first = f", first after {episode['delay_s']:.0f} s" if episode["alerts"] else ""
    return f"{episode['name']}: {'fire' if episode['fire'] else 'quiet'}, {episode['alerts']} alerts{first}"


def alerts(time_ms, alarm):
    """The readings at which somebody is told."""
    told = np.zeros(len(alarm), bool)
    last = None
    for index in np.flatnonzero(alarm):
        if last is None or time_ms[index] - last >= AGAIN_MS:
            told[index], last = True, time_ms[index]
    return told


def days(episodes):
    return sum(episode["days"] for episode in episodes)


def a_day(episodes):
    return share(sum(episode["alerts"] for episode in episodes), days(episodes))


def share(part, whole):
    """Of nothing there is none."""
    return round(float(part / whole), 4) if whole else None
