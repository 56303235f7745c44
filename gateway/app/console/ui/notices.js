// New alerts while nobody looks at the page: a notice of the system, and a title that flashes.

import { h } from "./dom.js";
import { t } from "./say.js";

let unseen = 0;

document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") unseen = 0;
});

/** How many alerts came while nobody looked. */
export function unseenAlerts() {
  return unseen;
}

/** "on", "off" (nobody has been asked), "denied", "insecure" (the page came by plain HTTP) or "unsupported". */
export function noticeState() {
  if (!isSecureContext) return "insecure";
  if (typeof Notification === "undefined") return "unsupported";
  return { granted: "on", denied: "denied" }[Notification.permission] ?? "off";
}

/** Tells of an alert, if nobody looks. The words are those that the board says, and no more. */
export function notice(alert, sentence) {
  if (document.visibilityState === "visible") return;
  unseen += 1;
  if (noticeState() !== "on") return;
  try {
    const told = new Notification(t("app.name"), {
      body: sentence,
      icon: "/icon.svg",
      // One that changes takes the place of its former notice, and is heard again.
      tag: alert.id,
      renotify: true,
      requireInteraction: alert.severity === "critical",
    });
    told.addEventListener("click", () => {
      window.focus();
      location.hash = `#/alerts/${alert.id}`;
      told.close();
    });
  } catch {
    // Phones let only installed pages do this: the sound and the title stay.
  }
}

/** A button that asks the browser to allow notices, or says why there are none. */
export function noticeButton() {
  const word = h("span", {}, t(`notices.${noticeState()}`));
  const ask = async () => {
    if (noticeState() === "off") await Notification.requestPermission();
    word.textContent = t(`notices.${noticeState()}`);
  };
  const can = noticeState() === "off";
  return h("button", { type: "button", class: "tool", disabled: !can, on: { click: ask } }, word);
}
