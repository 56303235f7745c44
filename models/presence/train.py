"""Trains the presence model: how bright a room is when somebody is in, and what CO2 adds to that. Judges it by days and
by a recording that it has not seen, and writes presence.onnx, model.toml, golden.json and the figures in card.md.

    train.py --data DIR [--also DIR2]    both hold uci-occupancy/
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import features  # noqa: E402
import plot  # noqa: E402
import served  # noqa: E402
from presence import occupancy  # noqa: E402
from presence.judge import share, stays  # noqa: E402

KIND = "room_signs_v1"
# Light says more the farther it is from where it turns, up to this far: lamps burn brighter and weaker.
REACH_LX = 80.0
THRESHOLD = 0.5
QUIET_MIN = 15
# Of a device and day: so many times the false ones.
ALERTS_TO_FALSE = 10


@dataclass(frozen=True)
class Model:
    turn_lx: float
    weights: np.ndarray  # of light, of CO2
    bias: float

    def score(self, rows):
        return 1 / (1 + np.exp(-(seen(rows, self.turn_lx) @ self.weights + self.bias)))

    def onnx(self):
        nodes = [
            ("Sub", ["features", "middle"], "off", {}),
            ("Div", ["off", "reach"], "reached", {}),
            ("Clip", ["reached", "least", "most"], "seen", {}),
            ("MatMul", ["seen", "weights"], "weighed", {}),
            ("Add", ["weighed", "bias"], "log_odds", {}),
            ("Sigmoid", ["log_odds"], "score", {}),
        ]
        # CO2 reaches as far as the gateway lets it.
        constants = {
            "middle": [[self.turn_lx, 0.0]],
            "reach": [[REACH_LX, 20.0]],
            "least": np.float32(-1),
            "most": np.float32(1),
            "weights": (self.weights * [1.0, 20.0])[:, None],
            "bias": [[self.bias]],
        }
        return served.graph("presence", 2, nodes, constants)


def seen(rows, turn_lx):
    return np.column_stack([np.clip((rows[:, 0] - turn_lx) / REACH_LX, -1, 1), rows[:, 1]])


def fit(rows, occupied):
    turn_lx = best_turn(rows[:, 0], occupied)
    regression = LogisticRegression().fit(seen(rows, turn_lx), occupied)
    return Model(turn_lx, regression.coef_[0], float(regression.intercept_[0]))


def best_turn(light, occupied):
    """Halfway between the two values between which the fewest minutes are on the wrong side."""
    order = np.argsort(light, kind="stable")
    light = light[order]
    gain = np.cumsum(np.where(occupied[order], -1, 1))
    last_of_value = np.append(np.diff(light) > 0, False)
    best = int(np.argmax(np.where(last_of_value, gain, -len(light))))
    return round(float(light[best] + light[best + 1]) / 2, 1)


def rows_of(recordings):
    return features.extract_series(KIND, [(recording.time_ms, recording.values) for recording in recordings])[1]


def together(recordings):
    """All readings as one recording, and their features; without those of which there are none."""
    rows = np.concatenate(rows_of(recordings))
    known = ~np.isnan(rows).any(axis=1)
    parts = (np.concatenate([getattr(r, part) for r in recordings]) for part in ("time_ms", "values", "occupied"))
    return occupancy.Recording(occupancy.TRAINING, *(part[known] for part in parts)), rows[known]


def golden():
    """Rooms that nobody recorded: dark, lit and breathed in, lit with nobody in."""
    at = np.arange(90)
    dark = np.column_stack([np.zeros(90), 420 + at % 3])
    lit = np.column_stack([np.where(at > 30, 450 + at % 7, 20), 450 + 6 * np.clip(at - 30, 0, None)])
    left = np.column_stack([np.full(90, 370) + at % 5, 900 - 4 * at])
    return {name: (60_000, room.astype(float)) for name, room in (("dark", dark), ("lit", lit), ("left_lit", left))}


def main():
    asked = served.asked(__doc__, also="a site's own rooms: learnt from, and judged by each day left out")
    recordings = occupancy.read(asked.data) or []
    training, others = ([r for r in recordings if (r.name == occupancy.TRAINING) == wanted] for wanted in (True, False))
    if not training:
        raise SystemExit(f"no uci-occupancy/{occupancy.TRAINING} there; see models/README.md")
    own = (occupancy.read(asked.also) if asked.also else None) or []
    room, known = together(training + own)

    table = ["| day left out | minutes | accuracy |", "|--|--|--|"]
    scores = np.zeros(len(known))
    for day in np.unique(room.day):
        mine = room.day == day
        scores[mine] = fit(known[~mine], room.occupied[~mine]).score(known[mine])
    unseen = scores >= THRESHOLD
    for day in np.unique(room.day):
        mine = room.day == day
        accuracy = share(unseen[mine] == room.occupied[mine])
        table.append(f"| {np.datetime64(int(day), 'D')} | {mine.sum()} | {accuracy:.3f} |")

    people_found = lambda threshold: (scores[room.occupied] >= threshold).mean()  # noqa: E731
    most = served.highest_that_finds(people_found, np.round(np.arange(THRESHOLD, 1, 0.01), 2).tolist())
    whole_days = [day for day in np.unique(room.day) if (room.day == day).sum() >= 1000]
    worst = min(whole_days, key=lambda day: (unseen == room.occupied)[room.day == day].mean())
    picture(room, scores, worst, most).write(HERE / "day.svg")
    model = fit(known, room.occupied)
    blocks, right = [], []
    for recording, row in zip(others, rows_of(others)):
        said = model.score(row) >= THRESHOLD
        hits = said == recording.occupied
        blocks += [hits[recording.day == day] for day in np.unique(recording.day)]
        right += stays(said, recording.occupied)
    pooled = lambda drawn: float(np.concatenate(drawn).mean())  # noqa: E731
    days = [(unseen == room.occupied)[room.day == day] for day in np.unique(room.day)]
    empty = [unseen[(room.day == day) & ~room.occupied] for day in np.unique(room.day)]
    figures = {
        "accuracy_days_left_out": (pooled(days), *served.interval(pooled, days)),
        "false_share_when_empty": (pooled(empty), *served.interval(pooled, empty)),
    }
    if blocks:
        figures = {"accuracy": (pooled(blocks), *served.interval(pooled, blocks))} | figures
        figures["accuracy_by_stay"] = (np.mean(right), *served.interval(np.mean, right))
    told = alerts_per_day(unseen, room)
    figures["false_alerts_per_device_day"] = (np.mean(told), *served.interval(np.mean, told))
    of_light, of_co2 = model.weights
    table += ["", f"Light turns at {model.turn_lx} lx; weights {of_light:.3f} and {of_co2:.3f}, bias {model.bias:.3f}."]
    table.append(f"Threshold {THRESHOLD}; a place may raise it to {most}.")

    file = model.onnx()
    off = np.abs(served.score(file, known) - model.score(known)).max()
    if off > 1e-4:
        raise SystemExit(f"the ONNX file is {off} off the model")
    described = {
        "input": {
            "rate_hz": 0.0167,
            "seconds": 1800.0,
            "channels": ["light lx", "co2 ppm"],
            "when": "each reading, every minute or so; CO2 may be missing",
        },
        "data": {
            "source": f"UCI Occupancy Detection, {occupancy.TRAINING}"
            + (f"; a site's own: {', '.join(recording.name for recording in own)}" if own else "")
            + f"; judged by {', '.join(recording.name for recording in others)}",
            "terms": "CC BY 4.0 (Candanedo, 2016); not redistributed",
            "judged_by": "minutes of other days, and of days left out of training; intervals 95 %, days drawn anew",
        },
    }
    served.write(
        HERE,
        KIND,
        file,
        THRESHOLD,
        golden(),
        described,
        figures,
        "\n".join(table),
        usual=known[~room.occupied],
        threshold_most=most,
        quiet=f"{QUIET_MIN}m",
        most_alerts=max(1, round(ALERTS_TO_FALSE * np.mean(told))),
        also=own and asked.also,
    )


def picture(room, scores, day, most):
    """The score over a day that was left out, and when somebody was in."""
    mine = room.day == day
    hours = (room.time_ms[mine] - day * 86_400_000) / 3_600_000
    title = f"{np.datetime64(int(day), 'D')}, left out of training: the day with the lowest accuracy"
    drawn = plot.Picture(title, plot.numbers("hour", 0, 24, 2), plot.numbers("score", 0, 1, 0.2))
    for stay in np.split(np.arange(mine.sum()), np.flatnonzero(np.diff(room.occupied[mine].astype(int))) + 1):
        if room.occupied[mine][stay[0]]:
            drawn.band(hours[stay[0]], hours[stay[-1]], "somebody is in")
    drawn.line(zip(hours[::3], scores[mine][::3]), plot.BLUE, "score")
    drawn.mark_y(THRESHOLD, f"threshold {THRESHOLD}")
    drawn.mark_y(most, f"at most {most}")
    return drawn


def alerts_per_day(said, room):
    """For each day, how often it said that somebody came when nobody was in; told once in QUIET_MIN at most."""
    found = []
    for day in np.unique(room.day):
        false = np.flatnonzero(said & ~room.occupied & (room.day == day))
        found.append(int((np.diff(false, prepend=-1000) > QUIET_MIN).sum()))
    return found


if __name__ == "__main__":
    main()
