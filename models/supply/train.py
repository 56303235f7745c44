"""Trains the supply model: there is one number to learn, how far out a channel may be. Judges it by runs it has not
seen, and writes supply.onnx, model.toml, golden.json and the figures in card.md.

    train.py --data DIR [--also DIR2]    both hold skab/
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import features  # noqa: E402
import plot  # noqa: E402
import served  # noqa: E402
from supply import skab  # noqa: E402
from supply.judge import counts, rates  # noqa: E402

KIND = "loop_deviation_v1"
LIMITS = np.round(np.arange(0.3, 3, 0.05), 2)
STEEPNESS = 4.0
QUIET_S = 600
# Of a device and day: so many times the false ones.
ALERTS_TO_FALSE = 10
FIGURES = ["f1", "far", "mar"]


def limit_of(runs):
    """The middle of the limits whose F1 is within a hundredth of the best."""
    f1 = np.array([rates([run[limit] for run in runs])["f1"] for limit in LIMITS])
    good = LIMITS[f1 > f1.max() - 0.01]
    return float(good[len(good) // 2])


def unseen(by_limit, group_of):
    """Name -> counts by the limit that was learnt from the runs of other groups."""
    found = {}
    for name, run in by_limit.items():
        others = [other for key, other in by_limit.items() if group_of(key) != group_of(name)]
        found[name] = run[limit_of(others)]
    return found


def lowest_and_highest(by_limit):
    limits = [limit_of([run for key, run in by_limit.items() if key != name]) for name in by_limit]
    return f"{min(limits)} to {max(limits)}"


def false_alerts(out, faulty):
    """Alerts in which nothing was wrong, and the days in which nothing was. What comes within QUIET_S is one."""
    faulty = np.zeros(len(out), bool) if faulty is None else faulty
    at = np.flatnonzero(out)
    alerts = np.split(at, np.flatnonzero(np.diff(at) > QUIET_S) + 1) if len(at) else []
    return sum(not faulty[alert].any() for alert in alerts), (~faulty).sum() / 86_400


def a_day(counted):
    alerts, days = np.sum(counted, axis=0)
    return float(alerts / days)


def picture(f1, pooled):
    """Name of the file -> its F1."""
    y = plot.rows(list(f1))
    drawn = plot.Picture("F1 of each file, left out of training", plot.numbers("F1", 0, 1, 0.1), y, 112 + 17 * len(f1))
    drawn.bars([(value or 0, row) for row, value in enumerate(f1.values())], plot.BLUE)
    drawn.mark_x(pooled, f"all together {pooled:.2f}")
    return drawn


def made_up():
    """Loops that nobody recorded: one steady, one whose flow sinks, one that loses a sensor and shakes."""
    usual = [0.2, 50.0, 2.0, 230.0, 70.0, 25.0, 0.1, 0.2]
    flicker = [0.1, 0.4, 0.1, 2.0, 0.1, 0.05, 0.002, 0.003]
    random = np.random.default_rng(5)
    loops = {name: usual + random.normal(0, 1, (430, 8)) * flicker for name in ("steady", "sinking", "shaking")}
    loops["sinking"][405:, 1] -= np.linspace(0, 3, 25)
    loops["shaking"][410:, 6:] *= 2
    return {name: (1000, values.round(3)) for name, values in loops.items()}


def main():
    asked = served.asked(__doc__, also="a site's own runs: learnt from, and judged by each left out")
    runs = skab.read(asked.data)
    if runs is None:
        raise SystemExit("no skab recordings there; see models/README.md")
    own = skab.read(asked.also) if asked.also else None
    runs += [replace(run, name=f"site-{run.name}") for run in own or []]
    names, rows = features.extract_series(KIND, [(run.time_ms, run.values) for run in runs])
    # In a run that is shorter than what is learnt from, nothing can be said.
    runs, rows = zip(*((run, row) for run, row in zip(runs, rows) if np.isfinite(row).any()))
    # NaN, while the loop is learnt, is never above.
    furthest = {run.name: row.max(axis=1) for run, row in zip(runs, rows)}
    faulty = {run.name: run.faulty for run in runs if run.faulty is not None}
    by_limit = {
        name: {limit: counts(furthest[name] >= limit, labels) for limit in LIMITS.tolist()}
        for name, labels in faulty.items()
    }
    limit = limit_of(list(by_limit.values()))
    faults_found = lambda other: 1 - rates([run[other] for run in by_limit.values()])["mar"]  # noqa: E731
    most = served.highest_that_finds(faults_found, [other for other in LIMITS.tolist() if other >= limit])
    normal = [row if run.faulty is None else row[~run.faulty] for run, row in zip(runs, rows)]

    kind_of = lambda name: name.split("-")[0]  # noqa: E731
    one_out, kind_out = unseen(by_limit, lambda name: name), unseen(by_limit, kind_of)
    figures = {}
    for figure in FIGURES:
        value = rates(list(one_out.values()))[figure]
        figures[figure] = (value, *served.interval(lambda drawn: rates(drawn)[figure], list(one_out.values())))
    table = ["| left out | F1 | FAR | MAR |", "|--|--|--|--|"]
    for kind in sorted({kind_of(name) for name in kind_out}):
        of_kind = rates([count for name, count in kind_out.items() if kind_of(name) == kind])
        table.append(f"| all `{kind}` | " + " | ".join(f"{of_kind[figure]:.3f}" for figure in FIGURES) + " |")
    for name, count in one_out.items():
        shown = ("–" if rate is None else f"{rate:.2f}" for rate in rates([count]).values())
        table.append(f"| {name} | " + " | ".join(shown) + " |")
    table += ["", f"Limit {limit}; of those with one file left out: {lowest_and_highest(by_limit)}."]
    table.append(f"A place may raise it to {most}.")
    for run in runs:
        if run.faulty is None:
            share = np.mean(furthest[run.name] >= limit)
            table.append(f"`{run.name}`: alarmed {share:.1%} of {len(run.values) / 3600:.1f} hours without a fault.")
    quiet = [false_alerts(furthest[run.name] >= limit, run.faulty) for run in runs]
    figures["false_alerts_per_device_day"] = (a_day(quiet), *served.interval(a_day, quiet))
    f1 = {name: rates([count])["f1"] for name, count in one_out.items()}
    picture(f1, figures["f1"][0]).write(HERE / "f1.svg")
    described = {
        "input": {
            "rate_hz": 1.0,
            "seconds": 400.0,
            "channels": [
                "pressure bar",
                "flow l/min",
                "current A",
                "voltage V",
                "motor temperature °C",
                "water temperature °C",
                "vibration 1 g",
                "vibration 2 g",
            ],
            "when": "each reading; the first 400 are learnt from, and a channel may be missing",
        },
        "data": {
            # What the names begin with says whose it is: `site-` is a site's own.
            "source": "SKAB (waico/SKAB at b2c0d46): " + ", ".join(sorted(run.name for run in runs)),
            "terms": "GPL-3.0: learnt a limit from and evaluated on, not redistributed",
            "judged_by": "leave one file out, readings counted as by the leaderboard; intervals 95 %, files drawn anew",
        },
    }
    file = served.furthest("supply", len(names), limit, STEEPNESS)
    served.write(
        HERE,
        KIND,
        file,
        0.5,
        made_up(),
        described,
        figures,
        "\n".join(table),
        usual=np.concatenate(normal),
        threshold_most=served.furthest_at(most, limit, STEEPNESS),
        quiet=f"{QUIET_S // 60}m",
        most_alerts=max(1, round(ALERTS_TO_FALSE * a_day(quiet))),
        also=own and asked.also,
    )


if __name__ == "__main__":
    main()
