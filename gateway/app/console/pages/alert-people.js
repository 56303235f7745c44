// On an alert's page: who lives there and whom to call, what a resident reported, and the photos.

import { dialled } from "../model/format.js";
import { isOfGrid } from "../model/site.js";
import { ask } from "../ui/api.js";
import { h, replace } from "../ui/dom.js";
import { photoPicker, photoStrip } from "../ui/photos.js";
import { mayDo, moment, problem, t } from "../ui/say.js";
import { deviceName, place } from "../ui/site.js";

const PARTS = ["matter", "graver", "residents", "pictures"];
const part = (box, name) => box.querySelector(`[data-part="${name}"]`);

/** Shows it in `box`; what was asked for once stays until the page is left. `reload` reads the alert anew. */
export function drawPeople(box, { alert, life, photos }, reload) {
  if (box.childElementCount === 0) {
    replace(
      box,
      PARTS.map((name) => h("div", { "data-part": name })),
    );
    if (isOfGrid(alert.place)) loadMatter(part(box, "matter"), alert);
  }
  // After a reload the places come later than the alert: then it is asked for at a later draw.
  const residents = part(box, "residents");
  if (!residents.dataset.asked && place(alert.place) && mayDo("GET", `/places/${alert.place}/residents`)) {
    residents.dataset.asked = "yes";
    loadResidents(residents, alert.place);
  }
  if (isOfGrid(alert.place)) drawGraver(part(box, "graver"), alert, reload);
  const pictures = part(box, "pictures");
  // Those that belong to a step stand with it; the step may have been refused, or be still to come.
  const steps = new Set(life.filter((step) => step.action).map((step) => step.action.id));
  const loose = photos.filter((photo) => !photo.action || !steps.has(photo.action));
  const mark = `${alert.status === "closed"} ${loose.map((photo) => photo.id).join()}`;
  if (pictures.dataset.mark === mark) return;
  pictures.dataset.mark = mark;
  drawPhotos(pictures, alert, loose, reload);
}

const panel = (id, title, ...children) =>
  h("section", { class: "panel people-panel", "aria-labelledby": id }, h("h2", { id }, title), children);

const call = (name, phone) =>
  h(
    "a",
    { class: "call", href: dialled(phone), "aria-label": t("resident.call", { name }) },
    phone,
  );

async function loadResidents(box, id) {
  try {
    const { residents } = await ask(`/places/${encodeURIComponent(id)}/residents`);
    if (residents.length === 0) {
      if (place(id)?.kind === "home")
        replace(box, panel("residents-title", t("resident.title"), h("p", { class: "muted" }, t("resident.none"))));
      return;
    }
    replace(box, panel("residents-title", t("resident.title"), residents.map(resident)));
  } catch (error) {
    replace(box, panel("residents-title", t("resident.title"), h("p", { class: "form-error" }, problem(error))));
  }
}

function resident({ name, phone, contacts = [], needs = [], note, devices = [] }) {
  return h(
    "div",
    { class: "resident" },
    h(
      "h3",
      {},
      name,
      " ",
      needs.map((need) => h("span", { class: "tag tag-need" }, t(`need.${need}`))),
    ),
    h(
      "ul",
      { class: "plain calls" },
      phone ? h("li", {}, h("span", {}, name), call(name, phone)) : null,
      contacts.map((one) =>
        h("li", {}, h("span", {}, [one.name, one.relation].filter(Boolean).join(" · ")), call(one.name, one.phone)),
      ),
    ),
    note ? h("p", {}, note) : null,
    devices.length > 0
      ? h("p", { class: "muted" }, t("resident.devices", { devices: devices.map(deviceName).join(" · ") }))
      : null,
  );
}

async function loadMatter(box, alert) {
  try {
    drawMatter(box, alert, await ask(`/alerts/${alert.id}/matter`));
  } catch (error) {
    const gone = error.code === "no_matter";
    replace(
      box,
      panel(
        "matter-title",
        t("matter.title"),
        h("p", { class: gone ? "muted" : "form-error" }, gone ? t("matter.gone") : problem(error)),
      ),
    );
  }
}

function drawMatter(box, alert, matter) {
  const failed = h("p", { class: "form-error", role: "alert" });
  const field = h("input", {
    id: "matter-answer",
    maxlength: "500",
    required: true,
    autocomplete: "off",
    placeholder: t("matter.answer_hint"),
  });
  const button = h("button", { type: "submit" }, t("matter.send_answer"));
  const submit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      drawMatter(
        box,
        alert,
        await ask(`/alerts/${alert.id}/answer`, { method: "POST", body: { text: field.value.trim() } }),
      );
    } catch (error) {
      button.disabled = false;
      replace(failed, problem(error));
    }
  };
  replace(
    box,
    panel(
      "matter-title",
      t("matter.title"),
      h("p", { class: "matter-text" }, matter.text),
      matter.place ? h("p", {}, t("matter.place", { place: matter.place })) : null,
      matter.phone
        ? h("p", { class: "calls" }, h("span", {}, t("matter.phone")), call(t("matter.resident"), matter.phone))
        : h("p", { class: "muted" }, t("matter.no_phone")),
      matter.answers.map((one) =>
        h(
          "p",
          { class: "matter-answer" },
          h("span", { class: "muted" }, t("matter.answered", { by: one.by, time: moment(one.at_ms) })),
          " ",
          one.text,
        ),
      ),
      h(
        "form",
        { class: "matter-form", on: { submit } },
        h("label", { for: field.id }, t("matter.answer")),
        field,
        failed,
        button,
      ),
      h("p", { class: "muted" }, t("matter.kept", { time: moment(matter.kept_until_ms) })),
    ),
  );
}

/** A resident's matter is never critical by itself: the desk may know better. */
function drawGraver(box, alert, reload) {
  const offered =
    alert.severity !== "critical" && alert.status !== "closed" && mayDo("POST", `/alerts/${alert.id}/severity`);
  if (box.dataset.offered === String(offered)) return;
  box.dataset.offered = offered;
  const failed = h("p", { class: "form-error", role: "alert" });
  const click = async () => {
    if (!confirm(t("matter.graver_sure"))) return;
    try {
      await ask(`/alerts/${alert.id}/severity`, { method: "POST", body: { severity: "critical" } });
      await reload();
    } catch (error) {
      replace(failed, problem(error));
    }
  };
  replace(box, offered ? [h("button", { type: "button", on: { click } }, t("matter.graver")), failed] : []);
}

function drawPhotos(box, alert, loose, reload) {
  if (loose.length === 0 && alert.status === "closed") return replace(box);
  const picker = photoPicker({ id: "alert-photo" });
  const failed = h("p", { class: "form-error", role: "alert" });
  const button = h("button", { type: "submit" }, t("photo.send"));
  const add = async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      await picker.send(`/alerts/${alert.id}/photos`);
      await reload();
    } catch (error) {
      replace(failed, problem(error));
    } finally {
      button.disabled = false;
    }
  };
  const form = h(
    "form",
    { on: { submit: add } },
    picker.element,
    failed,
    button,
  );
  const more = h("details", {}, h("summary", {}, t("photo.add")), form);
  const strip = photoStrip(alert.id, loose);
  replace(box, panel("photos-title", t("photo.title"), strip, alert.status === "closed" ? null : more));
}
