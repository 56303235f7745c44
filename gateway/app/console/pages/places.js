// Places by grid with their state at a glance: as a list, and on a picture where an admin has laid one under them.

import { byGrid, mattersOf, onPicture, stateOf } from "../model/site.js";
import { SEVERITIES } from "../model/words.js";
import { ask, request } from "../ui/api.js";
import { h, reconcile, replace } from "../ui/dom.js";
import { icon, severityShape } from "../ui/icons.js";
import { live, onLive } from "../ui/live.js";
import { mayDo, problem, t } from "../ui/say.js";
import { onSite, places, refreshSite } from "../ui/site.js";

const REFRESH_MS = 15_000;
/** By a key of the keyboard a place moves so far on the picture. */
const STEP = 0.01;
/** Whether pictures are shown; and the grid whose places are being put. It stays while one goes elsewhere and back. */
const view = { plan: matchMedia("(min-width: 60rem)").matches, arranging: null };

/** Shows the page in `root`; gives the way to leave it. */
export function placesPage(root) {
  let left = false;
  let plans = new Map();
  const grids = h("div", { class: "grids" });
  const failed = h("p", { class: "form-error", role: "alert" });
  const choice = h("div", { class: "scenes", role: "group", "aria-label": t("places.view") });
  replace(
    root,
    h(
      "div",
      { class: "devices places-page" },
      h("div", { class: "devices-head" }, h("h1", { tabindex: "-1" }, t("places.title")), choice),
      failed,
      grids,
    ),
  );
  const tell = (error) => !left && replace(failed, problem(error));
  const loadPlans = async () => {
    try {
      const answer = await ask("/plans");
      if (left) return;
      plans = new Map(answer.plans.map((plan) => [plan.grid, plan]));
      draw();
    } catch (error) {
      tell(error);
    }
  };
  const draw = () => {
    if (left) return;
    drawChoice(choice, draw);
    const open = [...live.board.open.values()];
    reconcile(grids, byGrid(places()), {
      key: ({ grid }) => grid,
      mark: ({ grid, places: of }) =>
        JSON.stringify([
          of,
          of.map((place) => stateOf(place, open)),
          plans.get(grid),
          view.plan,
          view.arranging === grid,
          knowsAlerts(),
          mattersOf(grid, open),
        ]),
      make: (one) => gridSection(one, open, plans.get(one.grid), { draw, loadPlans, tell }),
    });
  };
  const refresh = () => refreshSite().then(() => replace(failed), tell);
  // Not under the hands of somebody who puts places.
  const timer = setInterval(() => document.visibilityState === "visible" && !view.arranging && refresh(), REFRESH_MS);
  const leave = [
    onSite(() => view.arranging ?? draw()),
    onLive(() => view.arranging ?? draw()),
    () => clearInterval(timer),
  ];
  draw();
  refresh();
  loadPlans();
  return () => {
    left = true;
    view.arranging = null;
    leave.forEach((stop) => stop());
  };
}

function drawChoice(box, draw) {
  const button = (plan, key) =>
    h(
      "button",
      {
        type: "button",
        class: "scene",
        "aria-pressed": String(view.plan === plan),
        on: {
          click: () => {
            view.plan = plan;
            view.arranging = null;
            draw();
          },
        },
      },
      t(key),
    );
  replace(box, button(false, "places.list"), button(true, "places.plan"));
}

/** That nothing is open can be said only by who sees alerts, and once they are there. */
const knowsAlerts = () => mayDo("GET", "/alerts") && live.board.seq > 0;

/** The state of a place in words. */
function stateMarks(place, { worst, counts, unknown }) {
  return [
    SEVERITIES.filter((severity) => counts[severity]).map((severity) =>
      h(
        "span",
        { class: `tag tag-open sev-${severity}` },
        severityShape(severity),
        `${t(`severity.${severity}`)} ${counts[severity]}`,
      ),
    ),
    unknown === "silent"
      ? h("span", { class: "tag tag-silent" }, icon("cut"), t("places.unknown", { count: place.silent_devices }))
      : null,
    unknown === "unwatched" ? h("span", { class: "tag tag-silent" }, icon("cut"), t("places.unwatched")) : null,
    !worst && !unknown && knowsAlerts() ? h("span", { class: "tag tag-recovered" }, icon("check"), t("places.quiet")) : null,
  ];
}

function gridSection({ grid, places: of }, open, plan, actions) {
  const matters = mattersOf(grid, open);
  const shownOnPlan = view.plan && (plan?.picture || view.arranging === grid);
  return h(
    "section",
    { class: "grid-section" },
    h(
      "header",
      { class: "grid-head" },
      h("h2", {}, t("devices.grid", { grid })),
      h("span", { class: "muted" }, t("places.count", { count: of.length })),
      matters > 0 ? h("span", { class: "tag tag-open" }, t("places.matters", { count: matters })) : null,
      view.plan ? planTools(grid, plan, actions) : null,
    ),
    shownOnPlan ? planView(grid, of, open, plan, actions) : null,
    view.plan && !shownOnPlan && !mayDo("PUT", `/plans/${grid}/picture`)
      ? h("p", { class: "muted" }, t("places.no_plan"))
      : null,
    h(
      "ul",
      { class: "plain place-list" },
      of.map((place) => placeRow(place, stateOf(place, open))),
    ),
  );
}

function placeRow(place, state) {
  return h(
    "li",
    {
      class: `place-row panel${state.worst ? ` has-open sev-${state.worst}` : ""}${state.unknown ? " is-unknown" : ""}`,
    },
    h(
      "div",
      {},
      h("h3", {}, place.name),
      h("p", { class: "muted" }, [t(`kind.${place.kind}`), place.address].filter(Boolean).join(" · ")),
    ),
    h("p", { class: "place-state" }, stateMarks(place, state)),
  );
}

/** For admins: another picture, none, and putting the places. */
function planTools(grid, plan, { draw, loadPlans, tell }) {
  const path = `/plans/${encodeURIComponent(grid)}/picture`;
  if (!mayDo("PUT", path)) return null;
  const picked = h("input", {
    type: "file",
    accept: "image/png,image/jpeg",
    class: "visually-hidden",
    id: `plan-${grid}`,
  });
  picked.addEventListener("change", async () => {
    const file = picked.files[0];
    if (!file) return;
    try {
      await request(path, { method: "PUT", body: file });
      await loadPlans();
    } catch (error) {
      tell(error);
    }
  });
  const remove = async () => {
    if (!confirm(t("places.remove_sure"))) return;
    try {
      await ask(path, { method: "DELETE" });
      await loadPlans();
    } catch (error) {
      tell(error);
    }
  };
  const arranging = view.arranging === grid;
  const arrange = () => {
    view.arranging = arranging ? null : grid;
    draw();
    if (arranging) loadPlans();
  };
  return h(
    "span",
    { class: "plan-tools" },
    picked,
    h("label", { class: "button", for: picked.id }, t(plan?.picture ? "places.other_picture" : "places.picture")),
    plan?.picture
      ? [
          h(
            "button",
            { type: "button", "aria-pressed": String(arranging), on: { click: arrange } },
            t(arranging ? "places.arranged" : "places.arrange"),
          ),
          h("button", { type: "button", class: "quiet", on: { click: remove } }, t("places.remove")),
        ]
      : null,
  );
}

function planView(grid, of, open, plan, { tell }) {
  const arranging = view.arranging === grid;
  const image = h("img", {
    src: `/api/v1/plans/${encodeURIComponent(grid)}/picture?${plan.picture}`,
    alt: t("places.plan_of", { grid }),
    draggable: "false",
  });
  const box = h("div", { class: `plan${arranging ? " is-arranging" : ""}` }, image);
  of.forEach((place, index) => {
    const at = plan.positions[place.id];
    if (!at && !arranging) return;
    box.append(pin(box, grid, place, stateOf(place, open), at ?? aside(index, of.length), arranging, tell));
  });
  const missing = of.filter((place) => !plan.positions[place.id]).length;
  return h(
    "div",
    { class: "plan-holder" },
    arranging ? h("p", { class: "muted" }, t("places.arrange_how")) : null,
    box,
    missing > 0 && !arranging ? h("p", { class: "muted" }, t("places.not_put", { count: missing })) : null,
  );
}

/** Places that stand nowhere yet wait along the upper edge. */
function aside(index, count) {
  return { x: (index + 1) / (count + 1), y: 0.04 };
}

function pin(box, grid, place, state, at, arranging, tell) {
  const words = [
    place.name,
    ...SEVERITIES.filter((severity) => state.counts[severity]).map(
      (severity) => `${t(`severity.${severity}`)} ${state.counts[severity]}`,
    ),
    state.unknown
      ? t(state.unknown === "silent" ? "places.unknown" : "places.unwatched", { count: place.silent_devices })
      : null,
  ].filter(Boolean);
  const node = h(
    arranging ? "button" : "span",
    {
      type: arranging ? "button" : null,
      class: `pin${state.worst ? ` sev-${state.worst}` : ""}${state.unknown ? " is-unknown" : ""}`,
      title: words.join(" · "),
      "aria-label": arranging ? words.join(" · ") : null,
    },
    state.worst ? severityShape(state.worst) : state.unknown ? icon("cut") : knowsAlerts() ? icon("check") : null,
    h("span", { class: "pin-name" }, place.name),
  );
  let now = at;
  const put = (to) => {
    now = to;
    node.style.setProperty("--x", `${to.x * 100}%`);
    node.style.setProperty("--y", `${to.y * 100}%`);
  };
  put(at);
  if (!arranging) return node;
  const keep = () =>
    ask(`/plans/${encodeURIComponent(grid)}/positions/${encodeURIComponent(place.id)}`, {
      method: "PUT",
      body: now,
    }).catch(tell);
  node.addEventListener("pointerdown", (event) => {
    node.setPointerCapture(event.pointerId);
    event.preventDefault();
    node.focus();
  });
  node.addEventListener("pointermove", (event) => {
    if (node.hasPointerCapture(event.pointerId)) put(onPicture(box.getBoundingClientRect(), event));
  });
  node.addEventListener("pointerup", keep);
  node.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!by) return;
    event.preventDefault();
    const within = (value) => Math.min(1, Math.max(0, Number(value.toFixed(4))));
    put({ x: within(now.x + by[0] * STEP), y: within(now.y + by[1] * STEP) });
  });
  node.addEventListener("keyup", (event) => event.key.startsWith("Arrow") && keep());
  return node;
}
