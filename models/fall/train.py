"""Trains the fall model, judges it by subjects it has not seen, and writes fall.onnx, model.toml, golden.json and
the figures in card.md.

    train.py --data DIR [--also DIR2]    both hold weda-fall/
"""

import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import features  # noqa: E402
import served  # noqa: E402
from fall import bracelet, export, golden, learn, weda  # noqa: E402
from fall.outcome import Outcome  # noqa: E402

KIND = "wrist_motion_v1"
# A burst is the fall when its impact is no earlier and no later than this around the fall's stated times.
EARLY_S, LATE_S = 0.3, 1.0
# Copies of each trial to learn from.
COPIES = 6
# Of a bracelet and day. How many are false is not known; who falls four times a day needs more than a model.
MOST_ALERTS = 4.0


def bursts_of(trials, signals, speeds):
    """The bursts of all trials, with their features."""
    rows, label, subject, name = [], [], [], []
    for trial, signal, speed in zip(trials, signals, speeds):
        for impact in bracelet.impacts(signal):
            rows.append(bracelet.burst(signal, impact))
            label.append(label_of(trial, impact * speed / weda.WATCH_HZ))
            subject.append(trial.subject)
            name.append(trial.name)
    values = features.extract(KIND, bracelet.RATE_HZ, rows)[1]
    return learn.Bursts(values, np.array(label), np.array(subject), np.array(name))


def label_of(trial, at_s):
    if not trial.is_fall:
        return 0
    if trial.fall_s is None:
        raise SystemExit(f"{trial.name} is not in fall_timestamps.csv: when did the fall happen?")
    begins_s, ends_s = trial.fall_s
    return 1 if begins_s - EARLY_S <= at_s <= ends_s + LATE_S else -1


def varied(trials, untouched):
    """Copies of the trials up to 10 % slower or faster, with some noise; half of them of activities that lost no
    samples."""
    copies = []
    for copy in range(COPIES):
        random = np.random.default_rng(copy)
        source = trials if copy % 2 else untouched
        speeds = random.uniform(0.9, 1.1, len(source))
        signals = [noisy(faster(trial.signal, speed), random) for trial, speed in zip(source, speeds)]
        copies.append(bursts_of(source, signals, speeds))
    return learn.Bursts(*(np.concatenate(parts) for parts in zip(*(vars(copy).values() for copy in copies))))


def faster(signal, speed):
    """The same movement `speed` times as fast: the same turns at higher rates, and more force on top of gravity."""
    at = np.arange(0, len(signal) - 1, speed)
    signal = np.column_stack([np.interp(at, np.arange(len(signal)), channel) for channel in signal.T])
    signal[:, 3:] *= speed
    half_second = np.ones(25) / 25
    for axis in range(3):
        slow = np.convolve(np.pad(signal[:, axis], 12, mode="edge"), half_second, "valid")
        signal[:, axis] = slow + (signal[:, axis] - slow) * speed
    return signal


def noisy(signal, random):
    return signal + random.normal(0, 1, signal.shape) * [0.05, 0.05, 0.05, 0.025, 0.025, 0.025]


def in_groups(subjects, size):
    """Subjects in groups of `size`, the young spread over them and so the elders."""
    count = -(-len(subjects) // size)
    return [np.array(subjects[first::count]) for first in range(count)]


def main():
    asked = served.asked(__doc__, also="a site's own judged bursts: learnt from, and judged by each wearer left out")
    if weda.find(asked.data) is None:
        raise SystemExit("no weda-fall recordings there; see models/README.md")
    folders = [folder for folder in map(weda.find, filter(None, (asked.data, asked.also))) if folder]
    also = asked.also if len(folders) > 1 else None
    trials = [trial for folder in folders for trial in weda.read(folder)]
    untouched = [trial for folder in folders for trial in weda.read(folder, thin_activities=False)]
    still = np.ones(len(trials))
    as_is = [trial.signal for trial in trials]
    recordings = learn.Recordings(
        bursts_of(trials, as_is, still), varied(trials, untouched), {trial.name: trial for trial in trials}
    )
    other = bursts_of(untouched, [trial.signal for trial in untouched], still)
    subjects = sorted({trial.subject for trial in trials})

    outcome = Outcome(recordings.trials)
    for subject in subjects:
        model = learn.fit(recordings, in_groups([s for s in subjects if s != subject], 2))
        mine = {name: trial for name, trial in recordings.trials.items() if trial.subject == subject}
        outcome.add(
            model.threshold,
            learn.by_trial(
                model.score(recordings.bursts.of([subject]).features), recordings.bursts.of([subject]), mine
            ),
            learn.by_trial(model.score(other.of([subject]).features), other.of([subject]), mine),
        )
        print(f"{subject} left out: {outcome.line(subject)}", flush=True)

    model = learn.fit(recordings, in_groups(subjects, 1))
    onnx = export.to_onnx(model, features.names(KIND))
    export.check(onnx, model, recordings.bursts.features)
    golden.write(HERE / "golden.json", onnx, lambda bursts: features.extract(KIND, bracelet.RATE_HZ, bursts)[1])
    most = served.highest_that_finds(
        outcome.falls_found, [at / 100 for at in range(round(100 * model.threshold), 100)]
    )
    lowest, highest = min(outcome.thresholds), max(outcome.thresholds)
    thresholds = (
        f"Threshold {model.threshold}; of the models with one left out: {lowest} to {highest}. "
        f"A place may raise it to {most}."
    )
    outcome.picture(model.threshold, most).write(HERE / "scores.svg")
    served.write_card(
        HERE,
        KIND,
        onnx,
        model.threshold,
        described(outcome.subjects()),
        outcome.figures(),
        f"{outcome.table()}\n\n{thresholds}",
        usual=recordings.bursts.features[recordings.bursts.label == 0],
        threshold_most=most,
        most_alerts=MOST_ALERTS,
        also=also,
    )


def described(subjects):
    published, own = ([s for s in subjects if s.startswith(letter)] for letter in "US")
    return {
        "input": {
            "rate_hz": 50.0,
            "seconds": 6.0,
            "channels": ["ax m/s²", "ay m/s²", "az m/s²", "gx rad/s", "gy rad/s", "gz rad/s"],
            "when": "2 s before to 4 s after an acceleration of 20 m/s² or more that is the highest within 2 s to both "
            "sides",
        },
        "data": {
            "source": f"WEDA-FALL (joaojtmarques/WEDA-FALL at 392c0bf), subjects {', '.join(published)}"
            + (f"; of a site's own: {', '.join(own)}" if own else ""),
            "terms": "published research data set without a licence file: cited, not redistributed",
            "judged_by": "leave one subject out, the threshold chosen without the subject; intervals 95 %",
        },
    }


if __name__ == "__main__":
    main()
