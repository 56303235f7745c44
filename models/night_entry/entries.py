"""Nights as they would have been had somebody come in: real days of a place with signs added.

By kind (the seed is the place's name, the day and the number, so the same days give the same entries):

door      A door is opened; in 10 to 90 s a motion sensor or camera notices somebody, and then one of them every 30
          seconds to 3 minutes for 5 to 30 minutes; the door is heard again.
window    The same without the door: they came by where no sensor is.
again     Like `door`, and the very same happened a day earlier, within half an hour of the clock and after the days
          that were learnt from: what was learnt of the first must not hide the second.

A place without a sensor of the door has `window` only. An entry begins where, by the days before, nobody is there: the
place itself is quiet from an hour before to an hour after it; and so it was at this time of day (an hour
before to an hour after) on all earlier days of this weekday since the first, or, where there were none, on all earlier
days. So at a place that is open all night there are none, and on a day of rest there are some by day.

That is asked of the signs alone and not of what the gateway has learnt. Six are tried a day and kind; what falls on
other times is left out.
"""

import bisect
import random
from dataclasses import dataclass

from night_entry.places import DAY_MS, HOUR_MS, MINUTE_MS, visit

KINDS = ("door", "window", "again")
COPIES = 6
# An alert after that comes too late to count.
PATIENCE_MS = 10 * MINUTE_MS


@dataclass(frozen=True)
class Entry:
    kind: str
    at_ms: int
    heard: list  # of the place and of those who came in, until it is too late


def entries(place, from_ms):
    """All that are tried from a moment on."""
    made = []
    for midnight in range(from_ms // DAY_MS * DAY_MS, place.last_ms, DAY_MS):
        for kind in KINDS if "door" in place.sensors else ("window",):
            for copy in range(COPIES):
                chance = random.Random(f"{place.name} {midnight} {kind} {copy}")
                at = midnight + chance.randrange(DAY_MS)
                if from_ms <= at <= place.last_ms - HOUR_MS and is_quiet(place, at):
                    if kind != "again" or (at - DAY_MS >= from_ms and is_quiet(place, at - DAY_MS)):
                        signs = sorted(place.signs + added(place, kind, at, chance), key=first)
                        made.append(Entry(kind, at, [sign for sign in signs if sign[0] <= at + PATIENCE_MS]))
    return made


def added(place, kind, at, chance):
    sensors = [sensor for sensor in place.sensors if sensor != "door" or kind != "window"]
    signs = visit(chance, sensors, at, chance.uniform(5, 30))
    # What is heard first is the entry.
    signs = [(when - signs[0][0] + at, sensor) for when, sensor in signs]
    if kind == "again":
        before = at - DAY_MS + chance.randint(-30, 30) * MINUTE_MS
        signs += visit(chance, sensors, before, chance.uniform(5, 30))
    return signs


def is_quiet(place, at):
    """Whether nobody is there at that moment, nor ever was at such a time."""
    before = {day: is_heard(place.signs, at - day * DAY_MS) for day in range(1, (at - place.first_ms) // DAY_MS + 1)}
    known = [day for day, heard in before.items() if heard is not None]
    same = [day for day in known if day % 7 == 0] or known
    return len(same) > 0 and not any(before[day] for day in same) and is_heard(place.signs, at) is False


def is_heard(signs, at):
    """Whether somebody is heard within an hour; None where sensors were silent."""
    found = bisect.bisect_left(signs, at - HOUR_MS, key=first)
    if found == len(signs) or (signs[found][0] > at + HOUR_MS and signs[found][1]):
        return False
    return True if signs[found][1] else None


def first(sign):
    return sign[0]
