// Places and devices: how each is, by grid and place.

import { grouped, ranked, troubles } from "../model/site.js";
import { CLASSES } from "../model/words.js";
import { h, reconcile, replace } from "../ui/dom.js";
import { charge, clockText, reading, seen } from "../ui/device-marks.js";
import { icon, severityShape } from "../ui/icons.js";
import { onLive } from "../ui/live.js";
import { now, problem, t } from "../ui/say.js";
import { devices, onSite, place, placeName, places, refreshSite } from "../ui/site.js";

const REFRESH_MS = 10_000;
const STATES = ["all", "trouble", "silent", "battery", "clock"];
/** What is looked for. It stays while one goes elsewhere and back. */
const filter = { text: "", state: "all", sensorClass: "" };
/** By place, or the most pressing first by one thing. */
const ORDERS = ["place", "heard", "charge", "skew"];
let order = "place";

/** Shows the page in `root`; gives the way to leave it. */
export function devicesPage(root) {
  const parts = {
    summary: h("p", { class: "muted devices-summary", role: "status" }),
    states: h("div", { class: "scenes", role: "group", "aria-label": t("devices.state") }),
    grids: h("div", { class: "grids" }),
    failed: h("p", { class: "form-error", role: "alert" }),
  };
  const search = h("input", {
    type: "search",
    id: "search",
    placeholder: t("devices.search"),
    "aria-label": t("devices.search"),
    value: filter.text,
    autocomplete: "off",
    spellcheck: "false",
  });
  search.addEventListener("input", () => {
    filter.text = search.value;
    draw();
  });
  const classes = h(
    "select",
    {
      "aria-label": t("devices.class"),
      on: {
        change: () => {
          filter.sensorClass = classes.value;
          draw();
        },
      },
    },
    h("option", { value: "" }, t("devices.all_classes")),
    CLASSES.map((name) => h("option", { value: name, selected: name === filter.sensorClass }, t(`class.${name}`))),
  );
  const orders = h(
    "select",
    {
      "aria-label": t("devices.order"),
      on: {
        change: () => {
          order = orders.value;
          draw();
        },
      },
    },
    ORDERS.map((name) => h("option", { value: name, selected: name === order }, t(`order.${name}`))),
  );
  const draw = () => drawPage(parts, draw);
  const refresh = () =>
    refreshSite().then(
      () => replace(parts.failed),
      (error) => replace(parts.failed, problem(error)),
    );
  replace(
    root,
    h(
      "div",
      { class: "devices" },
      h("div", { class: "devices-head" }, h("h1", {}, t("devices.title")), parts.summary),
      h(
        "div",
        { class: "devices-filter" },
        h("span", { class: "search" }, icon("search"), search),
        classes,
        orders,
        parts.states,
      ),
      parts.failed,
      parts.grids,
    ),
  );
  const timer = setInterval(() => document.visibilityState === "visible" && refresh(), REFRESH_MS);
  const leave = [onSite(draw), onLive(({ change }) => change && refresh()), () => clearInterval(timer)];
  draw();
  refresh();
  return () => leave.forEach((stop) => stop());
}

function drawPage(parts, draw) {
  const all = devices();
  const count = (state) =>
    all.filter((device) =>
      state === "all" ? true : state === "trouble" ? troubles(device).length > 0 : troubles(device).includes(state),
    ).length;
  replace(
    parts.summary,
    all.length > 0
      ? t("devices.summary", { places: places().length, devices: all.length, trouble: count("trouble") })
      : null,
  );
  reconcile(parts.states, STATES, {
    key: (state) => state,
    mark: (state) => `${filter.state === state} ${count(state)}`,
    make: (state) =>
      h(
        "button",
        {
          type: "button",
          class: `scene state-${state}`,
          "aria-pressed": String(filter.state === state),
          "data-focus": state,
          on: {
            click: () => {
              filter.state = state;
              draw();
            },
          },
        },
        t(`devices.${state}`),
        h("span", { class: "scene-count" }, String(count(state))),
      ),
  });
  if (order !== "place") return drawRanked(parts.grids, ranked(all, place, filter, order));
  const grids = grouped(places(), all, filter);
  const nothing = places().length === 0 ? "devices.no_places" : "devices.none";
  reconcile(parts.grids, grids.length > 0 ? grids : [{ grid: "", groups: [] }], {
    key: ({ grid }) => grid || "none",
    mark: ({ grid }) => (grid ? "" : nothing),
    make: ({ grid }) =>
      grid
        ? h(
            "section",
            { class: "grid-section" },
            h("h2", {}, t("devices.grid", { grid })),
            h("div", { class: "places" }),
          )
        : h("p", { class: "muted loading" }, t(nothing)),
  });
  for (const { grid, groups } of grids) {
    const box = [...parts.grids.children].find((node) => node.dataset.key === grid)?.querySelector(".places");
    reconcile(box, groups, {
      key: ({ place }) => place.id,
      mark: (group) => JSON.stringify(group) + Math.floor(now() / 10_000),
      make: placeCard,
    });
  }
}

/** All in one list, the most pressing first. */
function drawRanked(box, list) {
  reconcile(box, list.length > 0 ? ["ranked"] : ["none"], {
    key: (what) => what,
    mark: (what) => (what === "ranked" ? JSON.stringify(list) + Math.floor(now() / 10_000) : t("devices.none")),
    make: (what) =>
      what === "ranked"
        ? h(
            "ul",
            { class: "plain device-list panel" },
            list.map((device) => deviceRow(device, placeName(device.place))),
          )
        : h("p", { class: "muted loading" }, t("devices.none")),
  });
}

function placeCard({ place, devices: inside }) {
  // Whom the devices of a home care for is said once.
  const persons = [...new Set(inside.map((device) => device.person).filter(Boolean))];
  const about = [t(`kind.${place.kind}`), ...persons.map((person) => t(`person.${person}`)), place.address];
  const silent = place.silent_devices > 0;
  const open = place.open_alerts > 0;
  const marks = [
    silent &&
      h("span", { class: "tag tag-silent" }, icon("cut"), t("devices.silent_count", { count: place.silent_devices })),
    open &&
      h(
        "span",
        { class: `tag tag-open sev-${place.worst_severity}` },
        severityShape(place.worst_severity),
        t("devices.open_alerts", { count: place.open_alerts }),
      ),
  ];
  return h(
    "section",
    { class: `place panel${place.worst_severity ? ` has-open sev-${place.worst_severity}` : ""}` },
    h(
      "header",
      { class: "place-head" },
      h("h3", {}, place.name),
      h("p", { class: "muted" }, about.filter(Boolean).join(" · ")),
      h("p", { class: "place-marks" }, marks),
    ),
    h(
      "ul",
      { class: "plain device-list" },
      inside.map((device) => deviceRow(device)),
    ),
  );
}

function deviceRow(device, where = "") {
  const found = troubles(device);
  const name = device.class ? t(`class.${device.class}`) : t("devices.unknown_type", { type: device.type });
  return h(
    "li",
    { class: `device${found.length > 0 ? " has-trouble" : ""}${device.silent ? " is-silent" : ""}` },
    h("span", { class: "device-icon" }, icon(device.class ?? "unknown")),
    h(
      "div",
      { class: "device-main" },
      h(
        "p",
        { class: "device-name" },
        h("a", { href: `#/devices/${encodeURIComponent(device.id)}` }, h("strong", {}, device.spot || device.id)),
        h("span", { class: "muted" }, [name, where].filter(Boolean).join(" · ")),
      ),
      h("p", { class: "device-values" }, device.values.filter((one) => one.field !== "battery_percent").map(reading)),
      found.includes("clock") ? h("p", { class: "device-clock" }, icon("clock"), clockText(device)) : null,
    ),
    h("div", { class: "device-side" }, seen(device), charge(device, found)),
  );
}
