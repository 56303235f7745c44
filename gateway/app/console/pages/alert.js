// One alert: why, where, what was measured, what was done, and what to do next.

import { undoable, undone } from "../model/actions.js";
import { moments } from "../model/moments.js";
import { charts } from "../model/series.js";
import { number } from "../model/format.js";
import { response, timeline } from "../model/alerts.js";
import { knows } from "../model/text.js";
import { STATUSES } from "../model/words.js";
import { ask } from "../ui/api.js";
import { chart } from "../ui/chart.js";
import { h, replace } from "../ui/dom.js";
import { icon } from "../ui/icons.js";
import { ladderPanel } from "../ui/ladder.js";
import { live, onLive } from "../ui/live.js";
import { age, severityMark, tickAges } from "../ui/marks.js";
import { account, mayDo, moment, now, problem, say, t } from "../ui/say.js";
import { deviceIcon, deviceName, fieldName, onSite, place, placeName, rule } from "../ui/site.js";
import { showStep, wantedStep } from "../ui/keys.js";
import { offerUndo } from "../ui/undo.js";
import { actionPanel } from "./actions.js";
import { lastHours } from "./hours.js";
import { photoStrip } from "../ui/photos.js";
import { drawPeople } from "./alert-people.js";

/** Findings whose charts are open from the start: what began it, and what came last. */
const OPEN_FINDINGS = 2;
/** Later than this after it was done, a step says when that was. */
const LATE_MS = 60_000;
const REFRESH_MS = 10_000;
/** As in style/alert.css. */
const NARROW = matchMedia("(max-width: 60rem)");

/** Shows the alert `id` in `root`; gives the way to leave it. */
export function alertPage(root, id) {
  let record = null;
  let left = false;
  /** What a key on the board wanted to do with it. */
  let step = wantedStep();
  const parts = {
    head: h("header", { class: "alert-head" }),
    undo: h("div", { class: "undo-offer" }),
    act: h("section", { class: "alert-act panel", "aria-labelledby": "act-title" }),
    response: h("section", { class: "alert-response panel", "aria-labelledby": "response-title" }),
    people: h("div", { class: "alert-people" }),
    evidence: h("section", { class: "alert-evidence", "aria-labelledby": "evidence-title" }),
    hours: lastHours(),
    side: h("div", { class: "alert-side" }),
    failed: h("div", { class: "alert-failed" }),
  };
  replace(
    root,
    h("a", { class: "back", href: "#/" }, icon("back"), t("alert.back")),
    parts.failed,
    h(
      "article",
      { class: "alert" },
      h("div", { class: "alert-main" }, parts.head, parts.people, parts.evidence, parts.hours.box),
      h("div", { class: "alert-column" }, parts.undo, parts.act, parts.response, parts.side),
    ),
  );
  // What to do stands beside the evidence, or where there is no room for that, before it.
  const arrange = () =>
    NARROW.matches
      ? parts.head.after(parts.undo, parts.act, parts.response)
      : parts.side.before(parts.undo, parts.act, parts.response);
  arrange();
  NARROW.addEventListener("change", arrange);

  const draw = ({ evidence = true, act = true } = {}) => {
    if (!record || left) return;
    drawHead(parts.head, record);
    drawResponse(parts.response, record);
    drawSide(parts.side, record);
    const mine = mayDo("POST", `/alerts/${id}/undo`) ? undoable(record.life, account(), now()) : null;
    offerUndo(parts.undo, record.alert, mine, load);
    drawPeople(parts.people, record, load);
    // Not under the hands of somebody who fills it in.
    if (act) {
      actionPanel(parts.act, record, load);
      if (step) showStep(parts.act, step);
      step = null;
    }
    if (evidence) drawEvidence(parts.evidence, record);
    parts.hours.update(record);
  };
  const load = async () => {
    try {
      const before = record;
      const fresh = await ask(`/alerts/${id}`);
      if (left) return;
      record = fresh;
      replace(parts.failed);
      draw({
        // The steps of the life are marked in the charts.
        evidence: before?.evidence.length !== record.evidence.length || before?.life.length !== record.life.length,
        act: before?.life.at(-1)?.seq !== record.life.at(-1)?.seq,
      });
    } catch (error) {
      if (left) return;
      const again = h("button", { type: "button", on: { click: load } }, t("app.retry"));
      replace(
        parts.failed,
        h("p", { class: "form-error", role: "alert" }, problem(error), " ", error.code === "no_alert" ? null : again),
      );
    }
  };
  let seq = live.board.seq;
  // Who was told of it changes without a change of the alert.
  const timer = setInterval(() => document.visibilityState === "visible" && record && load(), REFRESH_MS);
  const leave = [
    () => clearInterval(timer),
    onLive(({ change }) => {
      // A change of this alert, or a list that was read anew after a cut.
      if (change ? change.alert.id === id : live.board.seq > seq) load();
      seq = live.board.seq;
    }),
    onSite(() => draw()),
    tickAges(root),
    () => NARROW.removeEventListener("change", arrange),
  ];
  load();
  return () => {
    left = true;
    leave.forEach((stop) => stop());
  };
}

function drawHead(head, { alert }) {
  head.className = `alert-head sev-${alert.severity} is-${alert.status}`;
  const now = STATUSES.indexOf(alert.status);
  const where = place(alert.place);
  const step = (status, index) =>
    h(
      "li",
      { class: index < now ? "done" : index === now ? "now" : "", "aria-current": index === now ? "step" : null },
      index < now || alert.status === "closed" ? icon("check") : h("span", { class: "bead" }),
      h("span", {}, t(`status.${status}`)),
    );
  replace(
    head,
    h(
      "p",
      { class: "alert-line" },
      severityMark(alert.severity),
      h("span", { class: "alert-scene" }, t(`scene.${alert.scene}`)),
      h("span", { class: "alert-number" }, t("alert.number", { number: alert.number })),
      alert.walk_test ? h("span", { class: "tag tag-drill" }, t("walk.mark")) : null,
      alert.status === "closed"
        ? h("time", { class: "muted" }, moment(alert.raised_at_ms, true))
        : age(alert.raised_at_ms),
    ),
    h(
      "h1",
      { tabindex: "-1" },
      say(alert.title),
      h(
        "span",
        { class: "alert-where" },
        [placeName(alert.place), where?.grid, where?.address].filter(Boolean).join(" · "),
      ),
    ),
    h("p", { class: "alert-reason" }, say(alert.reason)),
    alert.recovered_at_ms
      ? h(
          "p",
          { class: "alert-recovered" },
          icon("check"),
          t("alert.recovered", { time: moment(alert.recovered_at_ms, true) }),
        )
      : null,
    h("ol", { class: "plain stepper", "aria-label": t("alert.life") }, STATUSES.map(step)),
  );
}

function drawResponse(panel, { alert }) {
  const steps = alert.status === "closed" ? [] : response(alert, rule);
  panel.hidden = steps.length === 0;
  replace(
    panel,
    h("h2", { id: "response-title" }, t("alert.response")),
    h(
      "ol",
      { class: "response-steps" },
      steps.map((step) => h("li", {}, say(step))),
    ),
  );
}

function drawSide(side, { alert, life, notifications, ladder, photos }) {
  const where = place(alert.place);
  const fact = (term, ...value) => [h("dt", {}, term), h("dd", {}, ...value)];
  const facts = [
    ...fact(t("alert.place"), placeName(alert.place)),
    ...(where ? fact(t("alert.kind"), t(`kind.${where.kind}`)) : []),
    ...(where ? fact(t("alert.grid"), where.grid) : []),
    ...(where?.address ? fact(t("alert.address"), where.address) : []),
    ...(alert.devices.length > 0 ? fact(t("alert.devices"), alert.devices.map(factDevice)) : []),
    ...fact(t("alert.raised_at"), moment(alert.raised_at_ms, true)),
    ...fact(t("alert.occurrences"), String(alert.occurrences)),
    ...(alert.accepted_by ? fact(t("alert.held"), alert.accepted_by) : []),
    ...(alert.dispatched_to ? fact(t("alert.sent"), alert.dispatched_to) : []),
    ...(alert.verdict ? fact(t("alert.verdict"), t(`verdict.${alert.verdict}`)) : []),
    ...fact(t("alert.rules"), h("span", { class: "muted rules" }, alert.rules.map(ruleName).join(" · "))),
  ];
  replace(
    side,
    h(
      "section",
      { class: "panel", "aria-labelledby": "facts-title" },
      h("h2", { id: "facts-title" }, t("alert.facts")),
      h("dl", { class: "facts" }, facts),
    ),
    ladderPanel(alert, ladder, notifications),
    h(
      "section",
      { class: "panel", "aria-labelledby": "timeline-title" },
      h("h2", { id: "timeline-title" }, t("alert.timeline")),
      h(
        "ol",
        { class: "plain timeline" },
        timeline(life, notifications).map((one) => (one.kind ? lifeStep(one, alert, life, photos) : notified(one))),
      ),
    ),
  );
}

function factDevice(id) {
  return h(
    "span",
    { class: "fact-device" },
    icon(deviceIcon(id)),
    h("span", {}, deviceName(id), h("span", { class: "muted device-id" }, id)),
  );
}

/** What a rule finds, where it is still in force. */
function ruleName(id) {
  if (knows(`rule.${id}`)) return t(`rule.${id}`);
  const known = rule(id);
  return known ? `${say(known.title)} (${id})` : id;
}

/** Who was told, and how it went. */
function notified({ channel, at_ms: at, told, result, attempts, error }) {
  return h(
    "li",
    { class: `life life-notified is-${result}` },
    h(
      "span",
      { class: "life-what" },
      t(`told.${result}`),
      h("span", { class: "life-detail" }, t("told.of", { channel, what: told.map((kind) => t(`change.${kind}`)).join(" · ") })),
    ),
    h("span", { class: "life-when" }, h("time", {}, moment(at, true))),
    error ? h("p", { class: "life-note" }, t("told.error", { attempts, error })) : null,
  );
}

function lifeStep(step, alert, life, photos) {
  const { action } = step;
  const taken = action?.undoes && life.find((one) => one.action?.id === action.undoes && one.action.via === action.via);
  const detail = [
    step.kind === "noted" && action ? t(`noted.${action.verb}`) : null,
    taken ? t(`act.${taken.action.verb}`) : null,
    action?.to,
    action?.verdict ? t(`verdict.${action.verdict}`) : null,
  ].filter(Boolean);
  const by = [step.by ?? t("alert.gateway_did"), action?.via].filter(Boolean);
  // What came late says when it was done.
  const made = action && step.at_ms - action.made_at_ms >= LATE_MS ? action.made_at_ms : null;
  return h(
    "li",
    { class: `life life-${step.kind}${action && undone(life).has(action.id) ? " is-undone" : ""}` },
    h(
      "span",
      { class: "life-what" },
      t(`change.${step.kind}`),
      detail.length > 0 ? h("span", { class: "life-detail" }, detail.join(" · ")) : null,
    ),
    h(
      "span",
      { class: "life-when" },
      h("time", {}, moment(step.at_ms, true)),
      " · ",
      by.join(" · "),
      made ? [" · ", t("alert.made_at", { time: moment(made, true) })] : null,
    ),
    step.note ? h("p", { class: "life-note" }, step.note) : null,
    action ? photoStrip(alert.id, photos.filter((photo) => photo.action === action.id)) : null,
  );
}

function drawEvidence(box, { alert, evidence, life }) {
  box.hidden = evidence.length === 0;
  const newest = [...evidence].reverse();
  const [open, more] = [newest.slice(0, OPEN_FINDINGS), newest.slice(OPEN_FINDINGS)];
  replace(
    box,
    h("h2", { id: "evidence-title" }, t("alert.evidence")),
    open.map((one) => finding(one, alert, life)),
    more.length > 0 ? later(more, alert, life) : null,
  );
}

/** Findings further back: drawn when somebody wants to see them. */
function later(findings, alert, life) {
  const details = h(
    "details",
    { class: "more-findings" },
    h("summary", {}, t("alert.more_findings", { count: findings.length })),
  );
  details.addEventListener("toggle", () => {
    if (details.open && details.childElementCount === 1) details.append(...findings.map((one) => finding(one, alert, life)));
  });
  return details;
}

function finding(evidence, alert, life) {
  const groups = charts(evidence.series);
  return h(
    "section",
    { class: `finding panel sev-${alert.severity}` },
    h(
      "h3",
      {},
      h(
        "span",
        { class: "finding-device" },
        icon(deviceIcon(evidence.device)),
        deviceName(evidence.device),
      ),
      h("time", { class: "muted" }, moment(evidence.at_ms, true)),
    ),
    // The gravest finding's reason stands in the head already.
    say(evidence.reason) === say(alert.reason) ? null : h("p", { class: "finding-reason" }, say(evidence.reason)),
    evidence.score ? score(evidence.score) : null,
    groups.length > 0
      ? h(
          "div",
          { class: "charts" },
          groups.map((group) => {
            const marks = moments(group.length === 1 ? group[0] : null, evidence.at_ms, life);
            return chart(group, namesOf(group, evidence.device), { marks });
          }),
        )
      : null,
    groups.length === 0 && !evidence.score ? h("p", { class: "muted" }, t("alert.no_series")) : null,
  );
}

/** What people call the series of a chart. */
function namesOf(group, id) {
  return group.map((series) => fieldName(id, series.field));
}

/** The inputs without which it would have been no yes, and what the score would be as each is put to what is usual. */
function reasons(movedBy) {
  const space = (unit) => (["°", "×"].includes(unit) ? "" : " ");
  const cell = (value, unit) => h("td", {}, unit ? `${number(value)}${space(unit)}${unit}` : number(value));
  const row = ({ label, unit, value, usual, score_without: without }) =>
    h("tr", {}, h("th", { scope: "row" }, say(label)), cell(value, unit), cell(usual, unit), cell(without));
  const heads = ["score.input", "score.value", "score.usual", "score.without"];
  return h(
    "div",
    { class: "values scroll", tabindex: "0" },
    h(
      "table",
      {},
      h("caption", {}, t("score.moved_by")),
      h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, t(head))))),
      h("tbody", {}, movedBy.map(row)),
    ),
  );
}

/** What a model said: a bar from 0 to 1, the threshold on it, and the sentence. */
function score({ model, version, value, threshold, features, moved_by: movedBy }) {
  const yes = value >= threshold;
  const text = t(yes ? "score.yes" : "score.no", { value: value.toFixed(2), threshold: threshold.toFixed(2) });
  const bar = h(
    "div",
    { class: `score-bar${yes ? " is-yes" : ""}`, role: "img", "aria-label": text },
    h("span", { class: "score-fill" }),
    h("span", { class: "score-limit" }),
  );
  bar.style.setProperty("--value", `${Math.max(0, Math.min(1, value)) * 100}%`);
  bar.style.setProperty("--limit", `${Math.max(0, Math.min(1, threshold)) * 100}%`);
  return h(
    "div",
    { class: "score" },
    h("p", { class: "score-title" }, h("strong", {}, t("score.title", { model, version })), h("span", {}, text)),
    bar,
    movedBy.length > 0 ? reasons(movedBy) : null,
    features.length > 0
      ? h(
          "details",
          { class: "values" },
          h("summary", {}, t("score.features")),
          h(
            "div",
            { class: "scroll", tabindex: "0" },
            h(
              "table",
              {},
              h(
                "tbody",
                {},
                features.map(([name, of]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, number(of)))),
              ),
            ),
          ),
        )
      : null,
  );
}
