"""NAB: the recordings with their labelled windows, and its score (Lavin and Ahmad, "Evaluating Real-time Anomaly
Detection Algorithms", 2015), standard profile."""

import json
import math
from dataclasses import dataclass

import numpy as np

import served

RIGHT, FALSE, MISSED = 1.0, 0.11, 1.0
# The first 15 % are for learning, of a long file no more than 750 rows: so NAB's own scorer has it.
PROBATION, PROBATION_ROWS = 0.15, 750


@dataclass(frozen=True)
class Recording:
    name: str
    time_ms: np.ndarray
    values: np.ndarray
    windows: list  # (first row, last row)


def read(data):
    """All recordings; None where there are none."""
    labels = {}
    for of_file in served.read_all(data / "nab", (".json",), lambda path, _: dict(json.loads(served.text(path)))) or []:
        labels |= of_file
    windows = {key.split("/")[-1]: spans for key, spans in labels.items()}
    return served.read_all(data / "nab", (".csv",), lambda path, name: _recording(path, name, windows))


def _recording(path, name, windows):
    spans = windows.get(path.name.removesuffix(".gz"), [])
    rows = [line.split(",") for line in served.text(path).splitlines()[1:] if line]
    time_ms = served.moments([time for time, *_ in rows])
    values = np.array([[float(value)] for _, value, *_ in rows])
    # A window that the recording does not reach is none. The clock may have been put back: the first row that fits.
    within = [(begin, end) for begin, end in map(served.moments, spans) if begin <= time_ms.max() and end >= time_ms[0]]
    windows = [
        (int(np.argmax(time_ms >= begin)), int(np.argmax(time_ms >= min(end, time_ms.max())))) for begin, end in within
    ]
    return Recording(name, time_ms, values, windows)


def worth(place):
    """Of a detection at -1, where a window begins, to 0, where it ends, and beyond."""
    return -1.0 if place >= 3 else 2 / (1 + math.exp(5 * place)) - 1


class Tally:
    """What each window and each row outside of any earned."""

    def __init__(self, recording, alerts, probation=None):
        rows = len(alerts)
        self.probation = min(int(PROBATION * rows), PROBATION_ROWS) if probation is None else probation
        self.windows = [(first, last) for first, last in recording.windows if last >= self.probation]
        self.earned = [-MISSED] * len(self.windows)
        self.false = {}  # row -> what it cost
        for row in np.flatnonzero(alerts).tolist():
            if row >= self.probation:
                self._take(row)

    def _take(self, row):
        for index, (first, last) in enumerate(self.windows):
            if first <= row <= last:
                worth_here = worth((row - last - 1) / (last - first + 1)) / worth(-1)
                self.earned[index] = max(self.earned[index], RIGHT * worth_here)
                return
        before = [(first, last) for first, last in self.windows if last < row]
        place = (row - before[-1][1]) / max(before[-1][1] - before[-1][0], 1) if before else 3
        self.false[row] = FALSE * worth(place)


def standard(earned, false):
    """100: every window found at its beginning and no false alert. 0: silence. None where there are no windows."""
    if not earned:
        return None
    null, perfect = -MISSED * len(earned), RIGHT * len(earned)
    return 100 * (sum(earned) + sum(false) - null) / (perfect - null)
