// The roster as the pages show it, and a ladder's next rung.

import assert from "node:assert/strict";
import test from "node:test";
import { byUrgency } from "../model/alerts.js";
import { timeOfDay } from "../model/format.js";
import { daySlots, filled, freshId, holes, hoursOf, midnights, nextRung, toldOn, weekdayAt, wordsOf } from "../model/roster.js";

const HOUR = 3_600_000;
/** 2026-11-23T00:00+08:00, a Monday. */
const MONDAY = 1_795_363_200_000;
const CHINA = 480;
const slot = (from, to, people, overlaps = false) => ({
  from_ms: MONDAY + from * HOUR,
  to_ms: MONDAY + to * HOUR,
  people,
  overlaps,
});
const watch = {
  title: "duty_officer",
  grid: null,
  slots: [slot(0, 8, ["zhao"]), slot(8, 20, []), slot(20, 32, ["qian"]), slot(32, 48, ["qian", "sun"], true)],
};

test("a hole ahead is found, and where shifts meet", () => {
  const found = holes([watch], MONDAY + 9 * HOUR);
  assert.deepEqual(
    found.map((hole) => [hole.from_ms, hole.until, hole.people.length]),
    [
      [MONDAY + 8 * HOUR, MONDAY + 20 * HOUR, 0],
      [MONDAY + 32 * HOUR, null, 2],
    ],
  );
});

test("a night is cut at midnight, and the day ends at 24:00", () => {
  const [monday, tuesday] = midnights(MONDAY + 5 * HOUR, CHINA, 2);
  assert.deepEqual([monday, tuesday], [MONDAY, MONDAY + 24 * HOUR]);
  assert.deepEqual([weekdayAt(monday, CHINA), weekdayAt(tuesday - 1, CHINA), weekdayAt(tuesday, CHINA)], [0, 0, 1]);
  const hours = daySlots(watch.slots, monday).map((one) => hoursOf(one, (at) => timeOfDay(at, CHINA, false)));
  assert.deepEqual(hours, ["00:00–08:00", "08:00–20:00", "20:00–24:00"]);
});

test("what is typed is as the gateway takes it", () => {
  assert.deepEqual(wordsOf(" g1，g2、 g3 "), ["g1", "g2", "g3"]);
  assert.deepEqual(filled({ id: "a", phone: "", days: [], on: null, people: ["b"] }), { id: "a", people: ["b"] });
  assert.equal(freshId([{ id: "p2" }]), "p3");
});

test("the next rung is the one that will be climbed, and told is what a service took", () => {
  const rungs = [0, 1, 2].map((rung) => ({ rung, at_ms: rung > 1 ? 5 : null }));
  assert.equal(nextRung({ rung: 1, rungs }), rungs[2]);
  assert.equal(nextRung({ rung: 0, rungs }), null, "somebody has accepted it");
  assert.equal(nextRung({ rung: 2, rungs }), null);
  const told = [
    { channel: "a", rungs: [0], result: "sent" },
    { channel: "b", rungs: [0, 1], result: "waiting" },
    { channel: "c", result: "sent" },
  ];
  assert.deepEqual(toldOn(told, 0), [told[0]]);
});

test("a drill stands behind what is real", () => {
  const alert = (number, drill) => ({ severity: "critical", status: "raised", raised_at_ms: number, number, drill });
  assert.deepEqual([alert(2, true), alert(1)].sort(byUrgency).map((one) => one.number), [1, 2]);
});
