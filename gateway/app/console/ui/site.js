// The places, devices and rules that the gateway knows, as they were last told.

import { gridOf, isGateway, isOfGrid, isResident, ofGateway } from "../model/site.js";
import { knows } from "../model/text.js";
import { ask } from "./api.js";
import { say, t } from "./say.js";

const site = { places: new Map(), devices: new Map(), rules: new Map() };
const listeners = new Set();
let asking = null;

/** Calls `listener` when they were told anew; gives the way to stop it. */
export function onSite(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Asks for them; one question at a time. */
export function refreshSite() {
  asking ??= Promise.all([ask("/places"), ask("/devices"), ask("/rules")])
    .then(([{ places }, { devices }, { rules }]) => {
      site.places = new Map(places.map((place) => [place.id, place]));
      site.devices = new Map(devices.map((device) => [device.id, device]));
      site.rules = new Map(rules.map((rule) => [rule.id, rule]));
      for (const listener of listeners) listener();
    })
    .finally(() => (asking = null));
  return asking;
}

export function places() {
  return [...site.places.values()];
}

export function devices() {
  return [...site.devices.values()];
}

/** A place by its id. */
export function place(id) {
  return site.places.get(id);
}

/** A device by its id. */
export function device(id) {
  return site.devices.get(id);
}

/** A rule by its id. */
export function rule(id) {
  return site.rules.get(id);
}

/** What people call a place; its id where it is not known. The gateway itself is one, too. */
export function placeName(id) {
  if (isOfGrid(id)) return t("matter.grid", { grid: gridOf(id) });
  return site.places.get(id)?.name ?? (isGateway(id) ? partName(id) : id);
}

/** What people call a part of the gateway: "broker:city" is the broker "city". */
export function partName(id) {
  const [kind, name] = id.split(":", 2);
  const key = `health.${kind}`;
  return knows(key) ? t(key, { name }) : id;
}

/** What people call a device: its class and spot; its id where it is not known. Parts of the gateway stand for one, too. */
export function deviceName(id) {
  if (isGateway(id)) return partName(ofGateway(id));
  if (isResident(id)) return t("matter.resident");
  const known = site.devices.get(id);
  if (!known) return id;
  const name = known.class ? t(`class.${known.class}`) : known.id;
  return known.spot ? `${name} · ${known.spot}` : name;
}

/** The icon of a device: its class, or that of the gateway. */
export function deviceIcon(id) {
  return site.devices.get(id)?.class ?? (isGateway(id) ? "heart" : isResident(id) ? "person" : "unknown");
}

/** What people call a field of a device, as its sensor type says; its name where that is not known. */
export function fieldName(id, field) {
  const label = site.devices.get(id)?.values.find((value) => value.field === field)?.label;
  if (label) return say(label);
  return knows(`field.${field}`) ? t(`field.${field}`) : field;
}
