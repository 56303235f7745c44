// What one shift hands over to the next: written on the report, on the board until somebody takes it over.

import { Refused, actionId, ask } from "../ui/api.js";
import { h, replace } from "../ui/dom.js";
import { icon } from "../ui/icons.js";
import { mayDo, moment, problem, t } from "../ui/say.js";

const REFRESH_MS = 30_000;

/** One hand-over, and the button that takes it over; `taken` is called then. */
function note(handover, taken, folded = false) {
  const { by, text, written_at_ms: at, accepted_by: acceptedBy, accepted_at_ms: acceptedAt } = handover;
  const failed = h("p", { class: "form-error", role: "alert" });
  const take = async (event) => {
    event.target.disabled = true;
    try {
      await ask(`/handovers/${encodeURIComponent(handover.id)}/accept`, { method: "POST", body: {} });
      taken();
    } catch (error) {
      event.target.disabled = false;
      replace(failed, problem(error));
    }
  };
  const told = t("handover.by", { by, time: moment(at) });
  const whole = h("p", { class: "handover-text" }, text);
  return h(
    "li",
    { class: `handover panel${acceptedBy ? " is-taken" : ""}` },
    // On the board alerts have the room: one line, and the rest when somebody wants to read it.
    folded
      ? h(
          "details",
          {},
          h("summary", {}, h("strong", {}, told), " ", h("span", { class: "handover-line" }, text)),
          whole,
        )
      : [h("p", { class: "muted" }, icon("sheet"), told), whole],
    acceptedBy
      ? h("p", { class: "muted" }, icon("check"), t("handover.taken", { by: acceptedBy, time: moment(acceptedAt) }))
      : h("button", { type: "button", class: "primary no-print", on: { click: take } }, t("handover.take")),
    failed,
  );
}

/** Shows in `box` what nobody has taken over yet; gives the way to stop. */
export function waitingHandovers(box) {
  if (!mayDo("GET", "/handovers")) return () => {};
  let left = false;
  const load = async () => {
    try {
      const { handovers } = await ask("/handovers");
      if (left) return;
      const waiting = handovers.filter((one) => !one.accepted_by);
      const mark = JSON.stringify(waiting);
      if (box.dataset.mark === mark) return;
      box.dataset.mark = mark;
      replace(
        box,
        waiting.map((one) => note(one, load, true)),
      );
    } catch (error) {
      // The board says by itself that it is cut off; not that this was refused.
      if (left || !(error instanceof Refused)) return;
      delete box.dataset.mark;
      replace(box, h("li", { class: "form-error", role: "alert" }, problem(error)));
    }
  };
  const timer = setInterval(() => document.visibilityState === "visible" && load(), REFRESH_MS);
  load();
  return () => {
    left = true;
    clearInterval(timer);
  };
}

/** The part of the report of the shift from `from` to `to` (ms) that is handed over. */
export function handoverPart({ from, to }) {
  if (!mayDo("GET", "/handovers")) return null;
  const list = h("ul", { class: "plain handovers" });
  const failed = h("p", { class: "form-error", role: "alert" });
  const text = h("textarea", { id: "handover-text", rows: "4", maxlength: "4000", required: true });
  let id = actionId();
  const load = async () => {
    try {
      const { handovers } = await ask("/handovers");
      const own = handovers.filter((one) => one.from_ms === from && one.to_ms === to);
      replace(
        list,
        own.map((one) => note(one, load)),
      );
    } catch (error) {
      replace(failed, problem(error));
    }
  };
  const submit = async (event) => {
    event.preventDefault();
    replace(failed);
    try {
      await ask("/handovers", { method: "POST", body: { id, from_ms: from, to_ms: to, text: text.value } });
      id = actionId();
      text.value = "";
      load();
    } catch (error) {
      replace(failed, problem(error));
    }
  };
  load();
  return h(
    "section",
    { class: "panel report-part handover-part" },
    h("h2", {}, t("handover.title")),
    list,
    h(
      "form",
      { class: "act no-print", on: { submit } },
      h("label", { for: text.id }, t("handover.write")),
      text,
      failed,
      h("button", { type: "submit" }, t("handover.submit")),
    ),
  );
}
