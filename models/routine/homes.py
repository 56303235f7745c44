"""Recordings of homes as UCI's "ADLs Recognition Using Binary Sensors" has them, and what the gateway makes of them."""

import json
import re
import subprocess
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
MINUTE_MS, DAY_MS = 60_000, 86_400_000
# Sleep broken for less goes on.
BREAK_MS = 60 * MINUTE_MS
# Shorter sleep is a nap.
NIGHT_MS = 180 * MINUTE_MS


@dataclass(frozen=True)
class Interval:
    """A sensor reports somebody from start to end."""

    start_ms: int
    end_ms: int
    location: str
    kind: str
    room: str

    def until(self, end_ms):
        return Interval(self.start_ms, min(self.end_ms, end_ms), self.location, self.kind, self.room)

    def since(self, start_ms):
        return Interval(max(self.start_ms, start_ms), self.end_ms, self.location, self.kind, self.room)


@dataclass(frozen=True)
class Home:
    name: str
    intervals: list  # in order
    nights: list  # (asleep_ms, risen_ms), as somebody has labelled them
    moved: tuple = (0, 0)  # what lies from the first on was recorded so many ms earlier

    @property
    def first_ms(self):
        return self.intervals[0].start_ms

    @property
    def last_ms(self):
        return max(interval.end_ms for interval in self.intervals)

    def date(self, at_ms):
        """The home and the date on which that was recorded."""
        border_ms, moved_ms = self.moved
        at_ms -= moved_ms if at_ms >= border_ms else 0
        return f"{self.name} {datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d}"


def find(data):
    """All homes in DATA/uci-adl: of each `<name>_Sensors.txt`, and `<name>_ADLs.txt` where somebody has written it.
    Without it the days can be judged as they were, but not as they might have been."""
    homes = []
    for sensors in sorted((data / "uci-adl").glob("*_Sensors.txt")):
        homes.append(read(sensors, sensors.with_name(sensors.name.replace("_Sensors", "_ADLs"))))
    return [home for home in homes if home.intervals]


def read(sensors, labels):
    heard = [(start, max(start, end), words) for start, end, words in lines(sensors) if len(words) >= 3]
    intervals = [Interval(start, end, *words[:3]) for start, end, words in heard]
    labelled = lines(labels) if labels.exists() else []
    asleep = [(start, end) for start, end, words in labelled if words[:1] == ["Sleeping"] and end > start]
    nights = []
    for start, end in sorted(asleep):
        if nights and start - nights[-1][1] < BREAK_MS:
            nights[-1] = (nights[-1][0], max(end, nights[-1][1]))
        else:
            nights.append((start, end))
    in_order = sorted(intervals, key=lambda interval: (interval.start_ms, interval.end_ms))
    return Home(sensors.name.removesuffix("_Sensors.txt"), in_order, [n for n in nights if n[1] - n[0] >= NIGHT_MS])


def beginning_with(home, night):
    """The same days, beginning with another night: the days before it follow after the last."""
    cut_ms = home.nights[night][0] - 30 * MINUTE_MS
    moved_ms = -(-(home.nights[-1][1] - home.nights[0][0]) // DAY_MS) * DAY_MS
    later = [i for i in home.intervals if i.start_ms >= cut_ms]
    earlier = [
        replace(i, start_ms=i.start_ms + moved_ms, end_ms=i.end_ms + moved_ms)
        for i in home.intervals
        if i.start_ms < cut_ms
    ]
    nights = home.nights[night:] + [(asleep + moved_ms, risen + moved_ms) for asleep, risen in home.nights[:night]]
    return Home(home.name, later + earlier, nights, (home.first_ms + moved_ms, moved_ms))


def lines(path):
    """Start and end in ms of local time, and the words after them; headings and broken lines are left out."""
    moment = r"(\d{4}-\d\d?-\d\d?\s+\d\d?:\d\d:\d\d)"
    for line in path.read_text("utf-8", errors="replace").splitlines():
        found = re.match(rf"\s*{moment}\s+{moment}\s+(.*)", line)
        if not found:
            continue
        try:
            start, end = (int(local(found[part]).timestamp() * 1000) for part in (1, 2))
        except ValueError:  # no such day
            continue
        yield start, end, found[3].split()


def local(text):
    return datetime.strptime(" ".join(text.split()), "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)


def watch(recordings):
    """What the gateway's own code (gateway/core/examples/routine.rs) watches, every five minutes.

    recordings: (intervals, from_ms, until_ms); of each a list of (at_ms, kind, since_ms, features).
    """
    command = "cargo run --quiet --locked --package ninewatch-core --example routine".split()
    text = "".join(json.dumps(recording(*one)) + "\n" for one in recordings)
    done = subprocess.run(command, cwd=ROOT, input=text, stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def recording(intervals, from_ms, until_ms):
    edges = [(i.start_ms, 1, i) for i in intervals] + [(i.end_ms, 0, i) for i in intervals]
    # An end comes after its own beginning, and before what begins at the same moment.
    edges.sort(key=lambda edge: (edge[0], edge[1] if edge[2].start_ms < edge[2].end_ms else 2 - edge[1]))
    events = [[at, i.location, i.kind, i.room, bool(on)] for at, on, i in edges]
    return {"events": events, "from_ms": from_ms, "until_ms": until_ms}
