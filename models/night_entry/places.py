"""Places by the signs of their doors, motion sensors and cameras: a recorded office, and small places that nobody has
recorded. What the gateway makes of them.

A place is a list of signs (at_ms, "door" | "presence" | "camera" | None), in order, in local time; None: sensors were
silent until then.

Made up, by kind (`KINDS`), each by a seed: the hours of each weekday, the day of rest, what cleaners, deliveries and
late closers do, holidays, and now and then something that nobody could foresee:

- opening and closing vary from day to day, at some places by 6 minutes and at some by half an hour, and the place's own
  hours differ by up to half an hour from those of its kind;
- while open a door is heard every half hour or so, a motion sensor every 10 minutes; some places have no camera,
  some nothing but motion sensors;
- on one evening in eight somebody stays on for up to two hours; on one in forty somebody comes back in the night;
- deliveries and cleaners come before or after hours, on their weekdays, and sometimes not at all;
- once in four weeks there is a holiday of one to three days; who `changes` opens two hours earlier from the fourth
  week on;
- a lone motion sensor is set off in the night by a draught, a cat or a headlight, once in ten days.
"""

import json
import random
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from presence import occupancy

ROOT = Path(__file__).resolve().parent.parent.parent
MINUTE_MS, DAY_MS = 60_000, 86_400_000
HOUR_MS = 60 * MINUTE_MS
MONDAY_MS = 1_767_571_200_000  # 2026-01-05
FEATURES = ("open_share", "weekday_share", "quiet_min", "odd_share", "days", "kinds", "signs")
# Recordings so far apart are of different places, or of another life of the same.
APART_MS = 7 * DAY_MS
# The gateway says nothing before.
LEAST_DAYS = 3


@dataclass(frozen=True)
class Place:
    name: str
    signs: list
    sensors: tuple

    @property
    def first_ms(self):
        return self.signs[0][0]

    @property
    def last_ms(self):
        return self.signs[-1][0]

    def day(self, at_ms):
        """The place and the date."""
        return f"{self.name} {text(at_ms)[:10]}"

    def days(self, from_ms):
        """(when, how long) it was listened to, day by day."""
        silent = [(before[0], at) for before, (at, sign) in zip(self.signs, self.signs[1:]) if sign is None]
        for start in range(from_ms, self.last_ms, DAY_MS):
            end = min(start + DAY_MS, self.last_ms)
            lost = sum(max(0, min(end, until) - max(start, since)) for since, until in silent)
            yield start, end - start - lost


def text(at_ms):
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M}"


# The recorded office: UCI Occupancy Detection, a row a minute.
SILENT_MS = 10 * MINUTE_MS
# A motion sensor tells again after so long.
AGAIN_MS = 5 * MINUTE_MS
# No sun does that in a minute: a lamp was switched.
DARK_LX, LIT_LX = 10, 150


def office(data):
    """All recordings of DATA/uci-occupancy, joined where they are adjacent in time; None where there are none.

    A door is heard when somebody comes into the empty room or leaves it empty, a motion sensor every five minutes
    while somebody is in and when a lamp is switched.
    """
    recordings = sorted(occupancy.read(data) or [], key=lambda recording: recording.time_ms.min(initial=0))
    found, ends_ms = [], None
    for recording in recordings:
        if not len(recording.time_ms):
            continue
        if ends_ms is None or recording.time_ms[0] - ends_ms > APART_MS:
            found.append([])
        found[-1].append(recording)
        ends_ms = max(ends_ms or 0, int(recording.time_ms.max()))
    return [place for group in found if (place := _joined(group))] or None


def _joined(recordings):
    rows = sorted({
        (int(at), bool(taken), float(light))
        for recording in recordings
        for at, taken, light in zip(recording.time_ms, recording.occupied, recording.values[:, 0])
    })
    signs, told_ms, before = [], 0, None
    for at, taken, light in rows:
        if before and at - before[0] > SILENT_MS:
            signs.append((at, None))
            before = None
        came_or_went = before and taken != before[1]
        switched = before and min(light, before[2]) <= DARK_LX and max(light, before[2]) >= LIT_LX
        if came_or_went:
            signs.append((at, "door"))
        if switched or taken and (came_or_went or at - told_ms >= AGAIN_MS):
            signs.append((at, "presence"))
            told_ms = at
        before = (at, taken, light)
    name = "+".join(recording.name for recording in recordings)
    return Place(name, signs, ("door", "presence")) if signs else None


def turned(place):
    """The same weeks, beginning on each of the days from the third on: what was before follows two or more whole weeks
    later, sensors being silent meanwhile."""
    later_ms = (2 + (place.last_ms - place.first_ms) // (7 * DAY_MS)) // 2 * 2 * 7 * DAY_MS
    for day in range(2, (place.last_ms - place.first_ms) // DAY_MS - LEAST_DAYS + 1):
        cut_ms = (place.first_ms // DAY_MS + day) * DAY_MS
        begins = [sign for sign in place.signs if sign[0] >= cut_ms]
        ends = [(at + later_ms, sign) for at, sign in place.signs if at < cut_ms]
        yield Place(place.name, [*begins, (place.first_ms + later_ms, None), *ends], place.sensors)


def home(recorded):
    """Signs of a home: no small place, and watched only for how it does where it does not belong."""
    starts = [(interval.start_ms, "door" if interval.location == "Maindoor" else "presence") for interval in recorded]
    return sorted(starts)


# Hours by weekday from Monday (24 and more: after midnight), then cleaners or deliveries (hour, weekdays).
KINDS = {
    "school": ([(7.0, 18.0)] * 5 + [None] * 2, [(18.8, (0, 1, 2, 3, 4))]),
    "clinic": ([(8.0, 20.5)] * 6 + [(9.0, 13.0)], [(6.5, (1, 4))]),
    "shop": ([(7.5, 22.0)] * 7, [(5.0, (0, 2, 4))]),
    "restaurant": ([None] + [(9.0, 22.5)] * 4 + [(9.0, 24.5)] * 2, [(5.8, (1, 2, 3, 4, 5, 6))]),
    "hotel": ([(0.0, 24.0)] * 7, []),
    "entertainment": ([(13.0, 26.0)] * 4 + [(13.0, 28.0)] * 2 + [(13.0, 26.0)], [(9.0, (0, 2, 4, 6))]),
    "internet_cafe": ([(0.0, 24.0)] * 7, []),
    "internet_cafe_by_day": ([(9.0, 24.0)] * 7, [(7.0, (0, 3))]),
    "beauty_bath": ([(10.0, 22.0)] + [None] + [(10.0, 22.0)] * 5, [(8.0, (0, 3, 5))]),
    "workshop": ([(7.5, 17.5)] * 6 + [None], [(19.0, (2,))]),
}


CHANGE_DAY, CHANGE_HOURS = 21, 2


def made_up(kind, seed, days=35, changes=False):
    """A place that nobody has."""
    hours, helpers = KINDS[kind]
    chance = random.Random(f"{kind} {seed}")
    sensors = chance.choice([("door", "presence", "camera"), ("door", "presence"), ("presence",)])
    own, vague = chance.uniform(-0.5, 0.5), chance.uniform(0.1, 0.5)
    holidays = set()
    for week in range(0, days, 28):
        first = week + chance.randrange(28)
        holidays |= set(range(first, first + chance.randint(1, 3)))
    signs = []
    for day in range(days):
        if chance.random() < 0.1:
            signs.append((_at(day, chance.uniform(0, 6)), "presence"))
        if hours[day % 7] is None or (day in holidays and hours[day % 7] != (0.0, 24.0)):
            continue
        opens, closes = hours[day % 7]
        if (opens, closes) != (0.0, 24.0):
            opens, closes = opens + own + chance.gauss(0, vague), closes + own + chance.gauss(0, vague)
            opens -= CHANGE_HOURS if changes and day >= CHANGE_DAY else 0
            if chance.random() < 0.125:
                closes += chance.uniform(0.3, 2)
            if chance.random() < 0.025:
                signs += visit(chance, sensors, _at(day, chance.uniform(closes + 1, max(closes + 1.5, 29))), 10)
        signs += _busy(chance, sensors, _at(day, opens), _at(day, closes))
        for hour, weekdays in helpers:
            if day % 7 in weekdays and chance.random() < 0.93:
                signs += visit(chance, sensors, _at(day, hour + own + chance.gauss(0, 0.2)), chance.uniform(5, 50))
    return Place(f"{kind} {seed}", sorted(signs), sensors)


def visit(chance, sensors, at, minutes):
    """Somebody comes, is about for a while and leaves."""
    until = at + minutes * MINUTE_MS
    signs = [(int(at), "door")] if "door" in sensors else []
    at += chance.uniform(10, 90) * 1000
    inside = [sensor for sensor in sensors if sensor != "door"]
    while True:
        signs.append((int(at), chance.choice(inside)))
        at += chance.uniform(0.5, 3) * MINUTE_MS
        if at >= until:
            return signs + ([(int(until), "door")] if "door" in sensors else [])


def _busy(chance, sensors, start, end):
    every = {"door": 30, "presence": 10, "camera": 20}
    signs = [(start, "door"), (end, "door")] if "door" in sensors else [(start, "presence"), (end, "presence")]
    for sensor in sensors:
        at = start
        while (at := at + chance.expovariate(1 / every[sensor]) * MINUTE_MS) < end:
            signs.append((int(at), sensor))
    return signs


def _at(day, hour):
    return int(MONDAY_MS + day * DAY_MS + hour * HOUR_MS)


def rows(recordings):
    """What the gateway's own code (gateway/core/examples/opening.rs) makes of lists of signs: for each one row of
    FEATURES a sign, NaN where too little has been learnt."""
    command = "cargo run --quiet --locked --package ninewatch-core --example opening".split()
    text = "".join(json.dumps(signs) + "\n" for signs in recordings)
    done = subprocess.run(command, cwd=ROOT, input=text, stdout=subprocess.PIPE, text=True, check=True)
    unknown = [np.nan] * len(FEATURES)
    answers = map(json.loads, done.stdout.splitlines())
    return [np.array([row or unknown for row in rows], np.float32).reshape(-1, len(FEATURES)) for rows in answers]
