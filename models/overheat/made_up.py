"""Made-up machines: quiet ones, from which the margin is learnt, and faults that an operator would want to hear of."""

import numpy as np

EVERY_MIN = 15
PER_HOUR = 60 // EVERY_MIN
PER_DAY = 24 * PER_HOUR
DAYS = 120


def quiet(seed):
    """A machine's temperature in °C for DAYS days in which nothing is wrong, and its usual day's swing."""
    random = np.random.default_rng(seed)
    hours = np.arange(DAYS * PER_DAY) / PER_HOUR
    swing = np.exp(random.uniform(np.log(1), np.log(20)))
    # Daily round, less on free days.
    free = random.choice([1.0, random.uniform(0, 1)])
    weekday = (hours // 24 % 7 < 5) + free * (hours // 24 % 7 >= 5)
    round_ = 0.5 * swing * np.sin(2 * np.pi * (hours / 24 + random.uniform()))
    season = random.uniform(0, 4) * np.sin(2 * np.pi * (hours / 24 / 365 + random.uniform()))
    flicker = random.uniform(0.05, 0.5) * swing * wander(random, len(hours), random.choice([0.5, 3, 12, 36]))
    # Stops, after which it cools by its own time.
    running = np.ones(len(hours))
    for start in np.flatnonzero(random.uniform(size=len(hours)) < random.choice([0, 0.3, 2]) / PER_DAY):
        running[start : start + int(PER_HOUR * random.uniform(0.5, 10))] = 0
    drop = random.uniform(0.5, 3) * swing * (1 - slowly(running, 2 * PER_HOUR))
    level = random.uniform(20, 80)
    return np.round(level + weekday * round_ + season + flicker - drop, 1), swing


def wander(random, count, lasting_h):
    """Spread 1, forgets within `lasting_h`."""
    keep = np.exp(-1 / (lasting_h * PER_HOUR))
    steps = random.normal(0, np.sqrt(1 - keep**2), count)
    values = np.empty(count)
    last = random.normal()
    for index, step in enumerate(steps):
        last = keep * last + step
        values[index] = last
    return values


def slowly(values, lasting):
    result = np.empty(len(values))
    last = values[0]
    for index, value in enumerate(values):
        last += (value - last) / lasting
        result[index] = last
    return result


def faults(swing, span, count):
    """Name -> what is added after the fault began. `span`: from the lowest to the highest of the month before."""
    at_h = np.arange(count) / PER_HOUR
    return {
        "rises over 3 days by its month's span": span * np.clip(at_h / 72, 0, 1),
        "is hotter at once by its month's span": np.full(count, span),
        "is hotter at once by half of it": np.full(count, span / 2),
        "is hotter for 1 hour by twice its month's span": 2 * span * (at_h < 1),
        "cools to below all it was, by its month's span": -span * (1 - np.exp(-at_h / 2)),
        "climbs a usual day's swing a day": swing * at_h / 24,
    }
