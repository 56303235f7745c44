// The pages' voice: sentences in the chosen language, times in the gateway's.

import * as format from "../model/format.js";
import { lets } from "../model/rights.js";
import { knows, sentence } from "../model/text.js";
import { Refused } from "./api.js";
import { lang } from "./prefs.js";

/** The sentence of `key` in the chosen language. */
export function t(key, values) {
  return sentence(lang(), key, values);
}

/** A sentence that the gateway gave in both languages. */
export function say(text) {
  return text ? text[lang()] || text.zh || text.en : "";
}

/** A span in its largest unit. */
export function span(ms) {
  return format.span(lang(), ms);
}

/** What the account that is logged in may do. */
let may = [];

/** Who is logged in. */
let me = "";

/** Sets who is logged in. */
export function setAccount(name) {
  me = name;
}

/** Who is logged in. */
export function account() {
  return me;
}

/** Sets what one may do by the session's `may`. */
export function setRights(list) {
  may = list;
}

/** Whether the gateway would let this: nothing else is offered. */
export function mayDo(method, path) {
  return lets(may, method, path);
}

/** The gateway's clock, as the last answer told it. */
const clock = { at: performance.now(), now: Date.now(), speed: 1, offset: -new Date().getTimezoneOffset() };

/** Sets the clock by `{now_ms, speed, utc_offset}`. */
export function setClock(here) {
  clock.at = performance.now();
  clock.now = here.now_ms;
  clock.speed = here.speed;
  clock.offset = format.offsetMinutes(here.utc_offset);
}

/** The gateway's time now. */
export function now() {
  return clock.now + (performance.now() - clock.at) * clock.speed;
}

/** The gateway's offset from UTC in minutes. */
export function offset() {
  return clock.offset;
}

/** A moment as people say it today. */
export function moment(ms, seconds = false) {
  return format.moment(lang(), ms, now(), clock.offset, seconds);
}

/** The sentence for a failed request. */
export function problem(error) {
  // A time-out has a code as well: only what the gateway refused has a sentence of its own.
  if (!(error instanceof Refused)) return t("problem.network");
  const key = `problem.${error.code}`;
  return knows(key) ? t(key, { detail: error.detail }) : t("problem.unknown", { detail: error.detail });
}
