"""The UCI "Occupancy Detection" recordings: an office, a reading a minute."""

import csv
from dataclasses import dataclass

import numpy as np

import served

# In the order of `room_signs_v1`.
COLUMNS = ["Light", "CO2"]
TRAINING = "datatraining"


@dataclass(frozen=True)
class Recording:
    name: str
    time_ms: np.ndarray
    values: np.ndarray  # readings × COLUMNS
    occupied: np.ndarray

    @property
    def day(self):
        return self.time_ms // 86_400_000


def read(data):
    """All recordings; None where there are none."""
    return served.read_all(data / "uci-occupancy", (".txt", ".csv"), _recording)


def _recording(path, name):
    head, *rows = csv.reader(served.text(path).splitlines())
    # Each row begins with its number, for which the head has no name.
    column = {title: [row[index - len(head)] for row in rows if row] for index, title in enumerate(head)}
    return Recording(
        name,
        served.moments(column["date"]),
        served.numbers(column, COLUMNS),
        np.array(column["Occupancy"], float) > 0,
    )
