// History: every alert there was, by what is looked for; as a sheet too.

import { SCENES, SEVERITIES, STATUSES, VERDICTS } from "../model/words.js";
import { dayStart, historyQuery } from "../model/history.js";
import { ask } from "../ui/api.js";
import { h, replace } from "../ui/dom.js";
import { icon } from "../ui/icons.js";
import { severityMark, statusMark } from "../ui/marks.js";
import { moment, offset, problem, say, t } from "../ui/say.js";
import { onSite, place, placeName } from "../ui/site.js";

/** What is looked for. It stays while one goes to an alert and back. */
const filter = { says: "", severity: "", scene: "", status: "", verdict: "", from: "", to: "" };

/** Shows the page in `root`; gives the way to leave it. */
export function historyPage(root) {
  let alerts = [];
  let next = null;
  /** Answers to former questions are not shown. */
  let question = 0;
  const parts = {
    rows: h("tbody"),
    note: h("p", { class: "muted", role: "status" }),
    failed: h("p", { class: "form-error", role: "alert" }),
    more: h("button", { type: "button", hidden: true, on: { click: () => load(next) } }, t("history.more")),
    sheet: h("a", { class: "button", download: "ninewatch-alerts.csv" }, icon("sheet"), t("history.sheet")),
  };
  const draw = () => {
    replace(parts.rows, alerts.map(row));
    replace(parts.note, alerts.length === 0 ? t("history.none") : t("history.count", { count: alerts.length }));
    parts.more.hidden = !next;
  };
  const load = async (before) => {
    const mine = ++question;
    const query = historyQuery(filter, (day) => dayStart(day, offset()));
    parts.sheet.href = `/api/v1/alerts.csv?${query}`;
    if (before) query.set("before", before);
    try {
      const page = await ask(`/alerts?${query}`);
      if (mine !== question) return;
      alerts = before ? [...alerts, ...page.alerts] : page.alerts;
      next = page.next_before;
      replace(parts.failed);
      draw();
    } catch (error) {
      if (mine === question) replace(parts.failed, problem(error));
    }
  };
  replace(
    root,
    h(
      "div",
      { class: "history" },
      h("div", { class: "history-head" }, h("h1", {}, t("history.title")), parts.note),
      filters(() => load()),
      parts.failed,
      h(
        "div",
        { class: "wide-table panel", tabindex: "0" },
        h(
          "table",
          { class: "history-table" },
          h("thead", {}, h("tr", {}, HEADS.map((head) => h("th", { scope: "col" }, t(head))))),
          parts.rows,
        ),
      ),
      h("p", { class: "history-foot" }, parts.more, parts.sheet),
    ),
  );
  load();
  return onSite(draw);
}

const HEADS = [
  "alert.raised_at",
  "history.severity",
  "history.what",
  "alert.place",
  "history.status",
  "alert.held",
  "alert.verdict",
];

function filters(changed) {
  const set = (name) => (event) => {
    filter[name] = event.target.value;
    changed();
  };
  const choose = (name, label, values, wordOf) =>
    h(
      "label",
      { class: "history-choice" },
      h("span", {}, label),
      h(
        "select",
        { on: { change: set(name) } },
        h("option", { value: "" }, t("history.any")),
        values.map((value) => h("option", { value, selected: filter[name] === value }, wordOf(value))),
      ),
    );
  const day = (name, label) =>
    h(
      "label",
      { class: "history-choice" },
      h("span", {}, label),
      h("input", { type: "date", value: filter[name], on: { change: set(name) } }),
    );
  const search = h("input", {
    type: "search",
    "aria-label": t("history.search"),
    placeholder: t("history.search"),
    value: filter.says,
    maxlength: "200",
    autocomplete: "off",
    spellcheck: "false",
    on: { change: set("says"), search: set("says") },
  });
  return h(
    "form",
    { class: "history-filter", role: "search", on: { submit: (event) => event.preventDefault() } },
    h("span", { class: "search" }, icon("search"), search),
    choose("severity", t("history.severity"), SEVERITIES, (severity) => t(`severity.${severity}`)),
    choose("scene", t("alert.scene"), SCENES, (scene) => t(`scene.${scene}`)),
    choose("status", t("history.status"), STATUSES, (status) => t(`status.${status}`)),
    choose("verdict", t("alert.verdict"), VERDICTS, (verdict) => t(`verdict.${verdict}`)),
    day("from", t("history.from")),
    day("to", t("history.to")),
  );
}

function row(alert) {
  return h(
    "tr",
    { class: `sev-${alert.severity}` },
    h("td", {}, h("time", {}, moment(alert.raised_at_ms))),
    h("td", {}, severityMark(alert.severity)),
    h(
      "td",
      {},
      h("a", { href: `#/alerts/${alert.id}` }, say(alert.title)),
      h("span", { class: "muted" }, ` ${t("alert.number", { number: alert.number })}`),
    ),
    h("td", {}, placeName(alert.place), h("span", { class: "muted" }, ` ${place(alert.place)?.grid ?? ""}`)),
    h("td", {}, statusMark(alert.status)),
    h("td", {}, alert.accepted_by ?? "—"),
    h("td", {}, alert.verdict ? t(`verdict.${alert.verdict}`) : "—"),
  );
}
