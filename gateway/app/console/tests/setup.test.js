// Setting up: ids, sensor types, pictures.

import assert from "node:assert/strict";
import test from "node:test";
import { fitted, gray, logsIn, steps, suggestId, topicOf, typeFits } from "../model/setup.js";

test("an id is made of the name where that is Latin, and is nobody else's", () => {
  assert.equal(suggestId("Café Wenhua 7", "shop", []), "cafe-wenhua-7");
  assert.equal(suggestId("希望小学", "school", []), "school-1");
  assert.equal(suggestId("希望小学 2", "school", ["school-1"]), "school-2");
  assert.equal(suggestId("kitchen", "x", ["kitchen"]), "kitchen-1");
  assert.equal(suggestId("", "shop", []), "shop-1");
  assert.match(suggestId("a".repeat(200), "shop", []), /^[A-Za-z0-9._-]{1,64}$/);
});

test("a sensor type is found by class and words in both languages", () => {
  const type = { id: "zigbee2mqtt-smoke", class: "smoke", label: { zh: "烟雾报警器", en: "Smoke alarm" }, topics: [] };
  assert.ok(typeFits(type, "smoke", "烟雾 zigbee"));
  assert.ok(typeFits(type, "", "ALARM"));
  assert.ok(!typeFits(type, "gas", ""));
  assert.ok(!typeFits(type, "", "aqara"));
});

test("a device publishes under the name by which its own system calls it", () => {
  const native = { topics: ["ninewatch/{device}/readings"] };
  const bridged = { topics: ["zigbee2mqtt/{device...}"] };
  assert.equal(topicOf(native, { id: "gas-7", known_as: "" }), "ninewatch/gas-7/readings");
  assert.equal(topicOf(bridged, { id: "gas-7", known_as: "一楼/插座" }), "zigbee2mqtt/一楼/插座");
  assert.ok(logsIn(native) && !logsIn(bridged));
});

test("a picture becomes small and gray", () => {
  assert.deepEqual(fitted(4000, 3000, 1280), { width: 1280, height: 960 });
  assert.deepEqual(fitted(100, 1, 1280), { width: 100, height: 1 });
  assert.deepEqual(fitted(100000, 1, 1280), { width: 1280, height: 1 });
  assert.deepEqual([...gray(Uint8ClampedArray.of(255, 255, 255, 255, 0, 0, 0, 255, 255, 0, 0, 255))], [255, 0, 76]);
});

test("steps are done by what there is, in any order", () => {
  const done = steps({ parts: [{ name: "clock", status: "degraded" }], places: [], devices: [{}], brokers: [] });
  assert.deepEqual(done, { clock: false, upstream: false, places: false, devices: true, brokers: false });
});
