// The live feed: the list of open alerts first, then every change behind it; again after each cut.

import { EMPTY, changed, listenFrom, loaded, soundOf } from "../model/alerts.js";
import { EventParser, backoff } from "../model/sse.js";
import { ask, request } from "./api.js";
import { setClock } from "./say.js";

/** The gateway gives a sign of life every 15 s: two may be late. */
const SILENCE_MS = 40_000;

/** What the pages know. `feed`: "connecting", "live" or "stale"; `heardAt`: performance.now() of the last sign of life. */
export const live = { board: EMPTY, feed: "connecting", heardAt: null };

const listeners = new Set();
/** Changes up to this one are old news: they were there when the page came. */
let since = 0;
let stop = null;

/** Calls `listener({change, sound})` on every change of `live`; gives the way to stop it. */
export function onLive(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function tell(news = {}) {
  for (const listener of listeners) listener(news);
}

/** Starts to listen. `signedOut` is called when the gateway wants a log-in. */
export function start(signedOut) {
  stop?.abort();
  const mine = new AbortController();
  stop = mine;
  Object.assign(live, { board: EMPTY, feed: "connecting", heardAt: null });
  since = 0;
  run(mine.signal, signedOut);
}

/** Stops listening. */
export function end() {
  stop?.abort();
  stop = null;
  // Whoever logs in next may not see it.
  Object.assign(live, { board: EMPTY, feed: "connecting", heardAt: null });
}

async function run(signal, signedOut) {
  let attempt = 0;
  while (!signal.aborted) {
    try {
      await load(signal);
      await listen(signal, () => (attempt = 0));
    } catch (error) {
      if (signal.aborted) return;
      if (error.status === 401) return signedOut();
    }
    if (signal.aborted) return;
    live.feed = live.heardAt === null ? "connecting" : "stale";
    tell();
    await pause(backoff(attempt), signal);
    attempt += 1;
  }
}

/** All open alerts, page by page. */
async function load(signal) {
  const patient = AbortSignal.any([signal, AbortSignal.timeout(SILENCE_MS)]);
  const alerts = [];
  let first = null;
  let before = "";
  do {
    const page = await ask(`/alerts?open=true&limit=500${before}`, { signal: patient });
    first ??= page.last_seq;
    alerts.push(...page.alerts);
    before = page.next_before ? `&before=${page.next_before}` : null;
  } while (before);
  if (first < live.board.heard) live.board = EMPTY;
  live.board = loaded(live.board, alerts, first);
  if (since === 0) since = first;
  tell();
}

async function listen(signal, wentWell) {
  // Cut off by hand when nothing comes: a network that is gone does not say so.
  const cut = new AbortController();
  const either = AbortSignal.any([signal, cut.signal]);
  let alarm = setTimeout(() => cut.abort(), SILENCE_MS);
  // Sometimes it does: then nobody waits to see. Where the gateway can still be reached, it is found again at once.
  addEventListener("offline", () => cut.abort(), { once: true, signal: either });
  try {
    const response = await request(`/events?from=${listenFrom(live.board)}`, { signal: either });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    const parser = new EventParser();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(alarm);
      alarm = setTimeout(() => cut.abort(), SILENCE_MS);
      live.heardAt = performance.now();
      for (const event of parser.push(value)) take(event.event, JSON.parse(event.data), wentWell);
    }
  } finally {
    clearTimeout(alarm);
    cut.abort();
  }
}

function take(event, data, wentWell) {
  if (event === "hello") {
    setClock(data);
    wentWell();
    live.feed = "live";
    tell();
  } else if (event === "alert") {
    const before = live.board;
    live.board = changed(before, data);
    tell({ change: data, sound: soundOf(before, data, since) });
  }
}

function pause(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    // A network that comes back is not waited for.
    addEventListener("online", done, { once: true });
    signal.addEventListener("abort", done, { once: true });
    function done() {
      clearTimeout(timer);
      removeEventListener("online", done);
      signal.removeEventListener("abort", done);
      resolve();
    }
  });
}
