// Who is on duty when, and who is told next: what the pages make of the roster and of a ladder.

const DAY_MS = 86_400_000;

/** The local midnights from that before `at` on, so many. */
export function midnights(at, offset, days) {
  const shift = offset * 60_000;
  const first = Math.floor((at + shift) / DAY_MS) * DAY_MS - shift;
  return Array.from({ length: days }, (_, day) => first + day * DAY_MS);
}

/** The day of the week of a moment: 0 is Monday. */
export function weekdayAt(at, offset) {
  return (Math.floor((at + offset * 60_000) / DAY_MS) + 3) % 7;
}

/** What of the slots lies in the day that begins at `midnight`. */
export function daySlots(slots, midnight) {
  const end = midnight + DAY_MS;
  return slots
    .filter((slot) => slot.from_ms < end && slot.to_ms > midnight)
    .map((slot) => ({ ...slot, from_ms: Math.max(slot.from_ms, midnight), to_ms: Math.min(slot.to_ms, end) }));
}

/**
 * The times ahead at which nobody is on duty or shifts meet, soonest first. `until` is `null` where that is further
 * ahead than the gateway looks.
 */
export function holes(watches, at) {
  return watches
    .flatMap(({ title, grid, slots }) =>
      slots
        .filter((slot) => slot.to_ms > at && (slot.people.length === 0 || slot.overlaps))
        .map((slot) => ({ title, grid, ...slot, until: slot === slots.at(-1) ? null : slot.to_ms })),
    )
    .sort((one, other) => one.from_ms - other.from_ms);
}

/** "08:00–20:00" of a slot, where `timeOf` gives a moment's time of day. The end of a day is 24:00. */
export function hoursOf(slot, timeOf) {
  const end = timeOf(slot.to_ms);
  return `${timeOf(slot.from_ms)}–${end === "00:00" ? "24:00" : end}`;
}

/** An id that nobody of the roster has. */
export function freshId(people) {
  const taken = new Set(people.map((person) => person.id));
  let number = people.length + 1;
  while (taken.has(`p${number}`)) number += 1;
  return `p${number}`;
}

/** Words that are written with commas or spaces between. */
export function wordsOf(text) {
  return text.split(/[\s,，、;；]+/).filter(Boolean);
}

/** A thing without what is empty in it: as the gateway takes it. */
export function filled(thing) {
  const says = (value) => value !== "" && value !== null && !(Array.isArray(value) && value.length === 0);
  return Object.fromEntries(Object.entries(thing).filter(([, value]) => says(value)));
}

/** Of a ladder: the rung that is climbed next, if any is. */
export function nextRung({ rung, rungs }) {
  return rungs.find((one) => one.rung === rung + 1 && one.at_ms !== null) ?? null;
}

/** What was told on a rung: by which channel, when, whom it called. */
export function toldOn(notifications, rung) {
  return notifications.filter((one) => one.rungs?.includes(rung) && ["sent", "digest"].includes(one.result));
}
