// Setting up: ids out of names, sensor types to choose from, pictures as gray bytes.

/** Made of what is Latin in a name, else of `stem` and a number; unlike all of `taken`. */
export function suggestId(name, stem, taken) {
  const latin = name
    .normalize("NFKD")
    .replace(/[̀-ͯ]/g, "")
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, "-")
    .replace(/^[-.]+|[-.]+$/g, "")
    .slice(0, 48);
  const used = new Set(taken);
  // Digits alone ("希望小学 2") tell nobody anything.
  const base = /[a-z]/.test(latin) ? latin : stem;
  if (base === latin && !used.has(base)) return base;
  for (let number = 1; ; number++) if (!used.has(`${base}-${number}`)) return `${base}-${number}`;
}

/** Whether a sensor type fits what is looked for: a class, and words of its names. */
export function typeFits(type, sensorClass, text) {
  if (sensorClass && type.class !== sensorClass) return false;
  const hay = `${type.id} ${type.label.zh} ${type.label.en}`.toLowerCase();
  return text
    .trim()
    .toLowerCase()
    .split(/\s+/)
    .every((word) => hay.includes(word));
}

/** Whether devices of the type log in at the gateway itself; others come by a broker. */
export function logsIn(type) {
  return type.topics.some((topic) => topic.startsWith("ninewatch/"));
}

/** Where a device of this type publishes. */
export function topicOf(type, device) {
  const name = device.known_as || device.id;
  return (type.topics[0] ?? "").replace(/\{device(\.\.\.)?\}/g, name);
}

/** The size of a picture whose longer side is `most` at the most. */
export function fitted(width, height, most) {
  const scale = Math.min(1, most / Math.max(width, height));
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
}

/** The brightness of each pixel of RGBA bytes (ITU-R BT.601). */
export function gray(rgba) {
  const bytes = new Uint8Array(rgba.length / 4);
  for (let at = 0; at < bytes.length; at++) {
    const from = at * 4;
    bytes[at] = (rgba[from] * 299 + rgba[from + 1] * 587 + rgba[from + 2] * 114) / 1000;
  }
  return bytes;
}

/** The steps of setting up, each with whether it is done: nothing has to be done in order. */
export function steps({ parts, places, devices, brokers }) {
  const well = (name) => parts.some((part) => part.name.startsWith(name) && part.status === "ok");
  return {
    clock: parts.every((part) => part.name !== "clock" || part.status === "ok"),
    upstream: well("upstream:"),
    places: places.length > 0,
    devices: devices.length > 0,
    brokers: brokers.some((broker) => broker.connected),
  };
}
