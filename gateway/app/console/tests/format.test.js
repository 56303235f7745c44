// Times in the gateway's local time, spans, numbers.

import assert from "node:assert/strict";
import test from "node:test";
import { moment, number, offsetMinutes, quantity, span, ticking, timeOfDay } from "../model/format.js";

const CHINA = 480;
const AT = Date.UTC(2026, 10, 23, 23, 30, 5);

test("an offset is read as the gateway writes it", () => {
  assert.equal(offsetMinutes("+08:00"), CHINA);
  assert.equal(offsetMinutes("-03:30"), -210);
  assert.equal(offsetMinutes("soon"), 0);
  assert.equal(offsetMinutes(undefined), 0);
});

test("the time of day is the gateway's, wherever the browser is", () => {
  assert.equal(timeOfDay(AT, CHINA), "07:30:05");
  assert.equal(timeOfDay(AT, 0), "23:30:05");
  assert.equal(timeOfDay(AT, CHINA, false), "07:30");
});

test("another day is named", () => {
  assert.equal(moment("zh", AT, AT + 3_600_000, CHINA), "07:30");
  assert.equal(moment("zh", AT, AT + 86_400_000, CHINA), "11月24日 07:30");
  assert.equal(moment("en", AT, AT + 86_400_000, CHINA, true), "24 Nov 07:30:05");
  // An hour ago, but before midnight.
  const midnight = Date.UTC(2026, 10, 23, 16, 0, 0);
  assert.equal(moment("en", midnight - 1000, midnight, CHINA), "23 Nov 23:59");
});

test("ages tick", () => {
  assert.equal(ticking(0), "0:00");
  assert.equal(ticking(65_900), "1:05");
  assert.equal(ticking(3_600_000 * 27 + 61_000), "27:01:01");
  assert.equal(ticking(-5000), "0:00");
});

test("spans are in a unit that says enough", () => {
  assert.equal(span("zh", 94_000), "94 秒");
  assert.equal(span("en", 5 * 60_000), "5 min");
  assert.equal(span("en", 5 * 3_600_000), "5 h");
  assert.equal(span("zh", 3 * 86_400_000), "3 天");
});

test("numbers have as many digits as they deserve", () => {
  assert.equal(number(158.26), "158");
  assert.equal(number(36.74), "36.7");
  assert.equal(number(2.104), "2.1");
  assert.equal(number(0.3124), "0.312");
  assert.equal(number(-0.0501), "-0.05");
  assert.equal(number(NaN), "—");
  assert.equal(quantity(21, "°C"), "21 °C");
  assert.equal(quantity(1, ""), "1");
});
