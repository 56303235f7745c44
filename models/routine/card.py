"""The figures with their intervals, and the files that state them."""

import hashlib
import re

import numpy as np

from routine import judge, perturb, scorer

VERSION = "1.0.0"
DRAWS = 2000


def intervals(outcome):
    """Figure -> (low, high), 95 %, by drawing the recorded days anew."""
    days = sorted({day for day, _ in outcome.days} | {case.date for case in outcome.cases})
    parts = [outcome.of_dates([day]) for day in days]
    drawn = np.random.default_rng(0).integers(0, len(days), (DRAWS, len(days)))
    sums = [judge.together(parts[index] for index in row).figures() for row in drawn]
    spans = {}
    for figure in sums[0]:
        values = [figures[figure] for figures in sums if figures[figure] is not None]
        spans[figure] = tuple(np.quantile(values, [0.025, 0.975])) if values else (0.0, 0.0)
    return spans


def rows(outcome):
    """(what, figures, intervals): of all kinds and of each."""
    for what in ("all", *perturb.KINDS):
        of_kind = outcome if what == "all" else outcome.of_kind(what)
        yield what, of_kind.figures(), intervals(of_kind)


def table(outcome):
    lines = ["| | scenarios | found | median delay, min | false alerts a home-week |", "|--|--|--|--|--|"]
    for what, figures, spans in rows(outcome):
        count = len((outcome if what == "all" else outcome.of_kind(what)).cases)
        cells = [
            f"{figures[name]:.{digits}f} ({spans[name][0]:.{digits}f} to {spans[name][1]:.{digits}f})"
            for name, digits in (("detected", 3), ("median_delay_min", 0), ("false_per_week", 2))
        ]
        lines.append(f"| {what} | {count} | {' | '.join(cells)} |")
    return "\n".join(lines)


def made_up_table(made):
    head = "| four made-up homes, three weeks each | found | median delay, min | false alerts a home-week |"
    lines = [head, "|--|--|--|--|"]
    for name, outcome in made.items():
        figures = outcome.figures()
        kinds = ", ".join(f"{kind} {outcome.of_kind(kind).figures()['detected']:.2f}" for kind in perturb.KINDS)
        found = f"{figures['detected']:.3f} ({kinds})"
        lines.append(f"| {name} | {found} | {figures['median_delay_min']:.0f} | {figures['false_per_week']:.2f} |")
    return "\n".join(lines)


def write(folder, onnx, found, as_is, turned, made):
    toml = MODEL_TOML.format(
        version=VERSION,
        sha256=hashlib.sha256(onnx).hexdigest(),
        threshold=scorer.THRESHOLD,
        homes=", ".join(home.name for home in found),
        figures="\n".join(figure_lines(as_is, "") + figure_lines(turned, "_any_week")),
    )
    (folder / "model.toml.next").write_text(toml, "utf-8")
    path = folder / "card.md"
    marks = r"(<!-- figures: written by train.py -->\n).*(<!-- end of figures -->)"
    sections = [
        f"The first week learnt from, all later days judged ({sum(length for _, length in as_is.days):.1f} days):",
        table(as_is),
        f"Any week learnt from, the other days judged ({sum(length for _, length in turned.days):.0f} days in all):",
        table(turned),
        "False there: " + (", ".join(sorted({f"{kind} on {date}" for date, kind in turned.false})) or "none") + ".",
        made_up_table(made),
    ]
    text = "\n" + "\n\n".join(sections) + "\n\n"
    path.write_text(re.sub(marks, lambda m: m[1] + text + m[2], path.read_text("utf-8"), flags=re.DOTALL), "utf-8")


def figure_lines(outcome, suffix):
    figures, spans = outcome.figures(), intervals(outcome)
    return [
        f"{name}{suffix} = {{ value = {value:.4f}, low = {spans[name][0]:.4f}, high = {spans[name][1]:.4f} }}"
        for name, value in figures.items()
    ]


MODEL_TOML = """\
# Written by train.py. What it means and who must not rely on it: card.md. The gateway does not serve it yet: it becomes
# model.toml when it does.

name = "routine"
version = "{version}"
file = "routine.onnx"
sha256 = "{sha256}"
features = "routine_v1"
threshold = {threshold}

[input]
values = ["minutes", "usual_min", "spread_min", "least_min"]
when = "every five minutes, for each thing that goes on in a home, from a week after its first event"

[data]
source = "UCI, ADLs Recognition Using Binary Sensors, {homes}"
terms = "CC BY 4.0: Ordóñez, de Toledo and Sanchis, Sensors 2013, 13(5), 5460-5477"
judged_by = "days after the week that was learnt from, real and perturbed (perturb.py); intervals 95 %, days drawn anew"

[figures]
{figures}
"""
