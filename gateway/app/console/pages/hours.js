// The last hours of the devices of an alert's place, drawn when somebody wants to see them.

import { h, replace } from "../ui/dom.js";
import { icon } from "../ui/icons.js";
import { mayDo, now, t } from "../ui/say.js";
import { deviceIcon, deviceName, devices } from "../ui/site.js";
import { drawReadings } from "../ui/readings.js";
import { moments } from "../model/moments.js";
import { isOfGrid } from "../model/site.js";

/** How long before and after the alert was raised. */
const SPANS = { hour: 3_600_000, quarter: 6 * 3_600_000, day: 86_400_000 };

/** A panel that follows an alert by `update(record)`. */
export function lastHours() {
  let record = null;
  let question = 0;
  const body = h("div", { class: "hours-body" });
  const span = h(
    "select",
    { "aria-label": t("hours.span"), on: { change: () => load() } },
    Object.keys(SPANS).map((name) => h("option", { value: name, selected: name === "quarter" }, t(`hours.${name}`))),
  );
  const details = h(
    "details",
    { class: "hours panel", hidden: true, on: { toggle: () => details.open && load() } },
    h("summary", {}, h("h2", {}, t("hours.title"))),
    h("div", { class: "hours-choice" }, span),
    body,
  );
  /** One device after the other: the gateway looks back for one at a time. */
  const load = async () => {
    const mine = ++question;
    const around = SPANS[span.value];
    const { alert, life } = record;
    const [from, to] = [alert.raised_at_ms - around, Math.min(alert.raised_at_ms + around, now())];
    const own = new Set(alert.devices);
    const here = devices().filter((device) => device.place === alert.place && !own.has(device.id));
    const boxes = [...alert.devices, ...here.map((device) => device.id)].map((id) => ({ id, box: h("div", {}) }));
    replace(
      body,
      boxes.map(({ id, box }) =>
        h("section", { class: "hours-device" }, h("h3", {}, icon(deviceIcon(id)), deviceName(id)), box),
      ),
    );
    const marks = moments(null, alert.raised_at_ms, life);
    for (const { id, box } of boxes) {
      if (mine !== question || !body.isConnected) return;
      await drawReadings(box, id, { from, to, marks }, () => mine === question);
    }
  };
  return {
    box: details,
    update(fresh) {
      record = fresh;
      const of = fresh.alert.devices[0] ?? "x";
      details.hidden =
        fresh.alert.scene === "operations" || isOfGrid(fresh.alert.place) || !mayDo("GET", `/devices/${of}/readings`);
    },
  };
}
