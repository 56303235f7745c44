"""The figures with their intervals, as tables, and a picture of the delays."""

import numpy as np

import plot
from routine import homes, judge, perturb

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


def all_of(as_is, turned, made):
    sections = [
        f"The first week learnt from, all later days judged ({sum(length for _, length in as_is.days):.1f} days):",
        table(as_is),
        f"Any week learnt from, the other days judged ({sum(length for _, length in turned.days):.0f} days in all):",
        table(turned),
        "False there: " + (", ".join(sorted({f"{kind} on {date}" for date, kind in turned.false})) or "none") + ".",
        made_up_table(made),
    ]
    return "\n\n".join(sections)


def picture(outcome):
    """How many of each kind are found within a time."""
    hours = plot.numbers("minutes since it began", 0, perturb.PATIENCE_MS / homes.MINUTE_MS, 30)
    drawn = plot.Picture("Found within so many minutes, any week learnt from", hours, plot.numbers("share", 0, 1, 0.2))
    for kind, colour in zip(perturb.KINDS, (plot.BLUE, plot.ORANGE, plot.GREEN, plot.VIOLET), strict=True):
        cases = outcome.of_kind(kind).cases
        share, points = 0.0, [(0, 0)]
        for delay in sorted(case.delay_min for case in cases if case.delay_min is not None):
            delay = min(delay, hours.high)
            points += [(delay, share), (delay, share := share + 1 / len(cases))]
        drawn.line([*points, (hours.high, share)], colour, kind.replace("_", " "))
    return drawn
