// What staff may do with an alert as it stands; the gateway has the last word.

const ALLOWED = {
  raised: ["accept"],
  accepted: ["dispatch", "close_early"],
  dispatched: ["handle", "dispatch", "close_early"],
  handled: ["close"],
  closed: [],
};

/** The steps that an alert's status allows, the usual one first. */
export function allowed(status) {
  return ALLOWED[status] ?? [];
}

/** Of these steps, those that `mayDo(verb)` lets. */
export function permitted(steps, mayDo) {
  return steps.filter((step) => mayDo(verbOf(step)));
}

/** The verdicts that a step may give: who closes without sending anybody says that it was nothing. */
export function verdictsFor(step) {
  return step === "close" ? ["true_alarm", "false_alarm", "nuisance", "test"] : ["false_alarm", "nuisance", "test"];
}

/** The API's verb of a step. */
export function verbOf(step) {
  return step === "close_early" ? "close" : step;
}

/** Those who were sent lately, newest first, for offering them again. */
export function remembered(list, to, limit = 8) {
  const name = to.trim();
  return name ? [name, ...list.filter((other) => other !== name)].slice(0, limit) : list;
}
