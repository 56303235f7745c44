// The live board: open alerts by severity, and what happened of late.

import { UNDO_MS } from "../model/actions.js";
import { counts, response, shown } from "../model/alerts.js";
import { isGateway, isOfGrid } from "../model/site.js";
import { SCENES, SEVERITIES } from "../model/words.js";
import { actionId, ask } from "../ui/api.js";
import { h, reconcile, replace } from "../ui/dom.js";
import { icon, severityShape } from "../ui/icons.js";
import { live, onLive } from "../ui/live.js";
import { onDutyLine } from "../ui/on-duty.js";
import { age, severityMark, statusMark, tickAges } from "../ui/marks.js";
import { moment, now, problem, say, t } from "../ui/say.js";
import { device, onSite, place, placeName, refreshSite, rule } from "../ui/site.js";
import { offerUndo } from "../ui/undo.js";
import { wallScreen } from "../ui/wall.js";
import { waitingHandovers } from "./handovers.js";

/** They are offered where there is something of them. */
const RARE_SCENES = new Set(["employment", "operations"]);
/** What is looked for. It stays while one goes to an alert and back. */
const filter = { severities: new Set(), scenes: new Set() };
/** Alerts whose acceptance is on its way, with the id that keeps a second try from counting twice. */
const accepting = new Map();

/** Shows the board in `root`, for a wall screen large and without what one would press; gives the way to leave it. */
export function boardPage(root, { wall = false } = {}) {
  const parts = {
    counters: h("div", { class: "counters", role: "group", "aria-label": t("board.filter") }),
    scenes: h("div", { class: "scenes", role: "group", "aria-label": t("alert.scene") }),
    lists: h("div", { class: "lists" }),
    hidden: h("p", { class: "hidden-note" }),
    recent: h("ol", { class: "plain recent-list" }),
    failed: h("p", { class: "form-error board-error", role: "alert" }),
    undo: h("div", { class: "undo-offer", role: "status" }),
    handovers: h("ul", { class: "plain handovers waiting" }),
  };
  replace(
    root,
    h(
      "div",
      { class: "board" },
      h(
        "section",
        { class: "board-main", "aria-labelledby": "board-title" },
        h("h1", { id: "board-title", class: "visually-hidden" }, t("board.title")),
        onDutyLine(),
        parts.counters,
        parts.scenes,
        wall ? null : parts.handovers,
        parts.failed,
        parts.undo,
        parts.lists,
        parts.hidden,
      ),
      h(
        "aside",
        { class: "recent", "aria-labelledby": "recent-title" },
        h("h2", { id: "recent-title" }, t("board.recent")),
        parts.recent,
        wall
          ? h("a", { class: "wall-link", href: "#/" }, t("board.wall_off"))
          : h("a", { class: "wall-link", href: "#/board?wall=1" }, icon("board"), t("board.wall")),
      ),
    ),
  );
  const draw = () => drawBoard(parts, draw);
  const leave = [
    wall ? wallScreen() : waitingHandovers(parts.handovers),
    onLive(({ change }) => {
      if (change && !isGateway(change.alert.place) && !isOfGrid(change.alert.place) && !place(change.alert.place)) refreshSite().catch(() => {});
      draw();
    }),
    onSite(draw),
    tickAges(root),
  ];
  draw();
  return () => leave.forEach((stop) => stop());
}

function drawBoard(parts, draw) {
  drawCounters(parts.counters, draw);
  drawScenes(parts.scenes, draw);
  const alerts = shown(live.board, filter);
  drawLists(parts, alerts, draw);
  const hidden = live.board.open.size - alerts.length;
  replace(
    parts.hidden,
    hidden > 0
      ? [
          t("board.filtered_out", { count: hidden }),
          h(
            "button",
            {
              type: "button",
              class: "quiet",
              on: {
                click: () => {
                  filter.severities.clear();
                  filter.scenes.clear();
                  draw();
                },
              },
            },
            t("board.show_all"),
          ),
        ]
      : null,
  );
  drawRecent(parts.recent);
}

function toggle(set, value, draw) {
  if (!set.delete(value)) set.add(value);
  draw();
}

function drawCounters(box, draw) {
  const counted = counts(live.board);
  reconcile(box, SEVERITIES, {
    key: (severity) => severity,
    mark: (severity) => `${counted[severity].open} ${counted[severity].waiting} ${filter.severities.has(severity)}`,
    make: (severity) => {
      const { open, waiting } = counted[severity];
      return h(
        "button",
        {
          type: "button",
          class: `counter sev-${severity}${waiting > 0 ? " has-waiting" : ""}${open === 0 ? " is-empty" : ""}`,
          "aria-pressed": String(filter.severities.has(severity)),
          "data-focus": severity,
          on: { click: () => toggle(filter.severities, severity, draw) },
        },
        severityShape(severity),
        h("span", { class: "counter-word" }, t(`severity.${severity}`)),
        h("span", { class: "counter-number" }, String(open)),
        h(
          "span",
          { class: "counter-waiting" },
          waiting > 0
            ? t("board.waiting", { count: waiting })
            : open > 0
              ? t("board.none_waiting")
              : t("board.empty_severity"),
        ),
      );
    },
  });
}

function drawScenes(box, draw) {
  const open = [...live.board.open.values()];
  const count = (scene) => open.filter((alert) => alert.scene === scene).length;
  const chips = [null, ...SCENES.filter((scene) => !RARE_SCENES.has(scene) || count(scene) > 0)];
  reconcile(box, chips, {
    key: (scene) => scene ?? "all",
    mark: (scene) =>
      `${scene ? count(scene) : open.length} ${scene ? filter.scenes.has(scene) : filter.scenes.size === 0}`,
    make: (scene) =>
      h(
        "button",
        {
          type: "button",
          class: "scene",
          "aria-pressed": String(scene ? filter.scenes.has(scene) : filter.scenes.size === 0),
          "data-focus": scene ?? "all",
          on: {
            click: () => {
              if (scene) return toggle(filter.scenes, scene, draw);
              filter.scenes.clear();
              return draw();
            },
          },
        },
        scene ? t(`scene.${scene}`) : t("board.all_scenes"),
        h("span", { class: "scene-count" }, String(scene ? count(scene) : open.length)),
      ),
  });
}

function drawLists(parts, alerts, draw) {
  const sections = SEVERITIES.filter((severity) => alerts.some((alert) => alert.severity === severity));
  const calm = live.board.open.size === 0 && live.feed === "live";
  const loading = live.feed === "connecting" && live.board.seq === 0;
  const items = sections.length > 0 ? sections : calm ? ["calm"] : loading ? ["loading"] : [];
  const selected = document.activeElement?.closest(".board .card")?.querySelector(".card-link").getAttribute("href");
  reconcile(parts.lists, items, {
    key: (item) => item,
    mark: () => "",
    make: (item) => {
      if (item === "loading") return h("p", { class: "muted loading" }, t("app.loading"));
      if (item === "calm")
        return h(
          "div",
          { class: "calm" },
          icon("shield"),
          h("p", { class: "calm-word" }, t("board.calm")),
          h("p", { class: "muted" }, t("board.calm_more")),
        );
      return h(
        "section",
        { class: `list sev-${item}`, "aria-labelledby": `list-${item}` },
        h("h2", { id: `list-${item}`, class: "list-title" }, severityShape(item), t(`severity.${item}`)),
        h("ul", { class: "plain cards waiting" }),
        h("ul", { class: "plain cards in-hand" }),
      );
    },
  });
  for (const severity of sections) {
    const list = parts.lists.querySelector(`[data-key="${severity}"]`);
    const ofList = alerts.filter((alert) => alert.severity === severity);
    for (const [box, waits] of [
      [".waiting", true],
      [".in-hand", false],
    ]) {
      reconcile(
        list.querySelector(box),
        ofList.filter((alert) => (alert.status === "raised") === waits),
        {
          key: (alert) => alert.id,
          mark: (alert) => JSON.stringify([alert, spotOf(alert), firstStep(alert), accepting.has(alert.id)]),
          make: (alert) => card(alert, parts, draw),
        },
      );
    }
  }
  // An alert that has moved to another list stays selected.
  if (selected && !parts.lists.contains(document.activeElement)) {
    parts.lists.querySelector(`[href="${selected}"]`)?.focus({ preventScroll: true });
  }
}

/** Where it is, as far as a glance needs it: place, spot, grid. */
function spotOf(alert) {
  return [placeName(alert.place), device(alert.devices[0])?.spot, place(alert.place)?.grid].filter(Boolean).join(" · ");
}

/** What is to be done first. */
function firstStep(alert) {
  return response(alert, rule)[0];
}

function card(alert, parts, draw) {
  const waits = alert.status === "raised";
  const title = say(alert.title);
  const tags = [];
  if (alert.drill) tags.push(h("span", { class: "tag tag-drill" }, t("drill.mark")));
  if (alert.walk_test) tags.push(h("span", { class: "tag tag-drill" }, t("walk.mark")));
  if (alert.escalation > 0 && waits)
    tags.push(h("span", { class: "tag tag-escalated" }, icon("up"), t("board.escalated", { level: alert.escalation })));
  if (alert.recovered_at_ms) tags.push(h("span", { class: "tag tag-recovered" }, icon("check"), t("board.recovered")));
  if (alert.devices.length > 1)
    tags.push(h("span", { class: "tag" }, t("board.devices", { count: alert.devices.length })));
  if (alert.occurrences > 1)
    tags.push(h("span", { class: "tag" }, t("board.occurrences", { count: alert.occurrences })));
  return h(
    "li",
    { class: `card sev-${alert.severity} is-${alert.status}`, "data-alert": alert.id },
    h(
      "a",
      { class: "card-link", href: `#/alerts/${alert.id}`, "data-focus": "open" },
      h(
        "span",
        { class: "card-top" },
        severityMark(alert.severity),
        h("span", { class: "card-number" }, t("alert.number", { number: alert.number })),
        waits ? null : statusMark(alert.status),
        age(alert.raised_at_ms),
      ),
      h("span", { class: "card-title" }, title),
      h("span", { class: "card-place" }, icon("place"), h("span", {}, spotOf(alert))),
      waits ? h("span", { class: "card-reason" }, say(alert.reason)) : null,
      waits && firstStep(alert) ? h("span", { class: "card-response" }, icon("next"), say(firstStep(alert))) : null,
    ),
    h(
      "div",
      { class: "card-foot" },
      waits ? h("span", { class: "visually-hidden" }, t("status.raised")) : holder(alert),
      tags.length > 0 ? h("span", { class: "tags" }, tags) : null,
      waits
        ? h(
            "button",
            {
              type: "button",
              class: "primary accept",
              disabled: accepting.has(alert.id),
              "aria-label": t("board.accept_of", { number: alert.number, title }),
              "data-focus": "accept",
              on: { click: () => accept(alert, parts, draw) },
            },
            t("board.accept"),
          )
        : null,
    ),
  );
}

/** Who has it, and who was sent. */
function holder(alert) {
  if (alert.dispatched_to)
    return h("span", { class: "held" }, icon("send"), t("board.sent", { to: alert.dispatched_to }));
  if (alert.accepted_by)
    return h("span", { class: "held" }, icon("person"), t("board.held", { by: alert.accepted_by }));
  return null;
}

async function accept(alert, parts, draw) {
  const id = actionId();
  accepting.set(alert.id, id);
  replace(parts.failed);
  draw();
  try {
    const acted = await ask(`/alerts/${alert.id}/accept`, { method: "POST", body: { id } });
    if (acted.outcome === "already") {
      replace(parts.failed, `${t("alert.number", { number: alert.number })} · ${t("act.already")}`);
    } else {
      offerUndo(parts.undo, alert, { action: id, verb: "accept", until: now() + UNDO_MS }, draw);
    }
  } catch (error) {
    replace(parts.failed, `${t("alert.number", { number: alert.number })} · ${problem(error)}`);
  } finally {
    accepting.delete(alert.id);
    draw();
  }
}

function drawRecent(list) {
  const steps = live.board.recent;
  reconcile(list, steps.length > 0 ? steps : [{ seq: "none" }], {
    key: (step) => step.seq,
    mark: (step) => (step.alert ? `${placeName(step.alert.place)} ${moment(step.at_ms)}` : ""),
    make: (step) => {
      if (!step.alert) return h("li", { class: "muted" }, t("board.recent_empty"));
      const { alert } = step;
      return h(
        "li",
        { class: `step sev-${alert.severity} step-${step.kind}` },
        h("time", { class: "step-time" }, moment(step.at_ms)),
        h(
          "a",
          { href: `#/alerts/${alert.id}` },
          h(
            "span",
            { class: "step-what" },
            severityShape(alert.severity),
            t(`change.${step.kind}`),
            step.by ? h("span", { class: "step-by" }, step.by) : null,
          ),
          h("span", { class: "step-alert" }, `${placeName(alert.place)} · ${say(alert.title)}`),
        ),
      );
    },
  });
}
