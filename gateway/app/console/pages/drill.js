// Beginning a drill: a marked alert that goes through everything that a real one does.

import { SCENES, SEVERITIES } from "../model/words.js";
import { ask } from "../ui/api.js";
import { h, replace } from "../ui/dom.js";
import { icon } from "../ui/icons.js";
import { moment, problem, span, t } from "../ui/say.js";
import { placeName, places } from "../ui/site.js";

/** How drills went, in the shift report: the heads of its table, and a row of it. */
export const DRILL_HEADS = [
  "history.what",
  "alert.place",
  "history.severity",
  "drill.by",
  "drill.told",
  "report.escalated",
  "drill.accepted",
  "drill.closed",
];

export function drillRow(drill) {
  const time = (ms) => (ms === null ? "—" : span(ms));
  return [
    h("a", { href: `#/alerts/${drill.alert}` }, t("alert.number", { number: drill.number }), ` ${moment(drill.raised_at_ms)}`),
    placeName(drill.place),
    t(`severity.${drill.severity}`),
    drill.by ?? "—",
    time(drill.told_ms),
    drill.rungs,
    time(drill.accepted_ms),
    time(drill.closed_ms),
  ];
}

/** Shows the form in `panel`; what is filled in stays as long as the places are the same. */
export function drillPanel(panel) {
  const mark = places()
    .map((place) => place.id)
    .join(" ");
  if (panel.dataset.mark === mark) return;
  panel.dataset.mark = mark;
  const field = (name, input) => {
    input.id = `drill-${name}`;
    return h("div", { class: "roster-field" }, h("label", { for: input.id }, t(`drill.${name}`)), input);
  };
  const options = (words, family) => words.map((word) => h("option", { value: word }, t(`${family}.${word}`)));
  const place = h("select", {}, places().map(({ id, name, grid }) => h("option", { value: id }, `${name} · ${grid}`)));
  const scene = h("select", {}, options(SCENES.filter((one) => one !== "operations"), "scene"));
  const severity = h("select", {}, options(SEVERITIES, "severity"));
  const note = h("input", { type: "text", maxlength: "200", autocomplete: "off" });
  const siren = h("input", { type: "checkbox", id: "drill-siren" });
  const said = h("p", { role: "status" });
  const button = h("button", { class: "primary", disabled: places().length === 0 }, t("drill.begin"));
  const begin = async (event) => {
    event.preventDefault();
    button.disabled = true;
    replace(said);
    try {
      const body = { place: place.value, scene: scene.value, severity: severity.value, siren: siren.checked, note: note.value };
      const { alert } = await ask("/drills", { method: "POST", body });
      said.className = "channel-tested";
      replace(said, h("a", { href: `#/alerts/${alert.id}` }, t("drill.begun", { number: alert.number })));
    } catch (error) {
      said.className = "form-error";
      replace(said, problem(error));
    } finally {
      button.disabled = false;
    }
  };
  replace(
    panel,
    h("h2", { id: "drill-title" }, icon("bell"), t("drill.title")),
    h("p", { class: "muted" }, t("drill.more")),
    h(
      "form",
      { class: "roster-form", on: { submit: begin } },
      field("place", place),
      field("scene", scene),
      field("severity", severity),
      field("note", note),
      h("label", { class: "roster-check", for: "drill-siren" }, siren, t("drill.siren")),
      button,
    ),
    said,
  );
}
