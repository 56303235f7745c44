// The board: which alerts are open, and what happened of late. Pure: a state and a change give a state.

import { SEVERITIES } from "./words.js";

/** How many changes the activity list holds. */
export const RECENT = 40;

/** Before anything is known. */
export const EMPTY = Object.freeze({ seq: 0, heard: 0, open: new Map(), recent: [] });

/**
 * The board as a list of open alerts has it: every change up to `lastSeq` is in them.
 * Activity that was heard before stays.
 */
export function loaded(board, alerts, lastSeq) {
  return { ...board, seq: lastSeq, open: new Map(alerts.map((alert) => [alert.id, alert])) };
}

/** The change from which on the feed is wanted: behind what was heard, or a little before the list. */
export function listenFrom(board) {
  const tail = Math.max(1, board.seq - RECENT + 1);
  return board.heard > 0 ? Math.max(board.heard + 1, board.seq - 10 * RECENT) : tail;
}

/** The board after a change. One that is known already changes nothing. */
export function changed(board, change) {
  if (change.seq <= board.heard) return board;
  const step = {
    seq: change.seq,
    at_ms: change.at_ms,
    kind: change.kind,
    by: change.by,
    note: change.note,
    alert: change.alert,
  };
  const recent = [step, ...board.recent].slice(0, RECENT);
  if (change.seq <= board.seq) return { ...board, heard: change.seq, recent };
  const open = new Map(board.open);
  if (change.alert.status === "closed") open.delete(change.alert.id);
  else open.set(change.alert.id, change.alert);
  return { seq: change.seq, heard: change.seq, open, recent };
}

/**
 * What whoever answers does, step by step: what the gravest of the alert's rules say, each step once. A milder one
 * would have them ask first where the graver says to leave. `ruleOf` gives a rule by its id.
 */
export function response(alert, ruleOf) {
  const rules = alert.rules.map(ruleOf).filter((rule) => rule?.response.length > 0);
  const gravest = Math.min(...rules.map((rule) => rank(rule.severity)));
  const steps = rules.filter((rule) => rank(rule.severity) === gravest).flatMap((rule) => rule.response);
  return [...new Map(steps.map((step) => [step.zh, step])).values()];
}

/** Rank of a severity: 0 is gravest. */
export function rank(severity) {
  const at = SEVERITIES.indexOf(severity);
  return at < 0 ? SEVERITIES.length : at;
}

/** Gravest first; among equals drills last, those that nobody has first, then the newest. */
export function byUrgency(one, other) {
  return (
    rank(one.severity) - rank(other.severity) ||
    Number(one.drill ?? false) - Number(other.drill ?? false) ||
    Number(one.status !== "raised") - Number(other.status !== "raised") ||
    other.raised_at_ms - one.raised_at_ms ||
    other.number - one.number
  );
}

/** The open alerts that a filter lets through, most urgent first. Empty sets let everything through. */
export function shown(board, filter) {
  const lets = (set, value) => set.size === 0 || set.has(value);
  return [...board.open.values()]
    .filter((alert) => lets(filter.severities, alert.severity) && lets(filter.scenes, alert.scene))
    .sort(byUrgency);
}

/** Of each severity how many are open, and how many of them wait for somebody. */
export function counts(board) {
  const counted = Object.fromEntries(SEVERITIES.map((severity) => [severity, { open: 0, waiting: 0 }]));
  for (const alert of board.open.values()) {
    const of = counted[alert.severity];
    if (!of) continue;
    of.open += 1;
    if (alert.status === "raised") of.waiting += 1;
  }
  return counted;
}

/** How many alerts nobody has accepted. */
export function waiting(board) {
  return Object.values(counts(board)).reduce((sum, of) => sum + of.waiting, 0);
}

/**
 * What a change sounds like: the severity to be sounded, or nothing. New alerts, ones that got
 * graver, ones that climbed a rung, and ones that whoever had them gave back; nothing that somebody has, or that is old news.
 */
export function soundOf(before, change, since) {
  if (change.seq <= since || change.alert.status !== "raised") return null;
  const known = before.open.get(change.alert.id);
  const graver = known && rank(change.alert.severity) < rank(known.severity);
  return ["raised", "escalated", "undone"].includes(change.kind) || graver ? change.alert.severity : null;
}

/** Whether something critical waits: it sounds until somebody accepts it. */
export function sounding(board) {
  for (const alert of board.open.values()) {
    if (alert.severity === "critical" && alert.status === "raised") return true;
  }
  return false;
}

/** An alert's life and who was told of it, newest first; of the same moment, what was told stands above its cause. */
export function timeline(life, notifications) {
  return [...life, ...notifications]
    .map((one, index) => ({ one, index }))
    .sort((a, b) => b.one.at_ms - a.one.at_ms || b.index - a.index)
    .map(({ one }) => one);
}
