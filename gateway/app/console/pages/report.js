// The report of a shift, for the screen and for paper.

import { SHIFTS, shiftAt, shiftSpan } from "../model/history.js";
import { SCENES, SEVERITIES, VERDICTS } from "../model/words.js";
import { ask } from "../ui/api.js";
import { h, replace } from "../ui/dom.js";
import { icon } from "../ui/icons.js";
import { severityMark } from "../ui/marks.js";
import { moment, now, offset, problem, span, t } from "../ui/say.js";
import { deviceName, onSite, placeName } from "../ui/site.js";
import { DRILL_HEADS, drillRow } from "./drill.js";
import { handoverPart } from "./handovers.js";

/** The shift that is looked at; the one that goes on at first. */
let chosen = null;

/** Shows the page in `root`; gives the way to leave it. */
export function reportPage(root) {
  chosen ??= shiftAt(now(), offset());
  let report = null;
  let question = 0;
  const body = h("div", { class: "report-body" });
  const handed = h("div", { class: "report-body" });
  const failed = h("p", { class: "form-error", role: "alert" });
  const sheet = h("a", { class: "button", download: "ninewatch-alerts.csv" }, icon("sheet"), t("history.sheet"));
  const draw = () => report && replace(body, sections(report));
  const load = async () => {
    const mine = ++question;
    const { from_ms: from, to_ms: to } = shiftSpan(chosen.day, chosen.shift, offset());
    replace(handed, handoverPart({ from, to }));
    sheet.href = `/api/v1/alerts.csv?raised_from_ms=${from}&raised_to_ms=${to}`;
    try {
      const fresh = await ask(`/report?from_ms=${from}&to_ms=${to}`);
      if (mine !== question) return;
      report = fresh;
      replace(failed);
      draw();
    } catch (error) {
      if (mine === question) replace(failed, problem(error));
    }
  };
  const day = h("input", {
    type: "date",
    value: chosen.day,
    required: true,
    "aria-label": t("report.day"),
    on: {
      change: () => {
        if (!day.value) return;
        chosen = { ...chosen, day: day.value };
        load();
      },
    },
  });
  const shift = h(
    "select",
    {
      "aria-label": t("report.shift"),
      on: {
        change: () => {
          chosen = { ...chosen, shift: shift.value };
          load();
        },
      },
    },
    Object.keys(SHIFTS).map((name) =>
      h("option", { value: name, selected: name === chosen.shift }, t(`report.shift_${name}`)),
    ),
  );
  replace(
    root,
    h(
      "div",
      { class: "report" },
      h("h1", {}, t("report.title")),
      h(
        "div",
        { class: "report-choice no-print" },
        day,
        shift,
        h("button", { type: "button", on: { click: () => print() } }, t("report.print")),
        sheet,
      ),
      failed,
      body,
      handed,
    ),
  );
  load();
  return onSite(draw);
}

function sections(report) {
  const { from_ms: from, to_ms: to, severities, scenes, matters, verdicts, people, devices, drills, walk_tests: tests } = report;
  const raised = Object.values(severities).reduce((sum, of) => sum + of.raised, 0);
  return [
    h("p", { class: "report-span" }, t("report.span", { from: moment(from), to: moment(to), count: raised })),
    raised === 0 ? h("p", { class: "muted" }, t("report.quiet")) : null,
    table(
      "report.by_severity",
      ["history.severity", ...SEEN_HEADS],
      SEVERITIES.filter((severity) => severities[severity]).map((severity) => [
        severityMark(severity),
        ...seen(severities[severity]),
      ]),
    ),
    table(
      "report.by_scene",
      ["alert.scene", ...SEEN_HEADS],
      SCENES.filter((scene) => scenes[scene]).map((scene) => [t(`scene.${scene}`), ...seen(scenes[scene])]),
    ),
    table(
      "report.matters",
      ["alert.scene", ...SEEN_HEADS],
      SCENES.filter((scene) => matters[scene]).map((scene) => [t(`scene.${scene}`), ...seen(matters[scene])]),
    ),
    table(
      "report.verdicts",
      ["alert.verdict", "report.alerts"],
      VERDICTS.filter((verdict) => verdicts[verdict]).map((verdict) => [t(`verdict.${verdict}`), verdicts[verdict]]),
    ),
    table(
      "report.people",
      ["report.account", "change.accepted", "change.dispatched", "change.handled", "change.closed"],
      Object.entries(people).map(([name, work]) => [name, work.accepted, work.dispatched, work.handled, work.closed]),
    ),
    table(
      "report.devices",
      ["alert.devices", "alert.place", "report.alerts", "verdict.true_alarm", "verdict.false_alarm", "verdict.nuisance"],
      devices.map((one) => [
        deviceName(one.device),
        placeName(one.place),
        one.alerts,
        one.true_alarms,
        one.false_alarms,
        one.nuisances,
      ]),
    ),
    table("drill.times", DRILL_HEADS, drills.map(drillRow)),
    tests > 0 ? h("p", { class: "muted" }, t("report.walk_tests", { count: tests })) : null,
  ];
}

const SEEN_HEADS = [
  "report.alerts",
  "change.accepted",
  "report.escalated",
  "change.closed",
  "report.accept_median",
  "report.accept_slowest",
  "report.close_median",
];

function seen(of) {
  const time = (ms) => (ms === null ? "—" : span(ms));
  return [
    of.raised,
    of.accepted,
    of.escalated,
    of.closed,
    time(of.accept_median_ms),
    time(of.accept_slowest_ms),
    time(of.close_median_ms),
  ];
}

/** A table with a heading; nothing where it has no rows. */
function table(title, heads, rows) {
  if (rows.length === 0) return null;
  const cell = (value, at) => (at === 0 ? h("th", { scope: "row" }, value) : h("td", {}, String(value)));
  return h(
    "section",
    { class: "panel report-part" },
    h("h2", {}, t(title)),
    h(
      "div",
      { class: "wide-table", tabindex: "0" },
      h(
        "table",
        {},
        h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, t(head))))),
        h("tbody", {}, rows.map((row) => h("tr", {}, row.map(cell)))),
      ),
    ),
  );
}
