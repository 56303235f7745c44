// Server-Sent Events as they come in, in pieces; and how long to wait after a cut.

import assert from "node:assert/strict";
import test from "node:test";
import { EventParser, backoff } from "../model/sse.js";

test("events come out whole, however the network cuts them", () => {
  const text = 'event: hello\ndata: {"last_seq":7}\n\n:\n\nevent: alert\nid: 8\ndata: {"seq":8}\n\n';
  for (let size = 1; size <= text.length; size += 1) {
    const parser = new EventParser();
    const events = [];
    for (let at = 0; at < text.length; at += size) events.push(...parser.push(text.slice(at, at + size)));
    assert.deepEqual(events, [
      { event: "hello", id: null, data: '{"last_seq":7}' },
      { event: "alert", id: "8", data: '{"seq":8}' },
    ]);
  }
});

test("comments are signs of life and no events; several lines of data are one", () => {
  assert.deepEqual(new EventParser().push(":\n\n: beat\n\n"), []);
  assert.deepEqual(new EventParser().push("data: a\ndata: b\n\n"), [{ event: "message", id: null, data: "a\nb" }]);
});

test("waiting doubles, has a limit, and differs between screens", () => {
  assert.equal(
    backoff(0, () => 0),
    500,
  );
  assert.equal(
    backoff(3, () => 0),
    4000,
  );
  assert.equal(
    backoff(50, () => 0),
    15_000,
  );
  assert.equal(
    backoff(0, () => 1),
    625,
  );
});
