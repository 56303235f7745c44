// A walk-test: whose turn it is, what came of it, and what keeps it from being finished.

/** How a device of a walk-test stands: "turn", "passed", "failed" (for a reason), "unreasoned" or "waiting". */
export function standing({ passed, reason, turn_at_ms: turn, ended_at_ms: ended }) {
  if (passed === true) return "passed";
  if (passed === false) return reason ? "failed" : "unreasoned";
  return turn !== null && ended === null ? "turn" : "waiting";
}

/** The device to go to: the one whose turn it is, else the first that was not tried, else the first without a reason. */
export function nextDevice(test) {
  const first = (wanted) => test.devices.find((one) => standing(one) === wanted);
  return (first("turn") ?? first("waiting") ?? first("unreasoned"))?.device ?? null;
}

/** How long its turn lasts, in ms; 0 where it is over by itself. */
export function remaining(one, longest, now) {
  return Math.max(0, one.turn_at_ms + longest - now);
}

/** Lives hang on these: only an alert is a pass. */
const LIFE_SAFETY = ["smoke", "gas", "sos", "bracelet"];

/** What is waited for in a turn, in its order, each with whether it is there. */
export function waitedFor({ class: sensor, measured: { signal_at_ms: signal, alert } }) {
  const steps = [{ step: "signal", there: signal !== null }];
  if (LIFE_SAFETY.includes(sensor) || alert) steps.push({ step: "alert", there: alert !== null });
  return steps;
}

/** Whether the turn can be ended as passed. */
export function isEnough(one) {
  return waitedFor(one).every((step) => step.there);
}

/** What a walk-test lacks, by kind: {devices: ids, upstreams: names, duty}. */
export function lacking({ lacks }) {
  const named = (kind) => lacks.filter((one) => one.startsWith(`${kind}:`)).map((one) => one.slice(kind.length + 1));
  return { devices: named("device"), upstreams: named("upstream"), duty: lacks.includes("duty_room") };
}

/** How many devices are done, of how many. */
export function progress({ devices }) {
  return { done: devices.filter((one) => ["passed", "failed"].includes(standing(one))).length, all: devices.length };
}

/** What a certificate says, and whether it can be believed: "valid", "forged", or "other" where the code named another. */
export function certified({ certificate, valid }, sha256) {
  const trust = !valid ? "forged" : sha256 && sha256 !== certificate.sha256 ? "other" : "valid";
  return { trust, document: JSON.parse(certificate.document) };
}

/** "2026-11-28 21:30" by the gateway's clock: on paper today is no word. */
export function onPaper(ms, offset) {
  return new Date(ms + offset * 60_000).toISOString().slice(0, 16).replace("T", " ");
}
