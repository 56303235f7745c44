"""The "Smoke Detection Dataset", a room sensor each second or by a clock, and the UCI office, where nothing burnt."""

import csv
from dataclasses import dataclass

import numpy as np

import served

# In the order of `smoke_signs_v1`: as a head begins, in lower case.
COLUMNS = ["temperature", "humidity", "eco2"]
OFFICE_COLUMNS = ["Temperature", "Humidity", "CO2"]


@dataclass(frozen=True)
class Recording:
    name: str
    time_ms: np.ndarray
    values: np.ndarray  # readings × COLUMNS
    fire: np.ndarray

    def episodes(self):
        """(first row, row after the last, whether it burnt), in order."""
        ends = (np.flatnonzero(np.diff(self.fire.astype(int))) + 1).tolist()
        return [(begin, end, bool(self.fire[begin])) for begin, end in zip([0, *ends], [*ends, len(self.fire)])]


def read(data):
    """All recordings; None where there are none."""
    return served.read_all(data / "smoke-iot", (".csv",), _recording)


def office(data):
    """Days without a fire, a reading a minute; none where there is no such folder."""
    return served.read_all(data / "uci-occupancy", (".txt", ".csv"), _office) or []


def _recording(path, name):
    head, *rows = csv.reader(served.text(path).splitlines())
    rows = [row for row in rows if row]
    if not rows:
        raise ValueError("it has no rows")
    title = {title.lower().split("[")[0].strip(): index for index, title in enumerate(head)}
    values = np.array([[_number(row[title[column]]) for column in COLUMNS] for row in rows])
    fire = np.array([row[title["fire alarm"]] for row in rows], float) > 0
    # Without a clock row order is time order, a second apart.
    seconds = np.array([row[title["utc"]] for row in rows], float) if "utc" in title else np.arange(len(rows))
    if not np.isfinite(seconds).all():
        raise ValueError("it has rows without a time")
    order = np.argsort(seconds, kind="stable")
    return Recording(name, (seconds[order] * 1000).astype(np.int64), values[order], fire[order])


def _office(path, name):
    head, *rows = csv.reader(served.text(path).splitlines())
    # Each row begins with its number, for which the head has no name.
    column = {title: [row[index - len(head)] for row in rows if row] for index, title in enumerate(head)}
    time_ms = served.moments(column["date"])
    values = np.array([column[title] for title in OFFICE_COLUMNS], float).T
    return Recording(name, time_ms, values, np.zeros(len(values), bool))


def _number(text):
    value = float(text.strip() or "nan")
    return value if np.isfinite(value) else np.nan
