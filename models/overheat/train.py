"""Trains the overheat model: the one number to learn, how far beyond its records a temperature must be, is learnt from
made-up quiet machines. Judges it by NAB, and writes overheat.onnx, model.toml, golden.json and the figures in card.md.

    train.py --data DIR    DIR holds nab/
"""

import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import features  # noqa: E402
import plot  # noqa: E402
import served  # noqa: E402
from overheat import made_up, nab  # noqa: E402
from overheat.judge import AGAIN_MS, alerts, standard  # noqa: E402

KIND = "temperature_records_v1"
MACHINES = 60
# What a quiet machine may cost.
FALSE_A_MONTH = 0.5
THRESHOLD = 0.5
STEEPNESS = 10.0
# So far beyond the margin the score is 1, but for one in ten thousand: no threshold lies higher.
REACH = 9.0 / STEEPNESS
# Of a device and day: half of what one that is out of the usual all day leads to, and far more than is false.
MOST_ALERTS = 1.0
SCORE_TICKS = [(tenth / 10, f"{tenth / 10:g}") for tenth in range(0, 11, 2)]
MARGINS = np.round(np.arange(0, 3, 0.05), 2).tolist()


def furthest(rows):
    """After each reading how far out the feature is that is furthest out; -inf while too little has been learnt."""
    return [np.nan_to_num(row, nan=-np.inf).max(axis=1) for row in rows]


def every(count, minutes):
    return np.arange(count) * minutes * 60_000


def false_a_day(time_ms, quiet, margin):
    """Of each machine."""
    return [alerts(time_ms, out >= margin).sum() / (made_up.DAYS - 8) for out in quiet]


def with_faults(machines):
    """Name of the fault -> a series each machine: 60 quiet days, then 4 with the fault."""
    begins, ends = 60 * made_up.PER_DAY, 64 * made_up.PER_DAY
    found = {}
    for values, swing in machines:
        month = values[begins - 28 * made_up.PER_DAY : begins]
        for name, added in made_up.faults(swing, np.ptp(month), ends - begins).items():
            broken = values[:ends].copy()
            broken[begins:] += added
            found.setdefault(name, []).append((every(ends, made_up.EVERY_MIN), broken[:, None]))
    return found, begins


def picture(recording, out, margin, tally, told):
    """The score over time with NAB's windows, and the alerts that it led to."""
    days = (recording.time_ms - recording.time_ms[0]) / 86_400_000
    first = recording.time_ms[0].astype("datetime64[ms]").astype("datetime64[D]")
    ticks = [(day, str(first + day)) for day in range(0, int(days[-1]) + 1, 14)]
    title = f"Score of {recording.name}, and alerts"
    drawn = plot.Picture(title, plot.Axis("date", 0, days[-1], ticks), plot.Axis("score", 0, 1.1, SCORE_TICKS))
    for begin, end in recording.windows:
        drawn.band(days[begin], days[end], "labelled by NAB as anomalous")
    # The highest of each quarter of a day.
    scores = 1 / (1 + np.exp(-(np.clip(out, -4, 4) - margin) * STEEPNESS))
    quarters = np.split(np.arange(len(days)), np.flatnonzero(np.diff(days * 4 // 1)) + 1)
    drawn.line([(days[quarter[0]], scores[quarter].max()) for quarter in quarters], plot.BLUE, "score")
    at = np.flatnonzero(told)
    for false, colour, name in ((False, plot.GREEN, "alert"), (True, plot.ORANGE, "false alert")):
        drawn.dots([(days[row], 1.05) for row in at if (row in tally.false) == false], colour, name)
    drawn.mark_y(THRESHOLD, f"threshold {THRESHOLD}")
    return drawn


def golden():
    """Nobody's temperatures, every half hour: a usual day after nine, a rise, a fall."""
    at_h = np.arange(10 * 48) / 2
    usual = 60 + 4 * np.sin(2 * np.pi * at_h / 24) + np.random.default_rng(3).normal(0, 0.3, len(at_h))
    late = np.clip(at_h - 230, 0, None)
    series = {"usual_day": usual, "rise": usual + 2 * late, "fall": usual - 3 * late}
    return {name: (1_800_000, values.round(2)[:, None]) for name, values in series.items()}


def main():
    asked = served.asked(__doc__, also="left aside: the margin is learnt from made-up machines, not from recorded ones")
    recordings = nab.read(asked.data)
    if recordings is None:
        raise SystemExit("no nab recordings there; see models/README.md")

    machines = [made_up.quiet(seed) for seed in range(MACHINES)]
    time_ms = every(made_up.DAYS * made_up.PER_DAY, made_up.EVERY_MIN)
    names, rows = features.extract_series(KIND, [(time_ms, values[:, None]) for values, _ in machines])
    quiet = furthest(rows)
    usual = np.concatenate([row[:: 4 * made_up.PER_HOUR] for row in rows])
    false = {margin: false_a_day(time_ms, quiet, margin) for margin in MARGINS}
    margin = next(margin for margin in MARGINS if 30 * np.mean(false[margin]) <= FALSE_A_MONTH)

    table = ["| made-up fault | found within 4 days | median delay |", "|--|--|--|"]
    broken, begins = with_faults(machines[: MACHINES // 2])
    peaks = []
    for name, series in broken.items():
        after = [out[begins:] for out in furthest(features.extract_series(KIND, series)[1])]
        peaks += [out.max() for out in after]
        delays = [np.flatnonzero(out >= margin)[:1] for out in after]
        hours = [delay[0] / made_up.PER_HOUR for delay in delays if len(delay)]
        delay = f"{np.median(hours):.1f} h" if hours else "–"
        table.append(f"| {name} | {len(hours)} of {len(series)} | {delay} |")
    faults_found = lambda other: np.mean(np.array(peaks) >= other)  # noqa: E731
    most = served.highest_that_finds(faults_found, [other for other in MARGINS if margin <= other <= margin + REACH])
    table += ["", f"Margin {margin}, in usual days' swings; a place may raise it to {most}."]

    outs = furthest(features.extract_series(KIND, [(each.time_ms, each.values) for each in recordings])[1])
    by_margin = {}
    for other in sorted({margin, 0.1, 0.2, 0.3, 0.4, 0.6}):
        told = [alerts(recording.time_ms, out >= other) for recording, out in zip(recordings, outs)]
        by_margin[other] = [nab.Tally(recording, alert) for recording, alert in zip(recordings, told)]
    table += ["", "| margin | NAB standard | windows found | false alerts |", "|--|--|--|--|"]
    for other, tallies in by_margin.items():
        earned = [part for tally in tallies for part in tally.earned]
        wrong = sum(len(tally.false) for tally in tallies)
        hits = sum(part > -nab.MISSED for part in earned)
        table.append(f"| {other} | {standard(tallies):.1f} | {hits} of {len(earned)} | {wrong} |")

    tallies = by_margin[margin]
    told = alerts(recordings[0].time_ms, outs[0] >= margin)
    picture(recordings[0], outs[0], margin, tallies[0], told).write(HERE / "scores.svg")
    windows = [("window", part) for tally in tallies for part in tally.earned]
    days = [
        ("day", [cost for row, cost in tally.false.items() if recording.time_ms[row] // 86_400_000 == day])
        for recording, tally in zip(recordings, tallies)
        for day in np.unique(recording.time_ms // 86_400_000)
    ]

    def drawn_score(blocks):
        earned = [part for what, part in blocks if what == "window"]
        costs = [cost for what, part in blocks if what == "day" for cost in part]
        # Days are drawn with the windows: as many false alerts a window as there were.
        score = nab.standard(earned, np.array(costs) * len(earned) / len(windows))
        return np.nan if score is None else score

    costs = [len(part) for what, part in days]

    figures = {
        "nab_standard": (standard(tallies), *served.interval(drawn_score, windows + days)),
        "false_alerts_per_device_day": (np.mean(costs), *served.interval(np.mean, costs)),
        "false_alerts_per_made_up_quiet_day": (np.mean(false[margin]), *served.interval(np.mean, false[margin])),
    }
    described = {
        "input": {
            "rate_hz": 0.0033,
            "seconds": 691_200.0,
            "channels": ["temperature °C"],
            "when": "each reading, from the ninth day on; every 1 to 30 minutes",
        },
        "data": {
            "source": "made-up machines (made_up.py); judged by NAB (numenta/NAB at ea702d7): "
            + ", ".join(recording.name for recording in recordings),
            "terms": "NAB's data: MIT; not redistributed",
            "judged_by": "NAB's standard profile, of alerts 12 h apart; intervals 95 %, windows and days drawn anew",
        },
    }
    file = served.furthest("overheat", len(names), margin, STEEPNESS)
    served.write(
        HERE,
        KIND,
        file,
        THRESHOLD,
        golden(),
        described,
        figures,
        "\n".join(table),
        usual=usual,
        threshold_most=served.furthest_at(most, margin, STEEPNESS),
        quiet=f"{AGAIN_MS // 3_600_000}h",
        most_alerts=MOST_ALERTS,
    )


if __name__ == "__main__":
    main()
