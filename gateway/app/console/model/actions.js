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

/** As long as this one can take back what one did. */
export const UNDO_MS = 60_000;

/** The ids of the actions that were taken back at this gateway's console. */
export function undone(life) {
  return new Set(life.map(({ action }) => (action?.via === null ? action.undoes : null)).filter(Boolean));
}

/** The last step of a life that `account` can still take back `now`, and until when; `null` where there is none. */
export function undoable(life, account, now) {
  const gone = undone(life);
  const step = life.findLast(
    ({ by, action }) =>
      action?.via === null && by === account && !["undo", "note"].includes(action.verb) && !gone.has(action.id),
  );
  const until = step ? step.action.made_at_ms + UNDO_MS : 0;
  return until > now ? { action: step.action.id, verb: step.action.verb, until } : null;
}
