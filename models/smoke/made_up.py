"""Made-up rooms: a day and a half in which people live and nothing burns, then something does, or nothing. Air is taken
for well mixed: what is given off spreads at once, and fresh air takes it away."""

from dataclasses import dataclass

import numpy as np

EVERY_S = 15
PER_MIN = 60 // EVERY_S
PER_HOUR = 60 * PER_MIN
COUNT = 38 * PER_HOUR
# A fire begins here, and is looked at for an hour.
BEGINS = 36 * PER_HOUR
FIRES = ["smouldering", "flaming", "battery"]
NUISANCES = ["people", "cooking", "shower", "heating", "window", "spray", "sun", "moved"]


@dataclass(frozen=True)
class Room:
    values: np.ndarray  # readings × temperature °C, humidity %RH, eCO2 ppm
    fire: str | None
    nuisances: list  # (name, first reading, reading after the last)

    @property
    def time_ms(self):
        return np.arange(len(self.values)) * EVERY_S * 1000


class Air:
    """What is added to a room's air each hour, and how fast it is changed."""

    def __init__(self, random):
        self.random = random
        self.volume_m3 = np.exp(random.uniform(np.log(15), np.log(120)))
        self.changes = np.full(COUNT, np.exp(random.uniform(np.log(0.2), np.log(1.5))))
        self.gas_ppm = np.zeros(COUNT)
        self.vapour_g = np.zeros(COUNT)
        self.heat_w = np.zeros(COUNT)
        # On the sensor only: °C.
        self.on_sensor = np.zeros(COUNT)

    def lasting(self, begin, minutes):
        return slice(begin, min(begin + max(int(minutes * PER_MIN), 1), COUNT))

    def add(self, span, gas_l=0.0, vapour_g=0.0, heat_w=0.0, shape=1.0):
        """By the hour: litres of CO2 or what a sensor takes for it, grams of water; watts."""
        self.gas_ppm[span] += shape * gas_l * 1000 / self.volume_m3
        self.vapour_g[span] += shape * vapour_g / self.volume_m3
        self.heat_w[span] += shape * heat_w

    def people(self, begin, minutes):
        heads = self.random.integers(1, 2 + int(self.volume_m3 / 12))
        span = self.lasting(begin, minutes)
        self.add(span, 18 * heads, 50 * heads, 80 * heads)
        return span

    def cooking(self, begin):
        span = self.lasting(begin, self.random.uniform(10, 50))
        gas_hob = self.random.uniform() < 0.5
        self.add(span, self.random.uniform(30, 250) + 150 * gas_hob, self.random.uniform(200, 1200), 1000)
        return span

    def shower(self, begin):
        span = self.lasting(begin, self.random.uniform(4, 20))
        self.add(span, self.random.uniform(0, 40), self.random.uniform(1000, 3000), 500)
        return span

    def heating(self, begin):
        span = self.lasting(begin, self.random.uniform(20, 180))
        self.add(span, heat_w=self.volume_m3 * self.random.uniform(10, 60))
        return span

    def window(self, begin):
        span = self.lasting(begin, self.random.uniform(5, 60))
        self.changes[span] += self.random.uniform(4, 15)
        return span

    def spray(self, begin):
        """Alcohol, perfume, cleaner: gas at once and nothing else."""
        span = self.lasting(begin, self.random.uniform(0.25, 3))
        minutes = (span.stop - span.start) / PER_MIN
        self.add(span, self.volume_m3 * np.exp(self.random.uniform(np.log(50), np.log(400))) / 1000 * 60 / minutes)
        return span

    def sun(self, begin):
        span = self.lasting(begin, self.random.uniform(20, 120))
        self.on_sensor[span] += self.random.uniform(2, 12) * rising(span, self.random.uniform(3, 20))
        return span

    def moved(self, begin):
        """To a warmer or colder place, and back."""
        span = self.lasting(begin, self.random.uniform(5, 60))
        self.on_sensor[span] += self.random.uniform(-10, 10)
        return span

    def smouldering(self):
        """Grams a minute of bedding, cable, wood: gas and hardly any heat."""
        shape = ramp(BEGINS, self.random.uniform(2, 20))
        gas_l = np.exp(self.random.uniform(np.log(150), np.log(1500)))
        self.add(slice(None), gas_l, gas_l * self.random.uniform(0.1, 0.5), gas_l, shape)

    def flaming(self):
        """Grows with the square of time, up to a waste bin's or a chair's power."""
        most_kw = np.exp(self.random.uniform(np.log(10), np.log(150)))
        growth = self.random.choice([0.003, 0.012, 0.047])
        passed_s = np.clip(np.arange(COUNT) - BEGINS, 0, None) * EVERY_S
        kw = np.minimum(growth * passed_s**2, most_kw)
        # A gram burnt gives some 15 kJ, 0.8 l of CO2 and 0.5 g of water.
        grams = kw / 15 * 3600
        self.add(slice(None), 0.8, 0.5, 0.0, grams)
        self.add(slice(None), heat_w=700.0, shape=kw)

    def battery(self):
        """Cells vent in bursts, then burn."""
        for _ in range(self.random.integers(1, 5)):
            begin = BEGINS + int(self.random.uniform(0, 3) * PER_MIN)
            self.add(self.lasting(begin, self.random.uniform(0.5, 2)), self.random.uniform(1500, 8000), 300, 8000)

    def read(self, name, nuisances):
        random = self.random
        hours = np.arange(COUNT) / PER_HOUR
        outside_c = random.uniform(-5, 30) + 4 * np.sin(2 * np.pi * (hours - 9) / 24)
        room_c = random.uniform(16, 28)
        outside_g = 0.01 * random.uniform(50, 90) * saturated(outside_c)
        # Walls take most of the heat.
        watts_per_degree = 0.34 * self.volume_m3 * random.uniform(4, 10)
        gas = self.mixed(self.gas_ppm, 0.0)
        vapour = self.mixed(self.vapour_g, outside_g)
        warmth = (
            room_c
            + 0.1 * (outside_c - outside_c.mean())
            + lag(self.heat_w / watts_per_degree, random.uniform(10, 30))
            + lag((outside_c - room_c) * np.clip(self.changes - 2, 0, None) / 25, 15)
        )
        # The sensor: slow, with its own flicker and its own idea of fresh air.
        flicker = [random.uniform(0.02, 0.2), random.uniform(0.2, 2.0), random.uniform(0.002, 0.03)]
        temperature = lag(warmth, 1) + lag(self.on_sensor, 0.5) + random.normal(0, flicker[0], COUNT)
        humidity = 100 * lag(vapour, 0.5) / saturated(lag(warmth, 1) + lag(self.on_sensor, 0.5))
        humidity = np.clip(humidity + random.normal(0, flicker[1], COUNT), 1, 100)
        eco2 = 400 + random.uniform(0.5, 2) * lag(gas, random.uniform(0.25, 1.5))
        drift = 1 + 0.1 * np.sin(2 * np.pi * (hours / random.uniform(6, 30) + random.uniform()))
        eco2 = np.clip(eco2 * drift * np.exp(random.normal(0, flicker[2], COUNT)), 400, 60_000)
        values = np.column_stack([temperature.round(2), humidity.round(1), eco2.round()])
        return Room(values, name, nuisances)

    def mixed(self, given_an_hour, outside):
        outside = np.broadcast_to(outside, COUNT)
        found = np.empty(COUNT)
        now = outside[0]
        keep = np.exp(-self.changes / PER_HOUR)
        for index in range(COUNT):
            now = outside[index] + (now - outside[index]) * keep[index] + given_an_hour[index] / PER_HOUR
            found[index] = now
        return found


def room(seed, fire=None):
    air = Air(np.random.default_rng(seed))
    random = air.random
    kinds = random.choice(NUISANCES, random.integers(2, 6), replace=False)
    nuisances = []
    for kind in kinds:
        for begin in random.integers(PER_HOUR, COUNT - 2 * PER_HOUR, random.integers(1, 5)).tolist():
            span = air.people(begin, random.uniform(10, 480)) if kind == "people" else getattr(air, kind)(begin)
            nuisances.append((str(kind), span.start, span.stop))
    if fire:
        getattr(air, fire)()
    return air.read(fire, nuisances)


def saturated(celsius):
    """Water vapour that air can hold, g/m³."""
    return 216.7 * 6.112 * np.exp(17.62 * celsius / (243.12 + celsius)) / (273.15 + celsius)


def ramp(begin, minutes):
    return np.clip((np.arange(COUNT) - begin) / (minutes * PER_MIN), 0, 1)


def rising(span, minutes):
    return 1 - np.exp(-np.arange(span.stop - span.start) / (minutes * PER_MIN))


def lag(values, minutes):
    keep = np.exp(-1 / (minutes * PER_MIN))
    found = np.empty(len(values))
    now = values[0]
    for index, value in enumerate(values):
        now = keep * now + (1 - keep) * value
        found[index] = now
    return found
