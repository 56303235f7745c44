"""The fall model by trial."""

import re
from pathlib import Path

import features
import served
from fall import bracelet, weda

HERE = Path(__file__).resolve().parent


def judge(data):
    """None where there are no recordings for it."""
    folder = weda.find(data)
    if folder is None:
        return None
    card = served.toml(HERE)
    trials = weda.read(folder)
    bursts = [(trial, bracelet.burst(trial.signal, at)) for trial in trials for at in bracelet.impacts(trial.signal)]
    _, rows = features.extract(card["features"], bracelet.RATE_HZ, [burst for _, burst in bursts])
    scores = served.score(str(HERE / card["file"]), rows)
    alarmed = {trial.name for (trial, _), score in zip(bursts, scores) if score >= card["threshold"]}

    falls = [trial.name in alarmed for trial in trials if trial.is_fall]
    activities = [trial.name in alarmed for trial in trials if not trial.is_fall]
    elders = [trial.name in alarmed for trial in trials if not trial.is_fall and trial.is_elder]
    subjects = sorted({trial.subject for trial in trials})
    learnt_from = re.findall(r"\w+", card["data"]["source"])
    return {
        "sensitivity": share(falls),
        "specificity": share([not alarm for alarm in activities]),
        "elder_false_alarm_rate": share(elders),
        "falls": len(falls),
        "activities": len(activities),
        "elder_activities": len(elders),
        "subjects": subjects,
        "seen_in_training": [subject for subject in subjects if subject in learnt_from],
        "missed": [trial.name for trial in trials if trial.is_fall and trial.name not in alarmed],
        "false": [trial.name for trial in trials if not trial.is_fall and trial.name in alarmed],
    }


def share(hits):
    """Of nothing there is none."""
    return round(sum(hits) / len(hits), 4) if hits else None
