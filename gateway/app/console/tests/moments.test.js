// What a chart of evidence marks.

import assert from "node:assert/strict";
import test from "node:test";
import { began, moments } from "../model/moments.js";

const curve = (points, threshold = null, unit = "ppm") => ({ field: "co_ppm", unit, points, threshold });
const step = (kind, at_ms, by = null) => ({ kind, at_ms, by });

test("a condition began when the limit was passed for the last time", () => {
  const points = [10, 60, 20, 55, 70].map((value, second) => [second * 1000, value]);
  assert.equal(began(curve(points, 50), 4000), 3000);
  assert.equal(began(curve(points, 50), 1500), 1000);
  assert.equal(began(curve(points, 5), 4000), null, "it was over it all the time");
  assert.equal(began(curve(points), 4000), null, "without a limit nobody knows");
  assert.equal(began(curve([], 50), 4000), null);
});

test("a switch began when it turned", () => {
  assert.equal(
    began(
      curve(
        [
          [0, 0],
          [1000, 1],
          [2000, 1],
        ],
        null,
        "",
      ),
      2000,
    ),
    1000,
  );
});

test("the life stands in the chart by time, and the finding is not said twice", () => {
  const points = [
    [0, 10],
    [5000, 60],
    [20_000, 70],
  ];
  const life = [
    step("raised", 20_100),
    step("repeated", 25_000),
    step("accepted", 31_000, "li"),
    step("undone", 40_000, "li"),
  ];
  assert.deepEqual(
    moments(curve(points, 50), 20_000, life).map(({ at, key, by }) => [at, key, by]),
    [
      [5000, "chart.passed", null],
      [20_000, "chart.found", null],
      [31_000, "change.accepted", "li"],
      [40_000, "change.undone", "li"],
    ],
  );
  assert.deepEqual(moments(null, 90_000, life)[0], { at: 20_100, key: "change.raised", by: null });
});
