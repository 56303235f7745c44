// What staff may do, and which devices need attention.

import assert from "node:assert/strict";
import test from "node:test";
import { allowed, permitted, remembered, undoable, undone, verbOf, verdictsFor } from "../model/actions.js";
import { lets } from "../model/rights.js";
import { byGrid, fits, grouped, isGateway, mattersOf, ofGateway, onPicture, ranked, stateOf, troubles } from "../model/site.js";
import { STATUSES } from "../model/words.js";

test("every status has its steps, and a closed alert none", () => {
  assert.deepEqual(
    STATUSES.map((status) => allowed(status)[0]),
    ["accept", "dispatch", "handle", "close", undefined],
  );
  assert.equal(verbOf("close_early"), "close");
  assert.deepEqual(allowed("no such status"), []);
});

test("nothing is offered that the gateway would refuse", () => {
  const member = ["GET /api/v1/alerts", "POST /api/v1/alerts/{id}/accept", "POST /api/v1/alerts/{id}/dispatch"];
  const steps = (may, status) => permitted(allowed(status), (verb) => lets(may, "POST", `/alerts/01K/${verb}`));
  assert.deepEqual(steps(member, "accepted"), ["dispatch"]);
  assert.deepEqual(steps(member, "handled"), []);
  assert.deepEqual(steps([...member, "POST /api/v1/alerts/{id}/{verb}"], "accepted"), ["dispatch", "close_early"]);
  assert.ok(lets(member, "GET", "/alerts") && !lets(member, "GET", "/events") && !lets(member, "POST", "/alerts"));
  assert.ok(!lets(member, "POST", "/alerts/01K/accept/more"));
});

test("a true alarm cannot be closed without anybody having gone", () => {
  assert.ok(verdictsFor("close").includes("true_alarm"));
  assert.ok(!verdictsFor("close_early").includes("true_alarm"));
});

test("who was sent lately is offered again, each once, newest first", () => {
  assert.deepEqual(remembered(["li", "wang"], " wang "), ["wang", "li"]);
  assert.deepEqual(remembered(["li"], "  "), ["li"]);
  assert.equal(remembered(["1", "2", "3"], "4", 3).length, 3);
});

test("what ails the gateway is told from places and devices, whatever those are called", () => {
  assert.ok(isGateway("gateway:kaili-01") && isGateway("gateway:upstream:city"));
  assert.ok(!isGateway("gateway") && !isGateway("gateway-1"));
  assert.equal(ofGateway("gateway:upstream:city"), "upstream:city");
});

const device = (id, more = {}) => ({
  id,
  class: "gas",
  type: "ninewatch-gas",
  place: "shop",
  spot: "厨房",
  battery_percent: null,
  silent: false,
  skew_ms: null,
  ...more,
});
const shop = { id: "shop", name: "苗岭便利店", grid: "kaili-1", address: "文化北路 14 号" };
const school = { id: "school", name: "希望小学", grid: "kaili-2", address: "" };
const all = { text: "", state: "all", sensorClass: "" };

test("silence, an old battery and a wrong clock need attention", () => {
  assert.deepEqual(troubles(device("a")), []);
  assert.deepEqual(troubles(device("a", { silent: true, battery_percent: 14.9, skew_ms: -5000 })), [
    "silent",
    "battery",
    "clock",
  ]);
  assert.deepEqual(troubles(device("a", { battery_percent: 15, skew_ms: 4999 })), []);
});

test("devices are found by id, spot, place and grid, by class and by state", () => {
  const found = (filter, one = device("shop-gas")) => fits(one, shop, { ...all, ...filter });
  assert.ok(found({}));
  assert.ok(found({ text: "便利店" }) && found({ text: "SHOP 厨房" }) && found({ text: "kaili-1" }));
  assert.ok(!found({ text: "校门" }));
  assert.ok(found({ sensorClass: "gas" }) && !found({ sensorClass: "door" }));
  assert.ok(!found({ state: "trouble" }) && found({ state: "trouble" }, device("a", { silent: true })));
  assert.ok(!found({ state: "battery" }, device("a", { silent: true })));
});

test("grids hold places hold devices; a filter leaves empty places out", () => {
  const devices = [device("a"), device("b", { silent: true }), device("lost", { place: "gone" })];
  const everything = grouped([shop, school], devices, all);
  assert.deepEqual(
    everything.map(({ grid, groups }) => [grid, groups.map((group) => group.devices.length)]),
    [
      ["kaili-1", [2]],
      ["kaili-2", [0]],
    ],
  );
  const silent = grouped([shop, school], devices, { ...all, state: "silent" });
  assert.deepEqual(
    silent.map(({ grid, groups }) => [grid, groups[0].devices.map((one) => one.id)]),
    [["kaili-1", ["b"]]],
  );
});

test("one takes back the last step that one did oneself, within a minute, and once", () => {
  const step = (id, by, verb, at, more = {}) => ({
    by,
    action: { id, via: null, verb, made_at_ms: at, ...more },
  });
  const life = [
    { by: null },
    step("a", "li", "accept", 1000),
    step("b", "zhang", "note", 2000),
    step("c", "li", "dispatch", 5000, { to: "grid-3" }),
  ];
  assert.deepEqual(undoable(life, "li", 6000), { action: "c", verb: "dispatch", until: 65_000 });
  assert.equal(undoable(life, "li", 65_000), null, "a minute later it stands");
  assert.equal(undoable(life, "zhang", 6000), null, "a note is not undone");
  assert.equal(undoable([...life, step("d", "li", "accept", 6000, { via: "city" })], "li", 7000).action, "c");
  const back = [...life, step("e", "li", "undo", 7000, { undoes: "c" })];
  assert.deepEqual([...undone(back)], ["c"]);
  assert.deepEqual(undoable(back, "li", 8000), { action: "a", verb: "accept", until: 61_000 });
});

test("a place says what is open, and what nobody knows", () => {
  const place = (more) => ({ id: "shop", devices: 2, silent_devices: 0, ...more });
  const open = [
    { place: "shop", severity: "minor" },
    { place: "shop", severity: "major" },
    { place: "shop", severity: "minor" },
    { place: "school", severity: "critical" },
  ];
  assert.deepEqual(stateOf(place(), open), { worst: "major", counts: { minor: 2, major: 1 }, unknown: null });
  assert.deepEqual(stateOf(place({ silent_devices: 1 }), []), { worst: null, counts: {}, unknown: "silent" });
  assert.equal(stateOf(place({ devices: 0 }), []).unknown, "unwatched");
  assert.deepEqual(
    byGrid([shop, school, { ...shop, id: "bar" }]).map(({ grid, places }) => [grid, places.length]),
    [
      ["kaili-1", 2],
      ["kaili-2", 1],
    ],
  );
});

test("a place that is dragged beside its picture stays on it", () => {
  const box = { left: 100, top: 50, width: 200, height: 100 };
  assert.deepEqual(onPicture(box, { clientX: 150, clientY: 100 }), { x: 0.25, y: 0.5 });
  assert.deepEqual(onPicture(box, { clientX: -5, clientY: 900 }), { x: 0, y: 1 });
});

test("the most pressing device comes first, by what is asked for", () => {
  const list = [
    device("a", { seen_ms: 30, battery_percent: 80, skew_ms: -9_000 }),
    device("b", { seen_ms: null, battery_percent: null, skew_ms: null }),
    device("c", { seen_ms: 10, battery_percent: 5, skew_ms: 100 }),
  ];
  const order = (by) =>
    ranked(list, () => shop, all, by)
      .map(({ id }) => id)
      .join("");
  assert.deepEqual(["heard", "charge", "skew"].map(order), ["bca", "cab", "acb"]);
  assert.equal(ranked(list, () => shop, { ...all, state: "battery" }, "heard").length, 1);
});

test("a grid says how many residents' matters are open in it", () => {
  const open = [{ place: "grid:kaili-1" }, { place: "grid:kaili-12" }, { place: "kaili-1" }, { place: "grid:kaili-1" }];
  assert.equal(mattersOf("kaili-1", open), 2);
  assert.equal(mattersOf("kaili-2", open), 0);
});
