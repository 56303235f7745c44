"""What came out, by the subject left out: figures with their intervals."""

import numpy as np
from scipy.stats import beta

import plot


class Outcome:
    """What models said of the trials of subjects they had not seen."""

    def __init__(self, trials):
        self.trials = trials
        self.thresholds = []
        self.scores = {}  # trial -> the score of the model of the other subjects
        self.alarms = {}  # trial -> whether that model said yes
        self.alarms_untouched = {}  # the same for activities that lost no samples

    def add(self, threshold, scores, scores_untouched):
        self.thresholds.append(threshold)
        self.scores.update(scores)
        self.alarms.update({name: score >= threshold for name, score in scores.items()})
        self.alarms_untouched.update({name: score >= threshold for name, score in scores_untouched.items()})

    def figures(self):
        """Figure -> (value, low, high), 95 %."""
        figures = {
            "sensitivity": self.rate(lambda trial: trial.is_fall, self.alarms),
            "specificity": self.rate(lambda trial: not trial.is_fall, self.alarms, of_silence=True),
            "specificity_young": self.rate(lambda t: not t.is_fall and t.is_young, self.alarms, of_silence=True),
            "specificity_untouched": self.rate(lambda t: not t.is_fall, self.alarms_untouched, of_silence=True),
        }
        elders = [self.alarms[name] for name, trial in self.trials.items() if not trial.is_fall and trial.is_elder]
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

    def falls_found(self, threshold):
        """The share of all falls that reach a threshold."""
        return np.mean([self.scores[name] >= threshold for name, trial in self.trials.items() if trial.is_fall])

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
        return "\n".join(lines)

    def picture(self, threshold, most):
        """Each trial's score, a row for each movement."""
        movements = sorted({trial.movement for trial in self.trials.values()}, key=lambda name: (name[0] != "F", name))
        title = "What the model said of subjects it had not seen, trial by trial"
        y = plot.rows(movements)
        picture = plot.Picture(title, plot.numbers("score", 0, 1, 0.1), y, height=112 + 19 * len(movements))
        for colour, name, is_fall in ((plot.ORANGE, "falls", True), (plot.BLUE, "daily activities", False)):
            trials = [trial for trial in self.trials.values() if trial.is_fall == is_fall]
            # A little up and down, so that trials side by side do not hide each other.
            rows = [movements.index(trial.movement) + (i % 5 - 2) / 8 for i, trial in enumerate(trials)]
            points = [(self.scores[trial.name], row) for trial, row in zip(trials, rows)]
            picture.dots(points, colour, name)
        picture.mark_x(threshold, f"threshold {threshold}")
        picture.mark_x(most, f"at most {most}")
        return picture


def exact(hits, total):
    """A rate with its interval after Clopper and Pearson."""
    low = beta.ppf(0.025, hits, total - hits + 1) if hits else 0.0
    high = beta.ppf(0.975, hits + 1, total - hits) if hits < total else 1.0
    return hits / total, low, high
