"""The SKAB recordings: a pumped water loop, one reading a second."""

from dataclasses import dataclass

import numpy as np

import served

# In the order of `loop_deviation_v1`.
COLUMNS = [
    "Pressure",
    "Volume Flow RateRMS",
    "Current",
    "Voltage",
    "Temperature",
    "Thermocouple",
    "Accelerometer1RMS",
    "Accelerometer2RMS",
]


@dataclass(frozen=True)
class Run:
    name: str
    time_ms: np.ndarray
    values: np.ndarray  # readings × COLUMNS
    faulty: np.ndarray | None  # None: the file has no labels, since nothing was done to the loop


def read(data):
    """All runs; None where there are none."""
    return served.read_all(data / "skab", (".csv",), _run)


def _run(path, name):
    head, *lines = served.text(path).splitlines()
    head = head.split(";")
    rows = [line.split(";") for line in lines if line]
    column = {title: [row[index] for row in rows] for index, title in enumerate(head)}
    values = served.numbers(column, COLUMNS)
    faulty = np.array(column["anomaly"], float) > 0 if "anomaly" in column else None
    time_ms = served.moments(column["datetime"])
    return Run(name, time_ms, values, faulty)
