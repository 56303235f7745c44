// What is asked of the past: days, shifts, queries.

import assert from "node:assert/strict";
import test from "node:test";
import { dayStart, historyQuery, shiftAt, shiftSpan } from "../model/history.js";

const CHINA = 480;
const at = (text) => Date.parse(`${text}+08:00`);

test("a day is the gateway's, and both days of a filter are in it", () => {
  assert.equal(dayStart("2026-11-28", CHINA), at("2026-11-28T00:00:00"));
  const filter = { says: " 烟 ", severity: "critical", scene: "", status: "", verdict: "", from: "2026-11-27", to: "2026-11-28" };
  const query = historyQuery(filter, (day) => dayStart(day, CHINA));
  assert.deepEqual(Object.fromEntries(query), {
    severity: "critical",
    says: "烟",
    raised_from_ms: String(at("2026-11-27T00:00:00")),
    raised_to_ms: String(at("2026-11-29T00:00:00")),
  });
});

test("after midnight the shift is still last night's", () => {
  assert.deepEqual(shiftAt(at("2026-11-28T03:00:00"), CHINA), { day: "2026-11-27", shift: "night" });
  assert.deepEqual(shiftAt(at("2026-11-28T08:00:00"), CHINA), { day: "2026-11-28", shift: "day" });
  assert.deepEqual(shiftAt(at("2026-11-28T20:00:00"), CHINA), { day: "2026-11-28", shift: "night" });
  assert.deepEqual(shiftSpan("2026-11-28", "night", CHINA), {
    from_ms: at("2026-11-28T20:00:00"),
    to_ms: at("2026-11-29T08:00:00"),
  });
});
