// Changing the roster: people, shifts and exceptions, saved as a whole.

import { filled, freshId, wordsOf } from "../model/roster.js";
import { TITLES, WEEKDAYS } from "../model/words.js";
import { ask } from "../ui/api.js";
import { h, replace } from "../ui/dom.js";
import { problem, t } from "../ui/say.js";

const CONTACTS = ["phone", "wecom", "dingtalk", "feishu", "email"];

/** Offers it in `box`; `saved` is called with the roster that is in force then. */
export function rosterEditor(box, saved) {
  let draft = null;
  let touched = false;
  const failed = h("p", { class: "form-error", role: "alert" });
  const body = h("div", { class: "roster-edit" });
  const save = h("button", { type: "button", class: "primary", disabled: true, on: { click: send } }, t("roster.save"));
  const again = h("button", { type: "button", on: { click: () => fetchAnew() } }, t("roster.discard"));
  replace(
    box,
    h(
      "details",
      { class: "panel roster-editor" },
      h("summary", { id: "roster-edit" }, t("roster.edit")),
      body,
      failed,
      h("div", { class: "roster-buttons" }, save, again),
    ),
  );

  function touch() {
    touched = true;
    save.disabled = draft.version === null;
  }

  function take(roster) {
    draft = structuredClone({ version: roster.version, people: roster.people, shifts: roster.shifts, swaps: roster.swaps });
    touched = false;
    save.disabled = true;
    replace(failed);
    draw();
  }

  async function fetchAnew() {
    try {
      take(await ask("/roster"));
    } catch (error) {
      replace(failed, problem(error));
    }
  }

  async function send() {
    save.disabled = true;
    try {
      const body = {
        version: draft.version,
        people: draft.people.map(filled),
        shifts: draft.shifts.map((shift) => ({ ...filled(shift), people: shift.people })),
        swaps: draft.swaps.map(filled),
      };
      const roster = await ask("/roster", { method: "PUT", body });
      take(roster);
      saved(roster);
    } catch (error) {
      replace(failed, problem(error));
      save.disabled = false;
    }
  }

  function draw() {
    replace(
      body,
      section(t("roster.people"), draft.people, person, () => ({ id: freshId(draft.people), name: "" })),
      section(t("roster.shifts"), draft.shifts, shift, () => ({ title: "duty_officer", people: [] })),
      section(t("roster.swaps"), draft.swaps, swap, () => ({ from: "", to: "", off: draft.people[0]?.id ?? "" })),
    );
  }

  function section(title, list, form, fresh) {
    const row = (one, index) => {
      const remove = () => {
        list.splice(index, 1);
        touch();
        draw();
      };
      const button = h("button", { type: "button", class: "quiet", on: { click: remove } }, t("roster.remove"));
      return h("fieldset", { class: "roster-row" }, h("legend", {}, `${title} ${index + 1}`), form(one), button);
    };
    const add = () => {
      list.push(fresh());
      touch();
      draw();
    };
    return [h("h3", {}, title), list.map(row), h("button", { type: "button", on: { click: add } }, t("roster.add", { what: title }))];
  }

  /** A labelled input that writes what is typed into `of[name]`. */
  function field(label, of, name, input, { read = (text) => text.trim(), show = (value) => value ?? "" } = {}) {
    input.value = show(of[name]);
    input.addEventListener("change", () => {
      of[name] = read(input.value);
      touch();
    });
    return h("label", { class: "roster-field" }, label, input);
  }

  const text = (props = {}) => h("input", { type: "text", autocomplete: "off", ...props });
  const choice = (options) => h("select", {}, options.map(([value, word]) => h("option", { value }, word)));
  const titles = () => TITLES.map((title) => [title, t(`title.${title}`)]);
  const everybody = () => draft.people.map((person) => [person.id, person.name || person.id]);

  /** Boxes to tick; `of[name]` holds what is ticked, in the order of the options. */
  function ticks(legend, of, name, options) {
    const box = ([value, word]) => {
      const input = h("input", { type: "checkbox" });
      input.checked = (of[name] ?? []).includes(value);
      input.addEventListener("change", () => {
        const ticked = new Set(of[name] ?? []);
        if (input.checked) ticked.add(value);
        else ticked.delete(value);
        of[name] = options.map(([one]) => one).filter((one) => ticked.has(one));
        touch();
      });
      return h("label", { class: "roster-check" }, input, word);
    };
    return h("div", { class: "roster-ticks", role: "group", "aria-label": legend }, h("span", { class: "muted" }, legend), options.map(box));
  }

  function person(one) {
    return [
      field(t("roster.name"), one, "name", text({ maxlength: "40" })),
      field(t("roster.id"), one, "id", text({ maxlength: "64" })),
      CONTACTS.map((name) => field(t(`contact.${name}`), one, name, text({ maxlength: "254" }))),
    ];
  }

  function shift(one) {
    const list = { read: wordsOf, show: (value) => (value ?? []).join(", ") };
    return [
      field(t("roster.as"), one, "title", choice(titles())),
      field(t("roster.hours"), one, "hours", text({ placeholder: "20:00-08:00" })),
      field(t("roster.grids"), one, "grids", text({ placeholder: t("roster.all_grids") }), list),
      ticks(t("roster.days"), one, "days", WEEKDAYS.map((day) => [day, t(`weekday.${day}`)])),
      ticks(t("roster.who"), one, "people", everybody()),
    ];
  }

  function swap(one) {
    const nobody = ["", t("roster.nobody")];
    return [
      field(t("history.from"), one, "from", h("input", { type: "date" })),
      field(t("history.to"), one, "to", h("input", { type: "date" })),
      field(t("roster.off"), one, "off", choice(everybody())),
      field(t("roster.on"), one, "on", choice([nobody, ...everybody()])),
    ];
  }

  return {
    /** The roster as it is now; it does not touch what is being typed. */
    offer(roster) {
      if (!touched && roster.version !== draft?.version) take(roster);
    },
  };
}
