// Places and devices: what needs attention, and how they are grouped and filtered.

import { SEVERITIES } from "./words.js";

/** Below it a battery should be replaced. */
export const LOW_BATTERY_PERCENT = 15;
/** Beyond it a device's clock is wrong enough to tell a person. */
export const WRONG_CLOCK_MS = 5_000;

/** What the place and the devices of an alert about the gateway itself begin with. */
const GATEWAY = "gateway:";

/** Whether a place or a device of an alert is the gateway itself, or a part of it. */
export function isGateway(id) {
  return id.startsWith(GATEWAY);
}

/** What the place of a matter that a resident reported begins with, and what stands where alerts have a device. */
const GRID = "grid:";
const RESIDENT = "resident:";

/** Whether an alert's place is a whole grid: a resident reported it. */
export function isOfGrid(id) {
  return id.startsWith(GRID);
}

/** The grid that stands where alerts have a place. */
export function gridOf(id) {
  return id.slice(GRID.length);
}

/** Whether a resident stands where alerts have a device. */
export function isResident(id) {
  return id.startsWith(RESIDENT);
}

/** The part of the gateway that stands where alerts have a device. */
export function ofGateway(id) {
  return id.slice(GATEWAY.length);
}

/** What is wrong with a device: any of "silent", "battery", "clock". */
export function troubles(device) {
  const found = [];
  if (device.silent) found.push("silent");
  if (device.battery_percent !== null && device.battery_percent < LOW_BATTERY_PERCENT) found.push("battery");
  if (device.skew_ms !== null && Math.abs(device.skew_ms) >= WRONG_CLOCK_MS) found.push("clock");
  return found;
}

/** Whether a device fits what is looked for. `state` is "all", "trouble", or one trouble. */
export function fits(device, place, { text, state, sensorClass }) {
  const found = troubles(device);
  if (state === "trouble" ? found.length === 0 : state !== "all" && !found.includes(state)) return false;
  if (sensorClass && device.class !== sensorClass) return false;
  const wanted = text.trim().toLowerCase();
  if (!wanted) return true;
  const hay = [device.id, device.spot, device.type, place?.name, place?.id, place?.address, place?.grid];
  return wanted.split(/\s+/).every((word) => hay.some((straw) => straw?.toLowerCase().includes(word)));
}

/**
 * Grids with their places with their devices, all in the registry's order. Without a filter, places
 * without devices are there too; with one, only what fits.
 */
export function grouped(places, devices, filter) {
  const byPlace = new Map(places.map((place) => [place.id, { place, devices: [] }]));
  for (const device of devices) {
    const group = byPlace.get(device.place);
    if (group && fits(device, group.place, filter)) group.devices.push(device);
  }
  const open = filter.text.trim() === "" && filter.state === "all" && !filter.sensorClass;
  const grids = new Map();
  for (const group of byPlace.values()) {
    if (!open && group.devices.length === 0) continue;
    if (!grids.has(group.place.grid)) grids.set(group.place.grid, []);
    grids.get(group.place.grid).push(group);
  }
  return [...grids].map(([grid, groups]) => ({ grid, groups }));
}

const PRESSING = {
  heard: (device) => -(device.seen_ms ?? 0),
  charge: (device) => -(device.battery_percent ?? Infinity),
  skew: (device) => Math.abs(device.skew_ms ?? 0),
};

/** The devices that fit, the most pressing first: the longest unheard, the emptiest, the one whose clock is most off. */
export function ranked(devices, placeOf, filter, order) {
  const pressing = PRESSING[order];
  return devices
    .filter((device) => fits(device, placeOf(device.place), filter))
    .sort((one, other) => pressing(other) - pressing(one) || one.id.localeCompare(other.id));
}

/**
 * How a place is: the gravest of its open alerts and how many of each severity, and whether something of it is unknown
 * because a device is silent, or because none is there. Unknown is not the same as fine.
 */
export function stateOf(place, open) {
  const counts = {};
  for (const alert of open) if (alert.place === place.id) counts[alert.severity] = (counts[alert.severity] ?? 0) + 1;
  const worst = SEVERITIES.find((severity) => counts[severity]) ?? null;
  const unknown = place.devices === 0 ? "unwatched" : place.silent_devices > 0 ? "silent" : null;
  return { worst, counts, unknown };
}

/** How many matters that residents of a grid reported are open: they stand at the grid, at none of its places. */
export function mattersOf(grid, open) {
  return open.filter((alert) => isOfGrid(alert.place) && gridOf(alert.place) === grid).length;
}

/** The places of each grid, in the registry's order. */
export function byGrid(places) {
  const grids = new Map();
  for (const place of places) {
    if (!grids.has(place.grid)) grids.set(place.grid, []);
    grids.get(place.grid).push(place);
  }
  return [...grids].map(([grid, of]) => ({ grid, places: of }));
}

/** Where on a picture of this box (`{left, top, width, height}`) a point is, 0 to 1 and never beside it. */
export function onPicture({ left, top, width, height }, { clientX, clientY }) {
  const within = (at) => Math.min(1, Math.max(0, Number(at.toFixed(4))));
  return { x: within((clientX - left) / width), y: within((clientY - top) / height) };
}
