// What is asked of the past, and the shifts of a day.

const DAY_MS = 86_400_000;

/** The beginning of a day such as "2026-11-28", in ms, where local time is `offset` minutes from UTC. */
export function dayStart(day, offset) {
  return Date.parse(`${day}T00:00:00Z`) - offset * 60_000;
}

/** The query of a filter; both its days are in it. `startOf` gives a day's beginning in ms. */
export function historyQuery(filter, startOf) {
  const query = new URLSearchParams();
  for (const name of ["severity", "scene", "status", "verdict"]) if (filter[name]) query.set(name, filter[name]);
  if (filter.says.trim()) query.set("says", filter.says.trim());
  if (filter.from) query.set("raised_from_ms", startOf(filter.from));
  if (filter.to) query.set("raised_to_ms", startOf(filter.to) + DAY_MS);
  return query;
}

/** The shifts: hours of the day from and to; a night ends on the next day. */
export const SHIFTS = { day: [8, 20], night: [20, 32], whole: [0, 24] };

/** From when to when a shift of a day is, in ms. */
export function shiftSpan(day, shift, offset) {
  const [from, to] = SHIFTS[shift];
  const start = dayStart(day, offset);
  return { from_ms: start + from * 3_600_000, to_ms: start + to * 3_600_000 };
}

/** The shift that goes on, or of which one comes: its day and its name. */
export function shiftAt(ms, offset) {
  const local = new Date(ms + offset * 60_000);
  const hour = local.getUTCHours();
  const night = hour < 8 || hour >= 20;
  const day = hour < 8 ? new Date(local.getTime() - DAY_MS) : local;
  return { day: day.toISOString().slice(0, 10), shift: night ? "night" : "day" };
}
