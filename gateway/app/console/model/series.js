// Evidence as charts: which series share one, and what each says in words.

/** Whether a series is a switch: no unit, and nothing but 0 and 1. */
export function isSwitch(series) {
  return series.unit === "" && series.points.every(([, value]) => value === 0 || value === 1);
}

/**
 * The charts of a finding: channels of one burst with one unit share a chart, everything else has
 * its own. Channels of a burst are sampled at the very same moments and have no threshold.
 */
export function charts(all) {
  const grouped = [];
  for (const series of all.filter((one) => one.points.length > 0)) {
    const last = grouped.at(-1);
    if (last && together(last[0], series)) last.push(series);
    else grouped.push([series]);
  }
  return grouped;
}

function together(one, other) {
  return (
    one.unit !== "" &&
    one.unit === other.unit &&
    one.threshold === null &&
    other.threshold === null &&
    one.points.length > 2 &&
    one.points.length === other.points.length &&
    one.points[0][0] === other.points[0][0] &&
    one.points.at(-1)[0] === other.points.at(-1)[0]
  );
}

/** The points of a path: a switch holds its value until it turns, and to the end. */
export function outline(series, until) {
  if (!isSwitch(series)) return series.points;
  const stepped = [];
  for (const [at, value] of series.points) {
    const before = stepped.at(-1);
    if (before) stepped.push([at, before[1]]);
    stepped.push([at, value]);
  }
  const last = stepped.at(-1);
  if (last && until > last[0]) stepped.push([until, last[1]]);
  return stepped;
}

/** First, last, lowest and highest value of a series, and when. */
export function extremes(series) {
  const values = series.points.map(([, value]) => value);
  const [first, last] = [series.points[0], series.points.at(-1)];
  let low = values[0];
  let high = values[0];
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return { from: first[0], to: last[0], first: first[1], last: last[1], low, high };
}

/** Every so many points that at most `limit` are left, the last one always among them. */
export function thinned(points, limit) {
  if (points.length <= limit) return points;
  const step = (points.length - 1) / (limit - 1);
  return Array.from({ length: limit }, (_, index) => points[Math.round(index * step)]);
}
