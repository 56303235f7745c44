"""Trains the night_entry model: how much each thing that a gateway learns of a place tells that somebody came in when
nobody should. Learns from made-up places, is judged by other made-up places and by the recorded office, which taught it
nothing, and writes night_entry.onnx, model.toml, golden.json and the figures in card.md.

    train.py --data DIR    DIR holds uci-occupancy/
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import plot  # noqa: E402
import served  # noqa: E402
from night_entry import golden, judge, places  # noqa: E402
from night_entry.entries import KINDS, entries  # noqa: E402
from routine import homes  # noqa: E402

KIND = "opening_v1"
# Of each feature, as far as it tells anything more.
REACH = np.array([1.0, 1.0, 60.0, 0.5, 14.0, 2.0, 2.0])
QUIET, SIGNS = places.FEATURES.index("quiet_min"), places.FEATURES.index("signs")
# What is heard sooner after the last sign is still the same visit.
BREAK_MIN = 30
TEACHERS, JUDGES = range(6), range(100, 106)
ENTRIES = 15
# Less than the one that a place may have: real ones are less regular than made-up ones.
FALSE_PER_WEEK = 0.7
# Of a device and day: a place that changes its hours has one each day.
MOST_ALERTS = 2.0


@dataclass(frozen=True)
class Model:
    weights: np.ndarray
    bias: float

    def score(self, rows):
        return 1 / (1 + np.exp(-(seen(rows) @ self.weights + self.bias)))

    def onnx(self):
        nodes = [
            ("Div", ["features", "reach"], "reached", {}),
            ("Clip", ["reached", "least", "most"], "seen", {}),
            ("MatMul", ["seen", "weights"], "weighed", {}),
            ("Add", ["weighed", "bias"], "log_odds", {}),
            ("Sigmoid", ["log_odds"], "score", {}),
        ]
        constants = {
            "reach": REACH[None],
            "least": np.float32(0),
            "most": np.float32(1),
            "weights": self.weights[:, None],
            "bias": [[self.bias]],
        }
        return served.graph("night_entry", len(REACH), nodes, constants)


def seen(rows):
    return np.clip(rows / REACH, 0, 1)


def lessons(made):
    """What every day of each place gives, as (times, rows), and the rows of entries."""
    heard, since = [], []
    for place in made:
        tried = entries(place, place.first_ms + judge.LEAST_MS)
        chosen = judge.some(tried, ENTRIES)
        heard += [place.signs] + [entry.heard for entry in chosen]
        since += [None] + [entry.at_ms for entry in chosen]
    every_day, entered = [], []
    for signs, from_ms, rows in zip(heard, since, places.rows(heard)):
        times = np.array([at for at, _ in signs])
        if from_ms is None:
            every_day.append((times, rows))
        else:
            entered.append(rows[times >= from_ms])
    return every_day, np.concatenate(entered)


def fit(every_day, entered):
    """A lone sign may be a cat: the model is asked to be sure of an entry from the second sign on."""
    usual = np.concatenate([rows for _, rows in every_day])
    usual, entered = (rows[~np.isnan(rows).any(axis=1)] for rows in (usual, entered))
    entered = entered[(entered[:, SIGNS] > 1) & (entered[:, QUIET] >= BREAK_MIN)]
    # Of business hours there is much more than of anything else.
    usual = np.concatenate([usual[usual[:, QUIET] >= BREAK_MIN], usual[usual[:, QUIET] < BREAK_MIN][::20]])
    is_entry = np.repeat([0, 1], [len(usual), len(entered)])
    rows = np.concatenate([usual, entered])
    regression = LogisticRegression(max_iter=1000, class_weight="balanced").fit(seen(rows), is_entry)
    return Model(regression.coef_[0], float(regression.intercept_[0]))


def calmed(model, made, every_day):
    """The same model, as ready to alert as even the worst kind of place bears."""
    for bias in np.arange(model.bias + 4, model.bias - 12, -0.1):
        ready = Model(model.weights, float(bias))
        told = {}
        for place, (times, rows) in zip(made, every_day):
            alerts = judge.alerts_of(times, ready.score(rows))
            weeks = (place.last_ms - place.first_ms - judge.LEAST_MS) / (7 * places.DAY_MS)
            told.setdefault(place.name.split()[0], []).append(len(alerts) / weeks)
        if max(np.mean(of_kind) for of_kind in told.values()) <= FALSE_PER_WEEK:
            return ready
    raise SystemExit("no bias is calm enough")


def main():
    asked = served.asked(__doc__, also="left aside: only made-up places teach, and DATA judges")
    office = places.office(asked.data)
    if not office:
        raise SystemExit("no uci-occupancy there; see models/README.md")
    made = [places.made_up(kind, seed) for kind in places.KINDS for seed in TEACHERS]
    every_day, entered = lessons(made)
    model = calmed(fit(every_day, entered), made, every_day)
    file = model.onnx()
    rows = np.concatenate([rows for _, rows in every_day])[::97]
    off = np.nanmax(np.abs(served.score(file, rows) - model.score(rows)))
    if off > 1e-4:
        raise SystemExit(f"the ONNX file is {off} off the model")
    golden.write(HERE / "golden.json", file)

    outcomes = {
        "": judge.outcome_of(office, model.score),
        "_any_start": judge.outcome_of([turned for place in office for turned in places.turned(place)], model.score),
        "_made_up": judge.outcome_of(
            [places.made_up(kind, seed) for kind in places.KINDS for seed in JUDGES], model.score, ENTRIES
        ),
    }
    figures = {}
    for suffix, outcome in outcomes.items():
        blocks = outcome.blocks()
        for name in ("found", "median_delay_min", "false_per_week"):
            measure = lambda some, name=name: number(judge.together(some).figures()[name])  # noqa: E731
            figures[name + suffix] = (measure(blocks), *served.interval(measure, blocks))
    # A place is a device here.
    figures["false_alerts_per_device_day"] = tuple(value / 7 for value in figures["false_per_week_any_start"])
    made_up = outcomes["_made_up"]
    most = served.highest_that_finds(made_up.found_at, [at / 100 for at in range(round(100 * judge.THRESHOLD), 100)])
    picture(made_up).write(HERE / "places.svg")
    tables = [by_kind(outcomes), by_place(made_up), besides(model, asked.data), weighed(model)]
    then = ", ".join(f"{kind} {made_up.of_kind(kind).found_at(most):.2f}" for kind in KINDS)
    tables.append(f"Threshold {judge.THRESHOLD}; a place may raise it to {most}. Made-up entries found then: {then}.")
    of_office = places.rows([place.signs for place in office])
    served.write_card(
        HERE,
        KIND,
        file,
        judge.THRESHOLD,
        described(office),
        figures,
        "\n\n".join(tables),
        usual=np.concatenate([rows[~(model.score(rows) >= judge.THRESHOLD)] for rows in of_office]),
        threshold_most=most,
        quiet=f"{judge.QUIET_MS // places.HOUR_MS}h",
        most_alerts=MOST_ALERTS,
    )


def number(value):
    return np.nan if value is None else value


def by_kind(outcomes):
    lines = ["| entries | tried | found | median delay, min |", "|--|--|--|--|"]
    for suffix, outcome in outcomes.items():
        for kind in KINDS:
            of_kind = outcome.of_kind(kind)
            told = of_kind.figures()
            where = {"": "office", "_any_start": "office, any start", "_made_up": "made-up places"}[suffix]
            lines.append(f"| {kind}, {where} | {len(of_kind.cases)} | {told['found']} | {told['median_delay_min']} |")
    return "\n".join(lines)


def by_place(outcome):
    lines = ["| made-up places, 6 each, 4 weeks | entries tried | found | false alerts a week |", "|--|--|--|--|"]
    for kind in places.KINDS:
        of_place = outcome.of_places(kind)
        told = of_place.figures()
        found = "none to find" if told["found"] is None else told["found"]
        lines.append(f"| {kind} | {len(of_place.cases)} | {found} | {told['false_per_week']} |")
    return "\n".join(lines)


def picture(outcome):
    """What is found and what is false, by kind of made-up place; where nobody ever closes there is nothing to find."""
    shorter = {"entertainment": "leisure", "internet_cafe": "cafe", "internet_cafe_by_day": "cafe by day"}
    told = {kind: outcome.of_places(kind).figures() for kind in places.KINDS}
    high = max(1.0, *(figures["false_per_week"] for figures in told.values()))
    x = plot.numbers("share, and alerts a week", 0, np.ceil(high), 0.1)
    y = plot.rows([shorter.get(kind, kind).replace("_", " ") for kind in told])
    drawn = plot.Picture("Made-up places, four weeks each", x, y, 112 + 34 * len(told))
    for figure, colour, name, off in (
        ("found", plot.GREEN, "entries found, share", -0.17),
        ("false_per_week", plot.ORANGE, "false alerts a week", 0.17),
    ):
        drawn.bars([(figures[figure] or 0, row + off) for row, figures in enumerate(told.values())], colour, name)
    return drawn


def besides(model, data):
    """What else was tried, none of which decided anything."""
    regular = [kind for kind in places.KINDS if kind not in ("hotel", "internet_cafe")]
    early = [places.made_up(kind, seed, days=8) for kind in regular for seed in JUDGES]
    first_week = judge.outcome_of(early, model.score, ENTRIES, lambda place: place.first_ms + judge.LEAST_MS).figures()
    changing = [places.made_up(kind, seed, changes=True) for kind in regular for seed in JUDGES]
    since = [
        judge.outcome_of(changing, model.score, 0, lambda place: week(place, 0)).false,
        judge.outcome_of(changing, model.score, 0, lambda place: week(place, 1)).false,
    ]
    lines = [
        f"From the fourth to the eighth day, made-up places that close: found {first_week['found']}, "
        f"{first_week['false_per_week']} false alerts a week.",
        f"Places that suddenly open {places.CHANGE_HOURS} hours earlier: "
        f"{(len(since[0]) - len(since[1])) / len(changing):.2f} alerts a place in the first week of it, "
        f"{len(since[1]) / len(changing):.2f} in the second.",
    ]
    for recorded in homes.find(data):
        signs = places.Place(recorded.name, places.home(recorded.intervals), ("door", "presence"))
        told = judge.outcome_of([signs], model.score, 0).figures()
        lines.append(f"The home {recorded.name}, which is no small place: {told['false_per_week']} alerts a week.")
    return "\n\n".join(lines)


def week(place, number):
    return places.MONDAY_MS + (places.CHANGE_DAY + 7 * number) * places.DAY_MS


def weighed(model):
    each = zip(places.FEATURES, model.weights, REACH)
    parts = [f"{name} {weight:.2f} (up to {reach:g})" for name, weight, reach in each]
    return f"Weights: {', '.join(parts)}; bias {model.bias:.2f}."


def described(office):
    return {
        "input": {
            "seconds": judge.LEARNING_MS / 1000,
            "channels": ["door or window", "motion or presence", "camera sees a person"],
            "when": "each sign of somebody, as it comes, from three days after the first; judged from a week on",
        },
        "data": {
            "source": "made-up places (places.py); judged by UCI Occupancy Detection, "
            + ", ".join(place.name for place in office),
            "terms": "CC BY 4.0 (Candanedo, 2016); not redistributed, nothing learnt from it",
            "judged_by": "days after those that were learnt from, as they were and with scripted entries (entries.py); "
            "intervals 95 %, days drawn anew",
        },
    }


if __name__ == "__main__":
    main()
