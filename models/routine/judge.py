"""How the routine model does at homes: what it finds of what might have happened, how late, and how often it cries wolf."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from routine import homes, perturb, scorer

HERE = Path(__file__).resolve().parent
LEARNING_MS = 7 * homes.DAY_MS
COPIES = 6


@dataclass(frozen=True)
class Case:
    """What came of a scenario."""

    home: str
    day: int
    kind: str
    delay_min: float | None  # None: not found


@dataclass(frozen=True)
class Outcome:
    cases: list
    false: list  # (home, day, kind) of alerts on real days
    days: list  # (home, day) of all real days judged

    def figures(self):
        delays = [case.delay_min for case in self.cases if case.delay_min is not None]
        return {
            "detected": share(self.cases),
            "median_delay_min": round(float(np.median(delays)), 1) if delays else None,
            "false_per_week": round(7 * len(self.false) / len(self.days), 3) if self.days else None,
        }

    def of_kind(self, kind):
        return Outcome(
            [case for case in self.cases if case.kind == kind], [alert for alert in self.false if alert[2] == kind], self.days
        )


def share(cases):
    return round(sum(case.delay_min is not None for case in cases) / len(cases), 4) if cases else None


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
        "days": len(outcome.days),
        "homes": [home.name for home in found],
        "seen_in_training": [home.name for home in found if home.name == "OrdonezA"],
        "false": [f"{home} day {day}: {kind}" for home, day, kind in outcome.false],
    }


def outcome_of(found):
    """Each home learns from its first seven days; all later days are judged, as they were and as they might have been."""
    cases, false, days, asked = [], [], [], []
    for home in found:
        begins = home.first_ms + LEARNING_MS
        asked.append((home, None, (home.intervals, begins, home.last_ms)))
        for night, (_, risen) in enumerate(home.nights):
            if risen < begins + 12 * 60 * homes.MINUTE_MS:
                continue
            for scenario in perturb.scenarios(home, night, COPIES):
                from_ms = scenario.onset_ms - homes.DAY_MS
                asked.append((home, scenario, (scenario.intervals, max(begins, from_ms), scenario.until_ms)))
    watched = homes.watch([recording for _, _, recording in asked])
    for (home, scenario, (_, from_ms, until_ms)), rows in zip(asked, watched):
        alerts = alerts_of(rows)
        if scenario is None:
            false += [(home.name, (at - home.first_ms) // homes.DAY_MS, kind) for kind, at in alerts]
            days += [(home.name, (at - home.first_ms) // homes.DAY_MS) for at in range(from_ms, until_ms, homes.DAY_MS)]
        else:
            found_at = [at for kind, at in alerts if kind == scenario.kind and at >= scenario.onset_ms]
            delay = (min(found_at) - scenario.onset_ms) / homes.MINUTE_MS if found_at else None
            cases.append(Case(home.name, (scenario.onset_ms - home.first_ms) // homes.DAY_MS, scenario.kind, delay))
    return Outcome(cases, false, days)


def alerts_of(rows):
    """(kind, at): one for each thing that goes on, at the moment when its score first reaches the threshold."""
    scores = scorer.score(HERE / "routine.onnx", np.array([row[3] for row in rows], np.float32).reshape(-1, 4))
    first = {}
    for (at, kind, since, _), score in zip(rows, scores):
        if score >= scorer.THRESHOLD:
            first.setdefault((kind, since), at)
    return [(kind, at) for (kind, _), at in first.items()]
