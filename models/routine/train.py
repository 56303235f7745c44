"""Writes routine.onnx, golden.json and the figures in card.md and model.toml.

    train.py --data DIR    DIR holds uci-adl/

Nothing is fitted here: each home is learnt on the gateway from its own first week. What training does is to write the
score down as an ONNX file and to judge it by the recorded home, with the week that is learnt from at every place in
the recording, and by made-up homes.
"""

import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import served  # noqa: E402
from routine import golden, homes, judge, made_up, scorer, tables  # noqa: E402

# Of a home and day: its four kinds once each, where less than one in ten days is false.
MOST_ALERTS = 4.0


def main():
    asked = served.asked(__doc__, also="left aside: nothing is learnt here, each home is learnt on the gateway")
    found = homes.find(asked.data)
    if not found:
        raise SystemExit("no homes in uci-adl there; see models/README.md")
    onnx = scorer.to_onnx()
    (HERE / "routine.onnx").write_bytes(onnx)
    golden.write(HERE / "golden.json", onnx)
    as_is = judge.outcome_of(found)
    begun = [homes.beginning_with(home, night) for home in found for night in range(len(home.nights))]
    turned = judge.outcome_of(begun)
    made = {name: judge.outcome_of(some) for name, some in made_up.homes().items()}
    days = homes.watch([(home.intervals, home.first_ms + judge.LEARNING_MS, home.last_ms) for home in begun])
    most = served.highest_that_finds(turned.found_at, [at / 100 for at in range(round(100 * scorer.THRESHOLD), 100)])
    figures = {}
    for outcome, suffix in ((as_is, ""), (turned, "_any_week")):
        spans = tables.intervals(outcome)
        figures |= {name + suffix: (value, *spans[name]) for name, value in outcome.figures().items()}
    tables.picture(turned).write(HERE / "delays.svg")
    served.write_card(
        HERE,
        scorer.KIND,
        onnx,
        scorer.THRESHOLD,
        described(found),
        figures,
        tables.all_of(as_is, turned, made)
        + f"\n\nThreshold {scorer.THRESHOLD}; a place may raise it to {most}: nine in ten are found no more than "
        f"{judge.LATER_MIN} minutes later.",
        usual=np.array([features for rows in days for *_, features in rows], np.float32),
        threshold_most=most,
        most_alerts=MOST_ALERTS,
    )


def described(found):
    return {
        "input": {
            "seconds": judge.LEARNING_MS / 1000,
            "channels": ["bed", "bedroom", "bathroom", "food", "kitchen", "seat", "living room", "main door", "others"],
            "when": "every five minutes, for each thing that goes on in a home, from a week after its first event",
        },
        "data": {
            "source": "UCI, ADLs Recognition Using Binary Sensors, " + ", ".join(home.name for home in found),
            "terms": "CC BY 4.0: Ordóñez, de Toledo and Sanchis, Sensors 2013, 13(5), 5460-5477",
            "judged_by": "days after the week that was learnt from, real and perturbed (perturb.py); intervals 95 %, "
            "days drawn anew",
        },
    }


if __name__ == "__main__":
    main()
