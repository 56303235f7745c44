"""How the routine model does at homes: what it finds of what might have happened, how late, how often it is wrong."""

import statistics
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import served
from routine import homes, perturb, scorer

HERE = Path(__file__).resolve().parent
LEARNING_MS = 7 * homes.DAY_MS
COPIES = 6
# How much later than now a place may ask to be told.
LATER_MIN = 30


@dataclass(frozen=True)
class Case:
    """What came of a scenario."""

    date: str  # the home and the day, as recorded
    kind: str
    delay_min: float | None  # None: not found
    scores: list  # (delay, score) of its kind from its beginning on

    def reaches(self, threshold):
        if self.delay_min is None:
            return False
        return any(score >= threshold and delay <= self.delay_min + LATER_MIN for delay, score in self.scores)


@dataclass(frozen=True)
class Outcome:
    cases: list
    false: list  # (date, kind) of alerts on real days
    days: list  # (date, how much of a day) of all real days judged

    def figures(self):
        delays = [case.delay_min for case in self.cases if case.delay_min is not None]
        found = len(delays) / len(self.cases) if self.cases else None
        weeks = sum(length for _, length in self.days) / 7
        return {
            "detected": None if found is None else round(found, 4),
            "median_delay_min": round(statistics.median(delays), 1) if delays else None,
            "false_per_week": round(len(self.false) / weeks, 3) if weeks else None,
        }

    def found_at(self, threshold):
        """The share of cases that reach a threshold no later than LATER_MIN after the model's own."""
        return np.mean([case.reaches(threshold) for case in self.cases])

    def of_kind(self, kind):
        cases = [case for case in self.cases if case.kind == kind]
        return Outcome(cases, [alert for alert in self.false if alert[1] == kind], self.days)

    def of_dates(self, dates):
        return Outcome(
            [case for case in self.cases if case.date in dates],
            [alert for alert in self.false if alert[0] in dates],
            [day for day in self.days if day[0] in dates],
        )


def together(outcomes):
    parts = list(outcomes)
    return Outcome(*(sum((getattr(part, name) for part in parts), []) for name in ("cases", "false", "days")))


def judge(data):
    """The figures for evaluate.py; None where there are no homes."""
    found = homes.find(data)
    if not found:
        return None
    outcome = outcome_of(found)
    return {
        **outcome.figures(),
        "by_kind": {kind: outcome.of_kind(kind).figures() for kind in perturb.KINDS},
        "scenarios": len(outcome.cases),
        "days": round(sum(length for _, length in outcome.days), 1),
        "homes": [home.name for home in found],
        "seen_in_training": [home.name for home in found if home.name == "OrdonezA"],
        "missed": [f"{case.date}: {case.kind}" for case in outcome.cases if case.delay_min is None],
        "false": [f"{date}: {kind}" for date, kind in outcome.false],
    }


def outcome_of(found):
    """Each home learns from its first seven days; later days are judged, as they were and as they might have been."""
    asked = []
    for home in found:
        begins = home.first_ms + LEARNING_MS
        asked.append((home, None, (home.intervals, begins, home.last_ms)))
        for night, (_, risen) in enumerate(home.nights):
            if risen < begins:
                continue
            for scenario in perturb.scenarios(home, night, COPIES):
                if scenario.onset_ms < begins:
                    continue
                from_ms = max(begins, scenario.onset_ms - homes.DAY_MS)
                asked.append((home, scenario, (scenario.intervals, from_ms, scenario.until_ms)))
    cases, false, days = [], [], []
    for (home, scenario, (_, from_ms, until_ms)), rows in zip(asked, homes.watch([one for _, _, one in asked])):
        scores = scores_of(rows)
        alerts = alerts_of(rows, scores)
        if scenario is None:
            false += [(home.date(at), kind) for kind, at in alerts]
            starts = range(from_ms, until_ms, homes.DAY_MS)
            days += [(home.date(at), min(1.0, (until_ms - at) / homes.DAY_MS)) for at in starts]
        else:
            found_at = [at for kind, at in alerts if kind == scenario.kind and at >= scenario.onset_ms]
            delay = (min(found_at) - scenario.onset_ms) / homes.MINUTE_MS if found_at else None
            of_it = [
                ((at - scenario.onset_ms) / homes.MINUTE_MS, score)
                for (at, kind, *_), score in zip(rows, scores)
                if kind == scenario.kind and at >= scenario.onset_ms
            ]
            cases.append(Case(home.date(scenario.onset_ms), scenario.kind, delay, of_it))
    return Outcome(cases, false, days)


def scores_of(rows):
    return served.score(str(HERE / "routine.onnx"), np.array([row[3] for row in rows], np.float32).reshape(-1, 4))


def alerts_of(rows, scores):
    """(kind, at): one for each thing that goes on, at the moment when its score first reaches the threshold."""
    first = {}
    for (at, kind, since, _), score in zip(rows, scores):
        if score >= scorer.THRESHOLD:
            first.setdefault((kind, since), at)
    return [(kind, at) for (kind, _), at in first.items()]
