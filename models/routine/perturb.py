"""Days as they would have been had something happened: real days of a home, changed from one moment on.

By kind (the seed is the home's name, the day and the number of the scenario, so the same days give the same scenarios):

not_up            From the moment when the person really got up nothing is heard any more. Even scenarios: the bed stays
                  taken; odd: it does not, somebody lies beside it.
long_bathroom     A real visit to the bathroom, drawn at random, does not end: nothing else is heard from the end of its
                  last sensor on. Odd scenarios: a bathroom sensor is heard for a moment every 5 to 20 minutes.
night_wandering   At a random moment, from 45 minutes after falling asleep to two hours before getting up, the person
                  leaves the bed for 45 to 90 minutes, and every 2 to 8 minutes one of the home's sensors is
                  heard, none of the bedroom or the main door.
no_meal           Nothing is heard from the kitchen from getting up to the next night's sleep. It begins when the first
                  sensor of the kitchen would have been heard.

A delay counts from the moment at which the day is first another than the real one: nobody could know earlier.
Truth comes from the labels (when somebody slept) and the rooms' names, not from what the gateway takes a sensor for.
"""

import random
from dataclasses import dataclass, replace

from routine.homes import MINUTE_MS, Interval

HOUR_MS = 60 * MINUTE_MS
KINDS = ("not_up", "long_bathroom", "night_wandering", "no_meal")
# After that an alert comes too late to count.
PATIENCE_MS = 6 * HOUR_MS


@dataclass(frozen=True)
class Scenario:
    kind: str
    night: int  # the night that the day began with
    intervals: list
    onset_ms: int
    until_ms: int


def scenarios(home, night, copies):
    """All that could have happened on the day that began with a night."""
    makers = {"not_up": not_up, "long_bathroom": long_bathroom, "night_wandering": night_wandering, "no_meal": no_meal}
    for kind, make in makers.items():
        for copy in range(copies):
            if kind == "no_meal" and copy:
                continue  # nothing in it is left to chance
            chance = random.Random(f"{home.name} {home.nights[night][1]} {kind} {copy}")
            made = make(home, night, copy, chance)
            if made:
                intervals, onset_ms, until_ms = made
                intervals = sorted(intervals, key=lambda interval: interval.start_ms)
                yield Scenario(kind, night, intervals, onset_ms, until_ms)


def not_up(home, night, copy, chance):
    risen = home.nights[night][1]
    # The label's moment and the bed's differ by a little; nothing of getting up may be left.
    stays = [i for i in home.intervals if i.start_ms < risen - 5 * MINUTE_MS]
    last_heard = (i for i in stays if is_in(i, "bed") and i.end_ms > risen - 30 * MINUTE_MS)
    in_bed = max(last_heard, key=lambda i: i.end_ms - i.start_ms, default=None)
    until = risen + PATIENCE_MS
    changed = [i.until(risen) for i in stays]
    if in_bed and copy % 2 == 0:
        changed[stays.index(in_bed)] = replace(in_bed, end_ms=until)
    return changed, risen, until


def long_bathroom(home, night, copy, chance):
    start, end = day_of(home, night)
    visits = bathroom_visits([i for i in home.intervals if start <= i.start_ms < end])
    if not visits:
        return None
    entered, left = chance.choice(visits)
    until = left + PATIENCE_MS
    before = [i for i in home.intervals if i.start_ms < entered or (i.start_ms <= left and is_in(i, "bath"))]
    changed = [i.until(left) for i in before]
    sensors = distinct(i for i in home.intervals if is_in(i, "bath"))
    at = left
    while copy % 2:
        at += chance.randint(5 * MINUTE_MS, 20 * MINUTE_MS)
        if at >= until:
            break
        changed.append(moment(chance.choice(sensors), at, chance))
    return changed, left, until


def night_wandering(home, night, copy, chance):
    asleep, risen = home.nights[night]
    first, last = asleep + 45 * MINUTE_MS, risen - 120 * MINUTE_MS
    elsewhere = ("bed", "entrance", "maindoor")
    sensors = distinct(i for i in home.intervals if not any(is_in(i, word) for word in elsewhere))
    if last <= first or not sensors:
        return None
    start = chance.randint(first, last)
    end = start + chance.randint(45 * MINUTE_MS, 90 * MINUTE_MS)
    changed = []
    for interval in home.intervals:
        changed += [part for part in (interval.until(start), interval.since(end)) if part.start_ms < part.end_ms]
        if interval.start_ms == interval.end_ms and not start <= interval.start_ms < end:
            changed.append(interval)
    at = start + MINUTE_MS
    while at < end:
        changed.append(moment(chance.choice(sensors), at, chance))
        at += chance.randint(2 * MINUTE_MS, 8 * MINUTE_MS)
    return changed, start, end + 15 * MINUTE_MS


def no_meal(home, night, copy, chance):
    start, end = day_of(home, night)
    kitchen = [i for i in home.intervals if start <= i.start_ms < end and is_in(i, "kitchen")]
    if not kitchen:
        return None
    left_out = set(kitchen)
    return [i for i in home.intervals if i not in left_out], kitchen[0].start_ms, end


def day_of(home, night):
    """From getting up to the next night's sleep."""
    risen = home.nights[night][1]
    later = [asleep for asleep, _ in home.nights if asleep > risen]
    return risen, min([*later, home.last_ms, risen + 20 * HOUR_MS])


def bathroom_visits(intervals):
    """(entered, left): from the bathroom's first sensor to the end of its last, or to when another room is heard."""
    visits, inside = [], None
    for interval in intervals:
        if is_in(interval, "bath"):
            inside = (inside[0], max(inside[1], interval.end_ms)) if inside else (interval.start_ms, interval.end_ms)
        elif inside:
            visits.append((inside[0], min(inside[1], interval.start_ms)))
            inside = None
    return visits


def is_in(interval, word):
    """Whether the room's name has the word in it; a room that has none goes by what the sensor is fixed to."""
    return word in f"{interval.room} {interval.location}".lower()


def distinct(intervals):
    return sorted({(i.location, i.kind, i.room) for i in intervals})


def moment(sensor, at, chance):
    return Interval(at, at + chance.randint(2_000, 40_000), *sensor)
