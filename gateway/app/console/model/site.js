// Places and devices: what needs attention, and how they are grouped and filtered.

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
