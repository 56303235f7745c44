// What a grid's code opens: a resident reports a matter, and sees how far it is. Nobody logs in here.

import { SCENES, STATUSES } from "./model/words.js";
import { actionId, ask } from "./ui/api.js";
import { h, replace } from "./ui/dom.js";
import { icon } from "./ui/icons.js";
import { photoPicker } from "./ui/photos.js";
import { lang, setLang } from "./ui/prefs.js";
import { moment, problem, t } from "./ui/say.js";
import { languageSwitch } from "./ui/tools.js";

/** "#t-" and a ticket shows how that is; anything else is a grid's code. */
const TICKET = "#t-";
const REFRESH_MS = 15_000;
const SCENE_ICONS = {
  fire: "smoke",
  security: "shield",
  elder_care: "heart",
  child_protection: "person",
  employment: "sheet",
};
const scenes = SCENES.filter((scene) => SCENE_ICONS[scene]);

let timer = null;
const box = h("main", { class: "resident-page", id: "main" });

function frame() {
  document.title = `${t("form.title")} · ${t("app.name")}`;
  replace(
    document.body,
    h("header", { class: "resident-head" }, icon("shield"), h("span", {}, t("form.title")), languageSwitch(start)),
    h(
      "p",
      { class: "resident-urgent" },
      t("form.urgent"),
      " ",
      [
        ["119", "fire"],
        ["110", "police"],
        ["120", "ambulance"],
      ].map(([number, what]) => [h("a", { href: `tel:${number}` }, `${number} ${t(`form.${what}`)}`), " "]),
    ),
    box,
  );
}

async function start() {
  clearInterval(timer);
  frame();
  const hash = decodeURIComponent(location.hash);
  if (hash.startsWith(TICKET)) return progress(hash.slice(TICKET.length));
  const code = hash.slice(1);
  if (!code) return replace(box, h("p", {}, t("form.no_code")), ticketForm());
  replace(box, h("p", { class: "muted loading" }, t("app.loading")));
  try {
    replace(box, reportForm(code, await ask(`/grid-codes/${encodeURIComponent(code)}`)), ticketForm());
  } catch (error) {
    replace(box, h("p", { class: "form-error", role: "alert" }, problem(error)), ticketForm());
  }
}

function reportForm(code, { grid, keeps_days: days, keeps_photos_days: photoDays }) {
  // Sent again after a cut it is still one matter.
  const key = actionId();
  const failed = h("p", { class: "form-error", role: "alert" });
  const text = h("textarea", { id: "text", rows: "4", maxlength: "1000", required: true });
  const place = h("input", { id: "place", maxlength: "100", autocomplete: "off" });
  const phone = h("input", { id: "phone", type: "tel", maxlength: "30", autocomplete: "tel", inputmode: "tel" });
  const picker = photoPicker({ id: "photo" });
  const button = h("button", { type: "submit", class: "primary big" }, t("form.send"));
  const submit = async (event) => {
    event.preventDefault();
    const scene = event.target.querySelector("input[type=radio]:checked")?.value;
    button.disabled = true;
    replace(button, t("form.sending"));
    replace(failed);
    try {
      const body = { code, key, scene, text: text.value, place: place.value, phone: phone.value };
      const taken = await ask("/matters", { method: "POST", body });
      let late = null;
      try {
        await picker.send(`/matters/${taken.ticket}/photos`);
      } catch (error) {
        late = t("form.photo_failed", { why: problem(error) });
      }
      history.replaceState(null, "", `${TICKET}${taken.ticket}`);
      progress(taken.ticket, { isNew: true, late, code, picker });
    } catch (error) {
      replace(failed, problem(error));
      button.disabled = false;
      replace(button, t("form.send"));
    }
  };
  return h(
    "form",
    { class: "resident-form", on: { submit } },
    h("h1", {}, t("form.grid", { grid })),
    h(
      "fieldset",
      { class: "resident-scenes" },
      h("legend", {}, t("form.scene")),
      scenes.map((scene) =>
        h(
          "label",
          { class: "resident-scene" },
          h("input", { type: "radio", name: "scene", value: scene, required: true }),
          icon(SCENE_ICONS[scene]),
          h("span", {}, h("b", {}, t(`scene.${scene}`)), h("span", { class: "muted" }, t(`form.hint_${scene}`))),
        ),
      ),
    ),
    h("label", { for: "text" }, t("form.text")),
    text,
    h("label", { for: "place" }, t("form.place")),
    place,
    h("label", { for: "phone" }, t("form.phone")),
    phone,
    h("p", { class: "resident-label" }, t("form.photo")),
    picker.element,
    h("p", { class: "muted" }, t("form.privacy", { days, photo_days: photoDays })),
    failed,
    button,
  );
}

function ticketForm() {
  const ticket = h("input", {
    id: "ticket",
    autocomplete: "off",
    autocapitalize: "none",
    spellcheck: "false",
    required: true,
    placeholder: "k3x9-2mfp-7qzt",
  });
  const submit = (event) => {
    event.preventDefault();
    location.hash = `${TICKET}${ticket.value.trim()}`;
  };
  return h(
    "details",
    { class: "resident-ticket" },
    h("summary", {}, t("form.have_ticket")),
    h(
      "form",
      { on: { submit } },
      h("label", { for: "ticket" }, t("form.ticket_field")),
      ticket,
      h("button", { type: "submit" }, t("form.look")),
    ),
  );
}

/** The photos that were not taken, to be sent again as long as they are there. */
function photosLater(ticket, why, picker) {
  const failed = h("p", { class: "form-error", role: "alert" }, why);
  const button = h("button", { type: "submit" }, t("photo.send"));
  const submit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      await picker.send(`/matters/${encodeURIComponent(ticket)}/photos`);
      form.remove();
    } catch (error) {
      replace(failed, t("form.photo_failed", { why: problem(error) }));
      button.disabled = false;
    }
  };
  const form = h("form", { class: "resident-form", on: { submit } }, failed, picker.element, button);
  return form;
}

/** How far the matter of a ticket is; looks again by itself. */
function progress(ticket, { isNew = false, late = null, code = null, picker = null } = {}) {
  clearInterval(timer);
  const view = h("div", { class: "resident-progress", "aria-live": "polite" });
  const failed = h("p", { class: "form-error", role: "alert" });
  const again = code ? h("a", { class: "button", href: `#${code}` }, t("form.another")) : null;
  replace(
    box,
    isNew
      ? h("h1", { tabindex: "-1" }, icon("check"), t("form.taken"))
      : h("h1", { tabindex: "-1" }, t("form.progress")),
    late ? photosLater(ticket, late, picker) : null,
    failed,
    view,
    again,
  );
  box.querySelector("h1")?.focus();
  const look = async () => {
    try {
      const matter = await ask(`/matters/${encodeURIComponent(ticket)}`);
      replace(failed);
      const mark = `${lang()} ${matter.changed_at_ms} ${matter.answers.length}`;
      if (view.dataset.mark === mark) return;
      view.dataset.mark = mark;
      replace(view, steps(matter));
    } catch (error) {
      replace(failed, problem(error));
    }
  };
  look();
  timer = setInterval(() => document.visibilityState === "visible" && look(), REFRESH_MS);
}

function steps({ ticket, grid, scene, at_ms: at, status, changed_at_ms: changed, answers }) {
  const now = STATUSES.indexOf(status);
  return [
    h("p", { class: "muted" }, t("form.ticket")),
    h("p", { class: "resident-number" }, ticket),
    h("p", { class: "muted" }, t("form.ticket_hint")),
    h(
      "p",
      { class: "muted" },
      [t("form.grid", { grid }), t(`scene.${scene}`), t("form.reported_at", { time: moment(at) })].join(" · "),
    ),
    h(
      "ol",
      { class: "plain resident-steps" },
      STATUSES.map((one, index) =>
        h(
          "li",
          { class: index < now ? "done" : index === now ? "now" : "", "aria-current": index === now ? "step" : null },
          index <= now ? icon("check") : h("span", { class: "bead" }),
          t(`progress.${one}`),
        ),
      ),
    ),
    h("p", { class: "muted" }, t("form.changed", { time: moment(changed) })),
    answers.length > 0 ? h("h2", {}, t("form.answers")) : null,
    answers.map((one) =>
      h("p", { class: "matter-answer" }, h("span", { class: "muted" }, moment(one.at_ms)), " ", one.text),
    ),
  ];
}

setLang(lang());
addEventListener("hashchange", start);
start();
