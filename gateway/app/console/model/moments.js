// The moments of an alert that a chart marks.

import { isSwitch } from "./series.js";

/** Steps of a life that a chart marks. */
const STEPS = ["raised", "escalated", "accepted", "dispatched", "handled", "closed", "undone"];
/** Closer than this, a step is the finding itself. */
const SAME_MS = 1_000;

/** When a series went over its limit, or a switch turned, for the last time until `at`; `null` where it did not. */
export function began(series, at) {
  const points = series.points.filter(([time]) => time <= at);
  const last = points.at(-1);
  if (!last || (series.threshold === null && !isSwitch(series))) return null;
  const side = (value) => (series.threshold === null ? value : value >= series.threshold);
  const before = points.findLastIndex(([, value]) => side(value) !== side(last[1]));
  return before < 0 ? null : points[before + 1][0];
}

/** What of a finding and of the alert's life is marked, by time, as `{at, key, by}`; `key` is a sentence of the dictionary. */
export function moments(series, foundAt, life) {
  const begun = series && began(series, foundAt);
  const steps = life
    .filter(({ kind, at_ms: at }) => STEPS.includes(kind) && !(kind === "raised" && Math.abs(at - foundAt) < SAME_MS))
    .map(({ kind, at_ms: at, by }) => ({ at, key: `change.${kind}`, by }));
  const all = [
    ...(begun && begun < foundAt
      ? [{ at: begun, key: isSwitch(series) ? "chart.turned" : "chart.passed", by: null }]
      : []),
    { at: foundAt, key: "chart.found", by: null },
    ...steps,
  ];
  return all.sort((one, other) => one.at - other.at);
}
