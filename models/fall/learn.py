"""The fall model: boosted trees and a kernel machine, and how much each is listened to.

Trees cut hard and hold on far outside of what they saw; the kernel machine is smooth and better inside.
Together they miss less than either (see card.md).
"""

from dataclasses import dataclass

import numpy as np
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC


@dataclass(frozen=True)
class Experts:
    trees: GradientBoostingClassifier
    scaler: StandardScaler
    kernel: SVC

    def say(self, features):
        """Log-odds of the trees, margin of the kernel machine."""
        smooth = self.scaler.transform(np.log1p(features))
        return np.column_stack([self.trees.decision_function(features), self.kernel.decision_function(smooth)])


@dataclass(frozen=True)
class Model:
    experts: Experts
    blend: LogisticRegression
    threshold: float

    def score(self, features):
        """The probability of a fall, as among the bursts it learnt from."""
        return self.blend.predict_proba(self.experts.say(features))[:, 1]


@dataclass(frozen=True)
class Bursts:
    """One row a burst."""

    features: np.ndarray
    label: np.ndarray  # 1: the fall; 0: an activity; -1: in the trial of a fall, but not the fall
    subject: np.ndarray
    trial: np.ndarray  # which trial, by its name

    def pick(self, rows):
        return Bursts(self.features[rows], self.label[rows], self.subject[rows], self.trial[rows])

    def of(self, subjects):
        return self.pick(np.isin(self.subject, subjects))


@dataclass(frozen=True)
class Recordings:
    """What is learnt from and what is judged by."""

    bursts: Bursts  # as recorded
    varied: Bursts  # the same trials, somewhat slower, faster and noisier
    trials: dict  # name -> Trial, those without a burst too


def fit_experts(varied):
    known = varied.pick(varied.label >= 0)
    trees = GradientBoostingClassifier(
        n_estimators=200, learning_rate=0.06, max_depth=4, max_features=8, subsample=0.3, random_state=0
    )
    trees.fit(known.features, known.label)
    smooth = np.log1p(known.features)
    scaler = StandardScaler().fit(smooth)
    kernel = SVC(C=1.0, gamma=0.02).fit(scaler.transform(smooth), known.label)
    return Experts(trees, scaler, kernel)


def unseen(recordings, groups):
    """What experts say of each group of subjects that learnt from the other groups only."""
    everybody = np.concatenate(groups)
    said = np.full((len(recordings.bursts.label), 2), np.nan)
    for group in groups:
        others = np.setdiff1d(everybody, group)
        rows = np.isin(recordings.bursts.subject, group)
        said[rows] = fit_experts(recordings.varied.of(others)).say(recordings.bursts.features[rows])
    return said


def fit(recordings, groups):
    """A model of all subjects in `groups`; how to blend and where to say yes is learnt from what experts say
    of subjects that they have not seen."""
    said = unseen(recordings, groups)
    heard = np.isfinite(said[:, 0])
    known = heard & (recordings.bursts.label >= 0)
    blend = LogisticRegression(C=10.0).fit(said[known], recordings.bursts.label[known])
    scores = np.full(len(said), np.nan)
    scores[heard] = blend.predict_proba(said[heard])[:, 1]
    subjects = np.concatenate(groups)
    trials = {name: trial for name, trial in recordings.trials.items() if trial.subject in subjects}
    highest = by_trial(scores[heard], recordings.bursts.pick(heard), trials)
    experts = fit_experts(recordings.varied.of(subjects))
    return Model(experts, blend, even_threshold(highest, trials))


def by_trial(scores, bursts, trials):
    """The highest score of each trial: 0 where no burst was sent."""
    highest = dict.fromkeys(trials, 0.0)
    for name, score in zip(bursts.trial, scores):
        highest[name] = max(highest[name], float(score))
    return highest


def even_threshold(highest, trials):
    """Where sensitivity and specificity are as even as can be, rounded to a hundredth."""
    falls = np.array([score for name, score in highest.items() if trials[name].is_fall])
    others = np.array([score for name, score in highest.items() if not trials[name].is_fall])
    candidates = np.arange(1, 100) / 100
    worst = np.array([min((falls >= at).mean(), (others < at).mean()) for at in candidates])
    return float(np.round(np.median(candidates[worst == worst.max()]), 2))
