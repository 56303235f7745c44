// Small marks that several pages show: a severity by shape, colour and word; a status; an age that ticks.

import { ticking } from "../model/format.js";
import { h } from "./dom.js";
import { severityShape } from "./icons.js";
import { now, t } from "./say.js";

/** Shape and word of a severity. */
export function severityMark(severity) {
  return h(
    "span",
    { class: `severity sev-${severity}` },
    severityShape(severity),
    h("span", { class: "severity-word" }, t(`severity.${severity}`)),
  );
}

/** The word of a status. */
export function statusMark(status) {
  return h("span", { class: `status status-${status}` }, t(`status.${status}`));
}

/** How long ago something was; it ticks. */
export function age(since, label) {
  const text = ticking(now() - since);
  return h("time", { class: "age", "data-since": since, title: label ?? null }, text);
}

/** Lets the ages under `root` tick; gives the way to stop it. */
export function tickAges(root) {
  const timer = setInterval(() => {
    for (const element of root.querySelectorAll("time[data-since]")) {
      element.textContent = ticking(now() - Number(element.dataset.since));
    }
  }, 1000);
  return () => clearInterval(timer);
}
