// The board: lists, changes, order, counts, and what sounds.

import assert from "node:assert/strict";
import test from "node:test";
import {
  EMPTY,
  RECENT,
  byUrgency,
  changed,
  counts,
  listenFrom,
  loaded,
  response,
  shown,
  soundOf,
  sounding,
  timeline,
  waiting,
} from "../model/alerts.js";

const alert = (id, more = {}) => ({
  id,
  number: 1,
  severity: "major",
  scene: "fire",
  status: "raised",
  raised_at_ms: 1000,
  ...more,
});
const change = (seq, kind, of, more = {}) => ({
  seq,
  at_ms: seq * 10,
  kind,
  by: null,
  note: null,
  alert: of,
  evidence: null,
  ...more,
});
const ids = (alerts) => alerts.map((one) => one.id);
const everything = { severities: new Set(), scenes: new Set() };

test("a list and the changes behind it make the board", () => {
  let board = loaded(EMPTY, [alert("a"), alert("b")], 10);
  board = changed(board, change(11, "raised", alert("c")));
  board = changed(board, change(12, "accepted", alert("a", { status: "accepted" }), { by: "duty" }));
  board = changed(board, change(13, "closed", alert("b", { status: "closed" })));
  assert.deepEqual([...board.open.keys()].sort(), ["a", "c"]);
  assert.equal(board.open.get("a").status, "accepted");
  assert.equal(board.seq, 13);
  assert.deepEqual(
    board.recent.map((step) => step.seq),
    [13, 12, 11],
  );
  assert.equal(board.recent[1].by, "duty");
});

test("what the list has already is activity, and does not turn the board back", () => {
  let board = loaded(EMPTY, [alert("a", { status: "handled" })], 10);
  board = changed(board, change(9, "accepted", alert("a", { status: "accepted" })));
  assert.equal(board.open.get("a").status, "handled");
  assert.equal(board.recent.length, 1);
  assert.equal(board.seq, 10);
});

test("a change that comes twice counts once", () => {
  const board = changed(loaded(EMPTY, [], 10), change(11, "raised", alert("a")));
  assert.equal(changed(board, change(11, "raised", alert("a"))), board);
  assert.equal(changed(board, change(7, "raised", alert("z"))), board);
});

test("activity is bounded", () => {
  let board = loaded(EMPTY, [], 0);
  for (let seq = 1; seq <= 3 * RECENT; seq += 1) board = changed(board, change(seq, "raised", alert(`a${seq}`)));
  assert.equal(board.recent.length, RECENT);
});

test("after a cut the feed goes on where it was heard, the first time a little before the list", () => {
  assert.equal(listenFrom(loaded(EMPTY, [], 100)), 100 - RECENT + 1);
  assert.equal(listenFrom(loaded(EMPTY, [], 3)), 1);
  const board = changed(loaded(EMPTY, [], 100), change(101, "raised", alert("a")));
  assert.equal(listenFrom(loaded(board, [], 150)), 102);
  assert.equal(listenFrom(loaded(board, [], 90_000)), 90_000 - 10 * RECENT);
});

test("gravest first, then what nobody has, then the newest", () => {
  const list = [
    alert("old", { raised_at_ms: 1 }),
    alert("held", { status: "accepted", raised_at_ms: 9 }),
    alert("new", { raised_at_ms: 5 }),
    alert("notice", { severity: "notice", raised_at_ms: 10 }),
    alert("critical", { severity: "critical", status: "handled", raised_at_ms: 0 }),
  ];
  assert.deepEqual(ids(list.sort(byUrgency)), ["critical", "new", "old", "held", "notice"]);
});

test("a filter hides and does not forget", () => {
  const board = loaded(EMPTY, [alert("a"), alert("b", { scene: "security" }), alert("c", { severity: "minor" })], 1);
  assert.equal(shown(board, everything).length, 3);
  assert.deepEqual(ids(shown(board, { severities: new Set(), scenes: new Set(["security"]) })), ["b"]);
  assert.deepEqual(ids(shown(board, { severities: new Set(["minor", "critical"]), scenes: new Set() })), ["c"]);
  assert.equal(board.open.size, 3);
});

test("counts say how many are open and how many wait", () => {
  const board = loaded(
    EMPTY,
    [alert("a"), alert("b", { status: "accepted" }), alert("c", { severity: "critical" })],
    1,
  );
  assert.deepEqual(counts(board).major, { open: 2, waiting: 1 });
  assert.deepEqual(counts(board).critical, { open: 1, waiting: 1 });
  assert.deepEqual(counts(board).notice, { open: 0, waiting: 0 });
  assert.equal(waiting(board), 2);
});

test("what is new, graver or unanswered sounds; old news and what somebody has does not", () => {
  const board = loaded(EMPTY, [alert("a")], 10);
  const sound = (what, since = 10) => soundOf(board, what, since);
  assert.equal(sound(change(11, "raised", alert("b", { severity: "critical" }))), "critical");
  assert.equal(sound(change(11, "escalated", alert("a"))), "major");
  assert.equal(sound(change(11, "joined", alert("a", { severity: "critical" }))), "critical");
  assert.equal(sound(change(11, "repeated", alert("a"))), null);
  assert.equal(sound(change(11, "accepted", alert("a", { status: "accepted" }))), null);
  assert.equal(sound(change(9, "raised", alert("c"))), null);
});

test("only something critical that nobody has sounds on and on", () => {
  const board = loaded(EMPTY, [alert("a")], 1);
  assert.equal(sounding(board), false);
  const raised = changed(board, change(2, "raised", alert("c", { severity: "critical" })));
  assert.equal(sounding(raised), true);
  const accepted = changed(raised, change(3, "accepted", alert("c", { severity: "critical", status: "accepted" })));
  assert.equal(sounding(accepted), false);
});

test("what to do is what the gravest rules say, each step once", () => {
  const [leave, call, vent, ask] = ["撤离", "拨打 119", "通风", "询问"].map((zh) => ({ zh, en: zh }));
  const rules = new Map([
    ["heat", { severity: "major", response: [ask, leave] }],
    ["smoke", { severity: "critical", response: [call, leave] }],
    ["gas", { severity: "critical", response: [vent, { ...leave }] }],
    ["mute", { severity: "critical", response: [] }],
  ]);
  const of = (...ids) => response(alert("a", { rules: ids }), (id) => rules.get(id)).map((step) => step.zh);
  assert.deepEqual(of("heat", "smoke", "gone", "gas"), ["拨打 119", "撤离", "通风"]);
  assert.deepEqual(of("mute", "heat"), ["询问", "撤离"]);
  assert.deepEqual(of("gone"), []);
});

test("who was told stands among the steps of the life, newest first", () => {
  const life = [
    { kind: "raised", at_ms: 10 },
    { kind: "accepted", at_ms: 30 },
  ];
  const told = [
    { channel: "duty", at_ms: 10 },
    { channel: "duty", at_ms: 20 },
  ];
  assert.deepEqual(
    timeline(life, told).map((one) => [one.at_ms, one.kind ?? one.channel]),
    [
      [30, "accepted"],
      [20, "duty"],
      [10, "duty"],
      [10, "raised"],
    ],
  );
});
