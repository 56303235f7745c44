// Who is on duty: now, in the coming week, where nobody is; changing it; and beginning a drill.

import { dialled, timeOfDay } from "../model/format.js";
import { daySlots, holes, hoursOf, midnights, weekdayAt } from "../model/roster.js";
import { WEEKDAYS } from "../model/words.js";
import { ask } from "../ui/api.js";
import { h, replace } from "../ui/dom.js";
import { icon } from "../ui/icons.js";
import { whom } from "../ui/ladder.js";
import { mayDo, now, offset, problem, span, t } from "../ui/say.js";
import { onSite, placeName } from "../ui/site.js";
import { drillPanel } from "./drill.js";
import { rosterEditor } from "./roster-editor.js";

const REFRESH_MS = 30_000;
const WEEK = 7;
/** More than these are a roster that nobody has finished. */
const MOST_HOLES = 12;

/** Shows the page in `root`; gives the way to leave it. */
export function rosterPage(root) {
  let left = false;
  let roster = null;
  const parts = {
    failed: h("p", { class: "form-error", role: "alert" }),
    now: h("section", { class: "roster-now", "aria-labelledby": "roster-now" }),
    holes: h("section", { class: "roster-holes", "aria-labelledby": "roster-holes" }),
    week: h("div"),
    edit: h("section", { "aria-labelledby": "roster-edit" }),
    rules: h("section", { class: "roster-rules" }),
    drill: h("section", { class: "panel roster-drill", "aria-labelledby": "drill-title" }),
  };
  replace(
    root,
    h(
      "div",
      { class: "roster" },
      h("h1", { tabindex: "-1" }, t("roster.title")),
      parts.failed,
      parts.now,
      parts.holes,
      parts.week,
      parts.drill,
      parts.edit,
      parts.rules,
    ),
  );
  const draw = () => {
    if (!roster || left) return;
    const names = new Map(roster.people.map((person) => [person.id, person]));
    drawNow(parts.now, roster, names);
    drawHoles(parts.holes, roster, names);
    drawWeek(parts.week, roster, names);
    drawRules(parts.rules, roster, names);
  };
  const editor = rosterEditor(parts.edit, (changed) => {
    roster = changed;
    draw();
  });
  const load = async () => {
    try {
      roster = await ask("/roster");
      if (left) return;
      replace(parts.failed, roster.faults.length > 0 ? [t("roster.faults"), " ", roster.faults.join(" · ")] : null);
      draw();
      if (mayDo("PUT", "/roster")) editor.offer(roster);
    } catch (error) {
      if (!left) replace(parts.failed, problem(error));
    }
  };
  parts.edit.hidden = !mayDo("PUT", "/roster");
  parts.drill.hidden = !mayDo("POST", "/drills");
  if (!parts.drill.hidden) drillPanel(parts.drill);
  const timer = setInterval(() => document.visibilityState === "visible" && load(), REFRESH_MS);
  const stop = onSite(() => parts.drill.hidden || drillPanel(parts.drill));
  load();
  return () => {
    left = true;
    stop();
    clearInterval(timer);
  };
}

function nameOf(names, id) {
  return names.get(id)?.name ?? id;
}

function titleOf({ title, grid }) {
  return [t(`title.${title}`), grid ? t("devices.grid", { grid }) : null].filter(Boolean).join(" · ");
}

function drawNow(box, { on_duty: on }, names) {
  const one = ({ people, until_ms: until, ...watch }) =>
    h(
      "li",
      { class: `panel duty-card${people.length > 0 ? "" : " is-hole"}` },
      h("span", { class: "muted" }, titleOf(watch)),
      people.length > 0
        ? people.map((id) => {
            const { phone } = names.get(id) ?? {};
            return h(
              "span",
              { class: "duty-person" },
              icon("person"),
              h("strong", {}, nameOf(names, id)),
              phone ? h("a", { href: dialled(phone) }, phone) : null,
            );
          })
        : h("strong", {}, t("roster.nobody")),
      until === null ? null : h("span", { class: "muted" }, t("roster.until", { time: dayTime(until) })),
    );
  replace(
    box,
    h("h2", { id: "roster-now" }, t("roster.now")),
    on.length > 0 ? h("ul", { class: "plain duty-cards" }, on.map(one)) : h("p", { class: "muted" }, t("roster.empty")),
  );
}

/** A time of day, with the day of the week where it is not today's. */
function dayTime(at) {
  const isToday = midnights(at, offset(), 1)[0] === midnights(now(), offset(), 1)[0];
  const time = timeOfDay(at, offset(), false);
  return isToday ? time : `${t(`weekday.${WEEKDAYS[weekdayAt(at, offset())]}`)} ${time}`;
}

/** "星期一 09:00–18:00"; with the day at the end too where it is another, and no end where that is too far ahead. */
function stretch({ from_ms: from, until }) {
  if (until === null) return t("roster.from_on", { time: dayTime(from) });
  const dayOf = (at) => midnights(at, offset(), 1)[0];
  if (dayOf(from) === dayOf(until - 1)) {
    return `${dayTime(from)}${hoursOf({ from_ms: from, to_ms: until }, (at) => timeOfDay(at, offset(), false)).slice(5)}`;
  }
  return `${dayTime(from)} – ${dayTime(until)}`;
}

function drawHoles(box, { watches }, names) {
  const found = holes(watches, now());
  box.hidden = found.length === 0;
  const one = (hole) =>
    h(
      "li",
      { class: hole.people.length > 0 ? "is-overlap" : "is-hole" },
      icon(hole.people.length > 0 ? "person" : "cut"),
      h(
        "span",
        {},
        t("roster.hole", { who: titleOf(hole), when: stretch(hole) }),
        " ",
        hole.people.length > 0
          ? t("roster.overlap", { who: hole.people.map((id) => nameOf(names, id)).join(t("list.comma")) })
          : t("roster.nobody"),
      ),
    );
  replace(
    box,
    h("h2", { id: "roster-holes" }, t("roster.holes")),
    h("p", { class: "muted" }, t("roster.holes_more")),
    h("ul", { class: "plain" }, found.slice(0, MOST_HOLES).map(one)),
    found.length > MOST_HOLES ? h("p", { class: "muted" }, t("roster.more", { count: found.length - MOST_HOLES })) : null,
  );
}

function drawWeek(box, { watches }, names) {
  const days = midnights(now(), offset(), WEEK);
  const timeOf = (at) => timeOfDay(at, offset(), false);
  const slot = (one) =>
    h(
      "span",
      { class: `slot${one.people.length === 0 ? " is-hole" : one.overlaps ? " is-overlap" : ""}` },
      h("span", { class: "muted" }, hoursOf(one, timeOf)),
      " ",
      one.people.length > 0 ? one.people.map((id) => nameOf(names, id)).join(t("list.comma")) : t("roster.nobody"),
    );
  const row = (watch) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, titleOf(watch)),
      days.map((day) => h("td", {}, daySlots(watch.slots, day).map(slot))),
    );
  const head = (day) => {
    const name = t(`weekday.${WEEKDAYS[weekdayAt(day, offset())]}`);
    return h("th", { scope: "col" }, name, " ", h("span", { class: "muted" }, new Date(day + offset() * 60_000).toISOString().slice(5, 10)));
  };
  replace(
    box,
    h("h2", { id: "roster-week" }, t("roster.week")),
    watches.length > 0
      ? h(
          "div",
          { class: "wide-table", tabindex: "0", role: "region", "aria-labelledby": "roster-week" },
          h(
            "table",
            { class: "week" },
            h("thead", {}, h("tr", {}, h("td"), days.map(head))),
            h("tbody", {}, watches.map(row)),
          ),
        )
      : h("p", { class: "muted" }, t("roster.empty")),
  );
}

function drawRules(box, { ladders, quiet }, names) {
  const list = (of, word) => of.map(word).join(t("list.comma"));
  const fits = (rule) =>
    [
      list(rule.severities, (one) => t(`severity.${one}`)),
      list(rule.scenes, (one) => t(`scene.${one}`)),
      list(rule.kinds ?? [], (one) => t(`kind.${one}`)),
      list(rule.grids, (one) => t("devices.grid", { grid: one })),
      list(rule.places ?? [], placeName),
    ]
      .filter(Boolean)
      .join(" · ") || t("roster.all_alerts");
  const rung = (one, index, after) => {
    const who = [...one.titles.map((title) => t(`title.${title}`)), ...one.people.map((id) => nameOf(names, id))];
    const when = index === 0 ? t("ladder.at_once") : t("ladder.after", { span: span(after) });
    return h("li", {}, h("span", { class: "muted" }, `${when} `), whom({ people: who, unmanned: [], channels: one.channels }));
  };
  const ladder = (one) =>
    h(
      "li",
      { class: "panel" },
      h("h3", {}, one.name, " ", h("span", { class: "muted" }, fits(one))),
      h("ol", { class: "ladder-rungs" }, one.rung.map((step, index) => rung(step, index, one.after_ms[index]))),
    );
  const hours = (rule) =>
    h(
      "li",
      { class: "panel" },
      h("strong", {}, rule.hours.replace("-", "–")),
      " ",
      rule.days.length > 0 ? `${list(rule.days, (day) => t(`weekday.${day}`))} ` : null,
      h("span", { class: "muted" }, fits(rule)),
    );
  replace(
    box,
    h("h2", {}, t("roster.ladders")),
    h("p", { class: "muted" }, t("roster.ladders_more")),
    ladders.length > 0 ? h("ul", { class: "plain duty-cards" }, ladders.map(ladder)) : h("p", {}, t("roster.no_ladder")),
    quiet.length > 0 ? [h("h2", {}, t("roster.quiet")), h("ul", { class: "plain duty-cards" }, quiet.map(hours))] : null,
  );
  box.hidden = !mayDo("PUT", "/roster");
}
