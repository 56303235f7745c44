// Scales, ticks, and which series share a chart.

import assert from "node:assert/strict";
import test from "node:test";
import { domain, linear, ticks, timeTicks } from "../model/scale.js";
import { charts, extremes, isSwitch, outline, thinned } from "../model/series.js";

const series = (field, unit, points, threshold = null) => ({ field, unit, points, threshold });

test("a scale maps both ends, and one value to the lower end", () => {
  const scale = linear([10, 20], [100, 0]);
  assert.equal(scale(10), 100);
  assert.equal(scale(15), 50);
  assert.ok(Number.isFinite(linear([5, 5], [0, 1])(5)));
});

test("ticks are round, inside, and about as many as wanted", () => {
  assert.deepEqual(ticks(0, 158, 4), [0, 50, 100, 150]);
  assert.deepEqual(ticks(-0.02, 0.31, 4), [0, 0.1, 0.2, 0.3]);
  assert.deepEqual(ticks(3, 3), [3]);
  for (const [from, to] of [
    [0, 1e-6],
    [-1e6, 3e6],
    [96.2, 97.9],
  ]) {
    const all = ticks(from, to, 4);
    assert.ok(all.length >= 2 && all.length <= 6, `${from}..${to}: ${all}`);
    assert.ok(all.every((tick) => tick >= from && tick <= to));
  }
});

test("time ticks stand at round local times", () => {
  const from = Date.UTC(2026, 10, 23, 23, 7, 30);
  const { at, step } = timeTicks(from, from + 24 * 60_000, 480, 5);
  assert.equal(step, 5 * 60_000);
  assert.equal(new Date(at[0]).toISOString(), "2026-11-23T23:10:00.000Z");
  const day = timeTicks(from, from + 3 * 86_400_000, 480, 3);
  assert.equal(day.step, 86_400_000);
  assert.equal((day.at[0] + 480 * 60_000) % 86_400_000, 0, "local midnight");
});

test("a domain holds the values and the limit, and goes below zero only where they do", () => {
  const [low, high] = domain([3, 158], 100);
  assert.equal(low, 0);
  assert.ok(high > 158);
  assert.ok(domain([0.31, 0.3], 0.14)[0] < 0.14);
  assert.ok(domain([-9.7, 21])[0] < -9.7);
  assert.deepEqual(domain([]), [0, 1]);
  const flat = domain([5, 5]);
  assert.ok(flat[0] < 5 && flat[1] > 5);
});

test("channels of a burst with one unit share a chart, everything else has its own", () => {
  const points = [
    [0, 1],
    [20, 2],
    [40, 3],
  ];
  const groups = charts([
    series("ax", "m/s²", points),
    series("ay", "m/s²", points),
    series("gx", "rad/s", points),
    series("gy", "rad/s", points),
    series("co_ppm", "ppm", points, 100),
    series("lel_percent", "%LEL", points),
    series("empty", "ppm", []),
  ]);
  assert.deepEqual(
    groups.map((group) => group.map((one) => one.field)),
    [["ax", "ay"], ["gx", "gy"], ["co_ppm"], ["lel_percent"]],
  );
  const limited = charts([series("t1", "°C", points, 57), series("t2", "°C", points, 57)]);
  assert.equal(limited.length, 2, "limits would be mixed up in one chart");
});

test("a switch holds until it turns, and to the end", () => {
  const door = series("open", "", [
    [0, 0],
    [10, 1],
  ]);
  assert.ok(isSwitch(door));
  assert.deepEqual(outline(door, 15), [
    [0, 0],
    [10, 0],
    [10, 1],
    [15, 1],
  ]);
  assert.ok(!isSwitch(series("count", "", [[0, 2]])));
  const curve = series("co_ppm", "ppm", [
    [0, 0],
    [10, 1],
  ]);
  assert.equal(outline(curve, 15), curve.points);
});

test("a series in words", () => {
  assert.deepEqual(
    extremes(
      series("x", "u", [
        [1, 5],
        [2, 9],
        [3, 2],
      ]),
    ),
    { from: 1, to: 3, first: 5, last: 2, low: 2, high: 9 },
  );
});

test("a long table is thinned and keeps its ends", () => {
  const points = Array.from({ length: 1000 }, (_, index) => index);
  const few = thinned(points, 40);
  assert.equal(few.length, 40);
  assert.deepEqual([few[0], few.at(-1)], [0, 999]);
  assert.equal(thinned(points.slice(0, 5), 40).length, 5);
});
