// Scales and ticks of a chart.

/** Maps `domain` linearly onto `range`. */
export function linear([from, to], [low, high]) {
  const span = to - from || 1;
  return (value) => low + ((value - from) / span) * (high - low);
}

/** Round ticks that cover a domain, about `count` of them. */
export function ticks(from, to, count = 4) {
  if (!(to > from)) return [from];
  const rough = (to - from) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((times) => times * power).find((one) => one >= rough) ?? 10 * power;
  const first = Math.ceil(from / step - 1e-9);
  const last = Math.floor(to / step + 1e-9);
  const all = [];
  for (let index = first; index <= last; index += 1) all.push(Number((index * step).toPrecision(12)));
  return all;
}

const SPANS_S = [
  0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800,
  604_800,
];

/** Ticks at round local times, about `count` of them, and the span between them in ms. */
export function timeTicks(from, to, offsetMin, count = 5) {
  const rough = (to - from) / 1000 / count;
  const step = (SPANS_S.find((one) => one >= rough) ?? SPANS_S.at(-1)) * 1000;
  const shift = offsetMin * 60_000;
  const all = [];
  for (let at = Math.ceil((from + shift) / step) * step; at <= to + shift; at += step) all.push(at - shift);
  return { at: all, step };
}

/** The domain of values with some air, taking a threshold in; a quantity that is never negative stays so. */
export function domain(values, threshold = null) {
  const all = threshold === null ? values : [...values, threshold];
  let low = Infinity;
  let high = -Infinity;
  for (const value of all) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (!Number.isFinite(low)) return [0, 1];
  const air = (high - low || Math.abs(high) || 1) * 0.12;
  const from = low - air;
  return [low >= 0 && from < 0 ? 0 : from, high + air];
}
