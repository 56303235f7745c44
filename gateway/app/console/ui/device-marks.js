// How a device is, in small: its newest values, when it was heard, its battery, its clock.

import { quantity } from "../model/format.js";
import { h } from "./dom.js";
import { battery, icon } from "./icons.js";
import { moment, now, say, span, t } from "./say.js";

/** The newest value of a field. */
export function reading({ field, label, unit, value }) {
  const isSwitch = unit === "" && (value === 0 || value === 1);
  const text = isSwitch
    ? t(value ? "chart.on" : "chart.off")
    : typeof value === "number"
      ? quantity(value, unit)
      : value;
  return h(
    "span",
    { class: "value" },
    h("span", { class: "muted" }, say(label) || field),
    " ",
    h("span", { class: "value-number" }, text),
  );
}

/** When it was last heard, and whether it is silent. */
export function seen(device) {
  if (device.seen_ms === null) return h("span", { class: "seen never" }, t("devices.never"));
  const ago = now() - device.seen_ms;
  const text = ago < 20_000 ? t("devices.seen_now") : t("devices.seen", { age: span(ago) });
  return h(
    "span",
    { class: "seen", title: t("devices.last_seen", { time: moment(device.seen_ms, true) }) },
    device.silent ? h("span", { class: "tag tag-silent" }, icon("cut"), t("devices.silent")) : null,
    text,
  );
}

/** Its battery, where it tells. */
export function charge(device, found) {
  if (device.battery_percent === null) return null;
  const percent = Math.round(device.battery_percent);
  const low = found.includes("battery");
  return h(
    "span",
    { class: `charge${low ? " is-low" : ""}`, title: t("devices.battery_at", { percent }) },
    battery(percent, low),
    `${percent}%`,
  );
}

/** How far its clock is off. */
export function clockText({ skew_ms: skew }) {
  return t(skew > 0 ? "devices.fast" : "devices.slow", { span: span(Math.abs(skew)) });
}
