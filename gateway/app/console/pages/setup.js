// Setting up with a phone: the gateway's state, places, their devices, brokers beside it, and on to the walk-test.

import { steps } from "../model/setup.js";
import { ask, health } from "../ui/api.js";
import { h, replace } from "../ui/dom.js";
import { icon } from "../ui/icons.js";
import { mayDo, problem, say, t } from "../ui/say.js";
import { devices, onSite, partName, place, places, refreshSite } from "../ui/site.js";
import { brokersPart } from "./setup-brokers.js";
import { devicesOf } from "./setup-devices.js";
import { placesPart } from "./setup-places.js";

const EVERY_MS = 5000;
/** Of all that can be unwell, what an installer can mend. */
const OF_INTEREST = ["clock", "upstream:", "broker:", "brokers", "models", "site_files", "disk"];

/** Shows the page in `root`, with the devices of the place with this id, if any; gives the way to leave it. */
export function setupPage(root, id) {
  const failed = h("p", { class: "form-error", role: "alert" });
  const state = h("ul", { class: "plain setup-state" });
  const named = (name) => [name, h("span", { class: "setup-mark" })];
  const marks = Object.fromEntries(["places", "devices", "brokers"].map(named));
  const body = h("div", { class: "setup-body" });
  let [left, timer, about, drawnFor, beside] = [false, null, null, null, null];

  let shownBrokers = "";
  /** A list that is drawn anew loses the button that one is about to press. */
  const brokersDiffer = (brokers) => {
    const former = shownBrokers;
    shownBrokers = JSON.stringify(brokers);
    return former !== shownBrokers;
  };
  const draw = () => {
    if (left || !about) return;
    for (const [name, done] of Object.entries(steps({ ...about, places: places(), devices: devices() }))) {
      if (marks[name]) replace(marks[name], mark(done));
    }
    // Forms keep what is being typed: they are made once.
    const shown = id && place(id) ? id : "";
    if (drawnFor === shown) return;
    drawnFor = shown;
    beside = shown ? null : brokersPart(about, marks.brokers);
    replace(body, shown ? devicesOf(place(id), about, marks.devices) : [placesPart(marks.places), beside.element]);
  };
  const load = async () => {
    clearTimeout(timer);
    try {
      const [setup, well, { brokers }] = await Promise.all([
        about ?? ask("/setup"),
        health(),
        ask("/brokers"),
        about ? null : refreshSite(),
      ]);
      if (left) return;
      about = { ...setup, brokers, parts: well.parts ?? [] };
      if (brokersDiffer(brokers)) beside?.draw(brokers);
      replace(state, lines(about));
      replace(failed);
      draw();
    } catch (error) {
      if (!left) replace(failed, problem(error));
    }
    if (!left) timer = setTimeout(load, EVERY_MS);
  };
  replace(
    root,
    h(
      "div",
      { class: "setup" },
      id ? h("a", { class: "back", href: "#/setup" }, icon("back"), t("setup.all_places")) : null,
      h("h1", { tabindex: "-1" }, t("setup.title")),
      id ? null : h("p", { class: "muted" }, t("setup.more")),
      failed,
      id ? null : h("section", { class: "panel setup-part" }, h("h2", {}, t("setup.gateway")), state),
      body,
      mayDo("POST", "/walk-tests")
        ? h("a", { class: "button big setup-walk", href: "#/walk" }, icon("check"), t("setup.walk"))
        : null,
    ),
  );
  load();
  const forget = onSite(draw);
  return () => {
    left = true;
    clearTimeout(timer);
    forget();
  };
}

/** Whether a step is done, to see and to hear. */
function mark(done) {
  const said = t(done ? "setup.done" : "setup.open");
  return [icon(done ? "check" : "clock"), h("span", { class: "visually-hidden" }, said)];
}

function lines({ gateway, version, parts, sensor_port: plain, sensor_port_tls: tls }) {
  const ports = [tls ? t("setup.tls", { port: tls }) : null, plain].filter(Boolean).join(" · ");
  const line = (well, name, text) =>
    h(
      "li",
      { class: well ? "is-well" : "is-not" },
      icon(well ? "check" : "cut"),
      h("span", { class: "setup-name" }, name),
      h("span", {}, text),
    );
  const isOf = (part, name) => (name.endsWith(":") ? part.name.startsWith(name) : part.name === name);
  const known = parts.filter((part) => OF_INTEREST.some((name) => isOf(part, name)));
  return [
    line(true, gateway, t("setup.version", { version })),
    line(Boolean(ports), t("setup.port"), ports || t("setup.no_port")),
    known.map((part) =>
      line(part.status === "ok", partName(part.name), part.text ? say(part.text) : t("setup.well")),
    ),
    parts.some((part) => isOf(part, "upstream:"))
      ? null
      : line(false, t("setup.upstream"), t("setup.no_upstream")),
  ];
}
