"""The WEDA-FALL recordings, as a bracelet would have felt them: 50 samples a second, six channels.

What is odd about them, and mended here:

* The watch delivered late: times are those of delivery, in lumps, and whole packets of about 20 samples
  came after later ones or never. The samples themselves are 49.6 a second.
* The falls in the folder `50Hz` have lost every fifth row; the activities have not. A model would learn to
  tell falls by that. So every fifth sample of the activities is taken away too, and all are filled in alike.
  A site's own bursts have lost nothing, falls or not, and are left as they are.
"""

import csv
import io
import lzma
import re
import sys
import tarfile
from dataclasses import dataclass

import numpy as np

import served

# Median over all activities: rows by the time between the first and the last.
WATCH_HZ = 49.6
# Between the 39.7 of the falls and the 49.6 of the activities.
THINNED_BELOW_HZ = 45
# Of the falls the row after each fourth is lost: there turn rates jump by 1.39 of the mean jump (median over the
# falls), and elsewhere by 0.80 to 0.94; in the activities no place stands out.
KEPT, OF = 4, 5
# A packet that was lost leaves more than this; late ones catch up within 25 samples.
GAP_S = 0.25
CATCH_UP = 25

RECORDING = re.compile(r"(?:^|/)50Hz/([FD]\d\d)/([US]\d+)_(R\d+)_(accel|gyro)\.csv$")
FALL_TIMES = "fall_timestamps.csv"


@dataclass(frozen=True)
class Trial:
    """One trial of one movement by one subject."""

    movement: str  # F01 to F08 are falls, D01 to D11 daily activities; F00 and D00 of a site
    subject: str  # U01 to U14 young, U21 to U31 aged 77 to 95; S1 and so on a site's wearers, of any age
    number: str
    signal: np.ndarray  # samples × (ax, ay, az in m/s², gx, gy, gz in rad/s), WATCH_HZ
    fall_s: tuple[float, float] | None  # when the fall began and ended, if the data says so

    @property
    def is_fall(self):
        return self.movement.startswith("F")

    @property
    def is_elder(self):
        return self.subject >= "U21"

    @property
    def is_young(self):
        return "U01" <= self.subject < "U21"

    @property
    def name(self):
        return f"{self.movement}/{self.subject}_{self.number}"


def find(data):
    """The folder with the recordings in or at `data`; None where there is none."""
    if (data / "weda-fall").is_dir():
        return data / "weda-fall"
    return data if (data / "50Hz").is_dir() or any(data.glob("weda-fall*.tar.xz")) else None


def read(folder, thin_activities=True):
    """All trials in `folder`, unpacked or as a tar.xz, by name. One that cannot be read is left out and told.

    `thin_activities=False` leaves the activities as they were recorded.
    """
    texts = _texts(folder)
    falls = _fall_times(texts.pop(FALL_TIMES, ""))
    trials = []
    for (movement, subject, number), files in sorted(texts.items()):
        name = f"{movement}/{subject}_{number}"
        try:
            accel, gyro = (_table(files.get(sensor)) for sensor in ("accel", "gyro"))
        except ValueError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
            continue
        signal = _signal(accel, gyro, thin_activities and subject.startswith("U"))
        trials.append(Trial(movement, subject, number, signal, falls.get(name)))
    return trials


def _texts(folder):
    """(movement, subject, number) -> sensor -> what is in the file; and the times of falls."""
    if any(folder.glob("**/50Hz/*/*.csv")):
        files = ((path.relative_to(folder).as_posix(), path.read_bytes) for path in folder.rglob("*.csv"))
        return _sorted_out(files)
    texts = {}
    for archive in sorted(folder.glob("*.tar.xz")):
        try:
            with tarfile.open(archive) as tar:
                members = (member for member in tar if member.isfile())
                texts |= _sorted_out((member.name, tar.extractfile(member).read) for member in members)
        except (tarfile.TarError, lzma.LZMAError, OSError, EOFError) as error:
            print(f"{archive.name} is left out: {error}", file=sys.stderr)
    return texts


def _sorted_out(files):
    texts = {}
    for path, read in files:
        if match := RECORDING.search(path):
            texts.setdefault(match.groups()[:3], {})[match[4]] = read().decode("utf-8-sig", "replace")
        elif path.endswith(FALL_TIMES):
            texts[FALL_TIMES] = read().decode("utf-8-sig", "replace")
    return texts


def _fall_times(text):
    rows = csv.DictReader(io.StringIO(text))
    try:
        return {row["filename"]: (float(row["start_time"]), float(row["end_time"])) for row in rows}
    except served.UNREADABLE as error:
        print(f"{FALL_TIMES} is left out: {error!r}", file=sys.stderr)
        return {}


def _table(text):
    """Rows of: time in s, x, y, z."""
    if text is None:
        raise ValueError("it has no accelerations or no turn rates")
    table = np.loadtxt(io.StringIO(text), delimiter=",", skiprows=1, ndmin=2)
    if table.shape[1:] != (4,) or len(table) < 2 * CATCH_UP or not np.isfinite(table).all():
        raise ValueError(f"a file holds {len(table)} rows; {2 * CATCH_UP} of 4 numbers are the least")
    return table


def _signal(accel, gyro, thin_activities):
    placed = [_placed(table, thin_activities) for table in (accel, gyro)]
    length = 1 + min(int(index[-1]) for index, _ in placed)
    channels = [np.interp(np.arange(length), index, column) for index, values in placed for column in values.T]
    return np.column_stack(channels)


def _placed(table, thin_activities):
    """Where in the trial each sample belongs, counted in samples, and the samples."""
    rows = np.arange(len(table))
    if (len(table) - 1) / np.ptp(table[:, 0]) < THINNED_BELOW_HZ:
        rows = rows + rows // KEPT
    elif thin_activities:
        rows = rows[rows % OF != KEPT]
        table = table[rows]
    # Lost rows come and go with the packet of the row before them.
    index = np.arange(rows[-1] + 1)
    row_of = np.searchsorted(rows, index, side="right") - 1
    order = np.argsort(table[row_of, 0], kind="stable")
    kept = np.isin(index, rows)[order]
    times = table[row_of[order], 0]
    place = index + _lost_packets(times)
    return place[kept], table[row_of[order][kept], 1:]


def _lost_packets(times):
    """How many samples were lost before each one."""
    late = times - np.arange(len(times)) / WATCH_HZ
    soon = np.lib.stride_tricks.sliding_window_view(late, CATCH_UP).min(axis=1)
    lost = np.zeros(len(times), int)
    total = 0
    for index, delay in enumerate(soon):
        if delay - soon[0] - total / WATCH_HZ > GAP_S:
            total = round((delay - soon[0]) * WATCH_HZ)
        lost[index] = total
    lost[len(soon) :] = total
    return lost
