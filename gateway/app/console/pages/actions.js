// What staff do with an alert: accept, dispatch, handle, close, as its status allows.

import { allowed, permitted, remembered, verbOf, verdictsFor } from "../model/actions.js";
import { Refused, actionId, ask } from "../ui/api.js";
import { h, replace } from "../ui/dom.js";
import { icon } from "../ui/icons.js";
import { photoPicker } from "../ui/photos.js";
import { sentLately, setSentLately } from "../ui/prefs.js";
import { mayDo, problem, t } from "../ui/say.js";

/**
 * Shows in `panel` what can be done with `alert`. What is being typed stays as long as the status
 * does. `done` is called after an action, and after one that came too late.
 */
export function actionPanel(panel, { alert, life }, done) {
  const mark = `${alert.id} ${alert.status} ${alert.dispatched_to}`;
  // What is on the screen is what whoever closes has seen.
  panel.dataset.upon = life.at(-1)?.seq ?? "";
  if (panel.dataset.mark === mark) return;
  panel.dataset.mark = mark;
  const steps = permitted(allowed(alert.status), (verb) => mayDo("POST", `/alerts/${alert.id}/${verb}`));
  const failed = h("p", { class: "form-error", role: "alert" });
  const send = sender(alert, panel, failed, done);
  const [first, ...others] = steps;
  replace(
    panel,
    h("h2", { id: "act-title" }, t("act.title")),
    failed,
    first
      ? form(first, alert, send)
      : alert.status !== "closed"
        ? h("p", { class: "muted" }, t("act.others"))
        : h("p", { class: "act-closed" }, icon("check"), t("act.closed", { verdict: t(`verdict.${alert.verdict}`) })),
    [...others, ...permitted(["note"], (verb) => mayDo("POST", `/alerts/${alert.id}/${verb}`))].map((step) =>
      h("details", { class: `act-other act-${step}` }, h("summary", {}, summaryOf(step)), form(step, alert, send)),
    ),
  );
}

function summaryOf(step) {
  if (step === "close_early") return t("act.close_early");
  return step === "dispatch" ? t("act.dispatch_again") : t(`act.${step}`);
}

/** One action, sent once: a second try after a cut has the same id. */
function sender(alert, panel, failed, done) {
  const ids = new Map();
  return async (step, body, picker) => {
    const id = ids.get(step) ?? actionId();
    ids.set(step, id);
    const buttons = panel.querySelectorAll("button");
    buttons.forEach((button) => (button.disabled = true));
    replace(failed);
    try {
      const photos = picker ? (await picker.send(`/alerts/${alert.id}/photos`)).map((photo) => photo.id) : [];
      if (photos.length > 0) body.photos = photos;
      const upon = Number(panel.dataset.upon) || undefined;
      const path = `/alerts/${alert.id}/${verbOf(step)}`;
      const acted = await ask(path, { method: "POST", body: { id, upon, ...body } });
      if (body.to) setSentLately(remembered(sentLately(), body.to));
      // A note changes no status: its form stays, empty for the next.
      if (step === "note") panel.querySelector(".act-note form")?.reset();
      await done();
      // Drawn anew by now: it stands until the next step.
      if (acted.outcome === "already") tellAlready(panel);
    } catch (error) {
      // What was refused may be sent again, changed; what was lost, only as it was.
      if (error instanceof Refused) ids.delete(step);
      replace(failed, problem(error));
      if (STALE.includes(error.code)) await done();
    } finally {
      buttons.forEach((button) => (button.disabled = false));
    }
  };
}

/** What is refused because what is on the screen is old. */
const STALE = ["wrong_status", "not_open", "unseen"];

function tellAlready(panel) {
  panel.querySelector(".act-already")?.remove();
  panel.querySelector("h2")?.after(h("p", { class: "muted act-already", role: "status" }, t("act.already")));
}

function form(step, alert, send) {
  if (step === "accept") {
    return h(
      "div",
      { class: `act sev-${alert.severity}`, "data-step": step },
      h(
        "button",
        { type: "button", class: "primary big accept", on: { click: () => send("accept", {}) } },
        icon("check"),
        t("act.accept"),
      ),
      h("p", { class: "muted" }, t("act.accept_hint")),
    );
  }
  const field = (name) => `${step}-${name}`;
  const isNote = step === "note";
  const note = h("textarea", { id: field("note"), rows: "2", maxlength: "2000", required: isNote });
  const optional = isNote ? null : h("span", { class: "muted" }, t("act.optional"));
  const noteLabel = step === "handle" ? t("act.handle_note") : t(isNote ? "act.note_text" : "act.note");
  const to = h("input", {
    id: field("to"),
    list: "sent-lately",
    maxlength: "200",
    autocomplete: "off",
    placeholder: t("act.to_hint"),
    required: true,
  });
  const picker = step === "handle" ? photoPicker({ id: field("photos") }) : null;
  const verdicts = verdictsFor(step).map((verdict) =>
    h(
      "label",
      { class: `verdict verdict-${verdict}` },
      h("input", { type: "radio", name: field("verdict"), value: verdict, required: true }),
      h("span", { class: "verdict-word" }, t(`verdict.${verdict}`)),
      h("span", { class: "muted" }, t(`verdict.${verdict}.hint`)),
    ),
  );
  const closes = step === "close" || step === "close_early";
  const submit = (event) => {
    event.preventDefault();
    const body = { note: note.value.trim() || undefined };
    if (step === "dispatch") body.to = to.value.trim();
    if (closes) body.verdict = event.target.querySelector("input[type=radio]:checked")?.value;
    send(step, body, picker);
  };
  return h(
    "form",
    { class: "act", "data-step": step, on: { submit } },
    step === "dispatch"
      ? [
          h("label", { for: to.id }, t("act.to")),
          to,
          h(
            "datalist",
            { id: "sent-lately" },
            sentLately().map((name) => h("option", { value: name })),
          ),
        ]
      : null,
    closes ? h("fieldset", { class: "verdicts" }, h("legend", {}, t("act.verdict")), verdicts) : null,
    h("label", { for: note.id }, noteLabel, " ", optional),
    note,
    picker?.element,
    h(
      "button",
      { type: "submit", class: step === "close_early" || isNote ? "quiet" : "primary" },
      t(closes ? "act.close" : `act.${step === "dispatch" && alert.dispatched_to ? "dispatch_again" : step}`),
    ),
  );
}
