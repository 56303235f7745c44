// A walk-test: whose turn it is, what came of it, and what keeps it from being finished.

import assert from "node:assert/strict";
import test from "node:test";
import * as walk from "../model/walk.js";

const NOTHING = { signal_at_ms: null, alert: null, battery_percent: null, signal_dbm: null };
const device = (id, more = {}) => ({
  device: id,
  class: "smoke",
  passed: null,
  reason: null,
  turn_at_ms: null,
  ended_at_ms: null,
  measured: NOTHING,
  ...more,
});
const passed = device("a", { passed: true, turn_at_ms: 1, ended_at_ms: 2 });
const turn = device("b", { turn_at_ms: 1000 });
const waiting = device("c");
const unreasoned = device("d", { passed: false, turn_at_ms: 1, ended_at_ms: 2 });
const failed = device("e", { passed: false, reason: "壳体松动" });

test("one goes to the device whose turn it is, then to what is untried, then to what has no reason", () => {
  const next = (...devices) => walk.nextDevice({ devices });
  assert.equal(next(passed, waiting, turn), "b");
  assert.equal(next(unreasoned, passed, waiting), "c");
  assert.equal(next(passed, unreasoned, failed), "d");
  assert.equal(next(passed, failed), null);
  assert.deepEqual(walk.progress({ devices: [passed, turn, waiting, unreasoned, failed] }), { done: 2, all: 5 });
});

test("a detector passes by its alert, a door by being heard", () => {
  const heard = { ...NOTHING, signal_at_ms: 5 };
  const alarmed = { ...heard, alert: { number: 7 } };
  assert.equal(walk.isEnough({ ...turn, measured: NOTHING }), false);
  assert.equal(walk.isEnough({ ...turn, measured: heard }), false);
  assert.equal(walk.isEnough({ ...turn, measured: alarmed }), true);
  const door = { ...turn, class: "door" };
  assert.equal(walk.isEnough({ ...door, measured: heard }), true);
  assert.deepEqual(walk.waitedFor({ ...door, measured: heard }).map((one) => one.step), ["signal"]);
  assert.deepEqual(walk.waitedFor({ ...door, measured: alarmed }).map((one) => one.step), ["signal", "alert"]);
});

test("a turn is over by itself, and never lasts less than no time", () => {
  assert.equal(walk.remaining(turn, 300_000, 61_000), 240_000);
  assert.equal(walk.remaining(turn, 300_000, 900_000), 0);
});

test("what is lacking is told by kind", () => {
  const lacks = ["device:a:b", "upstream:city", "duty_room"];
  assert.deepEqual(walk.lacking({ lacks }), { devices: ["a:b"], upstreams: ["city"], duty: true });
  assert.deepEqual(walk.lacking({ lacks: [] }), { devices: [], upstreams: [], duty: false });
});

test("a certificate is believed only where the signature holds and the code on paper is of it", () => {
  const certificate = { document: '{"id":"1"}', sha256: "aa" };
  const trust = (valid, sha256) => walk.certified({ certificate, valid }, sha256).trust;
  assert.deepEqual([trust(true, null), trust(true, "aa")], ["valid", "valid"]);
  assert.deepEqual([trust(true, "bb"), trust(false, "aa"), trust(null, null)], ["other", "forged", "forged"]);
  assert.deepEqual(walk.certified({ certificate, valid: true }).document, { id: "1" });
  assert.equal(walk.onPaper(Date.UTC(2026, 10, 28, 16, 5), 480), "2026-11-29 00:05");
});
