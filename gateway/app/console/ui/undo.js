// Taking back what one has just done, as long as that is possible.

import { actionId, ask } from "./api.js";
import { h, replace } from "./dom.js";
import { icon } from "./icons.js";
import { now, problem, t } from "./say.js";

/** What is offered where, so that a key can do it. */
const offered = new Map();

/**
 * Offers in `box` to take `{action, verb, until}` of an alert (`{id, number}`) back, with the seconds that are left; nothing where it is
 * null. `done` is called when it is taken back, and when it is not any more.
 */
export function offerUndo(box, { id: of, number }, what, done) {
  const before = offered.get(box);
  if (before?.action === what?.action) return;
  if (before) clearInterval(before.timer);
  offered.delete(box);
  replace(box);
  if (!what) return;
  const id = actionId();
  const left = () => Math.max(0, Math.ceil((what.until - now()) / 1000));
  const word = h("span", {});
  const failed = h("span", { class: "form-error", role: "alert" });
  const undo = async () => {
    button.disabled = true;
    try {
      await ask(`/alerts/${of}/undo`, { method: "POST", body: { id, action: what.action } });
      offerUndo(box, { id: of, number }, null, done);
      done();
    } catch (error) {
      button.disabled = false;
      replace(failed, problem(error));
    }
  };
  const button = h("button", { type: "button", class: "undo", on: { click: undo } }, icon("back"), word);
  const tick = () => {
    if (!box.isConnected || left() === 0) return offerUndo(box, { id: of, number }, null, done);
    replace(word, t("undo.button", { number, what: t(`act.${what.verb}`), seconds: left() }));
  };
  offered.set(box, { action: what.action, timer: setInterval(tick, 500), button, alert: of });
  replace(box, button, failed);
  tick();
}

/** Presses what is offered for the alert whose page this is, or whose card has the focus (`card`, on the board). */
export function pressUndo(onBoard, card) {
  const offer = [...offered.values()].find(({ button, alert }) => {
    return button.isConnected && !button.disabled && (!onBoard || alert === card);
  });
  const button = offer?.button;
  button?.click();
  return Boolean(button);
}
