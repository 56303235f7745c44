// The keyboard: going through the board and acting on what is selected. A key acts on the alert that has the focus, or
// whose page is open, and on nothing else.

import { h, replace } from "./dom.js";
import { setWantsKeys, wantsKeys } from "./prefs.js";
import { t } from "./say.js";
import { pressUndo } from "./undo.js";

/** Each with what it does, in the order in which the page tells of them. */
const KEYS = [
  ["j ↓", "keys.next"],
  ["k ↑", "keys.before"],
  ["Enter", "keys.open"],
  ["a", "keys.accept"],
  ["d", "keys.dispatch"],
  ["h", "keys.handle"],
  ["c", "keys.close"],
  ["n", "keys.note"],
  ["u", "keys.undo"],
  ["b", "keys.board"],
  ["?", "keys.help"],
];
const STEPS = { a: "accept", d: "dispatch", h: "handle", c: "close", n: "note" };
/** The step whose form the alert's page is to show when it opens. */
let wanted = null;

/** Takes the step that a key on the board wanted; once. */
export function wantedStep() {
  const step = wanted;
  wanted = null;
  return step;
}

/** Brings a step's form on an alert's page into view, and the cursor into it; accepts at once, where that is the step. */
export function showStep(panel, step) {
  const form = panel.querySelector(`[data-step="${step}"]`) ?? panel.querySelector(`[data-step="${step}_early"]`);
  if (!form) return;
  const details = form.closest("details");
  if (details) details.open = true;
  if (step === "accept") form.querySelector("button")?.click();
  else form.querySelector("input, textarea")?.focus();
}

function isTyped(target) {
  return target.closest?.("input, textarea, select, [contenteditable]") && target.type !== "radio";
}

function move(by) {
  const cards = [...document.querySelectorAll(".board .card-link")];
  if (cards.length === 0) return;
  const at = cards.indexOf(document.activeElement?.closest(".card")?.querySelector(".card-link"));
  const next = at < 0 ? (by > 0 ? 0 : cards.length - 1) : Math.max(0, Math.min(cards.length - 1, at + by));
  cards[next].focus();
  cards[next].scrollIntoView({ block: "nearest" });
}

function act(step) {
  const panel = document.querySelector(".alert-act");
  if (panel) return showStep(panel, step);
  const card = document.activeElement?.closest(".board .card");
  if (!card) return;
  if (step === "accept") {
    card.querySelector("button.accept")?.click();
  } else {
    wanted = step;
    card.querySelector(".card-link").click();
  }
}

/** Tells of the keys, and lets one turn them off. */
function help() {
  const dialog = h("dialog", { class: "panel keys-dialog", "aria-labelledby": "keys-title" });
  const toggle = h("input", {
    type: "checkbox",
    checked: wantsKeys(),
    on: { change: () => setWantsKeys(toggle.checked) },
  });
  const row = ([key, what]) => [
    h(
      "dt",
      {},
      key.split(" ").map((one) => h("kbd", {}, one)),
    ),
    h("dd", {}, t(what)),
  ];
  replace(
    dialog,
    h("h2", { id: "keys-title" }, t("keys.title")),
    h("dl", { class: "keys" }, KEYS.map(row)),
    h("label", { class: "keys-on" }, toggle, t("keys.on")),
    h("form", { method: "dialog" }, h("button", { class: "primary" }, t("health.close"))),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

/** Listens to the keyboard as long as the page is there; `isIn` says whether somebody is logged in. */
export function startKeys(isIn) {
  addEventListener("keydown", (event) => {
    if (!isIn() || event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.defaultPrevented)
      return;
    if (document.querySelector("dialog[open]") || isTyped(event.target)) return;
    // Turned off, the keys can still be turned on again.
    if (event.key === "?") return help();
    if (!wantsKeys()) return;
    const onBoard = Boolean(document.querySelector(".board"));
    const done = keyed(event.key, onBoard, event.target);
    if (done) event.preventDefault();
  });
}

/** Does what a key stands for; false where it stands for nothing here. */
function keyed(key, onBoard, target) {
  if (onBoard && (key === "j" || key === "ArrowDown")) return move(1) ?? true;
  if (onBoard && (key === "k" || key === "ArrowUp")) return move(-1) ?? true;
  // Charts have their own arrows.
  if (STEPS[key] && !target.closest?.(".plot")) return act(STEPS[key]) ?? true;
  if (key === "u") return pressUndo(onBoard, target.closest?.(".board .card")?.dataset.alert);
  if (key === "b") {
    location.hash = "#/";
    return true;
  }
  return false;
}

/** A button that tells of the keys. */
export function keysButton() {
  return h("button", { type: "button", class: "tool", on: { click: help } }, t("keys.title"));
}
