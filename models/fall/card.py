"""What came out, by the subject left out: figures with their intervals, and the files that state them."""

import re

import numpy as np
from scipy.stats import beta

VERSION = "1.0.0"


class Outcome:
    """What models said of the trials of subjects they had not seen."""

    def __init__(self, trials):
        self.trials = trials
        self.thresholds = []
        self.alarms = {}  # trial -> whether the model of the other subjects said yes
        self.alarms_untouched = {}  # the same for activities that lost no samples

    def add(self, threshold, scores, scores_untouched):
        self.thresholds.append(threshold)
        self.alarms.update({name: score >= threshold for name, score in scores.items()})
        self.alarms_untouched.update({name: score >= threshold for name, score in scores_untouched.items()})

    def figures(self):
        """Figure -> (value, low, high), 95 %."""
        figures = {
            "sensitivity": self.rate(lambda trial: trial.is_fall, self.alarms),
            "specificity": self.rate(lambda trial: not trial.is_fall, self.alarms, of_silence=True),
            "specificity_young": self.rate(lambda t: not t.is_fall and not t.is_elder, self.alarms, of_silence=True),
            "specificity_untouched": self.rate(lambda t: not t.is_fall, self.alarms_untouched, of_silence=True),
        }
        elders = [self.alarms[name] for name, trial in self.trials.items() if trial.is_elder]
        if elders:
            figures["elder_false_alarm_rate"] = exact(sum(elders), len(elders))
        return figures

    def subjects(self):
        return sorted({trial.subject for trial in self.trials.values()})

    def rate(self, wanted, alarms, of_silence=False):
        """The rate over the wanted trials; its interval by drawing subjects anew 2000 times."""
        by_subject = {}
        for name, trial in self.trials.items():
            if wanted(trial):
                by_subject.setdefault(trial.subject, []).append(alarms[name] != of_silence)
        hits, totals = np.array([(sum(hits), len(hits)) for hits in by_subject.values()]).T
        drawn = np.random.default_rng(0).integers(0, len(hits), (2000, len(hits)))
        rates = hits[drawn].sum(axis=1) / totals[drawn].sum(axis=1)
        low, high = np.quantile(rates, [0.025, 0.975])
        return hits.sum() / totals.sum(), low, high

    def wrong(self, wanted):
        return [name for name, trial in self.trials.items() if wanted(trial) and self.alarms[name] != trial.is_fall]

    def line(self, subject):
        mine = [trial for trial in self.trials.values() if trial.subject == subject]
        falls = [trial for trial in mine if trial.is_fall]
        found = sum(self.alarms[trial.name] for trial in falls)
        false = sum(self.alarms[trial.name] for trial in mine if not trial.is_fall)
        return f"{found}/{len(falls)} falls found, {false}/{len(mine) - len(falls)} false alarms"

    def table(self):
        """Markdown."""
        lines = ["| left out | falls found | false alarms | wrong |", "|--|--|--|--|"]
        for subject in self.subjects():
            found, false = (part.split()[0] for part in self.line(subject).split(", "))
            wrong = ", ".join(name.replace(f"{subject}_", "") for name in self.wrong(lambda t: t.subject == subject))
            lines.append(f"| {subject} | {found} | {false} | {wrong} |")
        lines += ["", "| figure | value | 95 % |", "|--|--|--|"]
        for name, (value, low, high) in self.figures().items():
            lines.append(f"| {name.replace('_', ' ')} | {value:.3f} | {low:.3f} to {high:.3f} |")
        return "\n".join(lines)


def exact(hits, total):
    """A rate with its interval after Clopper and Pearson."""
    low = beta.ppf(0.025, hits, total - hits + 1) if hits else 0.0
    high = beta.ppf(0.975, hits + 1, total - hits) if hits < total else 1.0
    return hits / total, low, high


def write(folder, threshold, sha256, outcome):
    """model.toml, and the figures in card.md."""
    figures = "\n".join(
        f"{name} = {{ value = {value:.4f}, low = {low:.4f}, high = {high:.4f} }}"
        for name, (value, low, high) in outcome.figures().items()
    )
    subjects = ", ".join(outcome.subjects())
    text = MODEL_TOML.format(version=VERSION, sha256=sha256, threshold=threshold, subjects=subjects, figures=figures)
    (folder / "model.toml").write_text(text, "utf-8")

    lowest, highest = min(outcome.thresholds), max(outcome.thresholds)
    thresholds = f"Threshold {threshold}; of the models with one left out: {lowest} to {highest}."
    path = folder / "card.md"
    marks = r"(<!-- figures: written by train.py -->\n).*(<!-- end of figures -->)"
    found = f"\n{outcome.table()}\n\n{thresholds}\n\n"
    card = re.sub(marks, lambda mark: mark[1] + found + mark[2], path.read_text("utf-8"), flags=re.DOTALL)
    path.write_text(card, "utf-8")


MODEL_TOML = """\
# Written by train.py. What it means and who must not rely on it: card.md.

name = "fall"
version = "{version}"
file = "fall.onnx"
sha256 = "{sha256}"
features = "wrist_motion_v1"
threshold = {threshold}

[input]
rate_hz = 50
seconds = 6
channels = ["ax m/s²", "ay m/s²", "az m/s²", "gx rad/s", "gy rad/s", "gz rad/s"]
when = "2 s before to 4 s after an acceleration of 20 m/s² or more that is the highest within 2 s to both sides"

[data]
source = "WEDA-FALL (joaojtmarques/WEDA-FALL at 392c0bf), subjects {subjects}"
terms = "published research data set without a licence file: cited, not redistributed"
judged_by = "leave one subject out, the threshold chosen without the subject; intervals 95 %"

[figures]
{figures}
"""
