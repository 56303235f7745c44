"""Writes routine.onnx, golden.json and the figures in card.md and model.toml.next.

    train.py --data DIR    DIR holds uci-adl/

Nothing is fitted here: each home is learnt on the gateway from its own first week. What training does is to write the
score down as an ONNX file and to judge it by the recorded home, with the week that is learnt from at every place in
the recording, and by made-up homes.
"""

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from routine import card, golden, homes, judge, made_up, scorer  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    found = homes.find(parser.parse_args().data)
    if not found:
        raise SystemExit("no homes in uci-adl there; see models/README.md")
    onnx = scorer.to_onnx()
    (HERE / "routine.onnx").write_bytes(onnx)
    golden.write(HERE / "golden.json", onnx)
    as_is = judge.outcome_of(found)
    begun = [homes.beginning_with(home, night) for home in found for night in range(len(home.nights))]
    turned = judge.outcome_of(begun)
    made = {name: judge.outcome_of(some) for name, some in made_up.homes().items()}
    card.write(HERE, onnx, found, as_is, turned, made)
    print(card.table(as_is), card.table(turned), card.made_up_table(made), sep="\n\n")


if __name__ == "__main__":
    main()
