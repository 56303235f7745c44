"""How the night_entry model does at places: what it finds of those who come in, how late, how often it is wrong."""

import statistics
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import served
from night_entry import places
from night_entry.entries import KINDS, entries
from night_entry.places import DAY_MS, HOUR_MS, MINUTE_MS

HERE = Path(__file__).resolve().parent
# Of a recording that is shorter than two weeks half is learnt from, but never less than what the gateway needs.
LEARNING_MS = 7 * DAY_MS
LEAST_MS = places.LEAST_DAYS * DAY_MS + HOUR_MS
# An alert and what follows it so soon are one matter.
QUIET_MS = 6 * HOUR_MS
THRESHOLD = 0.5


@dataclass(frozen=True)
class Case:
    """What came of an entry."""

    day: str  # the place and the date
    kind: str
    at: str
    delay_min: float | None  # None: not found
    peak: float  # the highest score in time


@dataclass(frozen=True)
class Outcome:
    cases: list
    false: list  # (day, moment) of alerts on real days
    days: list  # (day, how much of it) of all real days judged

    def figures(self):
        delays = [case.delay_min for case in self.cases if case.delay_min is not None]
        weeks = sum(length for _, length in self.days) / 7
        return {
            "found": round(len(delays) / len(self.cases), 4) if self.cases else None,
            "median_delay_min": round(statistics.median(delays), 1) if delays else None,
            "false_per_week": round(len(self.false) / weeks, 3) if weeks else None,
        }

    def found_at(self, threshold):
        """The share of entries that would be found at another threshold."""
        return np.mean([case.peak >= threshold for case in self.cases])

    def of_kind(self, kind):
        return Outcome([case for case in self.cases if case.kind == kind], self.false, self.days)

    def of_places(self, kind):
        """Of the made-up places of a kind."""
        of = lambda day: day.startswith(f"{kind} ")  # noqa: E731
        return Outcome(
            [case for case in self.cases if of(case.day)],
            [alert for alert in self.false if of(alert[0])],
            [day for day in self.days if of(day[0])],
        )

    def blocks(self):
        """An outcome for each day."""
        days = sorted({day for day, _ in self.days} | {case.day for case in self.cases})
        of = lambda found, day: [one for one in found if one[0] == day]  # noqa: E731
        return [
            Outcome([case for case in self.cases if case.day == day], of(self.false, day), of(self.days, day))
            for day in days
        ]


def together(outcomes):
    parts = list(outcomes)
    return Outcome(*(sum((getattr(part, name) for part in parts), []) for name in ("cases", "false", "days")))


def judge(data):
    """The figures for evaluate.py; None where there is nothing to judge."""
    office = places.office(data)
    outcome = outcome_of(office) if office else None
    if outcome is None or not outcome.days:
        return None
    return {
        "entries": len(outcome.cases),
        **outcome.figures(),
        "by_kind": {kind: outcome.of_kind(kind).figures()["found"] for kind in KINDS},
        "days": round(sum(length for _, length in outcome.days), 1),
        "places": [place.name for place in office],
        "seen_in_training": [],
        "missed": [f"{case.at}: {case.kind}" for case in outcome.cases if case.delay_min is None],
        "false": [at for _, at in outcome.false],
    }


def begins_ms(place):
    """From when on it is judged."""
    return place.first_ms + max(LEAST_MS, min(LEARNING_MS, (place.last_ms - place.first_ms) // 2))


def outcome_of(found, score=None, most=None, begins_ms=begins_ms):
    """Each place learns from its first days; later days are judged, as they were and as they might have been.

    `score`: rows -> scores, the shipped file's where it is not given; `most`: entries of a place.
    """
    score = score or (lambda rows: served.score(str(HERE / "night_entry.onnx"), rows))
    asked = []
    for place in found:
        tried = entries(place, begins_ms(place))
        asked += [(place, None), *((place, entry) for entry in some(tried, most))]
    heard = [place.signs if entry is None else entry.heard for place, entry in asked]
    cases, false, days = [], [], []
    for (place, entry), signs, rows in zip(asked, heard, places.rows(heard)):
        from_ms = begins_ms(place) if entry is None else entry.at_ms
        times = np.array([at for at, _ in signs])
        judged = times >= from_ms
        scores = score(rows[judged])
        alerts = alerts_of(times[judged], scores)
        if entry is None:
            false += [(place.day(at), f"{place.name} {places.text(at)}") for at in alerts]
            days += [(place.day(at), length / DAY_MS) for at, length in place.days(from_ms)]
        else:
            delay = (alerts[0] - entry.at_ms) / MINUTE_MS if alerts else None
            # NaN, while too little is known, is no peak.
            peak = float(np.fmax.reduce(scores, initial=0))
            at = f"{place.name} {places.text(entry.at_ms)}"
            cases.append(Case(place.day(entry.at_ms), entry.kind, at, delay, peak))
    return Outcome(cases, false, days)


def some(tried, most):
    """No more than so many, of all kinds and days."""
    if most is None or len(tried) <= most:
        return tried
    return [tried[index] for index in np.linspace(0, len(tried) - 1, most, dtype=int)]


def alerts_of(times, scores):
    """When there is an alert: NaN is below any threshold."""
    alerts = []
    for at, score in zip(times, scores):
        if score >= THRESHOLD and (not alerts or at - alerts[-1] >= QUIET_MS):
            alerts.append(int(at))
    return alerts
