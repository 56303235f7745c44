// One device: how it is, what it measured, and what it can be told.

import { troubles } from "../model/site.js";
import { ask } from "../ui/api.js";
import { charge, clockText, reading, seen } from "../ui/device-marks.js";
import { h, replace } from "../ui/dom.js";
import { icon } from "../ui/icons.js";
import { mayDo, now, problem, say, t } from "../ui/say.js";
import { device as known, deviceIcon, deviceName, onSite, placeName, refreshSite } from "../ui/site.js";
import { drawReadings } from "../ui/readings.js";

const REFRESH_MS = 10_000;
/** How far back its curves go. */
const SPANS = { hour: 3_600_000, quarter: 6 * 3_600_000, day: 86_400_000, week: 7 * 86_400_000 };

/** Shows the device `id` in `root`; gives the way to leave it. */
export function devicePage(root, id) {
  let left = false;
  let question = 0;
  const parts = {
    head: h("header", { class: "device-head panel" }),
    commands: h("section", { class: "panel device-commands", hidden: true }),
    curves: h("div", {}),
    failed: h("p", { class: "form-error", role: "alert" }),
  };
  const span = h(
    "select",
    { "aria-label": t("hours.span"), on: { change: () => load() } },
    Object.keys(SPANS).map((name) => h("option", { value: name, selected: name === "quarter" }, t(`past.${name}`))),
  );
  const again = h("button", { type: "button", on: { click: () => load() } }, t("past.again"));
  const readings = h(
    "section",
    { class: "panel device-past", hidden: !mayDo("GET", `/devices/${id}/readings`) },
    h("h2", {}, t("past.title")),
    h("div", { class: "hours-choice" }, span, " ", again),
    parts.curves,
  );
  const load = () => {
    const mine = ++question;
    if (readings.hidden) return;
    drawReadings(parts.curves, id, { from: now() - SPANS[span.value], to: now() }, () => !left && mine === question).then(
      // What homes measure is not for every role that may ask.
      (refused) => (readings.hidden ||= refused === "wrong_role"),
    );
  };
  replace(
    root,
    h("a", { class: "back", href: "#/devices" }, icon("back"), t("devices.back")),
    parts.failed,
    h("div", { class: "devices" }, parts.head, parts.commands, readings),
  );
  const draw = () => {
    const device = known(id);
    if (device) drawHead(parts.head, device);
    else replace(parts.head, h("h1", { tabindex: "-1" }, id), h("p", { class: "muted" }, t("devices.none")));
  };
  const refresh = () =>
    refreshSite().then(
      () => replace(parts.failed),
      (error) => !left && replace(parts.failed, problem(error)),
    );
  const timer = setInterval(() => document.visibilityState === "visible" && refresh(), REFRESH_MS);
  const leave = [onSite(draw), () => clearInterval(timer)];
  draw();
  refresh();
  load();
  commands(parts.commands, id);
  return () => {
    left = true;
    leave.forEach((stop) => stop());
  };
}

function drawHead(head, device) {
  const found = troubles(device);
  const fact = (term, ...value) => [h("dt", {}, term), h("dd", {}, ...value)];
  const skew =
    device.skew_ms === null
      ? t("devices.no_clock")
      : found.includes("clock")
        ? clockText(device)
        : t("devices.clock_right");
  replace(
    head,
    h("h1", { tabindex: "-1" }, icon(deviceIcon(device.id)), deviceName(device.id)),
    h(
      "dl",
      { class: "facts" },
      fact(t("devices.id"), device.id),
      fact(t("devices.type"), device.type),
      fact(t("alert.place"), placeName(device.place)),
      device.person ? fact(t("devices.person"), t(`person.${device.person}`)) : null,
      fact(t("devices.heard"), seen(device)),
      fact(t("devices.power"), charge(device, found) ?? t("devices.no_battery")),
      fact(t("devices.clock_is"), skew),
    ),
    h("p", { class: "device-values" }, device.values.map(reading)),
  );
}

/** What its type allows it to be told: a form each. */
async function commands(box, id) {
  const path = `/devices/${encodeURIComponent(id)}/commands`;
  if (!mayDo("GET", path)) return;
  const title = h("h2", {}, t("commands.title"));
  try {
    const { commands: list } = await ask(path);
    box.hidden = list.length === 0;
    replace(
      box,
      title,
      list.map((command) => commandForm(path, command)),
    );
  } catch (error) {
    // Not for every role that may ask: nothing to show then.
    box.hidden = error.code === "wrong_role";
    replace(box, title, h("p", { class: "form-error", role: "alert" }, problem(error)));
  }
}

function commandForm(path, { name, label, parameters }) {
  const told = h("p", { role: "status" });
  const inputs = parameters.map(({ name: parameter, label: called, min, max, words, default: given }) => {
    const field = `${name}-${parameter}`;
    const control = words
      ? h(
          "select",
          { id: field },
          words.map((word) => h("option", { value: word, selected: word === given }, word)),
        )
      : h("input", { id: field, type: "number", step: "any", min, max, value: given, required: given === null });
    return { parameter, control, words, view: [h("label", { for: field }, say(called)), control] };
  });
  const submit = async (event) => {
    event.preventDefault();
    told.className = "";
    replace(told, t("channels.testing"));
    const given = inputs.filter(({ control }) => control.value !== "");
    const body = Object.fromEntries(
      given.map(({ parameter, control, words }) => [parameter, words ? control.value : Number(control.value)]),
    );
    try {
      await ask(`${path}/${encodeURIComponent(name)}`, { method: "POST", body });
      replace(told, t("commands.sent"));
    } catch (error) {
      told.className = "form-error";
      replace(told, problem(error));
    }
  };
  return h(
    "form",
    { class: "command", on: { submit } },
    inputs.map(({ view }) => view),
    h("button", { type: "submit" }, icon("send"), say(label)),
    told,
  );
}
