"""Homes that nobody lives in: other hours, other sensors, other habits than the recorded ones. They prove nothing about
people; they show where the method breaks, and give the gateway's tests a home that may be published."""

import random

from routine.homes import DAY_MS, MINUTE_MS, Home, Interval

MONDAY_MS = 1_767_571_200_000  # 2026-01-05
SENSORS = {
    "bed": ("Bed", "Pressure", "Bedroom"),
    "bedroom": ("Door", "PIR", "Bedroom"),
    "bathroom door": ("Door", "PIR", "Bathroom"),
    "basin": ("Basin", "PIR", "Bathroom"),
    "toilet": ("Toilet", "Flush", "Bathroom"),
    "kitchen door": ("Door", "PIR", "Kitchen"),
    "fridge": ("Fridge", "Magnetic", "Kitchen"),
    "stove": ("Stove", "Electric", "Kitchen"),
    "living": ("Door", "PIR", "Living"),
    "sofa": ("Sofa", "Pressure", "Living"),
    "main door": ("Maindoor", "Magnetic", "Entrance"),
}


class Life:
    """Writes down what the sensors of a home hear while somebody lives on, minute by minute."""

    def __init__(self, seed, without=(), days=21, toilets=0.7):
        self.chance = random.Random(seed)
        self.without = without
        self.toilets = toilets
        self.bed_min, self.rise_min = self.chance.gauss(23.3 * 60, 50), self.chance.gauss(7.8 * 60, 50)
        self.drift_min = self.chance.gauss(0, 2)
        self.spread_min = self.chance.uniform(15, 45)
        self.intervals, self.nights = [], []
        self.now = MONDAY_MS + 18 * 60 * MINUTE_MS
        for day in range(days):
            self.evening(MONDAY_MS + day * DAY_MS, day)
        self.home = Home(f"made up {seed}", sorted(self.intervals, key=lambda i: i.start_ms), self.nights)

    def hear(self, sensor, minutes=0.3):
        start = self.now
        self.now += int(minutes * MINUTE_MS)
        if sensor not in self.without:
            self.intervals.append(Interval(start, self.now, *SENSORS[sensor]))

    def wait(self, least, most):
        self.now += int(self.chance.uniform(least, most) * MINUTE_MS)

    def bathroom(self, least, most):
        self.hear("bathroom door")
        end = self.now + self.chance.uniform(least, most) * MINUTE_MS
        while self.now < end:
            self.hear("basin", self.chance.uniform(0.2, 2))
            self.wait(0.3, 4)
        if self.chance.random() < 0.8:
            self.hear("toilet", 0.2)
        self.hear("bathroom door")

    def kitchen(self, minutes):
        self.hear("kitchen door")
        end = self.now + minutes * MINUTE_MS
        while self.now < end:
            self.hear(self.chance.choice(["fridge", "stove", "kitchen door"]), self.chance.uniform(0.1, 2))
            self.wait(0.3, 5)

    def living(self, minutes):
        self.hear("living")
        end = self.now + minutes * MINUTE_MS
        while self.now < end:
            self.hear("sofa", self.chance.uniform(5, min(120, max(6, (end - self.now) / MINUTE_MS))))
            self.wait(0.2, 3)
            if self.chance.random() < 0.3:
                self.hear("living")

    def evening(self, midnight, day):
        """The night that begins on this day, and the day after it."""
        late = 50 if day % 7 in (4, 5) else 0
        late += day * self.drift_min
        bed = midnight + (self.bed_min + late + self.chance.gauss(0, self.spread_min)) * MINUTE_MS
        rise = midnight + DAY_MS + (self.rise_min + late) * MINUTE_MS
        rise += self.chance.gauss(0, self.spread_min) * MINUTE_MS
        rise = max(rise, bed + 5 * 60 * MINUTE_MS)
        if bed > self.now:
            self.living((bed - self.now) / MINUTE_MS)
        self.bathroom(3, 10)
        self.night(rise)
        self.bathroom(5, 25)
        self.wait(0, 20)
        if self.chance.random() < 0.95:
            self.kitchen(self.chance.uniform(5, 25))
        self.daytime(midnight + DAY_MS + 21 * 60 * MINUTE_MS)

    def night(self, rise):
        asleep = self.now
        while self.now < rise:
            up = self.now + self.chance.expovariate(self.toilets / 240) * MINUTE_MS
            end = int(min(up, rise))
            self.hear("bedroom")
            self.hear("bed", max(1, (end - self.now) / MINUTE_MS))
            if self.now >= rise - 40 * MINUTE_MS:
                break
            self.hear("bedroom")
            self.bathroom(1, 6)
        self.nights.append((asleep, self.now))
        self.hear("bedroom")

    def daytime(self, until):
        while self.now < until:
            what = self.chance.random()
            if what < 0.15 and self.now < until - 300 * MINUTE_MS:
                self.hear("main door", 0.1)
                self.wait(20, 260)
                self.hear("main door", 0.1)
            elif what < 0.35:
                self.kitchen(self.chance.uniform(1, 40))
            elif what < 0.6:
                self.bathroom(1, 8)
            elif what < 0.65:
                self.hear("bedroom")
                self.hear("bed", self.chance.uniform(20, 70))
            else:
                self.living(self.chance.uniform(15, 110))


def homes():
    """By what is different about them: four homes each."""
    but_motion = ("bed", "fridge", "stove", "sofa", "toilet")
    kinds = {
        "all sensors": {},
        "often up at night": {"toilets": 2.0},
        "no bed sensor": {"without": ("bed",)},
        "motion sensors and the main door": {"without": but_motion},
        "nothing in the bedroom": {"without": ("bed", "bedroom")},
    }
    return {
        name: [Life(seed, **kind).home for seed in range(4 * number, 4 * number + 4)]
        for number, (name, kind) in enumerate(kinds.items())
    }
